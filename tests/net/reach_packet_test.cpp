#include "net/reach_packet.hpp"

#include <gtest/gtest.h>

#include "tests/net/random_net.hpp"

namespace podlab::net {
namespace {

std::vector<std::byte> randomBytes(Rng& rng, std::size_t size) {
  std::vector<std::byte> bytes(size);
  rng.fill(bytes);
  return bytes;
}

TEST(ReachPacket, IsLaidOutAsDocumented) {
  const ReachPacket packet{0x01020304, 5, 6, IpAddress::parse("10.244.1.2").valueOr({})};
  const auto bytes = packet.encode();
  const std::string head(reinterpret_cast<const char*>(bytes.data()), 4);
  EXPECT_EQ(head, "PLR1");
  std::vector<int> rest;
  for (std::size_t i = 4; i < bytes.size(); ++i) rest.push_back(std::to_integer<int>(bytes[i]));
  const std::vector<int> expected{1,  2,   3, 4, 0, 0, 0, 5, 0, 0, 0, 6, 4, 0, 0, 0,
                                  10, 244, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  EXPECT_EQ(rest, expected);
}

TEST(ReachPacket, ReadsBackTheSame) {
  SeededRng rng(20271);
  for (int i = 0; i < 1000; ++i) {
    ReachPacket packet{static_cast<std::uint32_t>(rng.next()),
                       static_cast<std::uint32_t>(rng.next()),
                       static_cast<std::uint32_t>(rng.next()), std::nullopt};
    if (rng.chance(0.7)) packet.source = randomAddress(rng);
    const auto bytes = packet.encode();
    EXPECT_EQ(ReachPacket::decode(bytes), packet);
    std::vector<std::byte> longer(bytes.begin(), bytes.end());
    longer.resize(longer.size() + rng.below(100));
    EXPECT_EQ(ReachPacket::decode(longer), packet);
  }
}

TEST(ReachPacket, RefusesWhatIsSomethingElse) {
  const auto bytes = ReachPacket{1, 2, 3, IpAddress::v6({})}.encode();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const std::vector<std::byte> part(bytes.begin(),
                                      bytes.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(ReachPacket::decode(part)) << size;
  }
  for (std::size_t i = 0; i < 4; ++i) {
    auto other = bytes;
    other[i] ^= std::byte{1};
    EXPECT_FALSE(ReachPacket::decode(other));
  }
  for (int family = 0; family < 256; ++family) {
    auto other = bytes;
    other[16] = static_cast<std::byte>(family);
    EXPECT_EQ(ReachPacket::decode(other).has_value(), family == 0 || family == 4 || family == 6);
  }
}

/// RFC 1071's words, one by one.
std::uint16_t slowChecksum(const std::vector<std::byte>& bytes) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    const int high = std::to_integer<int>(bytes[i]);
    const int low = i + 1 < bytes.size() ? std::to_integer<int>(bytes[i + 1]) : 0;
    sum += static_cast<std::uint64_t>(high * 256 + low);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return static_cast<std::uint16_t>(~sum);
}

TEST(InternetChecksum, AgreesWithTheSlowWay) {
  SeededRng rng(20272);
  for (int i = 0; i < 500; ++i) {
    const auto bytes = randomBytes(rng, rng.below(200));
    EXPECT_EQ(internetChecksum(bytes), slowChecksum(bytes)) << bytes.size() << " bytes";
  }
  // The largest packet of all ones does not overflow.
  EXPECT_EQ(internetChecksum(std::vector<std::byte>(65535, std::byte{0xff})), 0x00ff);
}

TEST(Echo, RequestsAreWellFormed) {
  const auto payload = ReachPacket{1, 2, 3, std::nullopt}.encode();
  for (const std::size_t size : {std::size_t{0}, payload.size(), std::size_t{1400}}) {
    const auto four = echoRequest(Family::kV4, 0xabcd, 0x0102, payload, size);
    ASSERT_EQ(four.size(), 8 + std::max(size, payload.size()));
    EXPECT_EQ(four[0], std::byte{8});
    EXPECT_EQ(four[4], std::byte{0xab});
    EXPECT_EQ(four[5], std::byte{0xcd});
    EXPECT_EQ(four[7], std::byte{0x02});
    EXPECT_EQ(internetChecksum(four), 0) << "a right checksum adds up to zero";
    const auto six = echoRequest(Family::kV6, 0xabcd, 0x0102, payload, size);
    EXPECT_EQ(six[0], std::byte{128});
    EXPECT_EQ(ReachPacket::decode(std::span(six).subspan(8))->to, 3u);
  }
}

TEST(Echo, RepliesAreTakenWithTheirHeaders) {
  const auto payload = ReachPacket{1, 2, 3, std::nullopt}.encode();
  for (const Family family : {Family::kV4, Family::kV6}) {
    auto reply = echoRequest(family, 77, 1, payload, 0);
    reply[0] = std::byte{static_cast<unsigned char>(family == Family::kV4 ? 0 : 129)};
    for (const std::size_t words : {5u, 6u, 15u}) {
      std::vector<std::byte> packet;
      if (family == Family::kV4) {
        packet.resize(words * 4);
        packet[0] = static_cast<std::byte>(0x40 | words);  // with options
      }
      packet.insert(packet.end(), reply.begin(), reply.end());
      const auto read = echoReplyPayload(family, 77, packet);
      ASSERT_TRUE(read);
      EXPECT_EQ(ReachPacket::decode(*read)->from, 2u);
      EXPECT_FALSE(echoReplyPayload(family, 78, packet)) << "another prober's";
      for (std::size_t size = 0; size < packet.size(); ++size) {
        const std::vector<std::byte> part(packet.begin(),
                                          packet.begin() + static_cast<std::ptrdiff_t>(size));
        const auto cut = echoReplyPayload(family, 77, part);
        EXPECT_FALSE(cut && ReachPacket::decode(*cut)) << size;
      }
    }
    // One's own request, which a raw socket sees on loopback.
    const auto request = echoRequest(family, 77, 1, payload, 0);
    std::vector<std::byte> packet;
    if (family == Family::kV4) packet.assign(20, std::byte{0x45});
    packet.insert(packet.end(), request.begin(), request.end());
    EXPECT_FALSE(echoReplyPayload(family, 77, packet));
  }
}

TEST(Echo, TakesAnyBytes) {
  SeededRng rng(20273);
  for (int i = 0; i < 20000; ++i) {
    const auto bytes = randomBytes(rng, rng.below(90));
    for (const Family family : {Family::kV4, Family::kV6}) {
      const auto payload = echoReplyPayload(family, static_cast<std::uint16_t>(rng.next()), bytes);
      if (payload) EXPECT_LE(payload->size() + 8, bytes.size());
    }
  }
}

TEST(SocketAddress, KeepsTheAddress) {
  SeededRng rng(20274);
  for (int i = 0; i < 200; ++i) {
    const IpAddress address = randomAddress(rng);
    const SocketAddress socket(address, 5201);
    EXPECT_EQ(socket.address(), address);
    EXPECT_EQ(socket.size, address.isV4() ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
  }
  EXPECT_EQ(SocketAddress().address(), std::nullopt);
}

TEST(SynSegment, HasAChecksumThatHoldsAndIsToldByItsNumber) {
  for (const auto& [from, to] :
       {std::pair("10.244.1.2", "10.244.2.3"), std::pair("fd00:10:244::2", "fd00:10:244:1::3")}) {
    const IpAddress source = *IpAddress::parse(from);
    const IpAddress target = *IpAddress::parse(to);
    const auto segment = synSegment(source, target, 8080, 0x01020304);
    ASSERT_EQ(segment.size(), 20U);
    // The sum over the pseudo header and the segment, checksum included, is 0.
    std::vector<std::byte> all;
    for (const auto& address : {source, target}) {
      const auto* bytes = reinterpret_cast<const std::byte*>(address.data());
      all.insert(all.end(), bytes, bytes + address.size());
    }
    for (const int byte : {0, 0, 0, 20, 0, 0, 0, 6}) all.push_back(static_cast<std::byte>(byte));
    all.insert(all.end(), segment.begin(), segment.end());
    EXPECT_EQ(internetChecksum(all), 0);
    EXPECT_EQ(TcpSegment::sequenceAt(segment), 0x01020304U);
    const auto parsed = TcpSegment::parse(segment);
    ASSERT_TRUE(parsed);
    EXPECT_GE(parsed->sourcePort, kFirstSynPort);
    EXPECT_FALSE(parsed->reset);
    EXPECT_FALSE(TcpSegment::parse(std::span(segment).first(19)));
  }
}

}  // namespace
}  // namespace podlab::net
