#include "api/kinds/rows.hpp"
#include "api/kinds/rules.hpp"
#include "api/kinds/volume_rules.hpp"
#include "api/names.hpp"
#include "api/persistent_volumes.hpp"

namespace podlab::api {
namespace {

using corev1::PersistentVolumeClaim;
using corev1::PersistentVolumeClaimSpec;

/// As the admission plugin StorageObjectInUseProtection.
void prepareForCreate(PersistentVolumeClaim& claim) {
  addFinalizer(*claim.mutable_metadata(), kClaimProtection);
  claim.clear_status();
  claim.mutable_status()->set_phase("Pending");
}

void validateSpec(const PersistentVolumeClaimSpec& spec, const FieldPath& path,
                  FieldErrors& errors) {
  validateAccessModes(spec.accessmodes(), path.child("accessModes"), errors);
  if (spec.has_selector()) {
    if (auto selector = LabelSelector::of(spec.selector()); !selector)
      errors.invalid(path.child("selector"), "", selector.status().message());
  }
  const auto& requests = spec.resources().requests();
  const FieldPath storage = path.child("resources").key("storage");
  const auto request = requests.find("storage");
  if (request == requests.end()) {
    errors.required(storage);
  } else {
    validateCapacity(request->second, storage, errors);
  }
  if (!spec.storageclassname().empty()) {
    errors.invalidEach(path.child("storageClassName"), spec.storageclassname(),
                       faultsOfDns1123Subdomain(spec.storageclassname()));
  }
  validateVolumeMode(spec.volumemode(), path.child("volumeMode"), errors);
}

std::vector<Cause> validate(const PersistentVolumeClaim& claim) {
  FieldErrors errors;
  validateSpec(claim.spec(), FieldPath("spec"), errors);
  return errors.take();
}

std::vector<Cause> validateUpdate(const PersistentVolumeClaim& now,
                                  const PersistentVolumeClaim& before) {
  FieldErrors errors;
  PersistentVolumeClaimSpec spec = now.spec();
  // A claim is bound once, and gets the default class afterwards when there was none before.
  if (before.spec().volumename().empty()) spec.set_volumename(before.spec().volumename());
  if (!before.spec().has_storageclassname()) spec.clear_storageclassname();
  *spec.mutable_resources()->mutable_requests() = before.spec().resources().requests();
  if (!sameMessage(spec, before.spec())) {
    errors.forbidden(FieldPath("spec"),
                     "spec is immutable after creation except resources.requests and "
                     "volumeAttributesClassName for bound claims");
  } else if (!sameAmounts(now.spec().resources().requests(),
                          before.spec().resources().requests())) {
    errors.forbidden(FieldPath("spec.resources.requests.storage"),
                     "only dynamically provisioned pvc can be resized and the storageclass that "
                     "provisions the pvc must support resize");
  }
  return errors.take();
}

std::string statusCell(const PersistentVolumeClaim& claim) {
  return claim.metadata().has_deletiontimestamp() ? "Terminating" : claim.status().phase();
}

std::string capacityCell(const PersistentVolumeClaim& claim) {
  const auto& capacity = claim.status().capacity();
  const auto storage = capacity.find("storage");
  return claim.spec().volumename().empty() || storage == capacity.end() ? ""
                                                                        : storage->second.string();
}

}  // namespace

void applyClaimDefaults(PersistentVolumeClaim& claim) {
  auto& spec = *claim.mutable_spec();
  if (!spec.has_volumemode()) spec.set_volumemode("Filesystem");
  if (claim.status().phase().empty()) claim.mutable_status()->set_phase("Pending");
}

Kind persistentVolumeClaimKind() {
  using Claim = PersistentVolumeClaim;
  return {
      .group = "",
      .version = "v1",
      .kind = "PersistentVolumeClaim",
      .plural = "persistentvolumeclaims",
      .singular = "persistentvolumeclaim",
      .shortNames = {"pvc"},
      .categories = {},
      .scope = Scope::kNamespaced,
      .prototype = &Claim::default_instance(),
      .columns = {nameColumn(), column<Claim>("Status", 0, statusCell),
                  column<Claim>("Volume", 0,
                                [](const Claim& claim) { return claim.spec().volumename(); }),
                  column<Claim>("Capacity", 0, capacityCell),
                  column<Claim>("Access Modes", 0,
                                [](const Claim& claim) {
                                  return claim.spec().volumename().empty()
                                             ? std::string()
                                             : accessModesText(claim.status().accessmodes());
                                }),
                  column<Claim>("StorageClass", 0,
                                [](const Claim& claim) { return claim.spec().storageclassname(); }),
                  column<Claim>("VolumeAttributesClass", 0,
                                [](const Claim& claim) {
                                  return orUnset(claim.spec().has_volumeattributesclassname(),
                                                 claim.spec().volumeattributesclassname());
                                }),
                  ageColumn(),
                  column<Claim>("VolumeMode", 1,
                                [](const Claim& claim) {
                                  return orUnset(claim.spec().has_volumemode(),
                                                 claim.spec().volumemode());
                                })},
      .strategy = {.hasStatus = true,
                   .applyDefaults = writes<Claim>(applyClaimDefaults),
                   .prepareForCreate = writes<Claim>(prepareForCreate),
                   .validate = reads<Claim>(validate),
                   .validateUpdate = compares<Claim>(validateUpdate)},
  };
}

}  // namespace podlab::api
