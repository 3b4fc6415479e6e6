#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "core_v1_workloads.pb.h"

#include "api/selectors.hpp"
#include "controllers/context.hpp"

/// What controllers do alike with the objects that they own. All of these return when the caches
/// show what was written, so that no later decision rests on a state before it.
namespace podlab::controllers {

/// Neither finished nor on its way out.
bool isActive(const corev1::Pod& pod);
/// Since when the pod is available: ready for minReadySeconds. It may be in the future; nullopt
/// when it is not ready.
std::optional<WallTime> availableSince(const corev1::Pod& pod, std::int32_t minReadySeconds);

/// A cache, and its index by ownerOf().
struct OwnedObjects {
  client::Informer& cache;
  const ObjectIndex& byOwner;
};

/// The objects that `owner` controls and its selector matches. Others that it controls are
/// released; orphans of its namespace that the selector matches are adopted, once a fresh read has
/// shown that the owner is there and stays. Only objects that are `relevant` are touched (upstream:
/// controller_ref_manager.go).
Co<Result<std::vector<api::ObjectPtr>>> claim(
    Context& context, OwnedObjects objects, api::ObjectPtr owner, api::LabelSelector selector,
    std::function<bool(const google::protobuf::Message&)> relevant);

/// A pod of the template for `owner` to make: with a generated name and the owner as controller.
corev1::Pod podOf(const corev1::PodTemplateSpec& pod, const google::protobuf::Message& owner);

/// Makes the pods, in batches that double while all goes well, and tells of them by events
/// about the owner: SuccessfulCreate, FailedCreate. The first failure; a namespace on its way out
/// is none.
Co<Status> createPods(Context& context, client::EventRecorder& events, api::ObjectPtr owner,
                      std::vector<std::shared_ptr<const corev1::Pod>> pods);
/// Deletes the pods, all at once: SuccessfulDelete, FailedDelete. The first failure; a pod that is
/// gone is none.
Co<Status> deletePods(Context& context, client::EventRecorder& events, api::ObjectPtr owner,
                      std::vector<api::ObjectPtr> pods);

/// Whether a create failed because the namespace is being deleted.
bool isNamespaceTerminating(const Status& status);

}  // namespace podlab::controllers
