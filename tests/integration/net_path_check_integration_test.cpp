// What others break in a node's kernel, and what is said of it: nobody repairs here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstdlib>

#include "common/sync.hpp"
#include "net/nft_trace.hpp"
#include "net/path_check.hpp"
#include "net/pod_link.hpp"
#include "net_fixture.hpp"

namespace podlab::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Matcher;

/// Two nodes with two pods each.
struct Damaged {
  explicit Damaged(Loop& theLoop, TestNetworkOptions options)
      : loop(theLoop), network(theLoop, options) {
    network.configure();
    network.makePods(2);
    for (TestNode& one : network.nodes()) loop.run(one.dataplane->stop());
  }

  TestNode& node(int i) { return network.nodes()[static_cast<std::size_t>(i)]; }
  const TestPod& pod(int i, int which = 0) { return node(i).pods[static_cast<std::size_t>(which)]; }

  static void run(const std::string& command) {
    EXPECT_EQ(std::system((command + " >/dev/null").c_str()), 0) << command;
  }
  /// A program of the host in a node's or pod's network.
  static void in(const std::string& networkPath, const std::string& command) {
    must(net::inNetworkNamespace(networkPath, [&]() -> Status {
      run(command);
      return Status();
    }));
  }
  void onNode(int i, const std::string& command) { in(node(i).networkPath, command); }
  void inPod(int i, const std::string& command) { in(pod(i).namespaces.network, command); }

  net::PathEnd end(int i, int which, net::Family family, int local) {
    net::PathEnd made;
    made.name = "demo/pod" + std::to_string(2 * i + which);
    made.node = node(i).name;
    made.podUid = pod(i, which).uid;
    if (i == local) made.networkPath = pod(i, which).namespaces.network;
    for (const auto& address : pod(i, which).addresses) {
      if (address.family() == family) made.address = address;
    }
    auto socket = node(i).socket();
    made.underlay = must(net::findUnderlay(socket, std::nullopt)).addresses;
    return made;
  }

  /// What the nodes say about the way from the first node's first pod to the second's, or to its
  /// own neighbour; its packets are traced.
  std::string cause(net::Family family, int size = 0, bool sameNode = false) {
    const int target = sameNode ? 0 : 1;
    const auto probe = [&](int local) {
      return net::PathProbe{end(0, 0, family, local), end(target, sameNode ? 1 : 0, family, local),
                            IPPROTO_UDP, net::kReachPort, size};
    };
    const std::set<std::pair<net::IpAddress, net::IpAddress>> pairs{
        {probe(0).from.address, probe(0).to.address}};
    std::vector<std::shared_ptr<net::NftTrace>> traces;
    for (const int i : {0, 1}) {
      traces.push_back(
          must(net::NftTrace::open(loop.io.get_executor(), node(i).networkPath, pairs, 8472)));
    }
    net::ReachOptions options;
    options.timeout = std::chrono::milliseconds(90);
    options.packetSize = size;
    (void)network.reach(options);
    std::string found;
    for (const int i : {0, 1}) {
      traces[static_cast<std::size_t>(i)]->finish();
      if (!found.empty()) continue;
      net::PathCheck check(node(i).name, node(i).networkPath,
                           traces[static_cast<std::size_t>(i)]);
      if (i == 0) found = check.leaving(probe(0));
      if (i == target && found.empty() && !sameNode) found = check.arriving(probe(1));
    }
    return found;
  }

  Loop& loop;
  TestNetwork network;
};

class PathCheckTest : public testing::Test {
 protected:
  using Damage = std::function<void(Damaged&)>;
  /// Nothing is wrong before the damage, and then what `matcher` says.
  static void names(const Damage& damage, const Matcher<std::string>& matcher,
                    net::Family family = net::Family::kV4, int size = 0, bool sameNode = false) {
    isolated(Privilege::kRoot, [&] {
      Loop loop;
      Damaged damaged(loop, {.nodes = 2, .v6 = true});
      EXPECT_EQ(damaged.cause(family, size, sameNode), "");
      damage(damaged);
      EXPECT_THAT(damaged.cause(family, size, sameNode), matcher);
    });
  }
};

constexpr auto kV4 = net::Family::kV4;
constexpr auto kV6 = net::Family::kV6;

TEST_F(PathCheckTest, ForwardingEntry) {
  names(
      [](Damaged& net) {
        net.onNode(0,
                   "bridge fdb flush dev podlab.1 || bridge fdb del $(bridge fdb show dev podlab.1 "
                   "| head -1 | cut -d' ' -f1) dev podlab.1");
      },
      AllOf(HasSubstr("no forwarding entry for "), HasSubstr("(node2) on podlab.1 on node1")));
}

TEST_F(PathCheckTest, Route) {
  names([](Damaged& net) { net.onNode(0, "ip route del 10.244.2.0/24 via 10.244.2.0"); },
        HasSubstr("no route to 10.244.2."));
  names([](Damaged& net) { net.onNode(0, "ip -6 route flush proto 112 dev podlab.1"); },
        AllOf(HasSubstr("no route to fd00:"), HasSubstr("on node1")), kV6);
}

TEST_F(PathCheckTest, RouteOfTheTargetsNode) {
  names([](Damaged& net) { net.onNode(1, "ip route del 10.244.2.0/24 dev podlab0"); },
        AllOf(HasSubstr("no route to 10.244.2."), HasSubstr("on node2")));
}

TEST_F(PathCheckTest, RouteInThePod) {
  names([](Damaged& net) { net.inPod(0, "ip route del default"); },
        AllOf(HasSubstr("no route to 10.244.2."), HasSubstr("in pod demo/pod0")));
}

TEST_F(PathCheckTest, Neighbour) {
  names([](Damaged& net) { net.onNode(0, "ip neigh del 10.244.2.0 dev podlab.1"); },
        HasSubstr("no neighbour entry for 10.244.2.0 on podlab.1 on node1"));
  names([](Damaged& net) { net.onNode(1, "ip -4 neigh flush nud permanent dev podlab0"); },
        AllOf(HasSubstr("no neighbour entry for 10.244.2."), HasSubstr("on podlab0 on node2")));
}

TEST_F(PathCheckTest, Mtu) {
  names([](Damaged& net) { net.onNode(1, "ip link set podlab0 mtu 1300"); },
        HasSubstr("MTU 1300 of bridge podlab0 on node2 is too small for packets of 1450 bytes"),
        kV4, 1450);
  names([](Damaged& net) { net.onNode(0, "ip link set podlab.1 mtu 1300"); },
        HasSubstr("MTU 1300 of link podlab.1 on node1 is too small"), kV4, 1450);
}

TEST_F(PathCheckTest, BridgeDown) {
  names([](Damaged& net) { net.onNode(0, "ip link set podlab0 down"); },
        HasSubstr("bridge podlab0 is down on node1"));
  names([](Damaged& net) { net.onNode(1, "ip link set podlab0 down"); },
        HasSubstr("bridge podlab0 is down on node2"));
}

TEST_F(PathCheckTest, TunnelAndUnderlayDown) {
  names([](Damaged& net) { net.onNode(1, "ip link set podlab.1 down"); },
        HasSubstr("link podlab.1 is down on node2"));
  names([](Damaged& net) { net.onNode(1, "ip link set eth0 down"); },
        HasSubstr("underlay link eth0 is down on node2"));
}

TEST_F(PathCheckTest, VethMoved) {
  names([](Damaged& net) { net.inPod(0, "ip link set eth0 name gone"); },
        HasSubstr("link eth0 is missing in pod demo/pod0"));
  names(
      [](Damaged& net) {
        net.onNode(1, "ip link set " + net::podLinkName(net.pod(1).uid) + " nomaster");
      },
      HasSubstr("of pod demo/pod2 is not a port of the bridge on node2"));
}

TEST_F(PathCheckTest, Forwarding) {
  names([](Damaged& net) { net.onNode(0, "sysctl -w net.ipv4.ip_forward=0"); },
        HasSubstr("forwarding is off on node1: net.ipv4.ip_forward is 0"));
  names([](Damaged& net) { net.onNode(1, "sysctl -w net.ipv6.conf.all.forwarding=0"); },
        HasSubstr("forwarding is off on node2: net.ipv6.conf.all.forwarding is 0"), kV6);
}

TEST_F(PathCheckTest, ForeignRule) {
  const auto rule = [](int node, const std::string& match) {
    return [node, match](Damaged& net) {
      net.onNode(node,
                 "nft 'add table inet foreign; add chain inet foreign block { type filter hook "
                 "forward priority 10; }; add rule inet foreign block " +
                     match + "'");
    };
  };
  names(rule(1, "udp dport 28462 drop comment \"not here\""),
        AllOf(HasSubstr("dropped on node2 by nftables, not podlab's: table inet foreign, chain "
                        "block, rule with handle "),
              HasSubstr("(\"not here\")")));
  names(rule(0, "meta l4proto udp reject"), HasSubstr("dropped on node1 by nftables"), kV6);
  names(
      [](Damaged& net) {
        net.onNode(0,
                   "nft 'add table ip other; add chain ip other every { type filter hook forward "
                   "priority 0; policy drop; }'");
      },
      HasSubstr("table ip other, chain every, its policy"), kV4, 0, /*sameNode=*/true);
}

TEST_F(PathCheckTest, DuplicateAddress) {
  names(
      [](Damaged& net) {
        net.onNode(1, "ip address add " + net.pod(1).addresses[0].toString() + "/32 dev eth0");
      },
      AllOf(HasSubstr("duplicate address: 10.244.2."),
            HasSubstr(" of demo/pod2 is also on link eth0 of node2")));
}

TEST_F(PathCheckTest, UdpPortBlocked) {
  names(
      [](Damaged& net) {
        net.onNode(1,
                   "nft 'add table inet foreign; add chain inet foreign block { type filter hook "
                   "input priority 0; }; add rule inet foreign block udp dport 8472 drop'");
      },
      HasSubstr("UDP port 8472 (VXLAN) is blocked: dropped on node2 by nftables"));
  // By somebody between them.
  names(
      [](Damaged& net) {
        net.onNode(1,
                   "nft 'add table netdev foreign; add chain netdev foreign block { type filter "
                   "hook ingress device eth0 priority 0; }; add rule netdev foreign block udp "
                   "dport 8472 drop'");
      },
      HasSubstr("nothing comes from node1 to node2 by UDP port 8472 (VXLAN): it is blocked"));
}

}  // namespace
}  // namespace podlab::test
