#include <algorithm>
#include <array>
#include <utility>

#include "api/arena_object.hpp"
#include "api/field_errors.hpp"
#include "api/owners.hpp"
#include "api/status_conversion.hpp"
#include "api/times.hpp"
#include "apiserver/object_fields.hpp"
#include "apiserver/registry.hpp"

namespace podlab::apiserver {
namespace {

using google::protobuf::Message;

constexpr std::array<std::string_view, 3> kImmortalNamespaces{"default", "kube-public",
                                                              "kube-system"};

Status checkPreconditions(const api::Kind& kind, const metav1::ObjectMeta& metadata,
                          const metav1::Preconditions& wanted) {
  if (wanted.has_uid() && wanted.uid() != metadata.uid()) {
    return api::conflict(kind, metadata.name(),
                         "Precondition failed: UID in precondition: " + wanted.uid() +
                             ", UID in object meta: " + metadata.uid());
  }
  if (wanted.has_resourceversion() && wanted.resourceversion() != metadata.resourceversion()) {
    return api::conflict(
        kind, metadata.name(),
        "Precondition failed: ResourceVersion in precondition: " + wanted.resourceversion() +
            ", ResourceVersion in object meta: " + metadata.resourceversion());
  }
  return {};
}

Status checkOptions(const api::DeleteOptions& options) {
  if (options.has_graceperiodseconds() && options.graceperiodseconds() < 0) {
    return Status(Code::kBadRequest, "gracePeriodSeconds: Invalid value: " +
                                         std::to_string(options.graceperiodseconds()) +
                                         ": must be greater than or equal to 0");
  }
  constexpr std::string_view kPolicies[] = {"Background", "Foreground", "Orphan"};
  const std::string& policy = options.propagationpolicy();
  api::FieldErrors errors;
  if (options.has_propagationpolicy() && options.has_orphandependents()) {
    errors.invalid(api::FieldPath("propagationPolicy"), policy,
                   "orphanDependents and deletionPropagation cannot be both set");
  } else if (options.has_propagationpolicy() &&
             std::ranges::find(kPolicies, policy) == std::end(kPolicies)) {
    errors.notSupported(api::FieldPath("propagationPolicy"), policy, kPolicies);
  }
  auto causes = errors.take();
  if (causes.empty()) return {};
  std::string message = "DeleteOptions.meta.k8s.io \"\" is invalid: " + causes.front().field +
                        ": " + causes.front().message;
  return Status(Code::kInvalid, std::move(message), std::move(causes));
}

/// The finalizer by which the garbage collector sees to the object's dependents first, or "": as
/// the options say, else as an earlier delete said, else as the kind has it (upstream:
/// registry/generic/registry/store.go, deletionFinalizersForGarbageCollection).
std::string_view dependentsFinalizer(const api::Kind& kind, const metav1::ObjectMeta& metadata,
                                     const api::DeleteOptions& options) {
  if (kind.strategy.dependents == api::Dependents::kNone) return "";
  if (options.has_orphandependents())
    return options.orphandependents() ? api::kOrphanFinalizer : std::string_view();
  if (options.propagationpolicy() == "Orphan") return api::kOrphanFinalizer;
  if (options.propagationpolicy() == "Foreground") return api::kForegroundFinalizer;
  if (options.propagationpolicy() == "Background") return "";
  for (const auto finalizer : {api::kOrphanFinalizer, api::kForegroundFinalizer}) {
    if (api::hasFinalizer(metadata, finalizer)) return finalizer;
  }
  return kind.strategy.dependents == api::Dependents::kOrphan ? api::kOrphanFinalizer
                                                              : std::string_view();
}

void setDependentsFinalizer(metav1::ObjectMeta& metadata, std::string_view wanted) {
  for (const auto finalizer : {api::kOrphanFinalizer, api::kForegroundFinalizer}) {
    if (finalizer != wanted) api::removeFinalizer(metadata, finalizer);
  }
  if (!wanted.empty() && !api::hasFinalizer(metadata, wanted))
    metadata.add_finalizers(std::string(wanted));
}

}  // namespace

Result<Registry::Change> Registry::decideRemoval(const api::ResourceId& id, const Message& current,
                                                 const api::DeleteOptions& options) const {
  const api::Kind& kind = *id.kind;
  const metav1::ObjectMeta& before = api::meta(current);
  if (Status bad = checkPreconditions(kind, before, options.preconditions()); !bad) return bad;
  std::int64_t grace = 0;
  if (kind.strategy.deletionGraceSeconds) grace = kind.strategy.deletionGraceSeconds(current);
  if (grace > 0 && options.has_graceperiodseconds()) grace = options.graceperiodseconds();

  Change change{api::copyOf(current)};
  metav1::ObjectMeta& metadata = api::mutableMeta(*change.next);
  // While a grace period runs, only a shorter one changes anything.
  const bool pending = before.has_deletiontimestamp() && kind.strategy.deletionGraceSeconds &&
                       grace >= before.deletiongraceperiodseconds();
  if (!pending) setDependentsFinalizer(metadata, dependentsFinalizer(kind, before, options));
  const std::string_view cleanUp = kind.strategy.cleanUpFinalizer;
  if (!cleanUp.empty() && !before.has_deletiontimestamp() && !api::hasFinalizer(metadata, cleanUp))
    metadata.add_finalizers(std::string(cleanUp));
  if (grace == 0 && !hasFinalizers(*change.next)) {
    change.remove = true;
    return change;
  }
  WallTime deadline = clock_.wallNow() + std::chrono::seconds(grace);
  if (before.has_deletiontimestamp()) {
    const std::int64_t granted = before.deletiongraceperiodseconds();
    if (grace >= granted) return change;  // a grace period can only become shorter
    deadline = api::toWallTime(before.deletiontimestamp()) - std::chrono::seconds(granted - grace);
  } else {
    if (metadata.generation() > 0) metadata.set_generation(metadata.generation() + 1);
  }
  *metadata.mutable_deletiontimestamp() = api::toTime(deadline);
  metadata.set_deletiongraceperiodseconds(grace);
  if (!before.has_deletiontimestamp() && kind.strategy.beginDeletion)
    kind.strategy.beginDeletion(*change.next);
  return change;
}

Co<Result<api::ObjectPtr>> Registry::remove(api::ResourceId id, api::DeleteOptions options) {
  co_return co_await removeWith(std::move(id), std::move(options), nullptr);
}

Co<Result<api::ObjectPtr>> Registry::removeWith(api::ResourceId id, api::DeleteOptions options,
                                                Adjust adjust) {
  if (id.name.empty() || !id.subresource.empty()) {
    co_return Status(Code::kMethodNotAllowed,
                     "the server does not allow this method on the requested resource");
  }
  if (Status bad = checkOptions(options); !bad) co_return bad;
  if (id.kind == &api::kindFor<corev1::Namespace>() &&
      std::ranges::find(kImmortalNamespaces, id.name) != kImmortalNamespaces.end()) {
    co_return api::forbidden(*id.kind, id.name, "this namespace may not be deleted");
  }
  const bool dryRun = std::ranges::find(options.dryrun(), "All") != options.dryrun().end();
  Decide decide = [&](const Message& current) -> Result<Change> {
    auto change = decideRemoval(id, current, options);
    if (!change || !adjust) return change;
    if (Status refused = adjust(current, *change); !refused) return refused;
    return change;
  };
  co_return co_await change(id, dryRun, std::move(decide));
}

}  // namespace podlab::apiserver
