#include "controllers/custom_resources.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "api/conditions.hpp"
#include "api/custom/custom_kinds.hpp"
#include "api/custom/custom_type.hpp"
#include "api/field_errors.hpp"
#include "api/owners.hpp"
#include "client/modify.hpp"

namespace podlab::controllers {
namespace {

using Crd = apiextensionsv1::CustomResourceDefinition;
using google::protobuf::Message;

constexpr std::size_t kWorkers = 4;

std::string objectsLeft(std::size_t count) {
  return std::to_string(count) + " objects are left of it";
}

Co<void> removeOne(api::Api& api, api::ObjectPtr object, Status& failure) {
  const auto& metadata = api::meta(*object);
  api::ResourceId id{api::kindOf(*object), metadata.namespace_(), metadata.name(), ""};
  api::DeleteOptions options;
  options.mutable_preconditions()->set_uid(metadata.uid());
  options.set_propagationpolicy("Background");
  auto removed = co_await api.remove(std::move(id), std::move(options));
  const Status& status = removed.status();
  if (!status && !status.is(Code::kNotFound) && !status.is(Code::kConflict)) failure = status;
}

}  // namespace

AcceptedNames acceptNames(const Crd& definition, const std::vector<api::ObjectPtr>& all) {
  std::set<std::string> resources;
  std::set<std::string> kinds;
  for (const auto& object : all) {
    const auto& other = api::as<Crd>(object);
    const bool self = other.metadata().name() == definition.metadata().name();
    if (self || other.spec().group() != definition.spec().group()) continue;
    const auto& names = other.status().acceptednames();
    for (const auto* name : {&names.plural(), &names.singular()}) resources.insert(*name);
    resources.insert(names.shortnames().begin(), names.shortnames().end());
    for (const auto* name : {&names.kind(), &names.listkind()}) kinds.insert(*name);
  }
  resources.erase("");
  kinds.erase("");

  AcceptedNames made{definition.status().acceptednames(),
                     {"NamesAccepted", "True", "NoConflicts", "no conflicts found"},
                     {"Established", "False", "NotAccepted", "not all names are accepted"}};
  const auto& wanted = definition.spec().names();
  const auto refuse = [&](const char* reason, const std::string& name) {
    made.accepted = {"NamesAccepted", "False", reason, api::quoted(name) + " is already in use"};
  };
  const auto take = [&](const std::set<std::string>& used, const std::string& name,
                        const char* reason,
                        auto assign) { used.contains(name) ? refuse(reason, name) : assign(name); };
  take(resources, wanted.plural(), "PluralConflict",
       [&](const std::string& name) { made.names.set_plural(name); });
  take(resources, wanted.singular(), "SingularConflict",
       [&](const std::string& name) { made.names.set_singular(name); });
  const auto isUsed = [&](const std::string& name) { return resources.contains(name); };
  const auto conflict = std::ranges::find_if(wanted.shortnames(), isUsed);
  if (conflict == wanted.shortnames().end()) {
    *made.names.mutable_shortnames() = wanted.shortnames();
  } else {
    refuse("ShortNamesConflict", *conflict);
  }
  take(kinds, wanted.kind(), "KindConflict",
       [&](const std::string& name) { made.names.set_kind(name); });
  take(kinds, wanted.listkind(), "ListKindConflict",
       [&](const std::string& name) { made.names.set_listkind(name); });
  *made.names.mutable_categories() = wanted.categories();

  // Who was established once stays so.
  if (made.accepted.status == "True" || api::isTrue(definition.status(), "Established")) {
    made.established = {"Established", "True", "InitialNamesAccepted",
                        "the initial names have been accepted"};
  }
  return made;
}

CustomResourceController::CustomResourceController(Context& context, client::Informer& definitions)
    : context_(context),
      definitions_(definitions),
      reconciler_("custom_resources", context.clock, context.rng, context.executor,
                  [this](std::string key) { return reconcile(std::move(key)); }) {
  client::Informer::Handlers handlers;
  handlers.added = [this](const api::ObjectPtr& now) { observe(now); };
  handlers.updated = [this](const api::ObjectPtr&, const api::ObjectPtr& now) { observe(now); };
  // Its names are free.
  handlers.deleted = [this](const api::ObjectPtr& last) { enqueueGroup(api::as<Crd>(last)); };
  definitions_.addHandlers(std::move(handlers));
  context_.caches.forEachKind([this](client::Informer& informer) {
    const auto& custom = informer.collection().kind->custom;
    if (!custom) return;
    client::Informer::Handlers objects;
    objects.deleted = [this, name = custom->definition](const api::ObjectPtr&) {
      const auto definition = definitions_.get(name);
      if (definition && api::meta(*definition).has_deletiontimestamp()) reconciler_.add(name);
    };
    informer.addHandlers(std::move(objects));
  });
}

void CustomResourceController::start() {
  reconciler_.start(definitions_.waitForSync(), kWorkers);
}

void CustomResourceController::observe(const api::ObjectPtr& definition) {
  const std::string& name = api::meta(*definition).name();
  if (const auto* kind = api::customResource(name)) context_.caches.addKind(*kind);
  reconciler_.add(name);
}

void CustomResourceController::enqueueGroup(const Crd& definition) {
  for (const auto& other : definitions_.list()) {
    if (api::as<Crd>(other).spec().group() == definition.spec().group())
      reconciler_.add(api::meta(*other).name());
  }
}

Co<Status> CustomResourceController::reconcile(std::string name) {
  auto definition = definitions_.get(name);
  if (!definition) co_return Status();
  if (api::meta(*definition).has_deletiontimestamp())
    co_return co_await cleanUp(std::move(definition));
  co_return co_await establish(std::move(definition));
}

Co<Status> CustomResourceController::establish(api::ObjectPtr definition) {
  const AcceptedNames accepted = acceptNames(api::as<Crd>(definition), definitions_.list());
  client::Change change = [this, &accepted](Message& next) {
    auto& status = *static_cast<Crd&>(next).mutable_status();
    const std::string was = status.SerializeAsString();
    *status.mutable_acceptednames() = accepted.names;
    const WallTime now = context_.clock.wallNow();
    api::setCondition(status, accepted.accepted, now);
    api::setCondition(status, accepted.established, now);
    return status.SerializeAsString() != was;
  };
  api::ResourceId id{&api::kindFor<Crd>(), "", api::meta(*definition).name(), "status"};
  auto written =
      co_await client::modify(context_.api, std::move(id), definition, std::move(change));
  co_return unlessGone(written.status());
}

Co<Status> CustomResourceController::writeTerminating(api::ObjectPtr definition,
                                                      api::ConditionState state) {
  client::Change change = [this, state](Message& next) {
    return api::setCondition(*static_cast<Crd&>(next).mutable_status(), state,
                             context_.clock.wallNow());
  };
  api::ResourceId id{&api::kindFor<Crd>(), "", api::meta(*definition).name(), "status"};
  auto written = co_await client::modify(context_.api, std::move(id), std::move(definition),
                                         std::move(change));
  co_return unlessGone(written.status());
}

/// How many are left, for they have finalizers.
Co<Result<std::size_t>> CustomResourceController::removeObjects(const api::Kind& kind) {
  api::ResourceId collection{&kind, "", "", ""};
  api::ListOptions all;
  auto listed = co_await context_.api.list(collection, all);
  if (!listed) co_return listed.status();
  Status failure;
  auto& items = listed->items;
  std::erase_if(items, [](const auto& item) { return api::meta(*item).has_deletiontimestamp(); });
  auto remove = [&](std::size_t i) { return removeOne(context_.api, items[i], failure); };
  co_await forEachAtOnce(context_.executor, "custom_object", items.size(), remove);
  if (!failure) co_return failure;
  auto left = co_await context_.api.list(std::move(collection), std::move(all));
  if (!left) co_return left.status();
  co_return left->items.size();
}

Co<Status> CustomResourceController::cleanUp(api::ObjectPtr definition) {
  const std::string name = api::meta(*definition).name();
  if (!api::hasFinalizer(api::meta(*definition), api::kCleanUpFinalizer)) co_return Status();
  if (const auto* kind = api::customResource(name)) {
    api::ConditionState begun{"Terminating", "True", "InstanceDeletionInProgress",
                              "CustomResource deletion is in progress"};
    Status written = co_await writeTerminating(definition, std::move(begun));
    if (!written) co_return written;
    auto left = co_await removeObjects(*kind);
    if (!left) {
      api::ConditionState failed{"Terminating", "True", "InstanceDeletionFailed",
                                 "could not issue all deletes: " + left.status().message()};
      written = co_await writeTerminating(definition, std::move(failed));
      if (!written) co_return written;
      co_return left.status();
    }
    // The end of each brings the key sooner than the delay.
    if (*left > 0) co_return Status(Code::kConflict, objectsLeft(*left));
  }
  api::ConditionState done{"Terminating", "False", "InstanceDeletionCompleted",
                           "removed all instances"};
  Status written = co_await writeTerminating(definition, std::move(done));
  if (!written) co_return written;
  client::Change letGo = [](Message& next) {
    return api::removeFinalizer(api::mutableMeta(next), api::kCleanUpFinalizer);
  };
  api::ResourceId id{&api::kindFor<Crd>(), "", name, ""};
  auto gone = co_await client::modify(context_.api, std::move(id), definition, std::move(letGo));
  co_return unlessGone(gone.status());
}

}  // namespace podlab::controllers
