#include "policy/rules.hpp"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <utility>

#include "policy/ip_blocks.hpp"
#include "policy/rules_base.hpp"

namespace podlab::policy {
namespace {

using net::Family;
using net::NftElement;
using net::NftRuleWriter;
using net::NftSet;
using net::NftType;
using net::PacketField;
using networkingv1::NetworkPolicy;
using networkingv1::NetworkPolicyPeer;
using networkingv1::NetworkPolicyPort;

/// Names follow from contents, so that the same contents are kept once, and stay when others
/// change.
std::string hashedName(std::string_view prefix, std::string_view content) {
  constexpr std::size_t kBytes = 12;  // nobody finds two texts for the same
  constexpr char kDigits[] = "0123456789abcdef";
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(content.data()), content.size(), digest.data());
  std::string name = std::string(prefix) + "-";
  for (std::size_t i = 0; i < kBytes; ++i) {
    name += kDigits[digest[i] >> 4];
    name += kDigits[digest[i] & 15];
  }
  return name;
}

/// Pods of namespaces, chosen by a peer that is no ipBlock.
struct PodPeer {
  std::optional<api::LabelSelector> namespaces;  ///< nullopt: the policy's own
  std::string ns;
  api::LabelSelector pods;

  std::string text() const {
    return (namespaces ? "n " + namespaces->toString() : "o " + ns) + "\np " + pods.toString();
  }
};

/// A form that a port of a rule takes.
struct PortForm {
  Protocol protocol = Protocol::kTcp;
  std::optional<std::pair<std::uint16_t, std::uint16_t>> range;
  std::string name;
};

/// A form that the peers of a rule take: all are asked, one after the other.
struct PeerForm {
  std::optional<Family> family;  ///< nullopt: any peer
  std::string set;
};

/// Rules of both directions look alike, but for the names of their peers.
struct Rule {
  std::vector<PodPeer> pods;
  std::vector<IpBlock> blocks;
  bool anyPeer = false;
  std::vector<PortForm> ports;  ///< none: any
};

PortForm portOf(const NetworkPolicyPort& port) {
  PortForm form;
  form.protocol = protocolOf(port.protocol());
  if (!port.has_port()) return form;
  if (port.port().type() != 0) {
    form.name = port.port().strval();
    return form;
  }
  const auto low = static_cast<std::uint16_t>(port.port().intval());
  form.range = {low, port.has_endport() ? static_cast<std::uint16_t>(port.endport()) : low};
  return form;
}

/// What validation would refuse selects nothing.
std::optional<IpBlock> blockOf(const networkingv1::IPBlock& block) {
  const auto range = cidrOf(block.cidr());
  if (!range) return std::nullopt;
  IpBlock made{*range, {}};
  for (const auto& text : block.except()) {
    if (const auto except = cidrOf(text)) made.except.push_back(*except);
  }
  return made;
}

std::optional<PodPeer> podPeerOf(const std::string& ns, const NetworkPolicyPeer& peer) {
  PodPeer made;
  made.ns = ns;
  auto pods = api::LabelSelector::of(peer.podselector());
  if (!pods) return std::nullopt;
  made.pods = std::move(*pods);
  if (peer.has_namespaceselector()) {
    auto namespaces = api::LabelSelector::of(peer.namespaceselector());
    if (!namespaces) return std::nullopt;
    made.namespaces = std::move(*namespaces);
  }
  return made;
}

template <typename Rules, typename PeersOf>
std::vector<Rule> rulesOf(const std::string& ns, const Rules& rules, PeersOf peersOf) {
  std::vector<Rule> all;
  for (const auto& rule : rules) {
    Rule& made = all.emplace_back();
    made.anyPeer = peersOf(rule).empty();
    for (const NetworkPolicyPeer& peer : peersOf(rule)) {
      if (peer.has_ipblock()) {
        if (auto block = blockOf(peer.ipblock())) made.blocks.push_back(std::move(*block));
      } else if (auto pods = podPeerOf(ns, peer)) {
        made.pods.push_back(std::move(*pods));
      }
    }
    for (const auto& port : rule.ports()) made.ports.push_back(portOf(port));
  }
  return all;
}

std::vector<Rule> rulesOf(const NetworkPolicy& policy, Direction direction) {
  const std::string& ns = policy.metadata().namespace_();
  if (direction == Direction::kIngress) {
    return rulesOf(ns, policy.spec().ingress(),
                   [](const auto& rule) -> const auto& { return rule.from(); });
  }
  return rulesOf(ns, policy.spec().egress(),
                 [](const auto& rule) -> const auto& { return rule.to(); });
}

/// Policies that are asked one after the other; more are found by their ports.
constexpr std::size_t kMostAskedInTurn = 4;

/// The keys (protocol, port) on which alone rules decide; none when some have no port, a range or a
/// name.
std::set<std::string> singlePorts(const std::vector<Rule>& rules) {
  std::set<std::string> keys;
  for (const Rule& rule : rules) {
    if (rule.ports.empty()) return {};
    for (const PortForm& port : rule.ports) {
      if (!port.range || port.range->first != port.range->second) return {};
      keys.insert(net::nftKey(static_cast<std::uint8_t>(port.protocol)) +
                  net::nftKey(port.range->first));
    }
  }
  return keys;
}

class Compiler {
 public:
  Compiler(const PodIndex& pods, const std::map<std::string, api::Labels>& namespaces)
      : pods_(pods), namespaces_(namespaces) {}

  std::optional<net::NftTable> compile(
      const std::vector<std::shared_ptr<const NetworkPolicy>>& policies) {
    std::map<std::string, const NetworkPolicy*> sorted;
    for (const auto& policy : policies) sorted[api::keyOf(*policy)] = policy.get();
    std::set<Family> families;
    for (const auto& [key, pods] : pods_.classes()) {
      for (const auto& [uid, pod] : pods.members) {
        if (!pod.local) continue;
        for (const auto& address : pod.addresses) families.insert(address.family());
      }
    }
    families_.assign(families.begin(), families.end());
    bool isolated = false;
    for (const Direction direction : {Direction::kEgress, Direction::kIngress}) {
      isolated = isolate(sorted, direction) || isolated;
    }
    if (!isolated) return std::nullopt;
    addBaseChains(table_, families_);
    for (auto& [name, set] : table_.sets) {
      std::ranges::sort(set.elements);
      const auto [first, last] = std::ranges::unique(set.elements, {}, &NftElement::key);
      set.elements.erase(first, last);
    }
    return std::move(table_);
  }

 private:
  /// The local pods that policies isolate in that direction get their profiles' chains.
  bool isolate(const std::map<std::string, const NetworkPolicy*>& policies, Direction direction) {
    std::map<const PodClass*, std::vector<std::string>> profiles;
    for (const auto& [key, policy] : policies) {
      if (!concerns(*policy, direction)) continue;
      const auto selector = api::LabelSelector::of(policy->spec().podselector());
      if (!selector) continue;
      bool used = false;
      for (const auto& [text, pods] : pods_.classes()) {
        if (pods.locals == 0 || pods.ns != policy->metadata().namespace_() ||
            !selector->matches(pods.labels)) {
          continue;
        }
        profiles[&pods].push_back(key);
        used = true;
      }
      if (used) addPolicy(key, *policy, direction);
    }
    for (const auto& [pods, names] : profiles) {
      const std::string chain = addProfile(names, direction);
      for (const auto& [uid, pod] : pods->members) {
        if (!pod.local) continue;
        for (const auto& address : pod.addresses) addIsolated(table_, direction, address, chain);
      }
    }
    return !profiles.empty();
  }

  static std::string policyChain(const std::string& key, Direction direction) {
    return hashedName(direction == Direction::kIngress ? "in" : "out", key);
  }

  std::string addProfile(const std::vector<std::string>& policies, Direction direction) {
    std::string all;
    for (const auto& key : policies) all += (all.empty() ? "" : ", ") + key;
    const std::string name =
        hashedName(direction == Direction::kIngress ? "in-pods" : "out-pods", all);
    const auto [chain, added] = table_.chains.try_emplace(name);
    if (!added) return name;
    auto& rules = *chain->second.rules;
    // Datagrams are often replies, and SYNs none of what always passes: but for fragments.
    rules.push_back(NftRuleWriter().isNotTcp().jump(kAlwaysChain).rule());
    std::vector<std::string> inTurn;
    std::map<std::string, std::vector<std::string>> byPort;
    for (const auto& key : policies) {
      const auto& ports = singlePorts_[policyChain(key, direction)];
      if (ports.empty()) inTurn.push_back(key);
      for (const auto& port : ports) byPort[port].push_back(key);
    }
    if (policies.size() - inTurn.size() > kMostAskedInTurn) {
      rules.push_back(NftRuleWriter().jump(portIndex(all, byPort, direction)).rule());
    } else {
      inTurn = policies;
    }
    addJumps(rules, inTurn, direction);
    rules.push_back(NftRuleWriter().jump(kAlwaysChain).rule());
    rules.push_back(NftRuleWriter().count().drop().rule("isolated by " + all));
    return name;
  }

  static void addJumps(std::vector<net::NftRule>& rules, const std::vector<std::string>& policies,
                       Direction direction) {
    for (const auto& key : policies) {
      rules.push_back(NftRuleWriter().jump(policyChain(key, direction)).rule(key));
    }
  }

  /// A chain that asks the policies that decide on the packet's port, whatever their number: it is
  /// jumped to, so that a packet that they do not accept comes back.
  std::string portIndex(const std::string& all,
                        const std::map<std::string, std::vector<std::string>>& byPort,
                        Direction direction) {
    const std::string prefix = direction == Direction::kIngress ? "in-" : "out-";
    const std::string name = hashedName(prefix + "ports", all);
    auto& elements = addSet(name, NftSet::Kind::kVerdicts, {NftType::kProtocol, NftType::kPort}, 8)
                         .first->elements;
    for (const auto& [port, policies] : byPort) {
      std::string names;
      for (const auto& key : policies) names += key + ", ";
      const std::string chain = policies.size() == 1 ? policyChain(policies.front(), direction)
                                                     : hashedName(prefix + "some", names);
      elements.push_back({port, chain});
      if (policies.size() == 1) continue;
      const auto [some, added] = table_.chains.try_emplace(chain);
      if (added) addJumps(*some->second.rules, policies, direction);
    }
    NftRuleWriter writer;
    writer.loadProtocol(0).load(PacketField::destinationPort(), 1).followVerdict(name);
    table_.chains[name].rules->push_back(writer.rule());
    return name;
  }

  void addPolicy(const std::string& key, const NetworkPolicy& policy, Direction direction) {
    std::vector<net::NftRule> rules;
    const auto decided = rulesOf(policy, direction);
    singlePorts_[policyChain(key, direction)] = singlePorts(decided);
    int index = 0;
    for (const Rule& rule : decided) {
      const std::string comment =
          key + " " + std::string(directionName(direction)) + "[" + std::to_string(index++) + "]";
      const auto peers = peerForms(rule);
      if (rule.ports.size() > 1 && peers.size() > 1) {
        const std::string ports = portsChain(rule, policy.metadata().namespace_(), direction);
        for (const PeerForm& peer : peers) {
          NftRuleWriter writer;
          writePeer(writer, peer, direction);
          rules.push_back(writer.jump(ports).rule(comment));
        }
        continue;
      }
      for (const PeerForm& peer : peers) {
        addAccepts(rules, rule, peer, policy.metadata().namespace_(), direction, comment);
      }
    }
    table_.chains[policyChain(key, direction)].rules = std::move(rules);
  }

  /// Rules that accept the rule's ports from (or to) one form of its peers.
  void addAccepts(std::vector<net::NftRule>& rules, const Rule& rule, const PeerForm& peer,
                  const std::string& ns, Direction direction, const std::string& comment) {
    if (rule.ports.empty()) {
      NftRuleWriter writer;
      writePeer(writer, peer, direction);
      rules.push_back(admit(writer, direction).rule(comment));
    }
    for (const PortForm& port : rule.ports) {
      for (const Family family : families_) {
        if (!port.name.empty() && peer.family.value_or(family) != family) continue;
        NftRuleWriter writer;
        writer.isProtocol(static_cast<std::uint8_t>(port.protocol));
        if (port.range) writer.isPort(port.range->first, port.range->second);
        if (!port.name.empty()) writeNamedPort(writer, port, family, ns, direction);
        writePeer(writer, peer, direction);
        rules.push_back(admit(writer, direction).rule(comment));
        if (port.name.empty()) break;  // of both families
      }
    }
  }

  std::string portsChain(const Rule& rule, const std::string& ns, Direction direction) {
    std::vector<net::NftRule> rules;
    addAccepts(rules, rule, {}, ns, direction, "");
    std::string content;
    for (const auto& one : rules) content += one.expressions;
    const std::string name = hashedName("ports", content);
    table_.chains[name].rules = std::move(rules);
    return name;
  }

  /// What egress accepts goes on to ingress, the next base chain.
  static NftRuleWriter& admit(NftRuleWriter& writer, Direction direction) {
    return direction == Direction::kEgress ? writer.accept() : writer.goTo(kAcceptedChain);
  }

  static void writePeer(NftRuleWriter& writer, const PeerForm& peer, Direction direction) {
    if (!peer.family) return;
    writer.isFamily(*peer.family)
        .load(direction == Direction::kIngress ? PacketField::source(*peer.family)
                                               : PacketField::destination(*peer.family))
        .isIn(peer.set);
  }

  void writeNamedPort(NftRuleWriter& writer, const PortForm& port, Family family,
                      const std::string& ns, Direction direction) {
    const unsigned words = family == Family::kV4 ? 1 : 4;
    writer.isFamily(family)
        .load(PacketField::destination(family))
        .loadProtocol(words)
        .load(PacketField::destinationPort(), words + 1)
        .isIn(namedPortSet(port, family, ns, direction));
  }

  std::vector<PeerForm> peerForms(const Rule& rule) {
    std::vector<PeerForm> forms;
    if (rule.anyPeer) return {PeerForm()};
    for (const Family family : families_) {
      if (!rule.pods.empty()) forms.push_back({family, podSet(rule.pods, family)});
      if (auto ranges = unionOf(rule.blocks, family); !ranges.empty()) {
        forms.push_back({family, blockSet(ranges, family)});
      }
    }
    return forms;
  }

  bool selects(const PodPeer& peer, const PodClass& pods) const {
    if (peer.namespaces) {
      const auto found = namespaces_.find(pods.ns);
      if (found == namespaces_.end() || !peer.namespaces->matches(found->second)) return false;
    } else if (pods.ns != peer.ns) {
      return false;
    }
    return peer.pods.matches(pods.labels);
  }

  /// The set of that name, and whether it is new.
  std::pair<NftSet*, bool> addSet(const std::string& name, NftSet::Kind kind,
                                  std::initializer_list<NftType> parts, std::size_t keyLength) {
    const auto [set, added] = table_.sets.try_emplace(name);
    set->second.kind = kind;
    set->second.keyType = net::nftKeyType(parts);
    set->second.keyLength = static_cast<std::uint32_t>(keyLength);
    return {&set->second, added};
  }

  std::string podSet(const std::vector<PodPeer>& peers, Family family) {
    std::set<std::string> texts;
    for (const PodPeer& peer : peers) texts.insert(peer.text());
    std::string content;
    for (const auto& text : texts) content += text + "\n";
    const std::string name = hashedName("pods" + familyName(family), content);
    const auto [set, added] =
        addSet(name, NftSet::Kind::kKeys, {addressType(family)}, addressLength(family));
    if (!added) return name;
    for (const auto& [key, pods] : pods_.classes()) {
      if (std::ranges::none_of(peers, [&](const auto& peer) { return selects(peer, pods); })) {
        continue;
      }
      for (const auto& [uid, pod] : pods.members) {
        for (const auto& address : pod.addresses) {
          if (address.family() == family) set->elements.push_back({net::nftKey(address)});
        }
      }
    }
    return name;
  }

  /// A set of intervals never changes: other ranges have another name.
  std::string blockSet(const std::vector<AddressRange>& ranges, Family family) {
    std::string content;
    for (const auto& range : ranges) {
      content += range.first.toString() + "-" + range.last.toString() + "\n";
    }
    const std::string name = hashedName("blocks" + familyName(family), content);
    const auto [set, added] =
        addSet(name, NftSet::Kind::kIntervals, {addressType(family)}, addressLength(family));
    if (!added) return name;
    for (const auto& range : ranges) {
      set->elements.push_back({net::nftKey(range.first)});
      const net::IpAddress behind = range.last.plus(1);
      // The last of all addresses has none behind it: the interval stays open.
      if (range.last < behind) set->elements.push_back({net::nftKey(behind), "", true});
    }
    return name;
  }

  /// Where pods have that port: of ingress the policy's, which are local, of egress all.
  std::string namedPortSet(const PortForm& port, Family family, const std::string& ns,
                           Direction direction) {
    const bool local = direction == Direction::kIngress;
    const std::string content = (local ? "l " + ns : std::string("all")) + "\n" + port.name + ":" +
                                std::string(protocolName(port.protocol));
    const std::string name = hashedName("named" + familyName(family), content);
    const auto [set, added] =
        addSet(name, NftSet::Kind::kKeys, {addressType(family), NftType::kProtocol, NftType::kPort},
               addressLength(family) + 8);
    if (!added) return name;
    for (const auto& [key, pods] : pods_.classes()) {
      if (local && (pods.locals == 0 || pods.ns != ns)) continue;
      for (const NamedPort& declared : pods.ports) {
        if (declared.name != port.name || declared.protocol != port.protocol) continue;
        for (const auto& [uid, pod] : pods.members) {
          if (local && !pod.local) continue;
          for (const auto& address : pod.addresses) {
            if (address.family() != family) continue;
            set->elements.push_back({net::nftKey(address) +
                                     net::nftKey(static_cast<std::uint8_t>(declared.protocol)) +
                                     net::nftKey(declared.number)});
          }
        }
      }
    }
    return name;
  }

  const PodIndex& pods_;
  const std::map<std::string, api::Labels>& namespaces_;
  std::vector<Family> families_;
  std::map<std::string, std::set<std::string>> singlePorts_;  ///< by the chains of policies
  net::NftTable table_;
};

}  // namespace

std::optional<net::NftTable> nodeTable(
    const PodIndex& pods, const std::map<std::string, api::Labels>& namespaces,
    const std::vector<std::shared_ptr<const NetworkPolicy>>& policies) {
  return Compiler(pods, namespaces).compile(policies);
}

}  // namespace podlab::policy
