#pragma once
#include <memory>
#include <string>
#include <vector>

#include "api/kinds.hpp"
#include "cli/describe_layout.hpp"

namespace podlab::cli {

/// Objects as `kubectl describe` writes them; ages are those at `now`.
std::string describePod(const corev1::Pod& pod, const Events& events, WallTime now);
/// `pods` are those bound to the node; `lease` may be null.
std::string describeNode(const corev1::Node& node,
                         const std::vector<std::shared_ptr<const corev1::Pod>>& pods,
                         const coordinationv1::Lease* lease, const Events& events, WallTime now);
std::string describeNamespace(const corev1::Namespace& ns);
std::string describeConfigMap(const corev1::ConfigMap& map, const Events& events, WallTime now);
/// Sizes in place of the values.
std::string describeSecret(const corev1::Secret& secret);
/// An object of any other kind: its metadata and every field that is set.
std::string describeObject(const api::Kind& kind, const google::protobuf::Message& object,
                           const Events& events, WallTime now);

}  // namespace podlab::cli
