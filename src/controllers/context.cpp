#include "controllers/context.hpp"

#include <algorithm>
#include <utility>

#include "api/kinds.hpp"

namespace podlab::controllers {

client::Informer& Caches::add(api::ResourceId collection) {
  return *informers_.emplace_back(
      std::make_unique<client::Informer>(api_, clock_, rng_, executor_, std::move(collection)));
}

void Caches::addKinds() {
  for (const api::Kind& kind : api::kinds()) {
    if (kind.strategy.dependents == api::Dependents::kNone) continue;
    const auto isWhole = [&](const auto& one) {
      return one->collection().kind == &kind && one->collection().ns.empty();
    };
    const auto found = std::ranges::find_if(informers_, isWhole);
    kinds_.push_back(found == informers_.end() ? &add({&kind, "", "", ""}) : found->get());
  }
}

client::Informer* Caches::of(const api::Kind& kind) const {
  const auto isOfKind = [&](const auto* one) { return one->collection().kind == &kind; };
  const auto found = std::ranges::find_if(kinds_, isOfKind);
  return found == kinds_.end() ? nullptr : *found;
}

void Caches::start() {
  for (const auto& informer : informers_) informer->start();
}

Co<void> Caches::waitForSync() const {
  for (const auto& informer : informers_) co_await informer->waitForSync();
}

Co<void> Caches::stop() {
  for (const auto& informer : informers_) co_await informer->stop();
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

Status unlessGone(const Status& status) {
  return status.is(Code::kNotFound) ? Status() : status;
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
