#pragma once
#include <string>
#include <vector>

#include "join_rpc.pb.h"

#include "common/time.hpp"

namespace podlab::cli {

/// `podlab server`: the control plane of one cluster in one process.
struct ServerOptions {
  std::string stateDir;
  std::string pkiDir;  ///< ca.crt, ca.key, server.crt, server.key, service-accounts.key
  std::vector<std::string> listen;  ///< addresses to listen on, for RPC and REST
  std::vector<int> listenFds;       ///< listening TCP sockets that were made by somebody else
  int adminFd = -1;                 ///< a listening Unix socket, by which only administrators come
  std::string apiAddress;           ///< "host:port" where pods find the REST API
  bool podRoutes = false;           ///< keep routes to the nodes' pods
  std::vector<std::string> podCidrs;
  int nodePrefixV4 = 24;
  int nodePrefixV6 = 64;
  std::string schedulerProfiles;  ///< lab::schedulerProfiles()
  std::string logLevel = "info";

  // For machines that join; a lab's server has none of it.
  std::string advertise;  ///< "host:port" by which they find the server; empty: none joins
  std::string controlSocket;
  std::vector<std::string> serverNames;      ///< more, of the server's certificate
  std::vector<std::string> serverAddresses;  ///< likewise
  rpc::NodeSettings nodeSettings;
  Duration signingDuration = std::chrono::hours(24 * 365);  ///< of nodes' certificates
};

/// Runs until SIGTERM or SIGINT; the process's exit code.
int runServer(const ServerOptions& options);

}  // namespace podlab::cli
