#pragma once
#include <functional>
#include <memory>

#include "common/clock.hpp"
#include "common/co.hpp"
#include "transport/byte_stream.hpp"

namespace podlab::transport {

/// Hands each accepted stream to `take`, until the listener is closed. What cannot be accepted,
/// e.g. for lack of file descriptors, is logged, and tried again when others may have gone.
Co<void> acceptAll(Listener& listener, Clock& clock,
                   std::function<void(std::unique_ptr<ByteStream>)> take);

}  // namespace podlab::transport
