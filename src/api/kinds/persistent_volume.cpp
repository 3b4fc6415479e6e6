#include "api/kinds/rows.hpp"
#include "api/kinds/rules.hpp"
#include "api/kinds/volume_rules.hpp"
#include "api/names.hpp"
#include "api/persistent_volumes.hpp"

namespace podlab::api {
namespace {

using corev1::PersistentVolume;

void applyDefaults(PersistentVolume& volume) {
  auto& spec = *volume.mutable_spec();
  if (spec.persistentvolumereclaimpolicy().empty())
    spec.set_persistentvolumereclaimpolicy("Retain");
  if (!spec.has_volumemode()) spec.set_volumemode("Filesystem");
  auto& source = *spec.mutable_persistentvolumesource();
  if (source.has_hostpath() && !source.hostpath().has_type())
    source.mutable_hostpath()->set_type("");
  if (volume.status().phase().empty()) volume.mutable_status()->set_phase("Pending");
}

/// As the admission plugin StorageObjectInUseProtection.
void prepareForCreate(PersistentVolume& volume) {
  addFinalizer(*volume.mutable_metadata(), kVolumeProtection);
  volume.clear_status();
  volume.mutable_status()->set_phase("Pending");
}

void validateSource(const corev1::PersistentVolumeSpec& spec, const FieldPath& path,
                    FieldErrors& errors) {
  const auto& source = spec.persistentvolumesource();
  if (source.has_hostpath()) {
    validateHostPath(source.hostpath(), path.child("hostPath"), errors);
    if (source.has_local())
      errors.forbidden(path.child("local"), "may not specify more than 1 volume type");
  } else if (source.has_local()) {
    const FieldPath local = path.child("local");
    if (source.local().path().empty()) errors.required(local.child("path"));
    validateNoBacksteps(source.local().path(), local.child("path"), errors);
    if (!spec.has_nodeaffinity())
      errors.required(FieldPath("metadata.annotations"), "Local volume requires node affinity");
  } else {
    errors.required(path, "must specify a volume type");
  }
}

std::vector<Cause> validate(const PersistentVolume& volume) {
  constexpr std::string_view kPolicies[] = {"Delete", "Recycle", "Retain"};
  FieldErrors errors;
  const auto& spec = volume.spec();
  const FieldPath path("spec");
  validateAccessModes(spec.accessmodes(), path.child("accessModes"), errors);
  const auto capacity = spec.capacity().find("storage");
  if (spec.capacity().empty()) {
    errors.required(path.child("capacity"));
  } else if (capacity == spec.capacity().end() || spec.capacity().size() > 1) {
    constexpr std::string_view kResources[] = {"storage"};
    errors.notSupported(path.child("capacity"), sortedKeys(spec.capacity()).front(), kResources);
  } else {
    validateCapacity(capacity->second, path.child("capacity").key("storage"), errors);
  }
  errors.oneOf(path.child("persistentVolumeReclaimPolicy"), spec.persistentvolumereclaimpolicy(),
               kPolicies);
  validateSource(spec, path, errors);
  if (spec.has_nodeaffinity() && !spec.nodeaffinity().has_required()) {
    errors.required(path.child("nodeAffinity").child("required"),
                    "must specify required node constraints");
  }
  if (!spec.storageclassname().empty()) {
    errors.invalidEach(path.child("storageClassName"), spec.storageclassname(),
                       faultsOfDns1123Subdomain(spec.storageclassname()));
  }
  validateVolumeMode(spec.volumemode(), path.child("volumeMode"), errors);
  return errors.take();
}

std::vector<Cause> validateUpdate(const PersistentVolume& now, const PersistentVolume& before) {
  FieldErrors errors;
  const FieldPath path("spec");
  if (!sameMessage(now.spec().persistentvolumesource(), before.spec().persistentvolumesource())) {
    errors.forbidden(path.child("persistentvolumesource"),
                     "spec.persistentvolumesource is immutable after creation");
  }
  if (now.spec().volumemode() != before.spec().volumemode())
    errors.invalid(path.child("volumeMode"), now.spec().volumemode(), kImmutable);
  if (before.spec().has_nodeaffinity() &&
      !sameMessage(now.spec().nodeaffinity(), before.spec().nodeaffinity()))
    errors.invalid(path.child("nodeAffinity"), "", kImmutable);
  return errors.take();
}

std::string statusCell(const PersistentVolume& volume) {
  return volume.metadata().has_deletiontimestamp() ? "Terminating" : volume.status().phase();
}

std::string claimCell(const PersistentVolume& volume) {
  if (!volume.spec().has_claimref()) return "";
  return volume.spec().claimref().namespace_() + "/" + volume.spec().claimref().name();
}

std::string capacityCell(const PersistentVolume& volume) {
  const auto storage = volume.spec().capacity().find("storage");
  return storage == volume.spec().capacity().end() ? "" : storage->second.string();
}

}  // namespace

Kind persistentVolumeKind() {
  using Volume = PersistentVolume;
  return {
      .group = "",
      .version = "v1",
      .kind = "PersistentVolume",
      .plural = "persistentvolumes",
      .singular = "persistentvolume",
      .shortNames = {"pv"},
      .categories = {},
      .scope = Scope::kCluster,
      .prototype = &Volume::default_instance(),
      .columns = {nameColumn(), column<Volume>("Capacity", 0, capacityCell),
                  column<Volume>("Access Modes", 0,
                                 [](const Volume& volume) {
                                   return accessModesText(volume.spec().accessmodes());
                                 }),
                  column<Volume>("Reclaim Policy", 0,
                                 [](const Volume& volume) {
                                   return volume.spec().persistentvolumereclaimpolicy();
                                 }),
                  column<Volume>("Status", 0, statusCell), column<Volume>("Claim", 0, claimCell),
                  column<Volume>(
                      "StorageClass", 0,
                      [](const Volume& volume) { return volume.spec().storageclassname(); }),
                  column<Volume>("VolumeAttributesClass", 0,
                                 [](const Volume& volume) {
                                   return orUnset(volume.spec().has_volumeattributesclassname(),
                                                  volume.spec().volumeattributesclassname());
                                 }),
                  column<Volume>("Reason", 0,
                                 [](const Volume& volume) { return volume.status().reason(); }),
                  ageColumn(),
                  column<Volume>("VolumeMode", 1,
                                 [](const Volume& volume) {
                                   return orUnset(volume.spec().has_volumemode(),
                                                  volume.spec().volumemode());
                                 })},
      .strategy = {.hasStatus = true,
                   .applyDefaults = writes<Volume>(applyDefaults),
                   .prepareForCreate = writes<Volume>(prepareForCreate),
                   .validate = reads<Volume>(validate),
                   .validateUpdate = compares<Volume>(validateUpdate)},
  };
}

}  // namespace podlab::api
