// How a JobSync makes and deletes pods.
#include <algorithm>
#include <utility>

#include "api/jobs.hpp"
#include "controllers/job_sync.hpp"
#include "controllers/owned_pods.hpp"
#include "controllers/pod_ranking.hpp"

namespace podlab::controllers {
namespace {

constexpr std::size_t kMaxAtOnce = 500;

bool isReadyPod(const corev1::Pod& pod) {
  return api::isTrue(pod.status(), "Ready");
}

}  // namespace

/// What of the pods the status tells, from the cache as it is now.
void JobSync::recount() {
  active_.clear();
  terminating_ = 0;
  std::int32_t ready = 0;
  for (const auto& key : context_.podsByOwner.of(job_->metadata().uid())) {
    const auto pod = api::share<corev1::Pod>(context_.pods.get(key));
    if (isActive(*pod)) {
      active_.push_back(pod);
      if (isReadyPod(*pod)) ++ready;
    } else if (!api::isFinished(*pod)) {
      ++terminating_;
    }
  }
  auto& status = *next_.mutable_status();
  const auto active = static_cast<std::int32_t>(active_.size());
  active == 0 ? status.clear_active() : status.set_active(active);
  status.set_ready(ready);
  status.set_terminating(terminating_);
}

std::int32_t JobSync::wantedPods() const {
  if (!spec().has_completions()) {
    // After the first success of a work queue, what runs goes on and nothing is added.
    return succeeded_ > 0 ? static_cast<std::int32_t>(active_.size()) : spec().parallelism();
  }
  return std::clamp(spec().completions() - succeeded_, 0, spec().parallelism());
}

/// Pods too many: all that share an index or have none, and the least useful ones.
std::vector<PodPtr> JobSync::surplus(std::size_t atLeast) const {
  if (atLeast == 0 && !api::isIndexed(spec())) return {};
  std::vector<PodPtr> all;
  std::vector<api::ObjectPtr> active(active_.begin(), active_.end());
  for (const auto& pod :
       podsToDelete(std::move(active), {}, active_.size(), context_.clock.wallNow()))
    all.push_back(api::share<corev1::Pod>(pod));
  if (!api::isIndexed(spec())) {
    all.resize(std::min(atLeast, all.size()));
    return all;
  }
  std::vector<PodPtr> chosen;
  std::vector<PodPtr> left;
  std::set<std::int32_t> seen;
  // From the end: of those with one index the most useful stays.
  for (auto pod = all.rbegin(); pod != all.rend(); ++pod) {
    const auto index = indexOf(**pod);
    (index && seen.insert(*index).second ? left : chosen).push_back(*pod);
  }
  while (chosen.size() < atLeast && !left.empty()) {
    chosen.push_back(left.back());
    left.pop_back();
  }
  return chosen;
}

std::vector<std::int32_t> JobSync::indexesToStart(std::size_t count) {
  api::IndexSet taken = succeededIndexes_;
  taken.insert(failedIndexes_);
  for (const auto& pod : pods_) {
    const auto index = indexOf(*pod);
    const bool ending = replacesOnlyFailed(spec()) && !api::isFinished(*pod);
    if (index && (isActive(*pod) || ending)) taken.insert(*index);
  }
  std::vector<std::int32_t> indexes = taken.firstMissing(count, spec().completions());
  std::erase_if(indexes, [&](std::int32_t index) {
    const auto last = delayed_.find(index);
    if (last == delayed_.end()) return false;
    const Duration left = remainingBackOff(IndexFailures::after(spec(), *last->second).all(),
                                           finishedAt(*last->second), context_.clock.wallNow());
    if (left > Duration::zero()) comeBackIn(left);
    return left > Duration::zero();
  });
  return indexes;
}

Co<Status> JobSync::create(std::size_t count) {
  std::vector<PodPtr> pods;
  if (api::isIndexed(spec())) {
    for (const std::int32_t index : indexesToStart(count)) {
      const auto last = delayed_.find(index);
      IndexFailures failures;
      if (last != delayed_.end()) failures = IndexFailures::after(spec(), *last->second);
      pods.push_back(std::make_shared<corev1::Pod>(jobPod(*job_, index, failures)));
    }
  } else {
    const auto pod = std::make_shared<corev1::Pod>(jobPod(*job_, std::nullopt, {}));
    pods.assign(count, pod);
  }
  co_return co_await createPods(context_, events_, job_, std::move(pods));
}

Co<Status> JobSync::manage() {
  if (spec().suspend()) {
    if (active_.empty()) co_return Status();
    // Whoever takes a job's pods away does not make it fail.
    const Status freed = co_await removeFinalizers(active_);
    co_return freed.ok() ? co_await discard(active_) : freed;
  }
  const auto active = static_cast<std::int32_t>(active_.size());
  const std::int32_t wanted = wantedPods();
  std::vector<PodPtr> tooMany = surplus(static_cast<std::size_t>(std::max(active - wanted, 0)));
  tooMany.resize(std::min(tooMany.size(), kMaxAtOnce));
  if (!tooMany.empty()) {
    const Status freed = co_await removeFinalizers(tooMany);
    co_return freed.ok() ? co_await discard(std::move(tooMany)) : freed;
  }
  const std::int32_t held = replacesOnlyFailed(spec()) ? terminating_ : 0;
  const std::int32_t missing = wanted - held - active;
  if (missing <= 0) co_return Status();
  if (!hasLimitPerIndex()) {
    const Duration left =
        remainingBackOff(nextBackOff_.failures, nextBackOff_.lastFailure, context_.clock.wallNow());
    if (left > Duration::zero()) {
      comeBackIn(left);
      co_return Status();
    }
  }
  co_return co_await create(std::min(static_cast<std::size_t>(missing), kMaxAtOnce));
}

Co<Status> JobSync::removeFinalizers(std::vector<PodPtr> pods) {
  const auto failure = std::make_shared<Status>();
  TaskGroup tasks(context_.executor);
  for (const auto& pod : pods) {
    if (hasJobFinalizer(*pod))
      tasks.spawn("job_finalizer", removeJobFinalizer(context_, pod, failure));
  }
  co_await tasks.join();
  if (failure->ok()) {
    for (const auto& pod : pods) withFinalizer_.erase(pod->metadata().uid());
  }
  co_return *failure;
}

Co<Status> JobSync::discard(std::vector<PodPtr> pods) {
  std::vector<api::ObjectPtr> objects(pods.begin(), pods.end());
  co_return co_await deletePods(context_, events_, job_, std::move(objects));
}

}  // namespace podlab::controllers
