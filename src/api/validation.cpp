#include "api/validation.hpp"

#include <algorithm>
#include <cctype>

#include "api/field_errors.hpp"
#include "api/kinds/rules.hpp"
#include "api/names.hpp"
#include "api/status_conversion.hpp"
#include "api/times.hpp"

namespace podlab::api {
namespace {

constexpr std::int64_t kMaxAnnotationBytes = 256 << 10;

void validateAnnotations(const Labels& annotations, const FieldPath& path, FieldErrors& errors) {
  std::int64_t bytes = 0;
  for (const std::string& key : sortedKeys(annotations)) {
    std::string lower = key;
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
    errors.invalidEach(path, key, faultsOfQualifiedName(lower));
    bytes += static_cast<std::int64_t>(key.size() + annotations.at(key).size());
  }
  if (bytes > kMaxAnnotationBytes) errors.tooLong(path, kMaxAnnotationBytes);
}

void validateOwners(const metav1::ObjectMeta& metadata, const FieldPath& path,
                    FieldErrors& errors) {
  const std::string* controller = nullptr;
  for (int i = 0; i < metadata.ownerreferences_size(); ++i) {
    const metav1::OwnerReference& owner = metadata.ownerreferences(i);
    const FieldPath at = path.index(static_cast<std::size_t>(i));
    if (owner.apiversion().empty()) {
      errors.invalid(at.child("apiVersion"), "", "version must not be empty");
    }
    if (owner.kind().empty()) errors.invalid(at.child("kind"), "", "must not be empty");
    if (owner.name().empty()) errors.invalid(at.child("name"), "", "must not be empty");
    if (owner.uid().empty()) errors.invalid(at.child("uid"), "", "must not be empty");
    if (owner.kind() == "Event" && owner.apiversion() == "v1") {
      errors.invalid(at, owner.kind(), "/v1, Kind=Event is disallowed from being an owner");
    }
    if (!owner.controller()) continue;
    if (controller != nullptr) {
      errors.invalid(path, owner.name(),
                     "Only one reference can have Controller set to true. Found \"true\" in "
                     "references for " +
                         *controller + " and " + owner.name());
    }
    controller = &owner.name();
  }
}

void validateFinalizers(const metav1::ObjectMeta& metadata, const FieldPath& path,
                        FieldErrors& errors) {
  bool orphan = false;
  bool foreground = false;
  for (int i = 0; i < metadata.finalizers_size(); ++i) {
    const std::string& name = metadata.finalizers(i);
    validateFinalizer(name, path.index(static_cast<std::size_t>(i)), errors);
    orphan |= name == "orphan";
    foreground |= name == "foregroundDeletion";
  }
  if (orphan && foreground) {
    errors.invalid(path, "orphan", "finalizer orphan and foregroundDeletion cannot be both set");
  }
}

/// The kind of an object that has one; a stored object always has.
const Kind& rowOf(const google::protobuf::Message& object) {
  return *kindOf(object);
}

Status statusOf(const google::protobuf::Message& object, FieldErrors errors) {
  std::vector<Cause> causes = errors.take();
  if (causes.empty()) return {};
  return invalid(rowOf(object), meta(object).name(), std::move(causes));
}

}  // namespace

std::vector<Cause> validateMetadata(const Kind& kind, const metav1::ObjectMeta& metadata) {
  FieldErrors errors;
  const FieldPath path("metadata");
  if (!metadata.generatename().empty()) {
    // A generated name goes on after the prefix, so that may end in a dash.
    std::string prefix = metadata.generatename();
    if (prefix.ends_with('-')) prefix.back() = 'a';
    errors.invalidEach(path.child("generateName"), metadata.generatename(),
                       kind.strategy.faultsOfName(prefix));
  }
  if (metadata.name().empty()) {
    errors.required(path.child("name"), "name or generateName is required");
  } else {
    errors.invalidEach(path.child("name"), metadata.name(),
                       kind.strategy.faultsOfName(metadata.name()));
  }
  if (!kind.namespaced()) {
    if (!metadata.namespace_().empty()) {
      errors.forbidden(path.child("namespace"), "not allowed on this type");
    }
  } else if (metadata.namespace_().empty()) {
    errors.required(path.child("namespace"));
  } else {
    errors.invalidEach(path.child("namespace"), metadata.namespace_(),
                       faultsOfDns1123Label(metadata.namespace_()));
  }
  errors.notNegative(path.child("generation"), metadata.generation());
  validateLabels(metadata.labels(), path.child("labels"), errors);
  validateAnnotations(metadata.annotations(), path.child("annotations"), errors);
  validateOwners(metadata, path.child("ownerReferences"), errors);
  validateFinalizers(metadata, path.child("finalizers"), errors);
  return errors.take();
}

std::vector<Cause> validateMetadataUpdate(const metav1::ObjectMeta& now,
                                          const metav1::ObjectMeta& before) {
  FieldErrors errors;
  const FieldPath path("metadata");
  const auto same = [&](std::string_view field, const std::string& value, const std::string& old) {
    if (value != old) errors.invalid(path.child(field), value, kImmutable);
  };
  const auto sameTime = [&](std::string_view field, const metav1::Time& value,
                            const metav1::Time& old) {
    if (isSet(value) == isSet(old) && toWallTime(value) == toWallTime(old)) return;
    errors.invalid(path.child(field), isSet(value) ? formatTime(toWallTime(value)) : "null",
                   kImmutable);
  };
  same("name", now.name(), before.name());
  same("namespace", now.namespace_(), before.namespace_());
  same("uid", now.uid(), before.uid());
  sameTime("creationTimestamp", now.creationtimestamp(), before.creationtimestamp());
  sameTime("deletionTimestamp", now.deletiontimestamp(), before.deletiontimestamp());
  if (now.deletiongraceperiodseconds() != before.deletiongraceperiodseconds()) {
    errors.invalid(path.child("deletionGracePeriodSeconds"), now.deletiongraceperiodseconds(),
                   kImmutable);
  }
  if (now.generation() < before.generation()) {
    errors.invalid(path.child("generation"), now.generation(), "must not be decremented");
  }
  if (isSet(before.deletiontimestamp())) {
    std::string added;
    for (const std::string& name : now.finalizers()) {
      if (std::ranges::find(before.finalizers(), name) != before.finalizers().end()) continue;
      added += (added.empty() ? "" : ", ") + quoted(name);
    }
    if (!added.empty()) {
      errors.forbidden(path.child("finalizers"),
                       "no new finalizers can be added if the object is being deleted, found new "
                       "finalizers []string{" +
                           added + "}");
    }
  }
  return errors.take();
}

Status validateCreate(const google::protobuf::Message& object) {
  const Kind& kind = rowOf(object);
  FieldErrors errors;
  errors.add(validateMetadata(kind, meta(object)));
  if (kind.strategy.validate) errors.add(kind.strategy.validate(object));
  return statusOf(object, std::move(errors));
}

Status validateUpdate(const google::protobuf::Message& now,
                      const google::protobuf::Message& before) {
  const Kind& kind = rowOf(now);
  FieldErrors errors;
  errors.add(validateMetadata(kind, meta(now)));
  errors.add(validateMetadataUpdate(meta(now), meta(before)));
  if (kind.strategy.validate) errors.add(kind.strategy.validate(now));
  if (kind.strategy.validateUpdate) errors.add(kind.strategy.validateUpdate(now, before));
  return statusOf(now, std::move(errors));
}

Status validateStatusUpdate(const google::protobuf::Message& now,
                            const google::protobuf::Message& before) {
  const Kind& kind = rowOf(now);
  FieldErrors errors;
  errors.add(validateMetadataUpdate(meta(now), meta(before)));
  if (kind.strategy.validateStatusUpdate) {
    errors.add(kind.strategy.validateStatusUpdate(now, before));
  }
  return statusOf(now, std::move(errors));
}

Status validatePartUpdate(const Strategy::Part& part, const google::protobuf::Message& now,
                          const google::protobuf::Message& before) {
  FieldErrors errors;
  errors.add(part.validate(now, before));
  return statusOf(now, std::move(errors));
}

}  // namespace podlab::api
