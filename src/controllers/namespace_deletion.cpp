#include "controllers/namespace_deletion.hpp"

#include <algorithm>
#include <utility>

#include "api/conditions.hpp"
#include "api/kinds.hpp"
#include "client/modify.hpp"

namespace podlab::controllers {
namespace {

constexpr std::size_t kWorkers = 4;
constexpr const char* kFinalizer = "kubernetes";

std::string joined(const std::map<std::string, std::size_t>& counts, const char* verb) {
  std::string text;
  for (const auto& [name, count] : counts) {
    text +=
        (text.empty() ? "" : ", ") + name + verb + std::to_string(count) + " resource instances";
  }
  return text;
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

  context_.caches.forEachKind([this, observe](client::Informer& informer) {
    client::Informer::Handlers contents;
    contents.deleted = [this, observe](const api::ObjectPtr& object) {
      if (const auto in = context_.namespaces.get(api::meta(*object).namespace_())) observe(in);
    };
    informer.addHandlers(std::move(contents));
  });
}

void NamespaceController::start() {
  reconciler_.start(context_.waitForSync(), kWorkers);
}

/// Counts the object when it stays for a while; one that is terminating already is left to itself.
Co<void> NamespaceController::removeOne(api::ObjectPtr object, Remainder& left) {
  const api::Kind& kind = *api::kindOf(*object);
  if (!api::meta(*object).has_deletiontimestamp()) {
    const metav1::ObjectMeta& metadata = api::meta(*object);
    api::ResourceId id{&kind, metadata.namespace_(), metadata.name(), ""};
    api::DeleteOptions options;
    options.mutable_preconditions()->set_uid(metadata.uid());
    options.set_propagationpolicy("Background");
    auto removed = co_await context_.api.remove(std::move(id), std::move(options));
    if (removed) {
      object = *removed;
    } else if (removed.status().is(Code::kNotFound)) {
      co_return;
    } else if (!removed.status().is(Code::kConflict)) {
      left.failures.push_back(removed.status().message());
    }
    if (removed && !api::meta(*object).has_deletiontimestamp()) co_return;
  }
  const std::string resource = std::string(kind.plural) + "." + std::string(kind.group);
  ++left.objects[resource];
  for (const auto& finalizer : api::meta(*object).finalizers()) ++left.finalizers[finalizer];
}

Co<void> NamespaceController::emptyOf(const api::Kind& kind, std::string name, Remainder& left) {
  api::ResourceId collection{&kind, name, "", ""};
  api::ListOptions all;
  auto listed = co_await context_.api.list(std::move(collection), std::move(all));
  if (!listed) {
    left.failures.push_back(listed.status().message());
    co_return;
  }
  const auto& items = listed->items;
  auto remove = [&](std::size_t i) { return removeOne(items[i], left); };
  co_await forEachAtOnce(context_.executor, "namespace_content", items.size(), remove);
}

/// In the words of upstream's namespace controller (deletion/status_condition_utils.go).
Co<Status> NamespaceController::writeConditions(api::ObjectPtr object, const Remainder& left) {
  std::vector<api::ConditionState> states{
      {"NamespaceDeletionDiscoveryFailure", "False", "ResourcesDiscovered",
       "All resources successfully discovered"},
      {"NamespaceDeletionGroupVersionParsingFailure", "False", "ParsedGroupVersions",
       "All legacy kube types successfully parsed"},
      {"NamespaceDeletionContentFailure", "False", "ContentDeleted",
       "All content successfully deleted, may be waiting on finalization"},
      {"NamespaceContentRemaining", "False", "ContentRemoved", "All content successfully removed"},
      {"NamespaceFinalizersRemaining", "False", "ContentHasNoFinalizers",
       "All content-preserving finalizers finished"}};
  if (!left.failures.empty()) {
    std::string all;
    for (const auto& failure : left.failures) all += (all.empty() ? "" : ", ") + failure;
    states[2] = {"NamespaceDeletionContentFailure", "True", "ContentDeletionFailed",
                 "Failed to delete all resource types, " + std::to_string(left.failures.size()) +
                     " remaining: " + all};
  }
  if (!left.objects.empty()) {
    states[3] = {"NamespaceContentRemaining", "True", "SomeResourcesRemain",
                 "Some resources are remaining: " + joined(left.objects, " has ")};
  }
  if (!left.finalizers.empty()) {
    states[4] = {"NamespaceFinalizersRemaining", "True", "SomeFinalizersRemain",
                 "Some content in the namespace has finalizers remaining: " +
                     joined(left.finalizers, " in ")};
  }
  client::Change change = [&](google::protobuf::Message& next) {
    auto& status = *static_cast<corev1::Namespace&>(next).mutable_status();
    bool changed = false;
    for (const auto& state : states)
      changed |= api::setCondition(status, state, context_.clock.wallNow());
    return changed;
  };
  api::ResourceId id{&api::kindFor<corev1::Namespace>(), "", api::meta(*object).name(), "status"};
  auto written = co_await client::modify(context_.api, std::move(id), object, std::move(change));
  co_return unlessGone(written.status());
}

Co<Status> NamespaceController::reconcile(std::string name) {
  auto object = context_.namespaces.get(name);
  if (!object || !api::meta(*object).has_deletiontimestamp()) co_return Status();
  Remainder left;
  for (const api::Kind& kind : api::kinds()) {
    if (kind.namespaced()) co_await emptyOf(kind, name, left);
  }
  const auto& current = api::as<corev1::Namespace>(object);
  const bool empty = left.objects.empty() && left.failures.empty();
  const bool heldByOthers = current.spec().finalizers_size() != 1 ||
                            current.spec().finalizers(0) != kFinalizer ||
                            !current.metadata().finalizers().empty();
  if (!empty || heldByOthers) {
    if (Status failed = co_await writeConditions(object, left); !failed) co_return failed;
  }
  if (!empty) {
    std::size_t count = left.failures.size();
    for (const auto& [resource, objects] : left.objects) count += objects;
    // The end of each brings the key sooner than the delay.
    co_return Status(Code::kConflict, std::to_string(count) + " objects are left in it");
  }
  client::Change letGo = [](google::protobuf::Message& next) {
    auto& finalizers = *static_cast<corev1::Namespace&>(next).mutable_spec()->mutable_finalizers();
    const auto end = std::remove(finalizers.begin(), finalizers.end(), kFinalizer);
    const bool held = end != finalizers.end();
    finalizers.erase(end, finalizers.end());
    return held;
  };
  api::ResourceId id{&api::kindFor<corev1::Namespace>(), "", name, "finalize"};
  auto written = co_await client::modify(context_.api, std::move(id), object, std::move(letGo));
  co_return unlessGone(written.status());
}

}  // namespace podlab::controllers
