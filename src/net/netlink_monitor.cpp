#include "net/netlink_monitor.hpp"

#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/netconf.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <cstring>
#include <span>
#include <utility>

#include "net/netlink_message.hpp"

namespace podlab::net {
namespace {

template <typename Header>
std::optional<Header> headerOf(std::span<const std::byte> body) {
  Header head;
  if (body.size() < sizeof head) return std::nullopt;
  std::memcpy(&head, body.data(), sizeof head);
  return head;
}

}  // namespace

std::optional<NetworkEvent> parseNetworkEvent(std::uint16_t type, std::span<const std::byte> body) {
  using Table = NetworkEvent::Table;
  NetworkEvent event;
  switch (type) {
    case RTM_NEWLINK:
    case RTM_DELLINK: {
      auto head = headerOf<ifinfomsg>(body);
      if (!head) return std::nullopt;
      event.table = Table::kLink;
      event.removed = type == RTM_DELLINK;
      event.linkIndex = head->ifi_index;
      return event;
    }
    case RTM_NEWADDR:
    case RTM_DELADDR: {
      auto head = headerOf<ifaddrmsg>(body);
      if (!head) return std::nullopt;
      event.table = Table::kAddress;
      event.removed = type == RTM_DELADDR;
      event.linkIndex = static_cast<int>(head->ifa_index);
      return event;
    }
    case RTM_NEWROUTE:
    case RTM_DELROUTE: {
      if (body.size() < NLMSG_ALIGN(sizeof(rtmsg))) return std::nullopt;
      event.table = Table::kRoute;
      event.removed = type == RTM_DELROUTE;
      event.linkIndex =
          NetlinkAttributes(body.subspan(NLMSG_ALIGN(sizeof(rtmsg)))).number<std::int32_t>(RTA_OIF);
      return event;
    }
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH: {
      auto head = headerOf<ndmsg>(body);
      if (!head) return std::nullopt;
      event.table = Table::kNeighbour;
      event.removed = type == RTM_DELNEIGH;
      event.linkIndex = head->ndm_ifindex;
      return event;
    }
    case RTM_NEWNETCONF: {
      if (body.size() < NLMSG_ALIGN(sizeof(netconfmsg))) return std::nullopt;
      const NetlinkAttributes attributes(body.subspan(NLMSG_ALIGN(sizeof(netconfmsg))));
      if (!attributes.find(NETCONFA_FORWARDING)) return std::nullopt;
      event.table = Table::kSetting;
      event.linkIndex = attributes.number<std::int32_t>(NETCONFA_IFINDEX);
      return event;
    }
    default:
      return std::nullopt;
  }
}

NetlinkMonitor::NetlinkMonitor(std::unique_ptr<NetlinkEvents> events)
    : events_(std::move(events)) {}

Result<std::unique_ptr<NetlinkMonitor>> NetlinkMonitor::open(const asio::any_io_executor& executor,
                                                             const std::string& networkPath) {
  constexpr int kGroups[] = {RTNLGRP_LINK,         RTNLGRP_NEIGH,       RTNLGRP_IPV4_IFADDR,
                             RTNLGRP_IPV4_ROUTE,   RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE,
                             RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF};
  auto events = NetlinkEvents::open(executor, networkPath, NETLINK_ROUTE, kGroups,
                                    /*otherNamespaces=*/true);
  if (!events) return events.status();
  return std::unique_ptr<NetlinkMonitor>(new NetlinkMonitor(std::move(*events)));
}

Co<Result<NetlinkMonitor::Batch>> NetlinkMonitor::next() {
  while (true) {
    Batch batch;
    auto lost = events_->drain([&](const ReceivedMessage& message, std::optional<int> id) {
      auto event = parseNetworkEvent(message.type, message.body);
      if (!event) return;
      event->namespaceId = id;
      batch.events.push_back(*event);
    });
    if (!lost) co_return lost.status();
    batch.lost = *lost;
    if (batch.lost || !batch.events.empty()) co_return batch;
    co_await events_->wait();
  }
}

}  // namespace podlab::net
