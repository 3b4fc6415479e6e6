#pragma once
#include <memory>
#include <string>

#include "controllers/context.hpp"

namespace podlab::controllers {

/// Says in the status of a pod that is about to be deleted that the cluster ends it, not the pod
/// itself: the condition DisruptionTarget, which a Job's podFailurePolicy may ignore. `failed`: and
/// that it has failed, which no agent will ever say. A pod that is gone or has ended is OK.
Co<Status> markDisrupted(Context& context, std::shared_ptr<const corev1::Pod> pod,
                         std::string reason, std::string message, bool failed);

}  // namespace podlab::controllers
