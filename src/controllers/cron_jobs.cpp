#include "controllers/cron_jobs.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "api/field_errors.hpp"
#include "api/jobs.hpp"
#include "api/kinds.hpp"
#include "api/kinds/rules.hpp"
#include "api/owners.hpp"
#include "api/times.hpp"
#include "controllers/owned_pods.hpp"

namespace podlab::controllers {
namespace {

using batchv1::CronJob;
using batchv1::Job;
using client::EventClass;
using std::chrono::floor;
using std::chrono::seconds;

constexpr std::size_t kWorkers = 5;
constexpr std::int64_t kManyMissed = 100;

auto findActive(CronJob& job, const std::string& uid) {
  auto& active = *job.mutable_status()->mutable_active();
  return std::ranges::find(active, uid, &corev1::ObjectReference::uid);
}

bool isActiveJob(CronJob& job, const std::string& uid) {
  return findActive(job, uid) != job.status().active().end();
}

void dropActive(CronJob& job, const std::string& uid) {
  const auto found = findActive(job, uid);
  if (found != job.status().active().end()) job.mutable_status()->mutable_active()->erase(found);
}

corev1::ObjectReference referenceTo(const Job& job) {
  corev1::ObjectReference reference;
  reference.set_apiversion("batch/v1");
  reference.set_kind("Job");
  reference.set_namespace_(job.metadata().namespace_());
  reference.set_name(job.metadata().name());
  reference.set_uid(job.metadata().uid());
  reference.set_resourceversion(job.metadata().resourceversion());
  return reference;
}

api::ResourceId jobId(const std::string& ns, const std::string& name) {
  return {&api::kindFor<Job>(), ns, name, ""};
}

}  // namespace

CronJobController::CronJobController(Context& context, client::EventRecorder& events)
    : context_(context),
      events_(events),
      reconciler_("cronjobs", context.clock, context.rng, context.executor,
                  [this](std::string key) { return reconcile(std::move(key)); }) {
  client::Informer::Handlers own;
  own.added = [this](const api::ObjectPtr& job) { reconciler_.add(api::keyOf(*job)); };
  own.updated = [this](const api::ObjectPtr&, const api::ObjectPtr& job) {
    reconciler_.add(api::keyOf(*job));
  };
  context_.cronJobs.addHandlers(std::move(own));
  client::Informer::Handlers jobs;
  jobs.added = [this](const api::ObjectPtr& job) { observeJob(*job); };
  jobs.updated = [this](const api::ObjectPtr&, const api::ObjectPtr& job) { observeJob(*job); };
  jobs.deleted = jobs.added;
  context_.jobs.addHandlers(std::move(jobs));
}

void CronJobController::start() {
  reconciler_.start(context_.waitForSync(), kWorkers);
}

void CronJobController::observeJob(const google::protobuf::Message& job) {
  const auto* owner = api::controllerOf(api::meta(job));
  if (owner != nullptr && owner->kind() == "CronJob")
    reconciler_.add(api::meta(job).namespace_() + "/" + owner->name());
}

std::vector<JobPtr> CronJobController::jobsOf(const CronJob& job) const {
  std::vector<JobPtr> jobs;
  for (const auto& key : context_.jobsByOwner.of(job.metadata().uid()))
    jobs.push_back(api::share<Job>(context_.jobs.get(key)));
  return jobs;
}

Co<Status> CronJobController::reconcile(std::string key) {
  const auto object = context_.cronJobs.get(key);
  if (!object) co_return Status();
  const auto before = api::share<CronJob>(object);
  const auto job = std::make_shared<CronJob>(*before);
  Status done = co_await trackJobs(job, jobsOf(*job));
  if (done.ok() && !job->metadata().has_deletiontimestamp()) done = co_await schedule(job);
  const Status written = co_await writeStatus(before, job);
  co_return done.ok() ? written : done;
}

/// Takes note of jobs that have ended or gone, and removes the oldest.
Co<Status> CronJobController::trackJobs(std::shared_ptr<CronJob> job, std::vector<JobPtr> jobs) {
  std::vector<JobPtr> complete, failed;
  auto& status = *job->mutable_status();
  std::set<std::string> present;
  for (const auto& each : jobs) {
    const std::string& uid = each->metadata().uid();
    present.insert(uid);
    const auto* end = api::finishedCondition(*each);
    const bool active = isActiveJob(*job, uid);
    if (end == nullptr) {
      if (!active) {
        events_.record(
            *job, EventClass::kWarning, "UnexpectedJob",
            "Saw a job that the controller did not create or forgot: " + each->metadata().name());
      }
      continue;
    }
    if (active) {
      dropActive(*job, uid);
      events_.record(
          *job, EventClass::kNormal, "SawCompletedJob",
          "Saw completed job: " + each->metadata().name() + ", condition: " + end->type());
    }
    const bool succeeded = end->type() == api::kJobComplete;
    (succeeded ? complete : failed).push_back(each);
    const auto& at = each->status().completiontime();
    if (succeeded && api::isSet(at) &&
        (!api::isSet(status.lastsuccessfultime()) ||
         api::toWallTime(status.lastsuccessfultime()) < api::toWallTime(at)))
      *status.mutable_lastsuccessfultime() = at;
  }
  for (int i = status.active_size() - 1; i >= 0; --i) {
    const corev1::ObjectReference gone = status.active(i);
    if (present.contains(gone.uid())) continue;
    events_.record(*job, EventClass::kNormal, "MissingJob",
                   "Active job went missing: " + gone.name());
    dropActive(*job, gone.uid());
  }
  const auto& spec = job->spec();
  Status removed;
  if (spec.has_successfuljobshistorylimit())
    removed = co_await removeOld(job, std::move(complete), spec.successfuljobshistorylimit());
  if (removed.ok() && spec.has_failedjobshistorylimit())
    removed = co_await removeOld(job, std::move(failed), spec.failedjobshistorylimit());
  co_return removed;
}

Co<Status> CronJobController::removeOld(CronJobPtr job, std::vector<JobPtr> finished,
                                        std::int32_t kept) {
  std::ranges::sort(finished, {}, [](const JobPtr& each) {
    return std::pair(each->status().starttime().seconds(), each->metadata().name());
  });
  for (std::size_t i = 0; i + static_cast<std::size_t>(kept) < finished.size(); ++i) {
    if (finished[i]->metadata().has_deletiontimestamp()) continue;
    const Status removed = co_await removeJob(job, *finished[i]);
    if (!removed.ok()) co_return removed;
  }
  co_return Status();
}

Co<Status> CronJobController::removeJob(CronJobPtr job, Job old) {
  api::DeleteOptions options;
  options.set_propagationpolicy("Background");
  options.mutable_preconditions()->set_uid(old.metadata().uid());
  auto id = jobId(old.metadata().namespace_(), old.metadata().name());
  auto removed = co_await context_.api.remove(std::move(id), std::move(options));
  const Status status = removed.status();
  if (status.is(Code::kNotFound) || status.is(Code::kConflict)) co_return Status();
  if (!removed) {
    events_.record(*job, EventClass::kWarning, "FailedDelete", "Deleted job: " + status.message());
    co_return status;
  }
  events_.record(*job, EventClass::kNormal, "SuccessfulDelete",
                 "Deleted job " + old.metadata().name());
  co_await context_.jobs.waitFor(api::meta(**removed).resourceversion());
  co_return Status();
}

Co<Status> CronJobController::schedule(std::shared_ptr<CronJob> job) {
  const auto& spec = job->spec();
  const auto zone = TimeZone::load(spec.timezone());
  if (!zone) {
    events_.record(
        *job, EventClass::kWarning, "UnknownTimeZone",
        "invalid timeZone: " + api::quoted(spec.timezone()) + ": " + zone.status().message());
    co_return Status();
  }
  if (spec.suspend()) co_return Status();
  const auto schedule = api::CronSchedule::parse(spec.schedule());
  if (!schedule) {
    events_.record(*job, EventClass::kWarning, "UnparseableSchedule",
                   "unparseable schedule: " + api::quoted(spec.schedule()) + " : " +
                       schedule.status().message());
    co_return Status();
  }
  const auto now = floor<seconds>(context_.clock.wallNow());
  const DueTimes times = dueTimes(*job, *schedule, *zone, now);
  if (times.next) reconciler_.addAfter(api::keyOf(*job), *times.next - context_.clock.wallNow());
  if (!times.due) co_return Status();
  if (times.missed > kManyMissed) {
    events_.record(*job, EventClass::kWarning, "TooManyMissedTimes",
                   "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or "
                   "check clock skew");
  }
  const auto& active = job->status().active();
  const bool known = std::ranges::find(active, scheduledJobName(*job, *times.due),
                                       &corev1::ObjectReference::name) != active.end();
  if (known) co_return Status();
  if (spec.concurrencypolicy() == "Forbid" && !active.empty()) {
    events_.record(*job, EventClass::kNormal, "JobAlreadyActive",
                   "Not starting job because prior execution is running and concurrency policy is "
                   "Forbid");
    co_return Status();
  }
  if (spec.concurrencypolicy() == "Replace") {
    const Status replaced = co_await replaceRunning(job);
    if (!replaced.ok()) co_return replaced;
  }
  co_return co_await startJob(job, *times.due, *zone);
}

Co<Status> CronJobController::replaceRunning(std::shared_ptr<CronJob> job) {
  while (!job->status().active().empty()) {
    const corev1::ObjectReference running = job->status().active(0);
    Job old;
    old.mutable_metadata()->set_namespace_(job->metadata().namespace_());
    old.mutable_metadata()->set_name(running.name());
    old.mutable_metadata()->set_uid(running.uid());
    const Status removed = co_await removeJob(job, std::move(old));
    if (!removed.ok()) co_return removed;
    dropActive(*job, running.uid());
  }
  co_return Status();
}

Co<Status> CronJobController::startJob(std::shared_ptr<CronJob> job, TimeZone::Instant at,
                                       TimeZone zone) {
  auto wanted = std::make_shared<Job>(scheduledJob(*job, at, zone));
  const std::string name = wanted->metadata().name();
  api::WriteOptions options;
  auto made = co_await context_.api.create(jobId(job->metadata().namespace_(), ""),
                                           std::move(wanted), std::move(options));
  api::ObjectPtr running;
  if (made) {
    running = made->object;
    events_.record(*job, EventClass::kNormal, "SuccessfulCreate", "Created job " + name);
  } else if (isNamespaceTerminating(made.status())) {
    co_return Status();
  } else if (made.status().is(Code::kAlreadyExists)) {
    // Made before, and the status was not written then.
    auto found = co_await context_.api.get(jobId(job->metadata().namespace_(), name));
    if (!found) co_return found.status();
    const auto* owner = api::controllerOf(api::meta(**found));
    if (owner == nullptr || owner->uid() != job->metadata().uid()) co_return Status();
    running = *found;
  } else {
    events_.record(*job, EventClass::kWarning, "FailedCreate",
                   "Error creating job: " + made.status().message());
    co_return made.status();
  }
  auto& status = *job->mutable_status();
  const auto& started = api::as<Job>(running);
  if (!isActiveJob(*job, started.metadata().uid()) && api::finishedCondition(started) == nullptr)
    *status.add_active() = referenceTo(started);
  *status.mutable_lastscheduletime() = api::toTime(at);
  co_await context_.jobs.waitFor(started.metadata().resourceversion());
  co_return Status();
}

Co<Status> CronJobController::writeStatus(CronJobPtr before, std::shared_ptr<CronJob> now) {
  if (api::sameMessage(before->status(), now->status())) co_return Status();
  api::ResourceId id{&api::kindFor<CronJob>(), now->metadata().namespace_(), now->metadata().name(),
                     "status"};
  api::WriteOptions options;
  auto written = co_await context_.api.update(std::move(id), now, std::move(options));
  if (!written) {
    co_return unlessGone(written.status());
  }
  co_await context_.cronJobs.waitFor(api::meta(*written->object).resourceversion());
  co_return Status();
}

}  // namespace podlab::controllers
