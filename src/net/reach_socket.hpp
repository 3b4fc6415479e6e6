#pragma once
// Inside src/net only: the sockets of reach. All are made in the calling thread's network
// namespace.
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include <asio/posix/stream_descriptor.hpp>

#include "common/status.hpp"
#include "common/unique_fd.hpp"
#include "net/address.hpp"
#include "net/reach_packet.hpp"

namespace podlab::net {

using Descriptor = asio::posix::stream_descriptor;

/// Datagrams that are read by one system call.
class ReadBatch {
 public:
  static constexpr std::size_t kMost = 32;
  static constexpr std::size_t kBytes = 512;  // of each; the rest is cut off
  ReadBatch();
  ReadBatch(const ReadBatch&) = delete;
  ReadBatch& operator=(const ReadBatch&) = delete;

  /// How many were there, at most kMost: fewer are all. -1 with errno.
  int read(int fd);
  std::span<const std::byte> bytes(int i) const;
  const SocketAddress& sender(int i) const { return senders_[static_cast<std::size_t>(i)]; }

 private:
  std::array<mmsghdr, kMost> headers_{};
  std::array<iovec, kMost> parts_{};
  std::array<SocketAddress, kMost> senders_;
  std::array<std::array<std::byte, kBytes>, kMost> buffers_;
};

inline constexpr int kReadBursts = 8;  // batches read before others have their turn

std::optional<IpAddress> addressOf(const std::vector<IpAddress>& addresses, Family family);
/// "no route to host": strerror's text in lower case.
std::string errorText(int error);

Result<UniqueFd> openReachSocket(Family family, int type, int protocol);
/// Listens there, by UDP (SOCK_DGRAM) or TCP (SOCK_STREAM).
Result<UniqueFd> openReceiver(const IpAddress& address, std::uint16_t port, int type);
/// For the probes of one end, by IPPROTO_ICMP, IPPROTO_UDP or, of whole segments, IPPROTO_TCP:
/// errors on the way are queued with their origin, and with `whole` nothing is fragmented.
Result<UniqueFd> openSender(Family family, std::uint8_t protocol, bool whole);
/// Gets a copy of each probe of the session that arrives at the address, listened to or not: echo
/// requests and datagrams by their content, SYNs all.
Result<UniqueFd> openObserver(const IpAddress& address, std::uint8_t protocol,
                              std::uint32_t session);
/// What an observer read, from its transport header on; empty when cut short.
std::span<const std::byte> observedSegment(Family family, std::span<const std::byte> packet);

/// Calls `handle` whenever the descriptor may be read or has an error, until it is closed. `owner`
/// keeps what `handle` uses alive.
void onReadable(const std::shared_ptr<Descriptor>& descriptor, std::shared_ptr<void> owner,
                std::function<void()> handle);

}  // namespace podlab::net
