#pragma once
#include <string>

#include "core_v1_persistent_volumes.pb.h"

#include "api/field_errors.hpp"
#include "api/object.hpp"
#include "api/pod_resources.hpp"

/// Rules that pods' volumes, PersistentVolumes and claims share (volume_rules.cpp).
namespace podlab::api {

void validateHostPath(const corev1::HostPathVolumeSource& source, const FieldPath& path,
                      FieldErrors& errors);
/// A path without "..".
void validateNoBacksteps(const std::string& value, const FieldPath& path, FieldErrors& errors);
void validateAccessModes(const google::protobuf::RepeatedPtrField<std::string>& modes,
                         const FieldPath& path, FieldErrors& errors);
void validateVolumeMode(const std::string& mode, const FieldPath& path, FieldErrors& errors);
/// A well-formed quantity above zero.
void validateCapacity(const resourcev1::Quantity& amount, const FieldPath& path,
                      FieldErrors& errors);
bool sameAmounts(const ResourceMap& a, const ResourceMap& b);
/// A claim, also one of a template.
void applyClaimDefaults(corev1::PersistentVolumeClaim& claim);
/// Once.
void addFinalizer(metav1::ObjectMeta& meta, const char* name);
/// The cell of an optional field: "<unset>" without it.
std::string orUnset(bool isSet, const std::string& value);

}  // namespace podlab::api
