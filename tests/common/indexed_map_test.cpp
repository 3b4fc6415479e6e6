#include "common/indexed_map.hpp"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/rng.hpp"

namespace podlab {
namespace {

using Plain = std::map<std::string, int, std::less<>>;
using Pairs = std::vector<std::pair<std::string, int>>;

Pairs pairsOf(IndexedMap<int>::Entries entries) {
  Pairs pairs;
  for (const auto* entry : entries) pairs.emplace_back(*entry);
  return pairs;
}

/// Keys that begin alike, some of which begin others.
std::string keyFrom(Rng& rng, std::uint64_t most) {
  return (rng.chance(0.5) ? "default/pod-" : "default/pods/") + std::to_string(rng.below(most));
}

TEST(IndexedMap, IsAMapWhateverIsDoneToIt) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRng rng(seed);
    const std::uint64_t most = seed % 3 == 0 ? 4 : seed % 3 == 1 ? 40 : 4000;
    // Read often, now and then, or at the end.
    const double reads = seed % 4 == 0 ? 0 : seed % 4 == 1 ? 0.5 : 0.02;
    const double erases = 0.3 + 0.1 * static_cast<double>(seed % 5);
    IndexedMap<int> map;
    Plain plain;
    for (int step = 0; step < 1000; ++step) {
      const std::string key = keyFrom(rng, most);
      if (rng.chance(erases)) {
        EXPECT_EQ(map.erase(key), plain.erase(key) == 1);
      } else if (rng.chance(0.5)) {
        map[key] = plain[key] = step;
      } else {
        const auto [value, made] = map.try_emplace(key, step);
        const auto [expected, expectedMade] = plain.try_emplace(key, step);
        EXPECT_EQ(made, expectedMade);
        EXPECT_EQ(value, expected->second);
      }
      if (rng.chance(0.01)) map = IndexedMap<int>(std::move(map));
      if (rng.chance(reads)) {
        const std::string first = keyFrom(rng, most);
        const std::string end = keyFrom(rng, most);
        const auto from = plain.lower_bound(first);
        const auto to = first < end ? plain.lower_bound(end) : from;
        EXPECT_EQ(pairsOf(map.between(first, end)), Pairs(from, to));
        Pairs begun;
        for (const auto& pair : plain)
          if (pair.first.starts_with(first)) begun.push_back(pair);
        EXPECT_EQ(pairsOf(map.withPrefix(first)), begun);
      }
      const int* found = std::as_const(map).find(key);
      const auto expected = plain.find(key);
      ASSERT_EQ(found == nullptr, expected == plain.end());
      ASSERT_EQ(map.contains(key), found != nullptr);
      if (found != nullptr) EXPECT_EQ(*found, expected->second);
      ASSERT_EQ(map.size(), plain.size());
    }
    EXPECT_EQ(pairsOf(map.inOrder()), Pairs(plain.begin(), plain.end()));
  }
}

TEST(IndexedMap, LetsGoOfWhatIsErasedAtOnce) {
  IndexedMap<std::shared_ptr<int>> map;
  const auto value = std::make_shared<int>(1);
  map["key"] = value;
  EXPECT_EQ(value.use_count(), 2);
  EXPECT_TRUE(map.erase("key"));
  EXPECT_EQ(value.use_count(), 1);
  EXPECT_TRUE(map.inOrder().empty());
}

TEST(IndexedMap, IsEmptyWhenItsEntriesAreAnothers) {
  IndexedMap<int> map;
  map["a"] = 1;
  EXPECT_EQ(map.inOrder().size(), 1U);
  IndexedMap<int> other = std::move(map);
  map = {};
  map["b"] = 2;
  EXPECT_EQ(pairsOf(map.inOrder()), (Pairs{{"b", 2}}));
  EXPECT_EQ(pairsOf(other.inOrder()), (Pairs{{"a", 1}}));
}

}  // namespace
}  // namespace podlab
