#include "net/reach_packet.hpp"

#include <arpa/inet.h>
#include <netinet/ip_icmp.h>

#include <algorithm>
#include <cstring>

#include <netinet/icmp6.h>

namespace podlab::net {
namespace {

constexpr std::size_t kEchoHeader = 8;

void store(std::byte* at, std::uint32_t value) {
  value = htonl(value);
  std::memcpy(at, &value, sizeof value);
}

std::uint32_t load(const std::byte* at) {
  std::uint32_t value;
  std::memcpy(&value, at, sizeof value);
  return ntohl(value);
}

}  // namespace

std::array<std::byte, ReachPacket::kSize> ReachPacket::encode() const {
  std::array<std::byte, kSize> bytes{};
  store(&bytes[0], kMagic);
  store(&bytes[4], session);
  store(&bytes[8], from);
  store(&bytes[12], to);
  bytes[18] = static_cast<std::byte>(sequence >> 8);
  bytes[19] = static_cast<std::byte>(sequence);
  if (source) {
    bytes[16] = static_cast<std::byte>(source->family());
    std::memcpy(&bytes[20], source->data(), source->size());
  }
  return bytes;
}

std::optional<ReachPacket> ReachPacket::decode(std::span<const std::byte> bytes) {
  if (bytes.size() < kSize || load(&bytes[0]) != kMagic) return std::nullopt;
  ReachPacket packet{load(&bytes[4]), load(&bytes[8]), load(&bytes[12]), std::nullopt,
                     static_cast<std::uint16_t>(load(&bytes[16]))};
  std::array<std::uint8_t, 16> address;
  std::memcpy(address.data(), &bytes[20], address.size());
  switch (std::to_integer<int>(bytes[16])) {
    case 0:
      return packet;
    case 4:
      packet.source = IpAddress::v4({address[0], address[1], address[2], address[3]});
      return packet;
    case 6:
      packet.source = IpAddress::v6(address);
      return packet;
    default:
      return std::nullopt;
  }
}

SocketAddress::SocketAddress(const IpAddress& address, std::uint16_t port) {
  if (address.isV4()) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::memcpy(&in.sin_addr, address.data(), 4);
    std::memcpy(&storage, &in, size = sizeof in);
  } else {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(port);
    std::memcpy(&in.sin6_addr, address.data(), 16);
    std::memcpy(&storage, &in, size = sizeof in);
  }
}

std::optional<IpAddress> SocketAddress::address() const {
  if (storage.ss_family == AF_INET) {
    std::array<std::uint8_t, 4> bytes;
    std::memcpy(bytes.data(), &reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr, 4);
    return IpAddress::v4(bytes);
  }
  if (storage.ss_family == AF_INET6) {
    std::array<std::uint8_t, 16> bytes;
    std::memcpy(bytes.data(), &reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr, 16);
    return IpAddress::v6(bytes);
  }
  return std::nullopt;
}

std::uint16_t SocketAddress::port() const {
  // sin6_port is at the same place.
  return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
}

std::uint16_t internetChecksum(std::span<const std::byte> bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    sum += std::to_integer<std::uint32_t>(bytes[i]) << (i % 2 == 0 ? 8 : 0);
  }
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

std::optional<TcpSegment> TcpSegment::parse(std::span<const std::byte> segment) {
  constexpr std::size_t kHeader = 20;
  constexpr int kReset = 0x04;
  if (segment.size() < kHeader) return std::nullopt;
  TcpSegment parsed;
  parsed.sourcePort = static_cast<std::uint16_t>(load(segment.data()) >> 16);
  parsed.acknowledgement = load(&segment[8]);
  parsed.reset = std::to_integer<int>(segment[13]) & kReset;
  return parsed;
}

std::uint32_t TcpSegment::sequenceAt(std::span<const std::byte> segment) {
  return segment.size() < 8 ? 0 : load(&segment[4]);
}

std::vector<std::byte> synSegment(const IpAddress& source, const IpAddress& target,
                                  std::uint16_t port, std::uint32_t sequence) {
  constexpr std::size_t kHeader = 20;
  constexpr std::uint32_t kPorts = 65536 - kFirstSynPort;
  // The checksum is about a header of addresses, protocol and length as well (RFC 9293, 3.1).
  std::vector<std::byte> bytes(2 * source.size() + 8 + kHeader);
  std::memcpy(bytes.data(), source.data(), source.size());
  std::memcpy(&bytes[source.size()], target.data(), target.size());
  const std::size_t begin = 2 * source.size() + 8;
  store(&bytes[begin - 8], kHeader);
  store(&bytes[begin - 4], IPPROTO_TCP);
  store(&bytes[begin], (kFirstSynPort + sequence % kPorts) << 16 | port);
  store(&bytes[begin + 4], sequence);
  store(&bytes[begin + 12], 0x5002ffff);  // five words, SYN, the window
  const std::uint16_t sum = internetChecksum(bytes);
  bytes[begin + 16] = static_cast<std::byte>(sum >> 8);
  bytes[begin + 17] = static_cast<std::byte>(sum);
  return {bytes.begin() + static_cast<std::ptrdiff_t>(begin), bytes.end()};
}

std::vector<std::byte> echoRequest(Family family, std::uint16_t id, std::uint16_t sequence,
                                   std::span<const std::byte> payload, std::size_t payloadSize) {
  std::vector<std::byte> packet(kEchoHeader + std::max(payloadSize, payload.size()));
  auto put16 = [&](std::size_t at, std::uint16_t value) {
    packet[at] = static_cast<std::byte>(value >> 8);
    packet[at + 1] = static_cast<std::byte>(value);
  };
  packet[0] = static_cast<std::byte>(family == Family::kV4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST);
  put16(4, id);
  put16(6, sequence);
  std::ranges::copy(payload, packet.begin() + kEchoHeader);
  if (family == Family::kV4) put16(2, internetChecksum(packet));
  return packet;
}

std::optional<std::span<const std::byte>> echoReplyPayload(Family family, std::uint16_t id,
                                                           std::span<const std::byte> packet) {
  if (family == Family::kV4) {
    if (packet.empty()) return std::nullopt;
    const std::size_t header = (std::to_integer<std::size_t>(packet[0]) & 15) * 4;
    if (packet.size() < header) return std::nullopt;
    packet = packet.subspan(header);
  }
  if (packet.size() < kEchoHeader) return std::nullopt;
  const auto type = std::to_integer<int>(packet[0]);
  const auto replyId = static_cast<std::uint16_t>(std::to_integer<int>(packet[4]) << 8 |
                                                  std::to_integer<int>(packet[5]));
  if (type != (family == Family::kV4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY) || replyId != id) {
    return std::nullopt;
  }
  return packet.subspan(kEchoHeader);
}

}  // namespace podlab::net
