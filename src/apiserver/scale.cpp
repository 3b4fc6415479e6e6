#include "apiserver/scale.hpp"

#include "api/arena_object.hpp"
#include "api/status_conversion.hpp"

namespace podlab::apiserver {

using autoscalingv1::Scale;
using google::protobuf::Message;

api::ObjectPtr scaleOf(const api::Kind& kind, const Message& object) {
  const auto& scaling = *kind.strategy.scaling;
  const auto& from = api::meta(object);
  auto scale = std::make_shared<Scale>();
  auto& metadata = *scale->mutable_metadata();
  metadata.set_name(from.name());
  metadata.set_namespace_(from.namespace_());
  metadata.set_uid(from.uid());
  metadata.set_resourceversion(from.resourceversion());
  *metadata.mutable_creationtimestamp() = from.creationtimestamp();
  scale->mutable_spec()->set_replicas(scaling.wanted(object));
  scale->mutable_status()->set_replicas(scaling.present(object));
  scale->mutable_status()->set_selector(scaling.selector(object));
  return scale;
}

Result<api::ObjectPtr> scaled(const api::Kind& kind, const Message& object, const Message& scale) {
  const api::Kind& scales = api::kindFor<Scale>();
  const auto& metadata = api::meta(scale);
  auto causes = scales.strategy.validate(scale);
  if (!causes.empty()) return api::invalid(scales, metadata.name(), std::move(causes));
  auto next = api::copyOf(object);
  api::mutableMeta(*next).set_uid(metadata.uid());
  api::mutableMeta(*next).set_resourceversion(metadata.resourceversion());
  kind.strategy.scaling->setWanted(*next, static_cast<const Scale&>(scale).spec().replicas());
  return api::ObjectPtr(std::move(next));
}

}  // namespace podlab::apiserver
