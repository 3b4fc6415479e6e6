#pragma once
#include <string>

namespace podlab::cli {

/// `podlab hollow`: all hollow nodes of a lab, in one thread.
struct HollowProcessOptions {
  std::string clusterFile;
  std::string pkiDir;  ///< ca.crt, node.crt, node.key: a certificate that speaks for the nodes
  std::string bootId;
  std::string server;  ///< host:port
  std::string logLevel = "info";
};

/// Runs until SIGTERM or SIGINT; the process's exit code.
int runHollow(HollowProcessOptions options);

}  // namespace podlab::cli
