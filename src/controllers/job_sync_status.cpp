// How a JobSync counts what has ended, and writes the status.
#include <algorithm>
#include <utility>

#include "api/jobs.hpp"
#include "api/kinds.hpp"
#include "api/times.hpp"
#include "controllers/job_sync.hpp"
#include "controllers/owned_pods.hpp"

namespace podlab::controllers {
namespace {

constexpr int kMaxNamed = 500;  ///< pods that the status names at a time

/// Drops the names that are in no set any more; how many.
template <typename Names>
std::int32_t dropOthers(Names& names, const std::set<std::string>& kept) {
  const auto end = std::remove_if(names.begin(), names.end(),
                                  [&](const std::string& name) { return !kept.contains(name); });
  const auto count = static_cast<std::int32_t>(names.end() - end);
  names.erase(end, names.end());
  return count;
}

}  // namespace

bool JobSync::mayLetGo(const corev1::Pod& pod) const {
  if (job_->metadata().has_deletiontimestamp()) return true;
  if (pod.status().phase() != "Succeeded" && !isFailedFor(spec(), pod)) return false;
  if (end_) return true;
  // Until the replacement is there, which knows of the failure.
  const auto delayed = delayed_.find(indexOf(pod).value_or(-1));
  return delayed == delayed_.end() || delayed->second->metadata().uid() != pod.metadata().uid();
}

/// Names in the status the ended pods that are not counted yet. The pods that need their
/// finalizers no longer, once that is written.
std::vector<PodPtr> JobSync::nameEnded() {
  auto& named = *next_.mutable_status()->mutable_uncountedterminatedpods();
  const std::set<std::string> failed(named.failed().begin(), named.failed().end());
  const std::set<std::string> succeeded(named.succeeded().begin(), named.succeeded().end());
  const bool indexed = api::isIndexed(spec());
  std::vector<PodPtr> ended = pods_;
  std::ranges::sort(ended, {}, [](const PodPtr& pod) { return completionIndex(*pod); });
  std::vector<PodPtr> free;
  int more = 0;
  for (const auto& pod : ended) {
    if (!hasJobFinalizer(*pod) || !mayLetGo(*pod)) continue;
    if (more + named.succeeded_size() + named.failed_size() >= kMaxNamed) {
      moreToCount_ = true;
      break;
    }
    free.push_back(pod);
    const std::string& uid = pod->metadata().uid();
    if (failed.contains(uid) || succeeded.contains(uid) || !belongs(*pod)) continue;
    if (pod->status().phase() == "Succeeded") {
      if (!indexed) {
        named.add_succeeded(uid);
      } else if (!recorded_.contains(*indexOf(*pod))) {
        recorded_.insert(*indexOf(*pod));
        ++more;
      }
    } else if (isFailedFor(spec(), *pod) && !isSuccess() && judgeFailure(spec(), *pod).counts) {
      named.add_failed(uid);
    }
  }
  return free;
}

void JobSync::writeIndexes() {
  if (!api::isIndexed(spec())) return;
  auto& status = *next_.mutable_status();
  const std::int32_t succeeded = recorded_.size();
  succeeded == 0 ? status.clear_succeeded() : status.set_succeeded(succeeded);
  recorded_.empty() ? status.clear_completedindexes()
                    : status.set_completedindexes(recorded_.toString());
  if (hasLimitPerIndex()) status.set_failedindexes(failedIndexes_.toString());
}

/// Turns names into numbers: of pods that are gone or have lost their finalizers.
void JobSync::countNamed() {
  auto& status = *next_.mutable_status();
  auto& named = *status.mutable_uncountedterminatedpods();
  if (const auto count = dropOthers(*named.mutable_succeeded(), withFinalizer_))
    status.set_succeeded(status.succeeded() + count);
  if (const auto count = dropOthers(*named.mutable_failed(), withFinalizer_))
    status.set_failed(status.failed() + count);
}

/// Whether the job is over: all its pods have ended and are counted.
bool JobSync::finish() {
  auto& status = *next_.mutable_status();
  const auto& named = status.uncountedterminatedpods();
  if (!end_ || moreToCount_ || named.succeeded_size() + named.failed_size() > 0 ||
      !active_.empty() || terminating_ > 0)
    return false;
  const WallTime now = context_.clock.wallNow();
  api::ConditionState final = *end_;
  final.type = std::string(isSuccess() ? api::kJobComplete : api::kJobFailed);
  api::setCondition(status, final, now);
  if (isSuccess()) *status.mutable_completiontime() = api::toTime(now);
  return true;
}

Co<Status> JobSync::flush() {
  const std::string bytes = next_.status().SerializeAsString();
  if (bytes == written_) co_return Status();
  api::ResourceId id{&api::kindFor<batchv1::Job>(), next_.metadata().namespace_(),
                     next_.metadata().name(), "status"};
  auto object = std::make_shared<batchv1::Job>(next_);
  api::WriteOptions options;
  auto result = co_await context_.api.update(std::move(id), std::move(object), std::move(options));
  if (!result) co_return result.status();
  *next_.mutable_metadata() = api::meta(*result->object);
  written_ = bytes;
  co_await context_.jobs.waitFor(next_.metadata().resourceversion());
  co_return Status();
}

Co<Status> JobSync::track() {
  countNamed();
  std::vector<PodPtr> free = nameEnded();
  writeIndexes();
  if (end_) api::setCondition(*next_.mutable_status(), *end_, context_.clock.wallNow());
  Status written = co_await flush();
  if (!written.ok()) co_return written;
  *backOff_ = nextBackOff_;

  const Status removed = co_await removeFinalizers(std::move(free));
  if (!removed.ok()) co_return removed;
  countNamed();
  const bool over = finish();
  written = co_await flush();
  if (!written.ok()) co_return written;
  if (moreToCount_) comeBackIn(Duration::zero());
  if (!over) co_return Status();
  if (isSuccess()) {
    events_.record(*job_, client::EventClass::kNormal, "Completed", "Job completed");
  } else {
    events_.record(*job_, client::EventClass::kWarning, end_->reason, end_->message);
  }
  co_return Status();
}

}  // namespace podlab::controllers
