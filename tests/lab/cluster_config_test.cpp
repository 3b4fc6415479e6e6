#include "lab/cluster_config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "lab/agent_flags.hpp"
#include "tests/param_name.hpp"

namespace podlab::lab {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kHead = "apiVersion: podlab.io/v1alpha1\nkind: Cluster\n";

Cluster clusterOf(const std::string& yaml) {
  auto parsed = parseCluster(kHead + yaml);
  EXPECT_TRUE(parsed.ok()) << parsed.status().toString();
  Cluster cluster = std::move(parsed).valueOr({});
  applyClusterDefaults(cluster);
  return cluster;
}

std::vector<std::string> namesOf(const Cluster& cluster) {
  std::vector<std::string> names;
  for (const auto& node : cluster.nodes()) names.push_back(node.name());
  return names;
}

TEST(ClusterConfig, DefaultsAreThreeNodesOfIpv4OverVxlan) {
  const Cluster cluster = clusterOf("");
  EXPECT_EQ(cluster.name(), "default");
  EXPECT_THAT(namesOf(cluster), ElementsAre("node1", "node2", "node3"));
  const auto& network = cluster.networking();
  EXPECT_EQ(network.ipfamily(), "ipv4");
  EXPECT_THAT(network.podcidrs(), ElementsAre("10.244.0.0/16"));
  EXPECT_THAT(network.underlaycidrs(), ElementsAre("172.29.0.0/16"));
  EXPECT_EQ(network.nodeprefixipv4(), 24);
  EXPECT_EQ(network.backend(), "vxlan");
  EXPECT_EQ(network.vxlanid(), 1);
  EXPECT_EQ(network.vxlanport(), 8472);
  EXPECT_EQ(network.mtu(), 1500);
  EXPECT_EQ(cluster.images().missing(), "error");
  EXPECT_THAT(validateCluster(cluster, {}), IsEmpty());
}

TEST(ClusterConfig, FamiliesDecideTheDefaultRanges) {
  const Cluster six = clusterOf("networking: {ipFamily: ipv6}");
  EXPECT_THAT(six.networking().podcidrs(), ElementsAre("fd00:10:244::/48"));
  EXPECT_THAT(validateCluster(six, {}), IsEmpty());
  const Cluster dual = clusterOf("networking: {ipFamily: dual}");
  EXPECT_THAT(dual.networking().podcidrs(), ElementsAre("10.244.0.0/16", "fd00:10:244::/48"));
  EXPECT_THAT(dual.networking().underlaycidrs(), ElementsAre("172.29.0.0/16", "fd00:172:29::/64"));
  EXPECT_THAT(validateCluster(dual, {}), IsEmpty());
}

TEST(ClusterConfig, CountsBecomeNames) {
  EXPECT_THAT(namesOf(clusterOf("nodes: [{name: head}, {name: worker, count: 2}]")),
              ElementsAre("head", "worker1", "worker2"));
  EXPECT_THAT(namesOf(clusterOf("nodes: [{name: only, count: 1}]")), ElementsAre("only1"));
  EXPECT_THAT(namesOf(clusterOf("nodes: [{count: 2}, {}]")),
              ElementsAre("node1", "node2", "node3"));
}

TEST(ClusterConfig, GroupsShareTheirSettings) {
  const Cluster cluster =
      clusterOf("nodes: [{name: w, count: 2, cpu: '2', labels: {zone: a}, maxPods: 9}]");
  for (const auto& node : cluster.nodes()) {
    EXPECT_EQ(node.cpu().string(), "2");
    EXPECT_EQ(node.labels().at("zone"), "a");
    EXPECT_EQ(node.maxpods(), 9);
    EXPECT_FALSE(node.has_count());
  }
}

TEST(ClusterConfig, DefaultingTwiceChangesNothing) {
  const Cluster once = clusterOf("nodes: [{name: worker, count: 2}]");
  Cluster twice = once;
  applyClusterDefaults(twice);
  EXPECT_EQ(formatCluster(once), formatCluster(twice));
}

TEST(ClusterConfig, FormattedTextParsesToTheSame) {
  const Cluster cluster = clusterOf(
      "name: x\nnodes: [{name: 'n', count: 2, memory: 1Gi, taints: [{key: k, effect: "
      "NoSchedule}]}]\n"
      "networking: {ipFamily: dual, backend: host-gw}");
  const auto again = parseCluster(formatCluster(cluster));
  ASSERT_TRUE(again.ok()) << again.status().toString();
  EXPECT_EQ(again->SerializeAsString(), cluster.SerializeAsString());
}

struct Fault {
  const char* yaml;
  const char* field;
  const char* message;
};

class ClusterFaults : public testing::TestWithParam<Fault> {};

TEST_P(ClusterFaults, AreNamed) {
  const auto causes = validateCluster(clusterOf(GetParam().yaml), {});
  ASSERT_FALSE(causes.empty()) << GetParam().yaml;
  EXPECT_EQ(causes.front().field, GetParam().field);
  EXPECT_THAT(causes.front().message, HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    All, ClusterFaults,
    testing::Values(
        Fault{"name: Bad_Name", "name", "\"Bad_Name\""},
        Fault{"nodes: [{count: 251}]", "nodes", "at most 250 nodes"},
        Fault{"nodes: [{name: a}, {count: 0}]", "nodes[1].count", "\"0\": must be at least 1"},
        Fault{"nodes: [{name: a, count: -1}]", "nodes[0].count", "\"-1\": must be at least 1"},
        Fault{"nodes: [{name: a.b}]", "nodes[0].name", "\"a.b\""},
        Fault{"nodes: [{name: a}, {name: a}]", "nodes[1].name", "Duplicate value: \"a\""},
        Fault{"nodes: [{name: a, cpu: '0'}]", "nodes[0].cpu", "greater than zero"},
        Fault{"nodes: [{name: a, memory: '-1'}]", "nodes[0].memory", "greater than zero"},
        Fault{"nodes: [{name: a, maxPods: 0}]", "nodes[0].maxPods", "between 1 and 1000"},
        Fault{"nodes: [{name: a, containerLogMaxFiles: 1}]", "nodes[0].containerLogMaxFiles",
              "at least 2"},
        Fault{"nodes: [{name: a, containerLogMaxSize: '0'}]", "nodes[0].containerLogMaxSize",
              "greater than zero"},
        Fault{"nodes: [{name: a, maxPods: 1001}]", "nodes[0].maxPods", "between 1 and 1000"},
        Fault{"nodes: [{name: a, labels: {'-x': b}}]", "nodes[0].labels", "\"-x\""},
        Fault{"nodes: [{name: a, labels: {x: '-b'}}]", "nodes[0].labels[x]", "\"-b\""},
        Fault{"nodes: [{name: a, taints: [{key: '', effect: NoSchedule}]}]",
              "nodes[0].taints[0].key", "Invalid value"},
        Fault{"nodes: [{name: a, taints: [{key: k, effect: Never}]}]", "nodes[0].taints[0].effect",
              "supported values: \"NoSchedule\""},
        Fault{"nodes: [{name: a, host: x}, {name: b}]", "nodes[1].host",
              "either all have one, or none has"},
        Fault{"nodes: [{name: a, count: 2, host: x}]", "nodes[0].host", "is one machine"},
        Fault{"nodes: [{name: a, host: x}, {name: b, host: 'root@X:22'}]", "nodes[1].host",
              "node \"a\" is on this host already"},
        Fault{"nodes: [{name: a, host: '-x'}]", "nodes[0].host", "[USER@]HOST[:PORT]"},
        Fault{"nodes: [{name: a, host: ''}]", "nodes[0].host", "it names no host"},
        Fault{"networking: {ipFamily: ipv5}", "networking.ipFamily",
              "\"ipv4\", \"ipv6\", \"dual\""},
        Fault{"networking: {backend: gre}", "networking.backend", "\"vxlan\", \"host-gw\""},
        Fault{"images: {missing: pull}", "images.missing", "\"error\", \"stand-in\""},
        Fault{"scheduler: {profiles: [{scoring: MostAllocated}]}", "scheduler.profiles[0].name",
              "RFC 1123"},
        Fault{"scheduler: {profiles: [{name: a}, {name: a}]}", "scheduler.profiles[1].name",
              "earlier profile"},
        Fault{"scheduler: {profiles: [{name: a, scoring: Random}]}",
              "scheduler.profiles[0].scoring", "\"LeastAllocated\", \"MostAllocated\""},
        Fault{"networking: {vxlanID: 16777216}", "networking.vxlanID", "16777215"},
        Fault{"networking: {vxlanID: 0}", "networking.vxlanID", "between 1 and"},
        Fault{"networking: {vxlanPort: 0}", "networking.vxlanPort", "between 1 and"},
        Fault{"networking: {mtu: 0}", "networking.mtu", "between 1350 and"},
        Fault{"networking: {nodePrefixIPv4: 0}", "networking.nodePrefixIPv4",
              "\"0\": must be longer"},
        Fault{"networking: {vxlanPort: 65536}", "networking.vxlanPort", "65535"},
        Fault{"networking: {mtu: 1349}", "networking.mtu", "between 1350 and 65535"},
        Fault{"networking: {podCIDRs: [10.244.0.1/16]}", "networking.podCIDRs[0]", "10.244.0.0/16"},
        Fault{"networking: {podCIDRs: [10.1.0.0/16, 10.2.0.0/16]}", "networking.podCIDRs[1]",
              "a second range of the same IP family"},
        Fault{"networking: {podCIDRs: ['fd00::/48']}", "networking.podCIDRs",
              "networking.ipFamily: ipv4"},
        Fault{"networking: {ipFamily: dual, podCIDRs: [10.1.0.0/16]}", "networking.podCIDRs",
              "networking.ipFamily: dual"},
        Fault{"networking: {nodePrefixIPv4: 16}", "networking.nodePrefixIPv4",
              "longer than the prefix of 10.244.0.0/16"},
        Fault{"networking: {nodePrefixIPv4: 30}", "networking.nodePrefixIPv4", "at most 29"},
        Fault{"networking: {podCIDRs: [10.1.0.0/23]}", "networking.nodePrefixIPv4",
              "has only 2 ranges of this size for 3 nodes"},
        Fault{"networking: {podCIDRs: [172.29.0.0/16]}", "networking.podCIDRs",
              "overlaps networking.underlayCIDRs 172.29.0.0/16"},
        Fault{"networking: {underlayCIDRs: [172.29.0.0/24]}", "networking.underlayCIDRs",
              "is too small"},
        Fault{"faults: {timeline: [{at: 1s, kind: link-down, nodes: node4}]}",
              "faults.timeline[0].nodes", "no node is called node4"},
        Fault{"faults: {timeline: [{at: 1s, kind: link-down, nodes: zone=a}]}",
              "faults.timeline[0].nodes", "no node has the label zone=a"},
        Fault{"faults: {timeline: [{kind: link-down, nodes: node1}]}", "faults.timeline[0].at",
              "Required value"},
        Fault{"faults: {timeline: [{at: 1s, kind: flood, nodes: node1}]}",
              "faults.timeline[0].kind", "supported values: \"partition\""},
        Fault{"faults: {timeline: [{at: 1s, kind: loss, between: [node1, node2], loss: '0.1'}]}",
              "faults.timeline[0].loss", "share such as 30%"}),
    [](const auto& info) { return paramName(info.param.field, info.index); });

TEST(ClusterConfig, FaultsOfANodeThatIsGoneGoWithIt) {
  Cluster cluster = clusterOf(
      "faults: {seed: 3, timeline: [{at: 1s, kind: link-down, nodes: node3}, "
      "{at: 1s, kind: link-down, nodes: 'node*'}]}");
  EXPECT_THAT(validateCluster(cluster, {}), IsEmpty());
  cluster.mutable_nodes()->RemoveLast();
  EXPECT_FALSE(validateCluster(cluster, {}).empty());
  dropBrokenFaults(cluster);
  EXPECT_THAT(validateCluster(cluster, {}), IsEmpty());
  EXPECT_EQ(cluster.faults().timeline_size(), 1);
  // A file without faults has none afterwards.
  Cluster plain = clusterOf("");
  dropBrokenFaults(plain);
  EXPECT_FALSE(plain.has_faults());
}

TEST(ClusterConfig, NodesMayBeHosts) {
  const Cluster cluster = clusterOf("nodes: [{name: a, host: x}, {host: 'root@y:22'}]");
  EXPECT_THAT(validateCluster(cluster, {}), IsEmpty());
  EXPECT_THAT(namesOf(cluster), ElementsAre("a", "node2"));
  EXPECT_TRUE(hasHosts(cluster));
  EXPECT_FALSE(hasHosts(clusterOf("")));
  const Cluster server = serverPart(clusterOf("faults: {seed: 1}\nnodes: [{name: a, host: x}]"));
  EXPECT_EQ(server.nodes_size(), 0);
  EXPECT_FALSE(server.has_faults());
  EXPECT_TRUE(server.networking().underlaycidrs().empty());
  EXPECT_EQ(server.networking().vxlanport(), 8472);
}

TEST(ClusterConfig, AgentsGetWhatTheFileSaysOfTheirNode) {
  const Cluster cluster = clusterOf(
      "nodes: [{name: a, labels: {z: '1', b: '2'}, taints: [{key: k, value: v, effect: "
      "NoSchedule}], cpu: '2', memory: 1Gi, maxPods: 9, podPidsLimit: 7, evictionHard: "
      "{nodefs.available: 10%, memory.available: 1Mi}, containerLogMaxSize: 1Mi, "
      "containerLogMaxFiles: 3}, {name: b}]");
  EXPECT_THAT(agentFlags(cluster.nodes(0)),
              ElementsAre("--label", "b=2", "--label", "z=1", "--taint", "k=v:NoSchedule", "--cpu",
                          "2", "--memory", "1Gi", "--container-log-max-size", "1Mi",
                          "--container-log-max-files", "3", "--max-pods", "9", "--eviction-hard",
                          "memory.available<1Mi,nodefs.available<10%", "--pod-pids-limit", "7"));
  EXPECT_THAT(agentFlags(cluster.nodes(1)), IsEmpty());
}

TEST(ClusterConfig, OverlapWithTheHostNamesTheClash) {
  const auto range = net::Cidr::parse("10.244.128.0/24");
  ASSERT_TRUE(range.ok());
  const auto causes = validateCluster(clusterOf(""), {{*range, "address of link eth0"}});
  ASSERT_EQ(causes.size(), 1u);
  EXPECT_EQ(causes[0].field, "networking.podCIDRs");
  EXPECT_THAT(causes[0].message, HasSubstr("10.244.128.0/24 of this host (address of link eth0)"));
}

TEST(ClusterConfig, StrictParsingNamesFields) {
  EXPECT_THAT(parseCluster(kHead + "nodess: []").status().message(), HasSubstr("nodess"));
  EXPECT_THAT(parseCluster(kHead + "name: a\nname: b").status().message(), HasSubstr("name"));
  EXPECT_THAT(parseCluster(kHead + "nodes: [{name: a, memory: lots}]").status().message(),
              HasSubstr("nodes[0].memory: Invalid value: \"lots\": expected a quantity"));
  for (const char* other : {"apiVersion: v1\nkind: Pod\n", "kind: Cluster\n", "nodes: []\n"}) {
    EXPECT_THAT(parseCluster(other).status().message(),
                testing::HasSubstr("apiVersion: podlab.io/v1alpha1, kind: Cluster"));
  }
  EXPECT_THAT(parseCluster("").status().message(), HasSubstr("exactly one document"));
  EXPECT_THAT(parseCluster(kHead + "---\n" + kHead).status().message(), HasSubstr("not 2"));
}

class ExampleFiles : public testing::TestWithParam<const char*> {};

TEST_P(ExampleFiles, AreValid) {
  const std::string path = std::string(PODLAB_SOURCE_DIR "/configs/") + GetParam();
  std::ifstream in(path);
  const std::string text(std::istreambuf_iterator<char>(in), {});
  auto cluster = parseCluster(text);
  ASSERT_TRUE(cluster.ok()) << path << ": " << cluster.status().toString();
  applyClusterDefaults(*cluster);
  for (const auto& cause : validateCluster(*cluster, {}))
    ADD_FAILURE() << path << ": " << cause.field << ": " << cause.message;
}

INSTANTIATE_TEST_SUITE_P(All, ExampleFiles,
                         testing::Values("cluster.yaml", "dual-stack.yaml", "host-gw.yaml",
                                         "machines/cluster.yaml", "stand-ins.yaml"),
                         [](const auto& info) { return paramName(info.param, info.index); });

TEST(ClusterConfig, ProfilesReachTheServerAsOneFlag) {
  auto cluster = parseCluster(
      "apiVersion: podlab.io/v1alpha1\nkind: Cluster\nscheduler: {profiles: [{name: packing, "
      "scoring: MostAllocated, sampled: true}, {name: plain}]}\n");
  ASSERT_TRUE(cluster.ok()) << cluster.status().message();
  applyClusterDefaults(*cluster);
  EXPECT_EQ(schedulerProfiles(*cluster), "packing=MostAllocated:sampled,plain=LeastAllocated");
}

}  // namespace
}  // namespace podlab::lab
