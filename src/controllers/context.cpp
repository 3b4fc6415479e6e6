#include "controllers/context.hpp"

#include <utility>

#include "api/kinds.hpp"
#include "api/persistent_volumes.hpp"

namespace podlab::controllers {
namespace {

const std::string& nodeOf(const api::ObjectPtr& pod) {
  return api::as<corev1::Pod>(pod).spec().nodename();
}

}  // namespace

PodsByNode::PodsByNode(client::Informer& pods) {
  client::Informer::Handlers handlers;
  handlers.added = [this](const api::ObjectPtr& pod) { move(api::keyOf(*pod), "", nodeOf(pod)); };
  handlers.updated = [this](const api::ObjectPtr& before, const api::ObjectPtr& now) {
    move(api::keyOf(*now), nodeOf(before), nodeOf(now));
  };
  handlers.deleted = [this](const api::ObjectPtr& pod) { move(api::keyOf(*pod), nodeOf(pod), ""); };
  pods.addHandlers(std::move(handlers));
}

void PodsByNode::move(const std::string& key, const std::string& from, const std::string& to) {
  if (from == to) return;
  if (const auto found = keys_.find(from); found != keys_.end()) {
    found->second.erase(key);
    if (found->second.empty()) keys_.erase(found);
  }
  if (!to.empty()) keys_[to].insert(key);
}

const std::set<std::string>& PodsByNode::of(const std::string& node) const {
  static const std::set<std::string> kNone;
  const auto found = keys_.find(node);
  return found == keys_.end() ? kNone : found->second;
}

PodsByClaim::PodsByClaim(client::Informer& pods) {
  const auto keysOf = [](const api::ObjectPtr& object) {
    const auto& pod = api::as<corev1::Pod>(object);
    std::vector<std::string> keys;
    for (const auto& claim : api::claimsOf(pod))
      keys.push_back(pod.metadata().namespace_() + "/" + claim);
    return keys;
  };
  client::Informer::Handlers handlers;
  handlers.added = [this, keysOf](const api::ObjectPtr& pod) {
    for (const auto& claim : keysOf(pod)) keys_[claim].insert(api::keyOf(*pod));
  };
  // A pod's volumes do not change, but another pod may have its name.
  handlers.deleted = [this, keysOf](const api::ObjectPtr& pod) {
    for (const auto& claim : keysOf(pod)) {
      keys_[claim].erase(api::keyOf(*pod));
      if (keys_[claim].empty()) keys_.erase(claim);
    }
  };
  handlers.updated = [handlers](const api::ObjectPtr& before, const api::ObjectPtr& now) {
    if (api::meta(*before).uid() == api::meta(*now).uid()) return;
    handlers.deleted(before);
    handlers.added(now);
  };
  pods.addHandlers(std::move(handlers));
}

const std::set<std::string>& PodsByClaim::of(const std::string& claim) const {
  static const std::set<std::string> kNone;
  const auto found = keys_.find(claim);
  return found == keys_.end() ? kNone : found->second;
}

Co<void> Context::waitForSync() const {
  co_await nodes.waitForSync();
  co_await pods.waitForSync();
  co_await leases.waitForSync();
  co_await namespaces.waitForSync();
  co_await claims.waitForSync();
  co_await volumes.waitForSync();
  co_await classes.waitForSync();
  co_await services.waitForSync();
  co_await endpointSlices.waitForSync();
  co_await endpoints.waitForSync();
}

Co<Status> deletePod(api::Api& api, const corev1::Pod& pod, std::int64_t grace) {
  const auto& metadata = pod.metadata();
  api::ResourceId id{&api::kindFor<corev1::Pod>(), metadata.namespace_(), metadata.name(), ""};
  api::DeleteOptions options;
  if (grace >= 0) options.set_graceperiodseconds(grace);
  options.mutable_preconditions()->set_uid(metadata.uid());
  auto removed = co_await api.remove(std::move(id), std::move(options));
  // Not there, or another pod under the same name: the one meant is gone.
  const bool gone = removed.status().is(Code::kNotFound) || removed.status().is(Code::kConflict);
  co_return gone ? Status() : removed.status();
}

corev1::ObjectReference referenceToNode(const std::string& name) {
  corev1::ObjectReference reference;
  reference.set_apiversion("v1");
  reference.set_kind("Node");
  reference.set_name(name);
  reference.set_uid(name);
  return reference;
}

}  // namespace podlab::controllers
