#pragma once
#include <string_view>

#include "api/object.hpp"

/// Owner references, and the finalizers by which the garbage collector holds an owner back.
namespace podlab::api {

/// The owner waits until its dependents have lost their references to it.
inline constexpr std::string_view kOrphanFinalizer = "orphan";
/// The owner waits until the dependents that block its deletion are gone.
inline constexpr std::string_view kForegroundFinalizer = "foregroundDeletion";

bool hasFinalizer(const metav1::ObjectMeta& metadata, std::string_view name);
/// Whether it was there.
bool removeFinalizer(metav1::ObjectMeta& metadata, std::string_view name);

/// The one reference with `controller: true`; nullptr when there is none.
const metav1::OwnerReference* controllerOf(const metav1::ObjectMeta& metadata);
/// A reference to `owner` as the controller of what it makes.
metav1::OwnerReference controllerReference(const google::protobuf::Message& owner);

}  // namespace podlab::api
