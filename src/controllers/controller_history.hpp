#pragma once
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "apps_v1.pb.h"
#include "core_v1_workloads.pb.h"

#include "api/selectors.hpp"
#include "controllers/context.hpp"

/// The history of a set's pod template, by which kubectl shows and undoes rollouts (upstream:
/// pkg/controller/history).
namespace podlab::controllers {

using RevisionPtr = std::shared_ptr<const appsv1::ControllerRevision>;

/// The label of revisions, and of the pods made after them.
inline constexpr const char* kRevisionHash = "controller-revision-hash";

struct History {
  std::vector<RevisionPtr> all;  ///< by their numbers, the present one among them
  RevisionPtr present;           ///< of the template as it is; it has the highest number
  bool collided = false;         ///< its name is another's: collisionCount has to grow

  /// nullptr when there is none.
  RevisionPtr find(const std::string& name) const;
};

/// The revisions that `owner` controls, and one for its template, which is made, or numbered anew
/// after an undo. Its name is the owner's with the template's hash.
Co<Result<History>> syncHistory(Context& context, api::ObjectPtr owner, api::LabelSelector selector,
                                corev1::PodTemplateSpec pod, std::int32_t collisions);
/// Removes the oldest revisions beyond `limit`, but for those whose names are in `live`.
Co<Status> trimHistory(Context& context, History history, std::set<std::string> live,
                       std::int32_t limit);

/// The template that the revision keeps; an empty one for data that is none.
corev1::PodTemplateSpec templateIn(const appsv1::ControllerRevision& revision);

}  // namespace podlab::controllers
