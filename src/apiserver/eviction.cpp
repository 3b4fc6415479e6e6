#include "apiserver/eviction.hpp"

#include <utility>

#include "policy_v1.pb.h"

#include "api/conditions.hpp"
#include "api/disruption_budgets.hpp"
#include "api/kinds.hpp"
#include "api/status_conversion.hpp"
#include "api/times.hpp"
#include "apiserver/registry.hpp"

namespace podlab::apiserver {
namespace {

using google::protobuf::Message;
using policyv1::PodDisruptionBudget;

constexpr int kMaxDisruptedPods = 2000;

/// Nothing is disrupted by the end of a pod that does not run, or ends already.
bool isNoDisruption(const corev1::Pod& pod) {
  return api::isFinished(pod) || pod.status().phase() == "Pending" ||
         pod.metadata().has_deletiontimestamp();
}

Status refused(const std::string& why) {
  return {Code::kTooManyRequests,
          "Cannot evict pod as it would violate the pod's disruption budget.",
          {{"DisruptionBudget", "", why}}};
}

Result<std::vector<api::ObjectPtr>> budgetsOf(const corev1::Pod& pod, WatchCache& cache) {
  std::vector<api::ObjectPtr> found;
  Filter filter;
  filter.ns = pod.metadata().namespace_();
  cache.of(api::kindFor<PodDisruptionBudget>())
      .forEach(filter, [&](const std::string&, const api::ObjectPtr& object) {
        if (api::selects(api::as<PodDisruptionBudget>(object), pod)) found.push_back(object);
        return true;
      });
  if (found.size() > 1) {
    return Status(Code::kInternal,
                  "This pod has more than one PodDisruptionBudget, which the eviction subresource "
                  "does not support.");
  }
  return found;
}

Status check(const PodDisruptionBudget& budget) {
  const std::string& name = budget.metadata().name();
  const auto& status = budget.status();
  if (status.observedgeneration() < budget.metadata().generation()) {
    return refused("The disruption budget " + name + " is still being processed by the server.");
  }
  if (status.disruptedpods_size() > kMaxDisruptedPods) {
    return api::forbidden(api::kindFor<PodDisruptionBudget>(), name,
                          "DisruptedPods map too big - too many evictions not confirmed by PDB "
                          "controller");
  }
  if (status.disruptionsallowed() <= 0) {
    return refused("The disruption budget " + name + " needs " +
                   std::to_string(status.desiredhealthy()) + " healthy pods and has " +
                   std::to_string(status.currenthealthy()) + " currently");
  }
  return {};
}

}  // namespace

Result<std::optional<Companion>> chargeBudget(const corev1::Pod& pod, WatchCache& cache,
                                              WallTime now) {
  const std::optional<Companion> nothing;
  if (isNoDisruption(pod)) return nothing;
  const auto budgets = budgetsOf(pod, cache);
  if (!budgets) return budgets.status();
  if (budgets->empty()) return nothing;
  const auto& budget = api::as<PodDisruptionBudget>(budgets->front());
  if (!api::isTrue(pod.status(), "Ready")) {
    const auto& status = budget.status();
    const bool healthy =
        status.currenthealthy() >= status.desiredhealthy() && status.desiredhealthy() > 0;
    if (healthy || budget.spec().unhealthypodevictionpolicy() == "AlwaysAllow") return nothing;
  }
  if (Status bad = check(budget); !bad) return bad;
  auto next = std::make_shared<PodDisruptionBudget>(budget);
  auto& status = *next->mutable_status();
  status.set_disruptionsallowed(status.disruptionsallowed() - 1);
  (*status.mutable_disruptedpods())[pod.metadata().name()] = api::toTime(now);
  if (status.disruptionsallowed() == 0) api::updateDisruptionAllowed(*next, now);
  return std::optional(Companion{budgets->front(), std::move(next)});
}

Co<Result<api::ObjectPtr>> Registry::evict(api::ResourceId id, api::ObjectPtr object, bool dryRun) {
  const auto eviction = api::share<policyv1::Eviction>(object);
  if (!eviction->metadata().name().empty() && eviction->metadata().name() != id.name) {
    co_return Status(Code::kBadRequest, "name in URL does not match name in Eviction object");
  }
  api::DeleteOptions options = eviction->deleteoptions();
  if (dryRun) options.add_dryrun("All");
  id.subresource.clear();
  const WallTime now = clock_.wallNow();
  Adjust evicting = [this, now](const Message& current, Change& change) -> Status {
    auto charged = chargeBudget(static_cast<const corev1::Pod&>(current), cache_, now);
    if (!charged) return charged.status();
    if (*charged) change.companions.push_back(std::move(**charged));
    const api::ConditionState target{"DisruptionTarget", "True", "EvictionByEvictionAPI",
                                     "Eviction API: evicting"};
    if (!change.remove)
      api::setCondition(*static_cast<corev1::Pod&>(*change.next).mutable_status(), target, now);
    return {};
  };
  co_return co_await removeWith(std::move(id), std::move(options), std::move(evicting));
}

}  // namespace podlab::apiserver
