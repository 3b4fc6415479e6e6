// What a PodWorker does for its pod's volumes and the objects that the pod refers to.
#include <algorithm>
#include <utility>

#include "api/kinds.hpp"
#include "api/pod_references.hpp"
#include "common/hash.hpp"
#include "node/pod_container.hpp"
#include "node/volume_plan.hpp"

namespace podlab::node {
namespace {

using client::EventClass;

constexpr Duration kSetUpRetry = std::chrono::seconds(10);
/// How often kubelet looks at what pods use of the disk.
constexpr Duration kUsagePeriod = std::chrono::seconds(10);

/// Over all that the node writes into volumes.
std::uint64_t hashOf(const std::vector<VolumeSpec>& volumes) {
  std::uint64_t hash = fnv1a("");
  const auto add = [&hash](const std::string& text) {
    hash = fnv1a(text, fnv1a(std::to_string(text.size()) + ":", hash));
  };
  for (const auto& volume : volumes) {
    if (!volume.files) continue;
    add(volume.name);
    for (const auto& [path, file] : *volume.files) {
      add(path);
      add(file.content);
    }
  }
  return hash;
}

/// `text` with each $(NAME) replaced; kInvalid names one that is not there.
Result<std::string> expandAll(const std::string& text, const Variables& variables) {
  for (std::size_t at = text.find("$("); at != std::string::npos; at = text.find("$(", at + 1)) {
    const auto close = text.find(')', at);
    if (close == std::string::npos || (at > 0 && text[at - 1] == '$')) continue;
    const std::string name = text.substr(at + 2, close - at - 2);
    if (!variables.contains(name))
      return Status(Code::kInvalid, "missing value for \"" + name + "\"");
  }
  return expand(text, variables);
}

Mount::Propagation propagationOf(const corev1::VolumeMount& mount) {
  if (mount.mountpropagation() == "Bidirectional") return Mount::Propagation::kBidirectional;
  if (mount.mountpropagation() == "HostToContainer") return Mount::Propagation::kHostToContainer;
  return Mount::Propagation::kNone;
}

}  // namespace

void PodWorker::holdReferences() {
  const auto hold = [this](const api::Kind& kind, const std::string& ns, const std::string& name) {
    const api::PodReference key{&kind, name};
    if (references_.contains(key)) return;
    references_[key] = services_.objects.hold(kind, ns, name, [this] { referencesChanged(); });
  };
  for (const auto& reference : api::referencesOf(*pod_))
    hold(*reference.kind, pod_->metadata().namespace_(), reference.name);
  PodTokens::Listener tokens;
  tokens.changed = [this] { referencesChanged(); };
  tokens.failed = [this](const std::string& volume, const Status& why) {
    if (why.is(Code::kUnavailable) || tokens_.known()) return;
    event(EventClass::kWarning, "FailedMount",
          "MountVolume.SetUp failed for volume \"" + volume +
              "\" : failed to fetch token: " + why.message());
  };
  tokens_.start(*pod_, std::move(tokens));
  // A claim leads to a volume once it is bound.
  for (const auto& claim : api::claimsOf(*pod_)) {
    auto volume = boundVolume(claim, objectLookup());
    if (volume.ok()) hold(api::kindFor<corev1::PersistentVolume>(), "", *volume);
  }
}

ObjectLookup PodWorker::objectLookup() const {
  return [this](const api::Kind& kind, const std::string& name) -> Result<api::ObjectPtr> {
    const auto found = references_.find({&kind, name});
    if (found != references_.end()) return found->second.get();
    return Status(Code::kUnavailable,
                  std::string(kind.singular) + " \"" + name + "\" is not known yet");
  };
}

bool PodWorker::hasVolumes() const {
  // Those of containers that an earlier agent began are there, whether or not this one has seen it.
  const bool begun = std::ranges::any_of(
      containers_, [](const auto& container) { return container->attempt >= 0; });
  return !inert_ && !tornDown_ && !finished_ && (begun || storage_ != Step::kTodo);
}

bool PodWorker::referencesKnown() const {
  return std::ranges::none_of(references_, [](const auto& entry) {
    return entry.second.get().status().is(Code::kUnavailable);
  });
}

void PodWorker::referencesChanged() {
  if (inert_ || stopping_) return;
  referencesMoved_ = true;
  wake();
}

void PodWorker::syncReferences() {
  if (!std::exchange(referencesMoved_, false)) return;
  holdReferences();
  storageBlocked_ = false;
  volumesStale_ = true;
  if (!refusal_.empty()) return;
  for (auto& container : containers_) container->configFailed = false;
}

void PodWorker::syncVolumes() {
  if (storage_ != Step::kDone) return;
  if (volumesStale_ && !refreshingVolumes_) {
    volumesStale_ = false;
    refreshingVolumes_ = true;
    spawn("volumes", refreshVolumes());
  }
  if (checkingUsage_ || diskLimits(pod_->spec()).empty()) return;
  if (services_.clock.now() < nextUsageCheck_) {
    wakeAt(nextUsageCheck_);
    return;
  }
  checkingUsage_ = true;
  spawn("disk usage", checkUsage());
}

Result<std::vector<VolumeSpec>> PodWorker::planOwnVolumes() const {
  const PodEnvironment seen = environment();
  const ObjectLookup objects = objectLookup();
  const std::function<bool(const std::string&)> used = [this](const std::string& claim) {
    return services_.claimIsUsed && services_.claimIsUsed(*pod_, claim);
  };
  const std::function<Result<std::string>(const PodTokens::Wanted&)> token =
      [this](const PodTokens::Wanted& wanted) { return tokens_.get(wanted); };
  return planVolumes(*pod_, {seen, objects, services_.node, used, token});
}

Co<void> PodWorker::setUpStorage() {
  auto plan = planOwnVolumes();
  Status status = plan.status();
  const bool waits = !status.ok() && !status.is(Code::kConflict);
  if (status.ok()) {
    const std::uint64_t hash = hashOf(*plan);
    auto folders = co_await services_.volumes.setUp(uid_, *std::move(plan), etcFiles());
    status = folders.status();
    if (status.ok()) {
      volumes_ = *std::move(folders);
      volumesHash_ = hash;
    }
  }
  storage_ = status.ok() ? Step::kDone : Step::kTodo;
  if (!status.ok()) {
    // What is not known, or missing, comes with a change.
    storageBlocked_ = waits || status.is(Code::kUnavailable);
    if (!storageBlocked_) setUpNotBefore_ = services_.clock.now() + kSetUpRetry;
    if (!status.is(Code::kUnavailable))
      event(EventClass::kWarning, "FailedMount", status.message());
  }
  wake();
}

Co<void> PodWorker::refreshVolumes() {
  auto plan = planOwnVolumes();
  Status status = plan.status();
  if (status.ok()) {
    const std::uint64_t hash = hashOf(*plan);
    std::erase_if(*plan, [](const VolumeSpec& volume) { return !volume.files; });
    if (hash != volumesHash_ && !plan->empty()) {
      EtcFiles none;
      auto written = co_await services_.volumes.setUp(uid_, *std::move(plan), std::move(none));
      status = written.status();
      if (status.ok()) volumesHash_ = hash;
    }
  }
  // The volumes stay as they are.
  if (!status.ok() && !status.is(Code::kUnavailable))
    event(EventClass::kWarning, "FailedMount", status.message());
  refreshingVolumes_ = false;
  wake();
}

Co<void> PodWorker::checkUsage() {
  const auto limits = diskLimits(pod_->spec());
  std::vector<std::string> folders;
  for (const auto& limit : limits) folders.push_back(volumes_.byName[limit.volume]);
  auto sizes = co_await services_.volumes.usage(folders);
  checkingUsage_ = false;
  nextUsageCheck_ = services_.clock.now() + kUsagePeriod;
  for (std::size_t i = 0; sizes.ok() && i < limits.size(); ++i) {
    if ((*sizes)[i] <= limits[i].bytes || stopping_ || failure_) continue;
    evict("Usage of EmptyDir volume \"" + limits[i].volume + "\" exceeds the limit \"" +
          limits[i].text + "\". ");
  }
  wake();
}

Co<Result<std::vector<Mount>>> PodWorker::containerMounts(const Container& container,
                                                          Variables variables) {
  std::vector<Mount> mounts;
  // The pod may change meanwhile.
  const auto wanted = container.spec->volumemounts();
  const std::string name = container.spec->name();
  const bool readOnlyRoot = container.spec->securitycontext().readonlyrootfilesystem();
  for (int i = 0; i < wanted.size(); ++i) {
    const auto& mount = wanted[i];
    const auto& volumes = pod_->spec().volumes();
    const auto volume = std::ranges::find(volumes, mount.name(), &corev1::Volume::name);
    const auto folder = volumes_.byName.find(mount.name());
    if (volume == volumes.end() || folder == volumes_.byName.end()) continue;
    Mount made;
    made.source = folder->second;
    made.destination = mount.mountpath();
    made.readOnly = mount.readonly() || isReadOnly(volume->volumesource());
    made.recursiveReadOnly =
        mount.recursivereadonly() == "Enabled" || mount.recursivereadonly() == "IfPossible";
    made.propagation = propagationOf(mount);
    Result<std::string> path = mount.subpath();
    if (!mount.subpathexpr().empty()) path = expandAll(mount.subpathexpr(), variables);
    if (path.ok() && !path->empty()) {
      SubPath part{uid_, name, static_cast<std::size_t>(i), folder->second, *path};
      path = co_await services_.volumes.openSubPath(std::move(part));
      if (path.ok()) made.source = *path;
    }
    if (!path.ok()) {
      co_return path.status().withContext("failed to prepare subPath for volumeMount \"" +
                                          mount.name() + "\" of container \"" + name + "\"");
    }
    mounts.push_back(std::move(made));
  }
  auto add = [&mounts](std::string source, std::string destination, bool readOnly = false) {
    bool taken = std::ranges::any_of(
        mounts, [&](const Mount& mount) { return mount.destination == destination; });
    if (!taken) mounts.push_back({std::move(source), std::move(destination), readOnly});
  };
  // As containerd and CRI-O; /etc/hosts is kubelet's and stays writable.
  add(volumes_.etc + "/hosts", "/etc/hosts");
  add(volumes_.etc + "/hostname", "/etc/hostname", readOnlyRoot);
  add(volumes_.etc + "/resolv.conf", "/etc/resolv.conf", readOnlyRoot);
  if (pod_->spec().hostipc()) {
    add("/dev/shm", "/dev/shm");
  } else if (!volumes_.sharedMemory.empty()) {
    add(volumes_.sharedMemory, "/dev/shm");
  }
  // A folder goes before what is mounted inside it.
  std::ranges::sort(mounts, {}, &Mount::destination);
  co_return mounts;
}

}  // namespace podlab::node
