#pragma once
#include <memory>
#include <string>
#include <utility>

#include "api/kinds.hpp"
#include "api/kinds/rules.hpp"
#include "client/modify.hpp"
#include "controllers/context.hpp"

namespace podlab::controllers {

/// Writes the status of an object that is still the one that `known` is, and returns when `cache`
/// shows it; an object that is gone is OK.
template <typename T, typename S>
Co<Status> writeStatus(Context& context, client::Informer& cache, std::shared_ptr<const T> known,
                       S status) {
  const client::Change change = [&](google::protobuf::Message& object) {
    auto& now = static_cast<T&>(object);
    if (now.metadata().uid() != known->metadata().uid() || api::sameMessage(now.status(), status))
      return false;
    *now.mutable_status() = status;
    return true;
  };
  api::ResourceId id{&api::kindFor<T>(), known->metadata().namespace_(), known->metadata().name(),
                     "status"};
  auto written = co_await client::modify(context.api, std::move(id), known, change);
  if (!written) co_return unlessGone(written.status());
  co_await cache.waitFor(api::meta(**written).resourceversion());
  co_return Status();
}

}  // namespace podlab::controllers
