#pragma once
#include <memory>

#include <asio/any_io_executor.hpp>

#include "common/clock.hpp"

namespace podlab {

/// The machine's clocks (CLOCK_BOOTTIME for MonoTime, so that a suspended laptop's leases expire).
/// Not thread-safe: used on `executor`'s thread, which must have stopped running handlers before it
/// is destroyed.
std::unique_ptr<Clock> makeRealClock(asio::any_io_executor executor);

}  // namespace podlab
