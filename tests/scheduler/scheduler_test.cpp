#include "scheduler/scheduler.hpp"

#include <gtest/gtest.h>

#include <set>

#include "common/rng.hpp"
#include "scheduler/scores.hpp"
#include "tests/scheduler/random_pods.hpp"

namespace podlab::scheduler {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

MonoTime at(Duration time) {
  return MonoTime(time);
}

TEST(Scheduler, PlacesByPriorityThenByArrival) {
  SeededRng chance{1};
  Scheduler scheduler{chance};
  scheduler.setNode(makeNode("a"), at({}));
  scheduler.setPod(makePod("first"), at({}));
  scheduler.setPod(makePod("second"), at({}));
  auto urgent = makePod("urgent");
  urgent->mutable_spec()->set_priority(10);
  scheduler.setPod(urgent, at({}));
  std::vector<std::string> order;
  while (auto decision = scheduler.decideNext(at({})))
    order.push_back(decision->pod->metadata().name());
  EXPECT_EQ(order, (std::vector<std::string>{"urgent", "first", "second"}));
}

TEST(Scheduler, TiesGoRound) {
  SeededRng chance{1};
  Scheduler scheduler{chance};
  for (const char* name : {"a", "b", "c"}) scheduler.setNode(makeNode(name), at({}));
  std::string nodes;
  for (int i = 0; i < 6; ++i) {
    scheduler.setPod(makePod("p" + std::to_string(i), "100m", "100Mi"), at({}));
    nodes += scheduler.decideNext(at({}))->node;
  }
  EXPECT_EQ(nodes, "abcabc");
}

TEST(Scheduler, SaysPerReasonHowManyNodesFellOut) {
  SeededRng chance{1};
  Scheduler scheduler{chance};
  auto off = makeNode("a");
  off->mutable_spec()->set_unschedulable(true);
  scheduler.setNode(off, at({}));
  scheduler.setNode(makeNode("b", "1"), at({}));
  scheduler.setNode(makeNode("c", "1", "1Mi"), at({}));
  scheduler.setPod(makePod("p", "2", "2Mi"), at({}));
  const auto decision = scheduler.decideNext(at({}));
  ASSERT_TRUE(decision);
  EXPECT_EQ(decision->node, "");
  EXPECT_EQ(decision->choice.diagnosis.toString(),
            "0/3 nodes are available: 1 Insufficient memory, 1 node(s) were unschedulable, 2 "
            "Insufficient cpu. preemption: 0/3 nodes are available: 1 Preemption is not helpful "
            "for scheduling, 2 No preemption victims found for incoming pod.");
}

TEST(Scheduler, NoNodesAtAll) {
  SeededRng chance{1};
  Scheduler scheduler{chance};
  scheduler.setPod(makePod("p"), at({}));
  EXPECT_EQ(scheduler.decideNext(at({}))->choice.diagnosis.toString(),
            "no nodes available to schedule pods");
}

TEST(Scheduler, AssumesUntilBoundOrFailed) {
  SeededRng chance{1};
  Scheduler scheduler{chance};
  scheduler.setNode(makeNode("a", "1"), at({}));
  scheduler.setPod(makePod("p", "1"), at({}));
  scheduler.setPod(makePod("q", "1"), at({}));
  EXPECT_EQ(scheduler.decideNext(at({}))->node, "a");
  EXPECT_EQ(scheduler.decideNext(at({}))->node, "") << "p is assumed to be there";
  scheduler.bindFailed("default/p", at({}));
  // The freed room wakes q, whose back-off of 1 s runs from its attempt, like p's.
  EXPECT_FALSE(scheduler.decideNext(at(milliseconds(999))));
  EXPECT_EQ(scheduler.nextDue(), at(seconds(1)));
  const auto again = scheduler.decideNext(at(seconds(1)));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->node, "a");
}

TEST(Scheduler, AChangeOfAnAssumedPodCountsWhenTheBindingFails) {
  SeededRng chance{1};
  Scheduler scheduler{chance};
  auto small = makeNode("a", "1");
  (*small->mutable_metadata()->mutable_labels())["disk"] = "hdd";
  auto fast = makeNode("b", "1");
  (*fast->mutable_metadata()->mutable_labels())["disk"] = "ssd";
  scheduler.setNode(small, at({}));
  scheduler.setNode(fast, at({}));
  auto pod = makePod("p", "1");
  pod->mutable_spec()->add_schedulinggates()->set_name("wait");
  scheduler.setPod(pod, at({}));
  EXPECT_FALSE(scheduler.decideNext(at({})));
  auto open = std::make_shared<corev1::Pod>(*pod);
  open->mutable_spec()->clear_schedulinggates();
  (*open->mutable_spec()->mutable_nodeselector())["disk"] = "hdd";
  scheduler.setPod(open, at({}));
  EXPECT_EQ(scheduler.decideNext(at({}))->node, "a");
  auto changed = std::make_shared<corev1::Pod>(*open);
  (*changed->mutable_spec()->mutable_nodeselector())["disk"] = "ssd";
  scheduler.setPod(changed, at({}));
  EXPECT_FALSE(scheduler.decideNext(at({}))) << "it is assumed to be on a";
  scheduler.bindFailed("default/p", at({}));
  EXPECT_EQ(scheduler.decideNext(at(seconds(1)))->node, "b");
}

TEST(Scheduler, WakesOnlyForNodesThatHelp) {
  SeededRng chance{1};
  Scheduler scheduler{chance};
  scheduler.setNode(makeNode("a", "1"), at({}));
  scheduler.setPod(makePod("p", "2"), at({}));
  EXPECT_EQ(scheduler.decideNext(at({}))->node, "");
  scheduler.setNode(makeNode("b", "1"), at(seconds(20)));
  EXPECT_FALSE(scheduler.decideNext(at(seconds(20))));
  scheduler.setNode(makeNode("b", "2"), at(seconds(21)));
  EXPECT_EQ(scheduler.decideNext(at(seconds(21)))->node, "b");
}

TEST(Scheduler, FreedRoomWakesThoseWhoWaitForIt) {
  SeededRng chance{1};
  Scheduler scheduler{chance};
  scheduler.setNode(makeNode("a", "1"), at({}));
  scheduler.setPod(boundTo(*makePod("old", "1"), "a"), at({}));
  scheduler.setPod(makePod("p", "1"), at({}));
  EXPECT_EQ(scheduler.decideNext(at({}))->node, "");
  auto finished = std::make_shared<corev1::Pod>(*boundTo(*makePod("old", "1"), "a"));
  finished->mutable_status()->set_phase("Succeeded");
  scheduler.setPod(finished, at(seconds(5)));
  EXPECT_EQ(scheduler.decideNext(at(seconds(5)))->node, "a");
}

TEST(Scheduler, BackoffDoublesToTenSeconds) {
  SeededRng chance{1};
  Scheduler scheduler{chance};
  scheduler.setNode(makeNode("a", "1"), at({}));
  scheduler.setPod(makePod("p", "1"), at({}));
  MonoTime now = at({});
  for (int expected : {1, 2, 4, 8, 10, 10}) {
    ASSERT_TRUE(scheduler.decideNext(now));
    scheduler.bindFailed("default/p", now);
    ASSERT_EQ(scheduler.nextDue(), now + seconds(expected));
    now += seconds(expected);
  }
}

TEST(Scheduler, LeavesGatedDeletedAndFinishedPodsAlone) {
  SeededRng chance{1};
  Scheduler scheduler{chance};
  scheduler.setNode(makeNode("a"), at({}));
  auto gated = makePod("gated");
  gated->mutable_spec()->add_schedulinggates()->set_name("wait");
  auto deleted = makePod("deleted");
  deleted->mutable_metadata()->mutable_deletiontimestamp()->set_seconds(1);
  auto failed = makePod("failed");
  failed->mutable_status()->set_phase("Failed");
  for (const auto& pod : {gated, deleted, failed}) scheduler.setPod(pod, at({}));
  EXPECT_FALSE(scheduler.decideNext(at({})));
  EXPECT_EQ(scheduler.pending(), 0u);
}

/// The state that a plain reading of `truth` and `assumed` gives, built anew with the same slots.
Snapshot recount(const Snapshot& original, const std::set<std::string>& nodes,
                 const std::map<std::string, PodPtr>& truth,
                 const std::map<std::string, std::string>& assumed) {
  Snapshot snapshot;
  for (Snapshot::Slot slot = 0; slot < original.slots(); ++slot) {
    const std::string& name = original.name(slot);
    EXPECT_EQ(snapshot.slotOf(name.empty() ? "free-" + std::to_string(slot) : name), slot);
    if (nodes.contains(name)) snapshot.setNode(slot, makeNode(name, "2", "4Gi", "6"));
  }
  for (const auto& [name, pod] : truth) {
    auto info = std::make_shared<PodInfo>(pod);
    if (!pod->spec().nodename().empty()) {
      snapshot.at(snapshot.find(pod->spec().nodename())).add(info);
    } else if (const auto found = assumed.find(name); found != assumed.end()) {
      snapshot.at(snapshot.find(found->second)).add(info);
    }
  }
  return snapshot;
}

/// Random events against a plain scan over a state that is built anew for each decision: the same
/// node, score and reasons; and no pod that would fit is left waiting.
TEST(Scheduler, DecidesAsAPlainScanOfARecount) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRng rng(seed);
    Scheduler scheduler{rng};
    std::set<std::string> nodes;
    std::map<std::string, PodPtr> truth;         // pods as the store has them
    std::map<std::string, std::string> assumed;  // decided, not bound yet
    Snapshot::Slot cursor = 0;
    MonoTime now{};
    for (int step = 0; step < 400; ++step) {
      now += milliseconds(rng.below(3000));
      const std::string node = "n" + std::to_string(rng.below(5));
      const std::string name = "p" + std::to_string(rng.below(30));
      switch (rng.below(8)) {
        case 0:
          nodes.insert(node);
          scheduler.setNode(makeNode(node, "2", "4Gi", "6"), now);
          break;
        case 1:
          if (!rng.chance(0.2)) break;
          nodes.erase(node);
          scheduler.removeNode(node, now);
          break;
        case 2:
        case 3:
          if (truth.contains(name)) break;
          // Amounts that fill the nodes exactly.
          truth[name] = makePod(name, std::to_string(250 * rng.below(5)) + "m",
                                std::to_string(rng.below(3)) + "Gi");
          scheduler.setPod(truth[name], now);
          break;
        case 4:
          if (truth.erase(name) == 0) break;
          assumed.erase(name);
          scheduler.removePod("default/" + name, now);
          break;
        case 5:
          if (const auto found = assumed.find(name); found != assumed.end()) {
            if (rng.chance(0.3)) {
              scheduler.bindFailed("default/" + name, now);
            } else {
              truth[name] = boundTo(*truth[name], found->second);
              scheduler.setPod(truth[name], now);
            }
            assumed.erase(found);
          }
          break;
        default:
          if (auto decision = scheduler.decideNext(now)) {
            const Snapshot plain = recount(scheduler.snapshot(), nodes, truth, assumed);
            const Choice expected = chooseNaively(PodInfo(decision->pod), plain, cursor);
            ASSERT_EQ(decision->choice.slot, expected.slot);
            ASSERT_EQ(decision->choice.score, expected.score);
            if (!expected.found()) {
              decision->choice.diagnosis.preemption.clear();  // the scan tries none
              ASSERT_EQ(decision->choice.diagnosis.toString(), expected.diagnosis.toString());
              break;
            }
            assumed[decision->pod->metadata().name()] = decision->node;
            cursor = expected.slot + 1;
          }
      }
      if (scheduler.nextDue().value_or(MonoTime::max()) < now + seconds(60)) continue;
      const Snapshot plain = recount(scheduler.snapshot(), nodes, truth, assumed);
      for (const auto& [waiting, pod] : truth) {
        if (!pod->spec().nodename().empty() || assumed.contains(waiting)) continue;
        ASSERT_FALSE(chooseNaively(PodInfo(pod), plain, 0).found()) << waiting << " step " << step;
      }
    }
  }
}

/// Random events; after each, the sums of every node equal a recount, no node is over its room, and
/// a pod is on one node.
TEST(Scheduler, RandomEventsKeepTheBooks) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRng rng(seed);
    Scheduler scheduler{rng};
    std::map<std::string, PodPtr> truth;  // pods as the store has them
    MonoTime now{};
    for (int step = 0; step < 600; ++step) {
      now += milliseconds(rng.below(400));
      const std::string node = "n" + std::to_string(rng.below(5));
      const std::string name = "p" + std::to_string(rng.below(30));
      switch (rng.below(6)) {
        case 0:
          // Never smaller than before: an update that takes room away from placed pods is no
          // decision of ours.
          scheduler.setNode(makeNode(node, "2", "4Gi", "6"), now);
          break;
        case 1:
        case 2:
          if (!truth.contains(name)) {
            truth[name] = makePod(name, std::to_string(100 * (1 + rng.below(9))) + "m",
                                  std::to_string(rng.below(2)) + "Gi");
            scheduler.setPod(truth[name], now);
          }
          break;
        case 3:
          if (truth.erase(name) > 0) scheduler.removePod("default/" + name, now);
          break;
        default:
          while (auto decision = scheduler.decideNext(now)) {
            if (decision->node.empty()) continue;
            const std::string& decided = decision->pod->metadata().name();
            if (rng.chance(0.2)) {
              scheduler.bindFailed("default/" + decided, now);
            } else {
              truth[decided] = boundTo(*decision->pod, decision->node);
              scheduler.setPod(truth[decided], now);
            }
          }
      }
      std::set<std::string> seen;
      for (Snapshot::Slot slot = 0; slot < scheduler.snapshot().slots(); ++slot) {
        const NodeInfo& info = scheduler.snapshot().at(slot);
        Resources sum;
        std::int64_t cpu = 0;
        for (const auto& pod : info.pods()) {
          sum += pod->shape->requests;
          cpu += pod->shape->scoredCpuMilli;
          ASSERT_TRUE(seen.insert(pod->key).second) << pod->key << " is on two nodes";
        }
        ASSERT_EQ(info.requested(), sum);
        ASSERT_EQ(info.scoredCpuMilli(), cpu);
        if (!info.node()) continue;
        ASSERT_LE(sum.cpuMilli, info.allocatable().cpuMilli);
        ASSERT_LE(sum.memoryBytes, info.allocatable().memoryBytes);
        ASSERT_LE(info.pods().size(), 6u);
      }
    }
  }
}

/// A pod of two containers is placed as one: over 1,000 random placements each pod is on exactly
/// one node, whole.
TEST(Scheduler, TwoContainersAreAlwaysOnOneNode) {
  const std::uint64_t seed = 11;
  SeededRng rng(seed);
  SeededRng chance{1};
  Scheduler scheduler{chance};
  for (int i = 0; i < 20; ++i)
    scheduler.setNode(makeNode("n" + std::to_string(i), std::to_string(20 + rng.below(20)), "64Gi"),
                      at({}));
  for (int i = 0; i < 1000; ++i) {
    auto pod = makePod("p" + std::to_string(i), std::to_string(rng.below(300)) + "m");
    (*pod->mutable_spec()->mutable_containers(1)->mutable_resources()->mutable_requests())["cpu"]
        .set_string(std::to_string(rng.below(300)) + "m");
    scheduler.setPod(pod, at({}));
    const auto decision = scheduler.decideNext(at({}));
    ASSERT_TRUE(decision && !decision->node.empty()) << "seed " << seed;
    int homes = 0;
    const auto& snapshot = scheduler.snapshot();
    for (Snapshot::Slot slot = 0; slot < snapshot.slots(); ++slot) {
      for (const auto& info : snapshot.at(slot).pods()) {
        if (info->key != "default/p" + std::to_string(i)) continue;
        ++homes;
        EXPECT_EQ(snapshot.name(slot), decision->node);
        EXPECT_EQ(info->pod->spec().containers_size(), 2);
      }
    }
    ASSERT_EQ(homes, 1) << "seed " << seed;
  }
}

}  // namespace
}  // namespace podlab::scheduler
