#pragma once
#include <string>

#include "common/status.hpp"

namespace podlab::node {

/// The BPF program of a filter of system calls, by libseccomp. `profile` is a `seccomp` object of
/// the OCI runtime specification whose rules allow or fail, with conditions of equality. A call that
/// is newer than all that it names fails with ENOSYS.
/// Compiling takes about 10 ms of CPU time, more than all the rest of a container's start: it is
/// for once, not for each container.
Result<std::string> compileSeccomp(const std::string& profile);

}  // namespace podlab::node
