#pragma once
#include <optional>
#include <string>

#include "batch_v1.pb.h"

#include "api/cron_schedule.hpp"
#include "api/object.hpp"
#include "common/status.hpp"
#include "common/time_zone.hpp"

/// When a CronJob is due, and what its jobs are: pure (upstream: pkg/controller/cronjob/utils.go).
namespace podlab::controllers {

struct DueTimes {
  using Instant = TimeZone::Instant;
  std::optional<Instant> due;   ///< the last time that has passed without a job
  std::optional<Instant> next;  ///< the first one to come
  std::int64_t missed = 0;      ///< about how many have passed
};

/// Since the last schedule, or the making of the job; not before the starting deadline.
DueTimes dueTimes(const batchv1::CronJob& job, const api::CronSchedule& schedule,
                  const TimeZone& zone, TimeZone::Instant now);

/// "NAME-MINUTES": the same time gives the same name, so that a job is made once.
std::string scheduledJobName(const batchv1::CronJob& job, TimeZone::Instant at);
batchv1::Job scheduledJob(const batchv1::CronJob& job, TimeZone::Instant at, const TimeZone& zone);

/// RFC 3339 in the zone: "2026-11-25T22:00:00+01:00".
std::string formatInZone(TimeZone::Instant at, const TimeZone& zone);

}  // namespace podlab::controllers
