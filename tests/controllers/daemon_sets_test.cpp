#include <gmock/gmock.h>

#include "controllers/controller_history.hpp"
#include "controllers/daemon_pods.hpp"
#include "tests/controllers/workload_fixture.hpp"
#include "tests/fakes/flaky_api.hpp"

namespace podlab::controllers {
namespace {

using appsv1::ControllerRevision;
using appsv1::DaemonSet;
using corev1::Pod;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

class DaemonSetsTest : public WorkloadTest {
 protected:
  std::multiset<std::string> nodesOfPods() {
    std::multiset<std::string> nodes;
    for (const auto& each : pods()) nodes.insert(each.spec().nodename());
    return nodes;
  }
  std::multiset<std::string> images() {
    std::multiset<std::string> found;
    for (const auto& each : pods()) found.insert(each.spec().containers(0).image());
    return found;
  }
  void setImageOf(const std::string& set, const std::string& image) {
    patched<DaemonSet>(set, R"({"spec":{"template":{"spec":{"containers":[{"name":"c","image":")" +
                                image + R"("}]}}}})");
  }
  std::map<std::int64_t, std::string> history() {
    std::map<std::int64_t, std::string> found;
    for (const auto& object : list<ControllerRevision>().items) {
      const auto& revision = api::as<ControllerRevision>(object);
      found[revision.revision()] = templateIn(revision).spec().containers(0).image();
    }
    return found;
  }
  void label(const std::string& node, const std::string& key, const std::string& value) {
    patched<corev1::Node>(node, R"({"metadata":{"labels":{")" + key + R"(":)" + value + "}}}");
  }
};

TEST_F(DaemonSetsTest, HasAPodOnEachNodeAndFollowsTheNodes) {
  startCluster();
  ASSERT_TRUE(create(workload<DaemonSet>("d", R"("minReadySeconds":0)")).ok());
  pass(seconds(10));
  EXPECT_THAT(nodesOfPods(), ElementsAre("n1", "n2", "n3"));
  auto status = get<DaemonSet>("d")->status();
  EXPECT_EQ(status.desirednumberscheduled(), 3);
  EXPECT_EQ(status.currentnumberscheduled(), 3);
  EXPECT_EQ(status.numberready(), 3);
  EXPECT_EQ(status.numberavailable(), 3);
  EXPECT_EQ(status.updatednumberscheduled(), 3);
  EXPECT_EQ(status.numberunavailable(), 0);
  EXPECT_EQ(status.observedgeneration(), 1);
  EXPECT_THAT(messages("d", "SuccessfulCreate"), SizeIs(3));

  // A cordoned node keeps its daemon, and a new node gets one.
  patched<corev1::Node>("n2", R"({"spec":{"unschedulable":true}})");
  ASSERT_TRUE(remove<Pod>(pods()[0].metadata().name()).ok());
  pass(seconds(10));
  EXPECT_THAT(nodesOfPods(), ElementsAre("n1", "n2", "n3"));
}

TEST_F(DaemonSetsTest, IsOnlyWhereItMayBe) {
  startCluster();
  label("n1", "disk", "\"ssd\"");
  ASSERT_TRUE(create(fromJson<DaemonSet>(R"({"metadata":{"name":"d"},"spec":{
      "selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},
      "spec":{"nodeSelector":{"disk":"ssd"},"containers":[{"name":"c","image":"a"}]}}}})"))
                  .ok());
  pass(seconds(10));
  EXPECT_THAT(nodesOfPods(), ElementsAre("n1"));
  label("n2", "disk", "\"ssd\"");
  label("n1", "disk", "null");
  pass(seconds(10));
  EXPECT_THAT(nodesOfPods(), ElementsAre("n2"));
  patched<corev1::Node>("n2",
                        R"({"spec":{"taints":[{"key":"k","value":"v","effect":"NoSchedule"}]}})");
  pass(seconds(10));
  // It may stay, but counts as out of place.
  EXPECT_THAT(nodesOfPods(), ElementsAre("n2"));
  EXPECT_EQ(get<DaemonSet>("d")->status().numbermisscheduled(), 1);
  EXPECT_EQ(get<DaemonSet>("d")->status().desirednumberscheduled(), 0);
  patched<corev1::Node>("n2",
                        R"({"spec":{"taints":[{"key":"k","value":"v","effect":"NoExecute"}]}})");
  pass(seconds(10));
  EXPECT_THAT(nodesOfPods(), IsEmpty());
}

TEST_F(DaemonSetsTest, RollsOutOneNodeAtATimeAndBack) {
  startCluster();
  ASSERT_TRUE(create(workload<DaemonSet>("d", R"("minReadySeconds":2)")).ok());
  pass(seconds(20));
  setImageOf("d", "b");
  for (int i = 0; i < 60; ++i) {
    pass(seconds(1));
    EXPECT_GE(get<DaemonSet>("d")->status().numberavailable(), 2);
  }
  EXPECT_THAT(images(), ElementsAre("b", "b", "b"));
  EXPECT_EQ(get<DaemonSet>("d")->status().updatednumberscheduled(), 3);
  EXPECT_THAT(history(), ElementsAre(std::pair(1, "a"), std::pair(2, "b")));
  setImageOf("d", "a");
  pass(minutes(1));
  EXPECT_THAT(images(), ElementsAre("a", "a", "a"));
  EXPECT_THAT(history(), ElementsAre(std::pair(2, "b"), std::pair(3, "a")));
  for (const auto& object : list<ControllerRevision>().items) {
    EXPECT_EQ(api::meta(*object).labels().at("app"), "d");
    EXPECT_TRUE(api::meta(*object).labels().contains("controller-revision-hash"));
  }
}

TEST_F(DaemonSetsTest, StopsAtABrokenTemplate) {
  startCluster();
  ASSERT_TRUE(create(workload<DaemonSet>("d", R"("minReadySeconds":0)")).ok());
  pass(seconds(20));
  setImageOf("d", "broken");
  pass(minutes(1));
  EXPECT_THAT(images(), ElementsAre("a", "a", "broken"));
  setImageOf("d", "c");
  pass(minutes(1));
  EXPECT_THAT(images(), ElementsAre("c", "c", "c"));
}

TEST_F(DaemonSetsTest, SurgesWhenTold) {
  startCluster();
  ASSERT_TRUE(create(workload<DaemonSet>("d", R"("updateStrategy":{"type":"RollingUpdate",
      "rollingUpdate":{"maxSurge":1,"maxUnavailable":0}})"))
                  .ok());
  pass(seconds(20));
  setImageOf("d", "b");
  for (int i = 0; i < 60; ++i) {
    pass(seconds(1));
    EXPECT_EQ(get<DaemonSet>("d")->status().numberready(), 3);
    // Those that end already count no more.
    const auto isLiving = [](const Pod& pod) { return !pod.metadata().has_deletiontimestamp(); };
    EXPECT_LE(std::ranges::count_if(pods(), isLiving), 4);
  }
  EXPECT_THAT(images(), ElementsAre("b", "b", "b"));
}

TEST_F(DaemonSetsTest, WaitsForDeletesOnDelete) {
  startCluster();
  ASSERT_TRUE(create(workload<DaemonSet>("d", R"("updateStrategy":{"type":"OnDelete"})")).ok());
  pass(seconds(20));
  setImageOf("d", "b");
  pass(seconds(30));
  EXPECT_THAT(images(), ElementsAre("a", "a", "a"));
  ASSERT_TRUE(remove<Pod>(pods()[0].metadata().name()).ok());
  pass(seconds(20));
  EXPECT_THAT(images(), ElementsAre("a", "a", "b"));
}

TEST_F(DaemonSetsTest, ReplacesFailedPodsEverMoreSlowly) {
  startCluster(nullptr, 1);
  ASSERT_TRUE(create(workload<DaemonSet>("d", R"("minReadySeconds":0)")).ok());
  pass(seconds(5));
  for (int i = 0; i < 3; ++i) {
    auto failed = pods()[0];
    failed.mutable_status()->set_phase("Failed");
    ASSERT_TRUE(update(failed, "status").ok());
    pass(seconds(10));
    ASSERT_THAT(pods(), SizeIs(1));
    EXPECT_NE(pods()[0].metadata().uid(), failed.metadata().uid());
  }
  EXPECT_THAT(events("d"), testing::Contains("FailedDaemonPod"));
}

/// Nodes come, go, fall silent and change, the template changes, and the line to the API is bad: in
/// the end there is a pod on each eligible node, of the last template, and nowhere else.
class DaemonChaos : public DaemonSetsTest, public testing::WithParamInterface<std::uint64_t> {};

TEST_P(DaemonChaos, SettlesOnEachEligibleNode) {
  SCOPED_TRACE("seed " + std::to_string(GetParam()));
  SeededRng rng(GetParam(), "daemon-chaos");
  fakes::FlakyApi flaky(*admin_, clock_, rng);
  startCluster(&flaky, 5);
  fakes::FlakyApi::Faults bad;
  bad.refused = 0.05;
  bad.watchBroken = 0.01;
  bad.slowest = std::chrono::milliseconds(30);
  flaky.setFaults(bad);
  ASSERT_TRUE(create(fromJson<DaemonSet>(R"({"metadata":{"name":"d"},"spec":{
      "selector":{"matchLabels":{"a":"b"}},"updateStrategy":{"rollingUpdate":{"maxUnavailable":2}},
      "template":{"metadata":{"labels":{"a":"b"}},
      "spec":{"nodeSelector":{"on":"yes"},"containers":[{"name":"c","image":"i0"}]}}}})"))
                  .ok());
  std::string image = "i0";
  for (int step = 0; step < 60; ++step) {
    const std::string node = "n" + std::to_string(1 + rng.below(5));
    switch (rng.below(5)) {
      case 0:
      case 1:
        label(node, "on", rng.chance(0.7) ? "\"yes\"" : "null");
        break;
      case 2:
        image = "i" + std::to_string(step);
        setImageOf("d", image);
        break;
      case 3:
        if (const auto all = pods(); !all.empty())
          (void)remove<Pod>(all[rng.below(all.size())].metadata().name());
        break;
      default:
        if (rng.chance(0.3)) restartManager(&flaky);
    }
    pass(seconds(1 + static_cast<int>(rng.below(15))));
    std::map<std::string, int> byNode;
    for (const auto& each : pods()) {
      if (!each.metadata().has_deletiontimestamp() && !each.spec().nodename().empty())
        ++byNode[each.spec().nodename()];
    }
    for (const auto& [name, count] : byNode) EXPECT_LE(count, 1) << name;
  }
  flaky.setFaults({});
  pass(minutes(3));
  std::multiset<std::string> wanted;
  for (const auto& object : list<corev1::Node>().items) {
    if (api::meta(*object).labels().contains("on")) wanted.insert(api::meta(*object).name());
  }
  EXPECT_EQ(nodesOfPods(), wanted);
  for (const auto& each : images()) EXPECT_EQ(each, image);
  EXPECT_EQ(get<DaemonSet>("d")->status().numberready(), static_cast<int>(wanted.size()));
}

INSTANTIATE_TEST_SUITE_P(Seeds, DaemonChaos, testing::Range<std::uint64_t>(1, 4));

}  // namespace
}  // namespace podlab::controllers
