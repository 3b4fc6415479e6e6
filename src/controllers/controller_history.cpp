#include "controllers/controller_history.hpp"

#include <algorithm>
#include <utility>

#include "api/codec.hpp"
#include "api/kinds.hpp"
#include "api/owners.hpp"
#include "client/modify.hpp"
#include "controllers/deployment_revisions.hpp"
#include "controllers/owned_pods.hpp"

namespace podlab::controllers {
namespace {

using appsv1::ControllerRevision;

/// A strategic merge patch that puts the template in place of another.
std::string dataOf(const corev1::PodTemplateSpec& pod) {
  std::string text = api::toJson(pod);
  text.insert(1, text == "{}" ? R"("$patch":"replace")" : R"("$patch":"replace",)");
  return R"({"spec":{"template":)" + text + "}}";
}

api::ResourceId idOf(const ControllerRevision& revision) {
  return {&api::kindFor<ControllerRevision>(), revision.metadata().namespace_(),
          revision.metadata().name(), ""};
}

ControllerRevision revisionOf(const google::protobuf::Message& owner,
                              const corev1::PodTemplateSpec& pod, std::string data,
                              std::int32_t collisions, std::int64_t number) {
  ControllerRevision made;
  const metav1::ObjectMeta& from = api::meta(owner);
  metav1::ObjectMeta& metadata = *made.mutable_metadata();
  const std::string hash = templateHash(pod, collisions);
  metadata.set_name(from.name() + "-" + hash);
  metadata.set_namespace_(from.namespace_());
  *metadata.mutable_labels() = pod.metadata().labels();
  (*metadata.mutable_labels())[kRevisionHash] = hash;
  *metadata.mutable_annotations() = from.annotations();
  *metadata.add_ownerreferences() = api::controllerReference(owner);
  made.mutable_data()->set_raw(std::move(data));
  made.set_revision(number);
  return made;
}

void sortByNumber(std::vector<RevisionPtr>& revisions) {
  std::ranges::sort(revisions, {}, [](const RevisionPtr& each) {
    return std::tuple(each->revision(), each->metadata().creationtimestamp().seconds(),
                      each->metadata().name());
  });
}

/// The revision as it is when the cache shows it.
Co<Result<RevisionPtr>> awaited(Context& context, Result<api::ObjectPtr> written) {
  if (!written) co_return written.status();
  co_await context.revisions.waitFor(api::meta(**written).resourceversion());
  co_return api::share<ControllerRevision>(*written);
}

Co<Result<RevisionPtr>> create(Context& context, ControllerRevision wanted, bool& collided) {
  api::ResourceId id = idOf(wanted);
  const api::ResourceId present = id;
  id.name.clear();
  const auto object = std::make_shared<ControllerRevision>(std::move(wanted));
  api::WriteOptions options;
  auto made = co_await context.api.create(std::move(id), object, std::move(options));
  if (made) co_return co_await awaited(context, made->object);
  if (!made.status().is(Code::kAlreadyExists)) co_return made.status();
  auto found = co_await context.api.get(present);
  if (!found) co_return found.status();
  const auto& other = api::as<ControllerRevision>(*found);
  const auto* controller = api::controllerOf(other.metadata());
  collided = other.data().raw() != object->data().raw() || controller == nullptr ||
             controller->uid() != object->metadata().ownerreferences(0).uid();
  co_return api::share<ControllerRevision>(*found);
}

Co<Result<RevisionPtr>> renumber(Context& context, RevisionPtr revision, std::int64_t number) {
  const client::Change change = [number](google::protobuf::Message& object) {
    static_cast<ControllerRevision&>(object).set_revision(number);
    return true;
  };
  auto written = co_await client::modify(context.api, idOf(*revision), revision, change);
  co_return co_await awaited(context, std::move(written));
}

}  // namespace

RevisionPtr History::find(const std::string& name) const {
  const auto found =
      std::ranges::find(all, name, [](const RevisionPtr& each) { return each->metadata().name(); });
  return found == all.end() ? nullptr : *found;
}

Co<Result<History>> syncHistory(Context& context, api::ObjectPtr owner, api::LabelSelector selector,
                                corev1::PodTemplateSpec pod, std::int32_t collisions) {
  OwnedObjects owned{context.revisions, context.revisionsByOwner};
  auto claimed = co_await claim(context, owned, owner, std::move(selector),
                                [](const google::protobuf::Message&) { return true; });
  if (!claimed) co_return claimed.status();
  History history;
  for (const auto& object : *claimed) history.all.push_back(api::share<ControllerRevision>(object));
  sortByNumber(history.all);

  std::string data = dataOf(pod);
  const std::int64_t last = history.all.empty() ? 0 : history.all.back()->revision();
  const auto same = std::ranges::find(history.all.rbegin(), history.all.rend(), data,
                                      [](const RevisionPtr& each) { return each->data().raw(); });
  if (same == history.all.rbegin() && same != history.all.rend()) {
    history.present = *same;
    co_return history;
  }
  if (same != history.all.rend()) {
    auto renumbered = co_await renumber(context, *same, last + 1);
    if (!renumbered) co_return renumbered.status();
    *same = *renumbered;
    history.present = *renumbered;
    sortByNumber(history.all);
    co_return history;
  }
  auto wanted = revisionOf(*owner, pod, std::move(data), collisions, last + 1);
  auto made = co_await create(context, std::move(wanted), history.collided);
  if (!made) co_return made.status();
  if (!history.collided) {
    history.present = *made;
    history.all.push_back(*made);
  }
  co_return history;
}

Co<Status> trimHistory(Context& context, History history, std::set<std::string> live,
                       std::int32_t limit) {
  live.insert(history.present->metadata().name());
  std::erase_if(history.all,
                [&](const RevisionPtr& each) { return live.contains(each->metadata().name()); });
  const auto kept = static_cast<std::size_t>(std::max(limit, 0));
  for (std::size_t i = 0; i + kept < history.all.size(); ++i) {
    api::DeleteOptions options;
    options.mutable_preconditions()->set_uid(history.all[i]->metadata().uid());
    auto removed = co_await context.api.remove(idOf(*history.all[i]), std::move(options));
    const Status status = removed.status();
    if (!status.ok() && !status.is(Code::kNotFound) && !status.is(Code::kConflict))
      co_return status;
    if (removed) co_await context.revisions.waitFor(api::meta(**removed).resourceversion());
  }
  co_return Status();
}

corev1::PodTemplateSpec templateIn(const ControllerRevision& revision) {
  appsv1::DaemonSet holder;  // any kind with spec.template
  if (!api::fromJson(revision.data().raw(), holder).ok()) return {};
  return holder.spec().template_();
}

}  // namespace podlab::controllers
