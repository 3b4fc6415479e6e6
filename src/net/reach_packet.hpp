#pragma once
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "net/address.hpp"

namespace podlab::net {

/// What a probe carries, and its answer: 36 bytes, numbers in network order: "PLR1", session, from,
/// to, then the address family of `source` (0 in requests, 4, 6), a zero, the 16 bits of
/// `sequence`, and the address.
struct ReachPacket {
  static constexpr std::size_t kSize = 36;
  static constexpr std::size_t kSourceAt = 16;  ///< where the family of `source` is
  static constexpr std::uint32_t kMagic = 0x504c5231;
  std::uint32_t session = 0;
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  std::optional<IpAddress> source = {};  ///< of the request, as its receiver saw it
  std::uint16_t sequence = 0;            ///< which of the probe's packets
  bool operator==(const ReachPacket&) const = default;

  std::array<std::byte, kSize> encode() const;
  /// nullopt when it is something else. More bytes may follow.
  static std::optional<ReachPacket> decode(std::span<const std::byte> bytes);
};

/// A socket address and its length.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);
  SocketAddress() = default;
  SocketAddress(const IpAddress& address, std::uint16_t port);
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  std::optional<IpAddress> address() const;
  std::uint16_t port() const;
};

/// An ICMP or ICMPv6 echo request with `payload`, padded with zeros to `payloadSize`. The checksum
/// is complete for IPv4; for IPv6 the kernel fills it in.
std::vector<std::byte> echoRequest(Family family, std::uint16_t id, std::uint16_t sequence,
                                   std::span<const std::byte> payload, std::size_t payloadSize);
/// The payload of an echo reply with that id as a raw socket delivers it (IPv4: with its IP
/// header); nullopt when it is something else.
std::optional<std::span<const std::byte>> echoReplyPayload(Family family, std::uint16_t id,
                                                           std::span<const std::byte> packet);
/// What answers a SYN, from its TCP header.
struct TcpSegment {
  std::uint16_t sourcePort = 0;
  std::uint32_t acknowledgement = 0;
  bool reset = false;
  /// nullopt when it is cut short.
  static std::optional<TcpSegment> parse(std::span<const std::byte> segment);
  /// The sequence number of a segment, of which the first 8 bytes are enough; 0 when cut short.
  static std::uint32_t sequenceAt(std::span<const std::byte> segment);
};
/// From here on probes take their source ports: above those of the kernel's own choice.
inline constexpr std::uint16_t kFirstSynPort = 61000;
/// A TCP segment that asks for a connection, with its checksum.
std::vector<std::byte> synSegment(const IpAddress& source, const IpAddress& target,
                                  std::uint16_t port, std::uint32_t sequence);

/// RFC 1071.
std::uint16_t internetChecksum(std::span<const std::byte> bytes);

}  // namespace podlab::net
