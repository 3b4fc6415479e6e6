#include <gmock/gmock.h>

#include "controllers/deployment_revisions.hpp"
#include "tests/controllers/workload_fixture.hpp"

namespace podlab::controllers {
namespace {

using appsv1::Deployment;
using appsv1::ReplicaSet;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::SizeIs;

class DeploymentsTest : public WorkloadTest {
 protected:
  DeploymentsTest() { startCluster(); }

  void roll(const std::string& name, const std::string& spec, const std::string& image = "a") {
    ASSERT_TRUE(create(workload<Deployment>(name, spec, image)).ok());
    pass(seconds(20));
    ASSERT_EQ(condition(name, "Progressing").reason(), "NewReplicaSetAvailable");
  }
  std::string name(const std::string& image) { return setOf(image).metadata().name(); }
  std::string revision(const std::string& image) {
    return std::to_string(revisionOf(setOf(image)));
  }
};

TEST_F(DeploymentsTest, BeginsAndBecomesAvailable) {
  ASSERT_TRUE(create(workload<Deployment>("web", R"("replicas":3)")).ok());
  clock_.runUntilIdle();
  EXPECT_EQ(condition("web", "Available").reason(), "MinimumReplicasUnavailable");
  EXPECT_EQ(condition("web", "Available").message(),
            "Deployment does not have minimum availability.");
  EXPECT_EQ(condition("web", "Progressing").status(), "True");
  pass(seconds(10));
  const auto found = get<Deployment>("web");
  EXPECT_EQ(found->metadata().annotations().at(kRevision), "1");
  EXPECT_EQ(found->metadata().generation(), 1);
  const auto& status = found->status();
  EXPECT_EQ(status.observedgeneration(), 1);
  EXPECT_EQ(status.replicas(), 3);
  EXPECT_EQ(status.updatedreplicas(), 3);
  EXPECT_EQ(status.readyreplicas(), 3);
  EXPECT_EQ(status.availablereplicas(), 3);
  EXPECT_FALSE(status.has_unavailablereplicas());
  EXPECT_EQ(condition("web", "Available").reason(), "MinimumReplicasAvailable");
  EXPECT_EQ(condition("web", "Progressing").reason(), "NewReplicaSetAvailable");
  EXPECT_EQ(condition("web", "Progressing").message(),
            "ReplicaSet \"" + name("a") + "\" has successfully progressed.");
  ASSERT_THAT(sets(), SizeIs(1));
  const auto set = sets()[0];
  EXPECT_EQ(set.metadata().name(), "web-" + set.metadata().labels().at(kTemplateHash));
  EXPECT_EQ(set.metadata().annotations().at(kDesiredReplicas), "3");
  EXPECT_EQ(set.metadata().annotations().at(kMaxReplicas), "4");
  EXPECT_EQ(api::controllerOf(set.metadata())->kind(), "Deployment");
  EXPECT_THAT(messages("web", "ScalingReplicaSet"),
              ElementsAre("Scaled up replica set " + name("a") + " from 0 to 3"));
}

TEST_F(DeploymentsTest, ARollingUpdateGoesStepByStep) {
  roll("web", R"("replicas":2,"strategy":{"rollingUpdate":{"maxSurge":1,"maxUnavailable":0}})");
  setImage("web", "b");
  EXPECT_EQ(condition("web", "Progressing").reason(), "ReplicaSetUpdated");
  pass(seconds(60));
  EXPECT_THAT(messages("web", "ScalingReplicaSet"),
              ElementsAre("Scaled up replica set " + name("a") + " from 0 to 2",
                          "Scaled up replica set " + name("b") + " from 0 to 1",
                          "Scaled down replica set " + name("a") + " from 2 to 1",
                          "Scaled up replica set " + name("b") + " from 1 to 2",
                          "Scaled down replica set " + name("a") + " from 1 to 0"));
  EXPECT_EQ(condition("web", "Progressing").reason(), "NewReplicaSetAvailable");
  EXPECT_EQ(get<Deployment>("web")->metadata().annotations().at(kRevision), "2");
  EXPECT_THAT(pods(), SizeIs(2));
}

TEST_F(DeploymentsTest, RecreateWaitsForTheLastOldPod) {
  roll("web", R"("replicas":3,"strategy":{"type":"Recreate"})");
  auto watching = watch<corev1::Pod>({});
  (void)drain(*watching);
  setImage("web", "b");
  pass(seconds(60));
  std::set<std::string> old;
  for (const auto& event : drain(*watching)) {
    const auto& pod = api::as<corev1::Pod>(event.object);
    const bool isOld = pod.spec().containers(0).image() == "a";
    if (isOld && event.type != api::EventType::kDeleted) old.insert(pod.metadata().name());
    if (isOld && event.type == api::EventType::kDeleted) old.erase(pod.metadata().name());
    if (!isOld) EXPECT_TRUE(old.empty()) << *old.begin() << " is still there";
  }
  EXPECT_THAT(pods(), SizeIs(3));
  EXPECT_THAT(messages("web", "ScalingReplicaSet"),
              ElementsAre("Scaled up replica set " + name("a") + " from 0 to 3",
                          "Scaled down replica set " + name("a") + " from 3 to 0",
                          "Scaled up replica set " + name("b") + " from 0 to 3"));
}

TEST_F(DeploymentsTest, ARolloutThatDoesNotMoveExceedsItsDeadline) {
  roll("web", R"("replicas":2,"progressDeadlineSeconds":60)");
  setImage("web", "broken");
  pass(seconds(40));
  EXPECT_EQ(condition("web", "Progressing").reason(), "ReplicaSetUpdated");
  pass(seconds(60));
  EXPECT_EQ(condition("web", "Progressing").status(), "False");
  EXPECT_EQ(condition("web", "Progressing").reason(), "ProgressDeadlineExceeded");
  EXPECT_EQ(condition("web", "Progressing").message(),
            "ReplicaSet \"" + name("broken") + "\" has timed out progressing.");
  EXPECT_EQ(condition("web", "Available").status(), "True");
  EXPECT_EQ(setOf("a").status().availablereplicas(), 2);
  setImage("web", "c");
  pass(seconds(60));
  EXPECT_EQ(condition("web", "Progressing").reason(), "NewReplicaSetAvailable");
  EXPECT_EQ(setOf("broken").spec().replicas(), 0);
}

TEST_F(DeploymentsTest, WhatIsPausedIsScaledAndNotRolled) {
  roll("web", R"("replicas":2)");
  patched<Deployment>("web", R"({"spec":{"paused":true}})");
  EXPECT_EQ(condition("web", "Progressing").reason(), "DeploymentPaused");
  EXPECT_EQ(condition("web", "Progressing").status(), "Unknown");
  setImage("web", "b");
  patched<Deployment>("web", R"({"spec":{"replicas":4}})");
  pass(seconds(30));
  ASSERT_THAT(sets(), SizeIs(1));
  EXPECT_EQ(setOf("a").spec().replicas(), 4);
  EXPECT_FALSE(get<Deployment>("web")->status().has_updatedreplicas());
  patched<Deployment>("web", R"({"spec":{"paused":null}})");
  pass(seconds(60));
  EXPECT_EQ(setOf("b").status().availablereplicas(), 4);
  EXPECT_EQ(condition("web", "Progressing").reason(), "NewReplicaSetAvailable");
}

TEST_F(DeploymentsTest, AnUndoTakesTheOldSetAgain) {
  roll("web", R"("replicas":2)");
  setImage("web", "b");
  pass(seconds(30));
  const auto old = setOf("a");
  // As kubectl's undo: the template of the old set, without its hash.
  auto undone = *get<Deployment>("web");
  *undone.mutable_spec()->mutable_template_() = old.spec().template_();
  undone.mutable_spec()->mutable_template_()->mutable_metadata()->mutable_labels()->erase(
      kTemplateHash);
  ASSERT_TRUE(update(undone).ok());
  pass(seconds(30));
  ASSERT_THAT(sets(), SizeIs(2));
  EXPECT_EQ(setOf("a").metadata().uid(), old.metadata().uid());
  EXPECT_EQ(setOf("a").status().availablereplicas(), 2);
  EXPECT_EQ(revision("a"), "3");
  EXPECT_EQ(setOf("a").metadata().annotations().at(kRevisionHistory), "1");
  EXPECT_EQ(get<Deployment>("web")->metadata().annotations().at(kRevision), "3");
}

TEST_F(DeploymentsTest, OldRevisionsGoBeyondTheLimit) {
  roll("web", R"("replicas":1,"revisionHistoryLimit":2)");
  for (const char* image : {"b", "c", "d", "e"}) {
    setImage("web", image);
    pass(seconds(30));
  }
  ASSERT_THAT(sets(), SizeIs(3));
  EXPECT_EQ(revision("c"), "3");
  EXPECT_EQ(revision("e"), "5");
  patched<Deployment>("web", R"({"spec":{"revisionHistoryLimit":0}})");
  pass(seconds(10));
  EXPECT_THAT(sets(), SizeIs(1));
}

TEST_F(DeploymentsTest, ANameThatIsTakenCountsAsACollision) {
  auto wanted = workload<Deployment>("web", R"("replicas":1)");
  api::kindFor<Deployment>().strategy.applyDefaults(wanted);
  auto foreign = workload<ReplicaSet>("other", R"("replicas":0)");
  foreign.mutable_metadata()->set_name("web-" + templateHash(wanted.spec().template_(), 0));
  ASSERT_TRUE(create(foreign).ok());
  roll("web", R"("replicas":1)");
  EXPECT_EQ(get<Deployment>("web")->status().collisioncount(), 1);
  EXPECT_EQ(name("a"), "web-" + templateHash(wanted.spec().template_(), 1));
}

TEST_F(DeploymentsTest, AdoptsSetsThatItsSelectorMatches) {
  auto orphan = workload<ReplicaSet>("web", R"("replicas":2)");
  (*orphan.mutable_metadata()->mutable_labels())["app"] = "web";
  ASSERT_TRUE(create(orphan).ok());
  pass(seconds(10));
  roll("web", R"("replicas":2)");
  ASSERT_THAT(sets(), SizeIs(1)) << "its template is the same";
  EXPECT_EQ(api::controllerOf(sets()[0].metadata())->name(), "web");
  EXPECT_THAT(pods(), SizeIs(2));
}

TEST_F(DeploymentsTest, FailuresOfTheSetAreTheDeployments) {
  auto made = workload<Deployment>("web", R"("replicas":1)");
  made.mutable_spec()->mutable_template_()->mutable_spec()->set_priorityclassname("missing");
  ASSERT_TRUE(create(made).ok());
  clock_.advance(seconds(1));
  EXPECT_EQ(condition("web", "ReplicaFailure").reason(), "FailedCreate");
  EXPECT_EQ(condition("web", "ReplicaFailure").status(), "True");
  EXPECT_EQ(get<Deployment>("web")->status().unavailablereplicas(), 1);
}

TEST_F(DeploymentsTest, MakesNothingInANamespaceThatGoes) {
  corev1::Namespace ns;
  ns.mutable_metadata()->set_name("gone");
  ASSERT_TRUE(create(ns).ok());
  for (const char* strategy : {"RollingUpdate", "Recreate"}) {
    auto made = workload<Deployment>(
        std::string("web-") + static_cast<char>(std::tolower(strategy[2])),
        std::string(R"("replicas":2,"strategy":{"type":")") + strategy + R"("})");
    made.mutable_metadata()->set_namespace_("gone");
    ASSERT_TRUE(create(made).ok());
  }
  pass(seconds(20));
  ASSERT_TRUE(remove<corev1::Namespace>("gone").ok());
  pass(seconds(60));
  EXPECT_TRUE(get<corev1::Namespace>("gone").status().is(Code::kNotFound));
}

TEST_F(DeploymentsTest, ScalingInTheMiddleOfARolloutSharesOut) {
  roll("web", R"("replicas":10,"strategy":{"rollingUpdate":{"maxSurge":3,"maxUnavailable":2}})");
  setImage("web", "broken");
  pass(seconds(30));
  EXPECT_EQ(setOf("a").spec().replicas(), 8);
  EXPECT_EQ(setOf("broken").spec().replicas(), 5);
  patched<Deployment>("web", R"({"spec":{"replicas":15}})");
  pass(seconds(1));
  // As in upstream's documentation of proportional scaling.
  EXPECT_EQ(setOf("a").spec().replicas(), 11);
  EXPECT_EQ(setOf("broken").spec().replicas(), 7);
}

}  // namespace
}  // namespace podlab::controllers
