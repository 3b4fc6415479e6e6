#pragma once
#include <memory>
#include <string>

#include "coordination_v1.pb.h"
#include "core_v1.pb.h"
#include "meta_v1.pb.h"

// Who uses these groups includes their messages.
namespace k8s::io {
namespace api::apps::v1 {}
namespace api::authentication::v1 {}
namespace api::authorization::v1 {}
namespace api::autoscaling::v1 {}
namespace api::autoscaling::v2 {}
namespace api::batch::v1 {}
namespace api::discovery::v1 {}
namespace api::events::v1 {}
namespace api::networking::v1 {}
namespace api::policy::v1 {}
namespace api::rbac::v1 {}
namespace api::scheduling::v1 {}
namespace apiextensions_apiserver::pkg::apis::apiextensions::v1 {}
namespace metrics::pkg::apis::metrics::v1beta1 {}
}  // namespace k8s::io

namespace podlab {

namespace apiextensionsv1 = ::k8s::io::apiextensions_apiserver::pkg::apis::apiextensions::v1;
namespace appsv1 = ::k8s::io::api::apps::v1;
namespace authenticationv1 = ::k8s::io::api::authentication::v1;
namespace authorizationv1 = ::k8s::io::api::authorization::v1;
namespace autoscalingv1 = ::k8s::io::api::autoscaling::v1;
namespace autoscalingv2 = ::k8s::io::api::autoscaling::v2;
namespace batchv1 = ::k8s::io::api::batch::v1;
namespace corev1 = ::k8s::io::api::core::v1;
namespace coordinationv1 = ::k8s::io::api::coordination::v1;
namespace discoveryv1 = ::k8s::io::api::discovery::v1;
namespace eventsv1 = ::k8s::io::api::events::v1;
namespace metricsv1beta1 = ::k8s::io::metrics::pkg::apis::metrics::v1beta1;
namespace networkingv1 = ::k8s::io::api::networking::v1;
namespace policyv1 = ::k8s::io::api::policy::v1;
namespace rbacv1 = ::k8s::io::api::rbac::v1;
namespace schedulingv1 = ::k8s::io::api::scheduling::v1;
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
