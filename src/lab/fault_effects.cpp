#include "lab/fault_effects.hpp"

#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <cmath>

namespace podlab::lab {
namespace {

const std::string kServer(kServerMember);

// NF_BR_* of linux/netfilter_bridge.h, which does not go with netinet/in.h.
constexpr std::uint32_t kLocalIn = 1;
constexpr std::uint32_t kForward = 2;
constexpr std::uint32_t kLocalOut = 3;

// ICMPv6: router and neighbour solicitation and advertisement, redirect (RFC 4861).
constexpr std::uint8_t kFirstDiscovery = 133;
constexpr std::uint8_t kLastDiscovery = 137;
constexpr net::PacketField kIcmpType{net::PacketField::Header::kTransport, 0, 1};

std::set<std::string> everybodyBut(const std::set<std::string>& group, const NodeLabels& nodes) {
  std::set<std::string> others{kServer};
  for (const auto& [name, labels] : nodes) others.insert(name);
  for (const auto& name : group) others.erase(name);
  return others;
}

void addLosses(const std::string& id, const Fault& fault, const NodeLabels& nodes,
               std::vector<FaultEffects::Loss>& losses) {
  auto groups = fault.groups;
  if (groups.size() == 1) groups.push_back(everybodyBut(groups.front(), nodes));
  for (std::size_t from = 0; from < groups.size(); ++from) {
    for (std::size_t to = 0; to < groups.size(); ++to) {
      if (from == to || (fault.oneWay && from > to)) continue;
      losses.push_back({id, groups[from], groups[to], fault.loss});
    }
  }
}

/// The set of the ports of a group; false when there is none of them.
bool addPorts(net::NftTable& table, const std::string& name, const std::set<std::string>& group,
              const std::map<std::string, std::string>& ports) {
  net::NftSet set;
  set.keyType = net::nftKeyType({net::NftType::kLinkName});
  set.keyLength = IFNAMSIZ;
  for (const auto& member : group) {
    const auto port = ports.find(member);
    if (port != ports.end()) set.elements.push_back({net::nftKey(net::LinkName{port->second})});
  }
  if (set.elements.empty()) return false;
  std::ranges::sort(set.elements);
  table.sets[name] = std::move(set);
  return true;
}

net::NftChain baseChain(std::uint32_t hook) {
  net::NftChain chain;
  chain.hook = {hook, 0};
  chain.rules->push_back(net::NftRuleWriter().isEtherType(ETHERTYPE_ARP).accept().rule());
  chain.rules->push_back(net::NftRuleWriter()
                             .isProtocol(IPPROTO_ICMPV6)
                             .isByte(kIcmpType, kFirstDiscovery, kLastDiscovery)
                             .accept()
                             .rule());
  return chain;
}

}  // namespace

FaultEffects effectsOf(const std::map<std::string, Fault>& faultsById, const NodeLabels& nodes) {
  FaultEffects effects;
  for (const auto& [id, fault] : faultsById) {
    if (fault.kind == FaultKind::kPartition || fault.kind == FaultKind::kLoss) {
      addLosses(id, fault, nodes, effects.losses);
      continue;
    }
    for (const auto& node : fault.groups.front()) {
      switch (fault.kind) {
        case FaultKind::kDelay: {
          auto& link = effects.links[node];
          if (fault.delay <= link.delay) break;
          link.delay = fault.delay;
          link.jitter = fault.jitter;
          break;
        }
        case FaultKind::kRate: {
          auto& rate = effects.links[node].bitsPerSecond;
          rate = rate == 0 ? fault.bitsPerSecond : std::min(rate, fault.bitsPerSecond);
          break;
        }
        case FaultKind::kLinkDown:
          effects.links[node].down = true;
          break;
        case FaultKind::kNodeKill:
          effects.dead.insert(node);
          break;
        case FaultKind::kNodeFreeze:
          effects.frozen.insert(node);
          break;
        case FaultKind::kPartition:
        case FaultKind::kLoss:
        case FaultKind::kAgentKill:
          break;
      }
    }
  }
  for (const auto& node : effects.dead) effects.frozen.erase(node);
  return effects;
}

std::optional<net::NftTable> switchTable(const std::vector<FaultEffects::Loss>& losses,
                                         const std::map<std::string, std::string>& ports) {
  net::NftTable table;
  table.family = net::NftFamily::kBridge;
  net::NftChain between = baseChain(kForward);
  net::NftChain toServer = baseChain(kLocalIn);
  net::NftChain fromServer = baseChain(kLocalOut);
  int number = 0;
  for (const auto& loss : losses) {
    const std::string name = loss.fault + "-" + std::to_string(++number);
    const bool from = addPorts(table, name + "-from", loss.from, ports);
    const bool to = addPorts(table, name + "-to", loss.to, ports);
    const auto comment = "podlab fault " + loss.fault;
    const auto finish = [&](net::NftRuleWriter& rule, net::NftChain& chain) {
      if (loss.share < 1)
        rule.isChosen(
            static_cast<std::uint32_t>(std::lround(loss.share * net::NftRuleWriter::kChances)));
      chain.rules->push_back(rule.count().drop().rule(comment));
    };
    if (from && to) {
      net::NftRuleWriter rule;
      rule.loadLinkName(net::LinkSide::kIn).isIn(name + "-from");
      rule.loadLinkName(net::LinkSide::kOut).isIn(name + "-to");
      finish(rule, between);
    }
    if (from && loss.to.contains(kServer)) {
      net::NftRuleWriter rule;
      rule.loadLinkName(net::LinkSide::kIn).isIn(name + "-from");
      finish(rule, toServer);
    }
    if (to && loss.from.contains(kServer)) {
      net::NftRuleWriter rule;
      rule.loadLinkName(net::LinkSide::kOut).isIn(name + "-to");
      finish(rule, fromServer);
    }
  }
  if (table.sets.empty()) return std::nullopt;
  table.chains["between-nodes"] = std::move(between);
  table.chains["to-server"] = std::move(toServer);
  table.chains["from-server"] = std::move(fromServer);
  return table;
}

}  // namespace podlab::lab
