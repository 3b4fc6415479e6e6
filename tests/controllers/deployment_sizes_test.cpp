#include "controllers/deployment_sizes.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "api/int_or_percent.hpp"
#include "controllers/deployment_revisions.hpp"

namespace podlab::controllers {
namespace {

using appsv1::Deployment;
using appsv1::ReplicaSet;
using intstr::IntOrString;

IntOrString number(std::int32_t value) {
  IntOrString made;
  made.set_type(0);
  made.set_intval(value);
  return made;
}
IntOrString percent(const std::string& text) {
  IntOrString made;
  made.set_type(1);
  made.set_strval(text);
  return made;
}

Deployment deployment(std::int32_t replicas, const IntOrString& surge,
                      const IntOrString& unavailable) {
  Deployment made;
  made.mutable_spec()->set_replicas(replicas);
  auto& strategy = *made.mutable_spec()->mutable_strategy();
  strategy.set_type("RollingUpdate");
  *strategy.mutable_rollingupdate()->mutable_maxsurge() = surge;
  *strategy.mutable_rollingupdate()->mutable_maxunavailable() = unavailable;
  return made;
}
Deployment deployment(std::int32_t replicas, std::int32_t surge, std::int32_t unavailable) {
  return deployment(replicas, number(surge), number(unavailable));
}

/// The n-th set is the n-th oldest.
ReplicaSetPtr set(int n, std::int32_t wanted, std::int32_t available = 0) {
  auto made = std::make_shared<ReplicaSet>();
  made->mutable_metadata()->set_name("s" + std::to_string(n));
  made->mutable_metadata()->mutable_creationtimestamp()->set_seconds(n);
  made->mutable_spec()->set_replicas(wanted);
  made->mutable_status()->set_availablereplicas(available);
  return made;
}

std::string text(const Sizes& sizes) {
  std::string made;
  for (const auto& [one, size] : sizes)
    made += one->metadata().name() + "=" + std::to_string(size) + " ";
  return made;
}

TEST(DeploymentSizes, SurgeIsRoundedUpAndUnavailabilityDown) {
  const auto quarters = deployment(10, percent("25%"), percent("25%"));
  EXPECT_EQ(maxSurge(quarters), 3);
  EXPECT_EQ(maxUnavailable(quarters), 2);
  const auto small = deployment(1, percent("0%"), percent("25%"));
  EXPECT_EQ(maxSurge(small), 0);
  EXPECT_EQ(maxUnavailable(small), 1) << "or nothing would ever move";
  EXPECT_EQ(maxUnavailable(deployment(3, 0, 10)), 3);
  EXPECT_EQ(maxUnavailable(deployment(0, 0, 10)), 0);
  auto recreate = deployment(3, 1, 1);
  recreate.mutable_spec()->mutable_strategy()->set_type("Recreate");
  EXPECT_EQ(maxSurge(recreate), 0);
  EXPECT_EQ(maxUnavailable(recreate), 0);
}

TEST(DeploymentSizes, TheNewestGrowsWithinTheSurge) {
  const auto next = [](std::int32_t replicas, std::int32_t surge, std::int32_t present,
                       std::int32_t older) {
    return sizeOfNewest(deployment(replicas, surge, 0), {set(1, older), set(2, present)}, present);
  };
  EXPECT_EQ(next(10, 2, 0, 10), 2);
  EXPECT_EQ(next(10, 0, 0, 10), 0);
  EXPECT_EQ(next(10, 2, 2, 7), 5);
  EXPECT_EQ(next(10, 2, 6, 10), 6) << "never shrinks below what it is for want of room";
  EXPECT_EQ(next(10, 5, 8, 0), 10) << "never above what is wanted";
  EXPECT_EQ(next(10, 0, 12, 0), 10);
}

TEST(DeploymentSizes, OlderSetsShrinkByWhatIsAvailable) {
  // replicas 10, at least 10 available; the newest has 2 of which 2 are available.
  EXPECT_EQ(text(shrinkOlder(deployment(10, 2, 0), *set(9, 2, 2), {set(1, 10, 10)})), "s1=8 ");
  EXPECT_EQ(text(shrinkOlder(deployment(10, 2, 0), *set(9, 2, 1), {set(1, 10, 10)})), "s1=9 ");
  EXPECT_EQ(text(shrinkOlder(deployment(10, 2, 0), *set(9, 2, 0), {set(1, 10, 10)})), "");
  EXPECT_EQ(text(shrinkOlder(deployment(10, 0, 2), *set(9, 0, 0), {set(1, 10, 10)})), "s1=8 ");
  // Sick pods first, even when nothing else may go.
  EXPECT_EQ(text(shrinkOlder(deployment(10, 0, 2), *set(9, 0, 0), {set(1, 10, 8)})), "s1=8 ");
  EXPECT_EQ(text(shrinkOlder(deployment(10, 2, 0), *set(9, 2, 2), {set(1, 10, 5)})), "s1=8 ");
  // The oldest set first.
  EXPECT_EQ(text(shrinkOlder(deployment(10, 2, 2), *set(9, 0, 0), {set(2, 8, 8), set(1, 2, 2)})),
            "s1=0 ");
  EXPECT_EQ(text(shrinkOlder(deployment(10, 2, 3), *set(9, 0, 0), {set(2, 8, 8), set(1, 2, 2)})),
            "s1=0 s2=7 ");
}

TEST(DeploymentSizes, WhatIsAloneIsScaledAlone) {
  const auto ten = deployment(10, 1, 1);
  EXPECT_EQ(text(scaleAll(ten, nullptr, {})), "");
  EXPECT_EQ(text(scaleAll(ten, set(2, 5), {set(1, 0)})), "s2=10 ");
  EXPECT_EQ(text(scaleAll(ten, set(2, 0), {set(1, 5)})), "s1=10 ");
  EXPECT_EQ(text(scaleAll(ten, set(2, 0), {set(1, 0)})), "s2=10 ");
  EXPECT_EQ(text(scaleAll(ten, nullptr, {set(1, 0), set(2, 0)})), "s2=10 ");
}

TEST(DeploymentSizes, ARolloutIsScaledInProportion) {
  const auto scaled = [](std::int32_t before, std::int32_t after, std::vector<std::int32_t> sizes,
                         std::int32_t surge = 0) {
    ReplicaSets sets;
    const auto old = deployment(before, surge, 1);
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      sets.push_back(set(static_cast<int>(i) + 1, sizes[i]));
      noteReplicas(*sets.back(), old);
    }
    const ReplicaSetPtr newest = sets.back();
    sets.pop_back();
    return text(scaleAll(deployment(after, surge, 1), newest, sets));
  };
  EXPECT_EQ(scaled(10, 12, {5, 5}), "s2=6 s1=6 ");
  EXPECT_EQ(scaled(10, 8, {5, 5}), "s1=4 s2=4 ");
  EXPECT_EQ(scaled(10, 20, {2, 8}), "s2=16 s1=4 ");
  EXPECT_EQ(scaled(10, 5, {2, 8}), "s2=4 s1=1 ");
  EXPECT_EQ(scaled(10, 11, {3, 3, 4}), "s3=5 s2=3 s1=3 ") << "the largest gets the rest";
  EXPECT_EQ(scaled(10, 0, {3, 7}), "s2=0 s1=0 ");
  EXPECT_EQ(scaled(10, 20, {5, 7}, 2), "s2=13 s1=9 ");
}

TEST(DeploymentSizes, ASaturatedRolloutDropsTheRest) {
  const auto newest = set(2, 10, 10);
  const auto ten = deployment(10, 1, 1);
  noteReplicas(*newest, ten);
  EXPECT_EQ(text(scaleAll(ten, newest, {set(1, 3)})), "s1=0 ");
}

TEST(DeploymentSizes, RecreateLeavesSeveralSetsTheirSizes) {
  auto recreate = deployment(10, 1, 1);
  recreate.mutable_spec()->mutable_strategy()->set_type("Recreate");
  EXPECT_EQ(text(scaleAll(recreate, set(2, 3), {set(1, 5)})), "s1=5 s2=3 ");
}

TEST(DeploymentSizes, HugeNumbersStayInRange) {
  const std::int32_t most = std::numeric_limits<std::int32_t>::max();
  const auto huge = deployment(most, percent("100%"), percent("100%"));
  EXPECT_EQ(sizeOfNewest(huge, {set(1, most), set(2, most)}, most), most);
  const auto newest = set(2, most);
  noteReplicas(*newest, huge);
  EXPECT_EQ(text(scaleAll(huge, newest, {set(1, most)})), "s2=2147483647 s1=2147483647 ");
}

TEST(DeploymentRevisions, NewSetsCarryTheHash) {
  auto from = deployment(3, 1, 1);
  from.mutable_metadata()->set_name("web");
  (*from.mutable_spec()->mutable_selector()->mutable_matchlabels())["app"] = "web";
  (*from.mutable_spec()->mutable_template_()->mutable_metadata()->mutable_labels())["app"] = "web";
  const auto made = newSet(from);
  const std::string hash = templateHash(from.spec().template_(), 0);
  EXPECT_EQ(made.metadata().name(), "web-" + hash);
  EXPECT_EQ(made.metadata().labels().at(kTemplateHash), hash);
  EXPECT_EQ(made.spec().selector().matchlabels().at(kTemplateHash), hash);
  EXPECT_EQ(made.spec().template_().metadata().labels().at(kTemplateHash), hash);
  EXPECT_TRUE(sameTemplate(made.spec().template_(), from.spec().template_()));
  EXPECT_EQ(hash.find_first_not_of("bcdfghjklmnpqrstvwxz2456789"), std::string::npos);
  EXPECT_NE(templateHash(from.spec().template_(), 1), hash);
  auto other = from.spec().template_();
  other.mutable_spec()->set_hostname("x");
  EXPECT_NE(templateHash(other, 0), hash);
  EXPECT_FALSE(sameTemplate(other, from.spec().template_()));
}

TEST(DeploymentRevisions, AnOldRevisionKeepsWhatItWas) {
  Deployment from;
  auto& annotations = *from.mutable_metadata()->mutable_annotations();
  annotations["kubernetes.io/change-cause"] = "why";
  annotations["kubectl.kubernetes.io/last-applied-configuration"] = "{}";
  annotations[kRevision] = "7";
  ReplicaSet made;
  EXPECT_TRUE(noteRevision(made, from, 1));
  EXPECT_EQ(revisionOf(made), 1);
  EXPECT_EQ(made.metadata().annotations().at("kubernetes.io/change-cause"), "why");
  EXPECT_EQ(made.metadata().annotations().size(), 2U);
  EXPECT_FALSE(noteRevision(made, from, 1));
  EXPECT_TRUE(noteRevision(made, from, 3));
  EXPECT_TRUE(noteRevision(made, from, 5));
  EXPECT_EQ(revisionOf(made), 5);
  EXPECT_EQ(made.metadata().annotations().at(kRevisionHistory), "1,3");
  for (int i = 6; i < 2000; ++i) noteRevision(made, from, i);
  EXPECT_LE(made.metadata().annotations().at(kRevisionHistory).size(), 2000U);
  EXPECT_TRUE(made.metadata().annotations().at(kRevisionHistory).ends_with(",1998"));
}

}  // namespace
}  // namespace podlab::controllers
