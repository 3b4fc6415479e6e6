#include "lab/hollow_config.hpp"

#include <gmock/gmock.h>

namespace podlab::lab {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

Cluster clusterOf(const std::string& yaml) {
  auto parsed = parseCluster("apiVersion: podlab.io/v1alpha1\nkind: Cluster\n" + yaml);
  EXPECT_TRUE(parsed.ok()) << parsed.status().toString();
  Cluster cluster = std::move(parsed).valueOr({});
  applyClusterDefaults(cluster);
  return cluster;
}

TEST(HollowConfig, GroupsHaveDefaults) {
  const Cluster cluster = clusterOf("hollow: [{count: 2}]");
  EXPECT_THAT(cluster.nodes(), IsEmpty());
  EXPECT_THAT(validateCluster(cluster, {}), IsEmpty());
  const auto& group = cluster.hollow(0);
  EXPECT_EQ(group.cpu().string(), "8");
  EXPECT_EQ(group.memory().string(), "32Gi");
  EXPECT_EQ(group.maxpods(), 110);
  const auto nodes = hollowNodes(cluster);
  ASSERT_EQ(nodes.size(), 2U);
  EXPECT_EQ(nodes[0].name, "hollow1");
  EXPECT_EQ(nodes[1].name, "hollow2");
  EXPECT_EQ(nodes[1].addresses[0].toString(), "198.18.0.2");
  EXPECT_THAT(nodes[0].labels, IsEmpty());
}

TEST(HollowConfig, NodesTakeZonesByTurnsAndAddressesOfTheirOwn) {
  const Cluster cluster = clusterOf(
      "networking: {ipFamily: dual}\n"
      "nodes: [{name: real}]\n"
      "hollow: [{name: big, count: 3, labels: {size: big}, zones: [a, b]}, {name: small}]");
  EXPECT_THAT(validateCluster(cluster, {}), IsEmpty());
  EXPECT_EQ(hollowCount(cluster), 4);
  const auto nodes = hollowNodes(cluster);
  ASSERT_EQ(nodes.size(), 4U);
  const char* zone = "topology.kubernetes.io/zone";
  EXPECT_THAT(nodes[0].labels, UnorderedElementsAre(Pair("size", "big"), Pair(zone, "a")));
  EXPECT_THAT(nodes[1].labels, Contains(Pair(zone, "b")));
  EXPECT_THAT(nodes[2].labels, Contains(Pair(zone, "a")));
  EXPECT_EQ(nodes[3].name, "small1");
  ASSERT_EQ(nodes[3].addresses.size(), 2U);
  EXPECT_EQ(nodes[3].addresses[0].toString(), "198.18.0.4");
  EXPECT_EQ(nodes[3].addresses[1].toString(), "2001:2::4");
  EXPECT_EQ(nodes[3].group->name(), "small");
}

TEST(HollowConfig, ManyNodesGetALargerRange) {
  const Cluster few = clusterOf("hollow: [{count: 256}]");
  EXPECT_THAT(few.networking().podcidrs(), ElementsAre("10.244.0.0/16"));
  const Cluster many = clusterOf("nodes: [{name: real}]\nhollow: [{count: 5000}]");
  EXPECT_THAT(many.networking().podcidrs(), ElementsAre("100.64.0.0/10"));
  EXPECT_THAT(validateCluster(many, {}), IsEmpty());
  const Cluster tooMany =
      clusterOf("networking: {podCIDRs: [10.244.0.0/16]}\nhollow: [{count: 257}]");
  EXPECT_THAT(validateCluster(tooMany, {}),
              ElementsAre(AllOf(Field(&Cause::field, "networking.nodePrefixIPv4"),
                                Field(&Cause::message, HasSubstr("for 257 nodes")))));
}

TEST(HollowConfig, BehaviourIsRead) {
  const Cluster cluster = clusterOf(
      "hollow: [{behaviour: {startDelay: {uniform: [1s, 3s]}, stopDelay: 500ms, startFailures: 5%, "
      "crashes: 10%, crashAfter: {exponential: 1m}, lifetime: {lognormal: {median: 9m, sigma: "
      "2}}}}]");
  EXPECT_THAT(validateCluster(cluster, {}), IsEmpty());
  const auto behaviour = readBehaviour(cluster.hollow(0).behaviour());
  EXPECT_EQ(behaviour.startDelay, Distribution::uniform(1, 3));
  EXPECT_EQ(behaviour.stopDelay, Distribution::constant(0.5));
  EXPECT_DOUBLE_EQ(behaviour.startFailures, 0.05);
  EXPECT_DOUBLE_EQ(behaviour.crashes, 0.1);
  EXPECT_EQ(behaviour.crashAfter, Distribution::exponential(60));
  EXPECT_EQ(behaviour.lifetime, Distribution::lognormal(540, 2));

  const auto plain = readBehaviour({});
  EXPECT_EQ(plain.startDelay, Distribution());
  EXPECT_EQ(plain.crashes, 0);
  EXPECT_EQ(plain.lifetime, std::nullopt);
}

TEST(HollowConfig, ComesBackFromTheStoredFile) {
  const Cluster cluster = clusterOf("hollow: [{behaviour: {startDelay: {uniform: [1s, 3s]}}}]");
  auto again = parseCluster(formatCluster(cluster));
  ASSERT_TRUE(again.ok()) << again.status().toString();
  EXPECT_EQ(formatCluster(*again), formatCluster(cluster));
  EXPECT_EQ(readBehaviour(again->hollow(0).behaviour()).startDelay, Distribution::uniform(1, 3));
}

TEST(HollowConfig, FaultsNameTheField) {
  const struct {
    const char* yaml;
    const char* field;
    const char* words;
  } cases[] = {
      {"hollow: [{count: 0}]", "hollow[0].count", "between 1 and 20000"},
      {"hollow: [{name: A}]", "hollow[0].name", "lower case"},
      {"hollow: [{cpu: 0}]", "hollow[0].cpu", "greater than zero"},
      {"hollow: [{maxPods: 0}]", "hollow[0].maxPods", "between 1 and 1000"},
      {"hollow: [{labels: {'a b': c}}]", "hollow[0].labels", "a b"},
      {"hollow: [{taints: [{key: a, effect: Never}]}]", "hollow[0].taints[0].effect", "Never"},
      {"hollow: [{zones: [a, '']}]", "hollow[0].zones[1]", "a zone has a name"},
      {"hollow: [{zones: [a/b]}]", "hollow[0].zones[0]", "a/b"},
      {"hollow: [{behaviour: {startDelay: 3}}]", "hollow[0].behaviour.startDelay",
       "must be a duration"},
      {"hollow: [{behaviour: {lifetime: {uniform: [3s, 1s]}}}]", "hollow[0].behaviour.lifetime",
       "low not above high"},
      {"hollow: [{behaviour: {startFailures: '7'}}]", "hollow[0].behaviour.startFailures",
       "a share such as 5%"},
      {"hollow: [{behaviour: {crashes: 5%}}]", "hollow[0].behaviour.crashAfter", "when"},
      {"hollow: [{behaviour: {crashAfter: 5s}}]", "hollow[0].behaviour.crashes", "how many"},
      {"hollow: [{}, {}]", "hollow[1].name", "Duplicate value: \"hollow\""},
      {"hollow: [{name: a}, {name: a1}]", "hollow[1].name", "end it with a letter"},
      {"nodes: [{name: hollow7}]\nhollow: [{}]", "nodes[0].name", "nodes of such names are hollow"},
      {"nodes: [{name: a, host: root@a}]\nhollow: [{}]", "hollow", "lab of one host"},
      {"hollow: [{name: a, count: 15000}, {name: b, count: 15000}]", "hollow",
       "at most 20000 in all"},
  };
  for (const auto& test : cases) {
    const auto causes = validateCluster(clusterOf(test.yaml), {});
    EXPECT_THAT(causes, Contains(AllOf(Field(&Cause::field, test.field),
                                       Field(&Cause::message, HasSubstr(test.words)))))
        << test.yaml;
  }
}

}  // namespace
}  // namespace podlab::lab
