#include "common/time.hpp"

#include <gtest/gtest.h>

#include "common/rng.hpp"

namespace podlab {
namespace {

TEST(Time, FormatsAndParsesRfc3339) {
  const auto time = parseTime("2026-11-23T19:54:39.123456789Z");
  ASSERT_TRUE(time);
  EXPECT_EQ(formatTime(*time), "2026-11-23T19:54:39Z");
  EXPECT_EQ(formatMicroTime(*time), "2026-11-23T19:54:39.123456Z");
  EXPECT_EQ(parseTime("2026-11-23T21:24:39.123456789+01:30"), time);
  EXPECT_EQ(formatTime(*parseTime("1969-12-31T23:59:59Z")), "1969-12-31T23:59:59Z");
  EXPECT_EQ(formatMicroTime(*parseTime("1969-12-31T23:59:59.5Z")), "1969-12-31T23:59:59.500000Z");
}

TEST(Time, RefusesWhatIsNotRfc3339) {
  for (const char* text :
       {"", "2026", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:00", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00Zx",
        "2026-01-01T00:00:00+1:00", "9999-01-01T00:00:00Z", "2026-01-01 00:00:00Z"}) {
    EXPECT_FALSE(parseTime(text)) << text;
  }
}

TEST(Time, RoundTripsRandomTimes) {
  const std::uint64_t seed = 7;
  SeededRng rng(seed);
  for (int i = 0; i < 10'000; ++i) {
    const WallTime time(
        std::chrono::microseconds(static_cast<std::int64_t>(rng.below(8'000'000'000'000'000))));
    ASSERT_EQ(parseTime(formatMicroTime(time)), time) << "seed " << seed << " round " << i;
  }
}

TEST(Duration, FollowsGo) {
  const struct {
    const char* text;
    std::int64_t nanos;
    const char* formatted;
  } cases[] = {
      {"0", 0, "0s"},
      {"300ms", 300'000'000, "300ms"},
      {"1h2m3.5s", 3'723'500'000'000, "1h2m3.5s"},
      {"60s", 60'000'000'000, "1m0s"},
      {"-1.5h", -5'400'000'000'000, "-1h30m0s"},
      {"15us", 15'000, "15\xc2\xb5s"},
      {"7ns", 7, "7ns"},
  };
  for (const auto& c : cases) {
    ASSERT_EQ(parseDuration(c.text), Duration(c.nanos)) << c.text;
    EXPECT_EQ(formatDuration(Duration(c.nanos)), c.formatted);
  }
  for (const char* text : {"", "5", "s", "1x", "1h 2m", "-", "1e3s", "99999999h"}) {
    EXPECT_FALSE(parseDuration(text)) << text;
  }
}

}  // namespace
}  // namespace podlab
