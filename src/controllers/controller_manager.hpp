#pragma once
#include <memory>
#include <string>
#include <vector>

#include <asio/any_io_executor.hpp>

#include "api/api.hpp"
#include "client/informer.hpp"
#include "common/clock.hpp"
#include "common/rng.hpp"
#include "controllers/range_allocator.hpp"
#include "scheduler/scores.hpp"

namespace podlab::controllers {

struct ManagerOptions {
  std::vector<ClusterRange> ranges;  ///< one for each family; none: Nodes bring their own ranges
  Duration nodeGrace = std::chrono::seconds(40);
  std::size_t finishedPodThreshold = 12500;
  /// The certificate of the cluster's authority, PEM, for namespaces to publish; none: namespaces
  /// get neither it nor an account.
  std::string rootCa = {};
  /// "host:port" where pods find the API; none: there is no Service "kubernetes".
  std::string apiAddress = {};
  std::vector<scheduler::Profile> profiles = {scheduler::Profile{}};  ///< by schedulerName
};

/// All controllers and the scheduler, over shared caches.
class ControllerManager {
 public:
  /// `api` may do anything; the references outlive stop().
  ControllerManager(api::Api& api, Clock& clock, Rng& rng, const asio::any_io_executor& executor,
                    const ManagerOptions& options);
  ~ControllerManager();

  void start();
  /// Until every cache has its first contents.
  Co<void> waitForSync();
  Co<void> stop();
  /// The cache of Nodes; to add handlers before start().
  client::Informer& nodes();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace podlab::controllers
