#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <asio/any_io_executor.hpp>

#include "api/api.hpp"
#include "client/informer.hpp"
#include "common/clock.hpp"
#include "common/rng.hpp"
#include "common/sync.hpp"
#include "node/dataplane.hpp"
#include "policy/pod_index.hpp"

namespace podlab::node {

/// Keeps the node's table of rules as the cluster's network policies say. While there is no policy
/// it watches nothing but policies; with the first one also namespaces and all pods, of which it
/// keeps labels, addresses and named ports.
///
/// The pods of this node are known from PodWorker, before they have a network and until they have
/// none any more: a pod is connected only when the rules for it are in force.
class NetworkPolicies {
 public:
  NetworkPolicies(api::Api& api, Clock& clock, Rng& rng, asio::any_io_executor executor,
                  Dataplane& dataplane);
  ~NetworkPolicies();

  void start();
  /// In place of start(), where no packet passes: nothing is watched or enforced.
  void disable() { disabled_ = true; }
  Co<void> stop();

  /// A pod of this node has these addresses, or has others from now on.
  void add(const corev1::Pod& pod, std::vector<net::IpAddress> addresses);
  /// It has no network any more.
  void remove(const std::string& uid);
  /// Until the node enforces what there is to enforce for the pods that were added, or has failed
  /// to.
  Co<Status> enforced();

 private:
  struct Local {
    std::shared_ptr<const corev1::Pod> pod;
    std::vector<net::IpAddress> addresses;
  };

  Co<void> keep();
  /// Begins to watch what policies refer to, and ends it when there are none any more.
  Co<void> watchOthers();
  Co<void> forgetOthers();
  Co<Status> apply();
  void observe(const api::ObjectPtr& pod);
  void changed();
  std::unique_ptr<client::Informer> informer(const api::Kind& kind);

  api::Api& api_;
  Clock& clock_;
  Rng& rng_;
  asio::any_io_executor executor_;
  Dataplane& dataplane_;
  std::unique_ptr<client::Informer> policies_;
  std::unique_ptr<client::Informer> namespaces_;  // while there are policies
  std::unique_ptr<client::Informer> pods_;        // the same
  policy::PodIndex index_;                        // the same
  std::map<std::string, Local> locals_;           // by uid

  bool disabled_ = false;
  std::uint64_t version_ = 1;  ///< of what there is to enforce
  std::uint64_t tried_ = 0;    ///< the version that was last brought to the dataplane
  Status outcome_;             ///< of that
  WaitQueue wake_;
  WaitQueue done_;
  TaskGroup tasks_;
};

}  // namespace podlab::node
