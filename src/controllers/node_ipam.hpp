#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "controllers/context.hpp"
#include "controllers/range_allocator.hpp"
#include "controllers/reconciler.hpp"

namespace podlab::controllers {

/// Gives each node that has none its pod ranges, one of each cluster range, in spec.podCIDRs. What
/// is taken is known from the Nodes alone. When a range is used up the node gets an event, and its
/// ranges as soon as another node leaves.
class NodeIpamController {
 public:
  NodeIpamController(Context& context, std::vector<ClusterRange> ranges);
  void start();
  Co<void> stop() { co_await reconciler_.stop(); }

 private:
  using Ranges = std::vector<net::Cidr>;

  Co<Status> reconcile(std::string name);
  void observe(const api::ObjectPtr& node);
  void forget(const std::string& name);
  void assign(const std::string& name, const Ranges& ranges);
  Result<Ranges> choose(const std::string& name);

  Context& context_;
  std::vector<RangeAllocator> allocators_;
  std::map<std::string, Ranges> assigned_;  ///< by node, also what is not written yet
  std::set<std::string> waiting_;           ///< nodes for which no range was left
  Reconciler reconciler_;
};

}  // namespace podlab::controllers
