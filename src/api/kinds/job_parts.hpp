#pragma once
#include "batch_v1.pb.h"

#include "api/field_errors.hpp"

/// What Jobs and the templates of CronJobs share (job_validation.cpp).
namespace podlab::api {

/// The spec but for its selector.
void validateJobSpec(const batchv1::JobSpec& spec, const FieldPath& path, FieldErrors& errors);
/// What may not change. `now` and `before` are whole, for their status.
void validateJobSpecUpdate(const batchv1::Job& now, const batchv1::Job& before,
                           FieldErrors& errors);

}  // namespace podlab::api
