#include "api/kinds/rows.hpp"
#include "api/kinds/rules.hpp"
#include "api/names.hpp"
#include "api/persistent_volumes.hpp"

namespace podlab::api {
namespace {

using storagev1::StorageClass;

void applyDefaults(StorageClass& object) {
  if (!object.has_reclaimpolicy()) object.set_reclaimpolicy("Delete");
  if (!object.has_volumebindingmode()) object.set_volumebindingmode("Immediate");
}

std::vector<Cause> validate(const StorageClass& object) {
  constexpr std::string_view kPolicies[] = {"Delete", "Retain"};
  constexpr std::string_view kModes[] = {"Immediate", "WaitForFirstConsumer"};
  FieldErrors errors;
  const FieldPath provisioner("provisioner");
  if (object.provisioner().empty()) {
    errors.required(provisioner);
  } else {
    std::string lower = object.provisioner();
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
    errors.invalidEach(provisioner, object.provisioner(), faultsOfQualifiedName(lower));
  }
  errors.oneOf(FieldPath("reclaimPolicy"), object.reclaimpolicy(), kPolicies);
  errors.oneOf(FieldPath("volumeBindingMode"), object.volumebindingmode(), kModes);
  return errors.take();
}

std::vector<Cause> validateUpdate(const StorageClass& now, const StorageClass& before) {
  FieldErrors errors;
  const auto require = [&](bool unchanged, const char* field) {
    if (!unchanged) {
      errors.forbidden(FieldPath(field), "updates to " + std::string(field) + " are forbidden.");
    }
  };
  require(sameEntries(now.parameters(), before.parameters()), "parameters");
  require(now.provisioner() == before.provisioner(), "provisioner");
  require(now.reclaimpolicy() == before.reclaimpolicy(), "reclaimPolicy");
  if (now.volumebindingmode() != before.volumebindingmode())
    errors.invalid(FieldPath("volumeBindingMode"), now.volumebindingmode(), kImmutable);
  return errors.take();
}

}  // namespace

Kind storageClassKind() {
  return {
      .group = "storage.k8s.io",
      .version = "v1",
      .kind = "StorageClass",
      .plural = "storageclasses",
      .singular = "storageclass",
      .shortNames = {"sc"},
      .categories = {},
      .scope = Scope::kCluster,
      .prototype = &StorageClass::default_instance(),
      .columns = {column<StorageClass>("Name", 0,
                                       [](const StorageClass& object) {
                                         return object.metadata().name() +
                                                (isDefaultClass(object) ? " (default)" : "");
                                       }),
                  column<StorageClass>(
                      "Provisioner", 0,
                      [](const StorageClass& object) { return object.provisioner(); }),
                  column<StorageClass>(
                      "ReclaimPolicy", 0,
                      [](const StorageClass& object) { return object.reclaimpolicy(); }),
                  column<StorageClass>(
                      "VolumeBindingMode", 0,
                      [](const StorageClass& object) { return object.volumebindingmode(); }),
                  column<StorageClass>("AllowVolumeExpansion", 0,
                                       [](const StorageClass& object) {
                                         return object.allowvolumeexpansion() ? "true" : "false";
                                       }),
                  ageColumn()},
      .strategy = {.applyDefaults = writes<StorageClass>(applyDefaults),
                   .validate = reads<StorageClass>(validate),
                   .validateUpdate = compares<StorageClass>(validateUpdate)},
  };
}

}  // namespace podlab::api
