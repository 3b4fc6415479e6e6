#include "cli/describe_command.hpp"

#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>

#include "api/api.hpp"
#include "api/owners.hpp"
#include "api/selectors.hpp"
#include "cli/describe_object.hpp"
#include "cli/resources.hpp"

namespace podlab::cli {
namespace {

constexpr std::string_view kLeaseNamespace = "kube-node-lease";
constexpr const char* kServiceName = "kubernetes.io/service-name";

struct DescribeOptions {
  Selection selection;
  bool showEvents = true;
};

/// What is to be described.
struct Subject {
  Session& session;
  const api::Kind& kind;
  api::ObjectPtr object;

  const metav1::ObjectMeta& meta() const { return api::meta(*object); }
};

template <typename T>
Co<Result<Objects<T>>> listOf(Session& session, std::string ns, std::string fields,
                              std::string labels = "") {
  api::ResourceId id{&api::kindFor<T>(), std::move(ns), "", ""};
  api::ListOptions options;
  options.fieldSelector = std::move(fields);
  options.labelSelector = std::move(labels);
  auto found = co_await session.api.list(id, options);
  if (!found) co_return found.status();
  Objects<T> objects;
  for (const auto& object : found->items) objects.push_back(api::share<T>(object));
  co_return objects;
}

/// Those of a namespace that the object controls, of the ones that its selector matches.
template <typename T>
Co<Result<Objects<T>>> controlledBy(Subject subject, std::string selector) {
  auto found = co_await listOf<T>(subject.session, subject.meta().namespace_(), "", selector);
  if (!found) co_return found.status();
  std::erase_if(*found, [&](const auto& object) {
    const auto* controller = api::controllerOf(object->metadata());
    return controller == nullptr || controller->uid() != subject.meta().uid();
  });
  co_return found;
}

std::string textOf(const metav1::LabelSelector& selector) {
  const auto parsed = api::LabelSelector::of(selector);
  return parsed ? parsed->toString() : "";
}
std::string textOf(const api::Labels& labels) {
  metav1::LabelSelector selector;
  *selector.mutable_matchlabels() = labels;
  return textOf(selector);
}

Co<Result<Objects<discoveryv1::EndpointSlice>>> slicesOf(Session& session, std::string ns,
                                                         std::string service) {
  return listOf<discoveryv1::EndpointSlice>(session, std::move(ns), "",
                                            std::string(kServiceName) + "=" + service);
}

using Described = Co<Result<Description>>;

/// An object that says all by itself.
template <typename T, Description (*kDescribe)(const T&)>
Described alone(Subject subject) {
  co_return kDescribe(api::as<T>(subject.object));
}

template <typename T>
Described replicas(Subject subject) {
  const auto& object = api::as<T>(subject.object);
  auto pods = co_await controlledBy<corev1::Pod>(subject, textOf(object.spec().selector()));
  if (!pods) co_return pods.status();
  co_return describeReplicas(object, *pods);
}

Described pod(Subject subject) {
  co_return describePod(api::as<corev1::Pod>(subject.object), subject.session.clock.wallNow());
}

Described node(Subject subject) {
  const std::string name = subject.meta().name();
  auto pods = co_await listOf<corev1::Pod>(subject.session, "", "spec.nodeName=" + name);
  if (!pods) co_return pods.status();
  api::ResourceId id{&api::kindFor<coordinationv1::Lease>(), std::string(kLeaseNamespace), name,
                     ""};
  auto lease = co_await subject.session.api.get(id);
  if (!lease && !lease.status().is(Code::kNotFound)) co_return lease.status();
  co_return describeNode(api::as<corev1::Node>(subject.object), *pods,
                         lease ? &api::as<coordinationv1::Lease>(*lease) : nullptr,
                         subject.session.clock.wallNow());
}

Described ns(Subject subject) {
  const std::string name = subject.meta().name();
  auto quotas = co_await listOf<corev1::ResourceQuota>(subject.session, name, "");
  if (!quotas) co_return quotas.status();
  auto ranges = co_await listOf<corev1::LimitRange>(subject.session, name, "");
  if (!ranges) co_return ranges.status();
  co_return describeNamespace(api::as<corev1::Namespace>(subject.object), *quotas, *ranges);
}

Described claim(Subject subject) {
  auto pods = co_await listOf<corev1::Pod>(subject.session, subject.meta().namespace_(), "");
  if (!pods) co_return pods.status();
  std::vector<std::string> users;
  for (const auto& pod : *pods) {
    const auto claims = api::claimsOf(*pod);
    if (std::ranges::find(claims, subject.meta().name()) != claims.end())
      users.push_back(pod->metadata().name());
  }
  co_return describeClaim(api::as<corev1::PersistentVolumeClaim>(subject.object), users);
}

Described deployment(Subject subject) {
  const auto& object = api::as<appsv1::Deployment>(subject.object);
  auto sets = co_await controlledBy<appsv1::ReplicaSet>(subject, textOf(object.spec().selector()));
  if (!sets) co_return sets.status();
  co_return describeDeployment(object, std::move(*sets));
}

Described service(Subject subject) {
  auto slices =
      co_await slicesOf(subject.session, subject.meta().namespace_(), subject.meta().name());
  if (!slices) co_return slices.status();
  co_return describeService(api::as<corev1::Service>(subject.object), *slices);
}

Described ingress(Subject subject) {
  const auto& object = api::as<networkingv1::Ingress>(subject.object);
  std::map<std::string, Backend> services;
  services[object.spec().defaultbackend().service().name()];
  for (const auto& rule : object.spec().rules()) {
    for (const auto& path : rule.ingressrulevalue().http().paths())
      services[path.backend().service().name()];
  }
  services.erase("");
  for (auto& [name, backend] : services) {
    api::ResourceId id{&api::kindFor<corev1::Service>(), subject.meta().namespace_(), name, ""};
    auto found = co_await subject.session.api.get(id);
    if (!found) {
      backend.error = found.status().message();
      continue;
    }
    auto slices = co_await slicesOf(subject.session, id.ns, name);
    if (!slices) co_return slices.status();
    backend.service = api::share<corev1::Service>(*found);
    backend.slices = std::move(*slices);
  }
  co_return describeIngress(object, services);
}

/// How a kind is described; kinds without a row are told field by field.
struct Row {
  Described (*describe)(Subject);
  bool events = true;
};

const Row* rowOf(const api::Kind& kind) {
  static const std::map<const api::Kind*, Row> kRows{
      {&api::kindFor<corev1::Pod>(), {pod}},
      {&api::kindFor<corev1::Node>(), {node}},
      {&api::kindFor<corev1::Namespace>(), {ns, false}},
      {&api::kindFor<corev1::ConfigMap>(), {alone<corev1::ConfigMap, describeConfigMap>}},
      {&api::kindFor<corev1::Secret>(), {alone<corev1::Secret, describeSecret>, false}},
      {&api::kindFor<corev1::ServiceAccount>(),
       {alone<corev1::ServiceAccount, describeServiceAccount>}},
      {&api::kindFor<corev1::Service>(), {service}},
      {&api::kindFor<corev1::Endpoints>(), {alone<corev1::Endpoints, describeEndpoints>}},
      {&api::kindFor<discoveryv1::EndpointSlice>(),
       {alone<discoveryv1::EndpointSlice, describeSlice>}},
      {&api::kindFor<networkingv1::Ingress>(), {ingress}},
      {&api::kindFor<networkingv1::IngressClass>(),
       {alone<networkingv1::IngressClass, describeIngressClass>}},
      {&api::kindFor<networkingv1::NetworkPolicy>(),
       {alone<networkingv1::NetworkPolicy, describeNetworkPolicy>, false}},
      {&api::kindFor<corev1::PersistentVolumeClaim>(), {claim}},
      {&api::kindFor<corev1::PersistentVolume>(),
       {alone<corev1::PersistentVolume, describeVolume>}},
      {&api::kindFor<storagev1::StorageClass>(), {alone<storagev1::StorageClass, describeClass>}},
      {&api::kindFor<schedulingv1::PriorityClass>(),
       {alone<schedulingv1::PriorityClass, describePriorityClass>}},
      {&api::kindFor<corev1::ResourceQuota>(),
       {alone<corev1::ResourceQuota, describeQuota>, false}},
      {&api::kindFor<corev1::LimitRange>(), {alone<corev1::LimitRange, describeLimitRange>, false}},
      {&api::kindFor<policyv1::PodDisruptionBudget>(),
       {alone<policyv1::PodDisruptionBudget, describeBudget>}},
      {&api::kindFor<autoscalingv2::HorizontalPodAutoscaler>(),
       {alone<autoscalingv2::HorizontalPodAutoscaler, describeAutoscaler>}},
      {&api::kindFor<appsv1::Deployment>(), {deployment}},
      {&api::kindFor<appsv1::ReplicaSet>(), {replicas<appsv1::ReplicaSet>}},
      {&api::kindFor<corev1::ReplicationController>(), {replicas<corev1::ReplicationController>}},
      {&api::kindFor<appsv1::DaemonSet>(), {replicas<appsv1::DaemonSet>}},
      {&api::kindFor<appsv1::StatefulSet>(), {replicas<appsv1::StatefulSet>}},
      {&api::kindFor<batchv1::Job>(), {alone<batchv1::Job, describeJob>}},
      {&api::kindFor<batchv1::CronJob>(), {alone<batchv1::CronJob, describeCronJob>}},
      {&api::kindFor<rbacv1::Role>(), {alone<rbacv1::Role, describeRole>, false}},
      {&api::kindFor<rbacv1::ClusterRole>(), {alone<rbacv1::ClusterRole, describeRole>, false}},
      {&api::kindFor<rbacv1::RoleBinding>(), {alone<rbacv1::RoleBinding, describeBinding>, false}},
      {&api::kindFor<rbacv1::ClusterRoleBinding>(),
       {alone<rbacv1::ClusterRoleBinding, describeBinding>, false}},
  };
  const auto found = kRows.find(&kind);
  return found == kRows.end() ? nullptr : &found->second;
}

/// The description, with whatever else of the cluster belongs into it.
Co<Result<std::string>> describeOne(Subject subject, bool showEvents) {
  const Row* row = rowOf(subject.kind);
  Result<Description> out =
      row ? co_await row->describe(subject) : describeObject(subject.kind, *subject.object);
  if (!out) co_return out.status();
  if (!showEvents || (row && !row->events)) co_return out->text();
  std::string fields = "involvedObject.kind=" + std::string(subject.kind.kind) +
                       ",involvedObject.name=" + subject.meta().name();
  // Those of a node are told of it before it has been registered.
  if (subject.kind.namespaced() && !subject.meta().uid().empty())
    fields += ",involvedObject.uid=" + subject.meta().uid();
  auto events = co_await listOf<corev1::Event>(subject.session, subject.meta().namespace_(),
                                               std::move(fields));
  if (!events) co_return events.status();
  out->events(std::move(*events), subject.session.clock.wallNow());
  co_return out->text();
}

/// The named object, or those whose names start so when there is none of that name and it is not
/// one of several.
Co<Result<std::vector<api::ObjectPtr>>> find(Session& session, const Selection& selection,
                                             api::ResourceId id, bool alone) {
  std::optional<Status> missing;
  const std::string prefix = std::exchange(id.name, "");
  if (!prefix.empty()) {
    api::ResourceId one = id;
    one.name = prefix;
    auto object = co_await session.api.get(std::move(one));
    if (object) co_return std::vector<api::ObjectPtr>{*object};
    if (!alone || selection.arguments.size() != 2 || !object.status().is(Code::kNotFound))
      co_return object.status();
    missing = object.status();
  }
  auto list = co_await listSelected(session, selection, std::move(id));
  if (!list) co_return list.status();
  std::vector<api::ObjectPtr> found;
  for (auto& object : list->items) {
    if (api::meta(*object).name().starts_with(prefix)) found.push_back(std::move(object));
  }
  if (found.empty() && missing) co_return *missing;
  co_return found;
}

Co<int> describe(Session& session, const DescribeOptions& options,
                 std::vector<api::ResourceId> ids) {
  std::vector<Status> failures;
  bool any = false;
  for (const auto& id : ids) {
    auto objects = co_await find(session, options.selection, id, ids.size() == 1);
    if (!objects) {
      failures.push_back(objects.status());
      continue;
    }
    for (const auto& object : *objects) {
      auto text = co_await describeOne({session, *id.kind, object}, options.showEvents);
      if (!text) co_return failRequest(text.status());
      // As kubectl: what a prefix finds has one line between.
      const bool exact = id.name.empty() || api::meta(*object).name() == id.name;
      std::printf("%s%s%s", any && exact ? "\n\n" : "", text->c_str(), exact ? "" : "\n");
      any = true;
    }
  }
  for (const auto& status : failures) failRequest(status);
  if (!any && failures.empty()) {
    tellNoneFound(options.selection, true);
  }
  co_return failures.empty() ? kDone : kFailed;
}

}  // namespace

void addDescribeCommand(CLI::App& app, Context& context) {
  auto options = std::make_shared<DescribeOptions>();
  auto* command = app.add_subcommand("describe", "Show objects in detail, with their events");
  command->add_option("TYPE", options->selection.arguments,
                      "TYPE [NAME or prefix of names...] or TYPE/NAME...");
  addSelectorFlags(*command, options->selection);
  addFileFlags(*command, options->selection);
  command->add_flag("--show-events,!--no-show-events", options->showEvents,
                    "With the objects' events (--show-events=false: without)");
  command->callback([&context, options] {
    auto ids = resolve(options->selection);
    if (!ids) {
      context.exitCode = fail(ids.status());
    } else if (ids->empty()) {
      context.exitCode =
          failUsage("You must specify the type of resource to describe, e.g. podlab describe pods");
    } else {
      context.exitCode =
          withSession(context, [&](Session& session) { return describe(session, *options, *ids); });
    }
  });
}

}  // namespace podlab::cli
