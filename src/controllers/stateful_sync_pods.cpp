// How a StatefulSync makes and deletes pods, and keeps their claims.
#include <algorithm>
#include <cctype>
#include <utility>

#include "api/kinds.hpp"
#include "client/modify.hpp"
#include "controllers/owned_pods.hpp"
#include "controllers/stateful_sync.hpp"

namespace podlab::controllers {
namespace {

using corev1::PersistentVolumeClaim;

api::ResourceId claimId(const PersistentVolumeClaim& claim) {
  return {&api::kindFor<PersistentVolumeClaim>(), claim.metadata().namespace_(),
          claim.metadata().name(), ""};
}

api::ResourceId podId(const corev1::Pod& pod) {
  return {&api::kindFor<corev1::Pod>(), pod.metadata().namespace_(), pod.metadata().name(), ""};
}

}  // namespace

void StatefulSync::tell(const char* verb, const std::string& name, const Status& status) {
  std::string reason(verb);
  reason[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(reason[0])));
  const std::string what =
      std::string(verb) + " " + name + " in StatefulSet " + set_->metadata().name();
  if (status.ok()) {
    const bool claim = name.starts_with("Claim ");
    events_.record(*set_, client::EventClass::kNormal, "Successful" + reason,
                   what + (claim ? " success" : " successful"));
  } else {
    events_.record(*set_, client::EventClass::kWarning, "Failed" + reason,
                   what + " failed error: " + status.message());
  }
}

bool StatefulSync::hasStaleClaim(const Slot& slot) const {
  return std::ranges::any_of(spec().volumeclaimtemplates(), [&](const auto& each) {
    const auto wanted = statefulClaim(*set_, each, slot.ordinal);
    const auto claim = context_.claims.get(api::keyOf(wanted));
    return claim &&
           isStale(api::as<PersistentVolumeClaim>(claim), statefulPodName(*set_, slot.ordinal),
                   slot.pod ? slot.pod->metadata().uid() : "");
  });
}

/// Makes the claims that are missing, for `pod` unless it is null, and sets the owners of the
/// others.
Co<Status> StatefulSync::keepClaims(std::int32_t ordinal, PodPtr pod, bool condemned) {
  for (const auto& each : spec().volumeclaimtemplates()) {
    auto wanted = std::make_shared<PersistentVolumeClaim>(statefulClaim(*set_, each, ordinal));
    const auto found = context_.claims.get(api::keyOf(*wanted));
    if (!found && condemned) continue;
    if (!found) {
      setClaimOwners(*wanted, *set_, pod.get(), false);
      api::ResourceId id = claimId(*wanted);
      id.name.clear();
      api::WriteOptions options;
      auto made = co_await context_.api.create(std::move(id), wanted, std::move(options));
      if (!made && isNamespaceTerminating(made.status())) co_return made.status();
      tell("create",
           "Claim " + wanted->metadata().name() + (made ? " Pod " : " for Pod ") +
               statefulPodName(*set_, ordinal),
           made.status());
      if (!made) co_return made.status();
      co_await context_.claims.waitFor(api::meta(*made->object).resourceversion());
      continue;
    }
    const auto& claim = api::as<PersistentVolumeClaim>(found);
    if (claim.metadata().has_deletiontimestamp()) {
      if (pod) continue;
      co_return Status(Code::kConflict, "pvc " + claim.metadata().name() + " is being deleted");
    }
    const client::Change change = [&](google::protobuf::Message& object) {
      auto& now = static_cast<PersistentVolumeClaim&>(object);
      return now.metadata().uid() == claim.metadata().uid() &&
             setClaimOwners(now, *set_, pod.get(), condemned);
    };
    auto written = co_await client::modify(context_.api, claimId(claim), found, change);
    if (!written && !written.status().is(Code::kNotFound)) co_return written.status();
    if (written) co_await context_.claims.waitFor(api::meta(**written).resourceversion());
  }
  co_return Status();
}

Co<Status> StatefulSync::create(Slot slot) {
  const Status claims = co_await keepClaims(slot.ordinal, nullptr, false);
  if (!claims.ok()) co_return isNamespaceTerminating(claims) ? Status() : claims;
  // Below the partition, pods stay of the revision that the set is leaving.
  const auto& strategy = spec().updatestrategy();
  const bool old = strategy.type() == "RollingUpdate" &&
                   slot.ordinal < spec().ordinals().start() + strategy.rollingupdate().partition();
  const RevisionPtr& revision = old ? current_ : history_.present;
  const corev1::PodTemplateSpec pod = old ? templateIn(*revision) : spec().template_();
  const auto wanted = std::make_shared<corev1::Pod>(
      statefulPod(*set_, pod, revision->metadata().name(), slot.ordinal));
  api::ResourceId id = podId(*wanted);
  id.name.clear();
  api::WriteOptions options;
  auto made = co_await context_.api.create(std::move(id), wanted, std::move(options));
  if (!made && isNamespaceTerminating(made.status())) co_return Status();
  tell("create", "Pod " + wanted->metadata().name(), made.status());
  if (!made) co_return made.status();
  co_await context_.pods.waitFor(api::meta(*made->object).resourceversion());
  co_return Status();
}

Co<Status> StatefulSync::remove(PodPtr pod) {
  api::DeleteOptions options;
  options.mutable_preconditions()->set_uid(pod->metadata().uid());
  auto removed = co_await context_.api.remove(podId(*pod), std::move(options));
  if (removed.status().is(Code::kNotFound) || removed.status().is(Code::kConflict))
    co_return Status();
  tell("delete", "Pod " + pod->metadata().name(), removed.status());
  if (!removed) co_return removed.status();
  co_await context_.pods.waitFor(api::meta(**removed).resourceversion());
  co_return Status();
}

Co<Status> StatefulSync::keepIdentity(Slot slot) {
  const Status claims = co_await keepClaims(slot.ordinal, slot.pod, false);
  if (!claims.ok()) co_return claims;
  const client::Change change = [&](google::protobuf::Message& object) {
    auto& pod = static_cast<corev1::Pod&>(object);
    return pod.metadata().uid() == slot.pod->metadata().uid() && setIdentity(pod, slot.ordinal);
  };
  auto written = co_await client::modify(context_.api, podId(*slot.pod), slot.pod, change);
  if (written) {
    co_await context_.pods.waitFor(api::meta(**written).resourceversion());
  } else if (!written.status().is(Code::kNotFound)) {
    co_return written.status();
  }
  co_return Status();
}

}  // namespace podlab::controllers
