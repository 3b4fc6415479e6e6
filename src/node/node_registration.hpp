#pragma once
#include <functional>
#include <optional>
#include <string>

#include "api/api.hpp"
#include "api/packed.hpp"
#include "common/clock.hpp"
#include "common/rng.hpp"
#include "common/sync.hpp"
#include "node/node_status.hpp"

namespace podlab::node {

/// Keeps this node's Node object and Lease at the server: registers it, posts changes of its status
/// at once and all of it every 5 minutes, and renews the Lease. Never stops trying while the server
/// is away.
class NodeRegistration {
 public:
  struct Intervals {
    Duration lease = std::chrono::seconds(10);          ///< between renewals, and up to 4 % more
    Duration leaseDuration = std::chrono::seconds(40);  ///< what the Lease promises
    Duration status = std::chrono::minutes(5);
  };

  /// Lists `images` with each status that it posts.
  NodeRegistration(api::Api& api, Clock& clock, Rng& rng, asio::any_io_executor executor,
                   ImageStore& images, NodeFacts facts, Intervals intervals);

  void start();
  Co<void> stop();

  void setReadiness(NodeReadiness readiness);
  void setPressure(const NodePressure& pressure);
  void setPeerHealth(PeerHealth health);
  const NodeReadiness& readiness() const { return readiness_; }
  /// The Node as the watch shows it (null: it is gone): what is wrong with it is put right.
  void observe(const api::ObjectPtr& node);

 private:
  Co<void> keepNode();
  Co<Status> registerNode();
  Co<Status> postStatus();
  Co<void> keepLease();
  Co<Status> renewLease();

  api::Api& api_;
  Clock& clock_;
  Rng& rng_;
  ImageStore& images_;
  NodeFacts facts_;
  Intervals intervals_;
  NodeReadiness readiness_{false, "the network is not up yet"};
  NodePressure pressure_;
  std::optional<PeerHealth> peers_;  ///< once it is known
  bool registered_ = false;
  bool writing_ = false;  ///< a status
  api::PackedPtr seen_;   ///< meanwhile
  bool dirty_ = true;
  MonoTime heartbeatDue_;
  bool heartbeatsSpread_ = false;
  // As the server last had them; null: unknown, or not there.
  api::PackedPtr node_;
  api::PackedPtr lease_;
  WaitQueue changed_;
  TaskGroup tasks_;
};

}  // namespace podlab::node
