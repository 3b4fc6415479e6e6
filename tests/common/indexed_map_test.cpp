#include "common/indexed_map.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/rng.hpp"

namespace podlab {
namespace {

using Entries = std::vector<std::pair<std::string, int>>;

Entries entriesOf(const auto& map) {
  Entries entries;
  for (const auto& [key, value] : map) entries.emplace_back(key, value);
  return entries;
}

/// A key that others resemble.
std::string keyFrom(Rng& rng) {
  return "default/pod-" + std::to_string(rng.below(40));
}

TEST(IndexedMap, IsAMapWhateverIsDoneToIt) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRng rng(seed);
    IndexedMap<int> map;
    std::map<std::string, int, std::less<>> plain;
    for (int step = 0; step < 500; ++step) {
      const std::string key = keyFrom(rng);
      switch (rng.below(6)) {
        case 0:
          map[key] = plain[key] = step;
          break;
        case 1: {
          const auto [at, isNew] = map.try_emplace(key, step);
          EXPECT_EQ(isNew, plain.try_emplace(key, step).second);
          EXPECT_EQ(at->first, key);
          break;
        }
        case 2:
          EXPECT_EQ(map.erase(key), plain.erase(key));
          break;
        case 3:
          if (const auto found = map.find(key); found != map.end()) {
            const auto next = map.erase(found);
            const auto expected = plain.erase(plain.find(key));
            ASSERT_EQ(next == map.end(), expected == plain.end());
            if (next != map.end()) EXPECT_EQ(next->first, expected->first);
          }
          break;
        case 4: {
          const auto from = map.lower_bound(key);
          const auto expected = plain.lower_bound(key);
          ASSERT_EQ(from == std::as_const(map).end(), expected == plain.end());
          if (expected != plain.end()) EXPECT_EQ(from->first, expected->first);
          break;
        }
        default:
          if (rng.chance(0.02)) {
            map.clear();
            plain.clear();
          }
          if (rng.chance(0.1)) map = IndexedMap<int>(std::move(map));
      }
      const auto found = std::as_const(map).find(key);
      const auto expected = plain.find(key);
      ASSERT_EQ(found == std::as_const(map).end(), expected == plain.end());
      if (expected != plain.end()) EXPECT_EQ(found->second, expected->second);
      EXPECT_EQ(map.size(), plain.size());
    }
    EXPECT_EQ(entriesOf(map), entriesOf(plain));
  }
}

}  // namespace
}  // namespace podlab
