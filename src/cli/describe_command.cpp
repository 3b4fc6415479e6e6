#include "cli/describe_command.hpp"

#include <algorithm>
#include <cstdio>
#include <optional>

#include "api/api.hpp"
#include "api/owners.hpp"
#include "cli/describe_object.hpp"
#include "cli/resources.hpp"

namespace podlab::cli {
namespace {

constexpr std::string_view kLeaseNamespace = "kube-node-lease";

struct DescribeOptions {
  Selection selection;
  bool showEvents = true;
};

template <typename T>
Co<Result<std::vector<std::shared_ptr<const T>>>> listOf(Session& session, std::string ns,
                                                         std::string fields,
                                                         std::string labels = "") {
  api::ResourceId id{&api::kindFor<T>(), std::move(ns), "", ""};
  api::ListOptions options;
  options.fieldSelector = std::move(fields);
  options.labelSelector = std::move(labels);
  auto found = co_await session.api.list(id, options);
  if (!found) co_return found.status();
  std::vector<std::shared_ptr<const T>> objects;
  for (const auto& object : found->items) objects.push_back(api::share<T>(object));
  co_return objects;
}

/// Those of a namespace that the object controls, of the ones that its selector matches.
template <typename T>
Co<Result<std::vector<std::shared_ptr<const T>>>> controlledBy(Session& session,
                                                               const api::Kind& kind,
                                                               api::ObjectPtr owner) {
  auto found = co_await listOf<T>(session, api::meta(*owner).namespace_(), "",
                                  kind.strategy.scaling->selector(*owner));
  if (!found) co_return found.status();
  std::erase_if(*found, [&](const auto& object) {
    const auto* controller = api::controllerOf(object->metadata());
    return controller == nullptr || controller->uid() != api::meta(*owner).uid();
  });
  co_return found;
}

template <typename T>
Co<Result<std::string>> describeReplicasOf(Session& session, const api::Kind& kind,
                                           api::ObjectPtr object, Events events, WallTime now) {
  auto pods = co_await controlledBy<corev1::Pod>(session, kind, object);
  if (!pods) co_return pods.status();
  co_return describeReplicas(api::as<T>(object), *pods, events, now);
}

/// The description, with whatever else of the cluster belongs into it.
Co<Result<std::string>> describeOne(Session& session, const api::Kind& kind, api::ObjectPtr object,
                                    bool showEvents) {
  const WallTime now = session.clock.wallNow();
  const std::string name = api::meta(*object).name();
  Events events;
  if (showEvents && &kind != &api::kindFor<corev1::Event>()) {
    auto found = co_await listOf<corev1::Event>(
        session, api::meta(*object).namespace_(),
        "involvedObject.kind=" + std::string(kind.kind) + ",involvedObject.name=" + name);
    if (!found) co_return found.status();
    events = std::move(*found);
  }
  if (&kind == &api::kindFor<corev1::Pod>())
    co_return describePod(api::as<corev1::Pod>(object), events, now);
  if (&kind == &api::kindFor<corev1::Node>()) {
    auto pods = co_await listOf<corev1::Pod>(session, "", "spec.nodeName=" + name);
    if (!pods) co_return pods.status();
    api::ResourceId leaseId{&api::kindFor<coordinationv1::Lease>(), std::string(kLeaseNamespace),
                            name, ""};
    auto lease = co_await session.api.get(leaseId);
    if (!lease && !lease.status().is(Code::kNotFound)) co_return lease.status();
    co_return describeNode(api::as<corev1::Node>(object), *pods,
                           lease ? &api::as<coordinationv1::Lease>(*lease) : nullptr, events, now);
  }
  if (&kind == &api::kindFor<corev1::Namespace>())
    co_return describeNamespace(api::as<corev1::Namespace>(object));
  if (&kind == &api::kindFor<corev1::ConfigMap>())
    co_return describeConfigMap(api::as<corev1::ConfigMap>(object), events, now);
  if (&kind == &api::kindFor<corev1::Secret>())
    co_return describeSecret(api::as<corev1::Secret>(object));
  if (&kind == &api::kindFor<corev1::PersistentVolumeClaim>()) {
    auto pods = co_await listOf<corev1::Pod>(session, api::meta(*object).namespace_(), "");
    if (!pods) co_return pods.status();
    std::vector<std::string> users;
    for (const auto& pod : *pods) {
      const auto claims = api::claimsOf(*pod);
      if (std::ranges::find(claims, name) != claims.end()) users.push_back(pod->metadata().name());
    }
    co_return describeClaim(api::as<corev1::PersistentVolumeClaim>(object), users, events, now);
  }
  if (&kind == &api::kindFor<corev1::PersistentVolume>())
    co_return describeVolume(api::as<corev1::PersistentVolume>(object), events, now);
  if (&kind == &api::kindFor<appsv1::Deployment>()) {
    auto sets = co_await controlledBy<appsv1::ReplicaSet>(session, kind, object);
    if (!sets) co_return sets.status();
    co_return describeDeployment(api::as<appsv1::Deployment>(object), std::move(*sets), events,
                                 now);
  }
  if (&kind == &api::kindFor<appsv1::ReplicaSet>())
    co_return co_await describeReplicasOf<appsv1::ReplicaSet>(session, kind, object, events, now);
  if (&kind == &api::kindFor<corev1::ReplicationController>()) {
    co_return co_await describeReplicasOf<corev1::ReplicationController>(session, kind, object,
                                                                         events, now);
  }
  if (&kind == &api::kindFor<storagev1::StorageClass>())
    co_return describeClass(api::as<storagev1::StorageClass>(object), events, now);
  co_return describeObject(kind, *object, events, now);
}

/// The named object, or those whose names start so when there is none of that name.
Co<Result<std::vector<api::ObjectPtr>>> find(Session& session, const Selection& selection,
                                             api::ResourceId id) {
  std::optional<Status> missing;
  if (!id.name.empty()) {
    auto object = co_await session.api.get(id);
    if (object) co_return std::vector<api::ObjectPtr>{*object};
    if (!object.status().is(Code::kNotFound)) co_return object.status();
    missing = object.status();
  }
  api::ResourceId collection = id;
  collection.name.clear();
  api::ListOptions options;
  options.labelSelector = selection.labels;
  options.fieldSelector = selection.fields;
  auto list = co_await session.api.list(collection, options);
  if (!list) co_return list.status();
  std::vector<api::ObjectPtr> found;
  for (auto& object : list->items) {
    if (api::meta(*object).name().starts_with(id.name)) found.push_back(std::move(object));
  }
  if (found.empty() && missing) co_return *missing;
  co_return found;
}

Co<int> describe(Session& session, const DescribeOptions& options,
                 std::vector<api::ResourceId> ids) {
  int code = kDone;
  bool any = false;
  for (const auto& id : ids) {
    auto objects = co_await find(session, options.selection, id);
    if (!objects) {
      code = failRequest(objects.status());
      continue;
    }
    for (const auto& object : *objects) {
      auto text = co_await describeOne(session, *id.kind, object, options.showEvents);
      if (!text) co_return failRequest(text.status());
      std::printf("%s%s", any ? "\n\n" : "", text->c_str());
      any = true;
    }
  }
  if (!any && code == kDone) {
    const bool anywhere = options.selection.allNamespaces || !ids.front().kind->namespaced();
    std::fprintf(stderr, "No resources found%s\n",
                 anywhere ? "" : (" in " + options.selection.ns + " namespace.").c_str());
  }
  co_return code;
}

}  // namespace

void addDescribeCommand(CLI::App& app, Context& context) {
  auto options = std::make_shared<DescribeOptions>();
  auto* command = app.add_subcommand("describe", "Show objects in detail, with their events");
  command
      ->add_option("TYPE", options->selection.arguments,
                   "TYPE [NAME or prefix of names...] or TYPE/NAME...")
      ->required();
  addSelectorFlags(*command, options->selection);
  command->add_option("--show-events", options->showEvents, "With the objects' events")
      ->capture_default_str();
  command->callback([&context, options] {
    auto ids = resolveArguments(options->selection);
    context.exitCode = !ids ? fail(ids.status()) : withSession(context, [&](Session& session) {
      return describe(session, *options, *ids);
    });
  });
}

}  // namespace podlab::cli
