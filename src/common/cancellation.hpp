#pragma once
#include <exception>

namespace podlab {

/// Whether an exception is the unwinding of a cancelled coroutine: operation_aborted, also where
/// several things that were awaited at once (||) ended so.
bool isCancellation(const std::exception_ptr& error);

}  // namespace podlab
