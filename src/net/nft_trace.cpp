#include "net/nft_trace.hpp"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "net/namespaces.hpp"
#include "net/nft_kernel.hpp"
#include "net/nft_rule.hpp"
#include "net/nft_table.hpp"

namespace podlab::net {
namespace {

constexpr char kTraceTable[] = "podlab_trace";
constexpr std::int32_t kPriority = -450;  // before all of NF_IP_PRI_*
constexpr std::uint32_t kPrerouting = 0;  // NF_INET_PRE_ROUTING of linux/netfilter.h
constexpr std::uint32_t kOutput = 3;      // NF_INET_LOCAL_OUT
constexpr std::uint8_t kCommentTag = 0;   // NFTNL_UDATA_RULE_COMMENT of libnftnl
constexpr std::uint32_t kOwnedTable = 2;  // NFT_TABLE_F_OWNER: goes with its socket

NetlinkMessage request(std::uint16_t type, std::uint16_t flags, std::string what,
                       std::uint8_t family = NFPROTO_INET) {
  NetlinkMessage message(static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type), flags,
                         std::move(what));
  message.header(nfgenmsg{family, NFNETLINK_V0, 0});
  return message;
}

NetlinkMessage newChain(const char* name, std::uint32_t hook) {
  auto message = request(NFT_MSG_NEWCHAIN, NLM_F_CREATE, std::string("add chain ") + name);
  message.put(NFTA_CHAIN_TABLE, std::string_view(kTraceTable))
      .put(NFTA_CHAIN_NAME, std::string_view(name))
      .nest(NFTA_CHAIN_HOOK,
            [&](NetlinkMessage& hooked) {
              hooked.put(NFTA_HOOK_HOOKNUM, htonl(hook));
              hooked.put(NFTA_HOOK_PRIORITY, htonl(static_cast<std::uint32_t>(kPriority)));
            })
      .put(NFTA_CHAIN_TYPE, std::string_view("filter"));
  return message;
}

NetlinkMessage newRule(const char* chain, const NftRule& rule) {
  auto message =
      request(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, std::string("add a rule to ") + chain);
  message.put(NFTA_RULE_TABLE, std::string_view(kTraceTable))
      .put(NFTA_RULE_CHAIN, std::string_view(chain))
      .put(NLA_F_NESTED | NFTA_RULE_EXPRESSIONS, rule.expressions.data(), rule.expressions.size());
  return message;
}

std::string bytesOf(const IpAddress& address) {
  return {reinterpret_cast<const char*>(address.data()), address.size()};
}

std::uint32_t number(const NetlinkAttributes& attributes, std::uint16_t type) {
  return ntohl(attributes.number<std::uint32_t>(type));
}

std::uint16_t portAt(std::span<const std::byte> bytes, std::size_t at) {
  return static_cast<std::uint16_t>(std::to_integer<int>(bytes[at]) << 8 |
                                    std::to_integer<int>(bytes[at + 1]));
}

std::optional<PacketFlow> flowOf(std::span<const std::byte> network,
                                 std::span<const std::byte> transport) {
  constexpr std::size_t kV4Header = 20;
  constexpr std::size_t kV6Header = 40;
  if (network.empty()) return std::nullopt;
  PacketFlow flow;
  const int version = std::to_integer<int>(network[0]) >> 4;
  if (version == 4 && network.size() >= kV4Header) {
    std::array<std::uint8_t, 4> bytes;
    std::memcpy(bytes.data(), &network[12], bytes.size());
    flow.source = IpAddress::v4(bytes);
    std::memcpy(bytes.data(), &network[16], bytes.size());
    flow.destination = IpAddress::v4(bytes);
    flow.protocol = std::to_integer<std::uint8_t>(network[9]);
  } else if (version == 6 && network.size() >= kV6Header) {
    std::array<std::uint8_t, 16> bytes;
    std::memcpy(bytes.data(), &network[8], bytes.size());
    flow.source = IpAddress::v6(bytes);
    std::memcpy(bytes.data(), &network[24], bytes.size());
    flow.destination = IpAddress::v6(bytes);
    flow.protocol = std::to_integer<std::uint8_t>(network[6]);
    if (flow.protocol == IPPROTO_ICMPV6) flow.protocol = IPPROTO_ICMP;
  } else {
    return std::nullopt;
  }
  if (flow.protocol != IPPROTO_ICMP && transport.size() >= 4) flow.port = portAt(transport, 2);
  return flow;
}

}  // namespace

std::optional<NftTraceEvent> parseTraceEvent(const ReceivedMessage& message) {
  nfgenmsg head;
  if (message.type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_TRACE) ||
      message.body.size() < sizeof head) {
    return std::nullopt;
  }
  std::memcpy(&head, message.body.data(), sizeof head);
  const NetlinkAttributes attributes(message.body.subspan(NLMSG_ALIGN(sizeof head)));
  NftTraceEvent event;
  event.id = number(attributes, NFTA_TRACE_ID);
  event.family = head.nfgen_family;
  event.table = attributes.text(NFTA_TRACE_TABLE);
  event.chain = attributes.text(NFTA_TRACE_CHAIN);
  event.rule = be64toh(attributes.number<std::uint64_t>(NFTA_TRACE_RULE_HANDLE));
  const auto network = attributes.find(NFTA_TRACE_NETWORK_HEADER);
  const auto transport = attributes.find(NFTA_TRACE_TRANSPORT_HEADER);
  if (network) {
    event.packet = flowOf(*network, transport.value_or(std::span<const std::byte>()));
  }
  const std::uint32_t type = number(attributes, NFTA_TRACE_TYPE);
  if (type == NFT_TRACETYPE_RULE) {
    const auto verdict = attributes.nested(NFTA_TRACE_VERDICT);
    event.dropped =
        verdict.find(NFTA_VERDICT_CODE) && number(verdict, NFTA_VERDICT_CODE) == NF_DROP;
  } else if (type == NFT_TRACETYPE_POLICY) {
    event.dropped =
        attributes.find(NFTA_TRACE_POLICY) && number(attributes, NFTA_TRACE_POLICY) == NF_DROP;
    event.rule = 0;
  }
  return event;
}

NftTrace::NftTrace(NetlinkSocket socket, std::unique_ptr<NetlinkEvents> events)
    : socket_(std::move(socket)), events_(std::move(events)) {}

Result<std::unique_ptr<NftTrace>> NftTrace::open(
    const asio::any_io_executor& executor, const std::string& networkPath,
    const std::set<std::pair<IpAddress, IpAddress>>& pairs, std::uint16_t tunnelPort) {
  constexpr int kGroups[] = {NFNLGRP_NFTRACE};
  auto events = NetlinkEvents::open(executor, networkPath, NETLINK_NETFILTER, kGroups,
                                    /*otherNamespaces=*/false);
  if (!events) return events.status();
  auto socket = inNetworkNamespace(
      networkPath, [] { return NetlinkSocket::open(NetlinkSocket::Protocol::kNetfilter); });
  if (!socket) return socket.status();
  auto table = request(NFT_MSG_NEWTABLE, NLM_F_CREATE, std::string("add table ") + kTraceTable);
  table.put(NFTA_TABLE_NAME, std::string_view(kTraceTable))
      .put(NFTA_TABLE_FLAGS, htonl(kOwnedTable));
  NftGroup group{table};
  std::vector<NftRule> rules;
  for (const auto& [from, to] : pairs) {
    const Family family = from.family();
    rules.push_back(NftRuleWriter()
                        .isFamily(family)
                        .isValue(PacketField::source(family), bytesOf(from))
                        .isValue(PacketField::destination(family), bytesOf(to))
                        .trace()
                        .rule());
  }
  rules.push_back(
      NftRuleWriter().isProtocol(IPPROTO_UDP).isPort(tunnelPort, tunnelPort).trace().rule());
  const std::pair<const char*, std::uint32_t> chains[] = {{"prerouting", kPrerouting},
                                                          {"output", kOutput}};
  for (const auto& [name, hook] : chains) {
    group.push_back(newChain(name, hook));
    for (const NftRule& rule : rules) group.push_back(newRule(name, rule));
  }
  if (Status status = applyChanges(*socket, {std::move(group)}); !status) return status;
  return std::unique_ptr<NftTrace>(new NftTrace(std::move(*socket), std::move(*events)));
}

void NftTrace::drain() {
  (void)events_->drain([&](const ReceivedMessage& message, std::optional<int>) {
    auto event = parseTraceEvent(message);
    if (!event) return;
    if (event->packet) {
      packets_[event->id] = *event->packet;
      seen_.insert(*event->packet);
    }
    const auto found = packets_.find(event->id);
    if (event->dropped && found != packets_.end()) dropped_.emplace(found->second, *event);
  });
}

Co<void> NftTrace::follow(std::shared_ptr<NftTrace> trace) {
  while (true) {
    trace->drain();
    co_await trace->events_->wait();
  }
}

std::string NftTrace::ruleText(const NftTraceEvent& drop) {
  std::string comment;
  if (drop.rule != 0) {
    auto wanted = request(NFT_MSG_GETRULE, 0, "read a rule", drop.family);
    wanted.put(NFTA_RULE_TABLE, std::string_view(drop.table))
        .put(NFTA_RULE_CHAIN, std::string_view(drop.chain))
        .put(NFTA_RULE_HANDLE, htobe64(drop.rule));
    (void)socket_.query(std::move(wanted), [&](std::uint16_t, std::span<const std::byte> body) {
      if (body.size() < sizeof(nfgenmsg)) return;
      const auto data =
          NetlinkAttributes(body.subspan(NLMSG_ALIGN(sizeof(nfgenmsg)))).find(NFTA_RULE_USERDATA);
      if (!data || data->size() < 3 || std::to_integer<int>((*data)[0]) != kCommentTag) return;
      const std::size_t length =
          std::min<std::size_t>(std::to_integer<std::size_t>((*data)[1]), data->size() - 2);
      comment.assign(reinterpret_cast<const char*>(data->data() + 2), length);
      while (!comment.empty() && comment.back() == '\0') comment.pop_back();
    });
  }
  if (drop.table == kNftTableName && drop.family == NFPROTO_INET) {
    return "by NetworkPolicy: " + comment;
  }
  const char* family = drop.family == NFPROTO_INET   ? "inet"
                       : drop.family == NFPROTO_IPV4 ? "ip"
                       : drop.family == NFPROTO_IPV6 ? "ip6"
                                                     : "netdev";
  return std::string("by nftables, not podlab's: table ") + family + " " + drop.table + ", chain " +
         drop.chain +
         (drop.rule == 0 ? ", its policy" : ", rule with handle " + std::to_string(drop.rule)) +
         (comment.empty() ? "" : " (\"" + comment + "\")");
}

void NftTrace::finish() {
  drain();
  for (const auto& [flow, drop] : dropped_) reasons_[flow] = ruleText(drop);
}

std::optional<std::string> NftTrace::dropOf(const PacketFlow& flow) const {
  // Those that differ in their port alone are side by side.
  const auto found = flow.port == 0 ? reasons_.lower_bound(flow) : reasons_.find(flow);
  if (found == reasons_.end()) return std::nullopt;
  PacketFlow same = found->first;
  same.port = flow.port;
  if (same != flow) return std::nullopt;
  return found->second;
}

}  // namespace podlab::net
