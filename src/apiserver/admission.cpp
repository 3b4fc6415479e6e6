#include "apiserver/admission.hpp"

#include "apiserver/admission_plugins.hpp"

namespace podlab::apiserver {

Status admitCreate(const api::Kind& kind, google::protobuf::Message& object, WatchCache& cache) {
  if (&kind == &api::kindFor<corev1::Pod>()) {
    auto& pod = static_cast<corev1::Pod&>(object);
    return admitPriority(pod, cache);
  }
  return {};
}

}  // namespace podlab::apiserver
