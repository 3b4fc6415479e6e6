#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "batch_v1.pb.h"

#include "api/index_set.hpp"
#include "api/object.hpp"
#include "common/time.hpp"
#include "controllers/context.hpp"

/// What a Job's pods mean for it: pure but for removeJobFinalizer (upstream: pkg/controller/job,
/// indexed_job_utils.go, pod_failure_policy.go, success_policy.go, backoff_utils.go).
namespace podlab::controllers {

using PodPtr = std::shared_ptr<const corev1::Pod>;
using JobPtr = std::shared_ptr<const batchv1::Job>;

/// On a pod from its making until its end is counted, so that none is lost and none counts twice.
inline constexpr std::string_view kJobFinalizer = "batch.kubernetes.io/job-tracking";

bool hasJobFinalizer(const corev1::Pod& pod);
/// Returns when the cache shows it; a pod that is gone is OK. A failure goes to `failure`.
Co<void> removeJobFinalizer(Context& context, PodPtr pod, std::shared_ptr<Status> failure);

/// The pod's completion index; nullopt for a pod without and for a malformed one.
std::optional<std::int32_t> completionIndex(const corev1::Pod& pod);

/// Whether a pod is replaced only when it has ended, not when it begins to.
bool replacesOnlyFailed(const batchv1::JobSpec& spec);
/// Whether the job takes the pod for failed. One that is being deleted may never get to say so.
bool isFailedFor(const batchv1::JobSpec& spec, const corev1::Pod& pod);
/// When the pod ended, as far as can be known.
WallTime finishedAt(const corev1::Pod& pod);

/// What the job's podFailurePolicy says of a failed pod.
struct FailureVerdict {
  bool counts = true;
  bool failsIndex = false;
  std::optional<std::string> jobFailure;  ///< the message, when the whole job fails
};
FailureVerdict judgeFailure(const batchv1::JobSpec& spec, const corev1::Pod& pod);

/// The message when the job's successPolicy is met.
std::optional<std::string> metSuccessPolicy(const batchv1::JobSpec& spec,
                                            const api::IndexSet& succeeded);

/// For jobs with a backoffLimitPerIndex: how often the index had failed when the pod was made, and
/// the failures that its policy ignored.
struct IndexFailures {
  std::int32_t counted = 0;
  std::int32_t ignored = 0;

  static IndexFailures before(const corev1::Pod& pod);
  /// Including that of `pod`, which has failed.
  static IndexFailures after(const batchv1::JobSpec& spec, const corev1::Pod& pod);
  std::int32_t all() const { return counted + ignored; }
};

/// How long from `now` the next pod has to wait: 10 s after the first failure in a row, doubled for
/// each further one, at most 10 min.
Duration remainingBackOff(std::int32_t failures, WallTime lastFailure, WallTime now);

/// Failures since the last success.
struct JobBackOff {
  std::int32_t failures = 0;
  WallTime lastFailure{};

  void add(std::vector<PodPtr> succeeded, std::vector<PodPtr> failed);
};

/// A pod for the job to make; `index` for an indexed job. `failures` of the index so far, for one
/// with a limit of its own.
corev1::Pod jobPod(const batchv1::Job& job, std::optional<std::int32_t> index,
                   const IndexFailures& failures);

}  // namespace podlab::controllers
