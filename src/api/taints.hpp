#pragma once
#include <google/protobuf/repeated_ptr_field.h>

#include <string_view>

#include "api/object.hpp"

namespace podlab::api {

inline constexpr std::string_view kNoSchedule = "NoSchedule";
inline constexpr std::string_view kPreferNoSchedule = "PreferNoSchedule";
inline constexpr std::string_view kNoExecute = "NoExecute";

/// The taints that podlab itself sets on nodes.
inline constexpr std::string_view kTaintNotReady = "node.kubernetes.io/not-ready";
inline constexpr std::string_view kTaintUnreachable = "node.kubernetes.io/unreachable";
inline constexpr std::string_view kTaintUnschedulable = "node.kubernetes.io/unschedulable";

inline constexpr std::string_view kTaintMemoryPressure = "node.kubernetes.io/memory-pressure";
inline constexpr std::string_view kTaintDiskPressure = "node.kubernetes.io/disk-pressure";
inline constexpr std::string_view kTaintPidPressure = "node.kubernetes.io/pid-pressure";

using Tolerations = google::protobuf::RepeatedPtrField<corev1::Toleration>;
using Taints = google::protobuf::RepeatedPtrField<corev1::Taint>;

/// Whether the toleration covers the taint: an empty key (with Exists) covers all keys, an empty
/// effect all effects, and the empty operator means Equal.
bool tolerates(const corev1::Toleration& toleration, const corev1::Taint& taint);
bool tolerates(const Tolerations& tolerations, const corev1::Taint& taint);

/// The first taint with one of the two effects that nothing tolerates; nullptr when there is none.
const corev1::Taint* firstUntolerated(const Taints& taints, const Tolerations& tolerations,
                                      std::string_view effect, std::string_view orEffect);

/// The taint of the node with this key and effect, nullptr when it has none.
const corev1::Taint* findTaint(const corev1::Node& node, std::string_view key,
                               std::string_view effect);

}  // namespace podlab::api
