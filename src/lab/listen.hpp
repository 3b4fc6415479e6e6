#pragma once
#include <cstdint>
#include <string>

#include "common/status.hpp"
#include "common/unique_fd.hpp"

namespace podlab::lab {

/// A listening TCP socket on a numeric address in the caller's network namespace, to be handed to a
/// process in another one; port 0 takes a free one. kAlreadyExists when the port is taken.
Result<UniqueFd> listenOn(const std::string& address, std::uint16_t port);
/// The port on which it listens.
Result<std::uint16_t> listeningPort(const UniqueFd& socket);

}  // namespace podlab::lab
