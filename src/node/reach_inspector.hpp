#pragma once
// Inside src/node only.
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <asio/any_io_executor.hpp>

#include "agent_rpc.pb.h"

#include "common/blocking.hpp"
#include "common/sync.hpp"
#include "net/nft_trace.hpp"
#include "net/path_check.hpp"
#include "net/reach.hpp"

namespace podlab::node {

/// Looks for what keeps probes of a run of reach from passing, as far as this node is on their way.
class ReachInspector {
 public:
  /// `ends` are those of the run's request, as this node sees them.
  ReachInspector(asio::any_io_executor executor, BlockingPool& pool, std::string node,
                 const rpc::ProbeRequest& run, const std::vector<net::ReachEnd>& ends);

  /// Begins to follow the packets of the probes that `request` names. Without nftables there is
  /// nothing to follow.
  Co<void> trace(rpc::ProbeRequest request);
  std::set<net::ProbeKey> keys() const;
  /// What became of them when they were sent again.
  void repeated(const std::vector<net::ProbeOutcome>& outcomes);
  using Findings = google::protobuf::RepeatedPtrField<rpc::ProbeFinding>;
  Co<Findings> find();

 private:
  struct Inspected {
    net::ProbeKey key;
    bool back = false;
    net::PathProbe path;  ///< of the answer, when it goes back
    bool leaves = false;  ///< from this node
    bool arrives = false;
  };
  std::optional<Inspected> inspect(const rpc::InspectedProbe& probe) const;

  asio::any_io_executor executor_;
  BlockingPool& pool_;
  const std::string node_;
  const int size_;
  std::vector<net::PathEnd> paths_;
  std::vector<std::vector<net::IpAddress>> addresses_;
  std::vector<bool> local_;
  std::vector<Inspected> inspected_;
  std::set<net::ProbeKey> passing_;
  std::shared_ptr<net::NftTrace> trace_;
  TaskGroup following_;
};

}  // namespace podlab::node
