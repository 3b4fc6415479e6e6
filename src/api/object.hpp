#pragma once
#include <memory>
#include <string>

#include "coordination_v1.pb.h"
#include "core_v1.pb.h"
#include "meta_v1.pb.h"

namespace podlab {

namespace corev1 = ::k8s::io::api::core::v1;
namespace coordinationv1 = ::k8s::io::api::coordination::v1;
namespace metav1 = ::k8s::io::apimachinery::pkg::apis::meta::v1;

namespace api {

/// An API object of any kind: immutable once shared.
using ObjectPtr = std::shared_ptr<const google::protobuf::Message>;
using MutableObjectPtr = std::shared_ptr<google::protobuf::Message>;

/// The object's metadata (field "metadata" of type ObjectMeta, which every kind has). Aborts on a
/// message that has none.
const metav1::ObjectMeta& meta(const google::protobuf::Message& object);
metav1::ObjectMeta& mutableMeta(google::protobuf::Message& object);

/// The object as its concrete message; the caller knows the kind.
template <typename T>
const T& as(const ObjectPtr& object) {
  return static_cast<const T&>(*object);
}
template <typename T>
std::shared_ptr<const T> share(const ObjectPtr& object) {
  return std::static_pointer_cast<const T>(object);
}

/// "namespace/name", or "name" for a cluster-scoped object: the key of caches and work queues.
std::string keyOf(const google::protobuf::Message& object);

}  // namespace api
}  // namespace podlab
