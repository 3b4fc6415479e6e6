#pragma once
#include <memory>

#include <asio/any_io_executor.hpp>

#include "common/unique_fd.hpp"
#include "transport/byte_stream.hpp"

namespace podlab::transport {

/// Dials Unix sockets by their paths. kUnavailable when nobody listens there.
std::unique_ptr<Dialer> makeUnixDialer(asio::any_io_executor executor);

/// Adopts a listening Unix socket. Who may open it, its file says; to us each is `identity`.
std::unique_ptr<Listener> listenOnUnixFd(const asio::any_io_executor& executor, UniqueFd fd,
                                         ByteStream::PeerIdentity identity);

}  // namespace podlab::transport
