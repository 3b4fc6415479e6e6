#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "agent_rpc.pb.h"

#include "api/api.hpp"
#include "apiserver/api_service.hpp"
#include "common/clock.hpp"
#include "common/rng.hpp"
#include "common/sync.hpp"
#include "transport/rpc.hpp"

namespace podlab::apiserver {

/// Takes clients' streams to the agents, over the connections that the agents themselves opened:
/// the methods "logs", "exec", "attach", "portforward", "reach", "peers" and "usage" of
/// proto/agent_rpc.proto. Both directions wait for their slower end.
class StreamRelay {
 public:
  StreamRelay(ApiService& service, Clock& clock, Rng& rng);

  /// The latest connection of a node serves its streams.
  void connected(const std::string& node, std::shared_ptr<rpc::Connection> connection);
  /// Ignored when the node has a newer connection.
  void disconnected(const std::string& node, const rpc::Connection& connection);
  bool isConnected(const std::string& node) const { return agents_.contains(node); }

  static bool serves(std::string_view method);
  /// The node that runs the pod, when the user may use its subresource and the node can be reached.
  Co<Result<std::string>> nodeOf(User user, api::ResourceId id);
  /// Serves one stream of a client until it ends. Failures say what is missing: the pod, its node,
  /// or the agent's connection.
  Co<Status> serve(User user, rpc::Stream& client);
  /// What the node and its containers use: the method "usage" for the server itself.
  Co<Result<rpc::UsageReport>> usageOf(std::string node);

 private:
  struct Session;
  Co<Status> relay(User user, rpc::Stream& client, std::string first, api::ResourceId pod);
  Co<Status> usage(User user, rpc::Stream& client, std::string first);
  Co<Status> peers(User user, rpc::Stream& client, std::string first);
  Co<void> askPeers(std::string node, std::shared_ptr<AsyncQueue<rpc::PeersReport>> reports);
  Co<Status> reach(User user, rpc::Stream& client, std::string first);
  Co<Result<std::unique_ptr<rpc::Stream>>> openAt(std::string node, std::string method);
  Co<Result<rpc::ReachReport>> resolveEndpoints(rpc::ReachRequest request);
  Co<Status> reachPhase(std::shared_ptr<Session> session, rpc::Stream& client,
                        rpc::ProbeRequest::Phase phase);
  Status mayReach(const User& user, const rpc::ReachRequest& request) const;

  Status authorize(const User& user, std::string_view verb, api::ResourceId id) const;

  const Authorizer& authorizer_;
  const std::unique_ptr<api::Api> api_;  ///< may read all pods
  Clock& clock_;
  Rng& rng_;
  std::unordered_map<std::string, std::shared_ptr<rpc::Connection>> agents_;
};

}  // namespace podlab::apiserver
