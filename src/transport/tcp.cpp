#include "transport/tcp.hpp"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <charconv>
#include <utility>
#include <vector>

#include <asio.hpp>

#include "common/sync.hpp"
#include "transport/socket_stream.hpp"

namespace podlab::transport {
namespace {

using asio::ip::tcp;

std::string toText(const tcp::endpoint& endpoint) {
  return joinHostPort(endpoint.address().to_string(), endpoint.port());
}

/// A peer whose host has gone without a word is noticed within a minute, though nothing is sent.
void findDeadPeers(tcp::socket& socket) {
  constexpr int kIdle = 30;      // seconds of silence before the first probe
  constexpr int kInterval = 10;  // seconds
  constexpr int kProbes = 3;     // unanswered
  asio::error_code error;
  socket.set_option(asio::socket_base::keep_alive(true), error);
  for (const auto& [option, value] :
       {std::pair{TCP_KEEPIDLE, kIdle}, {TCP_KEEPINTVL, kInterval}, {TCP_KEEPCNT, kProbes}}) {
    (void)::setsockopt(socket.native_handle(), IPPROTO_TCP, option, &value, sizeof(value));
  }
}

std::unique_ptr<ByteStream> makeStream(tcp::socket socket) {
  asio::error_code error;
  socket.set_option(tcp::no_delay(true), error);
  findDeadPeers(socket);
  const auto endpoint = socket.remote_endpoint(error);
  return std::make_unique<SocketStream<tcp::socket>>(std::move(socket),
                                                     error ? "tcp" : toText(endpoint));
}

std::unique_ptr<Listener> makeListener(tcp::acceptor acceptor) {
  asio::error_code error;
  const auto endpoint = acceptor.local_endpoint(error);
  return std::make_unique<SocketListener<tcp>>(std::move(acceptor),
                                               error ? "tcp" : toText(endpoint), makeStream);
}

class TcpDialer final : public Dialer {
 public:
  TcpDialer(asio::any_io_executor executor, Clock& clock, Duration timeout)
      : executor_(std::move(executor)), clock_(clock), timeout_(timeout) {}

  Co<Result<std::unique_ptr<ByteStream>>> dial(std::string address) override {
    auto target = splitHostPort(address);
    if (!target) co_return target.status();
    tcp::socket socket(executor_);
    asio::error_code error;
    bool inTime = co_await withDeadline(clock_, clock_.now() + timeout_,
                                        connect(socket, std::move(*target), error));
    if (!inTime) {
      co_return Status(Code::kUnavailable,
                       "no answer from " + address + " in " + formatDuration(timeout_));
    }
    if (error) {
      co_return Status(Code::kUnavailable, "cannot connect to " + address + ": " + error.message());
    }
    co_return makeStream(std::move(socket));
  }

 private:
  Co<void> connect(tcp::socket& socket, HostPort target, asio::error_code& error) {
    std::vector<tcp::endpoint> endpoints;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    asio::error_code notNumeric;
    auto numeric = asio::ip::make_address(target.host, notNumeric);
    if (!notNumeric) {
      endpoints.emplace_back(numeric, target.port);
    } else {
      tcp::resolver resolver(executor_);
      auto found = co_await resolver.async_resolve(target.host, std::to_string(target.port), token);
      if (error) co_return;
      for (const auto& entry : found) endpoints.push_back(entry.endpoint());
    }
    co_await asio::async_connect(socket, endpoints, token);
  }

  asio::any_io_executor executor_;
  Clock& clock_;
  Duration timeout_;
};

}  // namespace

Result<HostPort> splitHostPort(std::string_view address) {
  auto fail = [&](std::string_view why) {
    return Status(Code::kBadRequest, "address \"" + std::string(address) + "\" " +
                                         std::string(why) +
                                         "; write host:port or [IPv6 address]:port");
  };
  HostPort result;
  std::string_view rest;
  if (address.starts_with('[')) {
    auto end = address.find(']');
    if (end == std::string_view::npos) return fail("lacks the closing ']'");
    result.host = address.substr(1, end - 1);
    rest = address.substr(end + 1);
    if (!rest.starts_with(':')) return fail("has no port");
  } else {
    auto colon = address.find(':');
    if (colon == std::string_view::npos) return fail("has no port");
    result.host = address.substr(0, colon);
    rest = address.substr(colon);
    if (rest.find(':', 1) != std::string_view::npos) return fail("has more than one ':'");
  }
  rest.remove_prefix(1);
  auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), result.port);
  if (error != std::errc() || end != rest.data() + rest.size()) {
    return fail("needs a port from 0 to 65535");
  }
  return result;
}

std::string joinHostPort(std::string_view host, std::uint16_t port) {
  bool v6 = host.find(':') != std::string_view::npos;
  std::string text = v6 ? "[" + std::string(host) + "]" : std::string(host);
  return text + ":" + std::to_string(port);
}

std::unique_ptr<Dialer> makeTcpDialer(asio::any_io_executor executor, Clock& clock,
                                      Duration timeout) {
  return std::make_unique<TcpDialer>(std::move(executor), clock, timeout);
}

Result<std::unique_ptr<Listener>> listenTcp(const asio::any_io_executor& executor,
                                            std::string_view address) {
  auto target = splitHostPort(address);
  if (!target) return target.status();
  asio::error_code error;
  auto ip = target->host.empty() ? asio::ip::address(asio::ip::address_v6::any())
                                 : asio::ip::make_address(target->host, error);
  if (error) {
    return Status(Code::kBadRequest, "cannot listen on \"" + std::string(address) +
                                         "\": the host must be a numeric address");
  }
  tcp::acceptor acceptor(executor);
  acceptor.open(ip.is_v6() ? tcp::v6() : tcp::v4(), error);
  if (error == asio::error::address_family_not_supported && target->host.empty()) {
    ip = asio::ip::address_v4::any();  // a host without IPv6
    acceptor.open(tcp::v4(), error);
  }
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && ip.is_v6()) {
    acceptor.set_option(asio::ip::v6_only(!target->host.empty()), error);
  }
  if (!error) acceptor.bind(tcp::endpoint(ip, target->port), error);
  if (!error) acceptor.listen(tcp::acceptor::max_listen_connections, error);
  if (error) return errnoStatus(error.value(), "listen on " + std::string(address));
  return makeListener(std::move(acceptor));
}

std::unique_ptr<ByteStream> adoptTcp(asio::any_io_executor executor, UniqueFd fd) {
  sockaddr_storage local{};
  socklen_t size = sizeof local;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&local), &size);
  const auto protocol = local.ss_family == AF_INET6 ? tcp::v6() : tcp::v4();
  return makeStream(tcp::socket(executor, protocol, fd.release()));
}

Result<std::unique_ptr<Listener>> listenOnFd(const asio::any_io_executor& executor, UniqueFd fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    return errnoStatus(errno,
                       "adopt listening socket, file descriptor " + std::to_string(fd.get()));
  }
  int listening = 0;
  length = sizeof listening;
  bool known = ::getsockopt(fd.get(), SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0;
  bool inet = address.ss_family == AF_INET || address.ss_family == AF_INET6;
  if (!known || listening == 0 || !inet) {
    return Status(Code::kBadRequest,
                  "file descriptor " + std::to_string(fd.get()) + " is not a listening TCP socket");
  }
  tcp::acceptor acceptor(executor);
  asio::error_code error;
  acceptor.assign(address.ss_family == AF_INET6 ? tcp::v6() : tcp::v4(), fd.get(), error);
  if (error) return errnoStatus(error.value(), "adopt listening socket");
  fd.release();
  return makeListener(std::move(acceptor));
}

}  // namespace podlab::transport
