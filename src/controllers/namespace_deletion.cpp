#include "controllers/namespace_deletion.hpp"

#include <algorithm>
#include <utility>

#include "api/kinds.hpp"

namespace podlab::controllers {
namespace {

constexpr std::size_t kWorkers = 4;
constexpr std::size_t kDeletesAtOnce = 64;
constexpr const char* kFinalizer = "kubernetes";

Co<void> removeOne(api::Api& api, api::ResourceId id, api::DeleteOptions options, Status& failure) {
  auto removed = co_await api.remove(std::move(id), std::move(options));
  const Status status = removed.status();
  const bool gone = status.is(Code::kNotFound) || status.is(Code::kConflict);
  if (!status.ok() && !gone) failure = status;
}

}  // namespace

NamespaceController::NamespaceController(Context& context)
    : context_(context),
      reconciler_("namespace_deletion", context.clock, context.rng, context.executor,
                  [this](std::string key) { return reconcile(std::move(key)); }) {
  const auto observe = [this](const api::ObjectPtr& object) {
    if (api::meta(*object).has_deletiontimestamp()) reconciler_.add(api::meta(*object).name());
  };
  client::Informer::Handlers namespaces;
  namespaces.added = observe;
  namespaces.updated = [observe](const api::ObjectPtr&, const api::ObjectPtr& now) {
    observe(now);
  };
  context_.namespaces.addHandlers(std::move(namespaces));

  client::Informer::Handlers pods;
  pods.deleted = [this, observe](const api::ObjectPtr& pod) {
    if (const auto owner = context_.namespaces.get(api::meta(*pod).namespace_())) observe(owner);
  };
  context_.pods.addHandlers(std::move(pods));
}

void NamespaceController::start() {
  reconciler_.start(context_.waitForSync(), kWorkers);
}

// How many objects of the kind the namespace still had. Those that are terminating already are left
// to themselves.
Co<Result<std::size_t>> NamespaceController::emptyOf(const api::Kind& kind, std::string name) {
  api::ResourceId collection{&kind, name, "", ""};
  api::ListOptions all;
  auto listed = co_await context_.api.list(std::move(collection), std::move(all));
  if (!listed) co_return listed.status();
  Status failure;
  for (std::size_t begin = 0; begin < listed->items.size(); begin += kDeletesAtOnce) {
    TaskGroup batch(context_.executor);
    const std::size_t end = std::min(begin + kDeletesAtOnce, listed->items.size());
    for (std::size_t i = begin; i < end; ++i) {
      const auto& metadata = api::meta(*listed->items[i]);
      if (metadata.has_deletiontimestamp()) continue;
      api::ResourceId id{&kind, name, metadata.name(), ""};
      api::DeleteOptions options;
      options.mutable_preconditions()->set_uid(metadata.uid());
      batch.spawn("namespace_content",
                  removeOne(context_.api, std::move(id), std::move(options), failure));
    }
    co_await batch.join();
  }
  if (!failure) co_return failure;
  co_return listed->items.size();
}

Co<Status> NamespaceController::reconcile(std::string name) {
  const auto object = context_.namespaces.get(name);
  if (!object || !api::meta(*object).has_deletiontimestamp()) co_return Status();
  std::size_t found = 0;
  for (const api::Kind& kind : api::kinds()) {
    if (!kind.namespaced()) continue;
    auto count = co_await emptyOf(kind, name);
    if (!count) co_return count.status();
    found += *count;
  }
  if (found > 0) {
    // Most of it is gone by now; a pod's end brings the key sooner than the delay.
    co_return Status(Code::kConflict, std::to_string(found) + " objects were left in it");
  }
  auto next = std::make_shared<corev1::Namespace>(api::as<corev1::Namespace>(object));
  auto& finalizers = *next->mutable_spec()->mutable_finalizers();
  finalizers.erase(std::remove(finalizers.begin(), finalizers.end(), kFinalizer), finalizers.end());
  api::ResourceId id{&api::kindFor<corev1::Namespace>(), "", name, "finalize"};
  api::WriteOptions options;
  auto written = co_await context_.api.update(std::move(id), next, std::move(options));
  if (written.status().is(Code::kNotFound)) co_return Status();
  co_return written.status();
}

}  // namespace podlab::controllers
