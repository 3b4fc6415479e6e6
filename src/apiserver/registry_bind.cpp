#include <utility>

#include "api/arena_object.hpp"
#include "api/conditions.hpp"
#include "api/status_conversion.hpp"
#include "apiserver/registry.hpp"

namespace podlab::apiserver {

using google::protobuf::Message;

Result<Registry::Change> Registry::decideBinding(const Message& current,
                                                 const corev1::Binding& binding) const {
  const auto& pod = static_cast<const corev1::Pod&>(current);
  const std::string& name = pod.metadata().name();
  const auto refuse = [&](const std::string& why) {
    return api::conflict(api::kindFor<corev1::Pod>(), name, why);
  };
  const auto& wanted = binding.metadata();
  if (!wanted.uid().empty() && wanted.uid() != pod.metadata().uid()) {
    return refuse("Precondition failed: UID in precondition: " + wanted.uid() +
                  ", UID in object meta: " + pod.metadata().uid());
  }
  if (pod.metadata().has_deletiontimestamp()) {
    return refuse("pod " + name + " is being deleted, cannot be assigned to a host");
  }
  if (!pod.spec().nodename().empty()) {
    return refuse("pod " + name + " is already assigned to node \"" + pod.spec().nodename() + "\"");
  }
  if (!pod.spec().schedulinggates().empty()) {
    return refuse("pod " + name + " has non-empty .spec.schedulingGates");
  }
  auto next = std::static_pointer_cast<corev1::Pod>(api::copyOf(pod));
  next->mutable_spec()->set_nodename(binding.target().name());
  for (const auto& [key, value] : wanted.annotations()) {
    (*next->mutable_metadata()->mutable_annotations())[key] = value;
  }
  const api::ConditionState scheduled{"PodScheduled", "True", "", ""};
  api::setCondition(*next->mutable_status(), scheduled, clock_.wallNow());
  return Change{std::move(next)};
}

Co<Result<api::ObjectPtr>> Registry::bind(api::ResourceId id, api::ObjectPtr object, bool dryRun) {
  const auto binding = api::share<corev1::Binding>(object);
  const std::string& kind = binding->target().kind();
  if (binding->target().name().empty() || (!kind.empty() && kind != "Node")) {
    const bool nameless = binding->target().name().empty();
    const Cause cause =
        nameless ? Cause{"FieldValueRequired", "target.name", "Required value"}
                 : Cause{"FieldValueNotSupported", "target.kind",
                         "Unsupported value: \"" + kind + "\": supported values: \"Node\""};
    co_return api::invalid(api::kindFor<corev1::Binding>(), id.name, {cause});
  }
  Decide decide = [&](const Message& current) { return decideBinding(current, *binding); };
  co_return co_await change(std::move(id), dryRun, std::move(decide));
}

}  // namespace podlab::apiserver
