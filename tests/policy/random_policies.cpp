#include "tests/policy/random_policies.hpp"

#include <iterator>

namespace podlab::policy {
namespace {

using networkingv1::NetworkPolicy;
using networkingv1::NetworkPolicyPeer;
using networkingv1::NetworkPolicyPort;

constexpr const char* kNamespaces[] = {"x", "y", "z"};
constexpr const char* kKeys[] = {"app", "tier"};
constexpr const char* kValues[] = {"a", "b", "c"};
constexpr const char* kPortNames[] = {"web", "dns"};

template <std::size_t N>
std::string anyOf(Rng& rng, const char* const (&all)[N]) {
  return all[rng.below(N)];
}

void fillSelector(Rng& rng, metav1::LabelSelector& selector) {
  if (rng.chance(0.25)) return;  // all
  if (rng.chance(0.5)) {
    (*selector.mutable_matchlabels())[anyOf(rng, kKeys)] = anyOf(rng, kValues);
    return;
  }
  auto& requirement = *selector.add_matchexpressions();
  requirement.set_key(anyOf(rng, kKeys));
  constexpr const char* kOperators[] = {"In", "NotIn", "Exists", "DoesNotExist"};
  requirement.set_operator_(anyOf(rng, kOperators));
  if (requirement.operator_().ends_with("In")) {
    requirement.add_values(anyOf(rng, kValues));
    if (rng.chance(0.5)) requirement.add_values(anyOf(rng, kValues));
  }
}

void fillBlock(Rng& rng, networkingv1::IPBlock& block, const ClusterShape& shape) {
  const bool v6 = !shape.v4 || (shape.v6 && rng.chance(0.5));
  const std::string node = std::to_string(1 + rng.below(shape.nodes));
  if (v6) {
    constexpr const char* kCidrs[] = {"::/0", "fd00:244::/48", "2001:db8::/32"};
    block.set_cidr(rng.chance(0.5) ? anyOf(rng, kCidrs) : "fd00:244:0:" + node + "::/64");
    if (rng.chance(0.5) && block.cidr() != "2001:db8::/32") {
      const bool whole = block.cidr() == "::/0" || block.cidr() == "fd00:244::/48";
      block.add_except(whole ? "fd00:244:0:" + node + "::/64" : "fd00:244:0:" + node + "::2/127");
    }
    return;
  }
  constexpr const char* kCidrs[] = {"0.0.0.0/0", "10.244.0.0/16", "192.0.2.0/24"};
  block.set_cidr(rng.chance(0.5) ? anyOf(rng, kCidrs) : "10.244." + node + ".0/24");
  if (rng.chance(0.5) && block.cidr() != "192.0.2.0/24") {
    const bool whole = block.cidr() == "0.0.0.0/0" || block.cidr() == "10.244.0.0/16";
    block.add_except(whole ? "10.244." + node + ".0/24" : "10.244." + node + ".2/31");
    if (rng.chance(0.3)) block.add_except("10.244." + node + ".5/32");
  }
}

void fillPeer(Rng& rng, NetworkPolicyPeer& peer, const ClusterShape& shape) {
  switch (rng.below(4)) {
    case 0:
      fillSelector(rng, *peer.mutable_podselector());
      return;
    case 1:
      fillSelector(rng, *peer.mutable_namespaceselector());
      return;
    case 2:
      fillSelector(rng, *peer.mutable_podselector());
      fillSelector(rng, *peer.mutable_namespaceselector());
      return;
    default:
      fillBlock(rng, *peer.mutable_ipblock(), shape);
  }
}

void fillPort(Rng& rng, NetworkPolicyPort& port) {
  constexpr const char* kNames[] = {"TCP", "UDP", "SCTP"};
  port.set_protocol(kNames[rng.below(rng.chance(0.2) ? 3 : 2)]);
  if (rng.chance(0.2)) return;  // all of the protocol's
  auto& value = *port.mutable_port();
  if (rng.chance(0.25)) {
    value.set_type(1);
    value.set_strval(anyOf(rng, kPortNames));
    return;
  }
  value.set_type(0);
  value.set_intval(kTestPorts[rng.below(std::size(kTestPorts) - 1)]);
  if (rng.chance(0.3)) port.set_endport(value.intval() + static_cast<int>(rng.below(400)));
}

template <typename Rules, typename PeersOf>
void fillRules(Rng& rng, Rules& rules, PeersOf peersOf, const ClusterShape& shape) {
  for (std::uint64_t n = rng.below(3); n > 0; --n) {
    auto& rule = *rules.Add();
    for (std::uint64_t i = rng.below(3); i > 0; --i) fillPeer(rng, *peersOf(rule)->Add(), shape);
    for (std::uint64_t i = rng.below(4); i > 0; --i) fillPort(rng, *rule.add_ports());
  }
}

void setLabels(Rng& rng, metav1::ObjectMeta& metadata) {
  for (const char* key : kKeys) {
    if (rng.chance(0.8)) (*metadata.mutable_labels())[key] = anyOf(rng, kValues);
  }
}

}  // namespace

std::vector<std::shared_ptr<const NetworkPolicy>> randomPolicies(Rng& rng,
                                                                 const ClusterShape& shape) {
  std::vector<std::shared_ptr<const NetworkPolicy>> policies;
  for (std::uint64_t n = 1 + rng.below(shape.policies); n > 0; --n) {
    auto policy = std::make_shared<NetworkPolicy>();
    policy->mutable_metadata()->set_namespace_(anyOf(rng, kNamespaces));
    policy->mutable_metadata()->set_name("policy-" + std::to_string(n));
    auto& spec = *policy->mutable_spec();
    fillSelector(rng, *spec.mutable_podselector());
    const auto types = rng.below(3);
    if (types != 1) {
      spec.add_policytypes("Ingress");
      fillRules(
          rng, *spec.mutable_ingress(), [](auto& rule) { return rule.mutable_from(); }, shape);
    }
    if (types != 0) {
      spec.add_policytypes("Egress");
      fillRules(rng, *spec.mutable_egress(), [](auto& rule) { return rule.mutable_to(); }, shape);
    }
    policies.push_back(std::move(policy));
  }
  return policies;
}

Cluster randomCluster(Rng& rng, const ClusterShape& shape) {
  Cluster cluster;
  for (const char* name : kNamespaces) {
    auto ns = std::make_shared<corev1::Namespace>();
    ns->mutable_metadata()->set_name(name);
    setLabels(rng, *ns->mutable_metadata());
    cluster.namespaces.push_back(std::move(ns));
  }
  for (std::size_t node = 1; node <= shape.nodes; ++node) {
    for (std::size_t i = 0; i < shape.podsPerNode; ++i) {
      const std::string n = std::to_string(node);
      auto pod = std::make_shared<corev1::Pod>();
      auto& metadata = *pod->mutable_metadata();
      metadata.set_name("pod-" + n + "-" + std::to_string(i));
      metadata.set_namespace_(anyOf(rng, kNamespaces));
      metadata.set_uid(metadata.name());
      setLabels(rng, metadata);
      pod->mutable_spec()->set_nodename("node" + n);
      auto& container = *pod->mutable_spec()->add_containers();
      for (const char* name : kPortNames) {
        if (rng.chance(0.3)) continue;
        auto& port = *container.add_ports();
        port.set_name(name);
        port.set_protocol(rng.chance(0.5) ? "TCP" : "UDP");
        port.set_containerport(kTestPorts[rng.below(std::size(kTestPorts) - 1)]);
      }
      const std::string host = std::to_string(i + 2);
      auto& status = *pod->mutable_status();
      status.set_phase("Running");
      if (shape.v4) status.add_podips()->set_ip("10.244." + n + "." + host);
      if (shape.v6) status.add_podips()->set_ip("fd00:244:0:" + n + "::" + host);
      cluster.pods.push_back(std::move(pod));
    }
  }
  cluster.policies = randomPolicies(rng, shape);
  return cluster;
}

}  // namespace podlab::policy
