#include "api/owners.hpp"

#include <algorithm>

#include "api/kinds.hpp"

namespace podlab::api {

bool hasFinalizer(const metav1::ObjectMeta& metadata, std::string_view name) {
  return std::ranges::find(metadata.finalizers(), name) != metadata.finalizers().end();
}

bool removeFinalizer(metav1::ObjectMeta& metadata, std::string_view name) {
  auto& all = *metadata.mutable_finalizers();
  const auto end = std::remove(all.begin(), all.end(), name);
  const bool found = end != all.end();
  all.erase(end, all.end());
  return found;
}

const metav1::OwnerReference* controllerOf(const metav1::ObjectMeta& metadata) {
  const auto& owners = metadata.ownerreferences();
  const auto found = std::ranges::find_if(
      owners, [](const metav1::OwnerReference& owner) { return owner.controller(); });
  return found == owners.end() ? nullptr : &*found;
}

metav1::OwnerReference controllerReference(const google::protobuf::Message& owner) {
  const Kind& kind = *kindOf(owner);
  metav1::OwnerReference reference;
  reference.set_apiversion(kind.apiVersion());
  reference.set_kind(std::string(kind.kind));
  reference.set_name(meta(owner).name());
  reference.set_uid(meta(owner).uid());
  reference.set_controller(true);
  reference.set_blockownerdeletion(true);
  return reference;
}

}  // namespace podlab::api
