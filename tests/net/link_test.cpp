#include "net/link.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <set>

#include "net/netlink_monitor.hpp"
#include "net/pod_link.hpp"
#include "net/underlay.hpp"
#include "tests/net/random_net.hpp"

namespace podlab::net {
namespace {

std::span<const std::byte> bodyOf(const NetlinkMessage& message) {
  return message.bytes().subspan(sizeof(nlmsghdr));
}
nlmsghdr headOf(const NetlinkMessage& message) {
  nlmsghdr head;
  std::memcpy(&head, message.bytes().data(), sizeof head);
  return head;
}
ifinfomsg linkHeadOf(const NetlinkMessage& message) {
  ifinfomsg head;
  std::memcpy(&head, bodyOf(message).data(), sizeof head);
  return head;
}
NetlinkAttributes attributesOf(const NetlinkMessage& message) {
  return NetlinkAttributes(bodyOf(message).subspan(sizeof(ifinfomsg)));
}

/// A description of a VXLAN device as the kernel gives it.
NetlinkMessage description() {
  NetlinkMessage message(RTM_NEWLINK, 0, "");
  ifinfomsg head{};
  head.ifi_index = 7;
  head.ifi_flags = IFF_UP;
  message.header(head);
  message.put(IFLA_IFNAME, std::string_view("podlab.1"))
      .put(IFLA_IFALIAS, std::string_view("podlab"))
      .put(IFLA_MTU, std::uint32_t{1450})
      .put(IFLA_ADDRESS, MacAddress{{2, 0, 0, 0, 0, 1}})
      .put(IFLA_LINK_NETNSID, std::int32_t{3});
  message.nest(IFLA_LINKINFO, [](NetlinkMessage& info) {
    info.put(IFLA_INFO_KIND, std::string_view("vxlan"));
    info.nest(IFLA_INFO_DATA, [](NetlinkMessage& data) {
      data.put(IFLA_VXLAN_ID, std::uint32_t{42})
          .put(IFLA_VXLAN_LINK, std::uint32_t{2})
          .put(IFLA_VXLAN_LOCAL6, *IpAddress::parse("2001:db8::1"))
          .put(IFLA_VXLAN_LEARNING, std::uint8_t{1})
          .put(IFLA_VXLAN_PORT, htons(8472));
    });
  });
  return message;
}

TEST(ParseLink, ReadsWhatTheKernelDescribes) {
  const auto link = parseLink(RTM_NEWLINK, bodyOf(description()));
  ASSERT_TRUE(link);
  EXPECT_EQ(link->index, 7);
  EXPECT_EQ(link->name, "podlab.1");
  EXPECT_EQ(link->kind, "vxlan");
  EXPECT_EQ(link->alias, "podlab");
  EXPECT_TRUE(link->up);
  EXPECT_FALSE(link->loopback);
  EXPECT_EQ(link->mtu, 1450);
  EXPECT_EQ(link->mac.toString(), "02:00:00:00:00:01");
  EXPECT_EQ(link->peerNamespaceId, 3);
  EXPECT_TRUE(link->vxlanLearning);
  EXPECT_EQ(link->vxlan, (VxlanConfig{42, 8472, *IpAddress::parse("2001:db8::1"), 2}));
  EXPECT_FALSE(parseLink(RTM_DELLINK, bodyOf(description())));
}

TEST(ParseLink, TakesDamagedDescriptions) {
  const NetlinkMessage message = description();
  const auto body = bodyOf(message);
  for (std::size_t size = 0; size < body.size(); ++size) {
    const std::vector<std::byte> part(body.begin(),
                                      body.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_EQ(parseLink(RTM_NEWLINK, part).has_value(), size >= sizeof(ifinfomsg)) << size;
  }
  SeededRng rng(20269);
  for (int i = 0; i < 5000; ++i) {
    std::vector<std::byte> damaged(body.begin(), body.end());
    for (std::uint64_t n = rng.below(8); n > 0; --n)
      damaged[rng.below(damaged.size())] = static_cast<std::byte>(rng.next());
    const auto link = parseLink(RTM_NEWLINK, damaged);
    ASSERT_TRUE(link);
    EXPECT_LE(link->name.size(), damaged.size());
  }
}

TEST(NewLinks, SayWhatIsWanted) {
  const MacAddress mac{{2, 0, 0, 0, 0, 9}};
  const auto bridge = newBridge("podlab0", mac, 1450);
  EXPECT_EQ(headOf(bridge).nlmsg_type, RTM_NEWLINK);
  EXPECT_EQ(headOf(bridge).nlmsg_flags, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL);
  auto link = parseLink(RTM_NEWLINK, bodyOf(bridge));
  EXPECT_EQ(link->kind, "bridge");
  EXPECT_EQ(link->name, "podlab0");
  EXPECT_EQ(link->mtu, 1450);
  EXPECT_EQ(link->mac, mac);
  EXPECT_FALSE(link->stp);

  const VxlanConfig config{9, 4789, *IpAddress::parse("192.0.2.1"), 5};
  link = parseLink(RTM_NEWLINK, bodyOf(newVxlan("podlab.9", mac, 1400, config)));
  EXPECT_EQ(link->kind, "vxlan");
  EXPECT_EQ(link->vxlan, config);
  EXPECT_FALSE(link->vxlanLearning);

  VethEnd near{"plabc", std::nullopt, 1450, -1};
  VethEnd far{"eth0", mac, 1450, 33};
  const auto veth = newVeth(near, far, 4);
  link = parseLink(RTM_NEWLINK, bodyOf(veth));
  EXPECT_EQ(link->kind, "veth");
  EXPECT_EQ(link->master, 4);
  const auto peer =
      attributesOf(veth).nested(IFLA_LINKINFO).nested(IFLA_INFO_DATA).find(1 /*VETH_INFO_PEER*/);
  ASSERT_TRUE(peer);
  const auto other = parseLink(RTM_NEWLINK, *peer);
  EXPECT_EQ(other->name, "eth0");
  EXPECT_EQ(other->mac, mac);
  EXPECT_EQ(NetlinkAttributes(peer->subspan(sizeof(ifinfomsg))).number<int>(IFLA_NET_NS_FD), 33);
}

TEST(AdjustLink, AsksForNothingWhenNothingDiffers) {
  Link link;
  link.mtu = 1500;
  link.up = true;
  LinkSettings settings;
  EXPECT_TRUE(adjustLink(link, settings).empty());
  settings.mtu = 1500;
  settings.up = true;
  settings.stp = settings.hairpin = settings.ipv6Autoconf = false;
  settings.alias = "";
  settings.master = 0;
  EXPECT_TRUE(adjustLink(link, settings).empty());
}

TEST(AdjustLink, RaisesALinkLastAndKindsByNewLink) {
  Link link;
  link.index = 6;
  link.name = "port";
  LinkSettings settings;
  settings.up = settings.hairpin = settings.ipv6Autoconf = true;
  settings.master = 3;
  settings.mtu = 1400;
  const auto messages = adjustLink(link, settings);
  ASSERT_EQ(messages.size(), 3u);
  EXPECT_EQ(headOf(messages[0]).nlmsg_type, RTM_SETLINK);
  EXPECT_EQ(attributesOf(messages[0]).number<int>(IFLA_MASTER), 3);
  EXPECT_EQ(attributesOf(messages[0]).number<int>(IFLA_MTU), 1400);
  EXPECT_EQ(linkHeadOf(messages[0]).ifi_change, 0u);
  // A port's own settings are refused before it is a port.
  EXPECT_EQ(headOf(messages[1]).nlmsg_type, RTM_NEWLINK);
  EXPECT_EQ(headOf(messages[1]).nlmsg_flags, NLM_F_REQUEST) << "must not create";
  EXPECT_TRUE(parseLink(RTM_NEWLINK, bodyOf(messages[1]))->hairpin);
  EXPECT_EQ(linkHeadOf(messages[2]).ifi_change, static_cast<unsigned>(IFF_UP));
  EXPECT_EQ(linkHeadOf(messages[2]).ifi_flags, static_cast<unsigned>(IFF_UP));
  for (const auto& message : messages) EXPECT_EQ(linkHeadOf(message).ifi_index, 6);

  link.up = true;
  LinkSettings down;
  down.up = false;
  const auto lowered = adjustLink(link, down);
  ASSERT_EQ(lowered.size(), 1u);
  EXPECT_EQ(linkHeadOf(lowered[0]).ifi_flags, 0u);
  EXPECT_EQ(linkHeadOf(lowered[0]).ifi_change, static_cast<unsigned>(IFF_UP));
}

TEST(NetworkEvents, NameTableAndLink) {
  using Table = NetworkEvent::Table;
  const auto event = [](std::uint16_t type, const auto& head) {
    NetlinkMessage message(type, 0, "");
    message.header(head).put(RTA_OIF, std::uint32_t{9});
    return parseNetworkEvent(type, bodyOf(message));
  };
  ifinfomsg link{};
  link.ifi_index = 5;
  ifaddrmsg address{};
  address.ifa_index = 6;
  ndmsg neighbour{};
  neighbour.ndm_ifindex = 7;
  const struct {
    std::optional<NetworkEvent> event;
    Table table;
    bool removed;
    int linkIndex;
  } cases[] = {
      {event(RTM_NEWLINK, link), Table::kLink, false, 5},
      {event(RTM_DELLINK, link), Table::kLink, true, 5},
      {event(RTM_NEWADDR, address), Table::kAddress, false, 6},
      {event(RTM_DELADDR, address), Table::kAddress, true, 6},
      {event(RTM_NEWNEIGH, neighbour), Table::kNeighbour, false, 7},
      {event(RTM_DELNEIGH, neighbour), Table::kNeighbour, true, 7},
      {event(RTM_NEWROUTE, rtmsg{}), Table::kRoute, false, 9},
      {event(RTM_DELROUTE, rtmsg{}), Table::kRoute, true, 9},
  };
  for (const auto& one : cases) {
    ASSERT_TRUE(one.event);
    EXPECT_EQ(one.event->table, one.table);
    EXPECT_EQ(one.event->removed, one.removed);
    EXPECT_EQ(one.event->linkIndex, one.linkIndex);
    EXPECT_EQ(one.event->namespaceId, std::nullopt);
  }
  EXPECT_FALSE(event(RTM_NEWRULE, rtmsg{}));
}

TEST(NetworkEvents, ShortOnesAreNone) {
  const std::array<std::byte, 16> zeros{};
  for (const std::uint16_t type : {RTM_NEWLINK, RTM_DELADDR, RTM_NEWROUTE, RTM_DELNEIGH}) {
    const std::size_t needed = type == RTM_NEWLINK ? 16 : type == RTM_DELADDR ? 8 : 12;
    for (std::size_t size = 0; size <= needed; ++size) {
      EXPECT_EQ(parseNetworkEvent(type, std::span(zeros).first(size)).has_value(), size == needed);
    }
  }
}

TEST(PodLinks, NamesAndMarks) {
  EXPECT_EQ(podLinkName("uid-1"), podLinkName("uid-1"));
  EXPECT_NE(podLinkName("uid-1"), podLinkName("uid-2"));
  SeededRng rng(20270);
  std::set<std::string> names;
  for (int i = 0; i < 2000; ++i) {
    const std::string name = podLinkName(rng.uuid());
    EXPECT_EQ(name.size(), 15u) << "IFNAMSIZ less one";
    EXPECT_TRUE(names.insert(name).second);
  }
  EXPECT_TRUE(hasLinkMark("podlab"));
  EXPECT_TRUE(hasLinkMark("podlab pod 1-2"));
  EXPECT_FALSE(hasLinkMark("podlabel"));
  EXPECT_FALSE(hasLinkMark(""));
  EXPECT_EQ(podUidOfAlias("podlab pod 1-2"), "1-2");
  EXPECT_EQ(podUidOfAlias("podlab"), "");
}

TEST(Overlay, MacsFollowFromTheUnderlayAddress) {
  EXPECT_EQ(overlayMac(*IpAddress::parse("192.0.2.1")).toString(), "0e:58:c0:00:02:01");
  const auto six = overlayMac(*IpAddress::parse("2001:db8::1"));
  EXPECT_EQ(six, overlayMac(*IpAddress::parse("2001:db8::1")));
  EXPECT_NE(six, overlayMac(*IpAddress::parse("2001:db8::2")));
  EXPECT_EQ(six.bytes[0] & 3, 2);
}

}  // namespace
}  // namespace podlab::net
