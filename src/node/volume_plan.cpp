#include "node/volume_plan.hpp"

#include <algorithm>
#include <utility>

#include "api/selectors.hpp"

namespace podlab::node {
namespace {

using Type = VolumeSpec::Type;

/// The limit of a tmpfs: its own, or what the pod's containers may take together.
std::optional<std::int64_t> memoryLimit(const corev1::PodSpec& pod,
                                        const corev1::EmptyDirVolumeSource& source) {
  std::optional<std::int64_t> limit;
  if (source.has_sizelimit()) limit = api::Quantity::read(source.sizelimit()).value();
  std::int64_t together = 0;
  for (const auto& container : pod.containers()) {
    const auto& limits = container.resources().limits();
    const auto memory = limits.find("memory");
    if (memory == limits.end()) return limit;
    together += api::Quantity::read(memory->second).value();
  }
  return limit ? std::min(*limit, together) : together;
}

Status setUpFailed(const std::string& volume, const std::string& why) {
  return {Code::kNotFound, "MountVolume.SetUp failed for volume \"" + volume + "\" : " + why};
}

class Planner {
 public:
  Planner(const corev1::Pod& pod, const VolumeContext& context) : pod_(pod), context_(context) {}

  Result<VolumeSpec> plan(const corev1::Volume& volume) {
    const auto& source = volume.volumesource();
    VolumeSpec spec;
    spec.name = volume.name();
    if (source.has_hostpath()) {
      spec.type = Type::kHostPath;
      spec.mode = 0755;
      spec.path = source.hostpath().path();
      spec.pathType = source.hostpath().type();
    } else if (source.has_persistentvolumeclaim()) {
      return planClaim(std::move(spec), source.persistentvolumeclaim());
    } else if (hasPayload(source)) {
      spec.group = fsGroup();
      return planFiles(std::move(spec), source);
    } else {
      spec.group = fsGroup();
      const auto& empty = source.emptydir();
      if (empty.has_mode()) spec.mode = static_cast<std::uint32_t>(empty.mode());
      if (empty.medium() == "Memory") {
        spec.type = Type::kMemory;
        spec.sizeLimit = memoryLimit(pod_.spec(), empty);
      }
    }
    return spec;
  }

 private:
  std::optional<std::uint32_t> fsGroup() const {
    const auto& security = pod_.spec().securitycontext();
    if (!security.has_fsgroup()) return std::nullopt;
    return static_cast<std::uint32_t>(security.fsgroup());
  }

  Result<VolumeSpec> planFiles(VolumeSpec spec, const corev1::VolumeSource& source) {
    spec.type = isPayloadSecret(source) ? Type::kSecret : Type::kFiles;
    DownwardValues values;
    values.field = [this](const std::string& path) {
      return fieldRefValue(pod_, path, context_.environment);
    };
    values.resource = [this](const corev1::ResourceFieldSelector& reference) {
      return resourceFieldValue(pod_, reference, "", context_.environment);
    };
    values.token = context_.token;
    auto payload = buildPayload(source, context_.objects, values);
    if (payload.ok()) {
      spec.files = *std::move(payload);
    } else if (!payload.status().is(Code::kUnavailable)) {
      return setUpFailed(spec.name, payload.status().message());
    }
    return spec;
  }

  Result<VolumeSpec> planClaim(VolumeSpec spec,
                               const corev1::PersistentVolumeClaimVolumeSource& use) {
    const std::string& claim = use.claimname();
    const auto failed = [&spec](const Status& status) {
      return Status(status.code(), "Unable to attach or mount volumes: unmounted volumes=[" +
                                       spec.name +
                                       "], unattached volumes=[], failed to process volumes=[" +
                                       spec.name + "]: " + status.message());
    };
    auto name = boundVolume(claim, context_.objects);
    if (!name.ok()) return failed(name.status());
    auto object = context_.objects(api::kindFor<corev1::PersistentVolume>(), *name);
    if (!object.ok()) {
      return failed({object.status().code(), "error processing PVC " +
                                                 pod_.metadata().namespace_() + "/" + claim + ": " +
                                                 object.status().message()});
    }
    const auto& volume = api::as<corev1::PersistentVolume>(*object);
    if (volume.spec().has_nodeaffinity() &&
        !api::matchesNodeSelector(volume.spec().nodeaffinity().required(), context_.node)) {
      return Status(Code::kNotFound, "MountVolume.NodeAffinity check failed for volume \"" + *name +
                                         "\" : no matching NodeSelectorTerms");
    }
    if (api::isForOnePod(volume.spec().accessmodes()) && context_.usedElsewhere(claim)) {
      return Status(
          Code::kConflict,
          "MountVolume.SetUp failed for volume \"" + *name +
              "\" : volume uses the ReadWriteOncePod access mode and is already in use by "
              "another pod");
    }
    const auto& source = volume.spec().persistentvolumesource();
    const auto& annotations = volume.metadata().annotations();
    const auto maker = annotations.find(api::kProvisionedByAnnotation);
    const bool ours = maker != annotations.end() && maker->second == api::kLocalProvisioner;
    spec.type = Type::kHostPath;
    // As kubelet: not what is the host's own, and not what is only read.
    if ((ours || source.has_local()) && !use.readonly()) spec.group = fsGroup();
    spec.groupOnRootMismatch =
        pod_.spec().securitycontext().fsgroupchangepolicy() == "OnRootMismatch";
    // Every user of a pod may write, as in an emptyDir.
    spec.mode = ours ? 0777 : 0755;
    spec.path = source.has_local() ? source.local().path() : source.hostpath().path();
    spec.pathType = source.has_local() ? "Directory" : source.hostpath().type();
    return spec;
  }

  const corev1::Pod& pod_;
  const VolumeContext& context_;
};

}  // namespace

Result<std::string> boundVolume(const std::string& claim, const ObjectLookup& objects) {
  auto object = objects(api::kindFor<corev1::PersistentVolumeClaim>(), claim);
  if (object.status().is(Code::kNotFound)) {
    return Status(Code::kNotFound, "error processing PVC " + claim +
                                       ": failed to fetch PVC from API server: "
                                       "persistentvolumeclaims \"" +
                                       claim + "\" not found");
  }
  if (!object.ok()) return object.status();
  const auto& found = api::as<corev1::PersistentVolumeClaim>(*object);
  if (found.status().phase() != "Bound" || found.spec().volumename().empty()) {
    return Status(Code::kNotFound, "error processing PVC " + found.metadata().namespace_() + "/" +
                                       claim + ": PVC is not bound");
  }
  return found.spec().volumename();
}

Result<std::vector<VolumeSpec>> planVolumes(const corev1::Pod& pod, const VolumeContext& context) {
  Planner planner(pod, context);
  std::vector<VolumeSpec> specs;
  for (const auto& volume : pod.spec().volumes()) {
    auto spec = planner.plan(volume);
    if (!spec.ok()) return spec.status();
    specs.push_back(*std::move(spec));
  }
  return specs;
}

bool isReadOnly(const corev1::VolumeSource& source) {
  return hasPayload(source) ||
         (source.has_persistentvolumeclaim() && source.persistentvolumeclaim().readonly());
}

std::vector<DiskLimit> diskLimits(const corev1::PodSpec& spec) {
  std::vector<DiskLimit> limits;
  for (const auto& volume : spec.volumes()) {
    const auto& source = volume.volumesource();
    if (!source.has_emptydir() || !source.emptydir().has_sizelimit() ||
        source.emptydir().medium() == "Memory")
      continue;
    const auto amount = api::Quantity::read(source.emptydir().sizelimit());
    // As kubelet: 0 is no limit.
    if (!amount.isZero()) limits.push_back({volume.name(), amount.value(), amount.toString()});
  }
  return limits;
}

}  // namespace podlab::node
