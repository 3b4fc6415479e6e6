#include "apiserver/node_rules.hpp"

#include <algorithm>

#include "authentication_v1.pb.h"
#include "core_v1_accounts.pb.h"
#include "networking_v1.pb.h"

#include "api/persistent_volumes.hpp"
#include "api/pod_references.hpp"
#include "api/selectors.hpp"

namespace podlab::apiserver {
namespace {

constexpr std::string_view kLeaseNamespace = "kube-node-lease";

bool isOneOf(std::string_view value, std::initializer_list<std::string_view> values) {
  return std::ranges::find(values, value) != values.end();
}

/// The decision for one node's request, apart from its wording.
class NodeRules {
 public:
  NodeRules(std::string node, const Attributes& attributes, const Lookup& lookup,
            const AnyPod& anyPod)
      : node_(std::move(node)), attributes_(attributes), lookup_(lookup), anyPod_(anyPod) {}

  bool allow() const {
    const api::Kind* kind = attributes_.id.kind;
    if (kind == &api::kindFor<corev1::Node>()) return allowNode();
    if (kind == &api::kindFor<coordinationv1::Lease>()) return allowLease();
    if (kind == &api::kindFor<corev1::Pod>()) return allowPod();
    if (kind == &api::kindFor<corev1::Event>()) return allowEvent();
    if (kind == &api::kindFor<corev1::PersistentVolume>()) return allowVolume();
    if (kind == &api::kindFor<corev1::ServiceAccount>()) return allowToken();
    if (kind == &api::kindFor<networkingv1::NetworkPolicy>() ||
        kind == &api::kindFor<corev1::Namespace>()) {
      return readsAll();
    }
    return allowReferenced();
  }

 private:
  bool verbIs(std::initializer_list<std::string_view> verbs) const {
    return isOneOf(attributes_.verb, verbs);
  }

  bool allowNode() const {
    if (verbIs({"get", "list", "watch"})) return true;
    return verbIs({"create", "update", "patch"}) && attributes_.id.name == node_ &&
           isOneOf(attributes_.id.subresource, {"", "status"});
  }

  bool allowLease() const {
    return verbIs({"get", "create", "update", "patch"}) && attributes_.id.ns == kLeaseNamespace &&
           attributes_.id.name == node_;
  }

  bool allowPod() const {
    if (verbIs({"list", "watch"})) {
      if (readsAll()) return true;
      const auto selector =
          api::FieldSelector::parse(*attributes_.id.kind, attributes_.fieldSelector);
      if (!selector) return false;
      const std::string* nodeName = selector->requiredValue("spec.nodeName");
      return nodeName != nullptr && *nodeName == node_;
    }
    const bool whole = attributes_.id.subresource.empty();
    const auto found = lookup_(*attributes_.id.kind, attributes_.id.ns, attributes_.id.name);
    // Of a pod that is gone a node learns no more than that.
    if (!found) return whole && verbIs({"get", "delete"});
    const auto& pod = api::as<corev1::Pod>(found);
    if (pod.spec().nodename() != node_) return false;
    if (verbIs({"get"})) return whole;
    if (verbIs({"update", "patch"})) return attributes_.id.subresource == "status";
    return whole && verbIs({"delete"}) && pod.metadata().has_deletiontimestamp() &&
           attributes_.deletion->has_graceperiodseconds() &&
           attributes_.deletion->graceperiodseconds() == 0;
  }

  bool allowEvent() const {
    if (!attributes_.id.subresource.empty()) return false;
    const bool written = sourceIsThis(attributes_.object);
    if (verbIs({"create"})) return written;
    if (!verbIs({"update", "patch"})) return false;
    const auto found = lookup_(*attributes_.id.kind, attributes_.id.ns, attributes_.id.name);
    return sourceIsThis(found) && (written || verbIs({"patch"}));
  }

  /// What network policies select, of the whole cluster.
  bool readsAll() const {
    return verbIs({"list", "watch"}) && attributes_.id.ns.empty() &&
           attributes_.id.subresource.empty() && attributes_.fieldSelector.empty() &&
           attributes_.labelSelector.empty();
  }

  /// The one object that the request reads; "" when it reads others, or writes.
  std::string readsOnly() const {
    if (!attributes_.id.subresource.empty()) return "";
    if (verbIs({"get"})) return attributes_.id.name;
    if (!verbIs({"list", "watch"})) return "";
    const auto selector =
        api::FieldSelector::parse(*attributes_.id.kind, attributes_.fieldSelector);
    const std::string* name = selector ? selector->requiredValue("metadata.name") : nullptr;
    return name == nullptr ? "" : *name;
  }

  bool allowReferenced() const {
    const api::PodReference wanted{attributes_.id.kind, readsOnly()};
    if (wanted.name.empty() || attributes_.id.ns.empty()) return false;
    return anyPod_(node_, [&](const corev1::Pod& pod) {
      if (pod.metadata().namespace_() != attributes_.id.ns) return false;
      const auto references = api::referencesOf(pod);
      return std::ranges::find(references, wanted) != references.end();
    });
  }

  bool allowVolume() const {
    if (verbIs({"list", "watch"}) &&
        attributes_.labelSelector == std::string(api::kReclaimLabel) + "=" + node_)
      return true;
    const api::Kind& claims = api::kindFor<corev1::PersistentVolumeClaim>();
    const std::string volume = readsOnly();
    const bool isUsed = !volume.empty() && anyPod_(node_, [&](const corev1::Pod& pod) {
      return std::ranges::any_of(api::claimsOf(pod), [&](const std::string& name) {
        const auto claim = lookup_(claims, pod.metadata().namespace_(), name);
        return claim && api::as<corev1::PersistentVolumeClaim>(claim).spec().volumename() == volume;
      });
    });
    if (isUsed) return true;
    const auto found = lookup_(*attributes_.id.kind, "", attributes_.id.name);
    if (!found || !attributes_.id.subresource.empty()) return false;
    const auto& labels = api::meta(*found).labels();
    const auto label = labels.find(api::kReclaimLabel);
    if (label == labels.end() || label->second != node_) return false;
    return verbIs({"get"}) ||
           (verbIs({"update"}) && attributes_.object &&
            specOf(attributes_.object).SerializeAsString() == specOf(found).SerializeAsString());
  }

  /// The account of a pod that is bound here, for a token that is bound to that pod.
  bool allowToken() const {
    if (!verbIs({"create"}) || attributes_.id.subresource != "token") return false;
    const auto* request =
        dynamic_cast<const authenticationv1::TokenRequest*>(attributes_.object.get());
    if (request == nullptr || request->spec().boundobjectref().kind() != "Pod") return false;
    const auto found = lookup_(api::kindFor<corev1::Pod>(), attributes_.id.ns,
                               request->spec().boundobjectref().name());
    if (!found) return false;
    const auto& pod = api::as<corev1::Pod>(found);
    return pod.spec().nodename() == node_ &&
           pod.spec().serviceaccountname() == attributes_.id.name &&
           pod.metadata().uid() == request->spec().boundobjectref().uid();
  }

  static const corev1::PersistentVolumeSpec& specOf(const api::ObjectPtr& volume) {
    return api::as<corev1::PersistentVolume>(volume).spec();
  }

  bool sourceIsThis(const api::ObjectPtr& object) const {
    const auto* event = dynamic_cast<const corev1::Event*>(object.get());
    return event && (event->source().host() == node_ || event->reportinginstance() == node_);
  }

  const std::string node_;
  const Attributes& attributes_;
  const Lookup& lookup_;
  const AnyPod& anyPod_;
};

}  // namespace

bool nodeMay(const std::string& node, const Attributes& attributes, const Lookup& lookup,
             const AnyPod& anyPod) {
  return NodeRules(node, attributes, lookup, anyPod).allow();
}

}  // namespace podlab::apiserver
