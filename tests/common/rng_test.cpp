#include "common/rng.hpp"

#include <gtest/gtest.h>

#include <regex>
#include <set>

namespace podlab {
namespace {

TEST(Rng, SameSeedSameNumbersAndComponentsDiffer) {
  SeededRng a(42), b(42), scheduler(42, "scheduler"), network(42, "network");
  for (int i = 0; i < 100; ++i) EXPECT_EQ(a.next(), b.next());
  EXPECT_NE(scheduler.next(), network.next());
}

TEST(Rng, MatchesTheReferenceSequence) {
  // splitmix64 from 0 gives e220a8397b1dcdaf 6e789e6aa1b965f4 06c45d188009454f f88bb8a8724c81ec;
  // xoshiro256** then.
  SeededRng rng(0);
  EXPECT_EQ(rng.next(), 0x99ec5f36cb75f2b4ULL);
}

TEST(Rng, BelowStaysInBoundsAndCoversThem) {
  SeededRng rng(1);
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 1000; ++i) {
    const auto value = rng.below(7);
    ASSERT_LT(value, 7u);
    seen.insert(value);
  }
  EXPECT_EQ(seen.size(), 7u);
}

TEST(Rng, UuidIsVersion4) {
  const auto rng = makeSystemRng();
  const std::regex form("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}");
  const std::string first = rng->uuid();
  EXPECT_TRUE(std::regex_match(first, form)) << first;
  EXPECT_NE(first, rng->uuid());
}

}  // namespace
}  // namespace podlab
