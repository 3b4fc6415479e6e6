#include "scheduler/filters.hpp"

#include <gtest/gtest.h>

#include "api/taints.hpp"
#include "tests/scheduler/builders.hpp"

namespace podlab::scheduler {
namespace {

NodeInfo infoOf(std::shared_ptr<corev1::Node> node) {
  NodeInfo info;
  info.setNode(std::move(node));
  return info;
}

std::string reasonsOf(const std::shared_ptr<corev1::Pod>& pod, const NodeInfo& node) {
  std::string text;
  const Rejection rejection = runFilters(PodInfo(pod), node);
  for (const auto& reason : rejection.reasons) text += (text.empty() ? "" : "; ") + reason;
  return text;
}

TEST(Filters, UnschedulableNodeTakesOnlyPodsThatTolerateIt) {
  auto node = makeNode("a");
  node->mutable_spec()->set_unschedulable(true);
  auto pod = makePod("p");
  EXPECT_EQ(reasonsOf(pod, infoOf(node)), "node(s) were unschedulable");
  auto* toleration = pod->mutable_spec()->add_tolerations();
  toleration->set_key("node.kubernetes.io/unschedulable");
  toleration->set_operator_("Exists");
  EXPECT_EQ(reasonsOf(pod, infoOf(node)), "");
}

TEST(Filters, TaintsAndTolerations) {
  auto node = makeNode("a");
  auto* taint = node->mutable_spec()->add_taints();
  taint->set_key("dedicated");
  taint->set_value("db");
  taint->set_effect("NoSchedule");
  auto pod = makePod("p");
  EXPECT_EQ(reasonsOf(pod, infoOf(node)), "node(s) had untolerated taint {dedicated: db}");
  taint->set_effect("PreferNoSchedule");
  EXPECT_EQ(reasonsOf(pod, infoOf(node)), "");
  taint->set_effect("NoExecute");
  auto* toleration = pod->mutable_spec()->add_tolerations();
  toleration->set_key("dedicated");
  toleration->set_value("web");
  EXPECT_NE(reasonsOf(pod, infoOf(node)), "");
  toleration->set_value("db");
  EXPECT_EQ(reasonsOf(pod, infoOf(node)), "");
}

TEST(Filters, SelectorAndRequiredAffinityMustBothHold) {
  auto node = makeNode("a");
  (*node->mutable_metadata()->mutable_labels())["disk"] = "ssd";
  (*node->mutable_metadata()->mutable_labels())["cores"] = "8";
  auto pod = makePod("p");
  (*pod->mutable_spec()->mutable_nodeselector())["disk"] = "ssd";
  EXPECT_EQ(reasonsOf(pod, infoOf(node)), "");
  auto* expression = pod->mutable_spec()
                         ->mutable_affinity()
                         ->mutable_nodeaffinity()
                         ->mutable_requiredduringschedulingignoredduringexecution()
                         ->add_nodeselectorterms()
                         ->add_matchexpressions();
  expression->set_key("cores");
  expression->set_operator_("Gt");
  expression->add_values("8");
  EXPECT_EQ(reasonsOf(pod, infoOf(node)), "node(s) didn't match Pod's node affinity/selector");
  expression->set_values(0, "7");
  EXPECT_EQ(reasonsOf(pod, infoOf(node)), "");
}

TEST(Filters, HostPortsConflictByProtocolAndAddress) {
  const auto withPort = [](const std::string& name, const std::string& ip,
                           const std::string& protocol) {
    auto pod = makePod(name);
    auto* port = pod->mutable_spec()->mutable_containers(0)->add_ports();
    port->set_hostport(80);
    port->set_protocol(protocol);
    port->set_hostip(ip);
    return pod;
  };
  NodeInfo node = infoOf(makeNode("a"));
  node.add(std::make_shared<PodInfo>(withPort("used", "10.0.0.1", "TCP")));
  const char* taken = "node(s) didn't have free ports for the requested pod ports";
  EXPECT_EQ(reasonsOf(withPort("p", "", "TCP"), node), taken);
  EXPECT_EQ(reasonsOf(withPort("p", "0.0.0.0", "TCP"), node), taken);
  EXPECT_EQ(reasonsOf(withPort("p", "10.0.0.1", "TCP"), node), taken);
  EXPECT_EQ(reasonsOf(withPort("p", "10.0.0.2", "TCP"), node), "");
  EXPECT_EQ(reasonsOf(withPort("p", "10.0.0.1", "UDP"), node), "");
}

TEST(Filters, ResourcesFitExactlyAndNotOneMore) {
  NodeInfo node = infoOf(makeNode("a", "1", "1Gi", "3"));
  node.add(std::make_shared<PodInfo>(makePod("used", "400m", "512Mi")));
  EXPECT_EQ(reasonsOf(makePod("p", "600m", "512Mi"), node), "");
  EXPECT_EQ(reasonsOf(makePod("p", "601m", "512Mi"), node), "Insufficient cpu");
  EXPECT_EQ(reasonsOf(makePod("p", "601m", "536870913"), node),
            "Insufficient cpu; Insufficient memory");
  node.add(std::make_shared<PodInfo>(makePod("second")));
  EXPECT_EQ(reasonsOf(makePod("third"), node), "");
  node.add(std::make_shared<PodInfo>(makePod("third")));
  EXPECT_EQ(reasonsOf(makePod("fourth"), node), "Too many pods");
  node.remove("default/third");
  EXPECT_EQ(reasonsOf(makePod("fourth"), node), "");
}

TEST(Filters, InitContainersCountByTheLargest) {
  auto pod = makePod("p", "100m");
  auto* init = pod->mutable_spec()->add_initcontainers();
  (*init->mutable_resources()->mutable_requests())["cpu"].set_string("2");
  EXPECT_EQ(reasonsOf(pod, infoOf(makeNode("a", "1999m"))), "Insufficient cpu");
  EXPECT_EQ(reasonsOf(pod, infoOf(makeNode("a", "2"))), "");
}

}  // namespace
}  // namespace podlab::scheduler
