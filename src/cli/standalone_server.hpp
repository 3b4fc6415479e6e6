#pragma once
#include <string>
#include <vector>

#include "cli/context.hpp"
#include "cli/server_process.hpp"
#include "common/unique_fd.hpp"

namespace podlab::cli {

/// `podlab server` on a host of its own, for nodes that are other machines.
struct StandaloneFlags {
  std::string file;       ///< cluster file; its nodes do not count
  std::string advertise;  ///< host, or host:port; empty: this host's address
  std::vector<std::string> tlsSans;
  std::string signingDuration = "8760h";
};

/// What the server holds while it runs.
struct StandaloneServer {
  UniqueFd lock;
  UniqueFd adminSocket;
};

/// Makes the server's folder, where the command line finds it as it finds a lab, with its
/// certificates, and fills in `options`. kAlreadyExists when it runs already, or a lab has that
/// name.
Result<StandaloneServer> prepareStandalone(Context& context, const StandaloneFlags& flags,
                                           ServerOptions& options);

}  // namespace podlab::cli
