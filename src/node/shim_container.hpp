#pragma once
#include <string>
#include <string_view>

#include "common/status.hpp"
#include "common/unique_fd.hpp"

namespace podlab::node {

/// The life of a process that the shim forked for one request: makes the container or PID
/// namespace, replies, gives up the lock, and stays until it ends. `runtime` is the file of the OCI
/// runtime to run, or none.
[[noreturn]] void serveShimRequest(std::string_view message, UniqueFd reply, UniqueFd lock,
                                   UniqueFd runtime);

/// "ok TEXT" or "error MESSAGE".
void sendShimReply(const UniqueFd& reply, const Status& status, const std::string& text);

}  // namespace podlab::node
