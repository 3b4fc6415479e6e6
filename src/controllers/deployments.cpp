#include "controllers/deployments.hpp"

#include <utility>

#include "apps_v1.pb.h"

#include "api/kinds.hpp"
#include "api/owners.hpp"
#include "controllers/deployment_rollout.hpp"
#include "controllers/owned_pods.hpp"

namespace podlab::controllers {
namespace {

using google::protobuf::Message;

constexpr std::size_t kWorkers = 16;

const std::string& uidOfController(const Message& object) {
  static const std::string kNone;
  const auto* controller = api::controllerOf(api::meta(object));
  return controller == nullptr ? kNone : controller->uid();
}

}  // namespace

DeploymentController::DeploymentController(Context& context, client::EventRecorder& events)
    : context_(context),
      events_(events),
      reconciler_("deployments", context.clock, context.rng, context.executor,
                  [this](std::string key) { return reconcile(std::move(key)); }) {
  client::Informer::Handlers deployments;
  deployments.added = [this](const api::ObjectPtr& object) {
    reconciler_.add(api::keyOf(*object));
  };
  deployments.updated = [this](const api::ObjectPtr&, const api::ObjectPtr& object) {
    reconciler_.add(api::keyOf(*object));
  };
  context_.deployments.addHandlers(std::move(deployments));

  client::Informer::Handlers sets;
  sets.added = [this](const api::ObjectPtr& set) { observe(nullptr, set); };
  sets.updated = [this](const api::ObjectPtr& before, const api::ObjectPtr& now) {
    observe(before, now);
  };
  sets.deleted = [this](const api::ObjectPtr& set) { addController(*set); };
  context_.replicaSets.addHandlers(std::move(sets));

  client::Informer::Handlers pods;
  pods.deleted = [this](const api::ObjectPtr& pod) { observeEnd(*pod); };
  context_.pods.addHandlers(std::move(pods));
}

void DeploymentController::start() {
  reconciler_.start(context_.waitForSync(), kWorkers);
}

void DeploymentController::observe(const api::ObjectPtr& before, const api::ObjectPtr& now) {
  if (before != nullptr && uidOfController(*before) != uidOfController(*now))
    addController(*before);
  addController(*now);
  if (api::controllerOf(api::meta(*now)) == nullptr) addSelecting(*now);
}

void DeploymentController::addController(const Message& set) {
  const auto* controller = api::controllerOf(api::meta(set));
  if (controller == nullptr || controller->kind() != "Deployment") return;
  const std::string key = api::meta(set).namespace_() + "/" + controller->name();
  const auto object = context_.deployments.get(key);
  if (object && api::meta(*object).uid() == controller->uid()) reconciler_.add(key);
}

void DeploymentController::addSelecting(const Message& set) {
  for (const auto& key : context_.deployments.keysIn(api::meta(set).namespace_())) {
    const auto deployment = context_.deployments.get(key);
    const auto selector =
        api::LabelSelector::of(api::as<appsv1::Deployment>(deployment).spec().selector());
    if (selector && selector->matches(api::meta(set).labels())) reconciler_.add(key);
  }
}

void DeploymentController::observeEnd(const Message& pod) {
  const auto* controller = api::controllerOf(api::meta(pod));
  if (controller == nullptr || controller->kind() != "ReplicaSet") return;
  const auto set = context_.replicaSets.get(api::meta(pod).namespace_() + "/" + controller->name());
  if (set && api::meta(*set).uid() == controller->uid()) addController(*set);
}

Co<Status> DeploymentController::reconcile(std::string key) {
  const auto object = context_.deployments.get(key);
  if (!object) co_return Status();
  const auto deployment = api::share<appsv1::Deployment>(object);
  auto selector = api::LabelSelector::of(deployment->spec().selector());
  if (!selector) co_return selector.status();
  const OwnedObjects owned{context_.replicaSets, context_.replicaSetsByOwner};
  auto sets = co_await claim(context_, owned, object, std::move(*selector),
                             [](const Message&) { return true; });
  if (!sets) co_return sets.status();
  DeploymentRollout rollout(context_, events_, deployment, *sets);
  const Status status = co_await rollout.run();
  if (const auto again = rollout.again()) reconciler_.addAfter(key, *again);
  co_return status;
}

}  // namespace podlab::controllers
