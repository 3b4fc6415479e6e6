#include "api/kinds/volume_rules.hpp"

#include <algorithm>

#include "api/kinds/rules.hpp"

namespace podlab::api {

void validateNoBacksteps(const std::string& value, const FieldPath& path, FieldErrors& errors) {
  if (("/" + value + "/").find("/../") != std::string::npos)
    errors.invalid(path, value, "must not contain '..'");
}

void validateHostPath(const corev1::HostPathVolumeSource& source, const FieldPath& path,
                      FieldErrors& errors) {
  constexpr std::string_view kTypes[] = {
      "",     "BlockDevice",  "CharDevice", "Directory", "DirectoryOrCreate",
      "File", "FileOrCreate", "Socket"};
  if (source.path().empty()) errors.required(path.child("path"));
  validateNoBacksteps(source.path(), path.child("path"), errors);
  if (std::ranges::find(kTypes, source.type()) == std::end(kTypes))
    errors.notSupported(path.child("type"), source.type(), kTypes);
}

void validateAccessModes(const google::protobuf::RepeatedPtrField<std::string>& modes,
                         const FieldPath& path, FieldErrors& errors) {
  constexpr std::string_view kModes[] = {"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce",
                                         "ReadWriteOncePod"};
  if (modes.empty()) errors.required(path, "at least 1 access mode is required");
  for (const auto& mode : modes) {
    if (std::ranges::find(kModes, mode) == std::end(kModes))
      errors.notSupported(path, mode, kModes);
  }
  if (modes.size() > 1 && std::ranges::find(modes, "ReadWriteOncePod") != modes.end())
    errors.forbidden(path, "may not use ReadWriteOncePod with other access modes");
}

void validateVolumeMode(const std::string& mode, const FieldPath& path, FieldErrors& errors) {
  constexpr std::string_view kModes[] = {"Block", "Filesystem"};
  if (std::ranges::find(kModes, mode) == std::end(kModes)) errors.notSupported(path, mode, kModes);
}

void validateCapacity(const resourcev1::Quantity& amount, const FieldPath& path,
                      FieldErrors& errors) {
  validateQuantity("storage", amount, path, errors);
  if (Quantity::parse(amount) && Quantity::read(amount).isZero())
    errors.invalid(path, amount.string(), "must be greater than zero");
}

bool sameAmounts(const ResourceMap& a, const ResourceMap& b) {
  return toResourceList(a) == toResourceList(b);
}

void addFinalizer(metav1::ObjectMeta& meta, const char* name) {
  const auto& finalizers = meta.finalizers();
  if (std::ranges::find(finalizers, name) == finalizers.end()) meta.add_finalizers(name);
}

std::string orUnset(bool isSet, const std::string& value) {
  return isSet ? value : "<unset>";
}

}  // namespace podlab::api
