// Deployments under chance: what must hold at every moment, and where all must come to rest.
#include <gmock/gmock.h>

#include "controllers/deployment_revisions.hpp"
#include "tests/controllers/workload_fixture.hpp"
#include "tests/fakes/flaky_api.hpp"

namespace podlab::controllers {
namespace {

using appsv1::Deployment;
using appsv1::ReplicaSet;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

/// Counts the pods of a deployment, event by event.
class Counts {
 public:
  std::int64_t most = 1'000'000;  ///< that may be there, those on their way out aside
  std::int64_t least = 0;         ///< that must be ready

  void see(const api::WatchEvent& event) {
    const auto& pod = api::as<corev1::Pod>(event.object);
    const std::string& uid = pod.metadata().uid();
    present_.erase(uid);
    ready_.erase(uid);
    if (event.type != api::EventType::kDeleted && !pod.metadata().has_deletiontimestamp()) {
      present_.insert(uid);
      if (api::isTrue(pod.status(), "Ready")) ready_.insert(uid);
    }
    EXPECT_LE(present_.size(), static_cast<std::size_t>(most)) << pod.metadata().name();
    EXPECT_GE(ready_.size(), static_cast<std::size_t>(least)) << pod.metadata().name();
  }

 private:
  std::set<std::string> present_;
  std::set<std::string> ready_;
};

class RolloutSeeds : public WorkloadTest, public testing::WithParamInterface<int> {
 protected:
  /// What a deployment that has come to rest is.
  void expectRest(const std::string& image, std::int32_t replicas) {
    const auto found = get<Deployment>("web");
    const auto& status = found->status();
    EXPECT_EQ(status.observedgeneration(), found->metadata().generation());
    EXPECT_EQ(status.replicas(), replicas);
    EXPECT_EQ(status.updatedreplicas(), replicas);
    EXPECT_EQ(status.availablereplicas(), replicas);
    EXPECT_FALSE(status.has_unavailablereplicas());
    EXPECT_EQ(condition("web", "Progressing").reason(), "NewReplicaSetAvailable");
    EXPECT_EQ(condition("web", "Available").status(), "True");
    std::int32_t running = 0;
    for (const auto& pod : pods()) {
      if (pod.metadata().has_deletiontimestamp()) continue;
      ++running;
      EXPECT_EQ(pod.spec().containers(0).image(), image);
      EXPECT_EQ(pod.metadata().ownerreferences_size(), 1);
    }
    EXPECT_EQ(running, replicas);
    for (const auto& set : sets()) {
      const bool newest = set.spec().template_().spec().containers(0).image() == image;
      EXPECT_EQ(set.spec().replicas(), newest ? replicas : 0) << set.metadata().name();
    }
  }
};

/// Whatever surge and unavailability are allowed, and whenever the controllers are killed: at no
/// moment are there too many pods, or too few ready ones.
TEST_P(RolloutSeeds, StayWithinTheirBounds) {
  SeededRng rng(static_cast<std::uint64_t>(GetParam()));
  startCluster();
  const auto replicas = static_cast<std::int32_t>(1 + rng.below(12));
  const std::uint64_t surge = rng.below(5);
  const std::uint64_t unavailable = surge == 0 ? 1 + rng.below(3) : rng.below(4);
  const bool percents = rng.chance(0.5);
  const auto bound = [&](std::uint64_t count) {
    return percents ? "\"" + std::to_string(count * 13) + "%\"" : std::to_string(count);
  };
  const std::string spec = R"("replicas":)" + std::to_string(replicas) + R"(,"minReadySeconds":)" +
                           std::to_string(rng.below(3)) +
                           R"(,"strategy":{"rollingUpdate":{"maxSurge":)" + bound(surge) +
                           R"(,"maxUnavailable":)" + bound(unavailable) + "}}";
  SCOPED_TRACE(spec);
  ASSERT_TRUE(create(workload<Deployment>("web", spec)).ok());
  pass(seconds(30));
  expectRest("a", replicas);

  Counts counts;
  auto watching = watch<corev1::Pod>({});
  for (const auto& event : drain(*watching)) counts.see(event);
  const auto found = get<Deployment>("web");
  counts.most = replicas + maxSurge(*found);
  counts.least = replicas - maxUnavailable(*found);
  std::string image = "a";
  for (int round = 0; round < 6 && !HasFailure(); ++round) {
    image = std::string(1, static_cast<char>('b' + rng.below(4)));
    setImage("web", image);
    for (int step = 0; step < 6; ++step) {
      pass(milliseconds(rng.below(4000)));
      if (rng.chance(0.3)) restartManager();
      for (const auto& event : drain(*watching)) counts.see(event);
    }
  }
  for (int step = 0; step < 40; ++step) {
    pass(seconds(10));
    for (const auto& event : drain(*watching)) counts.see(event);
  }
  expectRest(image, replicas);
  stopManager();
}

/// Templates, sizes, pauses, undos, pods and nodes that go, a bad line, and controllers that are
/// killed: once it is quiet, all is as the last word had it.
TEST_P(RolloutSeeds, ConvergeAfterAnything) {
  SeededRng rng(static_cast<std::uint64_t>(GetParam()));
  fakes::FlakyApi flaky(*admin_, clock_, rng);
  startCluster(&flaky);
  fakes::FlakyApi::Faults bad;
  bad.refused = 0.05;
  bad.answerLost = 0.05;
  bad.watchBroken = 0.02;
  bad.slowest = milliseconds(50);
  ASSERT_TRUE(
      create(workload<Deployment>("web", R"("replicas":3,"progressDeadlineSeconds":30)")).ok());
  std::string image = "a";
  std::int32_t replicas = 3;
  for (int step = 0; step < 60 && !HasFailure(); ++step) {
    if (step % 15 == 0) flaky.setFaults(rng.chance(0.7) ? bad : fakes::FlakyApi::Faults{});
    switch (rng.below(9)) {
      case 0:
      case 1:
        image = rng.chance(0.2) ? "broken" : std::string(1, static_cast<char>('a' + rng.below(6)));
        setImage("web", image);
        break;
      case 2:
        replicas = static_cast<std::int32_t>(rng.below(12));
        patched<Deployment>("web", R"({"spec":{"replicas":)" + std::to_string(replicas) + "}}");
        break;
      case 3:
        patched<Deployment>(
            "web", rng.chance(0.5) ? R"({"spec":{"paused":true}})" : R"({"spec":{"paused":null}})");
        break;
      case 4: {
        // An undo to any revision.
        const auto known = sets();
        if (known.empty()) break;
        const auto& to = known[rng.below(known.size())];
        image = to.spec().template_().spec().containers(0).image();
        setImage("web", image);
        break;
      }
      case 5: {
        const auto present = pods();
        if (!present.empty())
          (void)remove<corev1::Pod>(present[rng.below(present.size())].metadata().name());
        break;
      }
      case 6: {
        // Somebody meddles with a set.
        const auto known = sets();
        if (known.empty()) break;
        (void)patch<ReplicaSet>(known[rng.below(known.size())].metadata().name(),
                                api::PatchType::kMerge,
                                R"({"spec":{"replicas":)" + std::to_string(rng.below(5)) + "}}");
        break;
      }
      case 7:
        patched<Deployment>(
            "web", rng.chance(0.5)
                       ? R"({"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}})"
                       : R"({"spec":{"strategy":{"type":"RollingUpdate"}}})");
        break;
      default:
        restartManager(&flaky);
    }
    pass(milliseconds(rng.below(20'000)));
  }
  flaky.setFaults({});
  image = "last";
  setImage("web", image);
  patched<Deployment>("web", R"({"spec":{"paused":null}})");
  pass(minutes(5));
  expectRest(image, replicas);
  stopManager();
}

INSTANTIATE_TEST_SUITE_P(Seeds, RolloutSeeds, testing::Range(1, 5));

}  // namespace
}  // namespace podlab::controllers
