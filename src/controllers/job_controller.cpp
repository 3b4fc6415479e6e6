#include "controllers/job_controller.hpp"

#include <utility>

#include "api/jobs.hpp"
#include "api/kinds.hpp"
#include "api/owners.hpp"
#include "api/times.hpp"
#include "controllers/job_sync.hpp"
#include "controllers/owned_pods.hpp"

namespace podlab::controllers {
namespace {

constexpr std::size_t kWorkers = 8;
/// Pods change in bursts (upstream: syncJobBatchPeriod).
constexpr Duration kPause = std::chrono::milliseconds(20);
constexpr std::string_view kManager = "kubernetes.io/job-controller";

bool isOurs(const batchv1::Job& job) {
  return !job.spec().has_managedby() || job.spec().managedby() == kManager;
}

}  // namespace

JobController::JobController(Context& context, client::EventRecorder& events)
    : context_(context),
      events_(events),
      jobs_("job", context.clock, context.rng, context.executor,
            [this](std::string key) { return reconcile(std::move(key)); }),
      orphans_("job_orphan", context.clock, context.rng, context.executor,
               [this](std::string key) { return releaseOrphan(std::move(key)); }) {
  client::Informer::Handlers jobs;
  jobs.added = [this](const api::ObjectPtr& job) { jobs_.add(api::keyOf(*job)); };
  jobs.updated = [this](const api::ObjectPtr&, const api::ObjectPtr& job) {
    jobs_.add(api::keyOf(*job));
  };
  jobs.deleted = [this](const api::ObjectPtr& job) {
    const std::string& uid = api::meta(*job).uid();
    backOffs_.erase(uid);
    for (const auto& key : context_.podsByOwner.of(uid)) orphans_.add(key);
  };
  context_.jobs.addHandlers(std::move(jobs));

  client::Informer::Handlers pods;
  pods.added = [this](const api::ObjectPtr& pod) { observePod(api::as<corev1::Pod>(pod)); };
  pods.updated = [this](const api::ObjectPtr& before, const api::ObjectPtr& pod) {
    observePod(api::as<corev1::Pod>(pod));
    const auto* had = api::controllerOf(api::meta(*before));
    const auto* has = api::controllerOf(api::meta(*pod));
    if (had != nullptr && (has == nullptr || has->uid() != had->uid()))
      observePod(api::as<corev1::Pod>(before));
  };
  pods.deleted = [this](const api::ObjectPtr& pod) { observePod(api::as<corev1::Pod>(pod)); };
  context_.pods.addHandlers(std::move(pods));
}

void JobController::start() {
  jobs_.start(context_.waitForSync(), kWorkers);
  orphans_.start(context_.waitForSync());
}

Co<void> JobController::stop() {
  co_await jobs_.stop();
  co_await orphans_.stop();
}

JobPtr JobController::jobOf(const corev1::Pod& pod) const {
  const auto* owner = api::controllerOf(pod.metadata());
  if (owner == nullptr || owner->kind() != "Job") return nullptr;
  const auto job = context_.jobs.get(pod.metadata().namespace_() + "/" + owner->name());
  if (!job || api::meta(*job).uid() != owner->uid()) return nullptr;
  return api::share<batchv1::Job>(job);
}

void JobController::observePod(const corev1::Pod& pod) {
  if (const auto job = jobOf(pod)) {
    jobs_.addAfter(api::keyOf(*job), kPause);
  } else if (hasJobFinalizer(pod)) {
    orphans_.add(api::keyOf(pod));
  }
}

Co<Status> JobController::releaseOrphan(std::string key) {
  const auto object = context_.pods.get(key);
  if (!object || !hasJobFinalizer(api::as<corev1::Pod>(object)) ||
      jobOf(api::as<corev1::Pod>(object)))
    co_return Status();
  const auto failure = std::make_shared<Status>();
  co_await removeJobFinalizer(context_, api::share<corev1::Pod>(object), failure);
  co_return *failure;
}

Co<Status> JobController::reconcile(std::string key) {
  const auto object = context_.jobs.get(key);
  if (!object || !isOurs(api::as<batchv1::Job>(object))) co_return Status();
  const JobPtr job = api::share<batchv1::Job>(object);
  if (api::finishedCondition(*job) != nullptr) co_return co_await cleanUp(job);

  auto selector = api::LabelSelector::of(job->spec().selector());
  if (!selector) co_return selector.status();
  OwnedObjects owned{context_.pods, context_.podsByOwner};
  auto claimed = co_await claim(context_, owned, job, std::move(*selector),
                                [](const google::protobuf::Message&) { return true; });
  if (!claimed) co_return claimed.status();
  std::vector<PodPtr> pods;
  for (const auto& pod : *claimed) pods.push_back(api::share<corev1::Pod>(pod));

  auto& backOff = backOffs_[job->metadata().uid()];
  if (!backOff) backOff = std::make_shared<JobBackOff>();
  JobSync sync(context_, events_, backOff, job, std::move(pods));
  const Status status = co_await sync.run();
  if (const auto delay = sync.again()) jobs_.addAfter(std::move(key), *delay);
  co_return status;
}

/// What is left to do for a finished job.
Co<Status> JobController::cleanUp(JobPtr job) {
  backOffs_.erase(job->metadata().uid());
  const auto failure = std::make_shared<Status>();
  for (const auto& key : context_.podsByOwner.of(job->metadata().uid())) {
    const auto pod = api::share<corev1::Pod>(context_.pods.get(key));
    if (pod && hasJobFinalizer(*pod)) co_await removeJobFinalizer(context_, pod, failure);
  }
  if (!failure->ok()) co_return *failure;
  if (!job->spec().has_ttlsecondsafterfinished() || job->metadata().has_deletiontimestamp())
    co_return Status();
  const Duration left = api::toWallTime(api::finishedCondition(*job)->lasttransitiontime()) +
                        std::chrono::seconds(job->spec().ttlsecondsafterfinished()) -
                        context_.clock.wallNow();
  if (left > Duration::zero()) {
    jobs_.addAfter(api::keyOf(*job), left);
    co_return Status();
  }
  api::ResourceId id{&api::kindFor<batchv1::Job>(), job->metadata().namespace_(),
                     job->metadata().name(), ""};
  api::DeleteOptions options;
  options.set_propagationpolicy("Foreground");
  options.mutable_preconditions()->set_uid(job->metadata().uid());
  // A longer ttl that was set meanwhile counts.
  options.mutable_preconditions()->set_resourceversion(job->metadata().resourceversion());
  auto removed = co_await context_.api.remove(std::move(id), std::move(options));
  co_return unlessGone(removed.status());
}

}  // namespace podlab::controllers
