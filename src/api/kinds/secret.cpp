#include "api/kinds/rows.hpp"
#include "api/kinds/rules.hpp"

namespace podlab::api {
namespace {

void applyDefaults(corev1::Secret& object) {
  if (object.type().empty()) object.set_type("Opaque");
  for (const auto& [key, value] : object.stringdata()) (*object.mutable_data())[key] = value;
  object.clear_stringdata();
}

/// The keys that a type of secret must have.
std::vector<std::string_view> requiredKeys(std::string_view type) {
  if (type == "kubernetes.io/dockercfg") return {".dockercfg"};
  if (type == "kubernetes.io/dockerconfigjson") return {".dockerconfigjson"};
  if (type == "kubernetes.io/ssh-auth") return {"ssh-privatekey"};
  if (type == "kubernetes.io/tls") return {"tls.crt", "tls.key"};
  return {};
}

std::vector<Cause> validate(const corev1::Secret& object) {
  FieldErrors errors;
  const FieldPath data("data");
  validateDataKeys(sortedKeys(object.data()), data, errors);
  std::size_t bytes = 0;
  for (const auto& [key, value] : object.data()) bytes += value.size();
  if (bytes > kMaxDataBytes) errors.tooLong(data, kMaxDataBytes);

  for (const std::string_view key : requiredKeys(object.type())) {
    if (!object.data().contains(std::string(key))) errors.required(data.key(key));
  }
  if (object.type() == "kubernetes.io/basic-auth" && !object.data().contains("username") &&
      !object.data().contains("password")) {
    errors.required(data.key("username"));
    errors.required(data.key("password"));
  }
  constexpr const char* kAccount = "kubernetes.io/service-account.name";
  if (object.type() == "kubernetes.io/service-account-token" &&
      !object.metadata().annotations().contains(kAccount)) {
    errors.required(FieldPath("metadata.annotations").key(kAccount));
  }
  return errors.take();
}

std::vector<Cause> validateUpdate(const corev1::Secret& now, const corev1::Secret& before) {
  FieldErrors errors;
  if (now.type() != before.type()) errors.invalid(FieldPath("type"), now.type(), kImmutable);
  if (before.immutable()) {
    if (!now.immutable()) errors.forbidden(FieldPath("immutable"), kImmutableWhenSet);
    if (!sameEntries(now.data(), before.data())) {
      errors.forbidden(FieldPath("data"), kImmutableWhenSet);
    }
  }
  return errors.take();
}

}  // namespace

Kind secretKind() {
  const auto type = [](const corev1::Secret& object) { return object.type(); };
  return {
      .group = "",
      .version = "v1",
      .kind = "Secret",
      .plural = "secrets",
      .singular = "secret",
      .shortNames = {},
      .categories = {},
      .scope = Scope::kNamespaced,
      .prototype = &corev1::Secret::default_instance(),
      .columns = {nameColumn(), column<corev1::Secret>("Type", 0, type),
                  column<corev1::Secret>("Data", 0,
                                         [](const corev1::Secret& object) {
                                           return std::to_string(object.data().size());
                                         }),
                  ageColumn()},
      .strategy = {.applyDefaults = writes<corev1::Secret>(applyDefaults),
                   .validate = reads<corev1::Secret>(validate),
                   .validateUpdate = compares<corev1::Secret>(validateUpdate),
                   .fieldLabels = {{"type", reads<corev1::Secret>(type)}}},
  };
}

}  // namespace podlab::api
