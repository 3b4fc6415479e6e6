#include <set>

#include "api/conditions.hpp"
#include "api/kinds/rows.hpp"
#include "api/kinds/rules.hpp"
#include "api/names.hpp"

namespace podlab::api {
namespace {

using corev1::Node;

void applyDefaults(Node& object) {
  corev1::NodeSpec& spec = *object.mutable_spec();
  // podCIDR is podCIDRs[0] in another place.
  if (spec.podcidrs().empty() && !spec.podcidr().empty()) spec.add_podcidrs(spec.podcidr());
  if (spec.podcidr().empty() && !spec.podcidrs().empty()) spec.set_podcidr(spec.podcidrs(0));
  if (!object.has_status()) return;
  corev1::NodeStatus& status = *object.mutable_status();
  canonicalize(*status.mutable_capacity());
  if (status.allocatable().empty()) *status.mutable_allocatable() = status.capacity();
  canonicalize(*status.mutable_allocatable());
}

void validateTaints(const Node& object, FieldErrors& errors) {
  std::set<std::pair<std::string, std::string>> seen;
  forEach(object.spec().taints(), FieldPath("spec.taints"),
          [&](const corev1::Taint& taint, const FieldPath& path) {
            errors.invalidEach(path.child("key"), taint.key(), faultsOfQualifiedName(taint.key()));
            errors.invalidEach(path.child("value"), taint.value(),
                               faultsOfLabelValue(taint.value()));
            validateTaintEffect(taint.effect(), path.child("effect"), errors);
            if (!seen.emplace(taint.key(), taint.effect()).second) {
              errors.duplicate(path, taint.key() + ":" + taint.effect());
            }
          });
}

void validateRanges(const Node& object, FieldErrors& errors) {
  const FieldPath path("spec.podCIDRs");
  std::vector<int> families;
  std::string all;
  forEach(object.spec().podcidrs(), path, [&](const std::string& range, const FieldPath& at) {
    const int family = cidrFamily(range);
    if (family == 0) {
      errors.invalid(at, range, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
    }
    families.push_back(family);
    all += (all.empty() ? "" : ",") + range;
  });
  validateFamilies(families, all, "CIDR", path, errors);
  if (!object.spec().podcidrs().empty() && object.spec().podcidrs(0) != object.spec().podcidr()) {
    errors.invalid(path.index(0), object.spec().podcidrs(0), "must be equal to `podCIDR`");
  }
}

void validateStatus(const Node& object, FieldErrors& errors) {
  const FieldPath path("status");
  const auto resources = [&](const ResourceMap& amounts, const FieldPath& at) {
    for (const std::string& name : sortedKeys(amounts)) {
      errors.invalidEach(at.key(name), name, faultsOfQualifiedName(name));
      validateQuantity(name, amounts.at(name), at.key(name), errors);
    }
  };
  resources(object.status().capacity(), path.child("capacity"));
  resources(object.status().allocatable(), path.child("allocatable"));
  std::set<std::pair<std::string, std::string>> seen;
  forEach(object.status().addresses(), path.child("addresses"),
          [&](const corev1::NodeAddress& address, const FieldPath& at) {
            if (!seen.emplace(address.type(), address.address()).second) {
              errors.duplicate(at, address.address());
            }
          });
}

std::vector<Cause> validate(const Node& object) {
  FieldErrors errors;
  validateTaints(object, errors);
  validateRanges(object, errors);
  validateStatus(object, errors);
  return errors.take();
}

std::vector<Cause> validateUpdate(const Node& now, const Node& before) {
  FieldErrors errors;
  const FieldPath spec("spec");
  if (!before.spec().podcidrs().empty() &&
      !std::ranges::equal(now.spec().podcidrs(), before.spec().podcidrs())) {
    errors.forbidden(spec.child("podCIDRs"),
                     "node updates may not change podCIDR except from \"\" to valid");
  }
  if (!before.spec().providerid().empty() &&
      now.spec().providerid() != before.spec().providerid()) {
    errors.forbidden(spec.child("providerID"),
                     "node updates may not change providerID except from \"\" to valid");
  }
  if (now.spec().externalid() != before.spec().externalid()) {
    errors.forbidden(spec.child("externalID"), "may not be updated");
  }
  return errors.take();
}

std::vector<Cause> validateStatusUpdate(const Node& now, const Node&) {
  FieldErrors errors;
  validateStatus(now, errors);
  return errors.take();
}

std::string statusCell(const Node& node) {
  const auto* ready = findCondition(node.status(), "Ready");
  std::string text = ready == nullptr            ? "Unknown"
                     : ready->status() == "True" ? "Ready"
                                                 : "NotReady";
  return node.spec().unschedulable() ? text + ",SchedulingDisabled" : text;
}

std::string rolesCell(const Node& node) {
  constexpr std::string_view kPrefix = "node-role.kubernetes.io/";
  std::set<std::string> roles;
  for (const auto& [key, value] : node.metadata().labels()) {
    if (key.starts_with(kPrefix)) {
      roles.insert(key.substr(kPrefix.size()));
    } else if (key == "kubernetes.io/role") {
      roles.insert(value);
    }
  }
  std::string text;
  for (const std::string& role : roles) {
    if (role.empty()) continue;
    text += (text.empty() ? "" : ",") + role;
  }
  return text.empty() ? "<none>" : text;
}

auto addressCell(std::string_view type) {
  return [type](const Node& node) -> std::string {
    for (const corev1::NodeAddress& address : node.status().addresses()) {
      if (address.type() == type) return address.address();
    }
    return "<none>";
  };
}

auto infoCell(const std::string& (corev1::NodeSystemInfo::*get)() const) {
  return [get](const Node& node) -> std::string {
    const std::string& value = (node.status().nodeinfo().*get)();
    return value.empty() ? "<unknown>" : value;
  };
}

}  // namespace

Kind nodeKind() {
  using Info = corev1::NodeSystemInfo;
  const auto unschedulable = [](const Node& node) {
    return std::string(node.spec().unschedulable() ? "true" : "false");
  };
  return {
      .group = "",
      .version = "v1",
      .kind = "Node",
      .plural = "nodes",
      .singular = "node",
      .shortNames = {"no"},
      .categories = {},
      .scope = Scope::kCluster,
      .prototype = &Node::default_instance(),
      .columns = {nameColumn(), column<Node>("Status", 0, statusCell),
                  column<Node>("Roles", 0, rolesCell), ageColumn(),
                  column<Node>(
                      "Version", 0,
                      [](const Node& node) { return node.status().nodeinfo().kubeletversion(); }),
                  column<Node>("Internal-IP", 1, addressCell("InternalIP")),
                  column<Node>("External-IP", 1, addressCell("ExternalIP")),
                  column<Node>("OS-Image", 1, infoCell(&Info::osimage)),
                  column<Node>("Kernel-Version", 1, infoCell(&Info::kernelversion)),
                  column<Node>("Container-Runtime", 1, infoCell(&Info::containerruntimeversion))},
      .strategy = {.hasStatus = true,
                   .applyDefaults = writes<Node>(applyDefaults),
                   .validate = reads<Node>(validate),
                   .validateUpdate = compares<Node>(validateUpdate),
                   .validateStatusUpdate = compares<Node>(validateStatusUpdate),
                   .fieldLabels = {{"spec.unschedulable", reads<Node>(unschedulable)}}},
  };
}

}  // namespace podlab::api
