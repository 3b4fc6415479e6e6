#include "apiserver/authorizer.hpp"

#include <algorithm>

#include "api/selectors.hpp"
#include "api/status_conversion.hpp"

namespace podlab::apiserver {
namespace {

std::string keyOf(const std::string& ns, const std::string& name) {
  return ns.empty() ? name : ns + "/" + name;
}

/// In the words of Kubernetes (apiserver/pkg/endpoints/handlers/responsewriters).
Status denial(const User& user, const Access& access) {
  const std::string who = "User \"" + user.name + "\" cannot " + std::string(access.verb);
  if (!access.path.empty())
    return {Code::kForbidden, "forbidden: " + who + " path \"" + std::string(access.path) + "\""};
  const std::string group(access.group);
  std::string resource(access.resource);
  std::string what = group.empty() ? resource : resource + "." + group;
  if (!access.name.empty()) what += " \"" + std::string(access.name) + "\"";
  if (!access.subresource.empty()) resource += "/" + std::string(access.subresource);
  std::string why = who + " resource \"" + resource + "\" in API group \"" + group + "\"";
  why += access.ns.empty() ? " at the cluster scope"
                           : " in the namespace \"" + std::string(access.ns) + "\"";
  return {Code::kForbidden, what + " is forbidden: " + why};
}

/// The name that a list or watch selects.
std::string selectedName(const Attributes& attributes) {
  if (attributes.fieldSelector.empty()) return "";
  const auto selector = api::FieldSelector::parse(*attributes.id.kind, attributes.fieldSelector);
  const std::string* name = selector ? selector->requiredValue("metadata.name") : nullptr;
  return name == nullptr ? "" : *name;
}

}  // namespace

Status Authorizer::check(const User& user, const Attributes& attributes) const {
  if (user.isIn(kMasters)) return {};
  if (nodeIsAllowed(user, attributes)) return {};
  const api::ResourceId& id = attributes.id;
  Access access{
      attributes.verb, id.kind->group, id.kind->plural, id.subresource, id.ns, id.name, ""};
  const std::string selected = selectedName(attributes);
  if (!selected.empty()) access.name = selected;
  // What is to be made has no name yet.
  if (attributes.verb == "create" && id.subresource.empty()) access.name = "";
  // A Namespace is in itself.
  if (id.kind == &api::kindFor<corev1::Namespace>()) access.ns = access.name;
  return check(user, access);
}

Status Authorizer::check(const User& user, const Access& access) const {
  if (user.isIn(kMasters) || rbac_.allows(user, access)) return {};
  return denial(user, access);
}

Status Authorizer::checkPath(const User& user, std::string_view verb, std::string_view path) const {
  return check(user, Access{.verb = verb, .path = path});
}

std::optional<std::string> Authorizer::reasonToAllow(const User& user, const Access& access) const {
  if (user.isIn(kMasters)) return "";
  const api::Kind* kind =
      access.path.empty() ? api::findResource(access.group, access.resource) : nullptr;
  if (kind != nullptr) {
    const api::DeleteOptions deletion;
    Attributes attributes{access.verb, {}, "", &deletion, nullptr};
    attributes.id = {kind, std::string(access.ns), std::string(access.name),
                     std::string(access.subresource)};
    if (nodeIsAllowed(user, attributes)) return "";
  }
  return rbac_.reasonToAllow(user, access);
}

bool Authorizer::nodeIsAllowed(const User& user, const Attributes& attributes) const {
  const std::string name = user.nodeName();
  if (name.empty() || !attributes.id.kind->verbs.empty()) return false;
  const Lookup lookup = [this](const api::Kind& kind, const std::string& ns,
                               const std::string& object) {
    return cache_.of(kind).get(keyOf(ns, object));
  };
  const AnyPod anyPod = [this](const std::string& node, const auto& isSuch) {
    Filter bound;
    bound.nodeName = node;
    bound.matches = [&node](const google::protobuf::Message& pod) {
      return static_cast<const corev1::Pod&>(pod).spec().nodename() == node;
    };
    bool found = false;
    cache_.of(api::kindFor<corev1::Pod>())
        .forEach(bound, [&](const std::string&, const api::ObjectPtr& pod) {
          found = isSuch(api::as<corev1::Pod>(pod));
          return !found;
        });
    return found;
  };
  return nodeMay(name, attributes, lookup, anyPod);
}

}  // namespace podlab::apiserver
