#include "api/ephemeral_containers.hpp"

namespace podlab::api {

corev1::Container containerOf(const corev1::EphemeralContainer& ephemeral) {
  corev1::Container container;
  container.ParseFromString(ephemeral.ephemeralcontainercommon().SerializeAsString());
  return container;
}

}  // namespace podlab::api
