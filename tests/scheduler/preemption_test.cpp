#include "scheduler/preemption.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <string>

#include "common/rng.hpp"
#include "scheduler/scheduler.hpp"
#include "tests/scheduler/random_pods.hpp"

namespace podlab::scheduler {
namespace {

using std::chrono::seconds;

struct Running {
  std::string name;
  std::string node;
  std::int32_t priority = 0;
  std::string cpu = "1";
  std::int64_t started = 0;
  std::string app = {};
};

/// Nodes of 2 CPUs with pods on them.
class PreemptionTest : public ::testing::Test {
 protected:
  void addNode(const std::string& name, const std::string& cpu = "2") {
    snapshot_.setNode(snapshot_.slotOf(name), makeNode(name, cpu));
  }
  void run(const Running& running) {
    auto pod = makePod(running.name, running.cpu);
    pod->mutable_spec()->set_priority(running.priority);
    pod->mutable_status()->mutable_starttime()->set_seconds(running.started);
    if (!running.app.empty()) (*pod->mutable_metadata()->mutable_labels())["app"] = running.app;
    snapshot_.at(snapshot_.find(running.node)).add(std::make_shared<PodInfo>(pod));
  }
  void protect(const std::string& app, std::int64_t allowed) {
    Budget budget;
    budget.ns = "default";
    budget.selector = *api::LabelSelector::parse("app=" + app);
    budget.disruptionsAllowed = allowed;
    budgets_.push_back(std::move(budget));
  }
  static std::shared_ptr<corev1::Pod> urgent(const std::string& cpu, std::int32_t priority = 100) {
    auto pod = makePod("urgent", cpu);
    pod->mutable_spec()->set_priority(priority);
    return pod;
  }
  /// "node: victims" of what is chosen; "" when nothing helps.
  std::string chosen(const std::shared_ptr<corev1::Pod>& pod) {
    const PodInfo info(pod);
    const auto best =
        preempt(info, snapshot_, filterNodes(info, snapshot_), budgets_, nominations_).best;
    if (!best) return "";
    std::string text = snapshot_.name(best->slot) + ":";
    for (const auto& victim : best->pods) text += " " + victim->key.substr(8);
    return text;
  }

  Snapshot snapshot_;
  std::vector<Budget> budgets_;
  Nominations nominations_;
};

TEST_F(PreemptionTest, OnlyPodsOfLowerPriorityGoAndAsFewAsMust) {
  addNode("a");
  run({"low", "a", 1, "1"});
  run({"lower", "a", 0, "500m"});
  EXPECT_EQ(chosen(urgent("1500m")), "a: low") << "lower may stay";
  EXPECT_EQ(chosen(urgent("1")), "a: lower");
  EXPECT_EQ(chosen(urgent("2")), "a: low lower");
  EXPECT_EQ(chosen(urgent("2", 1)), "") << "equal priority stays";
  EXPECT_EQ(chosen(urgent("3")), "");
}

TEST_F(PreemptionTest, OfEqualsThoseThatStartedFirstStay) {
  addNode("a");
  run({"old", "a", 0, "1", 100});
  run({"young", "a", 0, "1", 200});
  EXPECT_EQ(chosen(urgent("1")), "a: young");
}

TEST_F(PreemptionTest, ProtectedPodsComeBackFirst) {
  addNode("a");
  run({"guarded", "a", 0, "1", 200, "db"});
  run({"free", "a", 5, "1", 100});
  protect("db", 0);
  EXPECT_EQ(chosen(urgent("1")), "a: free");
  budgets_.front().disruptionsAllowed = 1;
  EXPECT_EQ(chosen(urgent("1")), "a: guarded");
  budgets_.front().disruptionsAllowed = 0;
  budgets_.front().disrupted = {"guarded"};
  EXPECT_EQ(chosen(urgent("1")), "a: guarded") << "it is counted already";
}

TEST_F(PreemptionTest, NodesAreComparedStepByStep) {
  for (const char* name : {"a", "b"}) addNode(name, "1");
  run({"a1", "a", 0, "1", 10, "db"});
  run({"b1", "b", 9, "1", 10});
  protect("db", 0);
  EXPECT_EQ(chosen(urgent("1")), "b: b1") << "no budget is overdrawn there";
  budgets_.clear();
  EXPECT_EQ(chosen(urgent("1")), "a: a1") << "the highest victim is lower";
}

TEST_F(PreemptionTest, ThenBySumByNumberByStartAndBySlot) {
  for (const char* name : {"a", "b", "c"}) addNode(name, "1");
  run({"a1", "a", 5, "500m", 10});
  run({"a2", "a", 4, "500m", 10});
  run({"b1", "b", 5, "500m", 10});
  run({"b2", "b", 3, "500m", 10});
  run({"c1", "c", 6, "1", 10});
  EXPECT_EQ(chosen(urgent("1")), "b: b1 b2");
  run({"extra", "b", 2, "0", 10});
  addNode("d", "1");
  run({"d1", "d", 5, "1", 10});
  EXPECT_EQ(chosen(urgent("1")), "d: d1") << "fewer";
  addNode("e", "1");
  run({"e1", "e", 5, "1", 20});
  EXPECT_EQ(chosen(urgent("1")), "e: e1") << "has run for less time";
  addNode("f", "1");
  run({"f1", "f", 5, "1", 20});
  EXPECT_EQ(chosen(urgent("1")), "e: e1") << "the first of equals";
}

TEST_F(PreemptionTest, NodesThatAreOutForGoodAreLeftAlone) {
  auto node = makeNode("a", "1");
  node->mutable_spec()->set_unschedulable(true);
  snapshot_.setNode(snapshot_.slotOf("a"), node);
  run({"low", "a", 0, "1"});
  EXPECT_EQ(chosen(urgent("1")), "");
}

TEST_F(PreemptionTest, AntiAffinityAndPortsAreResolvedToo) {
  addNode("a");
  auto pod = urgent("1");
  auto* node = &snapshot_.at(snapshot_.find("a"));
  auto labelled = std::make_shared<corev1::Node>(*node->node());
  (*labelled->mutable_metadata()->mutable_labels())["host"] = "a";
  snapshot_.setNode(snapshot_.find("a"), labelled);
  *pod->mutable_spec()
       ->mutable_affinity()
       ->mutable_podantiaffinity()
       ->add_requiredduringschedulingignoredduringexecution() = termOf("noisy", "host");
  run({"quiet", "a", 0, "100m"});
  run({"noisy", "a", 0, "100m", 0, "noisy"});
  EXPECT_EQ(chosen(pod), "a: noisy");
}

TEST_F(PreemptionTest, RoomOfANominatedPodIsNotTakenByAnEqual) {
  addNode("a", "2");
  run({"low", "a", 0, "2"});
  auto first = urgent("1500m");
  first->mutable_metadata()->set_name("first");
  nominations_.set(std::make_shared<PodInfo>(first), "a");
  EXPECT_EQ(chosen(urgent("1")), "");
  EXPECT_EQ(chosen(urgent("500m")), "a: low");
  EXPECT_EQ(chosen(urgent("1", 101)), "a: low") << "a higher one takes it";
}

TEST(Preempting, IsCarriedOutOnceAndAHigherPodDisplacesTheNominated) {
  SeededRng rng(1);
  Scheduler scheduler(rng);
  MonoTime now{};
  scheduler.setNode(makeNode("a", "1"), now);
  auto low = makePod("low", "1");
  scheduler.setPod(boundTo(*low, "a"), now);
  const auto withPriority = [](const std::string& name, std::int32_t priority) {
    auto pod = makePod(name, "1");
    pod->mutable_spec()->set_priority(priority);
    return pod;
  };
  auto patient = withPriority("patient", 50);
  patient->mutable_spec()->set_preemptionpolicy("Never");
  scheduler.setPod(patient, now);
  auto decision = scheduler.decideNext(now);
  ASSERT_TRUE(decision);
  EXPECT_FALSE(decision->nominated) << "it may not";
  EXPECT_TRUE(decision->victims.empty());

  scheduler.setPod(withPriority("high", 10), now);
  decision = scheduler.decideNext(now);
  ASSERT_TRUE(decision);
  EXPECT_EQ(decision->node, "");
  EXPECT_EQ(decision->nominated, "a");
  EXPECT_EQ(decision->victims, std::vector<std::string>{"default/low"});

  // Events while the victim is leaving start nothing anew.
  auto leaving = std::make_shared<corev1::Pod>(*boundTo(*low, "a"));
  leaving->mutable_metadata()->mutable_deletiontimestamp()->set_seconds(1);
  for (const bool isSeen : {false, true}) {
    if (isSeen) scheduler.setPod(leaving, now);
    now += seconds(20);
    auto bigger = makeNode("a", isSeen ? "1002m" : "1001m");
    scheduler.setNode(bigger, now);
    while ((decision = scheduler.decideNext(now))) {
      EXPECT_EQ(decision->node, "");
      EXPECT_TRUE(decision->victims.empty());
      EXPECT_FALSE(decision->nominated);
    }
  }

  scheduler.setPod(withPriority("higher", 100), now);
  decision = scheduler.decideNext(now);
  ASSERT_TRUE(decision);
  EXPECT_EQ(decision->nominated, "a");
  EXPECT_EQ(decision->displaced, std::vector<std::string>{"default/high"});

  now += seconds(20);
  scheduler.removePod("default/low", now);
  std::map<std::string, std::string> nodes;
  while ((decision = scheduler.decideNext(now)))
    nodes[decision->pod->metadata().name()] = decision->node;
  EXPECT_EQ(nodes["higher"], "a");
  EXPECT_EQ(nodes["high"], "");
  EXPECT_TRUE(scheduler.nominations().empty());
}

TEST(Preempting, ANominationIsKnownAfterARestart) {
  SeededRng rng(1);
  Scheduler scheduler(rng);
  scheduler.setNode(makeNode("a", "1"), {});
  auto high = makePod("high", "1");
  high->mutable_spec()->set_priority(10);
  high->mutable_status()->set_nominatednodename("a");
  scheduler.setPod(makePod("low", "1"), {});
  auto leaving = std::make_shared<corev1::Pod>(*boundTo(*makePod("old", "1"), "a"));
  leaving->mutable_metadata()->mutable_deletiontimestamp()->set_seconds(1);
  scheduler.setPod(leaving, {});
  scheduler.setPod(high, {});
  while (const auto decision = scheduler.decideNext({})) EXPECT_TRUE(decision->victims.empty());
  scheduler.removePod("default/old", MonoTime(seconds(20)));
  const auto decision = scheduler.decideNext(MonoTime(seconds(20)));
  ASSERT_TRUE(decision);
  EXPECT_EQ(decision->pod->metadata().name(), "high");
  EXPECT_EQ(decision->node, "a");
}

/// A small cluster whose pods can be taken away and put back by counting all anew.
struct SmallCluster {
  std::map<std::string, NodePtr> nodes;
  std::map<std::string, std::pair<PodPtr, std::string>> pods;  ///< with their nodes, by key

  Snapshot snapshot(const std::set<std::string>& gone) const {
    Snapshot made;
    for (const auto& [name, node] : nodes) made.setNode(made.slotOf(name), node);
    for (const auto& [key, pod] : pods) {
      if (!gone.contains(key))
        made.at(made.find(pod.second)).add(std::make_shared<PodInfo>(pod.first));
    }
    return made;
  }
  bool fits(const PodInfo& pod, const std::string& node, const std::set<std::string>& gone) const {
    const Snapshot without = snapshot(gone);
    const auto verdicts = filterNodes(pod, without);
    return std::ranges::find(verdicts, without.find(node), &NodeVerdict::slot)->passes();
  }
};

struct Expected {
  std::string node;
  std::vector<std::string> victims;  ///< the most important first
  std::size_t violations = 0;
};

/// All sets of pods that might stay, by brute force. Of those that leave room, the one that keeps
/// the first pod in the order of reprieve, if any does, then the second, and so on.
std::optional<Expected> bruteForce(const SmallCluster& cluster, const PodInfo& pod,
                                   const std::string& node, const std::vector<Budget>& budgets) {
  std::vector<std::pair<std::string, PodPtr>> candidates;
  for (const auto& [key, placed] : cluster.pods) {
    if (placed.second == node && placed.first->spec().priority() < pod.priority)
      candidates.emplace_back(key, placed.first);
  }
  if (candidates.empty()) return std::nullopt;
  const auto importance = [](const auto& a, const auto& b) {
    const auto& x = *a.second;
    const auto& y = *b.second;
    if (x.spec().priority() != y.spec().priority())
      return x.spec().priority() > y.spec().priority();
    if (x.status().starttime().seconds() != y.status().starttime().seconds())
      return x.status().starttime().seconds() < y.status().starttime().seconds();
    return a.first < b.first;
  };
  std::ranges::sort(candidates, importance);
  std::set<std::string> violating;
  for (const auto& budget : budgets) {
    std::int64_t left = budget.disruptionsAllowed;
    for (const auto& [key, candidate] : candidates) {
      if (budget.selector.matches(candidate->metadata().labels()) && --left < 0)
        violating.insert(key);
    }
  }
  std::vector<std::pair<std::string, PodPtr>> order;
  for (const bool isProtected : {true, false}) {
    for (const auto& candidate : candidates) {
      if (violating.contains(candidate.first) == isProtected) order.push_back(candidate);
    }
  }
  std::optional<std::set<std::string>> best;
  const std::size_t n = order.size();
  // From the set where all stay to the one where none does, by the order of reprieve.
  for (std::size_t mask = 0; mask < (1U << n) && !best; ++mask) {
    std::set<std::string> gone;
    for (std::size_t i = 0; i < n; ++i) {
      if ((mask >> (n - 1 - i) & 1) != 0) gone.insert(order[i].first);
    }
    if (cluster.fits(pod, node, gone)) best = gone;
  }
  if (!best) return std::nullopt;
  Expected expected{node, {}, 0};
  for (const auto& [key, candidate] : candidates) {
    if (!best->contains(key)) continue;
    expected.victims.push_back(key);
    if (violating.contains(key)) ++expected.violations;
  }
  return expected;
}

/// Upstream's pickOneNodeForPreemption: one criterion after the other thins the nodes out.
Expected pickOne(const SmallCluster& cluster, std::vector<Expected> all) {
  const auto podOf = [&](const std::string& key) -> const corev1::Pod& {
    return *cluster.pods.at(key).first;
  };
  const auto highest = [&](const Expected& one) -> std::int64_t {
    return podOf(one.victims.front()).spec().priority();
  };
  const auto thin = [&all](const std::function<std::int64_t(const Expected&)>& cost) {
    std::int64_t least = std::numeric_limits<std::int64_t>::max();
    for (const auto& one : all) least = std::min(least, cost(one));
    std::erase_if(all, [&](const Expected& one) { return cost(one) != least; });
  };
  thin([](const Expected& one) { return static_cast<std::int64_t>(one.violations); });
  thin(highest);
  thin([&](const Expected& one) {
    std::int64_t sum = 0;
    for (const auto& key : one.victims)
      sum +=
          podOf(key).spec().priority() + std::int64_t{std::numeric_limits<std::int32_t>::max()} + 1;
    return sum;
  });
  thin([](const Expected& one) { return static_cast<std::int64_t>(one.victims.size()); });
  thin([&](const Expected& one) {
    std::int64_t earliest = std::numeric_limits<std::int64_t>::max();
    for (const auto& key : one.victims) {
      if (podOf(key).spec().priority() == highest(one))
        earliest = std::min<std::int64_t>(earliest, podOf(key).status().starttime().seconds());
    }
    return -earliest;
  });
  return all.front();
}

class PreemptionProperty : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(PreemptionProperty, ChoosesAsBruteForceAndSparesWhomItCan) {
  SeededRng rng(GetParam());
  int preempted = 0;
  for (int round = 0; round < 40; ++round) {
    SCOPED_TRACE("seed " + std::to_string(GetParam()) + ", round " + std::to_string(round));
    SmallCluster cluster;
    for (std::uint64_t i = 0; i < 1 + rng.below(3); ++i) {
      auto node = randomNode("n" + std::to_string(i), rng);
      cluster.nodes[node->metadata().name()] = node;
    }
    for (std::uint64_t i = 0; i < rng.below(12); ++i) {
      const std::string name = "p" + std::to_string(i);
      auto pod = randomPod(name, rng);
      // A pod that others want to be near to cannot be spared by the order of importance alone.
      pod->mutable_spec()->mutable_affinity()->clear_podaffinity();
      pod->mutable_status()->mutable_starttime()->set_seconds(
          static_cast<std::int64_t>(rng.below(3)));
      const std::string node = "n" + std::to_string(rng.below(cluster.nodes.size()));
      const PodInfo info(pod);
      if (cluster.fits(info, node, {})) cluster.pods[info.key] = {boundTo(*pod, node), node};
    }
    std::vector<Budget> budgets;
    for (const char* app : {"a", "b"}) {
      if (!rng.chance(0.4)) continue;
      Budget budget;
      budget.ns = "default";
      budget.selector = *api::LabelSelector::parse(std::string("app=") + app);
      budget.disruptionsAllowed = static_cast<std::int64_t>(rng.below(2));
      budgets.push_back(std::move(budget));
    }
    auto wanted = randomPod("wanted", rng);
    wanted->mutable_spec()->mutable_affinity()->clear_podaffinity();
    wanted->mutable_spec()->set_priority(5);
    const PodInfo info(wanted);
    const Snapshot snapshot = cluster.snapshot({});
    const auto verdicts = filterNodes(info, snapshot);
    if (std::ranges::any_of(verdicts, &NodeVerdict::passes)) continue;
    std::vector<Expected> all;
    for (const auto& verdict : verdicts) {
      if (!verdict.rejection.resolvable) continue;
      if (auto found = bruteForce(cluster, info, snapshot.name(verdict.slot), budgets))
        all.push_back(std::move(*found));
    }
    const auto best = preempt(info, snapshot, verdicts, budgets, {}).best;
    ASSERT_EQ(best.has_value(), !all.empty());
    if (!best) continue;
    ++preempted;
    const Expected expected = pickOne(cluster, all);
    std::vector<std::string> victims;
    for (const auto& pod : best->pods) victims.push_back(pod->key);
    ASSERT_EQ(snapshot.name(best->slot), expected.node);
    ASSERT_EQ(victims, expected.victims);
    ASSERT_EQ(best->violations, expected.violations);
    const std::set<std::string> gone(victims.begin(), victims.end());
    ASSERT_TRUE(cluster.fits(info, expected.node, gone));
    for (const auto& victim : victims) {
      auto fewer = gone;
      fewer.erase(victim);
      ASSERT_FALSE(cluster.fits(info, expected.node, fewer)) << victim << " could have stayed";
    }
  }
  EXPECT_GT(preempted, 0);
}

INSTANTIATE_TEST_SUITE_P(Seeds, PreemptionProperty, ::testing::Range<std::uint64_t>(1, 31));

}  // namespace
}  // namespace podlab::scheduler
