#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core_v1_services.pb.h"
#include "discovery_v1.pb.h"

#include "api/object.hpp"

/// What EndpointSlices and Endpoints say of a service and its pods (upstream:
/// k8s.io/endpointslice, pkg/controller/endpoint).
namespace podlab::controllers {

inline constexpr const char* kManagedByLabel = "endpointslice.kubernetes.io/managed-by";
inline constexpr const char* kSliceController = "endpointslice-controller.k8s.io";
inline constexpr int kMaxEndpointsPerSlice = 100;

/// One pod behind a service.
struct PodEndpoint {
  discoveryv1::Endpoint endpoint;
  /// The service's ports as this pod has them; a named one that the pod lacks is left out.
  std::vector<discoveryv1::EndpointPort> ports;
};

/// nullopt when the pod is finished or has no address of the family ("IPv4", "IPv6").
std::optional<PodEndpoint> endpointOf(const corev1::Service& service, const corev1::Pod& pod,
                                      std::string_view family, const std::string& zone);

/// What is to become of a service's slices of one family.
struct SliceChanges {
  std::vector<discoveryv1::EndpointSlice> create;
  std::vector<discoveryv1::EndpointSlice> update;
  std::vector<discoveryv1::EndpointSlice> remove;
};

/// Changes as few of the `existing` slices as possible: endpoints stay in the slice where they are.
/// There is one slice at least.
SliceChanges planSlices(const corev1::Service& service, std::string_view family,
                        std::vector<PodEndpoint> endpoints,
                        const std::vector<discoveryv1::EndpointSlice>& existing);

/// The service's Endpoints in the older form: at most 1,000 addresses, of pods that do not
/// terminate.
corev1::Endpoints endpointsObject(const corev1::Service& service,
                                  const std::vector<PodEndpoint>& endpoints);

}  // namespace podlab::controllers
