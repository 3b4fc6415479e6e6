#include "policy/ip_blocks.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "common/rng.hpp"

namespace podlab::policy {
namespace {

using net::Cidr;
using net::Family;
using net::IpAddress;

std::string textOf(const std::vector<AddressRange>& ranges) {
  std::string text;
  for (const auto& range : ranges) {
    text += (text.empty() ? "" : " ") + range.first.toString() + "-" + range.last.toString();
  }
  return text;
}

IpBlock block(const std::string& range, const std::vector<std::string>& except = {}) {
  IpBlock made{*Cidr::parse(range), {}};
  for (const auto& one : except) made.except.push_back(*Cidr::parse(one));
  return made;
}

TEST(IpBlocks, CutsOutAndMerges) {
  EXPECT_EQ(textOf(unionOf({block("10.0.0.0/24")}, Family::kV4)), "10.0.0.0-10.0.0.255");
  EXPECT_EQ(textOf(unionOf({block("10.0.0.0/24", {"10.0.0.0/25"})}, Family::kV4)),
            "10.0.0.128-10.0.0.255");
  EXPECT_EQ(textOf(unionOf({block("10.0.0.0/24", {"10.0.0.16/32", "10.0.0.255/32"})}, Family::kV4)),
            "10.0.0.0-10.0.0.15 10.0.0.17-10.0.0.254");
  EXPECT_EQ(textOf(unionOf({block("10.0.1.0/24"), block("10.0.0.0/24")}, Family::kV4)),
            "10.0.0.0-10.0.1.255");
  // What one block excepts, another may have.
  EXPECT_EQ(
      textOf(unionOf({block("10.0.0.0/24", {"10.0.0.8/29"}), block("10.0.0.8/29")}, Family::kV4)),
      "10.0.0.0-10.0.0.255");
  EXPECT_EQ(textOf(unionOf({block("0.0.0.0/0", {"128.0.0.0/1"})}, Family::kV4)),
            "0.0.0.0-127.255.255.255");
  EXPECT_EQ(textOf(unionOf({block("10.0.0.0/24"), block("::/0")}, Family::kV6)),
            "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
  EXPECT_EQ(textOf(unionOf({block("10.0.0.0/24")}, Family::kV6)), "");
}

// Against each address of a small space.
TEST(IpBlocks, HaveExactlyTheirAddresses) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SeededRng rng(seed);
    std::vector<IpBlock> blocks;
    const auto any = [&](int least) {
      const auto host = static_cast<std::uint8_t>(rng.below(256));
      const int prefix =
          least + static_cast<int>(rng.below(static_cast<std::uint64_t>(33 - least)));
      return Cidr(IpAddress::v4({255, 255, 255, host}), prefix);
    };
    for (std::uint64_t n = 1 + rng.below(4); n > 0; --n) {
      IpBlock& made = blocks.emplace_back();
      made.range = any(24);
      for (std::uint64_t i = rng.below(4); i > 0; --i) made.except.push_back(any(24));
    }
    const auto ranges = unionOf(blocks, Family::kV4);
    for (int host = 0; host < 256; ++host) {
      const auto address = IpAddress::v4({255, 255, 255, static_cast<std::uint8_t>(host)});
      const bool wanted = std::ranges::any_of(blocks, [&](const IpBlock& one) {
        return one.range.contains(address) &&
               std::ranges::none_of(one.except,
                                    [&](const Cidr& hole) { return hole.contains(address); });
      });
      const bool has = std::ranges::any_of(ranges, [&](const AddressRange& range) {
        return range.first <= address && address <= range.last;
      });
      ASSERT_EQ(has, wanted) << "seed " << seed << " address " << address.toString();
    }
    for (std::size_t i = 1; i < ranges.size(); ++i) {
      ASSERT_LT(ranges[i - 1].last.plus(1), ranges[i].first) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace podlab::policy
