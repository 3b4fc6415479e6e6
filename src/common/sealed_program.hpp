#pragma once
#include <string>

#include "common/status.hpp"
#include "common/unique_fd.hpp"

namespace podlab {

/// Copies the program `name` (looked up in PATH) into memory that nobody can change any more, for
/// SpawnSpec::program. An OCI runtime copies itself so at each start, lest a container overwrite it
/// (CVE-2019-5736), and starts once more from the copy; from a fully sealed file it goes on at
/// once. kHostUnsupported for a script, and where the kernel does not run programs from memory
/// (sysctl vm.memfd_noexec=2).
Result<UniqueFd> sealProgram(const std::string& name);

}  // namespace podlab
