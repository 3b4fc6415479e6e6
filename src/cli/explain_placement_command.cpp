#include "cli/explain_placement_command.hpp"

#include <algorithm>
#include <cstdio>
#include <optional>

#include "apps_v1.pb.h"
#include "core_v1_services.pb.h"
#include "core_v1_workloads.pb.h"
#include "policy_v1.pb.h"
#include "storage_v1.pb.h"

#include "api/conditions.hpp"
#include "api/owners.hpp"
#include "api/persistent_volumes.hpp"
#include "cli/explain_text.hpp"
#include "cli/hosts_plan.hpp"
#include "cli/manifests.hpp"
#include "cli/resources.hpp"
#include "cli/scheduler_profiles.hpp"
#include "common/filesystem.hpp"
#include "controllers/volume_needs.hpp"
#include "lab/cluster_config.hpp"
#include "scheduler/default_selector.hpp"

namespace podlab::cli {
namespace {

struct ExplainOptions {
  std::string pod;
  Selection selection;
  bool dryRun = false;
  std::string output;
};

/// A pod to be placed, and the workload that selects it.
struct Subject {
  std::shared_ptr<const corev1::Pod> pod;
  api::ObjectPtr owner;
};

template <typename T>
Co<Result<std::vector<api::ObjectPtr>>> listAll(Session& session, std::string ns = "") {
  api::ResourceId id{&api::kindFor<T>(), std::move(ns), "", ""};
  api::ListOptions options;
  auto listed = co_await session.api.list(std::move(id), std::move(options));
  if (!listed) co_return listed.status();
  co_return listed->objects();
}

/// The template of a workload, as reflection finds it; nullptr when it has none.
const corev1::PodTemplateSpec* templateOf(const google::protobuf::Message& object) {
  const auto* spec = object.GetDescriptor()->FindFieldByName("spec");
  if (spec == nullptr || spec->message_type() == nullptr) return nullptr;
  const auto& found = object.GetReflection()->GetMessage(object, spec);
  const auto* part = found.GetDescriptor()->FindFieldByName("template");
  if (part == nullptr || part->message_type() != corev1::PodTemplateSpec::descriptor())
    return nullptr;
  return dynamic_cast<const corev1::PodTemplateSpec*>(
      &found.GetReflection()->GetMessage(found, part));
}

/// A Deployment's pods belong to a ReplicaSet that selects what it does.
api::ObjectPtr selectingOwner(const api::ObjectPtr& object) {
  const auto* deployment = dynamic_cast<const appsv1::Deployment*>(object.get());
  if (deployment == nullptr) return object;
  auto set = std::make_shared<appsv1::ReplicaSet>();
  *set->mutable_spec()->mutable_selector() = deployment->spec().selector();
  return set;
}

bool hasPods(const ManifestObject& manifest) {
  return dynamic_cast<const corev1::Pod*>(manifest.object.get()) != nullptr ||
         templateOf(*manifest.object) != nullptr;
}

/// The pod as the server would make it of the manifest, which has one: with defaults, and what
/// admission adds.
Co<Result<Subject>> admitted(Session& session, ManifestObject manifest) {
  auto pod = std::make_shared<corev1::Pod>();
  Subject subject;
  if (const auto* given = dynamic_cast<const corev1::Pod*>(manifest.object.get())) {
    *pod = *given;
  } else {
    const auto& pattern = *templateOf(*manifest.object);
    *pod->mutable_metadata() = pattern.metadata();
    *pod->mutable_spec() = pattern.spec();
    pod->mutable_metadata()->set_namespace_(api::meta(*manifest.object).namespace_());
    subject.owner = selectingOwner(manifest.object);
  }
  // A name that is free: the pod may be there already.
  const std::string& name = api::meta(*manifest.object).name();
  pod->mutable_metadata()->set_generatename(name + "-");
  pod->mutable_metadata()->clear_name();
  api::ResourceId id{&api::kindFor<corev1::Pod>(), pod->metadata().namespace_(), "", ""};
  api::WriteOptions options;
  options.dryRun = true;
  auto made = co_await session.api.create(std::move(id), std::move(pod), std::move(options));
  if (!made) co_return made.status();
  auto named = std::make_shared<corev1::Pod>(api::as<corev1::Pod>(made->object));
  named->mutable_metadata()->set_name(name);
  subject.pod = std::move(named);
  co_return subject;
}

Co<Result<Subject>> existing(Session& session, const ExplainOptions& options) {
  auto id = resolveOne(options.pod, options.selection.ns, api::kindFor<corev1::Pod>());
  if (!id) co_return id.status();
  if (id->kind != &api::kindFor<corev1::Pod>())
    co_return Status(Code::kBadRequest, "\"" + options.pod + "\" is not a pod");
  auto found = co_await session.api.get(*id);
  if (!found) co_return found.status();
  Subject subject{api::share<corev1::Pod>(*found), nullptr};
  if (const auto* reference = api::controllerOf(subject.pod->metadata())) {
    const api::Kind* kind = nullptr;
    if (reference->kind() == "ReplicaSet") kind = &api::kindFor<appsv1::ReplicaSet>();
    if (reference->kind() == "StatefulSet") kind = &api::kindFor<appsv1::StatefulSet>();
    if (reference->kind() == "ReplicationController")
      kind = &api::kindFor<corev1::ReplicationController>();
    if (kind != nullptr) {
      api::ResourceId owner{kind, subject.pod->metadata().namespace_(), reference->name(), ""};
      auto object = co_await session.api.get(std::move(owner));
      if (object) subject.owner = *object;
    }
  }
  co_return subject;
}

/// All that decisions are made on, but for the pod itself.
struct Cluster {
  scheduler::Snapshot snapshot;
  scheduler::Nominations nominations;
};
Co<Result<Cluster>> clusterWithout(Session& session, std::string uid) {
  auto nodes = co_await listAll<corev1::Node>(session);
  if (!nodes) co_return nodes.status();
  auto pods = co_await listAll<corev1::Pod>(session);
  if (!pods) co_return pods.status();
  auto namespaces = co_await listAll<corev1::Namespace>(session);
  if (!namespaces) co_return namespaces.status();
  Cluster cluster;
  auto& snapshot = cluster.snapshot;
  scheduler::PodShapes shapes;
  for (const auto& node : *nodes)
    snapshot.setNode(snapshot.slotOf(api::meta(*node).name()), api::share<corev1::Node>(node));
  for (const auto& object : *pods) {
    const auto& pod = api::as<corev1::Pod>(object);
    const std::string& node = pod.spec().nodename();
    const std::string& nominated = pod.status().nominatednodename();
    const bool counts = !node.empty() || !nominated.empty();
    if (!counts || pod.metadata().uid() == uid || api::isFinished(pod)) continue;
    auto info = std::make_shared<scheduler::PodInfo>(api::share<corev1::Pod>(object),
                                                     scheduler::VolumeNeeds{}, &shapes);
    if (node.empty()) {
      cluster.nominations.set(std::move(info), nominated);
    } else {
      snapshot.at(snapshot.slotOf(node)).add(std::move(info));
    }
  }
  for (const auto& ns : *namespaces)
    snapshot.setNamespace(api::meta(*ns).name(), &api::meta(*ns).labels());
  co_return cluster;
}

/// What the pod's claims ask of its node.
Co<Result<scheduler::VolumeNeeds>> volumeNeedsOf(Session& session,
                                                 std::shared_ptr<const corev1::Pod> pod) {
  if (api::claimsOf(*pod).empty()) co_return scheduler::VolumeNeeds();
  auto claims =
      co_await listAll<corev1::PersistentVolumeClaim>(session, pod->metadata().namespace_());
  if (!claims) co_return claims.status();
  auto volumes = co_await listAll<corev1::PersistentVolume>(session);
  if (!volumes) co_return volumes.status();
  auto classes = co_await listAll<storagev1::StorageClass>(session);
  if (!classes) co_return classes.status();
  const auto in = [](const std::vector<api::ObjectPtr>& objects) {
    return [&objects](const std::string& key) -> api::ObjectPtr {
      const auto found =
          std::ranges::find(objects, key, [](const auto& o) { return api::keyOf(*o); });
      return found == objects.end() ? nullptr : *found;
    };
  };
  const controllers::VolumeObjects objects{in(*claims), in(*volumes), in(*classes),
                                           [&volumes] { return *volumes; }};
  co_return controllers::volumeNeeds(*pod, objects);
}

Result<std::vector<scheduler::Profile>> profilesOf(const Context& context) {
  auto paths = existingLab(context);
  if (!paths) return paths.status();
  const auto files = makeRealFilesystem();
  auto cluster = readCluster(*files, *paths);
  if (!cluster) return cluster.status();
  return parseProfiles(*cluster ? lab::schedulerProfiles(**cluster) : "");
}

/// The exit code; of a dry run, whether the pod fits.
Co<int> explainOne(Session& session, const ExplainOptions& options, Subject subject) {
  const auto& pod = *subject.pod;
  const auto profiles = profilesOf(session.context);
  if (!profiles) co_return fail(profiles.status());
  const auto profile =
      std::ranges::find(*profiles, pod.spec().schedulername(), &scheduler::Profile::name);
  if (profile == profiles->end()) {
    co_return fail(
        Status(Code::kNotFound, "pod \"" + pod.metadata().name() + "\" is for the scheduler \"" +
                                    pod.spec().schedulername() +
                                    "\", of which podlab knows nothing; the cluster file's "
                                    "scheduler.profiles names those that it is itself"));
  }
  auto cluster = co_await clusterWithout(session, options.dryRun ? "" : pod.metadata().uid());
  if (!cluster) co_return failRequest(cluster.status());
  auto needs = co_await volumeNeedsOf(session, subject.pod);
  if (!needs) co_return failRequest(needs.status());
  auto budgets = co_await listAll<policyv1::PodDisruptionBudget>(session);
  if (!budgets) co_return failRequest(budgets.status());
  auto services = co_await listAll<corev1::Service>(session, pod.metadata().namespace_());
  if (!services) co_return failRequest(services.status());

  const scheduler::PodInfo info(subject.pod, std::move(*needs), nullptr,
                                scheduler::defaultSelector(pod, *services, subject.owner));
  const auto explanation =
      scheduler::explain(info, cluster->snapshot, profile->resources,
                         scheduler::readBudgets(*budgets), cluster->nominations);
  PlacementQuestion question;
  question.pod = info.key;
  question.scheduler = profile->name;
  question.priority = info.priority;
  question.node = pod.spec().nodename();
  if (const auto& nominated = pod.status().nominatednodename();
      !nominated.empty() && question.node.empty())
    question.note = "room is kept for it on " + nominated;
  if (!pod.spec().schedulinggates().empty())
    question.note = "it waits for its scheduling gate " + pod.spec().schedulinggates(0).name();
  const std::string text = options.output == "json" ? placementJson(question, explanation)
                                                    : placementText(question, explanation);
  std::fputs(text.c_str(), stdout);
  co_return options.dryRun && !explanation.choice.found() ? kCheckFailed : kDone;
}

Co<int> explainPod(Session& session, const ExplainOptions& options) {
  auto subject = co_await existing(session, options);
  if (!subject) co_return failRequest(subject.status());
  co_return co_await explainOne(session, options, std::move(*subject));
}

Co<int> explainManifests(Session& session, const ExplainOptions& options,
                         std::vector<ManifestObject> manifests) {
  int code = kDone;
  for (auto& manifest : manifests) {
    auto subject = co_await admitted(session, std::move(manifest));
    if (!subject) co_return failRequest(subject.status());
    const int one = co_await explainOne(session, options, std::move(*subject));
    if (one != kDone) code = one;
  }
  co_return code;
}

}  // namespace

void addExplainPlacementCommand(CLI::App& app, Context& context) {
  auto options = std::make_shared<ExplainOptions>();
  auto* command = app.add_subcommand(
      "explain-placement",
      "Show for each node why a pod fits there or not, and what would make it fit");
  command->add_option("POD", options->pod, "The pod");
  addNamespaceFlag(*command, options->selection.ns);
  command->add_flag("--dry-run", options->dryRun,
                    "Of pods and workloads of manifests (-f), which are not made; exit 3 when one "
                    "fits nowhere");
  addFileFlags(*command, options->selection);
  command->add_option("-o,--output", options->output, "json")->check(CLI::IsMember({"json"}));
  command->callback([&context, options] {
    const bool hasFiles = !options->selection.files.empty();
    if (options->dryRun != hasFiles || options->pod.empty() != hasFiles) {
      context.exitCode = failUsage(
          "name a pod, e.g. podlab explain-placement web, or give manifests with --dry-run -f "
          "FILE");
      return;
    }
    if (!hasFiles) {
      context.exitCode =
          withSession(context, [&](Session& session) { return explainPod(session, *options); });
      return;
    }
    auto manifests = readManifests(options->selection);
    if (!manifests) {
      context.exitCode = fail(manifests.status());
      return;
    }
    std::erase_if(*manifests, [](const ManifestObject& one) { return !hasPods(one); });
    if (manifests->empty()) {
      context.exitCode =
          fail(Status(Code::kBadRequest,
                      "the manifests have no pods; give a Pod or a workload with a template"));
      return;
    }
    context.exitCode = withSession(context, [&](Session& session) {
      return explainManifests(session, *options, std::move(*manifests));
    });
  });
}

}  // namespace podlab::cli
