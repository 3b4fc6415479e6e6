#pragma once
#include <set>
#include <string>

namespace podlab::node {

/// Docker's default filter of system calls for a process with these capabilities, as the `seccomp`
/// object of the OCI runtime specification (JSON): what is not listed fails with EPERM.
std::string defaultSeccomp(const std::set<std::string>& capabilities);

}  // namespace podlab::node
