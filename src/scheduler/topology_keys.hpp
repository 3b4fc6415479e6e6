#pragma once
#include <string_view>

namespace podlab::scheduler {

inline constexpr std::string_view kHostnameKey = "kubernetes.io/hostname";
inline constexpr std::string_view kZoneKey = "topology.kubernetes.io/zone";

}  // namespace podlab::scheduler
