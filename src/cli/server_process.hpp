#pragma once
#include <string>
#include <vector>

namespace podlab::cli {

/// `podlab server`: the control plane of one cluster in one process.
struct ServerOptions {
  std::string stateDir;
  std::string pkiDir;               ///< ca.crt, server.crt, server.key, service-accounts.key
  std::vector<std::string> listen;  ///< addresses to listen on
  std::vector<int> listenFds;       ///< listening sockets that were made by somebody else
  std::vector<int> restFds;         ///< listening TCP sockets, for the REST API
  int adminFd = -1;                 ///< a listening Unix socket, by which only administrators come
  std::string apiAddress;           ///< "host:port" where pods find the REST API
  bool podRoutes = false;           ///< keep routes to the nodes' pods
  std::vector<std::string> podCidrs;
  int nodePrefixV4 = 24;
  int nodePrefixV6 = 64;
  std::string logLevel = "info";
};

/// Runs until SIGTERM or SIGINT; the process's exit code.
int runServer(const ServerOptions& options);

}  // namespace podlab::cli
