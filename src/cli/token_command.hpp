#pragma once
#include <CLI/CLI.hpp>

#include "cli/context.hpp"
#include "cli/session.hpp"

namespace podlab::cli {

/// What a machine joins by.
struct JoinOffer {
  std::string server;   ///< "https://host:port"
  std::string token;    ///< with the hash of the CA in it
  std::string tokenId;  ///< for removeJoinToken()
};
/// Makes a token; `ttl` 0: for ever.
Co<Result<JoinOffer>> makeJoinToken(Session& session, Duration ttl, std::string description);
/// kNotFound when there is none.
Co<Status> removeJoinToken(Session& session, std::string id);

/// token create|ls|rm: what lets machines join.
void addTokenCommand(CLI::App& app, Context& context);

}  // namespace podlab::cli
