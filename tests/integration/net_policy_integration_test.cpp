// Network policies on the real kernel: packets against the model, repair, take-over.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <set>

#include "net/nft_kernel.hpp"
#include "net/reach_packet.hpp"
#include "policy/rules.hpp"
#include "tests/integration/net_fixture.hpp"
#include "tests/integration/policy_probe.hpp"
#include "tests/policy/random_policies.hpp"

namespace podlab::test {
namespace {

using net::Family;
using policy::Cluster;
using policy::Protocol;

using Policies = std::vector<std::shared_ptr<const networkingv1::NetworkPolicy>>;

net::NetlinkSocket netfilterSocket(const TestNode& node) {
  return must(net::inNetworkNamespace(node.networkPath, [] {
    return net::NetlinkSocket::open(net::NetlinkSocket::Protocol::kNetfilter);
  }));
}

std::optional<net::NftTable> tableIn(const TestNode& node) {
  auto socket = netfilterSocket(node);
  return must(net::readTable(socket));
}

std::optional<net::NftTable> tableFor(const Cluster& cluster, const std::string& node,
                                      const Policies& policies) {
  policy::PodIndex index;
  for (const auto& pod : cluster.pods) {
    index.put(*pod, policy::addressesOf(*pod), pod->spec().nodename() == node);
  }
  std::map<std::string, api::Labels> namespaces;
  for (const auto& ns : cluster.namespaces) {
    namespaces[ns->metadata().name()] = ns->metadata().labels();
  }
  return policy::nodeTable(index, namespaces, policies);
}

/// A network with the pods of a cluster, whose policies can be put into force.
class World {
 public:
  World(Loop& loop, std::size_t nodes, Cluster cluster, std::size_t podsPerNode, bool v6 = true)
      : loop_(loop), cluster_(std::move(cluster)), network_(loop, {.nodes = nodes, .v6 = v6}) {
    network_.configure();
    network_.makePods(podsPerNode);
    for (const TestNode& node : network_.nodes()) {
      for (const TestPod& pod : node.pods) pods_.push_back(pod);
    }
  }
  void enforce(const Policies& policies) {
    for (TestNode& node : network_.nodes()) {
      must(loop_.run(node.dataplane->setFirewall(tableFor(cluster_, node.name, policies))));
    }
  }
  TestNetwork& network() { return network_; }
  const std::vector<TestPod>& pods() const { return pods_; }
  const Cluster& cluster() const { return cluster_; }

 private:
  Loop& loop_;
  Cluster cluster_;
  TestNetwork network_;
  std::vector<TestPod> pods_;
};

/// Real packets of many policy sets, one after the other, over the same pods.
void compareWithTheModel(std::size_t nodes, std::size_t podsPerNode, std::uint64_t firstSeed,
                         int sets) {
  Loop loop;
  policy::ClusterShape shape;
  shape.nodes = nodes;
  shape.podsPerNode = podsPerNode;
  SeededRng rng(firstSeed);
  World world(loop, nodes, policy::randomCluster(rng, shape), podsPerNode);
  PolicyProbe probe(world.pods(), {80, 81, 443, 8080, 9999});
  const auto endpoint = [&](std::size_t pod, Family family) {
    const auto& object = *world.cluster().pods[pod];
    for (const auto& address : policy::addressesOf(object)) {
      if (address.family() == family) return policy::Endpoint::pod(api::keyOf(object), address);
    }
    throw std::runtime_error("no address");
  };
  std::size_t cells = 0;
  std::size_t refused = 0;
  for (int i = 0; i < sets; ++i) {
    const std::uint64_t seed = firstSeed + 1 + static_cast<std::uint64_t>(i);
    SCOPED_TRACE("cluster of seed " + std::to_string(firstSeed) + ", policies of seed " +
                 std::to_string(seed));
    SeededRng policyRng(seed);
    shape.policies = i % 3 == 2 ? 24 : policy::ClusterShape().policies;
    const Policies policies = policy::randomPolicies(policyRng, shape);
    world.enforce(policies);
    const policy::Model model(world.cluster().pods, world.cluster().namespaces, policies);
    std::set<Cell> expected;
    for (const Cell& cell : probe.cells()) {
      if (model
              .judge(endpoint(cell.from, cell.family), endpoint(cell.to, cell.family),
                     cell.protocol, cell.port)
              .allowed) {
        expected.insert(cell);
      }
    }
    const std::set<Cell> answered = probe.ask(expected);
    cells += probe.cells().size();
    refused += probe.cells().size() - expected.size();
    int shown = 0;
    for (const Cell& cell : probe.cells()) {
      if (answered.contains(cell) == expected.contains(cell)) continue;
      const auto verdict = model.judge(endpoint(cell.from, cell.family),
                                       endpoint(cell.to, cell.family), cell.protocol, cell.port);
      ADD_FAILURE() << endpoint(cell.from, cell.family).toString() << " to "
                    << endpoint(cell.to, cell.family).toString() << " IPv"
                    << static_cast<int>(cell.family) << " " << protocolName(cell.protocol) << " "
                    << cell.port << ": "
                    << (answered.contains(cell) ? "passed, though: " : "no answer, though: ")
                    << verdict.reason;
      if (++shown > 10) return;
    }
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(refused, cells / 20);
  std::printf("%zu cells of %d policy sets, %zu of them refused\n", cells, sets, refused);
}

TEST(PolicyPackets, AgreeWithTheModelOnThreeNodes) {
  isolated(Privilege::kRoot, [] { compareWithTheModel(3, 4, 1000, 40); });
}

TEST(PolicyPackets, AgreeWithTheModelRootless) {
  isolated(Privilege::kUserNamespace, [] { compareWithTheModel(2, 3, 2000, 15); });
}

/// Two pods on nodes of their own: pod 0 of node1, "client", and of node2, "server".
Cluster pair() {
  policy::ClusterShape shape;
  shape.nodes = 2;
  shape.podsPerNode = 1;
  SeededRng rng(1);
  Cluster cluster = policy::randomCluster(rng, shape);
  for (auto& pod : cluster.pods) {
    auto copy = std::make_shared<corev1::Pod>(*pod);
    copy->mutable_metadata()->set_namespace_("x");
    pod = copy;
  }
  return cluster;
}

std::shared_ptr<networkingv1::NetworkPolicy> denyAll(const std::string& name) {
  auto policy = std::make_shared<networkingv1::NetworkPolicy>();
  policy->mutable_metadata()->set_namespace_("x");
  policy->mutable_metadata()->set_name(name);
  policy->mutable_spec()->mutable_podselector();
  policy->mutable_spec()->add_policytypes("Ingress");
  policy->mutable_spec()->add_policytypes("Egress");
  return policy;
}

UniqueFd socketOf(const TestPod& pod, int type) {
  return must(net::openSocketIn(pod.namespaces.network, AF_INET, type, 0));
}

bool readable(int fd, int milliseconds) {
  pollfd one{fd, POLLIN, 0};
  return ::poll(&one, 1, milliseconds) > 0;
}

/// A connection from the first to the second pod.
struct Connection {
  UniqueFd client;
  UniqueFd server;
};
Connection connectPods(const TestPod& from, const TestPod& to, UniqueFd& listener) {
  const net::SocketAddress address(to.addresses.front(), 7000);
  const int on = 1;
  listener = socketOf(to, SOCK_STREAM);
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  EXPECT_EQ(::bind(listener.get(), address.get(), address.size), 0);
  EXPECT_EQ(::listen(listener.get(), 8), 0);
  Connection made;
  made.client = socketOf(from, SOCK_STREAM);
  beginConnect(made.client, address);
  EXPECT_TRUE(readable(listener.get(), 5000));
  made.server = UniqueFd(::accept(listener.get(), nullptr, nullptr));
  EXPECT_TRUE(made.server);
  return made;
}

TEST(PolicyPackets, EstablishedTcpGoesOnAndNewOnesAreRefused) {
  isolated(Privilege::kRoot, [] {
    Loop loop;
    World world(loop, 2, pair(), 1);
    UniqueFd listener;
    const Connection open = connectPods(world.pods()[0], world.pods()[1], listener);
    world.enforce({denyAll("deny")});
    for (const auto& [from, to] : {std::pair(open.client.get(), open.server.get()),
                                   std::pair(open.server.get(), open.client.get())}) {
      ASSERT_EQ(::send(from, "hello", 5, 0), 5);
      ASSERT_TRUE(readable(to, 5000));
      char buffer[8];
      EXPECT_EQ(::recv(to, buffer, sizeof buffer, 0), 5);
    }
    const net::SocketAddress address(world.pods()[1].addresses.front(), 7000);
    UniqueFd another = socketOf(world.pods()[0], SOCK_STREAM);
    beginConnect(another, address);
    EXPECT_FALSE(readable(listener.get(), 200));
    // And the node still reaches its pod, as probes do.
    const TestNode& node = world.network().nodes()[1];
    UniqueFd probe = must(net::openSocketIn(node.networkPath, AF_INET, SOCK_STREAM, 0));
    beginConnect(probe, address);
    EXPECT_TRUE(readable(listener.get(), 5000));
  });
}

TEST(PolicyPackets, WithoutPoliciesThereIsNoTable) {
  isolated(Privilege::kRoot, [] {
    Loop loop;
    World world(loop, 2, pair(), 1);
    const TestNode& node = world.network().nodes()[0];
    EXPECT_FALSE(tableIn(node));
    world.enforce({denyAll("deny")});
    EXPECT_TRUE(tableIn(node));
    world.enforce({});
    EXPECT_FALSE(tableIn(node));
    must(loop.run(world.network().nodes()[0].dataplane->removeAll()));
  });
}

/// A change of the table by somebody else.
using Damage = std::function<void(net::NetlinkSocket& socket, const net::NftTable& table)>;

void isRepaired(const Damage& damage) {
  isolated(Privilege::kRoot, [&] {
    Loop loop;
    World world(loop, 2, pair(), 1);
    world.enforce({denyAll("deny")});
    TestNode& node = world.network().nodes()[1];
    const auto good = tableIn(node);
    ASSERT_TRUE(good);
    auto socket = netfilterSocket(node);
    const auto before = must(net::nftGeneration(socket));
    damage(socket, *good);
    ASSERT_GT(must(net::nftGeneration(socket)), before) << "nothing was damaged";
    // The damage is one transaction, the repair another.
    EXPECT_TRUE(loop.eventually(
        [&] { return must(net::nftGeneration(socket)) >= before + 2 && tableIn(node) == good; }));
    PolicyProbe probe(world.pods(), {80});
    EXPECT_TRUE(probe.ask({}).empty());
  });
}

TEST(PolicyRepair, TheTableIsDeleted) {
  isRepaired([](net::NetlinkSocket& socket, const net::NftTable& table) {
    must(net::applyChanges(socket, net::tableChanges(table, std::nullopt)));
  });
}

TEST(PolicyRepair, AChainIsEmptied) {
  isRepaired([](net::NetlinkSocket& socket, const net::NftTable& table) {
    net::NftTable damaged = table;
    damaged.chains["ingress"].rules.emplace();
    net::NftTable known = table;
    for (auto& [name, chain] : known.chains) {
      if (name != "ingress") chain.rules.emplace();
      if (name != "ingress") damaged.chains[name].rules.emplace();
    }
    must(net::applyChanges(socket, net::tableChanges(known, damaged)));
  });
}

TEST(PolicyRepair, AnElementIsTakenOut) {
  isRepaired([](net::NetlinkSocket& socket, const net::NftTable& table) {
    net::NftTable known = table;
    for (auto& [name, chain] : known.chains) chain.rules.emplace();
    net::NftTable damaged = known;
    damaged.sets["ingress_v4"].elements.clear();
    must(net::applyChanges(socket, net::tableChanges(known, damaged)));
  });
}

TEST(PolicyRepair, ARuleIsPutBeforeOurs) {
  isRepaired([](net::NetlinkSocket& socket, const net::NftTable& table) {
    net::NftTable known = table;
    for (auto& [name, chain] : known.chains) chain.rules.emplace();
    net::NftTable damaged = known;
    damaged.chains["foreign"] = {net::NftHook{2 /* NF_INET_FORWARD */, -5},
                                 {{net::NftRuleWriter().accept().rule()}}};
    must(net::applyChanges(socket, net::tableChanges(known, damaged)));
  });
}

// The next agent finds the table, and takes over without losing what is remembered.
TEST(PolicyRepair, ANewAgentTakesTheTableOver) {
  isolated(Privilege::kRoot, [] {
    Loop loop;
    World world(loop, 2, pair(), 1);
    auto policy = denyAll("only-replies");
    // The client may ask, the server may be asked, and says nothing by itself.
    auto& peer = *policy->mutable_spec()->add_egress()->add_to()->mutable_ipblock();
    peer.set_cidr("10.244.2.0/24");
    policy->mutable_spec()->add_ingress()->add_from()->mutable_ipblock()->set_cidr("10.244.1.0/24");
    const Policies policies{policy};
    world.enforce(policies);
    UniqueFd client = socketOf(world.pods()[0], SOCK_DGRAM);
    UniqueFd server = socketOf(world.pods()[1], SOCK_DGRAM);
    const net::SocketAddress at(world.pods()[1].addresses.front(), 7001);
    ASSERT_EQ(::bind(server.get(), at.get(), at.size), 0);
    // The kernel lets a link carry packets a moment after it is up: the first may be lost.
    int asked = 0;
    do {
      ASSERT_EQ(::sendto(client.get(), "ask", 3, 0, at.get(), at.size), 3);
    } while (!readable(server.get(), 100) && ++asked < 50);
    char buffer[8];
    net::SocketAddress asker;
    ASSERT_EQ(
        ::recvfrom(server.get(), buffer, sizeof buffer, MSG_DONTWAIT, asker.get(), &asker.size), 3);

    for (TestNode& node : world.network().nodes()) {
      const auto before = tableIn(node);
      world.network().restart(node);
      EXPECT_EQ(tableIn(node), before);
    }
    world.network().configure();
    auto more = policies;
    more.push_back(denyAll("another"));
    world.enforce(more);
    for (const TestNode& node : world.network().nodes()) EXPECT_TRUE(tableIn(node));
    ASSERT_EQ(::sendto(server.get(), "answer", 6, 0, asker.get(), asker.size), 6);
    EXPECT_TRUE(readable(client.get(), 5000));
    UniqueFd stranger = socketOf(world.pods()[1], SOCK_DGRAM);
    ASSERT_EQ(::recv(client.get(), buffer, sizeof buffer, 0), 6);
    ASSERT_EQ(::sendto(stranger.get(), "hello", 5, 0, asker.get(), asker.size), 5);
    EXPECT_FALSE(readable(client.get(), 150));
  });
}

// A pod with raw sockets cannot reach another past the hook, by its MAC address.
TEST(PolicyPackets, NoFrameGoesFromPodToPod) {
  isolated(Privilege::kRoot, [] {
    Loop loop;
    TestNetwork network(loop, {.nodes = 1});
    network.configure();
    network.makePods(2);
    auto socket = network.nodes()[0].socket();
    int ports = 0;
    for (const net::Link& link : must(net::listLinks(socket))) {
      if (link.kind != "veth" || link.master == 0) continue;
      EXPECT_TRUE(link.isolated) << link.name;
      ++ports;
    }
    EXPECT_EQ(ports, 2);
    network.expectFlat();
  });
}

}  // namespace
}  // namespace podlab::test
