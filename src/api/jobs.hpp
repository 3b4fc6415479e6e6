#pragma once
#include <string>
#include <string_view>

#include "batch_v1.pb.h"

#include "api/conditions.hpp"
#include "api/object.hpp"

/// What the server's and the controllers' code on Jobs have in common (k8s.io/api/batch/v1).
namespace podlab::api {

inline constexpr std::string_view kJobUidLabel = "batch.kubernetes.io/controller-uid";
inline constexpr std::string_view kJobNameLabel = "batch.kubernetes.io/job-name";
inline constexpr std::string_view kOldJobUidLabel = "controller-uid";
inline constexpr std::string_view kOldJobNameLabel = "job-name";

inline constexpr std::string_view kJobComplete = "Complete";
inline constexpr std::string_view kJobFailed = "Failed";
inline constexpr std::string_view kJobSuspended = "Suspended";
inline constexpr std::string_view kJobFailureTarget = "FailureTarget";
inline constexpr std::string_view kJobSuccessCriteriaMet = "SuccessCriteriaMet";

inline bool isIndexed(const batchv1::JobSpec& spec) {
  return spec.completionmode() == "Indexed";
}

/// The condition of a type when it is "True", else nullptr.
const batchv1::JobCondition* findTrue(const batchv1::Job& job, std::string_view type);
/// Sets a condition; one that is not there stays away while it would be "False". Whether anything
/// changed.
bool setCondition(batchv1::JobStatus& status, const ConditionState& state, WallTime now);
/// The condition that ended the job, Complete or Failed; nullptr while it goes on.
const batchv1::JobCondition* finishedCondition(const batchv1::Job& job);

}  // namespace podlab::api
