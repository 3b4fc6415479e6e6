#include "scheduler/explain.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>

#include "api/quantity.hpp"
#include "common/rng.hpp"
#include "tests/scheduler/random_pods.hpp"

namespace podlab::scheduler {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class ExplainTest : public ::testing::Test {
 protected:
  void set(const std::shared_ptr<corev1::Node>& node) {
    snapshot_.setNode(snapshot_.slotOf(node->metadata().name()), node);
  }
  void run(const std::shared_ptr<corev1::Pod>& pod, const std::string& node) {
    snapshot_.at(snapshot_.find(node)).add(std::make_shared<PodInfo>(boundTo(*pod, node)));
  }
  NodeExplanation only(const std::shared_ptr<corev1::Pod>& pod) {
    const PodInfo info(pod);
    return explain(info, snapshot_, ResourceScoring::kLeastAllocated, {}).nodes.at(0);
  }

  Snapshot snapshot_;
};

TEST_F(ExplainTest, NodesThatFitComeByTheirTotalThenTheOthersByTheirNeed) {
  set(makeNode("full", "1"));
  set(makeNode("small", "2"));
  set(makeNode("large", "8"));
  auto hopeless = makeNode("barred", "1");
  hopeless->mutable_spec()->add_taints()->set_key("k");
  hopeless->mutable_spec()->mutable_taints(0)->set_effect("NoExecute");
  hopeless->mutable_spec()->set_unschedulable(true);
  set(hopeless);
  const PodInfo pod(makePod("p", "1500m"));
  const auto explanation = explain(pod, snapshot_, ResourceScoring::kLeastAllocated, {});
  std::vector<std::string> order;
  for (const auto& node : explanation.nodes) order.push_back(node.node);
  EXPECT_THAT(order, ElementsAre("large", "small", "full", "barred"));
  EXPECT_EQ(snapshot_.name(explanation.choice.slot), "large");
  EXPECT_EQ(explanation.nodes[0].scores.total(), explanation.choice.score);
  EXPECT_THAT(explanation.nodes[2].changes, ElementsAre("500m cpu more on full"));
  EXPECT_THAT(
      explanation.nodes[3].changes,
      ElementsAre("uncordon barred", "tolerate taint k:NoExecute", "500m cpu more on barred"));
  std::vector<std::string> filters;
  for (const auto& rejection : explanation.nodes[3].rejections)
    filters.emplace_back(rejection.filter);
  EXPECT_THAT(filters, ElementsAre("NodeUnschedulable", "TaintToleration", "NodeResourcesFit"))
      << "all that say no, not the first alone";
}

TEST_F(ExplainTest, LabelsByTheEasiestTerm) {
  set(makeNode("n"));
  auto pod = makePod("p");
  (*pod->mutable_spec()->mutable_nodeselector())["disk"] = "ssd";
  auto& terms = *pod->mutable_spec()
                     ->mutable_affinity()
                     ->mutable_nodeaffinity()
                     ->mutable_requiredduringschedulingignoredduringexecution();
  const auto require = [](corev1::NodeSelectorTerm& term, const char* key, const char* op,
                          const char* value) {
    auto& wanted = *term.add_matchexpressions();
    wanted.set_key(key);
    wanted.set_operator_(op);
    wanted.add_values(value);
  };
  auto& hard = *terms.add_nodeselectorterms();
  require(hard, "zone", "In", "a");
  require(hard, "rack", "In", "1");
  require(*terms.add_nodeselectorterms(), "cores", "Gt", "8");
  EXPECT_THAT(only(pod).changes, ElementsAre("label n disk=ssd", "label n cores=9"));
}

TEST_F(ExplainTest, PodsThatWouldHaveToGoAndWhetherTheyWill) {
  set(makeNode("n", "2"));
  run(makePod("a", "1"), "n");
  auto important = makePod("b", "1");
  important->mutable_spec()->set_priority(50);
  run(important, "n");
  auto pod = makePod("p", "1");
  NodeExplanation node = only(pod);
  EXPECT_THAT(node.leaving, ElementsAre("default/a")) << "the least important";
  EXPECT_THAT(node.changes, ElementsAre("1 cpu more on n"));
  EXPECT_TRUE(node.changesInstead);
  EXPECT_FALSE(node.preempts);
  pod->mutable_spec()->set_priority(10);
  EXPECT_TRUE(only(pod).preempts);
}

TEST_F(ExplainTest, RoomThatIsKeptForANominatedPod) {
  set(makeNode("n", "2"));
  run(makePod("victim", "1500m"), "n");
  auto urgent = makePod("urgent", "1500m");
  urgent->mutable_spec()->set_priority(10);
  Nominations nominations;
  nominations.set(std::make_shared<PodInfo>(urgent), "n");
  const auto explained = [&](const PodInfo& pod) {
    const auto explanation =
        explain(pod, snapshot_, ResourceScoring::kLeastAllocated, {}, nominations);
    EXPECT_EQ(explanation.choice.found(), explanation.nodes.at(0).fits());
    return explanation.nodes.at(0);
  };
  auto pod = makePod("p", "500m");
  const NodeExplanation node = explained(PodInfo(pod));
  ASSERT_FALSE(node.fits());
  EXPECT_THAT(node.rejections.at(0).reasons, ElementsAre("Insufficient cpu"));
  EXPECT_THAT(node.keptFor, ElementsAre("default/urgent"));
  EXPECT_THAT(node.changes, ElementsAre("1500m cpu more on n")) << "room for all three";
  EXPECT_THAT(node.leaving, ElementsAre("default/victim"));
  pod->mutable_spec()->set_priority(11);
  EXPECT_TRUE(explained(PodInfo(pod)).fits()) << "only what is as important is heeded";
  EXPECT_THAT(explained(PodInfo(makePod("large", "1"))).keptFor, IsEmpty())
      << "it does not fit without the nominated pod either";
}

TEST_F(ExplainTest, WhatNothingHelps) {
  set(makeNode("n"));
  auto pod = makePod("p");
  auto& field = *pod->mutable_spec()
                     ->mutable_affinity()
                     ->mutable_nodeaffinity()
                     ->mutable_requiredduringschedulingignoredduringexecution()
                     ->add_nodeselectorterms()
                     ->add_matchfields();
  field.set_key("metadata.name");
  field.set_operator_("In");
  field.add_values("other");
  EXPECT_TRUE(only(pod).isHopeless());
}

TEST_F(ExplainTest, ANeighbourThatIsMissing) {
  auto node = makeNode("n");
  (*node->mutable_metadata()->mutable_labels())["zone"] = "a";
  set(node);
  auto pod = makePod("p");
  *pod->mutable_spec()
       ->mutable_affinity()
       ->mutable_podaffinity()
       ->add_requiredduringschedulingignoredduringexecution() = termOf("db", "zone");
  EXPECT_THAT(only(pod).changes, ElementsAre("a pod with app=db in the same zone"));
}

/// Does what an explanation says.
void apply(const std::string& change, corev1::Node& node, corev1::Pod& pod) {
  std::istringstream words(change);
  std::vector<std::string> word;
  for (std::string one; words >> one;) word.push_back(one);
  if (word[0] == "label") {
    const auto equals = word[2].find('=');
    (*node.mutable_metadata()->mutable_labels())[word[2].substr(0, equals)] =
        word[2].substr(equals + 1);
  } else if (word[0] == "take") {
    node.mutable_metadata()->mutable_labels()->erase(word[2]);
  } else if (word[0] == "uncordon") {
    node.mutable_spec()->set_unschedulable(false);
  } else if (word[0] == "tolerate") {
    auto& toleration = *pod.mutable_spec()->add_tolerations();
    const auto colon = word[2].find(':');
    toleration.set_key(word[2].substr(0, word[2].find_first_of("=:")));
    toleration.set_operator_("Exists");
    toleration.set_effect(word[2].substr(colon + 1));
  } else {
    ASSERT_EQ(word[2], "more") << change;
    auto& amount = (*node.mutable_status()->mutable_allocatable())[word[1]];
    const auto more = api::Quantity::parse(word[0]);
    ASSERT_TRUE(more.ok()) << change;
    amount.set_string((api::Quantity::read(amount) + *more).toString());
  }
}

/// Each remedy that an explanation names, carried out on a cluster that is counted anew, makes the
/// pod fit.
class ExplainProperty : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(ExplainProperty, WhatItNamesHelps) {
  SeededRng rng(GetParam());
  int helped = 0;
  for (int round = 0; round < 60; ++round) {
    SCOPED_TRACE("seed " + std::to_string(GetParam()) + ", round " + std::to_string(round));
    std::map<std::string, std::shared_ptr<corev1::Node>> nodes;
    for (int i = 0; i < 3; ++i)
      nodes["n" + std::to_string(i)] = randomNode("n" + std::to_string(i), rng);
    std::map<std::string, PodPtr> pods;
    const auto build = [&](const std::set<std::string>& gone) {
      Snapshot made;
      for (const auto& [name, node] : nodes) made.setNode(made.slotOf(name), node);
      for (const auto& [key, pod] : pods) {
        if (!gone.contains(key))
          made.at(made.find(pod->spec().nodename())).add(std::make_shared<PodInfo>(pod));
      }
      return made;
    };
    Nominations nominations;
    const auto fits = [&](const std::shared_ptr<corev1::Pod>& pod, const std::string& node,
                          const std::set<std::string>& gone) {
      const Snapshot snapshot = build(gone);
      const PodInfo info(pod);
      return rejectWith(nominations.ahead(info, node), PodFilter(info, snapshot),
                        snapshot.at(snapshot.find(node)))
          .filter.empty();
    };
    for (int i = 0; i < 10; ++i) {
      const auto pod = randomPod("p" + std::to_string(i), rng);
      const std::string node = "n" + std::to_string(rng.below(3));
      if (fits(pod, node, {})) pods["default/p" + std::to_string(i)] = boundTo(*pod, node);
    }
    if (rng.chance(0.5)) {
      const auto nominated = std::make_shared<PodInfo>(randomPod("nominated", rng));
      nominations.set(nominated, "n" + std::to_string(rng.below(3)));
    }
    const auto wanted = randomPod("wanted", rng);
    const PodInfo info(wanted);
    const auto explanation =
        explain(info, build({}), ResourceScoring::kLeastAllocated, {}, nominations);
    for (const auto& one : explanation.nodes) {
      if (one.fits() || one.isHopeless()) continue;
      if (!one.changes.empty() && one.changes.back().starts_with("a pod with")) continue;
      ++helped;
      const auto original = nodes[one.node];
      const auto changed = std::make_shared<corev1::Node>(*original);
      const auto pod = std::make_shared<corev1::Pod>(*wanted);
      for (const auto& change : one.changes) apply(change, *changed, *pod);
      const std::set<std::string> gone(one.leaving.begin(), one.leaving.end());
      if (one.changesInstead) {
        EXPECT_TRUE(fits(wanted, one.node, gone)) << one.node;
        nodes[one.node] = changed;
        EXPECT_TRUE(fits(pod, one.node, {})) << one.node << ": " << one.changes.front();
      } else {
        nodes[one.node] = changed;
        EXPECT_TRUE(fits(pod, one.node, gone))
            << one.node << (one.changes.empty() ? "" : ": " + one.changes.front());
      }
      nodes[one.node] = original;
    }
  }
  EXPECT_GT(helped, 0);
}

INSTANTIATE_TEST_SUITE_P(Seeds, ExplainProperty, ::testing::Range<std::uint64_t>(1, 11));

}  // namespace
}  // namespace podlab::scheduler
