#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "api/conditions.hpp"
#include "api/index_set.hpp"
#include "controllers/context.hpp"
#include "controllers/job_pods.hpp"

namespace podlab::controllers {

/// One comparison of a Job with its pods, as upstream's syncJob: counts the pods that have ended,
/// decides whether the job has, makes and deletes pods, and writes the status.
///
/// That exactly so many completions are counted under crashes: pods carry a finalizer; the status
/// first names those that are to be counted (uncountedTerminatedPods), then the finalizers go, then
/// the names become numbers. Completion indexes count once by themselves.
class JobSync {
 public:
  JobSync(Context& context, client::EventRecorder& events, std::shared_ptr<JobBackOff> backOff,
          JobPtr job, std::vector<PodPtr> pods);

  Co<Status> run();
  /// Look again then, even when nothing happens.
  std::optional<Duration> again() const { return again_; }

 private:
  using Interim = api::ConditionState;  ///< FailureTarget or SuccessCriteriaMet

  const batchv1::JobSpec& spec() const { return next_.spec(); }
  bool hasLimitPerIndex() const { return spec().has_backofflimitperindex(); }
  bool isSuccess() const { return end_ && end_->type == "SuccessCriteriaMet"; }
  /// The pod's index when it is one of the job's; always nullopt when the job has none.
  std::optional<std::int32_t> indexOf(const corev1::Pod& pod) const;
  bool belongs(const corev1::Pod& pod) const;
  void comeBackIn(Duration delay);

  // job_sync.cpp
  void countPods();
  void countIndexes();
  void findDelayed();
  std::optional<Interim> endByPods() const;
  std::optional<Interim> endByLimits();
  std::optional<Interim> endByIndexes() const;
  bool isComplete() const;
  std::int32_t restarts() const;
  void updateSuspension();

  // job_sync_pods.cpp
  Co<Status> manage();
  std::int32_t wantedPods() const;
  std::vector<PodPtr> surplus(std::size_t atLeast) const;
  std::vector<std::int32_t> indexesToStart(std::size_t count);
  Co<Status> removeFinalizers(std::vector<PodPtr> pods);
  Co<Status> discard(std::vector<PodPtr> pods);
  Co<Status> create(std::size_t count);
  void recount();

  // job_sync_status.cpp
  Co<Status> track();
  std::vector<PodPtr> nameEnded();
  bool mayLetGo(const corev1::Pod& pod) const;
  void writeIndexes();
  void countNamed();
  bool finish();
  Co<Status> flush();

  Context& context_;
  client::EventRecorder& events_;
  const std::shared_ptr<JobBackOff> backOff_;
  const JobPtr job_;
  batchv1::Job next_;    ///< with the status to be
  std::string written_;  ///< the status that the server has, encoded
  std::vector<PodPtr> pods_;
  std::vector<PodPtr> active_;
  std::vector<PodPtr> newSucceeded_;
  std::vector<PodPtr> newFailed_;
  std::set<std::string> withFinalizer_;  ///< uids
  JobBackOff nextBackOff_;
  std::int32_t succeeded_ = 0;
  std::int32_t failed_ = 0;
  std::int32_t terminating_ = 0;
  api::IndexSet recorded_;  ///< succeeded, as the status says
  api::IndexSet succeededIndexes_;
  api::IndexSet failedIndexes_;
  /// The last failed pod of each index that waits for a replacement, which its back-off needs.
  std::map<std::int32_t, PodPtr> delayed_;
  std::optional<Interim> end_;
  bool moreToCount_ = false;
  std::optional<Duration> again_;
};

}  // namespace podlab::controllers
