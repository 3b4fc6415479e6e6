#include "cli/hosts_plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace podlab::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

lab::Cluster clusterOf(const std::string& yaml) {
  auto cluster = lab::parseCluster("apiVersion: podlab.io/v1alpha1\nkind: Cluster\n" + yaml);
  EXPECT_TRUE(cluster.ok()) << cluster.status().toString();
  lab::applyClusterDefaults(*cluster);
  EXPECT_THAT(lab::validateCluster(*cluster, {}), IsEmpty());
  return *cluster;
}

std::vector<std::string> namesOf(const std::vector<HostNode>& nodes) {
  std::vector<std::string> names;
  for (const auto& node : nodes) names.push_back(node.name());
  return names;
}

const std::string kTwo = "nodes: [{name: m1, host: h1}, {name: m2, host: 'me@h2:2222'}]";

TEST(HostsPlan, OfAFirstTimeHasAllNodes) {
  const auto plan = planHosts(std::nullopt, clusterOf(kTwo));
  ASSERT_TRUE(plan.ok());
  EXPECT_THAT(namesOf(plan->nodes), ElementsAre("m1", "m2"));
  EXPECT_THAT(plan->gone, IsEmpty());
  EXPECT_EQ(plan->nodes[1].host.user, "me");
  EXPECT_EQ(plan->nodes[1].host.port, 2222);
  EXPECT_EQ(plan->nodes[1].origin, "m2: nodes[1].host \"me@h2:2222\"");
}

TEST(HostsPlan, AddsNodesAndTellsOfThoseThatAreGone) {
  const lab::Cluster two = clusterOf(kTwo);
  const lab::Cluster stored = withNodes(std::nullopt, two, hostNodes(two));
  EXPECT_TRUE(stored.networking().underlaycidrs().empty());
  const lab::Cluster other =
      clusterOf("nodes: [{name: m1, host: 'you@h1', maxPods: 5}, {name: m3, host: h3}]");
  const auto plan = planHosts(stored, other);
  ASSERT_TRUE(plan.ok()) << plan.status().toString();
  EXPECT_THAT(namesOf(plan->nodes), ElementsAre("m1", "m3"));
  EXPECT_THAT(plan->gone, ElementsAre("m2"));
  const lab::Cluster next = withNodes(stored, other, plan->nodes);
  EXPECT_THAT(namesOf(hostNodes(next)), ElementsAre("m1", "m2", "m3"));
  EXPECT_EQ(next.nodes(0).maxpods(), 5);
  EXPECT_EQ(next.nodes(0).host(), "you@h1");
}

TEST(HostsPlan, RefusesWhatCannotBeChanged) {
  const lab::Cluster two = clusterOf(kTwo);
  const lab::Cluster stored = withNodes(std::nullopt, two, hostNodes(two));
  const auto refusal = [&](const std::string& yaml) {
    const auto plan = planHosts(stored, clusterOf(yaml));
    EXPECT_TRUE(plan.status().is(Code::kConflict)) << yaml;
    return plan.status().message();
  };
  EXPECT_THAT(refusal("nodes: [{name: m1, host: h9}]"),
              HasSubstr("m1: nodes[0].host \"h9\": the node is on host h1; remove it there first: "
                        "podlab node rm m1"));
  EXPECT_THAT(refusal("nodes: [{name: m9, host: h1}]"), HasSubstr("the host is node \"m1\""));
  EXPECT_THAT(refusal("networking: {vxlanPort: 9}\n" + kTwo), HasSubstr("another network"));
  EXPECT_THAT(refusal("images: {missing: stand-in}\n" + kTwo), HasSubstr("other images"));
  // What is of a lab alone does not count.
  EXPECT_TRUE(planHosts(stored, clusterOf("networking: {underlayCIDRs: [172.30.0.0/16]}\nfaults: "
                                          "{seed: 1}\n" +
                                          kTwo))
                  .ok());
}

TEST(HostsPlan, TheServerIsWhereTheMachinesSeeIt) {
  const std::vector<net::IpAddress> own = {*net::IpAddress::parse("10.0.2.15"),
                                           *net::IpAddress::parse("192.168.56.1"),
                                           *net::IpAddress::parse("fd00::1")};
  const auto chosen = [&](const std::string& flag, const std::string& stored,
                          const std::vector<std::string>& seen) {
    return chooseAddress(flag, stored, own, seen);
  };
  EXPECT_EQ(chosen("", "", {"192.168.56.1", "10.0.2.15", "192.168.56.1"}), "192.168.56.1");
  EXPECT_EQ(chosen("", "", {"127.0.0.1", "fd00::1"}), "fd00::1");
  // Through a jump host, or behind a router, they see another.
  EXPECT_EQ(chosen("", "", {"203.0.113.9"}), "");
  EXPECT_EQ(chosen("", "10.0.2.15:7443", {"192.168.56.1"}), "10.0.2.15:7443");
  EXPECT_EQ(chosen("", "10.9.9.9:6443", {"192.168.56.1"}), "192.168.56.1");
  EXPECT_EQ(chosen("", "lab.example:6443", {"192.168.56.1"}), "lab.example:6443");
  EXPECT_EQ(chosen("lab.example", "10.0.2.15:6443", {"192.168.56.1"}), "lab.example");
}

}  // namespace
}  // namespace podlab::cli
