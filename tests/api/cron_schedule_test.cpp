#include "api/cron_schedule.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "common/rng.hpp"
#include "common/time.hpp"

namespace podlab::api {
namespace {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using Instant = CronSchedule::Instant;

Instant at(const char* text) {
  return floor<seconds>(*parseTime(text));
}

std::string nextOf(const char* schedule, const char* after, const TimeZone& zone = {}) {
  const auto parsed = CronSchedule::parse(schedule);
  if (!parsed) return parsed.status().message();
  const auto next = parsed->next(at(after), zone);
  return next ? formatTime(*next) : "never";
}

TEST(CronSchedule, KnowsListsRangesStepsAndNames) {
  const char* now = "2026-11-25T20:59:30Z";  // a Wednesday
  EXPECT_EQ(nextOf("* * * * *", now), "2026-11-25T21:00:00Z");
  EXPECT_EQ(nextOf("*/15 * * * *", now), "2026-11-25T21:00:00Z");
  EXPECT_EQ(nextOf("5/20 * * * *", now), "2026-11-25T21:05:00Z");
  EXPECT_EQ(nextOf("1,58-59 * * * *", "2026-11-25T20:57:59Z"), "2026-11-25T20:58:00Z");
  EXPECT_EQ(nextOf("30 8 * * MON-fri", now), "2026-11-26T08:30:00Z");
  EXPECT_EQ(nextOf("0 0 29 feb *", now), "2028-02-29T00:00:00Z");
  EXPECT_EQ(nextOf("0 0 31 * ?", now), "2026-12-31T00:00:00Z");
  EXPECT_EQ(nextOf("0 0 30 2 *", now), "never");
  // Both days given: either of them.
  EXPECT_EQ(nextOf("0 0 1 * sun", now), "2026-11-29T00:00:00Z");
  // A step makes a star no star.
  EXPECT_EQ(nextOf("0 0 */31 * thu", now), "2026-11-26T00:00:00Z");
  EXPECT_EQ(nextOf("@hourly", now), "2026-11-25T21:00:00Z");
  EXPECT_EQ(nextOf("@daily", now), "2026-11-26T00:00:00Z");
  EXPECT_EQ(nextOf("@weekly", now), "2026-11-29T00:00:00Z");
  EXPECT_EQ(nextOf("@monthly", now), "2026-12-01T00:00:00Z");
  EXPECT_EQ(nextOf("@yearly", now), "2027-01-01T00:00:00Z");
  EXPECT_EQ(nextOf("@every 1h30m", now), "2026-11-25T22:29:30Z");
}

TEST(CronSchedule, SaysWhatIsWrong) {
  const auto fault = [](const char* text) {
    const auto parsed = CronSchedule::parse(text);
    return parsed ? std::string("none") : parsed.status().message();
  };
  EXPECT_EQ(fault(""), "empty spec string");
  EXPECT_EQ(fault("error schedule"), "expected exactly 5 fields, found 2: [error schedule]");
  EXPECT_EQ(fault("60 * * * *"), "end of range (60) above maximum (59): 60");
  EXPECT_EQ(fault("* * 0 * *"), "beginning of range (0) below minimum (1): 0");
  EXPECT_EQ(fault("* * * * 7"), "end of range (7) above maximum (6): 7");
  EXPECT_EQ(fault("5-1 * * * *"), "beginning of range (5) beyond end of range (1): 5-1");
  EXPECT_EQ(fault("*/0 * * * *"), "step of range should be a positive number: */0");
  EXPECT_EQ(fault("1-2-3 * * * *"), "too many hyphens: 1-2-3");
  EXPECT_EQ(fault("1/2/3 * * * *"), "too many slashes: 1/2/3");
  EXPECT_EQ(fault("x * * * *"),
            "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax");
  EXPECT_EQ(fault("@often"), "unrecognized descriptor: @often");
  EXPECT_EQ(fault("@every soon"),
            "failed to parse duration @every soon: time: invalid duration \"soon\"");
}

/// Whether a field of numbers, ranges and steps has a value, read anew each time.
bool matches(const std::string& field, int value, int low, int high) {
  std::size_t begin = 0;
  while (begin <= field.size()) {
    std::size_t end = field.find(',', begin);
    if (end == std::string::npos) end = field.size();
    const std::string part = field.substr(begin, end - begin);
    begin = end + 1;
    const std::size_t slash = part.find('/');
    const std::string range = part.substr(0, slash);
    const int step = slash == std::string::npos ? 1 : std::stoi(part.substr(slash + 1));
    int first = low, last = high;
    if (range != "*") {
      const std::size_t dash = range.find('-');
      first = std::stoi(range);
      if (dash != std::string::npos) {
        last = std::stoi(range.substr(dash + 1));
      } else if (slash == std::string::npos) {
        last = first;
      }
    }
    if (value >= first && value <= last && (value - first) % step == 0) return true;
  }
  return false;
}

/// The oracle: looks at every minute.
bool isDue(const std::vector<std::string>& fields, Instant utc, const TimeZone& zone) {
  const Instant local = utc + zone.at(utc).offset;
  const auto day = floor<days>(local);
  const std::chrono::year_month_day date(day);
  const auto time = local - day;
  const bool inMonth = matches(fields[2], int(unsigned(date.day())), 1, 31);
  const bool inWeek = matches(fields[4], int(std::chrono::weekday(day).c_encoding()), 0, 6);
  const auto isStar = [](const std::string& field) {
    const std::string padded = "," + field + ",";
    return padded.find(",*,") != std::string::npos || padded.find(",*/1,") != std::string::npos;
  };
  const bool both = isStar(fields[2]) || isStar(fields[4]);
  return matches(fields[0], int(time % hours(1) / minutes(1)), 0, 59) &&
         matches(fields[1], int(time / hours(1)), 0, 23) &&
         matches(fields[3], int(unsigned(date.month())), 1, 12) &&
         (both ? inMonth && inWeek : inMonth || inWeek);
}

std::string randomField(Rng& rng, int low, int high) {
  std::string text;
  for (std::uint64_t parts = rng.below(3); text.empty() || parts > 0; parts -= parts > 0 ? 1 : 0) {
    if (!text.empty()) text += ',';
    const int first = low + int(rng.below(std::uint64_t(high - low + 1)));
    const int last = first + int(rng.below(std::uint64_t(high - first + 1)));
    switch (rng.below(5)) {
      case 0:
        return "*";
      case 1:
        text += "*/" + std::to_string(1 + rng.below(20));
        break;
      case 2:
        text += std::to_string(first) + "-" + std::to_string(last);
        break;
      case 3:
        text += std::to_string(first) + "/" + std::to_string(1 + rng.below(9));
        break;
      default:
        text += std::to_string(first);
    }
  }
  return text;
}

TEST(CronSchedule, AgreesWithLookingAtEveryMinute) {
  std::vector<std::pair<const char*, Instant>> places{{"UTC", at("2026-02-26T00:00:00Z")}};
  if (std::filesystem::exists("/usr/share/zoneinfo/Europe/Berlin")) {
    places.emplace_back("Europe/Berlin", at("2026-03-28T00:00:00Z"));
    places.emplace_back("Europe/Berlin", at("2026-10-24T00:00:00Z"));
    places.emplace_back("Australia/Lord_Howe", at("2026-10-03T00:00:00Z"));
    places.emplace_back("America/Havana", at("2026-03-07T12:00:00Z"));
  }
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SeededRng rng(seed);
    const std::vector<std::string> fields{randomField(rng, 0, 59), randomField(rng, 0, 23),
                                          randomField(rng, 1, 31), randomField(rng, 1, 12),
                                          randomField(rng, 0, 6)};
    std::string text;
    for (const auto& field : fields) text += (text.empty() ? "" : " ") + field;
    const auto schedule = CronSchedule::parse(text);
    ASSERT_TRUE(schedule.ok()) << text << ": " << schedule.status().toString();
    const auto& [name, begin] = places[rng.below(places.size())];
    const auto zone = TimeZone::load(name);
    ASSERT_TRUE(zone.ok());
    const Instant end = begin + days(4);
    std::vector<Instant> due;
    for (Instant minute = begin; minute < end; minute += minutes(1)) {
      if (isDue(fields, minute, *zone)) due.push_back(minute);
    }
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + text + " in " + name);
    std::vector<Instant> found;
    for (auto next = schedule->next(begin - seconds(1), *zone); next && *next < end;
         next = schedule->next(*next, *zone))
      found.push_back(*next);
    ASSERT_EQ(found, due);
    const Instant now = begin + seconds(rng.below(4 * 86'400));
    const auto after = std::ranges::upper_bound(due, now);
    const auto latest = schedule->latest(begin - seconds(1), now, *zone);
    EXPECT_EQ(latest.has_value(), after != due.begin());
    if (latest && after != due.begin()) EXPECT_EQ(*latest, *std::prev(after));
  }
}

TEST(CronSchedule, SkipsWhatAChangeOfTheClocksSkipsAndRepeatsWhatItRepeats) {
  const auto zone = TimeZone::load("Europe/Berlin");
  if (!zone) GTEST_SKIP() << "this host has no tz database";
  EXPECT_EQ(nextOf("30 2 * * *", "2026-03-28T12:00:00Z", *zone), "2026-03-30T00:30:00Z");
  EXPECT_EQ(nextOf("30 2 * * *", "2026-10-24T12:00:00Z", *zone), "2026-10-25T00:30:00Z");
  EXPECT_EQ(nextOf("30 2 * * *", "2026-10-25T00:30:00Z", *zone), "2026-10-25T01:30:00Z");
}

TEST(CronSchedule, FindsTheLatestTimeAfterAYearOfStanding) {
  const auto schedule = CronSchedule::parse("* * * * *");
  EXPECT_EQ(*schedule->latest(at("2025-01-01T00:00:00Z"), at("2026-01-01T00:00:30Z"), {}),
            at("2026-01-01T00:00:00Z"));
  EXPECT_FALSE(schedule->latest(at("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:59Z"), {}));
  const auto leap = CronSchedule::parse("0 0 29 2 *");
  EXPECT_EQ(*leap->latest(at("2023-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z"), {}),
            at("2024-02-29T00:00:00Z"));
}

}  // namespace
}  // namespace podlab::api
