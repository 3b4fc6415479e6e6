#pragma once
#include "common/semaphore.hpp"

namespace podlab::node {

/// For thousands of agents in one process, whose pods may all come or go at once: of a pod that
/// waits for its turn only the bytes are there, of one that is worked on thirty times as much.
struct SharedLimits {
  Semaphore podTurns{64};      ///< pods that take a step at a time, as far as it goes at once
  Semaphore statusWrites{64};  ///< enough to keep the server busy, which needs memory for each
};

}  // namespace podlab::node
