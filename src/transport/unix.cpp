#include "transport/unix.hpp"

#include "common/unix_socket.hpp"
#include "transport/socket_stream.hpp"

namespace podlab::transport {
namespace {

using Unix = asio::local::stream_protocol;

class UnixDialer final : public Dialer {
 public:
  explicit UnixDialer(asio::any_io_executor executor) : executor_(std::move(executor)) {}

  Co<Result<std::unique_ptr<ByteStream>>> dial(std::string address) override {
    auto connected = connectToUnixSocket(address);
    if (!connected) co_return connected.status();
    Unix::socket socket(executor_, Unix(), connected->release());
    co_return std::make_unique<SocketStream<Unix::socket>>(std::move(socket), address);
  }

 private:
  asio::any_io_executor executor_;
};

}  // namespace

std::unique_ptr<Dialer> makeUnixDialer(asio::any_io_executor executor) {
  return std::make_unique<UnixDialer>(std::move(executor));
}

std::unique_ptr<Listener> listenOnUnixFd(const asio::any_io_executor& executor, UniqueFd fd,
                                         ByteStream::PeerIdentity identity) {
  return std::make_unique<SocketListener<Unix>>(
      Unix::acceptor(executor, Unix(), fd.release()), "unix",
      [identity = std::move(identity)](Unix::socket socket) {
        return std::make_unique<SocketStream<Unix::socket>>(std::move(socket), "unix", identity);
      });
}

}  // namespace podlab::transport
