#include "api/kinds/rows.hpp"
#include "api/kinds/rules.hpp"

namespace podlab::api {
namespace {

std::vector<Cause> validate(const corev1::ConfigMap& object) {
  FieldErrors errors;
  const FieldPath data("data");
  std::size_t bytes = 0;
  for (const std::string& key : sortedKeys(object.data())) {
    validateDataKeys({key}, data, errors);
    if (object.binarydata().contains(key)) {
      errors.invalid(data.key(key), key, "duplicate of key present in binaryData");
    }
    bytes += object.data().at(key).size();
  }
  validateDataKeys(sortedKeys(object.binarydata()), FieldPath("binaryData"), errors);
  for (const auto& [key, value] : object.binarydata()) bytes += value.size();
  if (bytes > kMaxDataBytes) errors.tooLong(FieldPath("[]"), kMaxDataBytes);
  return errors.take();
}

std::vector<Cause> validateUpdate(const corev1::ConfigMap& now, const corev1::ConfigMap& before) {
  if (!before.immutable()) return {};
  FieldErrors errors;
  const auto require = [&](bool unchanged, const char* field) {
    if (!unchanged) errors.forbidden(FieldPath(field), kImmutableWhenSet);
  };
  require(now.immutable(), "immutable");
  require(sameEntries(now.data(), before.data()), "data");
  require(sameEntries(now.binarydata(), before.binarydata()), "binaryData");
  return errors.take();
}

}  // namespace

Kind configMapKind() {
  return {
      .group = "",
      .version = "v1",
      .kind = "ConfigMap",
      .plural = "configmaps",
      .singular = "configmap",
      .shortNames = {"cm"},
      .categories = {},
      .scope = Scope::kNamespaced,
      .prototype = &corev1::ConfigMap::default_instance(),
      .columns = {nameColumn(),
                  column<corev1::ConfigMap>("Data", 0,
                                            [](const corev1::ConfigMap& object) {
                                              return std::to_string(object.data().size() +
                                                                    object.binarydata().size());
                                            }),
                  ageColumn()},
      .strategy = {.validate = reads<corev1::ConfigMap>(validate),
                   .validateUpdate = compares<corev1::ConfigMap>(validateUpdate)},
  };
}

}  // namespace podlab::api
