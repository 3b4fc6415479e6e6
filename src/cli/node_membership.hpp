#pragma once
#include <optional>
#include <string>

#include <asio/any_io_executor.hpp>

#include "join_rpc.pb.h"

#include "cli/agent_process.hpp"
#include "common/clock.hpp"
#include "common/co.hpp"
#include "common/filesystem.hpp"
#include "common/status.hpp"
#include "transport/byte_stream.hpp"
#include "transport/certificates.hpp"
#include "transport/rpc.hpp"

namespace podlab::cli {

/// What joining a cluster has given this machine. It is kept in one folder:
/// - ca.crt: the cluster's CA
/// - node.pem: certificate and key, as kubelet keeps them; that it is there says that the machine
///   has joined
/// - settings: NodeSettings
/// - node.key, node.csr: while the machine joins, so that it asks again for the same
struct Membership {
  std::string caPem;
  transport::Credentials own;
  rpc::NodeSettings settings;

  /// From the certificate.
  std::string nodeName() const;
};

/// nullopt when the machine has not joined.
Result<std::optional<Membership>> readMembership(Filesystem& files, const std::string& folder);

struct JoinRequest {
  std::string server;  ///< host:port
  std::string token;   ///< as podlab token create prints it
  std::string node;
};

/// Joins by a token: the server must prove by the hash in it that it is meant before it sees the
/// token's secret, and the node's key never leaves this machine. kUnavailable when the server does
/// not answer, which may be tried again.
Co<Result<Membership>> joinCluster(asio::any_io_executor executor, Clock& clock, Filesystem& files,
                                   std::string folder, JoinRequest request);

/// What makes this machine the node that `agent` says: what is kept, if it is of that node and
/// cluster, else what joining gives. Tries again while the server does not answer, for `patience`
/// or for ever.
Co<Result<Membership>> takeMembership(asio::any_io_executor executor, Clock& clock,
                                      Filesystem& files, AgentProcessOptions agent,
                                      std::optional<Duration> patience);

/// Another key and certificate for the same node, over the node's connection.
Co<Status> renewMembership(rpc::Connection& connection, Clock& clock, Filesystem& files,
                           std::string folder, Membership& membership);

/// "host:port" of https://HOST[:PORT]; kBadRequest names --join.
Result<std::string> serverOfUrl(const std::string& url);

}  // namespace podlab::cli
