#include "api/index_set.hpp"

#include <gtest/gtest.h>

#include <set>

#include "common/rng.hpp"

namespace podlab::api {
namespace {

TEST(IndexSet, ReadsAndWritesUpstreamsForm) {
  for (const char* text : {"", "0", "1,3-5,7", "0-4", "2,3,9"}) {
    const auto parsed = IndexSet::parse(text, 10);
    ASSERT_TRUE(parsed.ok()) << text;
    EXPECT_EQ(parsed->toString(), text);
  }
  EXPECT_EQ(IndexSet::parse("1,3-5,7", 10)->size(), 5);
  const auto fault = [](const char* text) { return IndexSet::parse(text, 10).status().message(); };
  EXPECT_EQ(fault("a"), "cannot convert string to integer for index: \"a\"");
  EXPECT_EQ(fault("1,"), "cannot convert string to integer for index: \"\"");
  EXPECT_EQ(fault("10"), "too large index: \"10\"");
  EXPECT_EQ(fault("3,1"), "non-increasing order, previous: 3, current: 1");
  EXPECT_EQ(fault("3-3"), "non-increasing order, previous: 3, current: 3");
  EXPECT_EQ(fault("1-2-3"),
            "the fragment \"1-2-3\" violates the requirement that an index interval can have at "
            "most two parts separated by '-'");
}

TEST(IndexSet, BehavesAsASetOfNumbers) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRng rng(seed);
    IndexSet made, other;
    std::set<std::int32_t> oracle, otherOracle;
    for (std::uint64_t i = rng.below(40); i > 0; --i) {
      const auto index = static_cast<std::int32_t>(rng.below(50));
      made.insert(index);
      oracle.insert(index);
    }
    for (std::uint64_t i = rng.below(40); i > 0; --i) {
      const auto index = static_cast<std::int32_t>(rng.below(50));
      other.insert(index);
      otherOracle.insert(index);
    }
    std::int32_t shared = 0;
    for (std::int32_t i = 0; i < 50; ++i) {
      EXPECT_EQ(made.contains(i), oracle.contains(i)) << i;
      shared += oracle.contains(i) && otherOracle.contains(i) ? 1 : 0;
    }
    EXPECT_EQ(made.size(), static_cast<std::int32_t>(oracle.size()));
    EXPECT_EQ(made.sharedWith(other), shared);
    EXPECT_EQ(*IndexSet::parse(made.toString(), 50), made);
    std::vector<std::int32_t> missing;
    for (std::int32_t i = 0; i < 45 && missing.size() < 7; ++i) {
      if (!oracle.contains(i)) missing.push_back(i);
    }
    EXPECT_EQ(made.firstMissing(7, 45), missing);
    made.insert(other);
    oracle.insert(otherOracle.begin(), otherOracle.end());
    EXPECT_EQ(made.size(), static_cast<std::int32_t>(oracle.size()));
    made.truncate(20);
    oracle.erase(oracle.lower_bound(20), oracle.end());
    EXPECT_EQ(made.size(), static_cast<std::int32_t>(oracle.size()));
  }
}

}  // namespace
}  // namespace podlab::api
