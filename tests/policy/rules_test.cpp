#include "policy/rules.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/policy/nft_machine.hpp"
#include "tests/policy/random_policies.hpp"

namespace podlab::policy {
namespace {

using net::Family;
using net::IpAddress;

IpAddress ip(const std::string& text) {
  return *IpAddress::parse(text);
}

std::optional<IpAddress> addressOf(const corev1::Pod& pod, Family family) {
  for (const auto& address : addressesOf(pod)) {
    if (address.family() == family) return address;
  }
  return std::nullopt;
}

/// The nodes of a cluster with their tables.
class Network {
 public:
  explicit Network(const Cluster& cluster) : cluster_(cluster) {
    for (const auto& pod : cluster.pods) {
      for (const auto& address : addressesOf(*pod)) at_[address] = pod->spec().nodename();
    }
    for (const auto& [address, node] : at_) nodes_.insert(node);
    for (const auto& node : nodes_) update(node, cluster.policies);
  }

  /// Across the nodes on the way; what comes from a node to its own pods does not pass the hook.
  bool passes(const Packet& packet, const IpAddress& from, const IpAddress& to) {
    std::set<std::string> nodes;
    if (at_.contains(from)) nodes.insert(at_[from]);
    if (at_.contains(to)) nodes.insert(at_[to]);
    return std::ranges::all_of(nodes, [&](const auto& node) {
      const auto machine = machines_.find(node);
      return machine == machines_.end() || machine->second.forward(packet);
    });
  }

  using Policies = std::vector<std::shared_ptr<const networkingv1::NetworkPolicy>>;
  void update(const std::string& node, const Policies& policies) {
    machines_.erase(node);
    if (auto table = tableOf(node, policies)) machines_.try_emplace(node, std::move(*table));
  }
  /// What the node remembers stays.
  void change(const std::string& node, const Policies& policies) {
    machines_.at(node).replace(*tableOf(node, policies));
  }
  std::optional<net::NftTable> tableOf(const std::string& node, const Policies& policies) const {
    PodIndex index;
    for (const auto& pod : cluster_.pods) {
      index.put(*pod, addressesOf(*pod), pod->spec().nodename() == node);
    }
    std::map<std::string, api::Labels> namespaces;
    for (const auto& ns : cluster_.namespaces) {
      namespaces[ns->metadata().name()] = ns->metadata().labels();
    }
    return nodeTable(index, namespaces, policies);
  }
  NftMachine* machine(const std::string& node) {
    const auto found = machines_.find(node);
    return found == machines_.end() ? nullptr : &found->second;
  }

 private:
  const Cluster& cluster_;
  std::set<std::string> nodes_;
  std::map<IpAddress, std::string> at_;
  std::map<std::string, NftMachine> machines_;
};

/// Asks, and is answered when the request passes.
bool converses(Network& network, Protocol protocol, const IpAddress& from, const IpAddress& to,
               std::uint16_t port, bool& answered) {
  constexpr std::uint16_t kClient = 40000;
  switch (protocol) {
    case Protocol::kIcmp:
      if (!network.passes(Packet::echo(from, to, 7), from, to)) return false;
      answered = network.passes(Packet::echoReply(to, from, 7), to, from);
      return true;
    case Protocol::kTcp:
      if (!network.passes(Packet::syn(from, to, kClient, port), from, to)) return false;
      answered = network.passes(Packet::tcp(to, from, port, kClient, 0x12), to, from);
      return true;
    default:
      if (!network.passes(Packet::datagram(protocol, from, to, kClient, port), from, to)) {
        return false;
      }
      answered = network.passes(Packet::datagram(protocol, to, from, port, kClient), to, from);
      return true;
  }
}

class Differential : public testing::TestWithParam<int> {};

// What nodes enforce, packet by packet, is what the model says.
TEST_P(Differential, RulesAgreeWithTheModel) {
  constexpr int kClusters = 8;
  for (int i = 0; i < kClusters; ++i) {
    const auto seed =
        static_cast<std::uint64_t>(GetParam()) * kClusters + static_cast<std::uint64_t>(i);
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRng rng(seed);
    ClusterShape shape;
    if (i % 2 == 1) shape.policies = 24;
    const Cluster cluster = randomCluster(rng, shape);
    const Model model = cluster.model();
    Network network(cluster);
    std::size_t refused = 0;
    std::size_t cells = 0;
    const auto compare = [&](const Endpoint& from, const Endpoint& to) {
      for (const Protocol protocol : kProtocols) {
        for (const std::uint16_t port : kTestPorts) {
          if (protocol == Protocol::kIcmp && port != kTestPorts[0]) continue;
          // Each seed asks some of them; the packets of the integration test all.
          if (!rng.chance(0.1)) continue;
          const Verdict verdict = model.judge(from, to, protocol, port);
          bool answered = true;
          const bool passed =
              converses(network, protocol, from.address, to.address, port, answered);
          ++cells;
          refused += passed ? 0 : 1;
          ASSERT_EQ(passed, verdict.allowed)
              << from.toString() << " to " << to.toString() << " " << protocolName(protocol) << " "
              << port << ": " << verdict.reason;
          ASSERT_TRUE(answered) << from.toString() << " to " << to.toString() << " "
                                << protocolName(protocol) << " " << port << ": no answer";
        }
      }
    };
    for (const Family family : {Family::kV4, Family::kV6}) {
      const Endpoint outside =
          Endpoint::outside(ip(family == Family::kV4 ? "192.0.2.7" : "2001:db8::7"));
      const Endpoint otherNode =
          Endpoint::node("elsewhere", ip(family == Family::kV4 ? "10.244.9.0" : "fd00:244:0:9::"));
      for (const auto& source : cluster.pods) {
        const auto self = Endpoint::pod(api::keyOf(*source), *addressOf(*source, family));
        for (const Endpoint& other : {outside, otherNode}) {
          compare(self, other);
          compare(other, self);
        }
        for (const auto& target : cluster.pods) {
          compare(self, Endpoint::pod(api::keyOf(*target), *addressOf(*target, family)));
          if (HasFatalFailure()) return;
        }
      }
    }
    EXPECT_GT(cells, 200u);
    RecordProperty("refused", static_cast<int>(refused));
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, Differential, testing::Range(0, 25));

/// Two pods in one namespace on nodes of their own, and policies.
class Rules : public testing::Test {
 protected:
  Rules() {
    for (const char* name : {"client", "server"}) {
      auto pod = std::make_shared<corev1::Pod>();
      pod->mutable_metadata()->set_name(name);
      pod->mutable_metadata()->set_namespace_("default");
      pod->mutable_metadata()->set_uid(name);
      (*pod->mutable_metadata()->mutable_labels())["app"] = name;
      pod->mutable_spec()->set_nodename(name);
      pod->mutable_status()->add_podips()->set_ip(std::string(name) == "client" ? "10.244.1.2"
                                                                                : "10.244.2.2");
      cluster_.pods.push_back(std::move(pod));
    }
    auto ns = std::make_shared<corev1::Namespace>();
    ns->mutable_metadata()->set_name("default");
    cluster_.namespaces.push_back(std::move(ns));
  }
  void deny(const std::string& app, const std::string& type) {
    auto policy = std::make_shared<networkingv1::NetworkPolicy>();
    policy->mutable_metadata()->set_namespace_("default");
    policy->mutable_metadata()->set_name("deny-" + app + type);
    (*policy->mutable_spec()->mutable_podselector()->mutable_matchlabels())["app"] = app;
    policy->mutable_spec()->add_policytypes(type);
    cluster_.policies.push_back(std::move(policy));
  }

  void admit(const std::string& name, const std::string& from, int port, int last) {
    deny("server", "Ingress");
    auto policy = std::make_shared<networkingv1::NetworkPolicy>(*cluster_.policies.back());
    policy->mutable_metadata()->set_name(name);
    auto& rule = *policy->mutable_spec()->add_ingress();
    (*rule.add_from()->mutable_podselector()->mutable_matchlabels())["app"] = from;
    auto& added = *rule.add_ports();
    added.set_protocol("TCP");
    added.mutable_port()->set_intval(port);
    if (last != port) added.set_endport(last);
    cluster_.policies.back() = std::move(policy);
  }

  Cluster cluster_;
  const IpAddress client_ = ip("10.244.1.2");
  const IpAddress server_ = ip("10.244.2.2");
};

TEST_F(Rules, NothingIsolatedNoTable) {
  deny("somebody", "Ingress");
  Network network(cluster_);
  EXPECT_EQ(network.machine("client"), nullptr);
  EXPECT_EQ(network.machine("server"), nullptr);
}

TEST_F(Rules, OnlyTheNodesOfIsolatedPodsHaveATable) {
  deny("server", "Ingress");
  Network network(cluster_);
  EXPECT_EQ(network.machine("client"), nullptr);
  EXPECT_NE(network.machine("server"), nullptr);
}

// A reply passes only by the exact tuple that was seen.
TEST_F(Rules, OnlyRepliesPassAnIsolatedPod) {
  deny("server", "Egress");
  deny("client", "Ingress");
  Network network(cluster_);
  const auto reply = [&](std::uint16_t from, std::uint16_t to) {
    return network.passes(Packet::datagram(Protocol::kUdp, server_, client_, from, to), server_,
                          client_);
  };
  EXPECT_FALSE(reply(53, 40000));
  ASSERT_TRUE(network.passes(Packet::datagram(Protocol::kUdp, client_, server_, 40000, 53), client_,
                             server_));
  EXPECT_TRUE(reply(53, 40000));
  EXPECT_FALSE(reply(53, 40001));
  EXPECT_FALSE(reply(54, 40000));
  EXPECT_FALSE(network.passes(Packet::echoReply(server_, client_, 3), server_, client_));
  EXPECT_FALSE(network.passes(Packet::syn(server_, client_, 53, 40000), server_, client_));
}

// A datagram that asks is judged each time, whatever was answered before.
TEST_F(Rules, RequestsAreJudgedAnewWhenPoliciesChange) {
  deny("other", "Ingress");
  deny("client", "Ingress");
  Network network(cluster_);
  const auto ask = [&] {
    return network.passes(Packet::datagram(Protocol::kUdp, client_, server_, 40000, 53), client_,
                          server_);
  };
  const auto answer = [&] {
    return network.passes(Packet::datagram(Protocol::kUdp, server_, client_, 53, 40000), server_,
                          client_);
  };
  ASSERT_TRUE(ask());
  ASSERT_TRUE(answer());
  deny("client", "Egress");
  network.change("client", cluster_.policies);
  EXPECT_FALSE(ask());
  EXPECT_TRUE(answer());
}

// TCP is judged at its SYN: what goes on goes on.
TEST_F(Rules, EstablishedConnectionsErrorsAndFragmentsPass) {
  deny("server", "Ingress");
  deny("server", "Egress");
  deny("client", "Ingress");
  deny("client", "Egress");
  Network network(cluster_);
  EXPECT_FALSE(network.passes(Packet::syn(client_, server_, 40000, 80), client_, server_));
  for (const std::uint8_t flags : {0x10, 0x11, 0x12, 0x04, 0x18}) {
    EXPECT_TRUE(network.passes(Packet::tcp(client_, server_, 40000, 80, flags), client_, server_));
  }
  // SYN with ECN's bits is a SYN.
  EXPECT_FALSE(network.passes(Packet::tcp(client_, server_, 40000, 80, 0xc2), client_, server_));
  for (const std::uint8_t type : {3, 11, 12}) {
    EXPECT_TRUE(network.passes(Packet::icmp(client_, server_, type, 0), client_, server_));
  }
  for (const std::uint8_t type : {0, 5, 8, 13}) {
    EXPECT_FALSE(network.passes(Packet::icmp(client_, server_, type, 0), client_, server_));
  }
  EXPECT_TRUE(
      network.passes(Packet::laterFragment(Protocol::kUdp, client_, server_), client_, server_));
}

TEST_F(Rules, IPv6ErrorsAndFragmentsPass) {
  for (auto& pod : cluster_.pods) {
    auto copy = std::make_shared<corev1::Pod>(*pod);
    copy->mutable_status()->mutable_podips(0)->set_ip(
        pod->metadata().name() == "client" ? "fd00:244:0:1::2" : "fd00:244:0:2::2");
    pod = copy;
  }
  deny("server", "Ingress");
  Network network(cluster_);
  const IpAddress from = ip("fd00:244:0:1::2");
  const IpAddress to = ip("fd00:244:0:2::2");
  for (const std::uint8_t type : {1, 2, 3, 4}) {
    EXPECT_TRUE(network.passes(Packet::icmp(from, to, type, 0), from, to));
  }
  EXPECT_FALSE(network.passes(Packet::echo(from, to, 0), from, to));
  EXPECT_TRUE(network.passes(Packet::laterFragment(Protocol::kUdp, from, to), from, to));
  EXPECT_FALSE(network.passes(Packet::datagram(Protocol::kUdp, from, to, 1, 2), from, to));
}

// A pod that reaches itself by a Service's address comes back through the node.
TEST_F(Rules, APodIsNeverCutOffFromItself) {
  deny("server", "Ingress");
  deny("server", "Egress");
  Network network(cluster_);
  EXPECT_TRUE(network.passes(Packet::syn(server_, server_, 40000, 80), server_, server_));
}

TEST_F(Rules, ManyPoliciesAreFoundByTheirPorts) {
  for (int i = 0; i < 50; ++i) {
    admit("yes-" + std::to_string(i), "client", 7000 + i, 7000 + i);
    admit("no-" + std::to_string(i), "nobody", 7000 + i, 7000 + i);
  }
  admit("range", "client", 9000, 9100);
  Network network(cluster_);
  const auto passes = [&](std::uint16_t port) {
    return network.passes(Packet::syn(client_, server_, 40000, port), client_, server_);
  };
  for (std::uint16_t port = 7000; port < 7050; ++port) EXPECT_TRUE(passes(port)) << port;
  for (const std::uint16_t port : {6999, 7050, 8999, 9101}) EXPECT_FALSE(passes(port)) << port;
  EXPECT_TRUE(passes(9050));
  EXPECT_FALSE(network.passes(Packet::datagram(Protocol::kUdp, client_, server_, 40000, 7000),
                              client_, server_));
  // What is asked of each packet is no longer with so many policies.
  const auto table = network.tableOf("server", cluster_.policies);
  for (const auto& [name, chain] : table->chains) {
    if (name.starts_with("in-pods")) EXPECT_EQ(chain.rules->size(), 5U) << name;
    if (name.starts_with("in-some")) EXPECT_EQ(chain.rules->size(), 2U) << name;
  }
  // The map follows a policy's port, and goes with the policies.
  auto fewer = cluster_.policies;
  fewer.resize(3);
  network.change("server", fewer);
  EXPECT_TRUE(passes(7001));
  EXPECT_FALSE(passes(7002));
}

TEST_F(Rules, PodsOfOneProfileShareChains) {
  deny("server", "Ingress");
  PodIndex index;
  for (int i = 0; i < 100; ++i) {
    corev1::Pod pod = *cluster_.pods[1];
    pod.mutable_metadata()->set_uid("server-" + std::to_string(i));
    index.put(pod, {ip("10.244.2.2").plus(static_cast<std::uint64_t>(i))}, true);
  }
  const auto table = nodeTable(index, {}, cluster_.policies);
  ASSERT_TRUE(table);
  // Two base chains, always, accepted, remember, the policy's and the profile's.
  EXPECT_EQ(table->chains.size(), 7u);
  EXPECT_EQ(table->sets.at("ingress_v4").elements.size(), 100u);
  EXPECT_EQ(index.classes().size(), 1u);
}

TEST(PodIndex, FollowsItsPods) {
  SeededRng rng(5);
  PodIndex index;
  std::map<std::string, std::pair<std::string, bool>> known;
  for (int i = 0; i < 2000; ++i) {
    const std::string uid = "u" + std::to_string(rng.below(20));
    if (rng.chance(0.3)) {
      index.erase(uid);
      known.erase(uid);
    } else {
      corev1::Pod pod;
      pod.mutable_metadata()->set_uid(uid);
      const std::string label = std::to_string(rng.below(3));
      (*pod.mutable_metadata()->mutable_labels())["app"] = label;
      const bool local = rng.chance(0.5);
      index.put(pod, {ip("10.0.0.1")}, local);
      known[uid] = {label, local};
    }
    std::size_t members = 0;
    for (const auto& [key, pods] : index.classes()) {
      std::size_t locals = 0;
      ASSERT_FALSE(pods.members.empty());
      for (const auto& [member, facts] : pods.members) {
        ASSERT_TRUE(known.contains(member));
        EXPECT_EQ(known[member].first, pods.labels.at("app"));
        EXPECT_EQ(known[member].second, facts.local);
        locals += facts.local ? 1 : 0;
        ++members;
      }
      EXPECT_EQ(locals, pods.locals);
    }
    ASSERT_EQ(members, known.size());
    ASSERT_EQ(index.size(), known.size());
  }
}

}  // namespace
}  // namespace podlab::policy
