#include "networking_v1.pb.h"

#include "api/kinds/pod_template.hpp"
#include "api/kinds/rules.hpp"
#include "api/names.hpp"

namespace podlab::api {
namespace {

using networkingv1::NetworkPolicy;
using networkingv1::NetworkPolicyPeer;
using networkingv1::NetworkPolicyPort;

template <typename Rules>
void applyPortDefaults(Rules& rules) {
  for (auto& rule : rules) {
    for (auto& port : *rule.mutable_ports()) {
      if (!port.has_protocol()) port.set_protocol("TCP");
    }
  }
}

void applyDefaults(NetworkPolicy& policy) {
  auto& spec = *policy.mutable_spec();
  spec.mutable_podselector();
  if (spec.policytypes().empty()) {
    spec.add_policytypes("Ingress");
    if (!spec.egress().empty()) spec.add_policytypes("Egress");
  }
  applyPortDefaults(*spec.mutable_ingress());
  applyPortDefaults(*spec.mutable_egress());
}

void validateSelector(const metav1::LabelSelector& selector, const FieldPath& at,
                      FieldErrors& errors) {
  if (auto parsed = LabelSelector::of(selector); !parsed)
    errors.invalid(at, "", parsed.status().message());
}

void validatePort(const NetworkPolicyPort& port, const FieldPath& at, FieldErrors& errors) {
  constexpr std::string_view kProtocols[] = {"SCTP", "TCP", "UDP"};
  errors.oneOf(at.child("protocol"), port.protocol(), kProtocols);
  if (port.has_port()) {
    if (port.port().type() == 1) {
      errors.invalidEach(at.child("port"), port.port().strval(),
                         faultsOfPortName(port.port().strval()));
      if (port.has_endport()) {
        errors.invalid(at.child("endPort"), port.endport(),
                       "may not be specified when `port` is non-numeric");
      }
    } else {
      if (auto faults = faultsOfPortNumber(port.port().intval()); !faults.empty())
        errors.invalid(at.child("port"), port.port().intval(), faults[0]);
      if (port.has_endport() && port.endport() < port.port().intval())
        errors.invalid(at.child("endPort"), port.endport(),
                       "must be greater than or equal to `port`");
    }
  } else if (port.has_endport()) {
    errors.invalid(at.child("endPort"), port.endport(),
                   "may not be specified when `port` is not specified");
  }
  if (auto faults = faultsOfPortNumber(port.endport()); port.has_endport() && !faults.empty())
    errors.invalid(at.child("endPort"), port.endport(), faults[0]);
}

void validateIpBlock(const networkingv1::IPBlock& block, const FieldPath& at, FieldErrors& errors) {
  const FieldPath cidr = at.child("cidr");
  if (block.cidr().empty()) {
    errors.required(cidr);
    return;
  }
  const int family = cidrFamily(block.cidr());
  if (family == 0)
    errors.invalid(cidr, block.cidr(), "must be a valid CIDR value, (e.g. 10.9.8.0/24)");
  forEach(block.except(), at.child("except"), [&](const std::string& each, const FieldPath& where) {
    const int other = cidrFamily(each);
    if (other == 0) {
      errors.invalid(where, each, "must be a valid CIDR value, (e.g. 10.9.8.0/24)");
    } else if (family != 0 && !isStrictSubset(each, block.cidr())) {
      errors.invalid(where, each, "must be a strict subset of `cidr`");
    }
  });
}

void validatePeer(const NetworkPolicyPeer& peer, const FieldPath& at, FieldErrors& errors) {
  if (peer.has_podselector()) validateSelector(peer.podselector(), at.child("podSelector"), errors);
  if (peer.has_namespaceselector())
    validateSelector(peer.namespaceselector(), at.child("namespaceSelector"), errors);
  if (peer.has_ipblock()) {
    validateIpBlock(peer.ipblock(), at.child("ipBlock"), errors);
    if (peer.has_podselector() || peer.has_namespaceselector())
      errors.forbidden(at, "may not specify both ipBlock and another peer");
  } else if (!peer.has_podselector() && !peer.has_namespaceselector()) {
    errors.required(at, "must specify a peer");
  }
}

template <typename Rules>
void validateRules(const Rules& rules, const FieldPath& path, std::string_view peers, auto peersOf,
                   FieldErrors& errors) {
  forEach(rules, path, [&](const auto& rule, const FieldPath& at) {
    forEach(rule.ports(), at.child("ports"),
            [&](const auto& port, const FieldPath& where) { validatePort(port, where, errors); });
    forEach(peersOf(rule), at.child(peers),
            [&](const auto& peer, const FieldPath& where) { validatePeer(peer, where, errors); });
  });
}

std::vector<Cause> validate(const NetworkPolicy& policy) {
  constexpr std::string_view kTypes[] = {"Egress", "Ingress"};
  FieldErrors errors;
  const auto& spec = policy.spec();
  const FieldPath path("spec");
  validateSelector(spec.podselector(), path.child("podSelector"), errors);
  validateRules(
      spec.ingress(), path.child("ingress"), "from",
      [](const auto& rule) -> const auto& { return rule.from(); }, errors);
  validateRules(
      spec.egress(), path.child("egress"), "to",
      [](const auto& rule) -> const auto& { return rule.to(); }, errors);
  if (spec.policytypes_size() > 2) {
    errors.invalid(path.child("policyTypes"), spec.policytypes_size(),
                   "may not specify more than two policyTypes");
  } else {
    forEach(spec.policytypes(), path.child("policyTypes"),
            [&](const std::string& type, const FieldPath& at) { errors.oneOf(at, type, kTypes); });
  }
  return errors.take();
}

}  // namespace

Kind networkPolicyKind() {
  return {
      .group = "networking.k8s.io",
      .version = "v1",
      .kind = "NetworkPolicy",
      .plural = "networkpolicies",
      .singular = "networkpolicy",
      .shortNames = {"netpol"},
      .categories = {},
      .scope = Scope::kNamespaced,
      .prototype = &NetworkPolicy::default_instance(),
      .columns = {nameColumn(),
                  column<NetworkPolicy>("Pod-Selector", 0,
                                        [](const NetworkPolicy& policy) {
                                          return selectorCell(policy.spec().podselector());
                                        }),
                  ageColumn()},
      .strategy = {.hasGeneration = true,
                   .applyDefaults = writes<NetworkPolicy>(applyDefaults),
                   .validate = reads<NetworkPolicy>(validate)},
  };
}

}  // namespace podlab::api
