#include "cli/drain_pods.hpp"

#include <gtest/gtest.h>

#include "api/times.hpp"

namespace podlab::cli {
namespace {

const WallTime kNow = *parseTime("2026-01-01T00:00:00Z");

class DrainPodsTest : public testing::Test {
 protected:
  static corev1::Pod pod(const std::string& controller = "ReplicaSet") {
    corev1::Pod made;
    made.mutable_metadata()->set_name("web");
    made.mutable_metadata()->set_namespace_("default");
    if (controller.empty()) return made;
    auto& owner = *made.mutable_metadata()->add_ownerreferences();
    owner.set_kind(controller);
    owner.set_name("owner");
    owner.set_controller(true);
    return made;
  }
  PodVerdict judge(const corev1::Pod& one) { return judgePod(one, rules_, daemonSet_, kNow); }

  DrainRules rules_;
  Status daemonSet_;
};

TEST_F(DrainPodsTest, PodsThatAreMadeAgainGo) {
  EXPECT_TRUE(judge(pod()).removes);
  EXPECT_EQ(judge(pod()).error, "");
}

TEST_F(DrainPodsTest, PodsThatNobodyMakesAgainNeedForce) {
  EXPECT_FALSE(judge(pod("")).removes);
  EXPECT_NE(judge(pod("")).error.find("use --force"), std::string::npos);
  rules_.force = true;
  EXPECT_TRUE(judge(pod("")).removes);
  EXPECT_EQ(judge(pod("")).warning, "deleting Pods that declare no controller");
}

TEST_F(DrainPodsTest, PodsOfDaemonSetsStay) {
  EXPECT_NE(judge(pod("DaemonSet")).error.find("--ignore-daemonsets"), std::string::npos);
  rules_.ignoreDaemonSets = true;
  EXPECT_FALSE(judge(pod("DaemonSet")).removes);
  EXPECT_EQ(judge(pod("DaemonSet")).error, "");
  EXPECT_EQ(judge(pod("DaemonSet")).warning, "ignoring DaemonSet-managed Pods");
  daemonSet_ = Status(Code::kNotFound, "daemonsets.apps \"owner\" not found");
  EXPECT_EQ(judge(pod("DaemonSet")).error, daemonSet_.message());
  rules_.force = true;
  EXPECT_TRUE(judge(pod("DaemonSet")).removes);
}

TEST_F(DrainPodsTest, LocalDataIsLostOnlyWhereItIsMeant) {
  auto one = pod();
  one.mutable_spec()->add_volumes()->mutable_volumesource()->mutable_emptydir();
  EXPECT_NE(judge(one).error.find("--delete-emptydir-data"), std::string::npos);
  rules_.deleteEmptyDirData = true;
  EXPECT_TRUE(judge(one).removes);
}

TEST_F(DrainPodsTest, FinishedPodsGoWhateverTheyAre) {
  for (const char* controller : {"", "DaemonSet"}) {
    auto one = pod(controller);
    one.mutable_status()->set_phase("Succeeded");
    one.mutable_spec()->add_volumes()->mutable_volumesource()->mutable_emptydir();
    EXPECT_TRUE(judge(one).removes) << controller;
  }
}

TEST_F(DrainPodsTest, PodsThatHaveLongBeenEndingAreLeftWhenAsked) {
  auto one = pod();
  *one.mutable_metadata()->mutable_deletiontimestamp() =
      api::toTime(kNow - std::chrono::seconds(10));
  EXPECT_TRUE(judge(one).removes);
  rules_.skipWaitSeconds = 5;
  EXPECT_FALSE(judge(one).removes);
  rules_.skipWaitSeconds = 10;
  EXPECT_TRUE(judge(one).removes);
}

TEST_F(DrainPodsTest, APlanGathersPodsByWhatIsSaidOfThem) {
  DrainPlan plan;
  auto a = std::make_shared<corev1::Pod>(pod());
  auto b = std::make_shared<corev1::Pod>(pod());
  b->mutable_metadata()->set_name("api");
  PodVerdict verdict;
  verdict.warning = "ignoring";
  plan.add(a, verdict);
  plan.add(b, verdict);
  EXPECT_EQ(plan.warning(), "ignoring: default/web, default/api");
  EXPECT_EQ(plan.pods.size(), 2u);
  EXPECT_TRUE(plan.problems().empty());
}

}  // namespace
}  // namespace podlab::cli
