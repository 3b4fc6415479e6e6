#include "apiserver/admission.hpp"

#include "apiserver/admission_plugins.hpp"

namespace podlab::apiserver {

Status admitCreate(const api::Kind& kind, google::protobuf::Message& object, WatchCache& cache) {
  if (&kind == &api::kindFor<corev1::Pod>()) {
    auto& pod = static_cast<corev1::Pod&>(object);
    if (Status refused = admitPriority(pod, cache); !refused) return refused;
    return admitLimits(pod, cache);
  }
  if (&kind == &api::kindFor<corev1::PersistentVolumeClaim>())
    return admitLimits(static_cast<const corev1::PersistentVolumeClaim&>(object), cache);
  return {};
}

}  // namespace podlab::apiserver
