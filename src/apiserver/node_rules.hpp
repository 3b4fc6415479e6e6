#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "api/api.hpp"
#include "apiserver/identity.hpp"

namespace podlab::apiserver {

/// What a user wants to do.
struct Attributes {
  std::string_view verb;      ///< "get", "list", "watch", "create", "update", "patch", "delete"
  api::ResourceId id;         ///< of a create: with the name of the new object
  std::string fieldSelector;  ///< of a list or watch
  const api::DeleteOptions* deletion = nullptr;  ///< of a delete
  api::ObjectPtr object;                         ///< of a create or update: what is to be written
  std::string labelSelector = {};                ///< of a list or watch
};

/// The present object of that kind, namespace and name; nullptr when there is none.
using Lookup = std::function<api::ObjectPtr(const api::Kind& kind, const std::string& ns,
                                            const std::string& name)>;

/// Whether one of the pods that are bound to the node is such.
using AnyPod = std::function<bool(const std::string& node,
                                  const std::function<bool(const corev1::Pod& pod)>& isSuch)>;

/// Whether a node may. It may read Nodes, its Lease and the pods bound to it, watch all that
/// network policies are about (NetworkPolicies, Namespaces and Pods of the whole cluster), and may
/// write its own Node and Lease, the status of its pods, and Events that name it as their source;
/// it may remove its pods once they are terminating. As by Kubernetes' node authorizer, it may read
/// a ConfigMap, Secret or claim, by name, while one of its pods refers to it, and the volume to
/// which such a claim is bound, and ask for tokens of its pods' accounts that are bound to these
/// pods. Of the released volumes whose folders it is to remove, it may read all and change the
/// metadata.
bool nodeMay(const std::string& node, const Attributes& attributes, const Lookup& lookup,
             const AnyPod& anyPod);

}  // namespace podlab::apiserver
