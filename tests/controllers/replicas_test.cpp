#include <gmock/gmock.h>

#include "core_v1_workloads.pb.h"
#include "scheduling_v1.pb.h"

#include "tests/controllers/workload_fixture.hpp"
#include "tests/fakes/flaky_api.hpp"

namespace podlab::controllers {
namespace {

using appsv1::ReplicaSet;
using corev1::Pod;
using corev1::ReplicationController;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::Contains;
using testing::SizeIs;

class ReplicasTest : public WorkloadTest {
 protected:
  ReplicasTest() { startCluster(); }

  Pod orphan(const std::string& name, const std::string& app) {
    auto made = pod(name, "n1");
    (*made.mutable_metadata()->mutable_labels())["app"] = app;
    return made;
  }
  std::string controllerOfPod(const std::string& name) {
    const auto found = get<Pod>(name);
    const auto* controller = api::controllerOf(found->metadata());
    return controller == nullptr ? "" : controller->name();
  }
};

TEST_F(ReplicasTest, MakesPodsAndTellsOfThem) {
  ASSERT_TRUE(create(workload<ReplicaSet>("web", R"("replicas":5)")).ok());
  pass(seconds(10));
  ASSERT_THAT(pods(), SizeIs(5));
  for (const auto& made : pods()) {
    EXPECT_TRUE(made.metadata().name().starts_with("web-"));
    EXPECT_EQ(made.metadata().labels().at("app"), "web");
    ASSERT_EQ(made.metadata().ownerreferences_size(), 1);
    const auto& owner = made.metadata().ownerreferences(0);
    EXPECT_EQ(owner.kind(), "ReplicaSet");
    EXPECT_EQ(owner.apiversion(), "apps/v1");
    EXPECT_TRUE(owner.controller() && owner.blockownerdeletion());
    EXPECT_THAT(messages("web", "SuccessfulCreate"),
                Contains("Created pod: " + made.metadata().name()));
  }
  const auto status = get<ReplicaSet>("web")->status();
  EXPECT_EQ(status.replicas(), 5);
  EXPECT_EQ(status.fullylabeledreplicas(), 5);
  EXPECT_EQ(status.readyreplicas(), 5);
  EXPECT_EQ(status.availablereplicas(), 5);
  EXPECT_EQ(status.observedgeneration(), 1);

  patched<ReplicaSet>("web", R"({"spec":{"replicas":2}})");
  pass(seconds(10));
  EXPECT_THAT(pods(), SizeIs(2));
  EXPECT_THAT(messages("web", "SuccessfulDelete"), SizeIs(3));
  EXPECT_EQ(get<ReplicaSet>("web")->status().observedgeneration(), 2);
}

TEST_F(ReplicasTest, ReplacesPodsThatGoAndThatFail) {
  ASSERT_TRUE(create(workload<ReplicaSet>("web", R"("replicas":2)")).ok());
  pass(seconds(10));
  const std::string gone = pods()[0].metadata().name();
  auto failed = pods()[1];
  ASSERT_TRUE(remove<Pod>(gone).ok());
  failed.mutable_status()->set_phase("Failed");
  ASSERT_TRUE(update(failed, "status").ok());
  pass(seconds(10));
  EXPECT_THAT(pods(), SizeIs(3));  // the failed one stays to be looked at
  EXPECT_EQ(get<ReplicaSet>("web")->status().readyreplicas(), 2);
  EXPECT_FALSE(get<Pod>(gone).ok());
}

TEST_F(ReplicasTest, AdoptsAndReleasesByItsSelector) {
  ASSERT_TRUE(create(orphan("before", "web")).ok());
  ASSERT_TRUE(create(orphan("other", "db")).ok());
  ASSERT_TRUE(create(workload<ReplicaSet>("web", R"("replicas":3)")).ok());
  pass(seconds(10));
  EXPECT_EQ(controllerOfPod("before"), "web");
  EXPECT_EQ(controllerOfPod("other"), "");
  EXPECT_THAT(pods(), SizeIs(4));

  ASSERT_TRUE(
      patch<Pod>("before", api::PatchType::kMerge, R"({"metadata":{"labels":{"app":"x"}}})").ok());
  pass(seconds(10));
  EXPECT_EQ(controllerOfPod("before"), "");
  EXPECT_THAT(pods(), SizeIs(5));

  // One pod too many is adopted, and one goes.
  ASSERT_TRUE(
      patch<Pod>("other", api::PatchType::kMerge, R"({"metadata":{"labels":{"app":"web"}}})").ok());
  pass(seconds(10));
  EXPECT_THAT(pods(), SizeIs(4));
  EXPECT_EQ(get<ReplicaSet>("web")->status().replicas(), 3);
}

TEST_F(ReplicasTest, TwoOwnersNeverShareAPod) {
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(create(orphan("o" + std::to_string(i), "web")).ok());
  auto second = workload<ReplicaSet>("web", R"("replicas":4)");
  second.mutable_metadata()->set_name("second");
  ASSERT_TRUE(create(workload<ReplicaSet>("web", R"("replicas":4)")).ok());
  ASSERT_TRUE(create(second).ok());
  pass(seconds(20));
  std::map<std::string, int> owned;
  for (const auto& found : pods()) {
    ASSERT_EQ(found.metadata().ownerreferences_size(), 1) << found.metadata().name();
    ++owned[found.metadata().ownerreferences(0).name()];
  }
  EXPECT_EQ(owned, (std::map<std::string, int>{{"web", 4}, {"second", 4}}));
}

TEST_F(ReplicasTest, LeavesPodsAloneOnItsWayOut) {
  auto set = workload<ReplicaSet>("web", R"("replicas":2)");
  set.mutable_metadata()->add_finalizers("a.example/b");
  ASSERT_TRUE(create(set).ok());
  pass(seconds(10));
  ASSERT_TRUE(remove<ReplicaSet>("web").ok());
  const std::string gone = pods()[0].metadata().name();
  ASSERT_TRUE(remove<Pod>(gone).ok());
  ASSERT_TRUE(create(orphan("late", "web")).ok());
  pass(seconds(10));
  EXPECT_EQ(controllerOfPod("late"), "");
  EXPECT_FALSE(get<Pod>(gone).ok());
  EXPECT_EQ(get<ReplicaSet>("web")->status().replicas(), 1);
}

TEST_F(ReplicasTest, SaysWhyItCannotMakePods) {
  auto set = workload<ReplicaSet>("web", R"("replicas":8)");
  set.mutable_spec()->mutable_template_()->mutable_spec()->set_priorityclassname("missing");
  ASSERT_TRUE(create(set).ok());
  clock_.advance(seconds(1));
  const auto status = get<ReplicaSet>("web")->status();
  ASSERT_EQ(status.conditions_size(), 1);
  EXPECT_EQ(status.conditions(0).type(), "ReplicaFailure");
  EXPECT_EQ(status.conditions(0).reason(), "FailedCreate");
  EXPECT_THAT(messages("web", "FailedCreate")[0], testing::StartsWith("Error creating: pods "));
  EXPECT_EQ(status.observedgeneration(), 1);

  schedulingv1::PriorityClass made;
  made.mutable_metadata()->set_name("missing");
  made.set_value(1);
  auto collection = api::ResourceId{&api::kindFor<schedulingv1::PriorityClass>(), "", "", ""};
  ASSERT_TRUE(
      run(admin_->create(collection, std::make_shared<schedulingv1::PriorityClass>(made), {}))
          .ok());
  pass(minutes(2));
  EXPECT_EQ(get<ReplicaSet>("web")->status().readyreplicas(), 8);
  EXPECT_EQ(get<ReplicaSet>("web")->status().conditions_size(), 0);
}

TEST_F(ReplicasTest, PodsAreAvailableAfterMinReadySeconds) {
  agents_.slowest = {};
  ASSERT_TRUE(create(workload<ReplicaSet>("web", R"("replicas":2,"minReadySeconds":30)")).ok());
  pass(seconds(20));
  EXPECT_EQ(get<ReplicaSet>("web")->status().readyreplicas(), 2);
  EXPECT_EQ(get<ReplicaSet>("web")->status().availablereplicas(), 0);
  pass(seconds(15));
  EXPECT_EQ(get<ReplicaSet>("web")->status().availablereplicas(), 2);
}

TEST_F(ReplicasTest, AReplicationControllerIsKeptAlike) {
  auto made = fromJson<ReplicationController>(
      R"({"metadata":{"name":"old"},"spec":{"replicas":3,"template":{
          "metadata":{"labels":{"app":"old"}},
          "spec":{"containers":[{"name":"c","image":"a"}]}}}})");
  ASSERT_TRUE(create(made).ok());
  pass(seconds(10));
  EXPECT_EQ(get<ReplicationController>("old")->status().availablereplicas(), 3);
  EXPECT_EQ(pods()[0].metadata().ownerreferences(0).kind(), "ReplicationController");
  EXPECT_EQ(pods()[0].metadata().ownerreferences(0).apiversion(), "v1");
  patched<ReplicationController>("old", R"({"spec":{"replicas":0}})");
  pass(seconds(10));
  EXPECT_THAT(pods(), SizeIs(0));
}

TEST_F(ReplicasTest, PodsOfALostNodeAreMadeElsewhere) {
  ASSERT_TRUE(create(workload<ReplicaSet>("web", R"("replicas":6)")).ok());
  pass(seconds(10));
  alive_.erase("n1");
  agents_.setAway("n1", true);
  pass(minutes(8));
  int running = 0;
  for (const auto& found : pods()) {
    if (!found.metadata().has_deletiontimestamp()) ++running;
    if (!found.metadata().has_deletiontimestamp()) EXPECT_NE(found.spec().nodename(), "n1");
  }
  EXPECT_EQ(running, 6);
  EXPECT_EQ(get<ReplicaSet>("web")->status().readyreplicas(), 6);
}

/// No pod is ever made that was not wanted: all there ever were are those wanted and those that
/// went.
TEST_F(ReplicasTest, NothingIsMadeTwiceWhileTheCacheIsBehind) {
  ASSERT_TRUE(create(workload<ReplicaSet>("web", R"("replicas":1)")).ok());
  pass(seconds(10));
  const api::ResourceId everyPod{&api::kindFor<Pod>(), "", "", ""};
  auto watching = *run(admin_->watch(everyPod, {}));
  (void)drain(*watching);
  int wanted = 1;
  SeededRng rng(7);
  for (int round = 0; round < 20; ++round) {
    wanted += 1 + static_cast<int>(rng.below(4));
    ASSERT_TRUE(patch<ReplicaSet>("web", api::PatchType::kMerge,
                                  R"({"spec":{"replicas":)" + std::to_string(wanted) + "}}")
                    .ok());
    // Statuses of the pods come in between.
    pass(std::chrono::milliseconds(rng.below(800)));
    if (rng.chance(0.2)) restartManager();
  }
  pass(seconds(20));
  int added = 0;
  for (const auto& event : drain(*watching)) {
    if (event.type == api::EventType::kAdded) ++added;
    EXPECT_NE(event.type, api::EventType::kDeleted);
  }
  EXPECT_EQ(added, wanted - 1);
  EXPECT_EQ(get<ReplicaSet>("web")->status().readyreplicas(), wanted);
}

class ReplicasSeeds : public WorkloadTest, public testing::WithParamInterface<int> {};

TEST_P(ReplicasSeeds, ConvergeOverABadLine) {
  SeededRng rng(static_cast<std::uint64_t>(GetParam()));
  fakes::FlakyApi flaky(*admin_, clock_, rng);
  startCluster(&flaky);
  fakes::FlakyApi::Faults bad;
  bad.refused = 0.1;
  bad.answerLost = 0.1;
  bad.watchBroken = 0.05;
  bad.slowest = std::chrono::milliseconds(50);
  flaky.setFaults(bad);
  ASSERT_TRUE(create(workload<ReplicaSet>("web", R"("replicas":3)")).ok());
  std::uint64_t wanted = 3;
  for (int step = 0; step < 40; ++step) {
    if (rng.chance(0.4)) {
      wanted = rng.below(15);
      ASSERT_TRUE(patch<ReplicaSet>("web", api::PatchType::kMerge,
                                    R"({"spec":{"replicas":)" + std::to_string(wanted) + "}}")
                      .ok());
    }
    const auto present = pods();
    if (!present.empty() && rng.chance(0.3))
      (void)remove<Pod>(present[rng.below(present.size())].metadata().name());
    if (rng.chance(0.1)) restartManager(&flaky);
    pass(seconds(rng.below(20)));
  }
  flaky.setFaults({});
  pass(minutes(3));
  EXPECT_EQ(pods().size(), wanted);
  const auto status = get<ReplicaSet>("web")->status();
  EXPECT_EQ(static_cast<std::uint64_t>(status.availablereplicas()), wanted);
  EXPECT_EQ(status.conditions_size(), 0);
  stopManager();
}

INSTANTIATE_TEST_SUITE_P(Seeds, ReplicasSeeds, testing::Range(1, 5));

}  // namespace
}  // namespace podlab::controllers
