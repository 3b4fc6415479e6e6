#include "controllers/object_index.hpp"

#include <utility>

#include "api/owners.hpp"
#include "api/persistent_volumes.hpp"

namespace podlab::controllers {

ObjectIndex::ObjectIndex(client::Informer& objects, PropertiesOf propertiesOf)
    : propertiesOf_(std::move(propertiesOf)) {
  client::Informer::Handlers handlers;
  handlers.added = [this](const api::ObjectPtr& object) {
    add(propertiesOf_(*object), api::keyOf(*object));
  };
  handlers.updated = [this](const api::ObjectPtr& before, const api::ObjectPtr& now) {
    const auto had = propertiesOf_(*before);
    const auto has = propertiesOf_(*now);
    if (had == has) return;
    remove(had, api::keyOf(*before));
    add(has, api::keyOf(*now));
  };
  handlers.deleted = [this](const api::ObjectPtr& object) {
    remove(propertiesOf_(*object), api::keyOf(*object));
  };
  objects.addHandlers(std::move(handlers));
}

void ObjectIndex::add(const std::vector<std::string>& properties, const std::string& key) {
  for (const auto& property : properties) keys_[property].try_emplace(key);
}

void ObjectIndex::remove(const std::vector<std::string>& properties, const std::string& key) {
  for (const auto& property : properties) {
    const auto found = keys_.find(property);
    if (found == keys_.end()) continue;
    found->second.erase(key);
    if (found->second.empty()) keys_.erase(found);
  }
}

std::vector<std::string> ObjectIndex::of(const std::string& property) const {
  const auto found = keys_.find(property);
  if (found == keys_.end()) return {};
  return found->second.keysOf(found->second.inOrder());
}

std::vector<std::string> ownerOf(const google::protobuf::Message& object) {
  const auto* controller = api::controllerOf(api::meta(object));
  return {controller == nullptr ? orphansOf(api::meta(object).namespace_()) : controller->uid()};
}

std::string orphansOf(const std::string& ns) {
  return "orphans/" + ns;
}

std::vector<std::string> nodeOf(const google::protobuf::Message& pod) {
  const std::string& node = static_cast<const corev1::Pod&>(pod).spec().nodename();
  return node.empty() ? std::vector<std::string>{} : std::vector<std::string>{node};
}

std::vector<std::string> claimsOf(const google::protobuf::Message& pod) {
  std::vector<std::string> claims = api::claimsOf(static_cast<const corev1::Pod&>(pod));
  for (auto& claim : claims) claim.insert(0, api::meta(pod).namespace_() + "/");
  return claims;
}

}  // namespace podlab::controllers
