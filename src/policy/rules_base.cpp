#include "policy/rules_base.hpp"

#include <netinet/in.h>
#include <netinet/ip_icmp.h>

#include <netinet/icmp6.h>

#include "policy/rules.hpp"

namespace podlab::policy {
namespace {

using net::Family;
using net::NftRule;
using net::NftRuleWriter;
using net::NftSet;
using net::NftType;
using net::PacketField;

// A node's worth of conversations; beyond it, new ones are not remembered.
constexpr std::uint32_t kMostFlows = 1 << 18;
constexpr std::uint32_t kForwardHook = 2;  // NF_INET_FORWARD of linux/netfilter.h
constexpr PacketField kTcpFlags{PacketField::Header::kTransport, 13, 1};
constexpr std::string_view kSynAck("\x12", 1);
constexpr std::string_view kSyn("\x02", 1);
constexpr PacketField kIcmpType{PacketField::Header::kTransport, 0, 1};
constexpr PacketField kEchoId{PacketField::Header::kTransport, 4, 2};
constexpr std::uint8_t kDatagrams[] = {IPPROTO_UDP, IPPROTO_SCTP};

struct Icmp {
  std::uint8_t protocol;
  std::uint8_t request;
  std::uint8_t reply;
  std::vector<std::pair<std::uint8_t, std::uint8_t>> errors;
};
Icmp icmpOf(Family family) {
  if (family == Family::kV4) {
    return {IPPROTO_ICMP,
            ICMP_ECHO,
            ICMP_ECHOREPLY,
            {{ICMP_DEST_UNREACH, ICMP_DEST_UNREACH}, {ICMP_TIME_EXCEEDED, ICMP_PARAMETERPROB}}};
  }
  return {IPPROTO_ICMPV6,
          ICMP6_ECHO_REQUEST,
          ICMP6_ECHO_REPLY,
          {{ICMP6_DST_UNREACH, ICMP6_PARAM_PROB}}};
}

std::string verdictsName(Direction direction, Family family) {
  return std::string(directionName(direction)) + familyName(family);
}
std::string isolatedName(Family family) {
  return "isolated" + familyName(family);
}
std::string flowsName(Family family) {
  return "flows" + familyName(family);
}
std::string selfName(Family family) {
  return "self" + familyName(family);
}
std::string rememberName(Family family) {
  return "remember" + familyName(family);
}

NftSet& define(net::NftTable& table, const std::string& name, NftSet::Kind kind,
               std::initializer_list<NftType> parts, std::size_t keyLength) {
  NftSet& set = table.sets[name];
  set.kind = kind;
  set.keyType = net::nftKeyType(parts);
  set.keyLength = static_cast<std::uint32_t>(keyLength);
  return set;
}

/// The two ports, or twice the echo's id, after both addresses and the protocol; `swapped`: as the
/// other side sees them.
NftRuleWriter& loadFlow(NftRuleWriter& writer, Family family, bool echo, bool swapped) {
  const auto words = static_cast<unsigned>(addressLength(family) / 4);
  const PacketField source = echo ? kEchoId : PacketField::sourcePort();
  const PacketField destination = echo ? kEchoId : PacketField::destinationPort();
  if (swapped) {
    writer.load(PacketField::destination(family)).load(PacketField::source(family), words);
  } else {
    writer.load(PacketField::addresses(family));
  }
  return writer.loadProtocol(2 * words)
      .load(swapped ? destination : source, 2 * words + 1)
      .load(swapped ? source : destination, 2 * words + 2);
}

/// Rules of a base chain. What they do not send elsewhere is accepted.
std::vector<NftRule> judging(Direction direction, const std::vector<Family>& families) {
  std::vector<NftRule> rules;
  rules.push_back(NftRuleWriter()
                      .isProtocol(IPPROTO_TCP)
                      .isMasked(kTcpFlags, kSynAck, kSyn, false)
                      .accept()
                      .rule("of a connection that was judged at its SYN"));
  const bool egress = direction == Direction::kEgress;
  for (const Family family : families) {
    rules.push_back(
        NftRuleWriter()
            .isFamily(family)
            .load(egress ? PacketField::source(family) : PacketField::destination(family))
            .followVerdict(verdictsName(direction, family))
            .rule());
  }
  // An accept ends one base chain, and the next one goes on: ingress is the last.
  if (!egress) rules.push_back(NftRuleWriter().goTo(kAcceptedChain).rule());
  return rules;
}

/// Remembered is what isolated pods have asked, or have been asked: replies are judged here.
std::vector<NftRule> accepting(const std::vector<Family>& families) {
  std::vector<NftRule> rules;
  rules.push_back(NftRuleWriter().isProtocol(IPPROTO_TCP).accept().rule());
  for (const Family family : families) {
    for (const auto& field : {PacketField::destination(family), PacketField::source(family)}) {
      rules.push_back(NftRuleWriter()
                          .isFamily(family)
                          .load(field)
                          .isIn(isolatedName(family))
                          .goTo(rememberName(family))
                          .rule());
    }
  }
  rules.push_back(NftRuleWriter().accept().rule());
  return rules;
}

std::vector<NftRule> rememberedFlows(Family family) {
  std::vector<NftRule> rules;
  for (const std::uint8_t protocol : kDatagrams) {
    // Were replies remembered, whoever was asked once could be asked on when policies change.
    NftRuleWriter reply;
    reply.isProtocol(protocol);
    rules.push_back(loadFlow(reply, family, /*echo=*/false, /*swapped=*/true)
                        .isIn(flowsName(family))
                        .accept()
                        .rule());
    NftRuleWriter writer;
    writer.isProtocol(protocol);
    rules.push_back(loadFlow(writer, family, /*echo=*/false, /*swapped=*/false)
                        .remember(flowsName(family), kFlowSeconds)
                        .rule());
  }
  const Icmp icmp = icmpOf(family);
  NftRuleWriter writer;
  writer.isProtocol(icmp.protocol).isByte(kIcmpType, icmp.request, icmp.request);
  rules.push_back(loadFlow(writer, family, /*echo=*/true, /*swapped=*/false)
                      .remember(flowsName(family), kFlowSeconds)
                      .rule());
  rules.push_back(NftRuleWriter().accept().rule());
  return rules;
}

void addAlways(std::vector<NftRule>& rules, Family family) {
  rules.push_back(NftRuleWriter().isLaterFragment(family).accept().rule("fragment"));
  const Icmp icmp = icmpOf(family);
  for (const auto& [low, high] : icmp.errors) {
    rules.push_back(NftRuleWriter()
                        .isFamily(family)
                        .isProtocol(icmp.protocol)
                        .isByte(kIcmpType, low, high)
                        .accept()
                        .rule("ICMP error"));
  }
  const auto reply = [&](NftRuleWriter writer, bool echo) {
    rules.push_back(loadFlow(writer, family, echo, /*swapped=*/true)
                        .isIn(flowsName(family))
                        .remember(flowsName(family), kFlowSeconds)
                        .accept()
                        .rule("reply"));
  };
  for (const std::uint8_t protocol : kDatagrams) {
    NftRuleWriter writer;
    reply(writer.isFamily(family).isProtocol(protocol), /*echo=*/false);
  }
  NftRuleWriter writer;
  writer.isFamily(family).isProtocol(icmp.protocol).isByte(kIcmpType, icmp.reply, icmp.reply);
  reply(writer, /*echo=*/true);
  rules.push_back(NftRuleWriter()
                      .isFamily(family)
                      .load(PacketField::addresses(family))
                      .isIn(selfName(family))
                      .accept()
                      .rule("a pod to itself"));
}

}  // namespace

std::string familyName(Family family) {
  return family == Family::kV4 ? "_v4" : "_v6";
}

NftType addressType(Family family) {
  return family == Family::kV4 ? NftType::kIpv4 : NftType::kIpv6;
}

std::size_t addressLength(Family family) {
  return family == Family::kV4 ? 4 : 16;
}

void addIsolated(net::NftTable& table, Direction direction, const net::IpAddress& address,
                 const std::string& chain) {
  const std::string key = net::nftKey(address);
  const Family family = address.family();
  table.sets[verdictsName(direction, family)].elements.push_back({key, chain});
  table.sets[isolatedName(family)].elements.push_back({key});
  table.sets[selfName(family)].elements.push_back({key + key});
}

void addBaseChains(net::NftTable& table, const std::vector<Family>& families) {
  using Kind = NftSet::Kind;
  std::vector<NftRule> always;
  for (const Family family : families) {
    const NftType type = addressType(family);
    const std::size_t length = addressLength(family);
    for (const Direction direction : {Direction::kEgress, Direction::kIngress}) {
      define(table, verdictsName(direction, family), Kind::kVerdicts, {type}, length);
    }
    define(table, isolatedName(family), Kind::kKeys, {type}, length);
    define(table, selfName(family), Kind::kKeys, {type, type}, 2 * length);
    define(table, flowsName(family), Kind::kDynamic,
           {type, type, NftType::kProtocol, NftType::kPort, NftType::kPort}, 2 * length + 12)
        .size = kMostFlows;
    table.chains[rememberName(family)].rules = rememberedFlows(family);
    addAlways(always, family);
  }
  table.chains[kAlwaysChain].rules = std::move(always);
  const auto base = [&](const char* name, std::int32_t priority, std::vector<NftRule> rules) {
    table.chains[name] = {net::NftHook{kForwardHook, priority}, std::move(rules)};
  };
  base("egress", 0, judging(Direction::kEgress, families));
  base("ingress", 1, judging(Direction::kIngress, families));
  table.chains[kAcceptedChain].rules = accepting(families);
}

}  // namespace podlab::policy
