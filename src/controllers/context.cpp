#include "controllers/context.hpp"

#include <algorithm>
#include <utility>

#include "api/kinds.hpp"
#include "common/sync.hpp"

namespace podlab::controllers {

client::Informer& Caches::add(api::ResourceId collection) {
  return *informers_.emplace_back(
      std::make_unique<client::Informer>(api_, clock_, rng_, executor_, std::move(collection)));
}

void Caches::addKinds() {
  for (const api::Kind& kind : api::kinds()) {
    if (kind.custom || kind.strategy.dependents == api::Dependents::kNone) continue;
    const auto isWhole = [&](const auto& one) {
      return one->collection().kind == &kind && one->collection().ns.empty();
    };
    const auto found = std::ranges::find_if(informers_, isWhole);
    kinds_.push_back(found == informers_.end() ? &add({&kind, "", "", ""}) : found->get());
  }
}

void Caches::addKind(const api::Kind& kind) {
  if (of(kind) != nullptr) return;
  client::Informer& informer = add({&kind.resourceKind(), "", "", ""});
  kinds_.push_back(&informer);
  for (const auto& visitor : visitors_) visitor(informer);
  informer.start();
}

void Caches::forEachKind(Visitor visitor) {
  for (auto* informer : kinds_) visitor(*informer);
  visitors_.push_back(std::move(visitor));
}

client::Informer* Caches::of(const api::Kind& kind) const {
  const auto isOfKind = [resource = &kind.resourceKind()](const auto* one) {
    return one->collection().kind == resource;
  };
  const auto found = std::ranges::find_if(kinds_, isOfKind);
  return found == kinds_.end() ? nullptr : *found;
}

void Caches::start() {
  for (const auto& informer : informers_) informer->start();
}

Co<void> Caches::waitForSync() const {
  // There may be more of them when one has its contents.
  for (std::size_t i = 0; i < informers_.size(); ++i) co_await informers_[i]->waitForSync();
}

Co<void> Caches::stop() {
  for (std::size_t i = 0; i < informers_.size(); ++i) co_await informers_[i]->stop();
}

Co<void> forEachAtOnce(asio::any_io_executor executor, std::string name, std::size_t count,
                       std::function<Co<void>(std::size_t)> task) {
  constexpr std::size_t kAtOnce = 64;
  for (std::size_t begin = 0; begin < count; begin += kAtOnce) {
    TaskGroup batch(executor);
    const std::size_t end = std::min(begin + kAtOnce, count);
    for (std::size_t i = begin; i < end; ++i) batch.spawn(name, task(i));
    co_await batch.join();
  }
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

}  // namespace podlab::controllers
