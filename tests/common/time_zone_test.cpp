#include "common/time_zone.hpp"

#include <gtest/gtest.h>

#include <ctime>
#include <filesystem>

#include "common/rng.hpp"

namespace podlab {
namespace {

using std::chrono::seconds;

TimeZone::Instant at(std::int64_t unix) {
  return TimeZone::Instant(seconds(unix));
}

TEST(TimeZone, IsUtcByDefault) {
  const auto zone = TimeZone::load("UTC");
  ASSERT_TRUE(zone.ok());
  EXPECT_EQ(zone->at(at(0)).offset, seconds(0));
  EXPECT_EQ(zone->at(at(0)).until, TimeZone::Instant::max());
}

TEST(TimeZone, SaysWhatIsNoZone) {
  for (const char* name : {"Nowhere/Atlantis", "../../etc/passwd", "/etc/passwd", "Europe", "x\\y"})
    EXPECT_FALSE(TimeZone::load(name).ok()) << name;
  EXPECT_EQ(TimeZone::load("Nowhere/Atlantis").status().message(),
            "unknown time zone Nowhere/Atlantis");
  for (const std::string_view bytes : {"", "TZif", "TZif2", "text that is longer than a header is"})
    EXPECT_FALSE(TimeZone::parse(bytes).ok());
}

/// glibc reads the same files.
class AgainstGlibc : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(std::string("/usr/share/zoneinfo/") + GetParam()))
      GTEST_SKIP() << "this host has no tz database";
    before_ = std::getenv("TZ") == nullptr ? "" : std::getenv("TZ");
    setenv("TZ", GetParam(), 1);
    tzset();
  }
  void TearDown() override {
    before_.empty() ? unsetenv("TZ") : setenv("TZ", before_.c_str(), 1);
    tzset();
  }
  std::string before_;
};

TEST_P(AgainstGlibc, HasTheSameOffsets) {
  const auto zone = TimeZone::load(GetParam());
  ASSERT_TRUE(zone.ok()) << zone.status().toString();
  SeededRng rng(7);
  const auto check = [&](std::int64_t unix) {
    const std::time_t time = unix;
    std::tm local{};
    localtime_r(&time, &local);
    EXPECT_EQ(zone->at(at(unix)).offset.count(), local.tm_gmtoff) << unix;
  };
  // 1950 to 2150: transitions of the file and the rule that follows them.
  for (int i = 0; i < 3000; ++i) {
    const auto unix = static_cast<std::int64_t>(rng.below(6'311'390'400)) - 631'152'000;
    check(unix);
    const TimeZone::Period period = zone->at(at(unix));
    if (period.until >= at(5'680'281'600)) continue;
    const std::int64_t change = period.until.time_since_epoch().count();
    EXPECT_GT(change, unix);
    check(change - 1);
    check(change);
  }
}

INSTANTIATE_TEST_SUITE_P(Zones, AgainstGlibc,
                         testing::Values("Europe/Berlin", "America/New_York", "Asia/Kolkata",
                                         "Australia/Lord_Howe", "America/Sao_Paulo",
                                         "Africa/Casablanca", "Asia/Tokyo", "Pacific/Auckland",
                                         "Europe/Dublin", "America/Havana"));

}  // namespace
}  // namespace podlab
