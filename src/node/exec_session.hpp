#pragma once
#include <memory>
#include <string>
#include <vector>

#include <asio/any_io_executor.hpp>

#include "common/blocking.hpp"
#include "node/container_runtime.hpp"

namespace podlab::node {

/// Runs `command` (an OCI runtime's "exec" up to its options; the options for terminal and pid, the
/// container's `id` and the program are appended) from the file `runtime` (a descriptor, or -1),
/// and returns when the program runs; by a thread of `pool`, since entering cgroups may take the
/// kernel long. A program that cannot be executed is kNotFound or kForbidden with the runtime's
/// message. `folder` is where a terminal's socket can be for a moment. The process must ignore
/// SIGPIPE. `cgroups` are the files by which to enter the program's cgroups, `config` is the
/// container's config.json.
Co<Result<std::unique_ptr<ExecSession>>> startExec(
    asio::any_io_executor executor, BlockingPool& pool, std::vector<std::string> command,
    int runtime, std::string id, ExecSpec spec, std::string folder,
    std::vector<std::string> cgroups, std::string config);

}  // namespace podlab::node
