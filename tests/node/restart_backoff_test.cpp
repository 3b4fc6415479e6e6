#include "node/restart_backoff.hpp"

#include <gtest/gtest.h>

namespace podlab::node {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

TEST(RestartBackoff, DoublesFromTenSecondsToFiveMinutes) {
  RestartBackoff backoff;
  const seconds expected[] = {seconds(0),  seconds(10),  seconds(20),  seconds(40),
                              seconds(80), seconds(160), seconds(300), seconds(300)};
  for (seconds delay : expected) {
    backoff.ended(seconds(1));
    EXPECT_EQ(backoff.current(), delay);
    backoff.restarted();
  }
}

TEST(RestartBackoff, StartsAfreshOnlyAfterMoreThanTenMinutes) {
  RestartBackoff backoff{seconds(160)};
  backoff.ended(minutes(10));
  EXPECT_EQ(backoff.current(), seconds(160));
  backoff.ended(minutes(10) + seconds(1));
  EXPECT_EQ(backoff.current(), seconds(0));
}

}  // namespace
}  // namespace podlab::node
