#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "api/object.hpp"
#include "api/pod_resources.hpp"
#include "common/status.hpp"

namespace podlab::node {

/// What a pod's fieldRefs and containers see of the node and the sandbox.
struct PodEnvironment {
  std::string hostname;
  std::vector<std::string> hostIps;
  std::vector<std::string> podIps;
  api::ResourceList allocatable;  ///< the node's: what a container without a limit may have
  std::string apiServer = {};     ///< "host:port" where the pod finds the API; empty: nowhere
};

/// The value of a fieldRef path: metadata.name, .namespace, .uid, .labels, .labels['K'],
/// .annotations, .annotations['K'], spec.nodeName, spec.serviceAccountName, status.podIP, .podIPs,
/// .hostIP, .hostIPs. All labels or annotations are KEY="VALUE", sorted, one a line. kInvalid names
/// a path that is none of these.
Result<std::string> fieldRefValue(const corev1::Pod& pod, std::string_view path,
                                  const PodEnvironment& environment);

/// The value of a resourceFieldRef: a request or limit of a container (the reference's, or
/// `container` when it names none) in units of its divisor, rounded up. A limit that is not set is
/// the node's allocatable, a request that is not set is 0. kInvalid: no such container or resource.
Result<std::string> resourceFieldValue(const corev1::Pod& pod,
                                       const corev1::ResourceFieldSelector& reference,
                                       const std::string& container,
                                       const PodEnvironment& environment);

}  // namespace podlab::node
