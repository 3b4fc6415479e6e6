// How pods wait, and what wakes them.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "common/rng.hpp"
#include "scheduler/scheduler.hpp"
#include "tests/scheduler/random_pods.hpp"

namespace podlab::scheduler {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

MonoTime at(Duration time) {
  return MonoTime(time);
}

/// Tries all that is due, and says how many decisions that took.
int decideAll(Scheduler& scheduler, MonoTime now) {
  int decisions = 0;
  while (scheduler.decideNext(now)) ++decisions;
  return decisions;
}

TEST(Waiting, TenThousandPodsOfOneShapeCostAnEventOneTry) {
  SeededRng rng(1);
  Scheduler scheduler(rng);
  scheduler.setNode(makeNode("a", "2"), at({}));
  scheduler.setPod(boundTo(*makePod("first", "1"), "a"), at({}));
  scheduler.setPod(boundTo(*makePod("second", "1"), "a"), at({}));
  for (int i = 0; i < 10'000; ++i)
    scheduler.setPod(makePod("p" + std::to_string(i), "1"), at(seconds(i % 2)));
  EXPECT_EQ(decideAll(scheduler, at(seconds(1))), 10'000) << "each is told once";
  MonoTime now = at(seconds(60));
  // The one that spoke for all is in its back-off at the next event, but not for long.
  for (int i = 0; i < 20; ++i) {
    scheduler.removePod(i == 0 ? "default/first" : "default/p" + std::to_string(i - 1), now);
    const auto decision = scheduler.decideNext(now);
    ASSERT_TRUE(decision);
    EXPECT_EQ(decision->pod->metadata().name(), "p" + std::to_string(i)) << "who came first";
    EXPECT_EQ(decision->node, "a");
    EXPECT_EQ(decideAll(scheduler, now), 1) << "the next one finds no room, and speaks for all";
    now += seconds(11);
  }
}

TEST(Waiting, AnEventIsHeldAgainstGroupsOnce) {
  SchedulingQueue queue;
  PodShapes shapes;
  constexpr int kShapes = 7;
  for (int i = 0; i < 700; ++i) {
    queue.add(
        std::make_shared<PodInfo>(makePod("p" + std::to_string(i), std::to_string(1 + i % kShapes)),
                                  VolumeNeeds{}, &shapes),
        false);
  }
  while (const auto pod = queue.pop(at({}))) queue.fail(pod->key, {1, 1, {}}, false, at({}));
  int asked = 0;
  const auto ask = [&asked](const PodInfo&, FilterSet&) {
    ++asked;
    return false;
  };
  queue.wake(ask, at(seconds(1)));
  EXPECT_EQ(asked, kShapes);
}

TEST(Waiting, APodOfAShapeThatHasJustFailedIsNotScannedAgain) {
  SchedulingQueue queue;
  PodShapes shapes;
  for (const char* name : {"a", "b"})
    queue.add(std::make_shared<PodInfo>(makePod(name, "1"), VolumeNeeds{}, &shapes), false);
  auto pod = queue.pop(at({}));
  EXPECT_EQ(queue.knownFailure(pod->key, 5), nullptr);
  queue.fail(pod->key, {5, 0, {}}, false, at({}));
  pod = queue.pop(at({}));
  EXPECT_NE(queue.knownFailure(pod->key, 5), nullptr);
  EXPECT_EQ(queue.knownFailure(pod->key, 6), nullptr) << "the cluster has changed";
}

TEST(Waiting, APodWhoseClaimsHaveChangedIsScannedInTheSameCluster) {
  SeededRng rng(1);
  Scheduler scheduler(rng);
  scheduler.setNode(makeNode("a"), at({}));
  const auto pod = makePod("p");
  VolumeNeeds needs;
  needs.blocked = "persistentvolumeclaim \"data\" not found";
  scheduler.setPod(pod, at({}), needs);
  EXPECT_EQ(scheduler.decideNext(at({}))->node, "");
  scheduler.setPod(pod, at({}), {});
  EXPECT_EQ(scheduler.decideNext(at({}))->node, "a");
  const auto other = makePod("q");
  scheduler.setPod(other, at({}), needs);
  EXPECT_EQ(scheduler.decideNext(at({}))->node, "");
  needs.blocked = "persistentvolumeclaim \"data\" is being deleted";
  scheduler.setPod(other, at({}), needs);
  EXPECT_EQ(scheduler.decideNext(at({}))->choice.diagnosis.blocked, needs.blocked);
}

TEST(Waiting, LeftoversAreTriedAfterFiveMinutes) {
  SeededRng rng(1);
  Scheduler scheduler(rng);
  scheduler.setNode(makeNode("a", "1"), at({}));
  scheduler.setPod(makePod("p", "2"), at({}));
  EXPECT_EQ(decideAll(scheduler, at({})), 1);
  EXPECT_EQ(scheduler.nextDue(), at(minutes(5)));
  EXPECT_EQ(decideAll(scheduler, at(minutes(5) - seconds(1))), 0);
  EXPECT_EQ(decideAll(scheduler, at(minutes(5))), 1);
}

/// One event for each reason to wait, after others that cannot help.
class WakingTest : public ::testing::Test {
 protected:
  /// Two nodes in two zones, of which the first has a pod of app a.
  WakingTest() {
    for (const char* name : {"n1", "n2"}) scheduler_.setNode(node(name), now_);
    scheduler_.setPod(other_, now_);
  }
  static std::shared_ptr<corev1::Node> node(const std::string& name) {
    auto made = makeNode(name, "1");
    (*made->mutable_metadata()->mutable_labels())["host"] = name;
    return made;
  }
  static std::shared_ptr<corev1::Pod> labelled(const std::string& name, const std::string& app) {
    auto pod = makePod(name);
    (*pod->mutable_metadata()->mutable_labels())["app"] = app;
    return pod;
  }
  void waits(const std::shared_ptr<corev1::Pod>& pod) {
    scheduler_.setPod(pod, now_);
    const auto decision = scheduler_.decideNext(now_);
    ASSERT_TRUE(decision);
    ASSERT_EQ(decision->node, "");
    now_ += seconds(20);
  }
  /// The node that the waiting pod gets now; "-" when it sleeps on.
  std::string tried() {
    const auto decision = scheduler_.decideNext(now_);
    now_ += seconds(20);
    return decision ? decision->node : "-";
  }

  MonoTime now_{};
  SeededRng rng_{1};
  Scheduler scheduler_{rng_};
  PodPtr other_ = boundTo(*labelled("other", "a"), "n1");
};

TEST_F(WakingTest, ByRoom) {
  scheduler_.setPod(boundTo(*makePod("big1", "900m"), "n1"), now_);
  scheduler_.setPod(boundTo(*makePod("big2", "900m"), "n2"), now_);
  waits(makePod("p", "500m"));
  scheduler_.setPod(boundTo(*makePod("small"), "n1"), now_);
  scheduler_.removePod("default/small", now_);
  EXPECT_EQ(tried(), "-");
  auto labelled = node("n1");
  (*labelled->mutable_metadata()->mutable_labels())["disk"] = "ssd";
  scheduler_.setNode(labelled, now_);
  EXPECT_EQ(tried(), "-");
  auto larger = node("n1");
  (*larger->mutable_status()->mutable_allocatable())["cpu"].set_string("1400m");
  scheduler_.setNode(larger, now_);
  EXPECT_EQ(tried(), "n1");
}

TEST_F(WakingTest, ByTaintsAndLabels) {
  auto tainted = node("n1");
  tainted->mutable_spec()->add_taints()->set_key("k");
  tainted->mutable_spec()->mutable_taints(0)->set_effect("NoSchedule");
  scheduler_.setNode(tainted, now_);
  auto pod = makePod("p", "1");
  (*pod->mutable_spec()->mutable_nodeselector())["host"] = "n1";
  waits(pod);
  scheduler_.removePod("default/other", now_);
  EXPECT_EQ(tried(), "-");
  // Full when the taint goes: what keeps the pod has changed, and is remembered.
  scheduler_.setPod(boundTo(*makePod("big", "1"), "n1"), now_);
  scheduler_.setNode(node("n1"), now_);
  EXPECT_EQ(tried(), "-");
  scheduler_.removePod("default/big", now_);
  EXPECT_EQ(tried(), "n1");
}

TEST_F(WakingTest, ByAntiAffinity) {
  scheduler_.setNode(makeNode("n2", "0"), now_);
  auto pod = labelled("p", "b");
  (*pod->mutable_spec()->mutable_containers(0)->mutable_resources()->mutable_requests())["cpu"]
      .set_string("100m");
  *pod->mutable_spec()
       ->mutable_affinity()
       ->mutable_podantiaffinity()
       ->add_requiredduringschedulingignoredduringexecution() = termOf("a", "host");
  waits(pod);
  scheduler_.setPod(boundTo(*labelled("more", "c"), "n1"), now_);
  EXPECT_EQ(tried(), "-");
  auto relabelled = std::make_shared<corev1::Pod>(*other_);
  (*relabelled->mutable_metadata()->mutable_labels())["app"] = "z";
  scheduler_.setPod(relabelled, now_);
  EXPECT_EQ(tried(), "n1");
}

TEST_F(WakingTest, ByAffinityWhenAPodComesOrANamespaceIsLabelled) {
  auto pod = labelled("p", "b");
  auto term = termOf("c", "host");
  (*term.mutable_namespaceselector()->mutable_matchlabels())["team"] = "red";
  *pod->mutable_spec()
       ->mutable_affinity()
       ->mutable_podaffinity()
       ->add_requiredduringschedulingignoredduringexecution() = term;
  waits(pod);
  scheduler_.setPod(boundTo(*labelled("wanted", "c"), "n2"), now_);
  EXPECT_EQ(tried(), "-") << "not in a namespace of the team";
  api::Labels labels;
  labels["team"] = "red";
  scheduler_.setNamespace("default", &labels, now_);
  EXPECT_EQ(tried(), "n2");
}

TEST_F(WakingTest, BySpreadWhenAPodStartsToLeave) {
  auto pod = labelled("p", "a");
  auto& constraint = *pod->mutable_spec()->add_topologyspreadconstraints();
  constraint.set_topologykey("host");
  constraint.set_maxskew(1);
  constraint.set_whenunsatisfiable("DoNotSchedule");
  (*constraint.mutable_labelselector()->mutable_matchlabels())["app"] = "a";
  auto off = node("n2");
  off->mutable_spec()->set_unschedulable(true);
  scheduler_.setNode(off, now_);
  waits(pod);
  auto leaving = std::make_shared<corev1::Pod>(*other_);
  leaving->mutable_metadata()->mutable_deletiontimestamp()->set_seconds(1);
  scheduler_.setPod(leaving, now_);
  EXPECT_EQ(tried(), "n1");
}

TEST_F(WakingTest, ByTheAntiAffinityOfOthers) {
  auto keeper = labelled("keeper", "k");
  *keeper->mutable_spec()
       ->mutable_affinity()
       ->mutable_podantiaffinity()
       ->add_requiredduringschedulingignoredduringexecution() = termOf("b", "zone");
  for (const char* name : {"n1", "n2"}) {
    auto zoned = node(name);
    (*zoned->mutable_metadata()->mutable_labels())["zone"] = "z";
    scheduler_.setNode(zoned, now_);
  }
  scheduler_.setPod(boundTo(*keeper, "n1"), now_);
  waits(labelled("p", "b"));
  scheduler_.removePod("default/other", now_);
  EXPECT_EQ(tried(), "-");
  scheduler_.removePod("default/keeper", now_);
  EXPECT_NE(tried(), "-");
}

TEST_F(WakingTest, BySpreadWhenATaintTakesAnEmptyDomainOutOfTheCount) {
  auto pod = labelled("p", "a");
  (*pod->mutable_spec()->mutable_containers(0)->mutable_resources()->mutable_requests())["cpu"]
      .set_string("100m");
  auto& constraint = *pod->mutable_spec()->add_topologyspreadconstraints();
  constraint.set_topologykey("host");
  constraint.set_maxskew(1);
  constraint.set_whenunsatisfiable("DoNotSchedule");
  constraint.set_nodetaintspolicy("Honor");
  (*constraint.mutable_labelselector()->mutable_matchlabels())["app"] = "a";
  auto full = node("n2");
  (*full->mutable_status()->mutable_allocatable())["cpu"].set_string("0");
  scheduler_.setNode(full, now_);
  waits(pod);
  auto tainted = std::make_shared<corev1::Node>(*full);
  tainted->mutable_spec()->add_taints()->set_key("k");
  tainted->mutable_spec()->mutable_taints(0)->set_effect("NoSchedule");
  scheduler_.setNode(tainted, now_);
  EXPECT_EQ(tried(), "n1");
}

TEST_F(WakingTest, ByTheEndOfANomination) {
  scheduler_.setNode(makeNode("n2", "0"), now_);
  auto low = makePod("low", "1");
  scheduler_.setPod(boundTo(*low, "n1"), now_);
  auto high = makePod("high", "1");
  high->mutable_spec()->set_priority(10);
  scheduler_.setPod(high, now_);
  const auto decision = scheduler_.decideNext(now_);
  ASSERT_TRUE(decision);
  EXPECT_EQ(decision->nominated, "n1");
  EXPECT_EQ(decision->victims, std::vector<std::string>{"default/low"});
  scheduler_.removePod("default/low", now_);
  auto next = makePod("next", "1");
  waits(next);
  // The room is for the nominated one, which now comes.
  scheduler_.removePod("default/high", now_);
  EXPECT_EQ(tried(), "n1");
}

/// Random pods, nodes and events. Whenever nobody is due, nobody who waits would find a place: by a
/// plain scan of the state, or by preemption.
class WaitingProperty : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(WaitingProperty, NobodyWhoFitsWaits) {
  SeededRng rng(GetParam());
  Scheduler scheduler(rng);
  std::map<std::string, PodPtr> truth;
  std::map<std::string, std::string> assumed;
  std::set<std::string> nodes;
  MonoTime now{};
  int checked = 0, preempted = 0;
  const auto remove = [&](const std::string& name) {
    truth.erase(name);
    assumed.erase(name);
    scheduler.removePod("default/" + name, now);
  };
  const auto decide = [&] {
    const auto decision = scheduler.decideNext(now);
    if (!decision) return false;
    const std::string& name = decision->pod->metadata().name();
    if (!decision->node.empty()) {
      assumed[name] = decision->node;
      return true;
    }
    if (!decision->victims.empty()) ++preempted;
    if (!decision->victims.empty() && rng.chance(0.1)) {
      scheduler.preemptionFailed(decision->pod->metadata().namespace_() + "/" + name, now);
      return true;
    }
    for (const auto& key : decision->victims) {
      const std::string victim = key.substr(key.find('/') + 1);
      if (assumed.contains(victim) || rng.chance(0.5)) {
        remove(victim);
      } else {
        auto leaving = std::make_shared<corev1::Pod>(*truth.at(victim));
        leaving->mutable_metadata()->mutable_deletiontimestamp()->set_seconds(1);
        truth[victim] = leaving;
        scheduler.setPod(leaving, now);
      }
    }
    return true;
  };
  for (int step = 0; step < 250; ++step) {
    SCOPED_TRACE("seed " + std::to_string(GetParam()) + ", step " + std::to_string(step));
    now += seconds(rng.below(4));
    const std::string node = "n" + std::to_string(rng.below(5));
    const std::string name = "p" + std::to_string(rng.below(25));
    const auto known = truth.find(name);
    const bool isBound = known != truth.end() && !known->second->spec().nodename().empty();
    switch (rng.below(10)) {
      case 0:
      case 1:
        nodes.insert(node);
        scheduler.setNode(randomNode(node, rng), now);
        break;
      case 2:
        if (!rng.chance(0.4)) break;
        nodes.erase(node);
        scheduler.removeNode(node, now);
        break;
      case 3:
      case 4:
      case 5:
        if (known != truth.end()) break;
        truth[name] = randomPod(name, rng);
        scheduler.setPod(truth[name], now);
        break;
      case 6:
        remove(name);
        break;
      case 7:
        if (!isBound) break;
        {
          auto changed = std::make_shared<corev1::Pod>(*known->second);
          if (rng.chance(0.3)) {
            changed->mutable_metadata()->mutable_deletiontimestamp()->set_seconds(1);
          } else {
            (*changed->mutable_metadata()->mutable_labels())["app"] = rng.chance(0.5) ? "a" : "b";
          }
          truth[name] = changed;
          scheduler.setPod(changed, now);
        }
        break;
      case 8:
        if (rng.chance(0.3)) {
          api::Labels labels;
          if (rng.chance(0.5)) labels["team"] = "red";
          scheduler.setNamespace("default", &labels, now);
        } else if (const auto found = assumed.find(name); found != assumed.end()) {
          assumed.erase(found);
          scheduler.bindFailed("default/" + name, now);
        }
        break;
      default:
        for (const auto& [pod, place] : assumed) {
          truth[pod] = boundTo(*truth[pod], place);
          scheduler.setPod(truth[pod], now);
        }
        assumed.clear();
    }
    if (rng.chance(0.5)) continue;
    // All that is due comes due; a flush is not waited for.
    for (int tries = 0;; ++tries) {
      ASSERT_LT(tries, 500) << "it does not come to rest";
      if (decide()) continue;
      const auto due = scheduler.nextDue();
      if (!due || *due > now + minutes(1)) break;
      now = std::max(now, *due);
    }
    const Snapshot& snapshot = scheduler.snapshot();
    const Nominations& nominations = scheduler.nominations();
    for (const auto& [waiting, pod] : truth) {
      if (!pod->spec().nodename().empty() || assumed.contains(waiting)) continue;
      ++checked;
      const PodInfo info(pod);
      const auto verdicts = filterNodes(info, snapshot, nominations);
      for (const auto& verdict : verdicts)
        ASSERT_FALSE(verdict.passes()) << waiting << " fits on " << snapshot.name(verdict.slot);
      if (!info.preempts || nominations.nodeOf(info.key) != nullptr) continue;
      const auto preemption = preempt(info, snapshot, verdicts, {}, nominations);
      ASSERT_FALSE(preemption.best)
          << waiting << " could preempt on " << snapshot.name(preemption.best->slot);
    }
  }
  EXPECT_GT(checked, 0);
  EXPECT_GT(preempted, 0);
}

INSTANTIATE_TEST_SUITE_P(Seeds, WaitingProperty, ::testing::Range<std::uint64_t>(1, 41));

}  // namespace
}  // namespace podlab::scheduler
