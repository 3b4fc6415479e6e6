#pragma once
#include <string>
#include <vector>

#include "core_v1_services.pb.h"

#include "api/object.hpp"

namespace podlab::api {

inline constexpr std::int32_t kFirstNodePort = 30000;
inline constexpr std::int32_t kLastNodePort = 32767;

/// Whether the service is "headless": it has no address of its own (clusterIP None).
bool isHeadless(const corev1::Service& service);
/// Whether its type has an address of the cluster (all but ExternalName).
bool hasClusterIp(const corev1::Service& service);
/// Whether its type has a port on every node (NodePort, LoadBalancer).
bool hasNodePorts(const corev1::Service& service);

/// The name of the EndpointSlice's label that names the service.
inline constexpr const char* kServiceNameLabel = "kubernetes.io/service-name";

}  // namespace podlab::api
