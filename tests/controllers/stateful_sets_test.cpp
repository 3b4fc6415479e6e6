#include <gmock/gmock.h>

#include "controllers/controller_history.hpp"
#include "controllers/stateful_pods.hpp"
#include "tests/controllers/workload_fixture.hpp"
#include "tests/fakes/flaky_api.hpp"

namespace podlab::controllers {
namespace {

using appsv1::StatefulSet;
using corev1::PersistentVolumeClaim;
using corev1::Pod;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr const char* kClaims =
    R"(,"volumeClaimTemplates":[{"metadata":{"name":"data"},"spec":{"accessModes":["ReadWriteOnce"],
        "resources":{"requests":{"storage":"1Mi"}},"storageClassName":"none"}}])";

class StatefulSetsTest : public WorkloadTest {
 protected:
  static StatefulSet set(const std::string& spec) {
    return workload<StatefulSet>("web", R"("serviceName":"svc",)" + spec);
  }
  std::vector<std::string> names() {
    std::vector<std::string> found;
    for (const auto& each : pods()) found.push_back(each.metadata().name());
    return found;
  }
  std::vector<std::string> images() {
    std::vector<std::string> found;
    for (const auto& each : pods()) found.push_back(each.spec().containers(0).image());
    return found;
  }
  std::vector<std::string> claims() {
    std::vector<std::string> found;
    for (const auto& object : list<PersistentVolumeClaim>().items)
      found.push_back(api::meta(*object).name());
    return found;
  }
  void setImageOf(const std::string& image) {
    patched<StatefulSet>(
        "web", R"({"spec":{"template":{"spec":{"containers":[{"name":"c","image":")" + image +
                   R"("}]}}}})");
  }
};

TEST_F(StatefulSetsTest, MakesItsPodsOneAfterTheOther) {
  startCluster();
  ASSERT_TRUE(create(set(R"("replicas":3)")).ok());
  clock_.runUntilIdle();
  EXPECT_THAT(names(), ElementsAre("web-0"));
  auto watch = this->watch<Pod>({});
  pass(seconds(30));
  EXPECT_THAT(names(), ElementsAre("web-0", "web-1", "web-2"));
  const Pod first = *get<Pod>("web-0");
  EXPECT_EQ(first.spec().hostname(), "web-0");
  EXPECT_EQ(first.spec().subdomain(), "svc");
  EXPECT_EQ(first.metadata().labels().at("statefulset.kubernetes.io/pod-name"), "web-0");
  EXPECT_EQ(first.metadata().labels().at("apps.kubernetes.io/pod-index"), "0");
  const auto status = get<StatefulSet>("web")->status();
  EXPECT_EQ(status.replicas(), 3);
  EXPECT_EQ(status.readyreplicas(), 3);
  EXPECT_EQ(status.availablereplicas(), 3);
  EXPECT_EQ(status.currentreplicas(), 3);
  EXPECT_EQ(status.updatedreplicas(), 3);
  EXPECT_EQ(status.currentrevision(), status.updaterevision());
  EXPECT_EQ(first.metadata().labels().at("controller-revision-hash"), status.currentrevision());
  EXPECT_THAT(messages("web", "SuccessfulCreate"),
              ElementsAre("create Pod web-0 in StatefulSet web successful",
                          "create Pod web-1 in StatefulSet web successful",
                          "create Pod web-2 in StatefulSet web successful"));
  // Each was ready before the next was made.
  std::set<std::string> ready;
  for (const auto& event : drain(*watch)) {
    const auto& seen = api::as<Pod>(event.object);
    const auto ordinal = *ordinalOf(*get<StatefulSet>("web"), seen);
    if (event.type == api::EventType::kAdded && ordinal > 0)
      EXPECT_TRUE(ready.contains("web-" + std::to_string(ordinal - 1)));
    if (api::isTrue(seen.status(), "Ready")) ready.insert(seen.metadata().name());
  }

  patched<StatefulSet>("web", R"({"spec":{"replicas":1}})");
  pass(seconds(20));
  EXPECT_THAT(names(), ElementsAre("web-0"));
  EXPECT_THAT(messages("web", "SuccessfulDelete"),
              ElementsAre("delete Pod web-2 in StatefulSet web successful",
                          "delete Pod web-1 in StatefulSet web successful"));
}

TEST_F(StatefulSetsTest, MakesItsPodsAllAtOnceWhenParallel) {
  startCluster();
  ASSERT_TRUE(
      create(set(R"("replicas":3,"podManagementPolicy":"Parallel","ordinals":{"start":5})")).ok());
  clock_.runUntilIdle();
  EXPECT_THAT(names(), ElementsAre("web-5", "web-6", "web-7"));
}

TEST_F(StatefulSetsTest, WaitsForABrokenPod) {
  startCluster();
  auto broken = set(R"("replicas":3)");
  broken.mutable_spec()->mutable_template_()->mutable_spec()->mutable_containers(0)->set_image(
      "broken");
  ASSERT_TRUE(create(broken).ok());
  pass(minutes(1));
  EXPECT_THAT(names(), ElementsAre("web-0"));
}

TEST_F(StatefulSetsTest, ReplacesAPodUnderItsNameWhenItIsGone) {
  startCluster();
  ASSERT_TRUE(create(set(R"("replicas":2)")).ok());
  pass(seconds(20));
  const std::string before = get<Pod>("web-0")->metadata().uid();
  ASSERT_TRUE(remove<Pod>("web-0").ok());
  pass(seconds(20));
  ASSERT_TRUE(get<Pod>("web-0").ok());
  EXPECT_NE(get<Pod>("web-0")->metadata().uid(), before);
  auto failed = *get<Pod>("web-1");
  failed.mutable_status()->set_phase("Failed");
  ASSERT_TRUE(update(failed, "status").ok());
  pass(seconds(20));
  EXPECT_NE(get<Pod>("web-1")->metadata().uid(), failed.metadata().uid());
  EXPECT_THAT(messages("web", "RecreatingFailedPod"),
              ElementsAre("StatefulSet default/web is recreating failed Pod web-1"));
}

TEST_F(StatefulSetsTest, KeepsItsClaims) {
  startCluster();
  ASSERT_TRUE(create(set(R"("replicas":1)" + std::string(kClaims))).ok());
  clock_.runUntilIdle();
  EXPECT_THAT(claims(), ElementsAre("data-web-0"));
  EXPECT_EQ(api::meta(*list<PersistentVolumeClaim>().items[0]).labels().at("app"), "web");
  EXPECT_EQ(get<Pod>("web-0")->spec().volumes(0).volumesource().persistentvolumeclaim().claimname(),
            "data-web-0");
  EXPECT_THAT(messages("web", "SuccessfulCreate"),
              ElementsAre("create Claim data-web-0 Pod web-0 in StatefulSet web success",
                          "create Pod web-0 in StatefulSet web successful"));
  patched<StatefulSet>("web", R"({"spec":{"replicas":0}})");
  pass(seconds(20));
  EXPECT_THAT(names(), IsEmpty());
  EXPECT_THAT(claims(), ElementsAre("data-web-0"));
  EXPECT_EQ(get<PersistentVolumeClaim>("data-web-0")->metadata().ownerreferences_size(), 0);
}

TEST_F(StatefulSetsTest, LetsClaimsGoAsItsRetentionPolicySays) {
  startCluster();
  ASSERT_TRUE(create(set(R"("replicas":2,"podManagementPolicy":"Parallel",
      "persistentVolumeClaimRetentionPolicy":{"whenScaled":"Delete","whenDeleted":"Delete"})" +
                         std::string(kClaims)))
                  .ok());
  clock_.runUntilIdle();
  const auto owner = [&](const char* claim) {
    const auto found = get<PersistentVolumeClaim>(claim);
    return found && found->metadata().ownerreferences_size() == 1
               ? found->metadata().ownerreferences(0).kind()
               : std::string();
  };
  EXPECT_EQ(owner("data-web-1"), "StatefulSet");
  const auto doomed = get<Pod>("web-1")->metadata().uid();
  patched<StatefulSet>("web", R"({"spec":{"replicas":1}})");
  const auto left = get<PersistentVolumeClaim>("data-web-1");
  if (left.ok()) {
    ASSERT_EQ(owner("data-web-1"), "Pod");
    EXPECT_EQ(left->metadata().ownerreferences(0).uid(), doomed);
  }
  EXPECT_EQ(owner("data-web-0"), "StatefulSet");
}

TEST_F(StatefulSetsTest, RollsOutFromTheLastToThePartition) {
  startCluster();
  ASSERT_TRUE(
      create(set(R"("replicas":3,"updateStrategy":{"rollingUpdate":{"partition":1}})")).ok());
  pass(seconds(30));
  setImageOf("b");
  pass(minutes(1));
  EXPECT_THAT(images(), ElementsAre("a", "b", "b"));
  auto status = get<StatefulSet>("web")->status();
  EXPECT_EQ(status.updatedreplicas(), 2);
  EXPECT_EQ(status.currentreplicas(), 1);
  EXPECT_NE(status.currentrevision(), status.updaterevision());
  // A pod below the partition comes back as it was.
  ASSERT_TRUE(remove<Pod>("web-0").ok());
  pass(seconds(20));
  EXPECT_THAT(images(), ElementsAre("a", "b", "b"));
  patched<StatefulSet>("web", R"({"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}})");
  pass(minutes(1));
  EXPECT_THAT(images(), ElementsAre("b", "b", "b"));
  status = get<StatefulSet>("web")->status();
  EXPECT_EQ(status.currentrevision(), status.updaterevision());
  EXPECT_EQ(status.currentreplicas(), 3);
  EXPECT_THAT(list<appsv1::ControllerRevision>().items, SizeIs(2));
}

TEST_F(StatefulSetsTest, WaitsForDeletesOnDelete) {
  startCluster();
  ASSERT_TRUE(create(set(R"("replicas":2,"updateStrategy":{"type":"OnDelete"})")).ok());
  pass(seconds(30));
  setImageOf("b");
  pass(seconds(30));
  EXPECT_THAT(images(), ElementsAre("a", "a"));
  ASSERT_TRUE(remove<Pod>("web-1").ok());
  pass(seconds(20));
  EXPECT_THAT(images(), ElementsAre("a", "b"));
}

TEST_F(StatefulSetsTest, WaitsUntilPodsHaveBeenReadyLongEnough) {
  startCluster();
  ASSERT_TRUE(create(set(R"("replicas":2,"minReadySeconds":30)")).ok());
  pass(seconds(20));
  EXPECT_THAT(names(), ElementsAre("web-0"));
  EXPECT_EQ(get<StatefulSet>("web")->status().readyreplicas(), 1);
  EXPECT_EQ(get<StatefulSet>("web")->status().availablereplicas(), 0);
  pass(seconds(30));
  EXPECT_THAT(names(), ElementsAre("web-0", "web-1"));
}

/// Pods are deleted, agents go away, the template and the size change, and the line to the API is
/// bad: never are two pods of one ordinal made without the first being gone, pods are made in
/// order, and in the end all are there, of the last template.
class StatefulChaos : public StatefulSetsTest, public testing::WithParamInterface<std::uint64_t> {};

TEST_P(StatefulChaos, KeepsOnePodAnOrdinalInOrder) {
  SCOPED_TRACE("seed " + std::to_string(GetParam()));
  SeededRng rng(GetParam(), "stateful-chaos");
  fakes::FlakyApi flaky(*admin_, clock_, rng);
  startCluster(&flaky);
  fakes::FlakyApi::Faults bad;
  bad.refused = 0.05;
  bad.answerLost = 0.03;
  bad.watchBroken = 0.01;
  bad.slowest = std::chrono::milliseconds(30);
  flaky.setFaults(bad);
  ASSERT_TRUE(create(set(R"("replicas":4)")).ok());
  auto watch = this->watch<Pod>({});
  std::map<std::int32_t, bool> ready;  ///< by ordinal, of pods that are there
  std::string image = "a";
  for (int step = 0; step < 60; ++step) {
    switch (rng.below(6)) {
      case 0:
        image = "i" + std::to_string(step);
        setImageOf(image);
        break;
      case 1:
        patched<StatefulSet>("web",
                             R"({"spec":{"replicas":)" + std::to_string(1 + rng.below(6)) + "}}");
        break;
      case 2:
        if (const auto all = pods(); !all.empty())
          (void)remove<Pod>(all[rng.below(all.size())].metadata().name());
        break;
      case 3:
        if (rng.chance(0.5)) restartManager(&flaky);
        break;
      default:
        break;
    }
    pass(seconds(1 + static_cast<int>(rng.below(15))));
    for (const auto& event : drain(*watch)) {
      const auto& seen = api::as<Pod>(event.object);
      const auto ordinal = *ordinalOf(*get<StatefulSet>("web"), seen);
      if (event.type == api::EventType::kDeleted) {
        ready.erase(ordinal);
        continue;
      }
      if (event.type == api::EventType::kAdded) {
        EXPECT_FALSE(ready.contains(ordinal)) << "two pods of ordinal " << ordinal;
        if (ordinal > 0) EXPECT_TRUE(ready.contains(ordinal - 1)) << "before " << ordinal;
      }
      ready[ordinal] = api::isTrue(seen.status(), "Ready");
    }
  }
  flaky.setFaults({});
  pass(minutes(5));
  const auto end = get<StatefulSet>("web");
  const auto count = static_cast<std::size_t>(end->spec().replicas());
  ASSERT_THAT(pods(), SizeIs(count));
  for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(names()[i], "web-" + std::to_string(i));
  for (const auto& each : images()) EXPECT_EQ(each, image);
  EXPECT_EQ(end->status().currentrevision(), end->status().updaterevision());
  EXPECT_EQ(end->status().readyreplicas(), end->spec().replicas());
}

INSTANTIATE_TEST_SUITE_P(Seeds, StatefulChaos, testing::Range<std::uint64_t>(1, 4));

}  // namespace
}  // namespace podlab::controllers
