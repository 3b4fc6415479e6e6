#include "controllers/owned_pods.hpp"

#include <algorithm>
#include <utility>

#include "api/conditions.hpp"
#include "api/kinds.hpp"
#include "api/owners.hpp"
#include "api/times.hpp"
#include "client/modify.hpp"
#include "common/sync.hpp"

namespace podlab::controllers {
namespace {

using google::protobuf::Message;

api::ResourceId idOf(const Message& object) {
  const auto& metadata = api::meta(object);
  return {api::kindOf(object), metadata.namespace_(), metadata.name(), ""};
}

bool isControlledBy(const Message& object, const std::string& uid) {
  const auto* controller = api::controllerOf(api::meta(object));
  return controller != nullptr && controller->uid() == uid;
}

/// Takes the owner's reference away from the object.
bool release(Message& object, const std::string& owner) {
  auto& references = *api::mutableMeta(object).mutable_ownerreferences();
  const auto kept = std::ranges::find(references, owner, &metav1::OwnerReference::uid);
  if (kept == references.end()) return false;
  references.erase(kept);
  return true;
}

/// What came of the pods of one batch.
struct Batch {
  Status failure;
  std::vector<std::string> revisions;

  void add(const Status& status) {
    if (failure.ok() && !status.ok()) failure = status;
  }
};

Co<void> createOne(Context& context, client::EventRecorder& events, api::ObjectPtr owner,
                   std::shared_ptr<const corev1::Pod> pod, std::shared_ptr<Batch> batch) {
  api::ResourceId id{&api::kindFor<corev1::Pod>(), pod->metadata().namespace_(), "", ""};
  api::WriteOptions options;
  auto made = co_await context.api.create(std::move(id), std::move(pod), std::move(options));
  if (made) {
    const auto& metadata = api::meta(*made->object);
    batch->revisions.push_back(metadata.resourceversion());
    events.record(*owner, client::EventClass::kNormal, "SuccessfulCreate",
                  "Created pod: " + metadata.name());
  } else if (!isNamespaceTerminating(made.status())) {
    batch->add(made.status());
    events.record(*owner, client::EventClass::kWarning, "FailedCreate",
                  "Error creating: " + made.status().message());
  }
}

Co<void> deleteOne(Context& context, client::EventRecorder& events, api::ObjectPtr owner,
                   api::ObjectPtr pod, std::shared_ptr<Batch> batch) {
  const auto& metadata = api::meta(*pod);
  api::DeleteOptions options;
  options.mutable_preconditions()->set_uid(metadata.uid());
  auto removed = co_await context.api.remove(idOf(*pod), std::move(options));
  if (removed) {
    batch->revisions.push_back(api::meta(**removed).resourceversion());
    events.record(*owner, client::EventClass::kNormal, "SuccessfulDelete",
                  "Deleted pod: " + metadata.name());
  } else if (!removed.status().is(Code::kNotFound) && !removed.status().is(Code::kConflict)) {
    batch->add(removed.status());
    events.record(*owner, client::EventClass::kWarning, "FailedDelete",
                  "Error deleting: " + removed.status().message());
  }
}

Co<void> waitFor(client::Informer& cache, std::shared_ptr<Batch> batch) {
  for (auto& revision : std::exchange(batch->revisions, {}))
    co_await cache.waitFor(std::move(revision));
}

}  // namespace

bool isActive(const corev1::Pod& pod) {
  return !api::isFinished(pod) && !pod.metadata().has_deletiontimestamp();
}

std::optional<WallTime> availableSince(const corev1::Pod& pod, std::int32_t minReadySeconds) {
  const auto* ready = api::findCondition(pod.status(), "Ready");
  if (ready == nullptr || ready->status() != "True") return std::nullopt;
  return api::toWallTime(ready->lasttransitiontime()) + std::chrono::seconds(minReadySeconds);
}

bool isNamespaceTerminating(const Status& status) {
  return std::ranges::find(status.causes(), "NamespaceTerminating", &Cause::reason) !=
         status.causes().end();
}

Co<Result<std::vector<api::ObjectPtr>>> claim(Context& context, OwnedObjects objects,
                                              api::ObjectPtr owner, api::LabelSelector selector,
                                              std::function<bool(const Message&)> relevant) {
  const auto& metadata = api::meta(*owner);
  const std::string& uid = metadata.uid();
  std::vector<api::ObjectPtr> mine;
  std::vector<api::ObjectPtr> foreign;
  for (const auto& key : objects.byOwner.of(uid)) {
    const auto object = objects.cache.get(key);
    if (!relevant(*object)) continue;
    (selector.matches(api::meta(*object).labels()) ? mine : foreign).push_back(object);
  }
  // On its way out, the owner keeps what it has.
  if (metadata.has_deletiontimestamp()) co_return mine;
  std::vector<api::ObjectPtr> orphans;
  for (const auto& key : objects.byOwner.of(orphansOf(metadata.namespace_()))) {
    const auto object = objects.cache.get(key);
    const auto& found = api::meta(*object);
    if (selector.matches(found.labels()) && !found.has_deletiontimestamp() && relevant(*object))
      orphans.push_back(object);
  }

  for (const auto& object : foreign) {
    const client::Change change = [&](Message& now) {
      return !selector.matches(api::meta(now).labels()) && release(now, uid);
    };
    auto released = co_await client::modify(context.api, idOf(*object), object, change);
    if (!released && !released.status().is(Code::kNotFound)) co_return released.status();
    if (released) co_await objects.cache.waitFor(api::meta(**released).resourceversion());
  }
  if (orphans.empty()) co_return mine;
  auto fresh = co_await context.api.get(idOf(*owner));
  if (!fresh) co_return fresh.status();
  if (api::meta(**fresh).uid() != uid || api::meta(**fresh).has_deletiontimestamp()) {
    co_return Status(Code::kConflict, "the owner " + api::keyOf(*owner) + " has been replaced");
  }
  for (const auto& object : orphans) {
    const client::Change change = [&](Message& now) {
      const auto& found = api::meta(now);
      if (found.uid() != api::meta(*object).uid() || found.has_deletiontimestamp() ||
          api::controllerOf(api::meta(now)) != nullptr || !selector.matches(found.labels()))
        return false;
      release(now, uid);
      *api::mutableMeta(now).add_ownerreferences() = api::controllerReference(*owner);
      return true;
    };
    auto adopted = co_await client::modify(context.api, idOf(*object), object, change);
    if (!adopted && adopted.status().is(Code::kNotFound)) continue;
    if (!adopted) co_return adopted.status();
    co_await objects.cache.waitFor(api::meta(**adopted).resourceversion());
    if (isControlledBy(**adopted, uid)) mine.push_back(std::move(*adopted));
  }
  co_return mine;
}

corev1::Pod podOf(const corev1::PodTemplateSpec& pod, const Message& owner) {
  corev1::Pod made;
  auto& metadata = *made.mutable_metadata();
  *metadata.mutable_labels() = pod.metadata().labels();
  *metadata.mutable_annotations() = pod.metadata().annotations();
  *metadata.mutable_finalizers() = pod.metadata().finalizers();
  metadata.set_namespace_(api::meta(owner).namespace_());
  metadata.set_generatename(api::meta(owner).name() + "-");
  *metadata.add_ownerreferences() = api::controllerReference(owner);
  *made.mutable_spec() = pod.spec();
  return made;
}

Co<Status> createPods(Context& context, client::EventRecorder& events, api::ObjectPtr owner,
                      std::vector<std::shared_ptr<const corev1::Pod>> pods) {
  // What cannot be made (a quota, a malformed template) is tried once, not a thousand times.
  std::size_t done = 0;
  for (std::size_t size = 1; done < pods.size(); size *= 2) {
    const std::size_t end = std::min(done + size, pods.size());
    const auto batch = std::make_shared<Batch>();
    TaskGroup tasks(context.executor);
    for (; done < end; ++done)
      tasks.spawn("create_pod", createOne(context, events, owner, pods[done], batch));
    co_await tasks.join();
    co_await waitFor(context.pods, batch);
    if (!batch->failure.ok()) co_return batch->failure;
  }
  co_return Status();
}

Co<Status> deletePods(Context& context, client::EventRecorder& events, api::ObjectPtr owner,
                      std::vector<api::ObjectPtr> pods) {
  const auto batch = std::make_shared<Batch>();
  TaskGroup tasks(context.executor);
  for (auto& pod : pods)
    tasks.spawn("delete_pod", deleteOne(context, events, owner, std::move(pod), batch));
  co_await tasks.join();
  co_await waitFor(context.pods, batch);
  co_return batch->failure;
}

}  // namespace podlab::controllers
