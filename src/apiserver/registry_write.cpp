#include <algorithm>
#include <utility>

#include "apiextensions_v1.pb.h"
#include "core_v1_accounts.pb.h"
#include "custom_object.pb.h"
#include "policy_v1.pb.h"

#include "api/arena_object.hpp"
#include "api/custom/custom_object.hpp"
#include "api/custom/custom_type.hpp"
#include "api/managed_fields.hpp"
#include "api/patch.hpp"
#include "api/service_accounts.hpp"
#include "api/status_conversion.hpp"
#include "api/support.hpp"
#include "api/times.hpp"
#include "api/validation.hpp"
#include "apiserver/admission.hpp"
#include "apiserver/admission_plugins.hpp"
#include "apiserver/object_fields.hpp"
#include "apiserver/quota.hpp"
#include "apiserver/registry.hpp"
#include "apiserver/scale.hpp"

namespace podlab::apiserver {
namespace {

using google::protobuf::Message;

constexpr int kNameAttempts = 8;
constexpr Duration kAccountPatience = std::chrono::seconds(1);
constexpr std::size_t kMaxGeneratedBase = 58;  // 63 less the suffix
constexpr const char* kOwnManager = "podlab";

Status unknownSubresource() {
  return {Code::kNotFound, "the server could not find the requested resource"};
}

Status methodNotAllowed() {
  return {Code::kMethodNotAllowed,
          "the server does not allow this method on the requested resource"};
}

std::string storeKey(const api::Kind& kind, const Message& object) {
  return storePrefix(kind) + api::keyOf(object);
}

Status checkType(const api::Kind& kind, const api::ObjectPtr& object) {
  const bool same = object && object->GetDescriptor() == kind.prototype->GetDescriptor();
  if (same && (!kind.custom || api::kindOf(*object) == &kind)) return {};
  return {Code::kBadRequest, "the object is not a " + std::string(kind.kind)};
}

/// As the store keeps it: custom objects in one of their versions.
api::MutableObjectPtr storedForm(const api::Kind& kind, const api::MutableObjectPtr& object) {
  const api::Kind& stored = kind.resourceKind();
  if (&stored == &kind) return object;
  auto copy = api::copyOf(*object);
  api::adoptCustomObject(static_cast<CustomObject&>(*copy), stored);
  return copy;
}

/// The fields of the metadata that only the server writes.
void keepServerFields(const metav1::ObjectMeta& from, metav1::ObjectMeta& to) {
  to.set_uid(from.uid());
  to.set_resourceversion(from.resourceversion());
  *to.mutable_creationtimestamp() = from.creationtimestamp();
  to.clear_generation();
  if (from.has_generation()) to.set_generation(from.generation());
  to.clear_deletiontimestamp();
  if (from.has_deletiontimestamp()) *to.mutable_deletiontimestamp() = from.deletiontimestamp();
  to.clear_deletiongraceperiodseconds();
  if (from.has_deletiongraceperiodseconds()) {
    to.set_deletiongraceperiodseconds(from.deletiongraceperiodseconds());
  }
  to.clear_selflink();
  *to.mutable_managedfields() = from.managedfields();
}

/// A time alone is no change of managers.
void keepManagersOfNoChange(const Message& current, Message& next) {
  const metav1::ObjectMeta& before = api::meta(current);
  metav1::ObjectMeta& metadata = api::mutableMeta(next);
  if (metadata.managedfields().empty() || !api::hasSameManagers(before, metadata)) return;
  const metav1::ObjectMeta changed = metadata;
  *metadata.mutable_managedfields() = before.managedfields();
  if (!api::isSame(next, current)) metadata = changed;
}

Status badPatchOption(Cause cause) {
  std::string message = "PatchOptions.meta.k8s.io \"\" is invalid: " + cause.field + ": ";
  message += cause.message;
  return {Code::kInvalid, std::move(message), {std::move(cause)}};
}

/// Fills in the name and namespace of the address; kBadRequest when the body says otherwise.
Status checkAddress(const api::ResourceId& id, metav1::ObjectMeta& metadata) {
  if (metadata.namespace_().empty()) {
    if (!id.ns.empty()) metadata.set_namespace_(id.ns);
  } else if (metadata.namespace_() != id.ns) {
    return {
        Code::kBadRequest,
        "the namespace of the provided object does not match the namespace sent on the request"};
  }
  if (id.name.empty()) return {};
  if (metadata.name().empty()) {
    metadata.set_name(id.name);
  } else if (metadata.name() != id.name) {
    return {Code::kBadRequest, "the name of the object (" + metadata.name() +
                                   ") does not match the name on the URL (" + id.name + ")"};
  }
  return {};
}

/// The object, with the name and namespace of the address: itself when it has them.
Result<api::ObjectPtr> atAddress(const api::ResourceId& id, api::ObjectPtr object) {
  const metav1::ObjectMeta& metadata = api::meta(*object);
  if (metadata.name() == id.name && metadata.namespace_() == id.ns) return object;
  auto copy = api::copyOf(*object);
  if (Status bad = checkAddress(id, api::mutableMeta(*copy)); !bad) return bad;
  return api::ObjectPtr(std::move(copy));
}

void addCompanions(const std::vector<Companion>& companions, store::Txn& txn) {
  for (const auto& [current, next] : companions) {
    const std::string key = storeKey(*api::kindOf(*current), *current);
    txn.compares.push_back({key, std::stoll(api::meta(*current).resourceversion())});
    txn.puts.push_back({key, storedValue(*next)});
  }
}

/// Whether a terminating object has nothing more to wait for.
bool isFreeToGo(const metav1::ObjectMeta& metadata) {
  return metadata.has_deletiontimestamp() && metadata.deletiongraceperiodseconds() == 0;
}

}  // namespace

Result<store::Compare> Registry::requireActiveNamespace(const api::Kind& kind,
                                                        const std::string& ns,
                                                        const std::string& name) const {
  const api::Kind& namespaceKind = api::kindFor<corev1::Namespace>();
  const auto found = find(namespaceKind, "", ns);
  if (!found) return api::notFound(namespaceKind, ns);
  const auto& metadata = api::meta(*found);
  if (metadata.has_deletiontimestamp()) {
    const Status denied = api::forbidden(
        kind, name,
        "unable to create new content in namespace " + ns + " because it is being terminated");
    return Status(denied.code(), denied.message(),
                  {{"NamespaceTerminating", "metadata.namespace",
                    "namespace " + ns + " is being terminated"}});
  }
  return store::Compare{storeKey(namespaceKind, *found), std::stoll(metadata.resourceversion())};
}

Result<store::Compare> Registry::requireDefinition(const api::Kind& kind) const {
  const api::Kind& definitions = api::kindFor<apiextensionsv1::CustomResourceDefinition>();
  const auto found = find(definitions, "", kind.custom->definition);
  if (!found) return unknownSubresource();
  const auto& metadata = api::meta(*found);
  if (metadata.has_deletiontimestamp()) {
    return Status(Code::kMethodNotAllowed,
                  "create not allowed while custom resource definition is terminating");
  }
  return store::Compare{storeKey(definitions, *found), std::stoll(metadata.resourceversion())};
}

Result<std::shared_ptr<void>> Registry::allocate(const api::Kind& kind, Message& next,
                                                 const Message* before) {
  if (&kind != &api::kindFor<corev1::Service>()) return std::shared_ptr<void>();
  return services_.complete(static_cast<corev1::Service&>(next),
                            static_cast<const corev1::Service*>(before));
}

Result<Registry::Change> Registry::prepareCreate(const api::ResourceId& id,
                                                 api::MutableObjectPtr made, const Track& track) {
  const api::Kind& kind = *id.kind;
  metav1::ObjectMeta& metadata = api::mutableMeta(*made);
  if (Status bad = checkAddress(id, metadata); !bad) return bad;
  if (!metadata.resourceversion().empty()) {
    return Status(Code::kBadRequest, "resourceVersion should not be set on objects to be created");
  }
  if (metadata.name().empty() && !metadata.generatename().empty()) {
    metadata.set_name(metadata.generatename().substr(0, kMaxGeneratedBase) + rng_.suffix());
  }
  metav1::ObjectMeta fresh;
  fresh.set_uid(rng_.uuid());
  *fresh.mutable_creationtimestamp() = api::toTime(clock_.wallNow());
  if (kind.strategy.hasGeneration) fresh.set_generation(1);
  metav1::ObjectMeta wanted;
  wanted.mutable_managedfields()->Swap(metadata.mutable_managedfields());
  keepServerFields(fresh, metadata);
  metadata.clear_resourceversion();
  if (kind.strategy.applyDefaults) kind.strategy.applyDefaults(*made);
  track(nullptr, wanted, *made);
  if (kind.strategy.prepareForCreate) kind.strategy.prepareForCreate(*made);
  if (accountsRequired_ && &kind == &api::kindFor<corev1::Pod>()) {
    Status refused = admitServiceAccount(static_cast<corev1::Pod&>(*made), cache_, rng_);
    if (!refused) return refused;
  }
  if (Status refused = admitCreate(kind, *made, cache_); !refused) return refused;
  if (Status bad = api::validateCreate(*made); !bad) return bad;
  auto held = allocate(kind, *made, nullptr);
  if (!held) return held.status();
  return Change{std::move(made), false, std::move(*held)};
}

Co<void> Registry::waitForAccount(std::string ns, const Message& pod) {
  const std::string& name = static_cast<const corev1::Pod&>(pod).spec().serviceaccountname();
  const bool isDefault = name.empty() || name == api::kDefaultAccount;
  const api::Kind& kind = api::kindFor<corev1::ServiceAccount>();
  if (!isDefault || find(kind, ns, api::kDefaultAccount) ||
      !find(api::kindFor<corev1::Namespace>(), "", ns))
    co_return;
  Filter filter;
  filter.ns = ns;
  filter.name = api::kDefaultAccount;
  api::WatchOptions options;
  options.timeout = kAccountPatience;
  const auto watch = cache_.of(kind).watchFromNow(std::move(filter), cache_.revision(), options);
  (void)co_await watch->next();
}

Co<Result<api::WriteResult>> Registry::create(api::ResourceId id, api::ObjectPtr object,
                                              api::WriteOptions options, Guard guard) {
  const api::Kind& kind = *id.kind;
  if (id.subresource == "binding" && &kind == &api::kindFor<corev1::Pod>()) {
    if (Status bad = checkType(api::kindFor<corev1::Binding>(), object); !bad) co_return bad;
    auto bound = co_await bind(std::move(id), std::move(object), options.dryRun);
    if (!bound) co_return bound.status();
    co_return api::WriteResult{std::move(*bound), {}};
  }
  if (id.subresource == "eviction" && &kind == &api::kindFor<corev1::Pod>()) {
    if (Status bad = checkType(api::kindFor<policyv1::Eviction>(), object); !bad) co_return bad;
    auto evicted = co_await evict(std::move(id), std::move(object), options.dryRun);
    if (!evicted) co_return evicted.status();
    co_return api::WriteResult{std::move(*evicted), {}};
  }
  if (!id.subresource.empty()) co_return unknownSubresource();
  if (Status bad = checkType(kind, object); !bad) co_return bad;
  Track track = trackerOf(id, options);
  co_return co_await make(std::move(id), std::move(object), std::move(track), options.dryRun,
                          std::move(guard));
}

Co<Result<api::WriteResult>> Registry::make(api::ResourceId id, api::ObjectPtr object, Track track,
                                            bool dryRun, Guard guard) {
  const api::Kind& kind = *id.kind;
  if (kind.namespaced() == id.ns.empty()) co_return methodNotAllowed();
  if (accountsRequired_ && &kind == &api::kindFor<corev1::Pod>())
    co_await waitForAccount(id.ns, *object);
  const bool generated = api::meta(*object).name().empty();
  for (int attempt = 1;; ++attempt) {
    // A name that is taken is made anew of what was wanted.
    auto made = prepareCreate(id, api::toChange(generated ? object : std::move(object)), track);
    if (!made) co_return made.status();
    if (Status refused = guard ? guard(*made->next, nullptr) : Status(); !refused)
      co_return refused;
    std::vector<std::string> warnings = api::unsupportedWarnings(*made->next);
    auto stored = co_await insert(kind, made->next, dryRun);
    if (stored) co_return api::WriteResult{std::move(*stored), std::move(warnings)};
    const bool taken = stored.status().is(Code::kAlreadyExists);
    if (!taken || !generated || attempt == kNameAttempts) co_return stored.status();
  }
}

Co<Result<api::ObjectPtr>> Registry::insert(const api::Kind& kind, api::MutableObjectPtr object,
                                            bool dryRun) {
  const metav1::ObjectMeta& metadata = api::meta(*object);
  const std::string ownKey = api::keyOf(*object);
  const std::string key = storePrefix(kind) + ownKey;
  const api::MutableObjectPtr kept = storedForm(kind, object);
  const store::Value value = storedValue(*kept);
  while (true) {
    store::Txn txn{{{key, 0}}, {{key, value}}, {}};
    if (kind.custom) {
      auto defined = requireDefinition(kind);
      if (!defined) co_return defined.status();
      txn.compares.push_back(std::move(*defined));
    }
    if (kind.namespaced()) {
      auto active = requireActiveNamespace(kind, metadata.namespace_(), metadata.name());
      if (!active) co_return active.status();
      txn.compares.push_back(std::move(*active));
    }
    if (find(kind, metadata.namespace_(), metadata.name())) {
      co_return api::alreadyExists(kind, metadata.name());
    }
    auto charged = chargeQuotas(*object, nullptr, cache_);
    if (!charged) co_return charged.status();
    addCompanions(*charged, txn);
    if (dryRun) co_return api::ObjectPtr(std::move(object));
    WatchCache::Expected expected(cache_, value.share(), kept);
    auto result = co_await store_.txn(std::move(txn));
    if (!result) co_return result.status();
    if (Status stopped = co_await cache_.waitFor(result->revision); !stopped) co_return stopped;
    if (!result->succeeded) {
      // The name was taken meanwhile, or the namespace or a quota has changed.
      const auto isKey = [&](const store::KeyValue& kv) { return kv.key == key; };
      if (std::ranges::none_of(result->current, isKey)) continue;
      co_return api::alreadyExists(kind, metadata.name());
    }
    if (metadata.resourceversion().empty()) setRevision(*object, result->revision);
    co_return asCached(kind, ownKey, std::move(object), result->revision);
  }
}

api::ObjectPtr Registry::asCached(const api::Kind& kind, const std::string& key,
                                  api::ObjectPtr written, store::Revision revision) const {
  const auto packed = kind.custom ? nullptr : cache_.of(kind).find(key);
  return packed && packed->revision() == revision ? packed->adopt(std::move(written)) : written;
}

// One compare-and-swap at a time, decided anew from the present state until one succeeds. Each
// failure means that another writer has succeeded.
Co<Result<api::ObjectPtr>> Registry::change(api::ResourceId id, bool dryRun, Decide decide) {
  const api::Kind& kind = *id.kind;
  while (true) {
    const auto current = find(kind, id.ns, id.name);
    if (!current) co_return api::notFound(kind, id.name);
    auto decided = decide(*current);
    if (!decided) co_return decided.status();
    const api::MutableObjectPtr next = std::move(decided->next);
    const std::string& revision = api::meta(*current).resourceversion();
    const std::string ownKey = api::keyOf(*current);
    const std::string key = storePrefix(kind) + ownKey;
    store::Txn txn{{{key, std::stoll(revision)}}, {}, {}};
    addCompanions(decided->companions, txn);
    store::Value value;
    const auto before = cache_.of(kind).find(ownKey);
    api::MutableObjectPtr kept = storedForm(kind, next);
    if (decided->remove) {
      txn.deletes.push_back(key);
      // Watches are told of the last state, finalizers that have just gone included.
      if (hasFinalizers(*current)) kept = nullptr;
    } else {
      value = storedValue(*kept);
      const bool isSame = *value == before->value() && decided->companions.empty();
      if (isSame) co_return current;
      txn.puts.push_back({key, value});
      txn.patient = kind.strategy.updatesArePatient;
    }
    if (dryRun) co_return api::ObjectPtr(next);
    WatchCache::Expected expected(cache_, decided->remove ? before->share() : value.share(), kept);
    auto result = co_await store_.txn(std::move(txn));
    if (!result) co_return result.status();
    if (Status stopped = co_await cache_.waitFor(result->revision); !stopped) co_return stopped;
    if (!result->succeeded) continue;
    if (api::meta(*next).resourceversion() == revision) setRevision(*next, result->revision);
    if (decided->remove) co_return api::ObjectPtr(next);
    co_return asCached(kind, ownKey, next, result->revision);
  }
}

Result<Registry::Change> Registry::decideUpdate(const api::ResourceId& id, const Message& current,
                                                api::ObjectPtr& wanted) {
  const api::Kind& kind = *id.kind;
  const Message& desired = *wanted;
  const metav1::ObjectMeta& before = api::meta(current);
  const metav1::ObjectMeta& asked = api::meta(desired);
  if (!asked.uid().empty() && asked.uid() != before.uid()) {
    return api::conflict(kind, id.name,
                         "Precondition failed: UID in precondition: " + asked.uid() +
                             ", UID in object meta: " + before.uid());
  }
  if (!asked.resourceversion().empty() && asked.resourceversion() != before.resourceversion()) {
    return api::conflict(kind, id.name);
  }
  const bool writesStatus = id.subresource == "status" && kind.strategy.hasStatus;
  // Where there are managers, those that were sent are looked at when it is decided.
  const bool managed = !asked.managedfields().empty() || !before.managedfields().empty();
  const api::ObjectPtr sent = managed ? wanted : nullptr;
  auto next = writesStatus ? copyWithStatus(current, wanted)
                           : api::copyOf(id.subresource.empty() ? desired : current);
  std::shared_ptr<void> hold;
  Status valid;
  if (writesStatus) {
    valid = api::validateStatusUpdate(*next, current);
  } else if (const auto part = std::ranges::find(kind.strategy.parts, id.subresource,
                                                 &api::Strategy::Part::subresource);
             part != kind.strategy.parts.end()) {
    part->take(desired, *next);
    if (kind.strategy.applyDefaults) kind.strategy.applyDefaults(*next);
    if (kind.strategy.hasGeneration && specDiffers(kind, *next, current))
      api::mutableMeta(*next).set_generation(before.generation() + 1);
    valid = api::validatePartUpdate(*part, *next, current);
  } else if (id.subresource == "finalize" && hasSpecFinalizers(current)) {
    copySpecFinalizers(desired, *next);
  } else if (id.subresource.empty()) {
    keepServerFields(before, api::mutableMeta(*next));
    if (kind.strategy.hasStatus) copyField(current, *next, "status");
    if (hasSpecFinalizers(current)) copySpecFinalizers(current, *next);
    if (kind.strategy.prepareForUpdate) kind.strategy.prepareForUpdate(*next, current);
    if (kind.strategy.applyDefaults) kind.strategy.applyDefaults(*next);
    if (kind.strategy.hasGeneration && specDiffers(kind, *next, current)) {
      api::mutableMeta(*next).set_generation(before.generation() + 1);
    }
    valid = api::validateUpdate(*next, current);
    if (valid) {
      auto held = allocate(kind, *next, &current);
      if (!held) return held.status();
      hold = std::move(*held);
    }
  } else {
    return unknownSubresource();
  }
  if (!valid) return valid;
  const bool remove = isFreeToGo(before) && hasFinalizers(current) && !hasFinalizers(*next);
  Change change{std::move(next), remove, std::move(hold)};
  if (remove || !id.subresource.empty()) return change;
  auto charged = chargeQuotas(*change.next, &current, cache_);
  if (!charged) return charged.status();
  change.companions = std::move(*charged);
  return change;
}

Registry::Track Registry::trackerOf(const api::ResourceId& id,
                                    const api::WriteOptions& options) const {
  return [this, id, manager = options.fieldManager](
             const Message* current, const metav1::ObjectMeta& wanted, Message& next) {
    // podlab's own parts name no manager. Of what they make and of the status that they write no
    // account is kept: that is most of all writes. Where they change what others manage, they own
    // it.
    const bool known = current != nullptr && api::meta(*current).managedfields_size() > 0;
    if (manager.empty() && (!known || id.subresource == "status")) return;
    api::FieldWriter writer{manager.empty() ? kOwnManager : manager, id.subresource,
                            clock_.wallNow()};
    api::trackUpdate(*id.kind, current, wanted, next, writer);
  };
}

Co<Result<api::WriteResult>> Registry::write(api::ResourceId id, Desired desired, Track track,
                                             bool dryRun, Guard guard) {
  const api::Kind& seen = id.kind->seenThrough(id.subresource);
  const bool scales = &seen != id.kind;
  // A scale is written as its object.
  if (scales) id.subresource.clear();
  std::vector<std::string> warnings;
  Decide decide = [&](const Message& current) -> Result<Change> {
    auto wanted = desired(current);
    if (wanted && scales) wanted = scaled(*id.kind, current, **wanted);
    if (!wanted) return wanted.status();
    auto decided = decideUpdate(id, current, *wanted);
    if (decided) {
      track(&current, api::meta(*wanted != nullptr ? **wanted : current), *decided->next);
      keepManagersOfNoChange(current, *decided->next);
      Status refused = guard ? guard(*decided->next, &current) : Status();
      if (!refused) return refused;
    }
    const bool spec = id.subresource != "status" && id.subresource != "finalize";
    if (decided && spec) warnings = api::unsupportedWarnings(*decided->next);
    return decided;
  };
  auto stored = co_await change(id, dryRun, std::move(decide));
  if (!stored) co_return stored.status();
  if (scales) stored = scaleOf(*id.kind, **stored);
  co_return api::WriteResult{std::move(*stored), std::move(warnings)};
}

Co<Result<api::WriteResult>> Registry::rewrite(api::ResourceId id, Desired desired,
                                               api::WriteOptions options, Guard guard) {
  Track track = trackerOf(id, options);
  Desired addressed = [&](const Message& current) -> Result<api::ObjectPtr> {
    auto wanted = desired(current);
    if (!wanted) return wanted.status();
    return atAddress(id, *wanted);
  };
  co_return co_await write(id, std::move(addressed), std::move(track), options.dryRun,
                           std::move(guard));
}

Co<Result<api::WriteResult>> Registry::update(api::ResourceId id, api::ObjectPtr object,
                                              api::WriteOptions options, Guard guard) {
  if (Status bad = checkType(id.kind->seenThrough(id.subresource), object); !bad) co_return bad;
  auto body = atAddress(id, std::move(object));
  if (!body) co_return body.status();
  // A status of a revision is given away: to be asked again means that another writer was faster.
  const bool once = id.subresource == "status" && !api::meta(**body).resourceversion().empty();
  Desired desired = [&body, once, kind = id.kind,
                     name = id.name](const Message&) -> Result<api::ObjectPtr> {
    if (*body == nullptr) return api::conflict(*kind, name);
    return once ? std::exchange(*body, nullptr) : *body;
  };
  Track track = trackerOf(id, options);
  co_return co_await write(std::move(id), std::move(desired), std::move(track), options.dryRun,
                           std::move(guard));
}

Co<Result<api::WriteResult>> Registry::patch(api::ResourceId id, api::PatchType type,
                                             std::string body, api::WriteOptions options,
                                             Guard guard) {
  if (type == api::PatchType::kApply) {
    co_return co_await apply(std::move(id), std::move(body), std::move(options), std::move(guard));
  }
  if (options.force) {
    co_return badPatchOption(
        {"FieldValueForbidden", "force", "Forbidden: may not be specified for non-apply patch"});
  }
  std::vector<std::string> warnings;
  const bool scales = &id.kind->seenThrough(id.subresource) != id.kind;
  Desired desired = [&](const Message& current) -> Result<api::ObjectPtr> {
    const api::ObjectPtr scale = scales ? scaleOf(*id.kind, current) : nullptr;
    auto patched = api::applyPatch(scales ? *scale : current, type, body, options.fieldValidation);
    if (!patched) return patched.status();
    if (Status bad = checkAddress(id, api::mutableMeta(*patched->object)); !bad) return bad;
    warnings = std::move(patched->warnings);
    return api::ObjectPtr(std::move(patched->object));
  };
  Track track = trackerOf(id, options);
  auto result = co_await write(id, desired, std::move(track), options.dryRun, std::move(guard));
  if (result) result->warnings.insert(result->warnings.begin(), warnings.begin(), warnings.end());
  co_return result;
}

Co<Result<api::WriteResult>> Registry::apply(api::ResourceId id, std::string configuration,
                                             api::WriteOptions options, Guard guard) {
  if (options.fieldManager.empty()) {
    co_return badPatchOption(
        {"FieldValueRequired", "fieldManager", "Required value: is required for apply patch"});
  }
  std::vector<std::string> warnings;
  const std::string subresource = id.subresource;
  const bool scales = &id.kind->seenThrough(subresource) != id.kind;
  if (scales) {
    // A scale is applied as the part of its object that it is.
    auto part = scaleConfiguration(*id.kind, configuration, options.fieldValidation);
    if (!part) co_return part.status();
    configuration = std::move(part->text);
    warnings = std::move(part->warnings);
  }
  const auto applied = [&](const Message* current) -> Result<api::ObjectPtr> {
    api::ApplyOptions how{{options.fieldManager, subresource, clock_.wallNow()},
                          options.force,
                          options.fieldValidation};
    auto made = api::applyConfiguration(*id.kind, current, configuration, how);
    if (!made) return made.status();
    if (Status bad = checkAddress(id, api::mutableMeta(*made->object)); !bad) return bad;
    if (!scales) warnings = std::move(made->warnings);
    return api::ObjectPtr(std::move(made->object));
  };
  const Track track = [](const Message*, const metav1::ObjectMeta& wanted, Message& next) {
    *api::mutableMeta(next).mutable_managedfields() = wanted.managedfields();
  };
  const Desired desired = [&](const Message& current) { return applied(&current); };
  if (scales) id.subresource.clear();
  while (true) {
    const bool exists = find(*id.kind, id.ns, id.name) != nullptr;
    if (!exists && !subresource.empty()) co_return api::notFound(*id.kind, id.name);
    Result<api::WriteResult> result = Status(Code::kInternal, "");
    if (exists) {
      result = co_await write(id, desired, track, options.dryRun, guard);
    } else {
      auto object = applied(nullptr);
      if (!object) co_return object.status();
      result = co_await make(id, std::move(*object), track, options.dryRun, guard);
      if (result) result->created = true;
    }
    // Another writer has made or removed it meanwhile.
    if (result.status().is(exists ? Code::kNotFound : Code::kAlreadyExists)) continue;
    if (result) result->warnings.insert(result->warnings.begin(), warnings.begin(), warnings.end());
    if (result && scales) result->object = scaleOf(*id.kind, *result->object);
    co_return result;
  }
}

}  // namespace podlab::apiserver
