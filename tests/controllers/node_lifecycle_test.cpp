#include <gmock/gmock.h>

#include "tests/controllers/cluster_fixture.hpp"

namespace podlab::controllers {
namespace {

using std::chrono::seconds;
using testing::AllOf;
using testing::Contains;
using testing::Not;
using testing::UnorderedElementsAre;

class NodeLifecycleTest : public ClusterTest {};

constexpr const char* kUnreachable = "node.kubernetes.io/unreachable";
constexpr const char* kNotReady = "node.kubernetes.io/not-ready";

TEST_F(NodeLifecycleTest, ASilentNodeBecomesUnknownAfterItsGraceAndComesBack) {
  startManager();
  addNode("n1");
  addNode("n2");
  addPod("web", "n1");
  pass(seconds(120));
  EXPECT_EQ(ready("n1"), "True");

  // The last renewal was 10 s ago.
  alive_.erase("n1");
  pass(seconds(29));
  EXPECT_EQ(ready("n1"), "True");
  pass(seconds(2));
  EXPECT_EQ(ready("n1"), "Unknown");
  EXPECT_EQ(ready("n2"), "True");
  EXPECT_EQ(api::findCondition(get<corev1::Node>("n1")->status(), "Ready")->reason(),
            "NodeStatusUnknown");
  EXPECT_THAT(taints("n1"), UnorderedElementsAre(std::string(kUnreachable) + ":NoSchedule",
                                                 std::string(kUnreachable) + ":NoExecute"));
  EXPECT_FALSE(api::isTrue(get<corev1::Pod>("web")->status(), "Ready"));
  // A status of before the silence that comes late.
  auto late = get<corev1::Pod>("web");
  const api::ConditionState stillReady{"Ready", "True", "", ""};
  api::setCondition(*late->mutable_status(), stillReady, clock_.wallNow());
  ASSERT_TRUE(update(*late, "status").ok());
  pass(seconds(2));
  EXPECT_FALSE(api::isTrue(get<corev1::Pod>("web")->status(), "Ready"));
  EXPECT_THAT(events("n1"), Contains("NodeNotReady").Times(1));

  alive_.insert("n1");
  setReady("n1", "True");
  EXPECT_THAT(taints("n1"), testing::IsEmpty());
  EXPECT_THAT(events("n1"), Contains("NodeReady"));
  pass(seconds(400));
  EXPECT_EQ(ready("n1"), "True");
  EXPECT_FALSE(get<corev1::Pod>("web")->metadata().has_deletiontimestamp());
}

TEST_F(NodeLifecycleTest, ANodeThatNeverReportedIsUnknownToo) {
  startManager();
  corev1::Node silent;
  silent.mutable_metadata()->set_name("n1");
  auto& starting = *silent.mutable_spec()->add_taints();
  starting.set_key(kNotReady);
  starting.set_effect("NoSchedule");
  ASSERT_TRUE(create(silent).ok());
  pass(seconds(39));
  EXPECT_EQ(ready("n1"), "");
  EXPECT_THAT(taints("n1"), UnorderedElementsAre(std::string(kNotReady) + ":NoSchedule"));
  pass(seconds(2));
  EXPECT_EQ(ready("n1"), "Unknown");
  const auto node = get<corev1::Node>("n1");
  EXPECT_EQ(api::findCondition(node->status(), "Ready")->reason(), "NodeStatusNeverUpdated");
  EXPECT_THAT(taints("n1"), UnorderedElementsAre(std::string(kUnreachable) + ":NoSchedule",
                                                 std::string(kUnreachable) + ":NoExecute"));
}

TEST_F(NodeLifecycleTest, AReportOfStatusIsASignOfLifeWithoutALease) {
  startManager();
  addNode("n1");
  alive_.clear();
  for (int i = 0; i < 6; ++i) {
    pass(seconds(30));
    // The agent's report: the same status, another heartbeat.
    auto node = get<corev1::Node>("n1");
    for (auto& condition : *node->mutable_status()->mutable_conditions()) {
      *condition.mutable_lastheartbeattime() = api::toTime(clock_.wallNow());
    }
    ASSERT_TRUE(update(*node, "status").ok());
    EXPECT_EQ(ready("n1"), "True") << i;
  }
  pass(seconds(41));
  EXPECT_EQ(ready("n1"), "Unknown");
}

TEST_F(NodeLifecycleTest, TaintsFollowTheConditionsAndTheSpec) {
  startManager();
  addNode("n1");
  setReady("n1", "False");
  EXPECT_THAT(taints("n1"), UnorderedElementsAre(std::string(kNotReady) + ":NoSchedule",
                                                 std::string(kNotReady) + ":NoExecute"));
  auto node = get<corev1::Node>("n1");
  node->mutable_spec()->set_unschedulable(true);
  auto& own = *node->mutable_spec()->add_taints();
  own.set_key("mine");
  own.set_effect("NoSchedule");
  ASSERT_TRUE(update(*node).ok());
  setReady("n1", "True");
  EXPECT_THAT(taints("n1"), UnorderedElementsAre("node.kubernetes.io/unschedulable:NoSchedule",
                                                 "mine:NoSchedule"));
}

TEST_F(NodeLifecycleTest, AServerThatStartsGrantsAWholeGracePeriod) {
  startManager();
  addNode("n1");
  pass(seconds(30));
  alive_.clear();
  stopManager();
  restart();
  clock_.advance(std::chrono::hours(1));
  startManager();
  clock_.advance(seconds(39));
  EXPECT_EQ(ready("n1"), "True");
  clock_.advance(seconds(2));
  EXPECT_EQ(ready("n1"), "Unknown");
}

TEST_F(NodeLifecycleTest, EvictsAfterTheTolerationsTime) {
  startManager();
  addNode("n1");
  addNode("n2");
  addPod("default", "n1");
  corev1::Pod patient = pod("patient", "n1");
  auto& forever = *patient.mutable_spec()->add_tolerations();
  forever.set_operator_("Exists");
  ASSERT_TRUE(create(patient).ok());
  corev1::Pod hasty = pod("hasty", "n1");
  for (const char* key : {kUnreachable, kNotReady}) {
    auto& shortly = *hasty.mutable_spec()->add_tolerations();
    shortly.set_key(key);
    shortly.set_operator_("Exists");
    shortly.set_effect("NoExecute");
    shortly.set_tolerationseconds(20);
  }
  ASSERT_TRUE(create(hasty).ok());
  addPod("elsewhere", "n2");
  const auto terminating = [&](const char* name) {
    return get<corev1::Pod>(name)->metadata().has_deletiontimestamp();
  };
  pass(seconds(10));
  alive_.erase("n1");
  pass(seconds(31));
  ASSERT_EQ(ready("n1"), "Unknown");
  EXPECT_FALSE(terminating("hasty"));
  pass(seconds(20));
  EXPECT_TRUE(terminating("hasty"));
  EXPECT_FALSE(terminating("default"));

  // The time goes on over a restart of the server.
  const auto alive = alive_;
  stopManager();
  restart();
  alive_ = alive;
  startManager();
  pass(seconds(270));
  EXPECT_FALSE(terminating("default"));
  pass(seconds(20));
  EXPECT_TRUE(terminating("default"));
  EXPECT_FALSE(terminating("patient"));
  EXPECT_FALSE(terminating("elsewhere"));
  EXPECT_THAT(events("default"), Contains("TaintManagerEviction"));
}

TEST_F(NodeLifecycleTest, ATaintWithoutToleratingPodsEvictsAtOnce) {
  startManager();
  addNode("n1");
  addPod("web", "n1");
  auto node = get<corev1::Node>("n1");
  auto& taint = *node->mutable_spec()->add_taints();
  taint.set_key("maintenance");
  taint.set_effect("NoExecute");
  ASSERT_TRUE(update(*node).ok());
  clock_.runUntilIdle();
  EXPECT_TRUE(get<corev1::Pod>("web")->metadata().has_deletiontimestamp());
}

TEST_F(NodeLifecycleTest, CollectsPodsOfNodesThatAreGone) {
  startManager();
  addNode("n1");
  addNode("n2");
  addPod("web", "n1");
  addPod("kept", "n2");
  addPod("stray", "never");
  alive_.erase("n1");
  ASSERT_TRUE(remove<corev1::Node>("n1").ok());
  pass(seconds(30));
  EXPECT_TRUE(get<corev1::Pod>("web").ok());
  pass(seconds(20));
  EXPECT_EQ(get<corev1::Pod>("web").status().code(), Code::kNotFound);
  EXPECT_EQ(get<corev1::Pod>("stray").status().code(), Code::kNotFound);
  EXPECT_TRUE(get<corev1::Pod>("kept").ok());

  // A node that registers again within the quarantine keeps its pods.
  ASSERT_TRUE(remove<corev1::Node>("n2").ok());
  pass(seconds(10));
  corev1::Node again;
  again.mutable_metadata()->set_name("n2");
  ASSERT_TRUE(create(again).ok());
  pass(seconds(120));
  EXPECT_TRUE(get<corev1::Pod>("kept").ok());
}

TEST_F(NodeLifecycleTest, CollectsTheOldestFinishedPods) {
  ManagerOptions few = options();
  few.finishedPodThreshold = 2;
  startManager(few);
  addNode("n1");
  for (const char* name : {"a", "b", "c", "d"}) {
    addPod(name, "n1");
    pass(seconds(10));
  }
  for (const char* name : {"d", "b", "a", "c"}) {
    auto finished = get<corev1::Pod>(name);
    finished->mutable_status()->set_phase("Succeeded");
    ASSERT_TRUE(update(*finished, "status").ok());
  }
  clock_.runUntilIdle();
  std::vector<std::string> left;
  for (const auto& object : list<corev1::Pod>().items) left.push_back(api::meta(*object).name());
  EXPECT_THAT(left, testing::ElementsAre("c", "d"));
}

TEST_F(NodeLifecycleTest, EmptiesANamespaceThenRemovesIt) {
  startManager();
  addNode("n1");
  corev1::Namespace ns;
  ns.mutable_metadata()->set_name("lab");
  ASSERT_TRUE(create(ns).ok());
  for (int i = 0; i < 150; ++i) {
    auto object = configMap("c" + std::to_string(i));
    object.mutable_metadata()->set_namespace_("lab");
    ASSERT_TRUE(create(object).ok());
  }
  auto running = pod("web", "n1");
  running.mutable_metadata()->set_namespace_("lab");
  ASSERT_TRUE(create(running).ok());
  ASSERT_TRUE(remove<corev1::Namespace>("lab").ok());
  clock_.advance(seconds(5));
  EXPECT_TRUE(get<corev1::Namespace>("lab").ok());
  const api::ResourceId web{&api::kindFor<corev1::Pod>(), "lab", "web", ""};
  EXPECT_TRUE(api::meta(**run(admin_->get(web))).has_deletiontimestamp());
  const api::ResourceId maps{&api::kindFor<corev1::ConfigMap>(), "lab", "", ""};
  EXPECT_TRUE(run(admin_->list(maps, {}))->items.empty());
  api::DeleteOptions now;
  now.set_graceperiodseconds(0);
  ASSERT_TRUE(run(admin_->remove(web, now)).ok());
  clock_.runUntilIdle();
  EXPECT_EQ(get<corev1::Namespace>("lab").status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace podlab::controllers
