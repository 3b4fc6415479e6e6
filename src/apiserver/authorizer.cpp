#include "apiserver/authorizer.hpp"

#include <algorithm>

#include "api/persistent_volumes.hpp"
#include "api/pod_references.hpp"
#include "api/selectors.hpp"
#include "api/status_conversion.hpp"

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

Status denial(const User& user, const Attributes& attributes) {
  const api::ResourceId& id = attributes.id;
  std::string resource(id.kind->plural);
  if (!id.subresource.empty()) resource += "/" + id.subresource;
  std::string why = "User \"" + user.name + "\" cannot " + std::string(attributes.verb) +
                    " resource \"" + resource + "\" in API group \"" + std::string(id.kind->group) +
                    "\"";
  why += id.ns.empty() ? " at the cluster scope" : " in the namespace \"" + id.ns + "\"";
  if (id.name.empty()) {
    return {Code::kForbidden, id.kind->resource() + " is forbidden: " + why};
  }
  return api::forbidden(*id.kind, id.name, why);
}

}  // namespace

Status authorize(const User& user, const Attributes& attributes, const Lookup& lookup,
                 const AnyPod& anyPod) {
  if (user.isIn(kMasters)) return {};
  const std::string node = user.nodeName();
  if (!node.empty() && NodeRules(node, attributes, lookup, anyPod).allow()) return {};
  return denial(user, attributes);
}

}  // namespace podlab::apiserver
