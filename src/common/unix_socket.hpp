#pragma once
#include <string>

#include "common/status.hpp"
#include "common/unique_fd.hpp"

namespace podlab {

/// A listening stream socket at `path`, which only this user may open; a socket that is there is
/// replaced. The path may be longer than a socket's address (unix(7): 107 bytes).
Result<UniqueFd> listenOnUnixSocket(const std::string& path);

/// A stream connected to the socket at `path`; kUnavailable when nobody listens there.
Result<UniqueFd> connectToUnixSocket(const std::string& path);

}  // namespace podlab
