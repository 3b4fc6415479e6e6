#include "controllers/job_sync.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "api/jobs.hpp"
#include "api/times.hpp"
#include "controllers/owned_pods.hpp"

namespace podlab::controllers {
namespace {

template <typename Names>
std::set<std::string> setOf(const Names& names) {
  return {names.begin(), names.end()};
}

/// Indexes from a status; those that a smaller job no longer has do not count.
api::IndexSet indexesIn(const std::string& text, std::int32_t completions) {
  auto parsed = api::IndexSet::parse(text, std::numeric_limits<std::int32_t>::max());
  if (!parsed) return {};
  parsed->truncate(completions);
  return *parsed;
}

api::ConditionState failure(const char* reason, std::string message) {
  return {std::string(api::kJobFailureTarget), "True", reason, std::move(message)};
}

}  // namespace

JobSync::JobSync(Context& context, client::EventRecorder& events,
                 std::shared_ptr<JobBackOff> backOff, JobPtr job, std::vector<PodPtr> pods)
    : context_(context),
      events_(events),
      backOff_(std::move(backOff)),
      job_(std::move(job)),
      next_(*job_),
      written_(job_->status().SerializeAsString()),
      pods_(std::move(pods)),
      nextBackOff_(*backOff_) {}

std::optional<std::int32_t> JobSync::indexOf(const corev1::Pod& pod) const {
  if (!api::isIndexed(spec())) return std::nullopt;
  const auto index = completionIndex(pod);
  return index && *index < spec().completions() ? index : std::nullopt;
}

bool JobSync::belongs(const corev1::Pod& pod) const {
  return !api::isIndexed(spec()) || indexOf(pod).has_value();
}

void JobSync::comeBackIn(Duration delay) {
  again_ = std::min(again_.value_or(delay), delay);
}

void JobSync::countPods() {
  const auto& named = next_.status().uncountedterminatedpods();
  const std::set<std::string> succeeded = setOf(named.succeeded());
  const std::set<std::string> failed = setOf(named.failed());
  for (const auto& pod : pods_) {
    if (isActive(*pod)) active_.push_back(pod);
    if (!hasJobFinalizer(*pod)) continue;
    const std::string& uid = pod->metadata().uid();
    withFinalizer_.insert(uid);
    if (!belongs(*pod)) continue;
    if (pod->status().phase() == "Succeeded") {
      if (!succeeded.contains(uid) && !failed.contains(uid)) newSucceeded_.push_back(pod);
    } else if (isFailedFor(spec(), *pod) && !failed.contains(uid)) {
      newFailed_.push_back(pod);
    }
  }
  nextBackOff_.add(newSucceeded_, newFailed_);
  const auto counts = [&](const PodPtr& pod) { return judgeFailure(spec(), *pod).counts; };
  succeeded_ = next_.status().succeeded() + named.succeeded_size() +
               static_cast<std::int32_t>(newSucceeded_.size());
  failed_ = next_.status().failed() + named.failed_size() +
            static_cast<std::int32_t>(std::ranges::count_if(newFailed_, counts));
  if (api::isIndexed(spec())) countIndexes();
  recount();
}

void JobSync::countIndexes() {
  recorded_ = indexesIn(next_.status().completedindexes(), spec().completions());
  succeededIndexes_ = recorded_;
  for (const auto& pod : newSucceeded_) succeededIndexes_.insert(*indexOf(*pod));
  succeeded_ = succeededIndexes_.size();
  if (!hasLimitPerIndex()) return;
  failedIndexes_ = indexesIn(next_.status().failedindexes(), spec().completions());
  for (const auto& pod : newFailed_) {
    if (judgeFailure(spec(), *pod).failsIndex ||
        IndexFailures::after(spec(), *pod).counted > spec().backofflimitperindex())
      failedIndexes_.insert(*indexOf(*pod));
  }
  findDelayed();
}

void JobSync::findDelayed() {
  std::set<std::int32_t> running;
  for (const auto& pod : active_) running.insert(indexOf(*pod).value_or(-1));
  for (const auto& pod : pods_) {
    const auto index = indexOf(*pod);
    if (!index || !hasJobFinalizer(*pod) || !isFailedFor(spec(), *pod)) continue;
    if (running.contains(*index) || succeededIndexes_.contains(*index) ||
        failedIndexes_.contains(*index))
      continue;
    PodPtr& last = delayed_[*index];
    const auto rank = [](const PodPtr& of) {
      return std::pair(IndexFailures::before(*of).all(), finishedAt(*of));
    };
    if (last == nullptr || rank(last) < rank(pod)) last = pod;
  }
}

/// An end that was written earlier, or one that a failed pod brings by the podFailurePolicy.
std::optional<JobSync::Interim> JobSync::endByPods() const {
  for (const auto type : {api::kJobSuccessCriteriaMet, api::kJobFailureTarget}) {
    if (const auto* earlier = api::findTrue(next_, type))
      return Interim{earlier->type(), "True", earlier->reason(), earlier->message()};
  }
  for (const auto& pod : pods_) {
    if (!isFailedFor(spec(), *pod)) continue;
    if (auto message = judgeFailure(spec(), *pod).jobFailure)
      return failure("PodFailurePolicy", std::move(*message));
  }
  return std::nullopt;
}

std::int32_t JobSync::restarts() const {
  std::int32_t total = 0;
  for (const auto& pod : pods_) {
    if (api::isFinished(*pod)) continue;
    for (const auto& each : pod->status().initcontainerstatuses()) total += each.restartcount();
    for (const auto& each : pod->status().containerstatuses()) total += each.restartcount();
  }
  return total;
}

std::optional<JobSync::Interim> JobSync::endByLimits() {
  const std::int32_t limit = spec().backofflimit();
  const bool restarted =
      spec().template_().spec().restartpolicy() == "OnFailure" && restarts() >= std::max(limit, 1);
  if (failed_ > limit || restarted) {
    return failure("BackoffLimitExceeded", "Job has reached the specified backoff limit");
  }
  if (!spec().has_activedeadlineseconds() || spec().suspend()) return std::nullopt;
  const Duration left = api::toWallTime(next_.status().starttime()) +
                        std::chrono::seconds(spec().activedeadlineseconds()) -
                        context_.clock.wallNow();
  if (left <= Duration::zero()) {
    return failure("DeadlineExceeded", "Job was active longer than specified deadline");
  }
  comeBackIn(left);
  return std::nullopt;
}

std::optional<JobSync::Interim> JobSync::endByIndexes() const {
  const std::int32_t failed = failedIndexes_.size();
  if (spec().has_maxfailedindexes() && failed > spec().maxfailedindexes()) {
    return failure("MaxFailedIndexesExceeded",
                   "Job has exceeded the specified maximal number of failed indexes");
  }
  if (failed > 0 && failed + succeededIndexes_.size() >= spec().completions()) {
    return failure("FailedIndexes", "Job has failed indexes");
  }
  if (auto message = metSuccessPolicy(spec(), succeededIndexes_)) {
    return Interim{std::string(api::kJobSuccessCriteriaMet), "True", "SuccessPolicy",
                   std::move(*message)};
  }
  return std::nullopt;
}

/// A work queue is done when a pod has succeeded and all others have ended, too.
bool JobSync::isComplete() const {
  if (!spec().has_completions()) return succeeded_ > 0 && active_.empty();
  return succeeded_ >= spec().completions();
}

void JobSync::updateSuspension() {
  auto& status = *next_.mutable_status();
  const std::string type(api::kJobSuspended);
  const WallTime now = context_.clock.wallNow();
  const auto tell = [&](const api::ConditionState& state, const char* reason) {
    if (!api::setCondition(status, state, now)) return false;
    events_.record(*job_, client::EventClass::kNormal, reason, state.message);
    return true;
  };
  if (spec().suspend()) {
    tell({type, "True", "JobSuspended", "Job suspended"}, "Suspended");
  } else if (tell({type, "False", "JobResumed", "Job resumed"}, "Resumed")) {
    // The deadline counts from the start, and not while the job was suspended.
    *status.mutable_starttime() = api::toTime(now);
  }
}

Co<Status> JobSync::run() {
  auto& status = *next_.mutable_status();
  if (!status.has_uncountedterminatedpods()) status.mutable_uncountedterminatedpods();
  if (!api::isSet(status.starttime()) && !spec().suspend())
    *status.mutable_starttime() = api::toTime(context_.clock.wallNow());
  countPods();

  end_ = endByPods();
  if (!end_) end_ = endByLimits();
  if (!end_) end_ = endByIndexes();
  Status managed;
  if (end_) {
    managed = co_await discard(active_);
  } else {
    if (!job_->metadata().has_deletiontimestamp()) managed = co_await manage();
    if (isComplete()) {
      end_ = Interim{std::string(api::kJobSuccessCriteriaMet), "True", "CompletionsReached",
                     "Reached expected number of succeeded pods"};
    } else {
      updateSuspension();
    }
  }
  recount();
  const Status tracked = co_await track();
  co_return tracked.ok() ? managed : tracked;
}

}  // namespace podlab::controllers
