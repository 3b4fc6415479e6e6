#pragma once
#include <string_view>

#include "api/names.hpp"

namespace podlab::api {

inline constexpr std::string_view kRbacGroup = "rbac.authorization.k8s.io";

/// Names of roles and bindings are path segments: "system:node" is one.
Faults faultsOfRbacName(std::string_view name);

}  // namespace podlab::api
