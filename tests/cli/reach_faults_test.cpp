#include "cli/reach_faults.hpp"

#include <gtest/gtest.h>

namespace podlab::cli {
namespace {

const lab::NodeLabels kNodes{{"a", {}}, {"b", {}}, {"c", {}}};

ReachEnd on(const std::string& node) {
  ReachEnd end;
  end.node = node;
  return end;
}

class ReachFaultsTest : public ::testing::Test {
 protected:
  google::protobuf::RepeatedPtrField<lab::FaultInForce> inForce_;

  lab::FaultConfig& add(const std::string& id, const std::string& kind) {
    auto& added = *inForce_.Add();
    added.set_id(id);
    added.set_endsat("2026-01-01T00:00:00Z");
    added.mutable_fault()->set_kind(kind);
    return *added.mutable_fault();
  }
  void addPartition(const std::string& id, const std::string& one, const std::string& other) {
    auto& fault = add(id, "partition");
    fault.add_between(one);
    fault.add_between(other);
  }
  std::string cause(const std::string& from, const std::string& to, bool measured = true) const {
    return ReachFaults(inForce_, kNodes).causeOf(on(from), on(to), measured).text;
  }
};

TEST_F(ReachFaultsTest, APartitionIsTheCauseBetweenItsGroupsInEachDirection) {
  addPartition("f1", "a", "b");
  inForce_[0].mutable_fault()->set_oneway(true);  // the answers of b are lost, or its requests
  const std::string text = "fault f1, partition a|b, one way until 2026-01-01T00:00:00Z";
  EXPECT_EQ(cause("a", "b"), text);
  EXPECT_EQ(cause("b", "a"), text);
  EXPECT_EQ(cause("a", "c"), "");
  EXPECT_EQ(cause("a", "a"), "");
  EXPECT_TRUE(ReachFaults(inForce_, kNodes).causeOf(on("a"), on("b"), true).full);
}

TEST_F(ReachFaultsTest, WhoIsCutOffFromTheServerCannotMeasure) {
  addPartition("f1", "a", "server");
  EXPECT_EQ(cause("a", "b"), "");
  EXPECT_NE(cause("a", "a", false), "");
  EXPECT_EQ(cause("b", "a", false), "");
}

TEST_F(ReachFaultsTest, LinksAreBetweenNodesAndHeldNodesAnswerNobody) {
  add("f1", "link-down").set_nodes("a");
  add("f2", "node-freeze").set_nodes("b");
  EXPECT_NE(cause("a", "c"), "");
  EXPECT_NE(cause("c", "a"), "");
  EXPECT_EQ(cause("a", "a"), "");
  EXPECT_NE(cause("b", "b"), "");
  EXPECT_EQ(cause("c", "c"), "");
}

TEST_F(ReachFaultsTest, WhatLetsNothingPassGoesFirst) {
  auto& loss = add("f1", "loss");
  loss.set_nodes("a");
  loss.set_loss("20%");
  EXPECT_EQ(cause("a", "b"), "fault f1, loss 20% at a until 2026-01-01T00:00:00Z");
  EXPECT_FALSE(ReachFaults(inForce_, kNodes).causeOf(on("a"), on("b"), true).full);
  addPartition("f2", "a", "b");
  EXPECT_EQ(cause("a", "b").substr(0, 8), "fault f2");
  EXPECT_EQ(cause("a", "c").substr(0, 8), "fault f1");
}

TEST_F(ReachFaultsTest, AFaultOfANodeThatIsGoneIsNoCause) {
  addPartition("f1", "a", "gone");
  EXPECT_EQ(cause("a", "b"), "");
}

}  // namespace
}  // namespace podlab::cli
