#include "api/priority_classes.hpp"

#include <algorithm>
#include <array>

namespace podlab::api {
namespace {

constexpr std::array<SystemPriority, 2> kSystemPriorities{
    {{"system-cluster-critical", 2'000'000'000,
      "Used for system critical pods that must run in the cluster, but can be moved to another "
      "node if necessary."},
     {"system-node-critical", 2'000'001'000,
      "Used for system critical pods that must not be moved from their current node."}}};

}  // namespace

std::span<const SystemPriority> systemPriorities() {
  return kSystemPriorities;
}

bool isSystemPriority(const schedulingv1::PriorityClass& object) {
  return std::ranges::any_of(kSystemPriorities, [&](const SystemPriority& known) {
    return known.name == object.metadata().name() && known.value == object.value() &&
           !object.globaldefault();
  });
}

}  // namespace podlab::api
