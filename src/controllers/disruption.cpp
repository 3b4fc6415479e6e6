#include "controllers/disruption.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "autoscaling_v1.pb.h"

#include "api/conditions.hpp"
#include "api/disruption_budgets.hpp"
#include "api/int_or_percent.hpp"
#include "api/kinds.hpp"
#include "api/owners.hpp"
#include "api/selectors.hpp"
#include "api/times.hpp"

namespace podlab::controllers {
namespace {

constexpr std::size_t kWorkers = 4;

const corev1::Pod& podOf(const api::ObjectPtr& object) {
  return api::as<corev1::Pod>(object);
}

/// Of the pods, those that are ready and stay.
std::int32_t countHealthy(const std::vector<api::ObjectPtr>& pods,
                          const policyv1::PodDisruptionBudgetStatus& status) {
  return static_cast<std::int32_t>(std::ranges::count_if(pods, [&](const api::ObjectPtr& object) {
    const auto& pod = podOf(object);
    return !pod.metadata().has_deletiontimestamp() &&
           !status.disruptedpods().contains(pod.metadata().name()) &&
           api::isTrue(pod.status(), "Ready");
  }));
}

}  // namespace

DisruptionController::DisruptionController(Context& context, client::EventRecorder& events)
    : context_(context),
      budgets_(*context.caches.of(api::kindFor<Budget>())),
      events_(events),
      reconciler_("disruption", context.clock, context.rng, context.executor,
                  [this](std::string key) { return reconcile(std::move(key)); }) {
  client::Informer::Handlers budgets;
  budgets.added = [this](const api::ObjectPtr& budget) { reconciler_.add(api::keyOf(*budget)); };
  budgets.updated = [this](const api::ObjectPtr&, const api::ObjectPtr& now) {
    reconciler_.add(api::keyOf(*now));
  };
  budgets_.addHandlers(std::move(budgets));

  client::Informer::Handlers pods;
  pods.added = [this](const api::ObjectPtr& pod) { observePod(*pod); };
  pods.updated = [this](const api::ObjectPtr& before, const api::ObjectPtr& now) {
    observePod(*before);
    observePod(*now);
  };
  pods.deleted = pods.added;
  context_.pods.addHandlers(std::move(pods));
}

void DisruptionController::start() {
  reconciler_.start(context_.waitForSync(), kWorkers);
}

void DisruptionController::observePod(const google::protobuf::Message& object) {
  for (const auto& key : budgets_.keysIn(api::meta(object).namespace_())) {
    const auto budget = budgets_.get(key);
    if (budget && api::selects(api::as<Budget>(budget), static_cast<const corev1::Pod&>(object)))
      reconciler_.add(key);
  }
}

Co<Status> DisruptionController::reconcile(std::string key) {
  const auto cached = budgets_.get(key);
  if (!cached) co_return Status();
  // The budget before the pods: what an eviction changes after it makes the write fail.
  const auto& metadata = api::meta(*cached);
  api::ResourceId id{&api::kindFor<Budget>(), metadata.namespace_(), metadata.name(), ""};
  auto found = co_await context_.api.get(id);
  if (!found) co_return unlessGone(found.status());
  auto next = std::make_shared<Budget>(api::as<Budget>(*found));
  const Status failed = co_await reckon(*next, key);
  if (!failed) {
    *next = api::as<Budget>(*found);
    api::setDisruptionFailed(*next, failed.message(), context_.clock.wallNow());
  }
  id.subresource = "status";
  api::WriteOptions options;
  auto written = co_await context_.api.update(std::move(id), next, std::move(options));
  if (!written.status().ok() && !written.status().is(Code::kNotFound)) co_return written.status();
  co_return failed.is(Code::kUnavailable) ? failed : Status();
}

Co<Status> DisruptionController::reckon(Budget& budget, std::string key) {
  auto pods = co_await podsOf(budget);
  if (!pods) co_return pods.status();
  if (pods->empty())
    events_.record(budget, client::EventClass::kNormal, "NoPods", "No matching pods found");
  auto expected = co_await expect(budget, *pods);
  if (!expected) {
    events_.record(
        budget, client::EventClass::kWarning, "CalculateExpectedPodCountFailed",
        "Failed to calculate the number of expected pods: " + expected.status().message());
    co_return expected.status();
  }
  keepDisrupted(budget, *pods, key);
  auto& status = *budget.mutable_status();
  status.set_currenthealthy(countHealthy(*pods, status));
  status.set_desiredhealthy(expected->healthy);
  status.set_expectedpods(expected->pods);
  const std::int32_t spare = status.currenthealthy() - expected->healthy;
  // Without pods none is allowed: the first ones are not unprotected until the next reckoning.
  status.set_disruptionsallowed(expected->pods > 0 ? std::max(spare, 0) : 0);
  status.set_observedgeneration(budget.metadata().generation());
  api::updateDisruptionAllowed(budget, context_.clock.wallNow());
  co_return Status();
}

Co<Result<DisruptionController::Pods>> DisruptionController::podsOf(Budget budget) {
  if (!budget.spec().has_selector()) co_return Pods();
  auto selector = api::LabelSelector::of(budget.spec().selector());
  if (!selector) co_return selector.status();
  api::ResourceId id{&api::kindFor<corev1::Pod>(), budget.metadata().namespace_(), "", ""};
  api::ListOptions options;
  options.labelSelector = selector->toString();
  auto listed = co_await context_.api.list(std::move(id), std::move(options));
  if (!listed) co_return listed.status();
  co_return listed->objects();
}

Co<Result<DisruptionController::Expectation>> DisruptionController::expect(Budget budget,
                                                                           Pods pods) {
  const auto& spec = budget.spec();
  Expectation expected;
  const bool ofScale =
      spec.has_maxunavailable() || (spec.has_minavailable() && spec.minavailable().type() == 1);
  if (!ofScale) {
    expected.pods = static_cast<std::int32_t>(pods.size());
    if (spec.has_minavailable()) expected.healthy = spec.minavailable().intval();
    co_return expected;
  }
  auto scale = co_await expectedScale(budget, std::move(pods));
  if (!scale) co_return scale.status();
  expected.pods = *scale;
  const auto& amount = spec.has_maxunavailable() ? spec.maxunavailable() : spec.minavailable();
  const auto scaled = api::scaledValue(amount, *scale, true);
  if (!scaled) co_return scaled.status();
  expected.healthy =
      spec.has_maxunavailable() ? std::max<std::int32_t>(*scale - *scaled, 0) : *scaled;
  co_return expected;
}

/// The sum of what the pods' controllers want.
Co<Result<std::int32_t>> DisruptionController::expectedScale(Budget budget, Pods pods) {
  std::set<std::string> asked;
  Scales scales;
  bool unmanaged = false;
  for (const auto& pod : pods) {
    const auto* controller = api::controllerOf(api::meta(*pod));
    if (controller == nullptr) unmanaged = true;
    if (controller == nullptr || !asked.insert(controller->uid()).second) continue;
    metav1::OwnerReference reference = *controller;
    auto scale = co_await scaleOf(budget.metadata().namespace_(), std::move(reference));
    if (!scale) co_return scale.status();
    if (scale->empty()) {
      co_return Status(Code::kNotFound,
                       "found no controllers for pod \"" + api::meta(*pod).name() + "\"");
    }
    scales.merge(*scale);
  }
  if (unmanaged) {
    events_.record(budget, client::EventClass::kWarning, "UnmanagedPods",
                   "Pods selected by this PodDisruptionBudget (selector: " +
                       api::LabelSelector::of(budget.spec().selector())->toString() +
                       ") were found to be unmanaged. As a result, the status of the PDB cannot be "
                       "calculated correctly, which may result in undefined behavior. To account "
                       "for these pods please set \".spec.minAvailable\" field of the PDB to an "
                       "integer value.");
  }
  std::int32_t sum = 0;
  for (const auto& [uid, scale] : scales) sum += scale;
  co_return sum;
}

/// A Deployment counts in the place of its ReplicaSets, and once.
Co<Result<DisruptionController::Scales>> DisruptionController::scaleOf(
    std::string ns, metav1::OwnerReference controller) {
  const Scales none;
  const api::Kind* kind = api::findKind(controller.apiversion(), controller.kind());
  if (kind == nullptr) co_return none;
  api::ResourceId id{kind, ns, controller.name(), ""};
  auto object = co_await context_.api.get(id);
  if (object.status().is(Code::kNotFound)) co_return none;
  if (!object) co_return object.status();
  if (api::meta(**object).uid() != controller.uid()) co_return none;
  const auto* above = api::controllerOf(api::meta(**object));
  if (above != nullptr && above->kind() == "Deployment") {
    metav1::OwnerReference deployment = *above;
    co_return co_await scaleOf(ns, std::move(deployment));
  }
  id.subresource = "scale";
  auto read = co_await context_.api.get(std::move(id));
  const auto* scale = read ? dynamic_cast<const autoscalingv1::Scale*>(read->get()) : nullptr;
  if (scale == nullptr) {
    co_return Status(Code::kNotFound,
                     kind->resource() + " does not implement the scale subresource");
  }
  co_return Scales{{controller.uid(), scale->spec().replicas()}};
}

/// Forgets evictions that have had their effect, and those that will not have one.
void DisruptionController::keepDisrupted(Budget& budget, const Pods& pods, const std::string& key) {
  const auto before = budget.status().disruptedpods();
  auto& kept = *budget.mutable_status()->mutable_disruptedpods();
  kept.clear();
  const WallTime now = context_.clock.wallNow();
  for (const auto& object : pods) {
    const auto& metadata = api::meta(*object);
    const auto evicted = before.find(metadata.name());
    if (metadata.has_deletiontimestamp() || evicted == before.end()) continue;
    const WallTime end = api::toWallTime(evicted->second) + api::kDisruptionTimeout;
    if (end < now) {
      events_.record(*object, client::EventClass::kWarning, "NotDeleted",
                     "Pod was expected by PDB " + key + " to be deleted but it wasn't");
      continue;
    }
    kept[metadata.name()] = evicted->second;
    reconciler_.addAfter(key, end - now + std::chrono::seconds(1));
  }
}

}  // namespace podlab::controllers
