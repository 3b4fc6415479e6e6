#pragma once

namespace podlab::api {

/// Labels of nodes that every cluster has (k8s.io/api core/v1 well_known_labels.go).
inline constexpr const char* kHostnameLabel = "kubernetes.io/hostname";
inline constexpr const char* kZoneLabel = "topology.kubernetes.io/zone";

}  // namespace podlab::api
