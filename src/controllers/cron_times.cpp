#include "controllers/cron_times.hpp"

#include <algorithm>

#include "api/owners.hpp"
#include "api/times.hpp"
#include "common/time.hpp"

namespace podlab::controllers {
namespace {

using std::chrono::floor;
using std::chrono::seconds;

constexpr const char* kScheduledAt = "batch.kubernetes.io/cronjob-scheduled-timestamp";

TimeZone::Instant instantOf(const metav1::Time& time) {
  return floor<seconds>(api::toWallTime(time));
}

std::string twoDigits(std::int64_t value) {
  return (value < 10 ? "0" : "") + std::to_string(value);
}

}  // namespace

DueTimes dueTimes(const batchv1::CronJob& job, const api::CronSchedule& schedule,
                  const TimeZone& zone, TimeZone::Instant now) {
  const auto& last = job.status().lastscheduletime();
  const TimeZone::Instant since =
      instantOf(api::isSet(last) ? last : job.metadata().creationtimestamp());
  TimeZone::Instant from = since;
  if (job.spec().has_startingdeadlineseconds()) {
    // A deadline longer than all time is none.
    constexpr std::int64_t kCentury = 100LL * 366 * 86'400;
    const seconds deadline(std::min(job.spec().startingdeadlineseconds(), kCentury));
    from = std::max(from, now - deadline);
  }
  DueTimes times;
  times.due = schedule.latest(from, now, zone);
  times.next = schedule.next(times.due.value_or(since), zone);
  // After a pause that had no time in it, or none within the deadline.
  if (times.next && *times.next <= now) times.next = schedule.next(now, zone);
  if (!times.due) return times;
  const auto first = schedule.next(from, zone);
  const auto second = first ? schedule.next(*first, zone) : std::nullopt;
  times.missed = second && *second <= now ? (now - *first) / (*second - *first) + 1 : 0;
  return times;
}

std::string scheduledJobName(const batchv1::CronJob& job, TimeZone::Instant at) {
  return job.metadata().name() + "-" + std::to_string(at.time_since_epoch().count() / 60);
}

batchv1::Job scheduledJob(const batchv1::CronJob& job, TimeZone::Instant at, const TimeZone& zone) {
  batchv1::Job made;
  const auto& from = job.spec().jobtemplate();
  auto& metadata = *made.mutable_metadata();
  metadata.set_name(scheduledJobName(job, at));
  metadata.set_namespace_(job.metadata().namespace_());
  *metadata.mutable_labels() = from.metadata().labels();
  *metadata.mutable_annotations() = from.metadata().annotations();
  (*metadata.mutable_annotations())[kScheduledAt] = formatInZone(at, zone);
  *metadata.add_ownerreferences() = api::controllerReference(job);
  *made.mutable_spec() = from.spec();
  return made;
}

std::string formatInZone(TimeZone::Instant at, const TimeZone& zone) {
  const seconds offset = zone.at(at).offset;
  std::string text = formatTime(at + offset);
  if (offset == seconds(0)) return text;
  text.pop_back();
  const std::int64_t minutes = std::abs(offset.count()) / 60;
  return text + (offset < seconds(0) ? '-' : '+') + twoDigits(minutes / 60) + ":" +
         twoDigits(minutes % 60);
}

}  // namespace podlab::controllers
