#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <ostream>
#include <thread>

#include "net/link.hpp"
#include "net/netlink_socket.hpp"
#include "net/node_network.hpp"
#include "net/routing.hpp"
#include "net/underlay.hpp"
#include "tests/integration/net_fixture.hpp"

namespace podlab::test {
namespace {

struct Scenario {
  std::string name;
  Privilege privilege = Privilege::kRoot;
  TestNetworkOptions network;
};

void PrintTo(const Scenario& scenario, std::ostream* out) {
  *out << scenario.name;
}

class Flat : public testing::TestWithParam<Scenario> {};

TEST_P(Flat, EveryPodReachesEveryPod) {
  isolated(GetParam().privilege, [] {
    Loop loop;
    TestNetwork network(loop, GetParam().network);
    network.configure();
    network.makePods(3);
    network.expectFlat();
  });
}

// The largest packet that the pods' MTU promises passes whole, and one byte more does not leave the
// pod.
TEST_P(Flat, TheMtuIsWhatItPromises) {
  isolated(GetParam().privilege, [] {
    Loop loop;
    TestNetwork network(loop, GetParam().network);
    network.configure();
    network.makePods(2);
    const int mtu = must(loop.run(network.nodes()[0].dataplane->discover())).mtu;
    net::ReachOptions options;
    options.timeout = std::chrono::seconds(5);
    // While the machine takes down other tests' namespaces, neighbour discovery may give up once.
    (void)network.reach(options);
    options.packetSize = mtu;
    for (const auto& outcome : network.reach(options)) {
      EXPECT_TRUE(outcome.ok()) << outcome.key.from << " to " << outcome.key.to << " protocol "
                                << int{outcome.key.protocol} << ": " << outcome.error;
    }
    options.packetSize = mtu + 1;
    for (const auto& outcome : network.reach(options)) {
      const net::ProbeKey& key = outcome.key;
      if (key.protocol == IPPROTO_TCP) continue;
      EXPECT_FALSE(outcome.ok() && key.from != key.to)
          << key.from << " to " << key.to << " protocol " << int{key.protocol};
    }
  });
}

INSTANTIATE_TEST_SUITE_P(
    Networks, Flat,
    testing::Values(Scenario{"vxlan_v4", Privilege::kRoot, {}},
                    Scenario{"vxlan_v6", Privilege::kRoot, {.v4 = false, .v6 = true}},
                    Scenario{"vxlan_dual", Privilege::kRoot, {.v6 = true}},
                    Scenario{"vxlan_over_v6", Privilege::kRoot, {.v6 = true, .underlayV6 = true}},
                    Scenario{"hostgw_dual", Privilege::kRoot, {.v6 = true, .backend = "host-gw"}},
                    Scenario{"vxlan_jumbo", Privilege::kRoot, {.nodes = 2, .underlayMtu = 9000}},
                    Scenario{"rootless_dual", Privilege::kUserNamespace, {.nodes = 2, .v6 = true}}),
    [](const auto& info) { return info.param.name; });

ino_t inode(const std::string& path) {
  struct stat info{};
  return stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

/// What a node's kernel has, as comparable text.
struct NodeState {
  std::vector<net::Route> routes;
  std::vector<net::Neighbour> neighbours;
  std::vector<net::FdbEntry> fdb;
  std::vector<std::string> links;
  bool operator==(const NodeState&) const = default;
};

NodeState stateOf(const TestNode& node) {
  auto socket = node.socket();
  NodeState state;
  auto vxlan = must(net::findLink(socket, "podlab.1"));
  auto tables = must(net::readTables(socket, {0, vxlan ? vxlan->index : 0}));
  state.routes = tables.routes;
  state.neighbours = tables.neighbours;
  if (auto bridge = must(net::findLink(socket, net::kBridgeName))) {
    auto pods = must(net::listNeighbours(socket, bridge->index));
    state.neighbours.insert(state.neighbours.end(), pods.begin(), pods.end());
  }
  state.fdb = tables.fdb;
  std::ranges::sort(state.routes);
  std::ranges::sort(state.neighbours);
  std::ranges::sort(state.fdb);
  for (const net::Link& link : must(net::listLinks(socket))) {
    if (!net::hasLinkMark(link.alias)) continue;
    state.links.push_back(link.name + " mtu " + std::to_string(link.mtu) + " " +
                          (link.up ? "up" : "down") + (link.hairpin ? " hairpin" : "") +
                          (link.stp ? " stp" : "") +
                          (link.kind == "veth" ? " port" : " " + link.mac.toString()));
  }
  std::ranges::sort(state.links);
  return state;
}

/// The same of a pod, from inside.
struct PodState {
  std::vector<net::LinkAddress> addresses;
  std::vector<net::Route> routes;
  bool operator==(const PodState&) const = default;
};

PodState podState(const TestPod& pod) {
  auto socket = must(
      net::inNetworkNamespace(pod.namespaces.network, [] { return net::NetlinkSocket::open(); }));
  PodState state;
  for (const auto& address : must(net::listAddresses(socket))) {
    if (!address.linkLocal) state.addresses.push_back(address);
  }
  for (auto family : {net::Family::kV4, net::Family::kV6}) {
    for (const auto& route : must(net::listRoutes(socket, family, net::kRouteProtocol))) {
      state.routes.push_back(route);
    }
  }
  for (auto& route : state.routes) route.linkIndex = 0;  // a new veth has a new index
  for (auto& address : state.addresses) address.linkIndex = 0;
  std::ranges::sort(state.addresses);
  std::ranges::sort(state.routes);
  return state;
}

class Repair : public testing::Test {
 protected:
  /// Runs `damage` on node 1 of a good network and expects that its entries come back and that all
  /// pods reach each other.
  static void comesBack(const std::function<void(TestNode&, net::NetlinkSocket&)>& damage,
                        bool sameEntries = true) {
    isolated(Privilege::kRoot, [&] {
      Loop loop;
      TestNetwork network(loop, {.nodes = 2, .v6 = true});
      network.configure();
      network.makePods(2);
      TestNode& node = network.nodes()[0];
      const NodeState good = stateOf(node);
      const PodState goodPod = podState(node.pods[0]);
      auto socket = node.socket();
      damage(node, socket);
      if (sameEntries) {
        EXPECT_FALSE(stateOf(node) == good && podState(node.pods[0]) == goodPod)
            << "nothing was damaged";
        EXPECT_TRUE(loop.eventually(
            [&] { return stateOf(node) == good && podState(node.pods[0]) == goodPod; }));
      } else {
        EXPECT_TRUE(loop.eventually([&] { return stateOf(node).links == good.links; }));
        EXPECT_TRUE(
            loop.eventually([&] { return stateOf(node).routes.size() == good.routes.size(); }));
      }
      EXPECT_TRUE(loop.eventually([&] {
        net::ReachOptions options;
        options.timeout = std::chrono::milliseconds(300);
        return std::ranges::all_of(network.reach(options),
                                   [](const auto& outcome) { return outcome.ok(); });
      }));
      network.expectFlat();
    });
  }

  static void inPod(const TestPod& pod, const std::function<void(net::NetlinkSocket&)>& act) {
    auto socket = must(
        net::inNetworkNamespace(pod.namespaces.network, [] { return net::NetlinkSocket::open(); }));
    act(socket);
  }
};

TEST_F(Repair, PeerRoute) {
  comesBack([](TestNode&, net::NetlinkSocket& socket) {
    for (const auto& route : must(net::listRoutes(socket, net::Family::kV4, net::kRouteProtocol))) {
      must(socket.execute(net::deleteRoute(route)));
    }
  });
}

TEST_F(Repair, NeighbourAndForwardingEntry) {
  comesBack([](TestNode&, net::NetlinkSocket& socket) {
    auto vxlan = must(net::findLink(socket, "podlab.1"));
    for (const auto& neighbour : must(net::listNeighbours(socket, vxlan->index))) {
      must(socket.execute(net::deleteNeighbour(neighbour)));
    }
    for (const auto& entry : must(net::listVxlanFdb(socket, vxlan->index))) {
      must(socket.execute(net::deleteFdb(entry)));
    }
  });
}

TEST_F(Repair, NeighbourEntriesOfPods) {
  comesBack([](TestNode&, net::NetlinkSocket& socket) {
    auto bridge = must(net::findLink(socket, net::kBridgeName));
    for (const auto& neighbour : must(net::listNeighbours(socket, bridge->index))) {
      must(socket.execute(net::deleteNeighbour(neighbour)));
    }
  });
}

TEST_F(Repair, ForeignEntriesOfOursGo) {
  comesBack([](TestNode&, net::NetlinkSocket& socket) {
    auto vxlan = must(net::findLink(socket, "podlab.1"));
    auto gateway = must(net::IpAddress::parse("10.244.77.0"));
    net::MacAddress mac{{2, 0, 0, 0, 0, 1}};
    must(socket.execute(net::replaceNeighbour({vxlan->index, gateway, mac})));
    must(socket.execute(
        net::replaceFdb({vxlan->index, mac, must(net::IpAddress::parse("192.0.2.77"))})));
    net::Route route;
    route.destination = must(net::Cidr::parse("10.244.77.0/24"));
    route.gateway = gateway;
    route.linkIndex = vxlan->index;
    must(socket.execute(net::replaceRoute(route, true)));
  });
}

TEST_F(Repair, BridgeSettings) {
  comesBack([](TestNode&, net::NetlinkSocket& socket) {
    auto bridge = must(net::findLink(socket, net::kBridgeName));
    net::LinkSettings settings;
    settings.mtu = 1300;
    settings.stp = true;
    settings.mac = net::MacAddress{{2, 0, 0, 0, 0, 1}};
    must(socket.executeAll(net::adjustLink(*bridge, settings)));
  });
}

TEST_F(Repair, BridgeAddress) {
  comesBack(
      [](TestNode&, net::NetlinkSocket& socket) {
        auto bridge = must(net::findLink(socket, net::kBridgeName));
        for (const auto& address : must(net::listAddresses(socket, bridge->index))) {
          must(socket.execute(net::deleteAddress(address)));
        }
      },
      /*sameEntries=*/false);
}

TEST_F(Repair, WholeBridge) {
  comesBack(
      [](TestNode&, net::NetlinkSocket& socket) {
        must(socket.execute(net::deleteLink(net::kBridgeName)));
      },
      /*sameEntries=*/false);
}

TEST_F(Repair, WholeVxlanDevice) {
  comesBack([](TestNode&,
               net::NetlinkSocket& socket) { must(socket.execute(net::deleteLink("podlab.1"))); },
            /*sameEntries=*/false);
}

TEST_F(Repair, WholeVeth) {
  comesBack([](TestNode& node, net::NetlinkSocket& socket) {
    must(socket.execute(net::deleteLink(net::podLinkName(node.pods[0].uid))));
  });
}

TEST_F(Repair, PortTakenOffTheBridgeAndDown) {
  comesBack([](TestNode& node, net::NetlinkSocket& socket) {
    auto port = must(net::findLink(socket, net::podLinkName(node.pods[0].uid)));
    net::LinkSettings settings;
    settings.master = 0;
    settings.up = false;
    must(socket.executeAll(net::adjustLink(*port, settings)));
  });
}

TEST_F(Repair, AddressInThePod) {
  comesBack([](TestNode& node, net::NetlinkSocket&) {
    inPod(node.pods[0], [&](net::NetlinkSocket& socket) {
      auto link = must(net::findLink(socket, "eth0"));
      for (const auto& address : must(net::listAddresses(socket, link->index))) {
        if (!address.linkLocal) must(socket.execute(net::deleteAddress(address)));
      }
    });
  });
}

TEST_F(Repair, RouteInThePod) {
  comesBack([](TestNode& node, net::NetlinkSocket&) {
    inPod(node.pods[0], [&](net::NetlinkSocket& socket) {
      for (const auto& route :
           must(net::listRoutes(socket, net::Family::kV4, net::kRouteProtocol))) {
        must(socket.execute(net::deleteRoute(route)));
      }
    });
  });
}

TEST_F(Repair, LinkInThePodDown) {
  comesBack([](TestNode& node, net::NetlinkSocket&) {
    inPod(node.pods[0], [&](net::NetlinkSocket& socket) {
      auto link = must(net::findLink(socket, "eth0"));
      net::LinkSettings settings;
      settings.up = false;
      must(socket.executeAll(net::adjustLink(*link, settings)));
    });
  });
}

TEST_F(Repair, LinkOfThePodMovedElsewhere) {
  comesBack([](TestNode& node, net::NetlinkSocket&) {
    must(net::inNetworkNamespace(node.pods[0].namespaces.network, [&]() -> Status {
      const std::string command =
          "ip link set eth0 netns " + node.pods[1].namespaces.network + " name moved";
      EXPECT_EQ(std::system(command.c_str()), 0);
      return Status();
    }));
  });
}

TEST(Dataplane, TurnsForwardingOnAgain) {
  isolated(Privilege::kRoot, [] {
    Loop loop;
    TestNetwork network(loop, {.nodes = 1, .v6 = true});
    network.configure();
    const TestNode& node = network.nodes()[0];
    for (const std::string name :
         {"ipv4/ip_forward", "ipv4/conf/podlab0/forwarding", "ipv6/conf/all/forwarding"}) {
      const auto value = [&] {
        return must(
            net::inNetworkNamespace(node.networkPath, [&] { return net::getSysctl(name); }));
      };
      EXPECT_EQ(value(), "1");
      must(net::inNetworkNamespace(node.networkPath, [&] { return net::setSysctl(name, "0"); }));
      EXPECT_TRUE(loop.eventually([&] { return value() == "1"; })) << name;
    }
  });
}

TEST(Dataplane, FollowsTheUnderlayMtu) {
  isolated(Privilege::kRoot, [] {
    Loop loop;
    TestNetwork network(loop, {.nodes = 2});
    network.configure();
    network.makePods(1);
    for (TestNode& node : network.nodes()) {
      auto socket = node.socket();
      auto underlay = must(net::findLink(socket, "eth0"));
      net::LinkSettings settings;
      settings.mtu = 1400;
      must(socket.executeAll(net::adjustLink(*underlay, settings)));
    }
    for (TestNode& node : network.nodes()) {
      auto mtus = [&] {
        auto socket = node.socket();
        auto inside = must(net::inNetworkNamespace(node.pods[0].namespaces.network,
                                                   [] { return net::NetlinkSocket::open(); }));
        return std::vector<int>{
            must(net::findLink(socket, "podlab.1"))->mtu,
            must(net::findLink(socket, net::kBridgeName))->mtu,
            must(net::findLink(socket, net::podLinkName(node.pods[0].uid)))->mtu,
            must(net::findLink(inside, "eth0"))->mtu};
      };
      EXPECT_TRUE(loop.eventually([&] { return mtus() == std::vector<int>(4, 1350); }));
    }
    network.expectFlat();
  });
}

TEST(Dataplane, APeerThatLeavesLeavesNothing) {
  isolated(Privilege::kRoot, [] {
    Loop loop;
    TestNetwork network(loop, {.nodes = 2});
    network.configure();
    network.makePods(1);
    network.expectFlat();
    TestNode& node = network.nodes()[0];
    must(loop.run(node.dataplane->setPeers({})));
    const NodeState state = stateOf(node);
    ASSERT_EQ(state.neighbours.size(), 1u);  // its own pod's
    EXPECT_EQ(state.neighbours[0].address, node.pods[0].addresses[0]);
    EXPECT_TRUE(state.fdb.empty());
    ASSERT_EQ(state.routes.size(), 2u);  // its own range, and what no node has
    // Traffic to it does not leak to the default route: it is refused at once. (The kernel limits
    // how often it says so, and two probes exhaust that.)
    net::ReachOptions options;
    options.timeout = std::chrono::seconds(1);
    for (const auto& outcome : network.reach(options)) {
      if (outcome.key.from != 0 || outcome.key.to != 1) continue;
      EXPECT_FALSE(outcome.ok());
      if (outcome.key.protocol == IPPROTO_TCP) continue;
      EXPECT_EQ(outcome.error, "no route to host, says 10.244.1.1");
    }
  });
}

TEST(Dataplane, APeerWithAnotherUnderlayAddressIsReplaced) {
  isolated(Privilege::kRoot, [] {
    Loop loop;
    TestNetwork network(loop, {.nodes = 3});
    network.configure();
    network.makePods(1);
    network.expectFlat();
    {
      auto socket = network.nodes()[1].socket();
      auto link = must(net::findLink(socket, "eth0"));
      auto before = must(net::IpAddress::parse("192.0.2.2"));
      auto after = must(net::IpAddress::parse("192.0.2.102"));
      must(socket.execute(net::deleteAddress({link->index, before, 24})));
      must(socket.execute(net::addAddress({link->index, after, 24}, true)));
    }
    network.configure();
    network.expectFlat();
    for (const auto& entry : stateOf(network.nodes()[0]).fdb) {
      EXPECT_NE(entry.destination->toString(), "192.0.2.2");
    }
  });
}

TEST(Dataplane, ReusesAnAddress) {
  isolated(Privilege::kRoot, [] {
    Loop loop;
    TestNetwork network(loop, {.nodes = 2, .v6 = true});
    network.configure();
    network.makePods(2);
    network.expectFlat();
    TestNode& node = network.nodes()[1];
    for (int round = 0; round < 3; ++round) {
      TestPod old = node.pods[0];
      must(loop.run(node.dataplane->removeSandbox(old.uid)));
      node.pods.erase(node.pods.begin());
      network.makePod(node, "again" + std::to_string(round), old.addresses);
      std::ranges::rotate(node.pods, node.pods.end() - 1);
      network.expectFlat();
    }
  });
}

TEST(Dataplane, AdoptsAfterARestart) {
  isolated(Privilege::kRoot, [] {
    Loop loop;
    TestNetwork network(loop, {.nodes = 2});
    network.configure();
    network.makePods(2);
    TestNode& node = network.nodes()[0];
    const NodeState before = stateOf(node);
    const TestPod pod = node.pods[0];
    const ino_t networkInode = inode(pod.namespaces.network);
    network.restart(node);
    EXPECT_EQ(must(loop.run(node.dataplane->listSandboxes())).size(), 2u);
    network.expectFlat();  // before anything is configured again
    network.configure();
    auto pods = std::exchange(node.pods, {});
    for (const TestPod& one : pods) network.makePod(node, one.uid, one.addresses);
    EXPECT_EQ(stateOf(node), before);
    EXPECT_EQ(inode(node.pods[0].namespaces.network), networkInode);
    network.expectFlat();
  });
}

TEST(Dataplane, RemovesLinksOfPodsThatAreGone) {
  isolated(Privilege::kRoot, [] {
    Loop loop;
    TestNetwork network(loop, {.nodes = 1});
    network.configure();
    network.makePods(2);
    TestNode& node = network.nodes()[0];
    // As an agent that was killed in the middle of a removal leaves it.
    auto pins = must(net::NamespacePins::open(node.pinFolder));
    must(pins.remove(node.pods[0].uid));
    auto holder = must(net::openSocketIn(node.pods[1].namespaces.network, AF_INET, SOCK_DGRAM, 0));
    network.restart(node);
    network.configure();
    auto socket = node.socket();
    EXPECT_FALSE(must(net::findLink(socket, net::podLinkName(node.pods[0].uid))).has_value());
    EXPECT_TRUE(must(net::findLink(socket, net::podLinkName(node.pods[1].uid))).has_value());
  });
}

TEST(Dataplane, RemovesAllThatItMadeAndNothingElse) {
  isolated(Privilege::kRoot, [] {
    Loop loop;
    TestNetwork network(loop, {.nodes = 2, .v6 = true});
    TestNode& node = network.nodes()[0];
    auto text = [&] {
      auto socket = node.socket();
      std::string all;
      for (const auto& link : must(net::listLinks(socket))) all += link.name + "\n";
      for (auto family : {net::Family::kV4, net::Family::kV6}) {
        for (const auto& route : must(net::listRoutes(socket, family))) {
          all += route.toString() + "\n";
        }
      }
      return all;
    };
    // The kernel adds its own route to a link some time after that has a carrier.
    for (int i = 0; i < 500 && text().find("fe80::/64") == std::string::npos; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const std::string before = text();
    network.configure();
    network.makePods(2);
    EXPECT_NE(text(), before);
    must(loop.run(node.dataplane->removeAll()));
    EXPECT_EQ(text(), before);
    EXPECT_EQ(access(node.pinFolder.c_str(), F_OK), -1);
    must(loop.run(node.dataplane->removeAll()));
  });
}

TEST(Dataplane, SandboxesAreRepeatable) {
  isolated(Privilege::kRoot, [] {
    Loop loop;
    TestNetwork network(loop, {.nodes = 1});
    network.configure();
    TestNode& node = network.nodes()[0];
    TestPod first = network.makePod(node, "uid", TestNetwork::addressesAt(node, 2));
    const ino_t before = inode(first.namespaces.network);
    network.makePod(node, "uid", TestNetwork::addressesAt(node, 2));
    EXPECT_EQ(inode(first.namespaces.network), before);
    must(loop.run(node.dataplane->removeSandbox("uid")));
    must(loop.run(node.dataplane->removeSandbox("uid")));
    EXPECT_TRUE(must(loop.run(node.dataplane->listSandboxes())).empty());
    node.pods.clear();
    network.makePod(node, "uid", TestNetwork::addressesAt(node, 3));
    network.expectFlat();
  });
}

TEST(Dataplane, HostNetworkPodsHaveTheNodesNetworkAndTheirOwnIpc) {
  isolated(Privilege::kRoot, [] {
    Loop loop;
    TestNetwork network(loop, {.nodes = 1});
    TestNode& node = network.nodes()[0];
    node::SandboxSpec spec;
    spec.podUid = "host";
    spec.hostNetwork = true;
    auto sandbox = must(loop.run(node.dataplane->createSandbox(spec)));
    EXPECT_EQ(sandbox.network, "");
    EXPECT_EQ(sandbox.uts, "");
    EXPECT_NE(inode(sandbox.ipc), inode("/proc/self/ns/ipc"));
    must(loop.run(node.dataplane->removeSandbox("host")));
  });
}

// More than a window of them; each failure is told of the request that failed, and of no other.
TEST(Netlink, TellsWhichOfManyRequestsFailed) {
  isolated(Privilege::kRoot, [] {
    auto socket = must(net::NetlinkSocket::open());
    constexpr std::size_t kRequests = 300;
    const auto loopback = must(net::findLink(socket, "lo"));
    std::vector<net::NetlinkMessage> requests;
    std::vector<bool> fails(kRequests);
    for (const std::size_t at : {0, 1, 127, 128, 200, 299}) fails[at] = true;
    for (std::size_t i = 0; i < kRequests; ++i) {
      net::LinkAddress address;
      address.linkIndex = fails[i] ? 9999 : loopback->index;
      address.address = must(net::IpAddress::parse("10.1.0.1")).plus(i);
      address.prefix = 32;
      requests.push_back(net::addAddress(address, true));
    }
    const auto statuses = socket.executeEach(requests);
    ASSERT_EQ(statuses.size(), kRequests);
    for (std::size_t i = 0; i < kRequests; ++i) EXPECT_NE(statuses[i].ok(), fails[i]) << i;
    // Nothing is left over that the next answer would be taken for.
    net::LinkAddress one;
    one.linkIndex = loopback->index;
    one.address = must(net::IpAddress::parse("10.1.0.3"));
    one.prefix = 32;
    EXPECT_TRUE(socket.execute(net::deleteAddress(one)).ok());
    EXPECT_FALSE(socket.execute(net::deleteAddress(one)).ok());
  });
}

TEST(Dataplane, SaysWhatIsWrong) {
  isolated(Privilege::kRoot, [] {
    Loop loop;
    TestNetwork network(loop, {.nodes = 1});
    TestNode& node = network.nodes()[0];
    node::SandboxSpec spec;
    spec.podUid = "uid";
    spec.addresses = TestNetwork::addressesAt(node, 2);
    EXPECT_EQ(loop.run(node.dataplane->createSandbox(spec)).status().code(), Code::kUnavailable);
    node::NodeNetwork bad;
    bad.podRanges = node.ranges;
    bad.backend = "magic";
    EXPECT_NE(loop.run(node.dataplane->configureNode(bad)).message().find("\"magic\""),
              std::string::npos);
    network.configure();
    spec.addresses = {must(net::IpAddress::parse("10.9.9.9"))};
    EXPECT_NE(loop.run(node.dataplane->createSandbox(spec)).status().message().find("10.9.9.9"),
              std::string::npos);
    // A link that only has the same name is not touched.
    must(loop.run(node.dataplane->removeAll()));
    auto socket = node.socket();
    must(socket.execute(net::newBridge(net::kBridgeName, net::MacAddress{{2}}, 1500)));
    node::NodeNetwork good;
    good.podRanges = node.ranges;
    Status refused = loop.run(node.dataplane->configureNode(good));
    EXPECT_EQ(refused.code(), Code::kConflict);
    EXPECT_NE(refused.message().find(net::kBridgeName), std::string::npos);
    // The kernel's own words.
    net::Route route;
    route.destination = must(net::Cidr::parse("198.51.100.0/24"));
    route.gateway = must(net::IpAddress::parse("203.0.113.1"));
    Status failed = socket.execute(net::replaceRoute(route));
    EXPECT_NE(failed.message().find("198.51.100.0/24"), std::string::npos) << failed.message();
    EXPECT_NE(failed.message().find("gateway"), std::string::npos) << failed.message();
  });
}

TEST(Reach, TellsWhyNot) {
  isolated(Privilege::kRoot, [] {
    Loop loop;
    TestNetwork network(loop, {.nodes = 1});
    network.configure();
    network.makePods(2);
    TestNode& node = network.nodes()[0];
    // Pod 1 has no receivers, but is observed; the third does not exist.
    const auto& pods = node.pods;
    const net::ReachPort udp{IPPROTO_UDP, net::kReachPort};
    const net::ReachPort tcp{IPPROTO_TCP, net::kReachPort};
    const net::ReachPort icmp{IPPROTO_ICMP, 0};
    std::vector<net::ReachEnd> ends{
        {true, pods[0].namespaces.network, true, false, pods[0].addresses, {}, {}},
        {true, pods[1].namespaces.network, false, true, pods[1].addresses, {}, {icmp, udp, tcp}},
        {false, "", false, true, TestNetwork::addressesAt(node, 99), {}, {icmp, udp, tcp}}};
    net::ReachSession session(loop.io.get_executor(), *loop.clock, *loop.pool, 7, ends);
    must(loop.run(session.listen()));
    net::ReachOptions options;
    options.timeout = std::chrono::milliseconds(300);
    const auto outcomes = loop.run(session.send(options));
    EXPECT_EQ(outcomes.size(), 6U);
    for (const auto& outcome : outcomes) {
      EXPECT_GT(outcome.sent, 0U);
      if (outcome.key.to == 2) {
        EXPECT_FALSE(outcome.ok());
        EXPECT_EQ(outcome.error, "no answer within 300ms");
      } else if (outcome.key.protocol == IPPROTO_ICMP) {
        EXPECT_TRUE(outcome.ok()) << outcome.error;
      } else {
        EXPECT_TRUE(outcome.refused);
        EXPECT_TRUE(outcome.error.starts_with("connection refused")) << outcome.error;
      }
    }
    // That all three arrived at pod 1 is known all the same.
    const auto arrivals = session.arrivals();
    ASSERT_EQ(arrivals.size(), 3U);
    for (const auto& arrival : arrivals) {
      EXPECT_EQ(arrival.key.from, 0U);
      EXPECT_EQ(arrival.key.to, 1U);
      EXPECT_GT(arrival.count, 0U);
    }
  });
}

TEST(Reach, TwoSessionsAtOnceDoNotDisturbEachOther) {
  isolated(Privilege::kRoot, [] {
    Loop loop;
    TestNetwork network(loop, {.nodes = 1});
    network.configure();
    network.makePods(2);
    std::vector<net::ReachEnd> ends;
    for (const TestPod& pod : network.nodes()[0].pods) {
      ends.push_back(
          {true,
           pod.namespaces.network,
           true,
           true,
           pod.addresses,
           {},
           {{IPPROTO_UDP, net::kReachPort, true}, {IPPROTO_TCP, net::kReachPort, true}}});
    }
    const auto session = [&](std::uint32_t number, std::vector<net::ReachEnd> some) {
      return net::ReachSession(loop.io.get_executor(), *loop.clock, *loop.pool, number,
                               std::move(some));
    };
    net::ReachSession one = session(1, ends);
    std::ranges::reverse(ends);
    net::ReachSession other = session(2, ends);
    must(loop.run(one.listen()));
    must(loop.run(other.listen()));
    net::ReachOptions options;
    options.timeout = std::chrono::seconds(5);
    options.count = 20;  // to either's receivers
    for (net::ReachSession* each : {&one, &other}) {
      const auto outcomes = loop.run(each->send(options));
      EXPECT_EQ(outcomes.size(), 8U);
      for (const auto& outcome : outcomes) {
        EXPECT_TRUE(outcome.ok()) << outcome.error;
        EXPECT_EQ(outcome.answered, 20U);
      }
    }
  });
}

TEST(Reach, CountsWhatIsLostOnTheWayAndOnTheWayBack) {
  isolated(Privilege::kRoot, [] {
    Loop loop;
    TestNetwork network(loop, {.nodes = 2, .v6 = true});
    network.configure();
    network.makePods(1);
    // The second pod cannot answer the first: one-way.
    const TestPod& first = network.nodes()[0].pods[0];
    const TestPod& second = network.nodes()[1].pods[0];
    auto socket = must(net::inNetworkNamespace(second.namespaces.network,
                                               [] { return net::NetlinkSocket::open(); }));
    for (const auto& address : first.addresses) {
      net::Route route;
      route.destination = net::Cidr(address, address.bits());
      route.unreachable = true;
      must(socket.execute(net::replaceRoute(route)));
    }
    net::ReachOptions options;
    options.timeout = std::chrono::milliseconds(300);
    options.interval = std::chrono::milliseconds(10);
    (void)network.reach(options);  // the first packets of a link may be lost to its discovery
    options.count = 3;
    std::vector<net::ProbeArrivals> arrivals;
    const auto outcomes = network.reach(options, &arrivals);
    std::map<net::ProbeKey, std::uint32_t> seen;
    for (const auto& arrival : arrivals) seen[arrival.key] = arrival.count;
    EXPECT_EQ(outcomes.size(), 4U * 2 * 3);
    for (const auto& [key, sent, answered, refused, error, min, mean, max] : outcomes) {
      EXPECT_EQ(sent, 3U);
      EXPECT_EQ(answered, key.from == key.to ? 3U : 0U) << key.from << key.to << error;
      EXPECT_EQ(seen[key], key.from == 1 && key.to == 0 ? 0U : 3U)
          << key.from << key.to << " protocol " << int{key.protocol};
    }
  });
}

}  // namespace
}  // namespace podlab::test
