#include "scheduler/node_index.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/scheduler/random_cluster.hpp"

namespace podlab::scheduler {
namespace {

/// The index against the plain scan, over random clusters: the same node and score. It decides most
/// cases by itself, and pods are both placed and refused.
TEST(NodeIndex, DecidesAsThePlainScan) {
  const char* from = std::getenv("PODLAB_TEST_SEED");
  const char* rounds = std::getenv("PODLAB_TEST_ROUNDS");
  const std::uint64_t first = from == nullptr ? 1 : std::strtoull(from, nullptr, 10);
  const std::uint64_t count = rounds == nullptr ? 40 : std::strtoull(rounds, nullptr, 10);
  std::size_t cases = 0, indexed = 0, found = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    SeededRng rng(seed);
    RandomCluster cluster(
        rng, {.mostValues = rng.chance(0.5) ? 3u : 64u, .often = rng.chance(0.5) ? 0u : 256u});
    for (int step = 0; step < 100; ++step) {
      for (auto events = rng.below(4); events > 0; --events) cluster.happen();
      const auto comparison = cluster.compare();
      ASSERT_EQ(comparison.difference, "") << "seed " << seed << " step " << step;
      ++cases;
      indexed += comparison.indexed;
      found += comparison.found;
    }
  }
  std::printf("%zu cases, %zu decided by the index, %zu placed\n", cases, indexed, found);
  EXPECT_GT(indexed, cases * 3 / 5);
  EXPECT_GT(found, cases / 5);
  EXPECT_LT(found, cases);
}

}  // namespace
}  // namespace podlab::scheduler
