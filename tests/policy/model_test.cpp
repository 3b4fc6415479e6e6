#include "policy/model.hpp"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

namespace podlab::policy {
namespace {

using networkingv1::NetworkPolicy;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// As upstream's network policy conformance tests (test/e2e/network/netpol): the namespaces x, y
/// and z, each with the pods a, b and c, on three nodes; each serves TCP and UDP 80 and 81. A truth
/// table says who reaches whom.
class Truth : public testing::Test {
 protected:
  Truth() {
    int host = 2;
    for (const char* ns : {"x", "y", "z"}) {
      auto made = std::make_shared<corev1::Namespace>();
      made->mutable_metadata()->set_name(ns);
      (*made->mutable_metadata()->mutable_labels())["ns"] = ns;
      namespaces_.push_back(std::move(made));
      for (const char* name : {"a", "b", "c"}) {
        auto pod = std::make_shared<corev1::Pod>();
        pod->mutable_metadata()->set_name(name);
        pod->mutable_metadata()->set_namespace_(ns);
        (*pod->mutable_metadata()->mutable_labels())["pod"] = name;
        pod->mutable_spec()->set_nodename("node-" + std::string(name));
        auto& container = *pod->mutable_spec()->add_containers();
        for (const int port : {80, 81}) {
          for (const char* protocol : {"TCP", "UDP"}) {
            auto& added = *container.add_ports();
            added.set_name("serve-" + std::to_string(port) + "-" +
                           (*protocol == 'T' ? "tcp" : "udp"));
            added.set_containerport(port);
            added.set_protocol(protocol);
          }
        }
        pod->mutable_status()->add_podips()->set_ip("10.244.1." + std::to_string(host++));
        keys_.push_back(std::string(ns) + "/" + name);
        pods_.push_back(std::move(pod));
      }
    }
  }

  /// A policy of a namespace, its spec in protobuf's text form.
  void policy(const std::string& ns, const std::string& spec, const std::string& name = "p") {
    auto made = std::make_shared<NetworkPolicy>();
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(spec, made->mutable_spec())) << spec;
    made->mutable_metadata()->set_namespace_(ns);
    made->mutable_metadata()->set_name(name);
    policies_.push_back(std::move(made));
  }
  Model model() const { return {pods_, namespaces_, policies_}; }
  Endpoint pod(const std::string& key) const {
    for (const auto& pod : pods_) {
      if (api::keyOf(*pod) == key) return Endpoint::pod(key, addressesOf(*pod)[0]);
    }
    ADD_FAILURE() << key;
    return {};
  }
  Verdict judge(const std::string& from, const std::string& to, std::uint16_t port = 80,
                Protocol protocol = Protocol::kTcp) const {
    return model().judge(pod(from), pod(to), protocol, port);
  }

  /// Expects that exactly the pairs for which `refused` holds are refused; a pod reaches itself.
  void expectTruth(
      const std::function<bool(const std::string& from, const std::string& to)>& refused,
      std::uint16_t port = 80, Protocol protocol = Protocol::kTcp) const {
    for (const auto& from : keys_) {
      for (const auto& to : keys_) {
        const Verdict verdict = judge(from, to, port, protocol);
        EXPECT_EQ(verdict.allowed, from == to || !refused(from, to))
            << from << " to " << to << ": " << verdict.reason;
      }
    }
  }

  std::vector<std::shared_ptr<const corev1::Pod>> pods_;
  std::vector<std::shared_ptr<const corev1::Namespace>> namespaces_;
  std::vector<std::shared_ptr<const NetworkPolicy>> policies_;
  std::vector<std::string> keys_;
};

bool in(const std::string& key, const std::string& ns) {
  return key.starts_with(ns + "/");
}

constexpr char kLabelA[] = "matchLabels { key: 'pod' value: 'a' }";
constexpr char kLabelB[] = "matchLabels { key: 'pod' value: 'b' }";
constexpr char kNsY[] = "matchLabels { key: 'ns' value: 'y' }";

TEST_F(Truth, WithoutPoliciesAllReachAll) {
  expectTruth([](auto&, auto&) { return false; });
}

TEST_F(Truth, DefaultDenyIngress) {
  policy("x", "podSelector {} policyTypes: 'Ingress'");
  expectTruth([](auto&, auto& to) { return in(to, "x"); });
}

TEST_F(Truth, DefaultDenyEgress) {
  policy("x", "podSelector {} policyTypes: 'Egress'");
  expectTruth([](auto& from, auto&) { return in(from, "x"); });
}

TEST_F(Truth, DefaultDenyAllOfBoth) {
  policy("x", "podSelector {} policyTypes: ['Ingress', 'Egress']");
  expectTruth([](auto& from, auto& to) { return in(from, "x") || in(to, "x"); });
}

TEST_F(Truth, AllowAllIngressOverridesADeny) {
  policy("x", "podSelector {} policyTypes: 'Ingress'", "deny");
  policy("x", "podSelector {} policyTypes: 'Ingress' ingress {}", "allow");
  expectTruth([](auto&, auto&) { return false; });
}

TEST_F(Truth, AllowAllEgressDoesNotOpenTheTargetsIngress) {
  policy("x", "podSelector {} policyTypes: 'Egress' egress {}");
  policy("y", "podSelector {} policyTypes: 'Ingress'");
  expectTruth([](auto&, auto& to) { return in(to, "y"); });
}

TEST_F(Truth, ByPodOfTheOwnNamespace) {
  policy("x", std::string("podSelector { ") + kLabelA +
                  " } policyTypes: 'Ingress' ingress { from { podSelector { " + kLabelB + " } } }");
  expectTruth([](auto& from, auto& to) { return to == "x/a" && from != "x/b"; });
}

TEST_F(Truth, ByNamespace) {
  policy("x", std::string("podSelector {} policyTypes: 'Ingress' ingress { from { ") +
                  "namespaceSelector { " + kNsY + " } } }");
  expectTruth([](auto& from, auto& to) { return in(to, "x") && !in(from, "y"); });
}

TEST_F(Truth, ByPodAndNamespaceInOnePeer) {
  policy("x", std::string("podSelector { ") + kLabelA +
                  " } policyTypes: 'Ingress' ingress { from { podSelector { " + kLabelB +
                  " } namespaceSelector { " + kNsY + " } } }");
  expectTruth([](auto& from, auto& to) { return to == "x/a" && from != "y/b"; });
}

TEST_F(Truth, ByPodOrNamespaceInTwoPeers) {
  policy("x", std::string("podSelector { ") + kLabelA +
                  " } policyTypes: 'Ingress' ingress { from { podSelector { " + kLabelB +
                  " } } from { namespaceSelector { " + kNsY + " } } }");
  expectTruth([](auto& from, auto& to) { return to == "x/a" && from != "x/b" && !in(from, "y"); });
}

TEST_F(Truth, ByExpressions) {
  policy("x",
         "podSelector { matchExpressions { key: 'pod' operator: 'In' values: ['a', 'b'] } } "
         "policyTypes: 'Ingress' ingress { from { namespaceSelector { matchExpressions { "
         "key: 'ns' operator: 'NotIn' values: 'x' } } } }");
  expectTruth([](auto& from, auto& to) { return (to == "x/a" || to == "x/b") && in(from, "x"); });
}

// Several policies of one pod add up.
TEST_F(Truth, PoliciesAddUp) {
  policy("x",
         std::string("podSelector { ") + kLabelA +
             " } policyTypes: 'Ingress' ingress { from { podSelector { " + kLabelB + " } } }",
         "pods");
  policy("x",
         std::string("podSelector {} policyTypes: 'Ingress' ingress { from { ") +
             "namespaceSelector { " + kNsY + " } } }",
         "namespaces");
  expectTruth([](auto& from, auto& to) {
    return in(to, "x") && !in(from, "y") && !(to == "x/a" && from == "x/b");
  });
}

TEST_F(Truth, ByPortAndProtocol) {
  policy("x",
         "podSelector {} policyTypes: 'Ingress' "
         "ingress { ports { protocol: 'TCP' port { type: 0 intVal: 81 } } }");
  expectTruth([](auto&, auto& to) { return in(to, "x"); }, 80);
  expectTruth([](auto&, auto&) { return false; }, 81);
  expectTruth([](auto&, auto& to) { return in(to, "x"); }, 81, Protocol::kUdp);
  expectTruth([](auto&, auto& to) { return in(to, "x"); }, 81, Protocol::kIcmp);
}

TEST_F(Truth, ByNamedPortOfTheTarget) {
  policy("x",
         "podSelector {} policyTypes: 'Ingress' "
         "ingress { ports { protocol: 'UDP' port { type: 1 strVal: 'serve-81-udp' } } }");
  expectTruth([](auto&, auto& to) { return in(to, "x"); }, 80, Protocol::kUdp);
  expectTruth([](auto&, auto&) { return false; }, 81, Protocol::kUdp);
  expectTruth([](auto&, auto& to) { return in(to, "x"); }, 81, Protocol::kTcp);
}

TEST_F(Truth, ByNamedPortOfEgress) {
  policy("x",
         "podSelector {} policyTypes: 'Egress' "
         "egress { ports { protocol: 'TCP' port { type: 1 strVal: 'serve-80-tcp' } } }");
  expectTruth([](auto&, auto&) { return false; }, 80);
  expectTruth([](auto& from, auto&) { return in(from, "x"); }, 81);
  // What is no pod has no names.
  EXPECT_FALSE(model()
                   .judge(pod("x/a"), Endpoint::outside(*net::IpAddress::parse("192.0.2.1")),
                          Protocol::kTcp, 80)
                   .allowed);
}

TEST_F(Truth, ByPortRange) {
  policy("x",
         "podSelector {} policyTypes: 'Ingress' "
         "ingress { ports { protocol: 'TCP' port { type: 0 intVal: 80 } endPort: 90 } }");
  for (const std::uint16_t port : {80, 85, 90})
    expectTruth([](auto&, auto&) { return false; }, port);
  for (const std::uint16_t port : {79, 91}) {
    expectTruth([](auto&, auto& to) { return in(to, "x"); }, port);
  }
}

TEST_F(Truth, AllPortsOfAProtocol) {
  policy("x", "podSelector {} policyTypes: 'Ingress' ingress { ports { protocol: 'UDP' } }");
  expectTruth([](auto&, auto&) { return false; }, 4000, Protocol::kUdp);
  expectTruth([](auto&, auto& to) { return in(to, "x"); }, 80);
}

TEST_F(Truth, ByBlocksAndWhatTheyExcept) {
  policy("x",
         "podSelector {} policyTypes: 'Ingress' "
         "ingress { from { ipBlock { cidr: '10.244.1.0/24' except: '10.244.1.5/32' } } }");
  // y/a is 10.244.1.5.
  expectTruth([](auto& from, auto& to) { return in(to, "x") && from == "y/a"; });
}

TEST_F(Truth, TheOutsideByBlocks) {
  policy("x",
         "podSelector {} policyTypes: ['Ingress', 'Egress'] "
         "ingress { from { ipBlock { cidr: '192.0.2.0/24' except: '192.0.2.128/25' } } } "
         "egress { to { ipBlock { cidr: '198.51.100.7/32' } } }");
  const auto from = [&](const char* address) {
    return model()
        .judge(Endpoint::outside(*net::IpAddress::parse(address)), pod("x/a"), Protocol::kTcp, 80)
        .allowed;
  };
  EXPECT_TRUE(from("192.0.2.1"));
  EXPECT_FALSE(from("192.0.2.129"));
  EXPECT_FALSE(from("192.0.3.1"));
  EXPECT_FALSE(from("2001:db8::1"));
  const auto to = [&](const char* address) {
    return model()
        .judge(pod("x/a"), Endpoint::outside(*net::IpAddress::parse(address)), Protocol::kTcp, 80)
        .allowed;
  };
  EXPECT_TRUE(to("198.51.100.7"));
  EXPECT_FALSE(to("198.51.100.8"));
}

// Upstream's validation takes host bits.
TEST_F(Truth, ABlockMayHaveHostBits) {
  policy("x",
         "podSelector {} policyTypes: 'Ingress' "
         "ingress { from { ipBlock { cidr: '10.244.1.77/24' } } }");
  expectTruth([](auto&, auto&) { return false; });
}

TEST_F(Truth, EgressByPodAndNamespace) {
  policy("x", std::string("podSelector { ") + kLabelA +
                  " } policyTypes: 'Egress' egress { to { podSelector { " + kLabelB +
                  " } namespaceSelector { " + kNsY + " } } }");
  expectTruth([](auto& from, auto& to) { return from == "x/a" && to != "y/b"; });
}

TEST_F(Truth, APodAndItsOwnNodeAlwaysReachEachOther) {
  policy("x", "podSelector {} policyTypes: ['Ingress', 'Egress']");
  const auto address = *net::IpAddress::parse("10.244.1.1");
  const Endpoint own = Endpoint::node("node-a", address);
  const Endpoint other = Endpoint::node("node-b", address);
  EXPECT_TRUE(model().judge(own, pod("x/a"), Protocol::kTcp, 80).allowed);
  EXPECT_TRUE(model().judge(pod("x/a"), own, Protocol::kTcp, 80).allowed);
  EXPECT_FALSE(model().judge(other, pod("x/a"), Protocol::kTcp, 80).allowed);
  EXPECT_FALSE(model().judge(pod("x/a"), other, Protocol::kTcp, 80).allowed);
}

TEST_F(Truth, APodOnTheHostsNetworkIsItsNode) {
  auto host = std::make_shared<corev1::Pod>(*pods_[0]);
  host->mutable_metadata()->set_name("host");
  host->mutable_spec()->set_hostnetwork(true);
  pods_.push_back(host);
  policy("x", "podSelector {} policyTypes: ['Ingress', 'Egress']");
  const Endpoint self = Endpoint::pod("x/host", *net::IpAddress::parse("192.0.2.1"));
  EXPECT_TRUE(model().judge(self, pod("y/b"), Protocol::kTcp, 80).allowed);
  EXPECT_TRUE(model().judge(self, pod("x/a"), Protocol::kTcp, 80).allowed);  // of its node
  EXPECT_FALSE(model().judge(self, pod("x/b"), Protocol::kTcp, 80).allowed);
}

TEST_F(Truth, ReasonsNameThePolicies) {
  policy("x", "podSelector {} policyTypes: 'Ingress'", "deny");
  policy("x",
         std::string("podSelector {} policyTypes: 'Ingress' ingress { from { podSelector { ") +
             kLabelA + " } } } ingress { from { namespaceSelector { " + kNsY + " } } }",
         "some");
  const Verdict no = judge("z/b", "x/a");
  EXPECT_FALSE(no.allowed);
  EXPECT_EQ(no.reason,
            "ingress of x/a: isolated by x/deny, x/some; none of their rules admits TCP 80 from "
            "z/b");
  EXPECT_EQ(no.direction, Direction::kIngress);
  EXPECT_THAT(no.policies, ElementsAre("x/deny", "x/some"));
  const Verdict yes = judge("y/b", "x/a");
  EXPECT_TRUE(yes.allowed);
  EXPECT_EQ(yes.reason, "ingress of x/a: spec.ingress[1] of x/some admits TCP 80");
  EXPECT_THAT(yes.policies, ElementsAre("x/some"));
  EXPECT_EQ(yes.rule, 1);
  EXPECT_EQ(judge("x/a", "y/b").reason, "ingress of y/b: no policy isolates it");
  policy("y", "podSelector {} policyTypes: 'Egress' egress { to { podSelector {} } }", "inside");
  EXPECT_EQ(judge("y/a", "z/a").reason,
            "egress of y/a: isolated by y/inside; none of their rules admits TCP 80 to z/a");
  EXPECT_THAT(judge("y/a", "y/b").reason, HasSubstr("spec.egress[0] of y/inside"));
}

}  // namespace
}  // namespace podlab::policy
