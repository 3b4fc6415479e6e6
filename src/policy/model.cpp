#include "policy/model.hpp"

#include <algorithm>
#include <utility>

#include "api/selectors.hpp"

namespace podlab::policy {
namespace {

/// A selector that validation would refuse selects nothing.
std::optional<api::LabelSelector> selectorOf(const metav1::LabelSelector& selector) {
  auto parsed = api::LabelSelector::of(selector);
  if (!parsed) return std::nullopt;
  return std::move(*parsed);
}

bool selects(const std::optional<api::LabelSelector>& selector, const api::Labels& labels) {
  return selector && selector->matches(labels);
}

bool contains(const std::optional<net::Cidr>& range, const net::IpAddress& address) {
  return range && range->family() == address.family() && range->contains(address);
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string what(Protocol protocol, std::uint16_t port) {
  std::string text(protocolName(protocol));
  return protocol == Protocol::kIcmp ? text : text + " " + std::to_string(port);
}

}  // namespace

struct Model::Peer {
  std::optional<net::Cidr> block;
  std::vector<std::optional<net::Cidr>> except;
  bool anyNamespace = false;  ///< of those that `namespaces` selects; else the policy's own
  std::optional<api::LabelSelector> namespaces;
  std::optional<api::LabelSelector> pods;
};

/// Rules of both directions look alike, but for the names of their peers.
struct Model::Rule {
  std::vector<networkingv1::NetworkPolicyPort> ports;
  std::vector<Peer> peers;

  template <typename Peers>
  Rule(const google::protobuf::RepeatedPtrField<networkingv1::NetworkPolicyPort>& somePorts,
       const Peers& somePeers)
      : ports(somePorts.begin(), somePorts.end()) {
    for (const networkingv1::NetworkPolicyPeer& peer : somePeers) {
      Peer& made = peers.emplace_back();
      made.block = cidrOf(peer.ipblock().cidr());
      for (const auto& except : peer.ipblock().except()) made.except.push_back(cidrOf(except));
      made.anyNamespace = peer.has_namespaceselector();
      made.namespaces = selectorOf(peer.namespaceselector());
      if (!peer.has_ipblock()) made.pods = selectorOf(peer.podselector());
    }
  }
};

struct Model::Policy {
  std::string key;
  std::string ns;
  std::optional<api::LabelSelector> pods;
  std::map<Direction, std::vector<Rule>> rules;  ///< only of the directions that it is about

  explicit Policy(const networkingv1::NetworkPolicy& policy)
      : key(api::keyOf(policy)),
        ns(policy.metadata().namespace_()),
        pods(selectorOf(policy.spec().podselector())) {
    if (concerns(policy, Direction::kIngress)) {
      auto& list = rules[Direction::kIngress];
      for (const auto& rule : policy.spec().ingress()) list.emplace_back(rule.ports(), rule.from());
    }
    if (concerns(policy, Direction::kEgress)) {
      auto& list = rules[Direction::kEgress];
      for (const auto& rule : policy.spec().egress()) list.emplace_back(rule.ports(), rule.to());
    }
  }
};

std::string Endpoint::toString() const {
  if (kind == Kind::kPod) return name;
  return kind == Kind::kNode ? "node " + name : address.toString();
}

Model::Model(std::vector<std::shared_ptr<const corev1::Pod>> pods,
             std::vector<std::shared_ptr<const corev1::Namespace>> namespaces,
             const std::vector<std::shared_ptr<const networkingv1::NetworkPolicy>>& policies) {
  for (auto& pod : pods) {
    const std::string key = api::keyOf(*pod);
    pods_[key] = std::move(pod);
  }
  for (auto& ns : namespaces) {
    const std::string name = ns->metadata().name();
    namespaces_[name] = std::move(ns);
  }
  for (const auto& policy : policies) policies_.push_back(std::make_shared<Policy>(*policy));
  std::ranges::sort(policies_, {}, [](const auto& policy) { return policy->key; });
  for (const auto& [key, pod] : pods_) {
    for (const auto& policy : policies_) {
      if (policy->ns != pod->metadata().namespace_()) continue;
      if (!selects(policy->pods, pod->metadata().labels())) continue;
      for (const auto& [direction, rules] : policy->rules) {
        isolating_[{pod.get(), direction}].push_back(policy.get());
      }
    }
  }
}

const corev1::Pod* Model::find(const Endpoint& endpoint) const {
  if (endpoint.kind != Endpoint::Kind::kPod) return nullptr;
  const auto found = pods_.find(endpoint.name);
  return found == pods_.end() || !isSelectable(*found->second) ? nullptr : found->second.get();
}

/// A pod on its node's network is the node.
Endpoint Model::resolve(const Endpoint& endpoint) const {
  if (endpoint.kind != Endpoint::Kind::kPod) return endpoint;
  const auto found = pods_.find(endpoint.name);
  if (found == pods_.end() || !found->second->spec().hostnetwork()) return endpoint;
  return Endpoint::node(found->second->spec().nodename(), endpoint.address);
}

Verdict Model::judge(const Endpoint& source, const Endpoint& target, Protocol protocol,
                     std::uint16_t port) const {
  return judgeResolved(resolve(source), resolve(target), protocol, port);
}

Verdict Model::judgeResolved(const Endpoint& from, const Endpoint& to, Protocol protocol,
                             std::uint16_t port) const {
  const corev1::Pod* source = find(from);
  const corev1::Pod* target = find(to);
  if (source != nullptr && source == target) return {true, "a pod always reaches itself"};
  const auto runsOn = [](const corev1::Pod* pod, const Endpoint& node) {
    return pod != nullptr && node.kind == Endpoint::Kind::kNode &&
           pod->spec().nodename() == node.name;
  };
  if (runsOn(source, to) || runsOn(target, from)) {
    return {true, "a pod and the node that it runs on always reach each other"};
  }
  Verdict verdict{true, "neither end is a pod that policies select"};
  if (source != nullptr) {
    verdict = judgeSide(Direction::kEgress, *source, from, to, to, protocol, port);
    if (!verdict.allowed) return verdict;
  }
  if (target != nullptr) {
    Verdict ingress = judgeSide(Direction::kIngress, *target, to, from, to, protocol, port);
    if (!ingress.allowed || ingress.direction || !verdict.direction) return ingress;
  }
  return verdict;
}

Verdict Model::judgeSide(Direction direction, const corev1::Pod& pod, const Endpoint& self,
                         const Endpoint& peer, const Endpoint& to, Protocol protocol,
                         std::uint16_t port) const {
  const std::string side = std::string(directionName(direction));
  std::vector<std::string> isolating;
  const auto found = isolating_.find({&pod, direction});
  if (found == isolating_.end()) {
    return {true, side + " of " + self.toString() + ": no policy isolates it"};
  }
  for (const Policy* policy : found->second) {
    isolating.push_back(policy->key);
    int index = -1;
    for (const Rule& rule : policy->rules.at(direction)) {
      ++index;
      const bool peerFits =
          rule.peers.empty() || std::ranges::any_of(rule.peers, [&](const Peer& one) {
            return admitsPeer(one, policy->ns, peer);
          });
      const bool portFits =
          rule.ports.empty() || std::ranges::any_of(rule.ports, [&](const auto& one) {
            return admitsPort(one, to, protocol, port);
          });
      if (!peerFits || !portFits) continue;
      return {true,
              side + " of " + self.toString() + ": spec." + side + "[" + std::to_string(index) +
                  "] of " + policy->key + " admits " + what(protocol, port),
              direction,
              {policy->key},
              index};
    }
  }
  const char* relation = direction == Direction::kIngress ? " from " : " to ";
  return {false,
          side + " of " + self.toString() + ": isolated by " + joined(isolating) +
              "; none of their rules admits " + what(protocol, port) + relation + peer.toString(),
          direction, std::move(isolating)};
}

bool Model::admitsPeer(const Peer& peer, const std::string& ns, const Endpoint& endpoint) const {
  if (peer.block) {
    return contains(peer.block, endpoint.address) &&
           std::ranges::none_of(
               peer.except, [&](const auto& except) { return contains(except, endpoint.address); });
  }
  const corev1::Pod* pod = find(endpoint);
  if (pod == nullptr || !selects(peer.pods, pod->metadata().labels())) return false;
  const std::string& podNs = pod->metadata().namespace_();
  if (!peer.anyNamespace) return podNs == ns;
  const auto found = namespaces_.find(podNs);
  return found != namespaces_.end() && selects(peer.namespaces, found->second->metadata().labels());
}

bool Model::admitsPort(const networkingv1::NetworkPolicyPort& wanted, const Endpoint& to,
                       Protocol protocol, std::uint16_t port) const {
  if (protocolOf(wanted.protocol()) != protocol) return false;
  if (!wanted.has_port()) return true;
  if (wanted.port().type() == 0) {
    const int last = wanted.has_endport() ? wanted.endport() : wanted.port().intval();
    return wanted.port().intval() <= port && port <= last;
  }
  // A name means what the target pod calls so.
  const corev1::Pod* pod = find(to);
  if (pod == nullptr) return false;
  return std::ranges::any_of(portsOf(*pod), [&](const corev1::ContainerPort* declared) {
    return declared->name() == wanted.port().strval() && declared->containerport() == port &&
           protocolOf(declared->protocol()) == protocol;
  });
}

}  // namespace podlab::policy
