// Policies reach the dataplane: in time for new pods, and at no cost without any.
#include "node/network_policies.hpp"

#include <gmock/gmock.h>

#include <set>

#include "networking_v1.pb.h"

#include "node_fixture.hpp"

namespace podlab::node {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

class NetworkPoliciesTest : public NodeTest {
 protected:
  static networkingv1::NetworkPolicy denyIngress(const std::string& name, const std::string& app) {
    networkingv1::NetworkPolicy policy;
    policy.mutable_metadata()->set_name(name);
    policy.mutable_metadata()->set_namespace_("default");
    (*policy.mutable_spec()->mutable_podselector()->mutable_matchlabels())["app"] = app;
    policy.mutable_spec()->add_policytypes("Ingress");
    return policy;
  }
  static corev1::Pod labelled(const std::string& name, const std::string& app) {
    auto pod = makePod(name);
    (*pod.mutable_metadata()->mutable_labels())["app"] = app;
    return pod;
  }
  static corev1::Pod elsewhere(const std::string& name, const std::string& app,
                               const std::string& address) {
    auto pod = labelled(name, app);
    pod.mutable_spec()->set_nodename("node-2");
    pod.mutable_status()->set_phase("Running");
    pod.mutable_status()->add_podips()->set_ip(address);
    return pod;
  }
  void settle() { clock_.advance(seconds(1)); }
  void removePolicy(const std::string& name) {
    api::ResourceId id{&api::kindFor<networkingv1::NetworkPolicy>(), "default", name, ""};
    const api::DeleteOptions now;
    ASSERT_TRUE(sim::runInSim(clock_, api_.remove(id, now)).status().ok());
    settle();
  }
  /// Addresses that the table isolates for ingress.
  std::set<std::string> isolated() const {
    std::set<std::string> addresses;
    if (!dataplane_.firewall()) return addresses;
    for (const auto& element : dataplane_.firewall()->sets.at("ingress_v4").elements) {
      std::array<std::uint8_t, 4> bytes{};
      std::copy(element.key.begin(), element.key.end(), bytes.begin());
      addresses.insert(net::IpAddress::v4(bytes).toString());
    }
    return addresses;
  }
  /// How many addresses are in sets of pods.
  std::size_t peers() const {
    std::size_t count = 0;
    if (!dataplane_.firewall()) return count;
    for (const auto& [name, set] : dataplane_.firewall()->sets) {
      if (name.starts_with("pods_")) count += set.elements.size();
    }
    return count;
  }
};

TEST_F(NetworkPoliciesTest, WithoutPoliciesNothingIsEnforced) {
  boot();
  add(labelled("web", "web"));
  settle();
  EXPECT_TRUE(ready("web"));
  EXPECT_FALSE(dataplane_.firewall());
}

TEST_F(NetworkPoliciesTest, FollowPoliciesAndPods) {
  boot();
  add(labelled("web", "web"));
  add(labelled("other", "other"));
  api_.put(denyIngress("deny", "web"));
  settle();
  EXPECT_EQ(isolated(), std::set<std::string>{status("web").podip()});

  auto from = denyIngress("from", "web");
  (*from.mutable_spec()
        ->add_ingress()
        ->add_from()
        ->mutable_podselector()
        ->mutable_matchlabels())["app"] = "client";
  api_.put(from);
  settle();
  EXPECT_EQ(peers(), 0U);
  api_.put(elsewhere("client", "client", "10.244.2.7"));
  settle();
  EXPECT_EQ(peers(), 1U);
  // A status that says nothing of these changes nothing.
  const auto updates = dataplane_.firewallUpdates();
  auto probed = *api_.find<corev1::Pod>("default/client");
  probed.mutable_status()->set_message("probed");
  api_.put(probed);
  settle();
  EXPECT_EQ(dataplane_.firewallUpdates(), updates);
  auto done = *api_.find<corev1::Pod>("default/client");
  done.mutable_status()->set_phase("Succeeded");
  api_.put(done);
  settle();
  EXPECT_EQ(peers(), 0U);

  auto relabelled = *api_.find<corev1::Pod>("default/other");
  (*relabelled.mutable_metadata()->mutable_labels())["app"] = "web";
  api_.put(relabelled);
  settle();
  EXPECT_EQ(isolated().size(), 2U);
  remove("web", 0);
  settle();
  EXPECT_EQ(isolated(), std::set<std::string>{status("other").podip()});
  removePolicy("deny");
  removePolicy("from");
  EXPECT_FALSE(dataplane_.firewall());
}

// From the first packet on.
TEST_F(NetworkPoliciesTest, APodIsConnectedUnderItsRules) {
  api_.put(denyIngress("deny", "web"));
  boot();
  bool isolatedBefore = false;
  dataplane_.setSandboxScript([&](const SandboxSpec& spec) {
    isolatedBefore = isolated().contains(spec.addresses[0].toString());
    return SimulatedDataplane::SandboxScript();
  });
  add(labelled("web", "web"));
  settle();
  EXPECT_TRUE(ready("web"));
  EXPECT_TRUE(isolatedBefore);
}

// A pod that ends without its object, as after a deletion by force, is isolated to its end.
TEST_F(NetworkPoliciesTest, APodIsIsolatedUntilItHasNoNetwork) {
  api_.put(denyIngress("deny", "web"));
  boot();
  runtime_.setScript([](const ContainerSpec&) {
    ContainerScript script;
    script.stopTakes = seconds(20);
    return script;
  });
  add(labelled("web", "web"));
  settle();
  const std::string address = status("web").podip();
  remove("web", 0);
  EXPECT_FALSE(exists("web"));
  EXPECT_EQ(isolated(), std::set<std::string>{address});
  clock_.advance(seconds(60));
  EXPECT_TRUE(isolated().empty());
}

TEST_F(NetworkPoliciesTest, WhatCannotBeEnforcedHoldsPodsBack) {
  api_.put(denyIngress("deny", "web"));
  dataplane_.setFirewallFailure(Status(Code::kHostUnsupported, "this kernel has no nftables"));
  boot();
  add(labelled("web", "web"));
  settle();
  EXPECT_FALSE(ready("web"));
  EXPECT_TRUE(dataplane_.sandboxes().empty());
  EXPECT_THAT(eventMessage("FailedCreatePodSandBox"),
              HasSubstr("cannot enforce network policies: this kernel has no nftables"));
  dataplane_.setFirewallFailure(Status());
  clock_.advance(seconds(60));
  EXPECT_TRUE(ready("web"));
  EXPECT_EQ(isolated().size(), 1U);
}

TEST_F(NetworkPoliciesTest, AnAgentThatComesBackKeepsTheRules) {
  api_.put(denyIngress("deny", "web"));
  boot();
  add(labelled("web", "web"));
  settle();
  const auto before = dataplane_.firewall();
  ASSERT_TRUE(before);
  stop();
  EXPECT_EQ(dataplane_.firewall(), before);
  const auto updates = dataplane_.firewallUpdates();
  launch();
  settle();
  // Once, when it has heard of all, and with the pods that it found: there is no moment without.
  EXPECT_EQ(dataplane_.firewallUpdates(), updates + 1);
  EXPECT_EQ(dataplane_.firewall(), before);
}

}  // namespace
}  // namespace podlab::node
