// Whatever bytes come: a schedule is refused with a reason, or its times are in order and agree;
// a time zone file is refused, or its periods follow each other.
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string_view>

#include "api/cron_schedule.hpp"

namespace {

void require(bool holds, std::string_view what, std::string_view text) {
  if (holds) return;
  std::cerr << what << ": " << text << "\n";
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using podlab::TimeZone;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const TimeZone::Instant begin{std::chrono::seconds(1'790'000'000)};

  if (const auto zone = TimeZone::parse(text)) {
    TimeZone::Instant at = begin;
    for (int i = 0; i < 10 && at < TimeZone::Instant::max() - std::chrono::days(1000); ++i) {
      const auto period = zone->at(at);
      require(period.until > at, "a period that does not end after its time", "");
      at = period.until;
    }
  }

  const auto schedule = podlab::api::CronSchedule::parse(text);
  if (!schedule) {
    require(!schedule.status().message().empty(), "no reason", text);
    return 0;
  }
  auto at = begin;
  for (int i = 0; i < 3; ++i) {
    const auto next = schedule->next(at, {});
    if (!next) break;
    require(*next > at, "a next time that is not later", text);
    const auto latest = schedule->latest(at, *next, {});
    require(latest && *latest == *next, "the latest is not the next", text);
    at = *next;
  }
  return 0;
}
