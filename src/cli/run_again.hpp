#pragma once
#include "common/status.hpp"

namespace podlab::cli {

/// Runs this very command once more, as root of a user namespace like a lab's of this user, and
/// waits for its end: its exit code. SIGTERM is passed on, and Ctrl-C reaches it by itself. Before
/// anything else of the process has begun.
Result<int> runAgainAsRoot();

}  // namespace podlab::cli
