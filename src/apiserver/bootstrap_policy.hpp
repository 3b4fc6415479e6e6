#pragma once
#include <vector>

#include "api/object.hpp"

namespace podlab::apiserver {

/// The roles and bindings that every cluster has (plugin/pkg/auth/authorizer/rbac/bootstrappolicy).
std::vector<api::ObjectPtr> bootstrapPolicy();

/// A stored role or binding with the rules and subjects that it lacks of `wanted`, which has its
/// name; nullptr when it lacks none, or its annotation rbac.authorization.kubernetes.io/autoupdate
/// is "false".
api::ObjectPtr completedPolicy(const api::ObjectPtr& stored, const api::ObjectPtr& wanted);

}  // namespace podlab::apiserver
