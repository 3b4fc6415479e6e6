#include "cli/explain_text.hpp"

#include <gtest/gtest.h>

namespace podlab::cli {
namespace {

scheduler::Explanation example() {
  scheduler::Explanation explanation;
  scheduler::NodeExplanation fitting;
  fitting.node = "node1";
  fitting.scores.scores = {100, 0, 80, 0, 62, 87, 0};
  scheduler::NodeExplanation full;
  full.node = "node2";
  full.rejections = {{"TaintToleration", {"node(s) had untolerated taint {k: }"}, false},
                     {"NodeResourcesFit", {"Insufficient cpu", "Too many pods"}, true}};
  full.changes = {"tolerate taint k:NoSchedule"};
  full.leaving = {"default/a", "default/b"};
  scheduler::NodeExplanation crowded;
  crowded.node = "node3";
  crowded.rejections = {{"NodeResourcesFit", {"Insufficient cpu"}, true}};
  crowded.changes = {"500m cpu more on node3"};
  crowded.leaving = {"default/c"};
  crowded.changesInstead = true;
  crowded.preempts = true;
  scheduler::NodeExplanation hopeless;
  hopeless.node = "node4";
  hopeless.rejections = {{"VolumeBinding", {"node(s) had volume node affinity conflict"}, false}};
  scheduler::NodeExplanation kept;
  kept.node = "node5";
  kept.rejections = {{"NodeResourcesFit", {"Insufficient cpu"}, true}};
  kept.changes = {"1 cpu more on node5"};
  kept.keptFor = {"default/d"};
  explanation.nodes = {fitting, full, crowded, hopeless, kept};
  explanation.choice.slot = 0;
  return explanation;
}

TEST(ExplainText, TellsScoresAndReasonsAndRemedies) {
  const PlacementQuestion question{"default/web", "default-scheduler", 7, "node1", ""};
  EXPECT_EQ(
      placementText(question, example()),
      "pod default/web, scheduler default-scheduler, priority 7\n"
      "it is on node1; as if it were not:\n"
      "it fits on 1 of 5 nodes\n"
      "\n"
      "NODE    TOTAL   TaintToleration*3   NodeAffinity*2   PodTopologySpread*2   "
      "InterPodAffinity*2   NodeResourcesFit*1   NodeResourcesBalancedAllocation*1   "
      "ImageLocality*1\n"
      "node1   609     100                 0                80                    0             "
      "       62                   87                                  0\n"
      "\n"
      "NODE    FILTER             REASON                                     "
      "      WOULD FIT WITH\n"
      "node2   TaintToleration    node(s) had untolerated taint {k: }        "
      "      tolerate taint k:NoSchedule, without default/a, default/b\n"
      "        NodeResourcesFit   Insufficient cpu, Too many pods            "
      "      \n"
      "node3   NodeResourcesFit   Insufficient cpu                           "
      "      500m cpu more on node3; or without default/c (preempts)\n"
      "node4   VolumeBinding      node(s) had volume node affinity conflict  "
      "      nothing that is known\n"
      "node5   NodeResourcesFit   Insufficient cpu, with room kept for defaul"
      "t/d   1 cpu more on node5\n");
}

TEST(ExplainText, SaysWhyItFitsNowhere) {
  scheduler::Explanation explanation;
  explanation.choice.diagnosis.nodes = 2;
  explanation.choice.diagnosis.reasons = {{"Insufficient cpu", 2}};
  const PlacementQuestion question{"default/web", "packing", 0, "", "a note"};
  EXPECT_EQ(placementText(question, explanation),
            "pod default/web, scheduler packing, priority 0\n"
            "a note\n"
            "0/2 nodes are available: 2 Insufficient cpu.\n");
}

TEST(ExplainText, Json) {
  const PlacementQuestion question{"default/web", "default-scheduler", 0, "", ""};
  const std::string text = placementJson(question, example());
  EXPECT_NE(text.find(R"("total": 609)"), std::string::npos) << text;
  EXPECT_NE(text.find(R"("name": "TaintToleration")"), std::string::npos) << text;
  EXPECT_NE(text.find(R"("500m cpu more on node3")"), std::string::npos) << text;
  EXPECT_NE(text.find(R"("preempts": true)"), std::string::npos) << text;
  EXPECT_EQ(text.back(), '\n');
}

}  // namespace
}  // namespace podlab::cli
