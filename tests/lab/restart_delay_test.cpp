#include "lab/restart_delay.hpp"

#include <gtest/gtest.h>

namespace podlab::lab {
namespace {

TEST(RestartDelay, DoublesUntilTheLongest) {
  RestartDelay delay;
  Duration expected = RestartDelay::kFirst;
  for (int i = 0; i < 12; ++i) {
    EXPECT_EQ(delay.next(Duration::zero(), false), expected);
    expected = std::min(2 * expected, RestartDelay::kLongest);
  }
}

TEST(RestartDelay, BeginsAgainAfterAStableRunAndAfterAKill) {
  RestartDelay delay;
  for (const bool killed : {false, true}) {
    for (int i = 0; i < 3; ++i) delay.next(Duration::zero(), false);
    const Duration ran = killed ? Duration::zero() : 2 * RestartDelay::kStable;
    EXPECT_EQ(delay.next(ran, killed), killed ? RestartDelay::kAfterKill : RestartDelay::kFirst);
    EXPECT_EQ(delay.next(Duration::zero(), false),
              killed ? RestartDelay::kFirst : 2 * RestartDelay::kFirst);
  }
}

}  // namespace
}  // namespace podlab::lab
