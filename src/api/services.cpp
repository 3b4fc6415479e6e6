#include "api/services.hpp"

namespace podlab::api {

bool isHeadless(const corev1::Service& service) {
  return service.spec().clusterip() == "None";
}

bool hasClusterIp(const corev1::Service& service) {
  return service.spec().type() != "ExternalName";
}

bool hasNodePorts(const corev1::Service& service) {
  const auto& spec = service.spec();
  return spec.type() == "NodePort" ||
         (spec.type() == "LoadBalancer" &&
          (!spec.has_allocateloadbalancernodeports() || spec.allocateloadbalancernodeports()));
}

}  // namespace podlab::api
