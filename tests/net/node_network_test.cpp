#include "net/node_network.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/net/random_net.hpp"

namespace podlab::net {
namespace {

using ::testing::HasSubstr;

Cidr cidr(const std::string& text) {
  return *Cidr::parse(text);
}
IpAddress ip(const std::string& text) {
  return *IpAddress::parse(text);
}

NodeLayout layoutOf(std::vector<std::string> ranges, std::vector<std::string> underlay,
                    bool vxlan = true) {
  NodeLayout layout;
  for (const auto& range : ranges) layout.ranges.push_back(cidr(range));
  for (const auto& address : underlay) layout.underlay.addresses.push_back(ip(address));
  layout.underlay.linkIndex = 2;
  layout.underlay.mtu = 1500;
  layout.vxlan = vxlan;
  return layout;
}

OverlayPeer peerOf(std::string name, std::vector<std::string> ranges,
                   std::vector<std::string> underlay) {
  OverlayPeer peer;
  peer.node = std::move(name);
  for (const auto& range : ranges) peer.ranges.push_back(cidr(range));
  for (const auto& address : underlay) peer.underlay.push_back(ip(address));
  peer.vxlanMac = overlayMac(peer.underlay.front());
  return peer;
}

TEST(NodeLayout, MtuIsTheUnderlaysLessTheTunnel) {
  const struct {
    const char* underlay;
    bool vxlan;
    int mtu;
    int expected;
  } cases[] = {
      {"192.0.2.1", true, 1500, 1450},   {"2001:db8::1", true, 1500, 1430},
      {"192.0.2.1", false, 1500, 1500},  {"192.0.2.1", true, 9000, 8950},
      {"2001:db8::1", true, 1350, 1280},
  };
  for (const auto& one : cases) {
    NodeLayout layout = layoutOf({"10.244.1.0/24"}, {one.underlay}, one.vxlan);
    layout.underlay.mtu = one.mtu;
    EXPECT_EQ(layout.mtu(), one.expected) << one.underlay << " " << one.mtu;
  }
}

TEST(NodeLayout, BridgeAndOverlayHaveTheFirstAddresses) {
  const NodeLayout layout = layoutOf({"10.244.1.0/24", "fd00:244:0:1::/64"}, {"192.0.2.1"});
  EXPECT_EQ(NodeLayout::gateway(layout.ranges[1]).toString(), "fd00:244:0:1::1");
  EXPECT_EQ(NodeLayout::overlayAddress(layout.ranges[0]).toString(), "10.244.1.0");
  EXPECT_EQ(layout.bridgeMac().toString(), "0a:58:0a:f4:01:01");
}

TEST(PlanTables, OneRouteANeighbourAndAForwardingEntryForEachPeer) {
  NodeLayout layout = layoutOf({"10.244.1.0/24", "fd00:244:0:1::/64"}, {"192.0.2.1"});
  layout.clusterRanges = {cidr("10.244.0.0/16")};
  const auto peer = peerOf("node2", {"10.244.2.0/24", "fd00:244:0:2::/64"}, {"192.0.2.2"});
  const auto plan = planTables(layout, {3, 4}, {peer});
  EXPECT_TRUE(plan.problem.ok());
  std::vector<std::string> routes;
  for (const auto& route : plan.tables.routes)
    routes.push_back(route.toString() + " dev " + std::to_string(route.linkIndex));
  EXPECT_THAT(routes, ::testing::ElementsAre("10.244.1.0/24 dev 3", "fd00:244:0:1::/64 dev 3",
                                             "unreachable 10.244.0.0/16 dev 0",
                                             "10.244.2.0/24 via 10.244.2.0 dev 4",
                                             "fd00:244:0:2::/64 via fd00:244:0:2:: dev 4"));
  EXPECT_EQ(plan.tables.neighbours,
            (std::vector<Neighbour>{{4, ip("10.244.2.0"), peer.vxlanMac},
                                    {4, ip("fd00:244:0:2::"), peer.vxlanMac}}));
  EXPECT_EQ(plan.tables.fdb, (std::vector<FdbEntry>{{4, peer.vxlanMac, ip("192.0.2.2")}}));
}

TEST(PlanTables, HostGatewaysArePlainRoutes) {
  const NodeLayout layout =
      layoutOf({"10.244.1.0/24", "fd00:244:0:1::/64"}, {"192.0.2.1", "2001:db8::1"}, false);
  const auto plan = planTables(
      layout, {3, 0},
      {peerOf("node2", {"10.244.2.0/24", "fd00:244:0:2::/64"}, {"192.0.2.2", "2001:db8::2"})});
  EXPECT_TRUE(plan.problem.ok());
  EXPECT_EQ(plan.tables.routes.back().toString(), "fd00:244:0:2::/64 via 2001:db8::2");
  EXPECT_EQ(plan.tables.routes.back().linkIndex, 2);
  EXPECT_TRUE(plan.tables.neighbours.empty());
  EXPECT_TRUE(plan.tables.fdb.empty());
}

TEST(PlanTables, APeerWithoutTheFamilyIsNamedAndTheOthersServed) {
  const auto good = peerOf("good", {"10.244.3.0/24"}, {"192.0.2.3"});
  for (const bool vxlan : {true, false}) {
    const auto plan = planTables(layoutOf({"10.244.1.0/24"}, {"192.0.2.1"}, vxlan), {3, 4},
                                 {peerOf("six", {"10.244.2.0/24"}, {"2001:db8::2"}), good});
    EXPECT_TRUE(plan.problem.is(Code::kInvalid));
    EXPECT_THAT(plan.problem.message(), HasSubstr("node six has no IPv4 address"));
    EXPECT_EQ(plan.tables.routes.size(), 2u);
    EXPECT_EQ(plan.tables.routes.back().destination, good.ranges.front());
  }
}

/// A kernel's tables, which take the requests of tableChanges() as Linux does.
struct Kernel {
  // By what names an entry there.
  std::map<std::tuple<Cidr, std::uint32_t, bool>, Route> routes;
  std::map<IpAddress, MacAddress> neighbours;
  std::map<MacAddress, IpAddress> fdb;

  void set(const NodeTables& tables) {
    for (const auto& route : tables.routes)
      routes[{route.destination, route.metric, route.unreachable}] = route;
    for (const auto& neighbour : tables.neighbours) neighbours[neighbour.address] = neighbour.mac;
    for (const auto& entry : tables.fdb) fdb[entry.mac] = *entry.destination;
  }
  NodeTables tables(int vxlan) const {
    NodeTables out;
    for (const auto& [key, route] : routes) out.routes.push_back(route);
    for (const auto& [address, mac] : neighbours) out.neighbours.push_back({vxlan, address, mac});
    for (const auto& [mac, destination] : fdb) out.fdb.push_back({vxlan, mac, destination});
    return out;
  }

  void apply(const NetlinkMessage& message) {
    nlmsghdr head;
    std::memcpy(&head, message.bytes().data(), sizeof head);
    const auto body = message.bytes().subspan(sizeof head);
    const bool add = head.nlmsg_type == RTM_NEWROUTE || head.nlmsg_type == RTM_NEWNEIGH;
    if (head.nlmsg_type == RTM_NEWROUTE || head.nlmsg_type == RTM_DELROUTE) {
      rtmsg route;
      std::memcpy(&route, body.data(), sizeof route);
      const NetlinkAttributes attributes(body.subspan(sizeof route));
      Route entry;
      const auto any = route.rtm_family == AF_INET ? IpAddress::v4({}) : IpAddress::v6({});
      entry.destination = Cidr(attributes.address(RTA_DST).value_or(any), route.rtm_dst_len);
      entry.gateway = attributes.address(RTA_GATEWAY);
      entry.linkIndex = attributes.number<int>(RTA_OIF);
      entry.metric = attributes.number<std::uint32_t>(RTA_PRIORITY);
      entry.unreachable = route.rtm_type == RTN_UNREACHABLE;
      entry.protocol = route.rtm_protocol;
      const std::tuple key(entry.destination, entry.metric, entry.unreachable);
      if (add) {
        EXPECT_TRUE(!entry.gateway || !neighboursMatter || neighbours.contains(*entry.gateway))
            << message.what() << " comes before its neighbour";
        routes[key] = entry;
      } else {
        EXPECT_EQ(routes.erase(key), 1u) << message.what();
      }
      return;
    }
    ndmsg neighbour;
    std::memcpy(&neighbour, body.data(), sizeof neighbour);
    const NetlinkAttributes attributes(body.subspan(sizeof neighbour));
    const auto destination = attributes.address(NDA_DST);
    const auto mac = attributes.mac(NDA_LLADDR);
    ASSERT_TRUE(destination);
    if (neighbour.ndm_family == AF_BRIDGE) {
      ASSERT_TRUE(mac);
      if (add) {
        fdb[*mac] = *destination;
      } else {
        EXPECT_EQ(fdb.erase(*mac), 1u) << message.what();
      }
    } else if (add) {
      ASSERT_TRUE(mac);
      neighbours[*destination] = *mac;
    } else {
      for (const auto& [key, route] : routes) {
        EXPECT_NE(route.gateway, destination) << message.what() << " goes before its route";
      }
      EXPECT_EQ(neighbours.erase(*destination), 1u) << message.what();
    }
  }
  bool neighboursMatter = true;
};

/// Any two states of a cluster: the requests lead from one to the other, an entry that stays is
/// never away, and a second look asks for nothing.
TEST(TableChanges, LeadFromAnyStateToAnyOther) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRng rng(seed);
    const bool vxlan = rng.chance(0.7);
    const NodeLinks links{3, vxlan ? 4 : 0};
    const auto plan = [&] {
      std::vector<OverlayPeer> peers;
      for (int i = 2; i < 8; ++i) {
        if (rng.chance(0.4)) continue;
        const std::string n = std::to_string(i);
        // The same node may come back with another underlay address or range.
        const std::string host = std::to_string(i + (rng.chance(0.3) ? 100 : 0));
        const std::string net = std::to_string(i + (rng.chance(0.3) ? 10 : 0));
        peers.push_back(peerOf("node" + n, {"10.244." + net + ".0/24"}, {"192.0.2." + host}));
      }
      NodeLayout layout = layoutOf({"10.244.1.0/24"}, {"192.0.2.1"}, vxlan);
      if (rng.chance(0.5)) layout.clusterRanges = {cidr("10.244.0.0/16")};
      return planTables(layout, links, peers).tables;
    };
    const NodeTables before = plan(), after = plan();
    Kernel kernel;
    kernel.neighboursMatter = vxlan;
    kernel.set(before);
    for (const auto& message : tableChanges(before, after)) {
      kernel.apply(message);
      // No moment without a route that both states have.
      for (const auto& route : before.routes) {
        if (std::ranges::find(after.routes, route) == after.routes.end()) continue;
        EXPECT_TRUE(kernel.routes.contains({route.destination, route.metric, route.unreachable}));
      }
    }
    Kernel wanted;
    wanted.set(after);
    EXPECT_EQ(kernel.routes, wanted.routes);
    EXPECT_EQ(kernel.neighbours, wanted.neighbours);
    EXPECT_EQ(kernel.fdb, wanted.fdb);
    EXPECT_TRUE(tableChanges(kernel.tables(links.vxlan), after).empty());
    if (HasFailure()) break;
  }
}

}  // namespace
}  // namespace podlab::net
