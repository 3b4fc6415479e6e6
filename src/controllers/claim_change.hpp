#pragma once
#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "api/conditions.hpp"
#include "api/kinds.hpp"
#include "api/persistent_volumes.hpp"
#include "client/modify.hpp"

/// What both halves of the ClaimBinder share.
namespace podlab::controllers {

template <typename T>
api::ResourceId idOf(const T& object, std::string subresource = "") {
  return {&api::kindFor<T>(), object.metadata().namespace_(), object.metadata().name(),
          std::move(subresource)};
}

inline bool isReady(const google::protobuf::Message& node) {
  return api::isTrue(static_cast<const corev1::Node&>(node).status(), "Ready");
}

/// The key of the claim that the volume is for.
inline std::string claimKey(const corev1::PersistentVolume& volume) {
  return volume.spec().claimref().namespace_() + "/" + volume.spec().claimref().name();
}

/// Whether there was such a finalizer.
inline bool removeFinalizer(metav1::ObjectMeta& meta, const char* name) {
  auto& finalizers = *meta.mutable_finalizers();
  const auto end = std::remove(finalizers.begin(), finalizers.end(), name);
  const bool changed = end != finalizers.end();
  finalizers.erase(end, finalizers.end());
  return changed;
}

/// Changes an object that is still the one that `known` is; one that is gone is OK.
template <typename T, typename F>
Co<Status> change(api::Api& api, std::shared_ptr<const T> known, std::string subresource,
                  F function) {
  const std::string uid = known->metadata().uid();
  client::Change apply = [uid, function = std::move(function)](google::protobuf::Message& object) {
    return api::meta(object).uid() == uid && function(static_cast<T&>(object));
  };
  api::ResourceId id = idOf(*known, std::move(subresource));
  api::ObjectPtr start = known;
  auto written = co_await client::modify(api, std::move(id), std::move(start), std::move(apply));
  const Status status = written.status();
  co_return unlessGone(status);
}

}  // namespace podlab::controllers
