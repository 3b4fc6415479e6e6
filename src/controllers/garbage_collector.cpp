#include "controllers/garbage_collector.hpp"

#include <algorithm>
#include <utility>

#include "api/kinds.hpp"
#include "api/owners.hpp"
#include "client/modify.hpp"

namespace podlab::controllers {
namespace {

using google::protobuf::Message;

constexpr std::size_t kWorkers = 20;

const api::Kind& kindOf(const Message& object) {
  return *api::kindOf(object);
}

/// Keys of the work queue: "pods/default/web", "nodes/node1".
std::string queueKeyOf(const api::Kind& kind, const std::string& key) {
  return kind.resource() + "/" + key;
}
std::string queueKeyOf(const Message& object) {
  return queueKeyOf(kindOf(object), api::keyOf(object));
}

api::ResourceId idOf(const Message& object) {
  return {&kindOf(object), api::meta(object).namespace_(), api::meta(object).name(), ""};
}

bool isTerminatingWith(const Message& object, std::string_view finalizer) {
  return api::meta(object).has_deletiontimestamp() &&
         api::hasFinalizer(api::meta(object), finalizer);
}
bool deletesDependents(const Message& object) {
  return isTerminatingWith(object, api::kForegroundFinalizer);
}
bool orphansDependents(const Message& object) {
  return isTerminatingWith(object, api::kOrphanFinalizer);
}

bool blocks(const Message& dependent, const std::string& owner) {
  return std::ranges::any_of(api::meta(dependent).ownerreferences(), [&](const auto& reference) {
    return reference.uid() == owner && reference.blockownerdeletion();
  });
}

bool sameOwners(const Message& a, const Message& b) {
  const auto& before = api::meta(a).ownerreferences();
  const auto& now = api::meta(b).ownerreferences();
  return std::ranges::equal(before, now, [](const auto& one, const auto& other) {
    return one.uid() == other.uid() && one.blockownerdeletion() == other.blockownerdeletion() &&
           one.name() == other.name() && one.kind() == other.kind() &&
           one.apiversion() == other.apiversion();
  });
}

/// What is gone needs no more work; a conflict brings the key again.
/// Changes the metadata of the object while it is still the one with that uid.
Co<Status> modifyMetadata(api::Api& api, api::ObjectPtr object,
                          std::function<bool(metav1::ObjectMeta&)> change) {
  api::ResourceId id = idOf(*object);
  client::Change inner = [uid = api::meta(*object).uid(), change](Message& next) {
    return api::meta(next).uid() == uid && change(api::mutableMeta(next));
  };
  auto written = co_await client::modify(api, std::move(id), std::move(object), std::move(inner));
  co_return unlessGone(written.status());
}

Co<Status> removeReferences(api::Api& api, api::ObjectPtr dependent, std::set<std::string> owners) {
  auto change = [owners = std::move(owners)](metav1::ObjectMeta& metadata) {
    auto& references = *metadata.mutable_ownerreferences();
    const auto end = std::remove_if(references.begin(), references.end(),
                                    [&](const auto& one) { return owners.contains(one.uid()); });
    const bool found = end != references.end();
    references.erase(end, references.end());
    return found;
  };
  co_return co_await modifyMetadata(api, std::move(dependent), std::move(change));
}

Co<Status> removeFinalizer(api::Api& api, api::ObjectPtr owner, std::string_view name) {
  auto change = [name](metav1::ObjectMeta& metadata) {
    return api::removeFinalizer(metadata, name);
  };
  co_return co_await modifyMetadata(api, std::move(owner), std::move(change));
}

Co<void> orphanOne(api::Api& api, api::ObjectPtr dependent, std::string owner, Status& failure) {
  std::set<std::string> owners{std::move(owner)};
  const Status status = co_await removeReferences(api, std::move(dependent), std::move(owners));
  if (!status) failure = status;
}

}  // namespace

GarbageCollector::GarbageCollector(Context& context, client::EventRecorder& events)
    : context_(context),
      events_(events),
      reconciler_("garbage_collector", context.clock, context.rng, context.executor,
                  [this](std::string key) { return reconcile(std::move(key)); }) {
  context_.caches.forEachKind([this](client::Informer& informer) {
    client::Informer::Handlers handlers;
    handlers.added = [this, &informer](const api::ObjectPtr& now) {
      observe(informer, nullptr, now.get());
    };
    handlers.updated = [this, &informer](const api::ObjectPtr& before, const api::ObjectPtr& now) {
      observe(informer, before.get(), now.get());
    };
    handlers.deleted = [this, &informer](const api::ObjectPtr& last) {
      observe(informer, last.get(), nullptr);
    };
    informer.addHandlers(std::move(handlers));
  });
}

void GarbageCollector::start() {
  reconciler_.start(context_.waitForSync(), kWorkers);
}

void GarbageCollector::observe(client::Informer& informer, const Object* before,
                               const Object* now) {
  const auto turns = [&](bool (*waits)(const Object&)) {
    return now != nullptr && waits(*now) && (before == nullptr || !waits(*before));
  };
  const bool begins = turns(deletesDependents) || turns(orphansDependents);
  if (before != nullptr && now != nullptr && !begins && sameOwners(*before, *now)) return;
  const std::string key =
      queueKeyOf(*informer.collection().kind, api::keyOf(now == nullptr ? *before : *now));
  if (before != nullptr) {
    for (const auto& owner : api::meta(*before).ownerreferences()) {
      const auto found = dependents_.find(owner.uid());
      if (found == dependents_.end()) continue;
      found->second.erase(key);
      if (found->second.empty()) dependents_.erase(found);
      // One that waits for its dependents has to wait for one less, perhaps.
      enqueueOwner(*before, owner);
    }
  }
  if (now == nullptr) return enqueueDependents(api::meta(*before).uid());
  for (const auto& owner : api::meta(*now).ownerreferences()) dependents_[owner.uid()].insert(key);
  if (begins) enqueueDependents(api::meta(*now).uid());
  if (begins || !ownersAreSolid(*now)) reconciler_.add(key);
}

void GarbageCollector::enqueueDependents(const std::string& uid) {
  const auto found = dependents_.find(uid);
  if (found == dependents_.end()) return;
  for (const auto& key : found->second) reconciler_.add(key);
}

void GarbageCollector::enqueueOwner(const Object& dependent, const metav1::OwnerReference& owner) {
  const Place place = ownerOf(dependent, owner);
  if (place.informer == nullptr) return;
  const auto object = place.informer->get(place.key);
  if (object && (deletesDependents(*object) || orphansDependents(*object)))
    reconciler_.add(queueKeyOf(*object));
}

GarbageCollector::Place GarbageCollector::ownerOf(const Object& dependent,
                                                  const metav1::OwnerReference& owner) const {
  const api::Kind* kind = api::findKind(owner.apiversion(), owner.kind());
  if (kind == nullptr) return {};
  const std::string& ns = api::meta(dependent).namespace_();
  return {context_.caches.of(kind->stored()),
          kind->namespaced() ? ns + "/" + owner.name() : owner.name()};
}

GarbageCollector::Place GarbageCollector::placeOf(const std::string& queueKey) const {
  const auto slash = queueKey.find('/');
  for (auto* informer : context_.caches.kinds()) {
    if (informer->collection().kind->resource() == queueKey.substr(0, slash))
      return {informer, queueKey.substr(slash + 1)};
  }
  return {};
}

std::vector<std::pair<std::string, api::ObjectPtr>> GarbageCollector::dependentsOf(
    const std::string& uid) const {
  std::vector<std::pair<std::string, api::ObjectPtr>> found;
  const auto keys = dependents_.find(uid);
  if (keys == dependents_.end()) return found;
  for (const auto& queueKey : keys->second) {
    const Place place = placeOf(queueKey);
    if (auto object = place.informer->get(place.key)) found.emplace_back(queueKey, object);
  }
  return found;
}

/// By the caches: false when the server has to be asked.
bool GarbageCollector::ownersAreSolid(const Object& object) const {
  return std::ranges::all_of(api::meta(object).ownerreferences(), [&](const auto& reference) {
    const Place place = ownerOf(object, reference);
    const auto owner = place.informer == nullptr ? nullptr : place.informer->get(place.key);
    return owner && api::meta(*owner).uid() == reference.uid() && !deletesDependents(*owner);
  });
}

/// Whether the object's deletion cannot end before that of `uid`, its own included.
bool GarbageCollector::waitsFor(const Object& object, const std::string& uid) const {
  std::set<std::string> seen;
  std::vector<std::string> next{api::meta(object).uid()};
  if (next.back() == uid) return true;
  if (!deletesDependents(object)) return false;
  while (!next.empty()) {
    const std::string owner = std::move(next.back());
    next.pop_back();
    for (const auto& [queueKey, dependent] : dependentsOf(owner)) {
      const std::string& found = api::meta(*dependent).uid();
      if (!blocks(*dependent, owner) || !deletesDependents(*dependent)) continue;
      if (found == uid) return true;
      if (seen.insert(found).second) next.push_back(found);
    }
  }
  return false;
}

Co<Status> GarbageCollector::reconcile(std::string queueKey) {
  const Place place = placeOf(queueKey);
  const auto object = place.informer->get(place.key);
  if (!object) co_return Status();
  if (deletesDependents(*object)) co_return co_await finishForeground(object);
  if (orphansDependents(*object)) co_return co_await finishOrphaning(object);
  if (api::meta(*object).has_deletiontimestamp() || ownersAreSolid(*object)) co_return Status();
  co_return co_await collect(object);
}

Co<Status> GarbageCollector::finishForeground(api::ObjectPtr owner) {
  const std::string uid = api::meta(*owner).uid();
  bool blocked = false;
  for (const auto& [queueKey, dependent] : dependentsOf(uid)) {
    // Those that wait for this one in a circle of owners would do so for ever.
    if (!blocks(*dependent, uid) || waitsFor(*dependent, uid)) continue;
    blocked = true;
    if (!deletesDependents(*dependent)) reconciler_.add(queueKey);
  }
  if (blocked) co_return Status();  // the end of the last one brings the owner again
  co_return co_await removeFinalizer(context_.api, std::move(owner), api::kForegroundFinalizer);
}

Co<Status> GarbageCollector::finishOrphaning(api::ObjectPtr owner) {
  const std::string uid = api::meta(*owner).uid();
  const auto dependents = dependentsOf(uid);
  if (dependents.empty())
    co_return co_await removeFinalizer(context_.api, std::move(owner), api::kOrphanFinalizer);
  Status failure;
  auto orphan = [&](std::size_t i) {
    return orphanOne(context_.api, dependents[i].second, uid, failure);
  };
  co_await forEachAtOnce(context_.executor, "orphaning", dependents.size(), orphan);
  co_return failure;  // their changes bring the owner again
}

Co<Status> GarbageCollector::collect(api::ObjectPtr cached) {
  api::ResourceId id = idOf(*cached);
  auto read = co_await context_.api.get(id);
  if (!read) co_return unlessGone(read.status());
  const api::ObjectPtr object = *read;
  const metav1::ObjectMeta& metadata = api::meta(*object);
  if (metadata.uid() != api::meta(*cached).uid() || metadata.ownerreferences().empty())
    co_return Status();
  auto owners = co_await classify(object);
  if (!owners) co_return owners.status();
  if (owners->solid) {
    Uids lost = std::move(owners->absent);
    lost.merge(owners->waiting);
    if (lost.empty()) co_return Status();
    co_return co_await removeReferences(context_.api, object, std::move(lost));
  }
  api::DeleteOptions options;
  options.mutable_preconditions()->set_uid(metadata.uid());
  if (!owners->waiting.empty() && dependents_.contains(metadata.uid())) {
    options.set_propagationpolicy("Foreground");
  } else {
    // Whoever added an owner in the meantime is heard.
    options.mutable_preconditions()->set_resourceversion(metadata.resourceversion());
    options.set_propagationpolicy(api::hasFinalizer(metadata, api::kOrphanFinalizer) ? "Orphan"
                                  : api::hasFinalizer(metadata, api::kForegroundFinalizer)
                                      ? "Foreground"
                                      : "Background");
  }
  auto removed = co_await context_.api.remove(std::move(id), std::move(options));
  co_return unlessGone(removed.status());
}

Co<Result<GarbageCollector::Owners>> GarbageCollector::classify(api::ObjectPtr object) {
  Owners made;
  for (const metav1::OwnerReference& owner : api::meta(*object).ownerreferences()) {
    metav1::OwnerReference asked = owner;
    auto standing = co_await standingOf(object, std::move(asked));
    if (!standing) co_return standing.status();
    if (*standing == Standing::kSolid) made.solid = true;
    if (*standing == Standing::kWaiting) made.waiting.insert(owner.uid());
    if (*standing == Standing::kAbsent) made.absent.insert(owner.uid());
  }
  co_return made;
}

Co<Result<GarbageCollector::Standing>> GarbageCollector::standingOf(api::ObjectPtr dependent,
                                                                    metav1::OwnerReference owner) {
  const api::Kind* kind = api::findKind(owner.apiversion(), owner.kind());
  // Nothing is deleted for want of an owner that cannot be looked up.
  if (kind == nullptr) co_return Standing::kSolid;
  const std::string& ns = api::meta(*dependent).namespace_();
  if (kind->namespaced() && ns.empty()) {
    reportNamespace(*dependent, owner);
    co_return Standing::kSolid;
  }
  api::ResourceId id{&kind->stored(), kind->namespaced() ? ns : "", owner.name(), ""};
  auto found = co_await context_.api.get(std::move(id));
  if (!found && !found.status().is(Code::kNotFound)) co_return found.status();
  if (!found || api::meta(**found).uid() != owner.uid()) {
    reportNamespace(*dependent, owner);
    co_return Standing::kAbsent;
  }
  co_return deletesDependents(**found) ? Standing::kWaiting : Standing::kSolid;
}

/// Says so when the owner is in a namespace from where it cannot own.
void GarbageCollector::reportNamespace(const Object& dependent,
                                       const metav1::OwnerReference& owner) {
  const api::Kind& kind = api::findKind(owner.apiversion(), owner.kind())->stored();
  const auto* informer = context_.caches.of(kind);
  if (!kind.namespaced() || informer == nullptr) return;
  const auto isThere = [&](const api::ObjectPtr& ns) {
    const auto object = informer->get(api::meta(*ns).name() + "/" + owner.name());
    return object && api::meta(*object).uid() == owner.uid();
  };
  if (!std::ranges::any_of(context_.namespaces.list(), isThere)) return;
  const std::string& ns = api::meta(dependent).namespace_();
  events_.record(dependent, client::EventClass::kWarning, "OwnerRefInvalidNamespace",
                 "ownerRef [" + owner.apiversion() + "/" + owner.kind() + ", namespace: " + ns +
                     ", name: " + owner.name() + ", uid: " + owner.uid() +
                     "] does not exist in namespace \"" + ns + "\"");
}

}  // namespace podlab::controllers
