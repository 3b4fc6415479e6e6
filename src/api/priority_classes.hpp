#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "scheduling_v1.pb.h"

#include "api/object.hpp"

namespace podlab::api {

inline constexpr std::string_view kSystemPriorityPrefix = "system-";
inline constexpr std::int32_t kMaxUserPriority = 1'000'000'000;

/// A priority class that every cluster has (pkg/apis/scheduling/v1/helpers.go).
struct SystemPriority {
  std::string_view name;
  std::int32_t value;
  std::string_view description;
};
std::span<const SystemPriority> systemPriorities();
/// Whether it is one of these, unchanged.
bool isSystemPriority(const schedulingv1::PriorityClass& object);

}  // namespace podlab::api
