#include "scheduling_v1.pb.h"

#include "api/status_conversion.hpp"
#include "apiserver/admission_plugins.hpp"

namespace podlab::apiserver {
namespace {

using schedulingv1::PriorityClass;

const api::Kind& classes() {
  return api::kindFor<PriorityClass>();
}

/// Of several, the one with the lowest value, as upstream has it. nullptr when there is none.
std::shared_ptr<const PriorityClass> globalDefault(WatchCache& cache) {
  std::shared_ptr<const PriorityClass> found;
  const KindCache& all = cache.of(classes());
  all.forEach({}, [&](const std::string& name, const api::ListItem&) {
    const auto object = all.get(name);
    const auto& candidate = api::as<PriorityClass>(object);
    if (candidate.globaldefault() && (!found || candidate.value() < found->value()))
      found = api::share<PriorityClass>(object);
    return true;
  });
  return found;
}

}  // namespace

Status admitPriority(corev1::Pod& pod, WatchCache& cache) {
  auto& spec = *pod.mutable_spec();
  std::shared_ptr<const PriorityClass> chosen;
  if (spec.priorityclassname().empty()) {
    chosen = globalDefault(cache);
    if (chosen) spec.set_priorityclassname(chosen->metadata().name());
  } else {
    const auto found = cache.of(classes()).get(spec.priorityclassname());
    if (!found) {
      return api::forbidden(
          api::kindFor<corev1::Pod>(), pod.metadata().name(),
          "no PriorityClass with name " + spec.priorityclassname() + " was found");
    }
    chosen = api::share<PriorityClass>(found);
  }
  if (!chosen) {
    if (!spec.has_priority()) spec.set_priority(0);
    if (!spec.has_preemptionpolicy()) spec.set_preemptionpolicy("PreemptLowerPriority");
    return {};
  }
  const auto differs = [&](const std::string& field, const std::string& given,
                           const std::string& computed) {
    return api::forbidden(api::kindFor<corev1::Pod>(), pod.metadata().name(),
                          "the " + field + " (" + given +
                              ") must not be provided in pod spec; priority admission controller "
                              "computed " +
                              computed + " from the given PriorityClass name");
  };
  if (spec.has_priority() && spec.priority() != chosen->value()) {
    return differs("integer value of priority", std::to_string(spec.priority()),
                   std::to_string(chosen->value()));
  }
  if (spec.has_preemptionpolicy() && spec.preemptionpolicy() != chosen->preemptionpolicy()) {
    return differs("string value of PreemptionPolicy", spec.preemptionpolicy(),
                   chosen->preemptionpolicy());
  }
  spec.set_priority(chosen->value());
  spec.set_preemptionpolicy(chosen->preemptionpolicy());
  return {};
}

}  // namespace podlab::apiserver
