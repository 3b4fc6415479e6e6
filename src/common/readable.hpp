#pragma once

namespace podlab {

/// True when the descriptor can be read without blocking (poll(2)): data, the end, a child's end
/// for a pidfd. Asks after every async_wait() of Asio whose completion is taken as proof: an event
/// for a descriptor that was closed meanwhile may complete the wait of the one that took its slot.
bool isReadable(int fd);

}  // namespace podlab
