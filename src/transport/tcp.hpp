#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <asio/any_io_executor.hpp>

#include "common/clock.hpp"
#include "common/status.hpp"
#include "common/unique_fd.hpp"
#include "transport/byte_stream.hpp"

namespace podlab::transport {

struct HostPort {
  std::string host;  ///< without brackets; may be empty
  std::uint16_t port = 0;
};

/// Parses "host:port", "1.2.3.4:port", "[v6]:port" and ":port"; kBadRequest names what is wrong.
Result<HostPort> splitHostPort(std::string_view address);
/// "host:port", with brackets around an IPv6 address.
std::string joinHostPort(std::string_view host, std::uint16_t port);

/// Dials TCP addresses; host names are resolved, every address of a name is tried in turn.
/// kUnavailable after `timeout` or when all refuse.
std::unique_ptr<Dialer> makeTcpDialer(asio::any_io_executor executor, Clock& clock,
                                      Duration timeout = std::chrono::seconds(10));

/// Listens on a numeric address; port 0 takes a free one (see Listener::address()), an empty host
/// means every address, IPv6 and IPv4.
Result<std::unique_ptr<Listener>> listenTcp(const asio::any_io_executor& executor,
                                            std::string_view address);

/// A stream over a connected TCP socket that was made elsewhere, e.g. in another namespace.
std::unique_ptr<ByteStream> adoptTcp(asio::any_io_executor executor, UniqueFd fd);

/// Adopts a listening TCP socket that another process or namespace made.
Result<std::unique_ptr<Listener>> listenOnFd(const asio::any_io_executor& executor, UniqueFd fd);

}  // namespace podlab::transport
