#include <algorithm>
#include <cctype>

#include "api/age.hpp"
#include "api/codec.hpp"
#include "api/cron_schedule.hpp"
#include "api/jobs.hpp"
#include "api/kinds/job_parts.hpp"
#include "api/kinds/pod_template.hpp"
#include "api/kinds/rules.hpp"
#include "api/times.hpp"

namespace podlab::api {
namespace {

using batchv1::CronJob;
using batchv1::CronJobSpec;

constexpr std::size_t kMaxName = 52;  ///< its jobs' names have eleven characters more

void applyDefaults(CronJob& job) {
  CronJobSpec& spec = *job.mutable_spec();
  if (spec.concurrencypolicy().empty()) spec.set_concurrencypolicy("Allow");
  if (!spec.has_suspend()) spec.set_suspend(false);
  if (!spec.has_successfuljobshistorylimit()) spec.set_successfuljobshistorylimit(3);
  if (!spec.has_failedjobshistorylimit()) spec.set_failedjobshistorylimit(1);
  applyPodTemplateDefaults(*spec.mutable_jobtemplate()->mutable_spec()->mutable_template_());
}

void prepareForCreate(CronJob& job) {
  job.clear_status();
}

void validateTimeZone(const std::string& name, const FieldPath& path, FieldErrors& errors) {
  if (name.empty()) {
    errors.invalid(path, name, "must be nil or non-empty value");
    return;
  }
  std::string lower = name;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  if (lower == "local") {
    errors.invalid(
        path, name,
        "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones");
  } else if (const auto zone = TimeZone::load(name); !zone) {
    errors.invalid(path, name, zone.status().message());
  }
}

void validateSchedule(const CronJobSpec& spec, const FieldPath& path, FieldErrors& errors) {
  const FieldPath at = path.child("schedule");
  const std::string& schedule = spec.schedule();
  if (schedule.empty()) {
    errors.required(at);
  } else if (schedule.find("TZ") != std::string::npos) {
    errors.invalid(at, schedule,
                   "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
  } else if (const auto parsed = CronSchedule::parse(schedule); !parsed) {
    errors.invalid(at, schedule, parsed.status().message());
  }
}

std::vector<Cause> validate(const CronJob& job) {
  constexpr std::string_view kPolicies[] = {"Allow", "Forbid", "Replace"};
  FieldErrors errors;
  const FieldPath path("spec");
  const CronJobSpec& spec = job.spec();
  validateSchedule(spec, path, errors);
  errors.notNegative(path.child("startingDeadlineSeconds"), spec.startingdeadlineseconds());
  if (spec.has_timezone()) validateTimeZone(spec.timezone(), path.child("timeZone"), errors);
  errors.oneOf(path.child("concurrencyPolicy"), spec.concurrencypolicy(), kPolicies);
  const FieldPath inner = path.child("jobTemplate").child("spec");
  const batchv1::JobSpec& made = spec.jobtemplate().spec();
  validateLabels(spec.jobtemplate().metadata().labels(),
                 path.child("jobTemplate").child("metadata").child("labels"), errors);
  validateJobSpec(made, inner, errors);
  if (made.has_selector()) {
    errors.invalidJson(inner.child("selector"), toJson(made.selector()),
                       "`selector` will be auto-generated");
  }
  if (made.manualselector()) {
    constexpr std::string_view kManual[] = {"nil", "false"};
    errors.notSupported(inner.child("manualSelector"), "true", kManual);
  }
  errors.notNegative(path.child("successfulJobsHistoryLimit"), spec.successfuljobshistorylimit());
  errors.notNegative(path.child("failedJobsHistoryLimit"), spec.failedjobshistorylimit());
  if (job.metadata().name().size() > kMaxName) {
    errors.invalid(FieldPath("metadata.name"), job.metadata().name(),
                   "must be no more than 52 characters");
  }
  return errors.take();
}

const corev1::PodTemplateSpec& podOf(const CronJob& job) {
  return job.spec().jobtemplate().spec().template_();
}

}  // namespace

Kind cronJobKind() {
  const auto lastSchedule = [](const google::protobuf::Message& object, WallTime now) {
    const auto& status = static_cast<const CronJob&>(object).status();
    return isSet(status.lastscheduletime()) ? ageOf(status.lastscheduletime(), now)
                                            : std::string("<none>");
  };
  return {
      .group = "batch",
      .version = "v1",
      .kind = "CronJob",
      .plural = "cronjobs",
      .singular = "cronjob",
      .shortNames = {"cj"},
      .categories = {"all"},
      .scope = Scope::kNamespaced,
      .prototype = &CronJob::default_instance(),
      .columns =
          {nameColumn(),
           column<CronJob>("Schedule", 0, [](const CronJob& job) { return job.spec().schedule(); }),
           column<CronJob>("Timezone", 0,
                           [](const CronJob& job) {
                             return job.spec().has_timezone() ? job.spec().timezone()
                                                              : std::string("<none>");
                           }),
           column<CronJob>(
               "Suspend", 0,
               [](const CronJob& job) { return job.spec().suspend() ? "True" : "False"; }),
           column<CronJob>(
               "Active", 0,
               [](const CronJob& job) { return std::to_string(job.status().active_size()); }),
           {"Last Schedule", 0, lastSchedule},
           ageColumn(),
           column<CronJob>("Containers", 1,
                           [](const CronJob& job) { return containerNamesCell(podOf(job)); }),
           column<CronJob>("Images", 1, [](const CronJob& job) { return imagesCell(podOf(job)); }),
           column<CronJob>("Selector", 1,
                           [](const CronJob& job) {
                             return selectorCell(job.spec().jobtemplate().spec().selector());
                           })},
      .strategy = {.hasStatus = true,
                   .hasGeneration = true,
                   .applyDefaults = writes<CronJob>(applyDefaults),
                   .prepareForCreate = writes<CronJob>(prepareForCreate),
                   .validate = reads<CronJob>(validate)},
  };
}

}  // namespace podlab::api
