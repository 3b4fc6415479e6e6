#include "net/netlink_message.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/netlink.h>

#include <cerrno>
#include <climits>

#include "tests/net/random_net.hpp"

namespace podlab::net {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

std::vector<int> numbers(std::span<const std::byte> bytes) {
  std::vector<int> out;
  for (const std::byte byte : bytes) out.push_back(std::to_integer<int>(byte));
  return out;
}

std::span<const std::byte> attributesOf(const NetlinkMessage& message) {
  return message.bytes().subspan(sizeof(nlmsghdr));
}

std::vector<std::byte> randomBytes(Rng& rng, std::size_t size) {
  std::vector<std::byte> bytes(size);
  rng.fill(bytes);
  return bytes;
}

TEST(NetlinkMessage, LaysOutHeaderAttributesAndPadding) {
  NetlinkMessage message(0x1234, NLM_F_CREATE, "test");
  message.put(1, std::uint8_t{7}).put(2, std::string_view("ab")).put(3, std::uint32_t{0x01020304});
  message.setSequence(9);
  message.addFlags(NLM_F_ACK);
  nlmsghdr head;
  ASSERT_GE(message.bytes().size(), sizeof head);
  std::memcpy(&head, message.bytes().data(), sizeof head);
  EXPECT_EQ(head.nlmsg_len, message.bytes().size());
  EXPECT_EQ(head.nlmsg_type, 0x1234);
  EXPECT_EQ(head.nlmsg_flags, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK);
  EXPECT_EQ(head.nlmsg_seq, 9u);
  // Host order; the length without the padding, the text with its NUL.
  EXPECT_THAT(numbers(attributesOf(message)), ElementsAre(5, 0, 1, 0, 7, 0, 0, 0,      //
                                                          7, 0, 2, 0, 'a', 'b', 0, 0,  //
                                                          8, 0, 3, 0, 4, 3, 2, 1));
}

TEST(NetlinkMessage, NestsAttributes) {
  NetlinkMessage message(1, 0, "test");
  message.nest(5, [](NetlinkMessage& outer) {
    outer.nest(6, [](NetlinkMessage& inner) { inner.put(7, std::uint16_t{0x0201}); });
    outer.put(8, std::uint8_t{1});
  });
  const int nested = NLA_F_NESTED >> 8;
  EXPECT_THAT(numbers(attributesOf(message)),
              ElementsAre(24, 0, 5, nested, 12, 0, 6, nested, 6, 0, 7, 0, 1, 2, 0, 0,  //
                          5, 0, 8, 0, 1, 0, 0, 0));
  const NetlinkAttributes read(attributesOf(message));
  EXPECT_EQ(read.nested(5).nested(6).number<std::uint16_t>(7), 0x0201);
  EXPECT_EQ(read.nested(5).number<std::uint8_t>(8), 1);
  EXPECT_EQ(read.nested(5).nested(9).number<std::uint8_t>(8, 77), 77);
}

TEST(NetlinkAttributes, ReadBackWhatWasPut) {
  SeededRng rng(20266);
  for (int i = 0; i < 500; ++i) {
    const IpAddress address = randomAddress(rng);
    const MacAddress mac = macFromAddress(randomAddress(rng));
    const std::uint64_t number = rng.next();
    const std::string text = rng.text(rng.below(40), "abcdefgh");
    NetlinkMessage message(1, 0, "test");
    message.put(1, address).put(2, mac).put(3, number).put(4, std::string_view(text));
    const NetlinkAttributes read(attributesOf(message));
    EXPECT_EQ(read.address(1), address);
    EXPECT_EQ(read.mac(2), mac);
    EXPECT_EQ(read.number<std::uint64_t>(3), number);
    EXPECT_EQ(read.text(4), text);
    EXPECT_EQ(read.address(2), std::nullopt) << "6 bytes";
    EXPECT_EQ(read.mac(1), std::nullopt) << "4 or 16 bytes";
    EXPECT_EQ(read.find(5), std::nullopt);
    EXPECT_EQ(read.text(5), "");
    // A number wider than the attribute is not read from what follows it.
    EXPECT_EQ(read.number<std::uint64_t>(2, 5), 5u);
  }
}

TEST(NetlinkAttributes, TextEndsAtItsNulOrAtItsEnd) {
  NetlinkMessage message(1, 0, "test");
  message.put(1, "ab\0cd", 5).put(2, "abc", 3).put(3, nullptr, 0);
  const NetlinkAttributes read(attributesOf(message));
  EXPECT_EQ(read.text(1), "ab");
  EXPECT_EQ(read.text(2), "abc");
  EXPECT_EQ(read.text(3), "");
}

/// Every attribute, read byte by byte.
std::vector<std::pair<int, std::vector<int>>> slowly(std::span<const std::byte> bytes) {
  std::vector<std::pair<int, std::vector<int>>> found;
  std::size_t at = 0;
  const auto byteAt = [&](std::size_t i) { return std::to_integer<std::size_t>(bytes[i]); };
  while (at + 4 <= bytes.size()) {
    const std::size_t length = byteAt(at) + 256 * byteAt(at + 1);
    const int type = static_cast<int>(byteAt(at + 2) + 256 * (byteAt(at + 3) & 0x3f));
    if (length < 4 || at + length > bytes.size()) break;
    found.emplace_back(type, numbers(bytes.subspan(at + 4, length - 4)));
    at += (length + 3) / 4 * 4;
  }
  return found;
}

TEST(NetlinkAttributes, MalformedTailsAreIgnored) {
  SeededRng rng(20267);
  int found = 0;
  for (int i = 0; i < 20000; ++i) {
    NetlinkMessage message(1, 0, "test");
    const std::size_t count = rng.below(4);
    for (std::size_t n = 0; n < count; ++n) {
      const auto payload = randomBytes(rng, rng.below(12));
      message.put(static_cast<std::uint16_t>(rng.below(5)), payload.data(), payload.size());
    }
    const auto whole = attributesOf(message);
    std::vector<std::byte> bytes(whole.begin(), whole.end());
    // Damaged, cut short, or with rubbish behind.
    if (!bytes.empty() && rng.chance(0.5))
      bytes[rng.below(bytes.size())] = static_cast<std::byte>(rng.next());
    if (rng.chance(0.3)) bytes.resize(rng.below(bytes.size() + 1));
    const auto tail = randomBytes(rng, rng.below(7));
    if (rng.chance(0.3)) bytes.insert(bytes.end(), tail.begin(), tail.end());
    bytes.shrink_to_fit();

    const NetlinkAttributes read(bytes);
    const auto oracle = slowly(bytes);
    for (int type = 0; type < 5; ++type) {
      const auto first = std::ranges::find(oracle, type, [](const auto& one) { return one.first; });
      const auto payload = read.find(static_cast<std::uint16_t>(type));
      ASSERT_EQ(payload.has_value(), first != oracle.end()) << "round " << i;
      if (!payload) continue;
      ++found;
      ASSERT_THAT(numbers(*payload), ElementsAreArray(first->second)) << "round " << i;
    }
  }
  EXPECT_GT(found, 10000);
}

TEST(NextMessage, CutsADatagramIntoItsMessages) {
  SeededRng rng(20268);
  std::vector<std::byte> datagram;
  std::vector<std::size_t> sizes;
  for (std::uint16_t type = 0; type < 5; ++type) {
    NetlinkMessage message(type, 0, "test");
    const auto payload = randomBytes(rng, rng.below(30));
    message.put(1, payload.data(), payload.size());
    message.setSequence(type + 100u);
    datagram.insert(datagram.end(), message.bytes().begin(), message.bytes().end());
    sizes.push_back(message.bytes().size() - sizeof(nlmsghdr));
  }
  // However it is cut, what is read is what is whole.
  for (std::size_t end = 0; end <= datagram.size(); ++end) {
    const std::vector<std::byte> part(datagram.begin(),
                                      datagram.begin() + static_cast<std::ptrdiff_t>(end));
    std::span<const std::byte> rest(part);
    std::size_t whole = 0, used = 0;
    while (auto message = nextMessage(rest)) {
      ASSERT_LT(whole, sizes.size());
      EXPECT_EQ(message->type, whole);
      EXPECT_EQ(message->sequence, whole + 100);
      EXPECT_EQ(message->flags, NLM_F_REQUEST);
      EXPECT_EQ(message->body.size(), sizes[whole]);
      used += sizeof(nlmsghdr) + sizes[whole++];
    }
    EXPECT_LE(used, end);
    if (whole < sizes.size()) EXPECT_GT(used + sizeof(nlmsghdr) + sizes[whole], end);
  }
}

TEST(NextMessage, StopsAtImpossibleLengths) {
  for (const std::uint32_t length : {0u, 1u, 15u, 17u, 0xffffffffu}) {
    nlmsghdr head{};
    head.nlmsg_len = length;
    std::span<const std::byte> rest = std::as_bytes(std::span(&head, 1));
    EXPECT_FALSE(nextMessage(rest)) << length;
  }
  // The last message of a datagram need not be padded.
  std::array<std::byte, 17> bytes{};
  bytes[0] = std::byte{17};
  std::span<const std::byte> rest(bytes);
  const auto message = nextMessage(rest);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->body.size(), 1u);
  EXPECT_TRUE(rest.empty());
}

/// The body of an NLMSG_ERROR for a request of `repeated` bytes behind its header, then attributes.
std::vector<std::byte> ackBody(int error, std::uint32_t requestLength, std::size_t repeated,
                               std::span<const std::byte> attributes) {
  nlmsgerr head{};
  head.error = error;
  head.msg.nlmsg_len = requestLength;
  const auto bytes = std::as_bytes(std::span(&head, 1));
  std::vector<std::byte> body(bytes.begin(), bytes.end());
  body.resize(body.size() + repeated);
  body.insert(body.end(), attributes.begin(), attributes.end());
  return body;
}

TEST(AckStatus, TellsTheErrorAndTheKernelsWords) {
  NetlinkMessage words(0, 0, "");
  words.put(NLMSGERR_ATTR_MSG, std::string_view("Nexthop has invalid gateway"));
  const auto attributes = attributesOf(words);
  const auto told = [](std::uint16_t type, int flags, const std::vector<std::byte>& body) {
    return ackStatus({type, static_cast<std::uint16_t>(flags), 1, 0, body}, "add route");
  };
  EXPECT_TRUE(told(NLMSG_ERROR, 0, ackBody(0, 16, 0, {})).ok());
  EXPECT_TRUE(told(NLMSG_DONE, 0, {}).ok());
  for (const int nonsense : {INT_MIN, -5000, 7})
    EXPECT_THAT(told(NLMSG_ERROR, 0, ackBody(nonsense, 16, 0, {})).message(), HasSubstr("EPROTO"));
  const Status plain = told(NLMSG_ERROR, 0, ackBody(-ENOENT, 16, 0, attributes));
  EXPECT_TRUE(plain.is(Code::kNotFound));
  EXPECT_THAT(plain.message(), HasSubstr("add route: "));
  EXPECT_EQ(plain.message().find("Nexthop"), std::string::npos) << "no such attributes announced";
  for (const auto& [flags, repeated] :
       {std::pair{NLM_F_ACK_TLVS | NLM_F_CAPPED, 0}, {NLM_F_ACK_TLVS, 20}}) {
    const auto body = ackBody(-EINVAL, 36, static_cast<std::size_t>(repeated), attributes);
    EXPECT_THAT(told(NLMSG_ERROR, flags, body).message(), HasSubstr("add route: Invalid argument"));
    EXPECT_THAT(told(NLMSG_ERROR, flags, body).message(),
                HasSubstr(": Nexthop has invalid gateway"));
    // Cut anywhere, and with any length of the request: an error all the same, and no other text.
    for (std::size_t size = 4; size < body.size(); ++size) {
      const std::vector<std::byte> part(body.begin(),
                                        body.begin() + static_cast<std::ptrdiff_t>(size));
      EXPECT_FALSE(told(NLMSG_ERROR, flags, part).ok());
    }
  }
  for (const std::uint32_t length : {0u, 15u, 40u, 0x7fffffffu, 0xffffffffu}) {
    EXPECT_FALSE(told(NLMSG_ERROR, NLM_F_ACK_TLVS, ackBody(-EINVAL, length, 0, attributes)).ok());
  }
}

}  // namespace
}  // namespace podlab::net
