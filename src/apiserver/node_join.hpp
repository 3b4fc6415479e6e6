#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "join_rpc.pb.h"

#include "apiserver/api_service.hpp"
#include "apiserver/stream_relay.hpp"
#include "common/clock.hpp"
#include "common/rng.hpp"
#include "transport/certificates.hpp"
#include "transport/rpc.hpp"

namespace podlab::apiserver {

struct NodeJoinOptions {
  std::string version;         ///< of the server's podlab, "MAJOR.MINOR..."
  rpc::NodeSettings settings;  ///< told to each node
  Duration certificateLife = std::chrono::hours(24 * 365);  ///< as kube-controller-manager's
};

/// Makes machines nodes, and renews the certificates of nodes: the methods of proto/join_rpc.proto.
///
/// A token lets a machine take a name that no node has. The name of a node that is there is its
/// own, alive or not, until its Node is deleted: a machine that keeps its certificate needs no
/// token, and one that has lost it is another machine.
class NodeJoin {
 public:
  NodeJoin(ApiService& service, const StreamRelay& relay, transport::CertificateAuthority authority,
           Clock& clock, Rng& rng, NodeJoinOptions options);

  static bool serves(std::string_view method);
  Co<Status> serve(User user, rpc::Stream& stream);
  /// The node is there: its name is guarded by its connection and its Node from here on.
  void arrived(const std::string& node) { promised_.erase(node); }

 private:
  /// A name that was given to a machine that is not there yet.
  struct Promise {
    std::string signingRequest;
    MonoTime until;
  };

  Co<Result<rpc::CertificateAnswer>> join(rpc::JoinRequest request);
  Co<Status> checkName(std::string node, std::string signingRequest);
  Result<rpc::CertificateAnswer> certify(const std::string& node,
                                         const std::string& signingRequest);

  const StreamRelay& relay_;
  const std::unique_ptr<api::Api> api_;
  const transport::CertificateAuthority authority_;
  Clock& clock_;
  Rng& rng_;
  const NodeJoinOptions options_;
  std::map<std::string, Promise> promised_;
};

/// Whether agents and servers of these versions work together: one minor version apart at most.
/// What has no version is taken for a build of the same sources.
Status checkVersions(const std::string& server, const std::string& agent);

/// What a node's certificate says.
transport::LeafSpec nodeCertificate(const std::string& node);

}  // namespace podlab::apiserver
