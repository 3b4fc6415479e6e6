#include "sim/hollow_node.hpp"

#include <gmock/gmock.h>

#include <asio.hpp>

#include "networking_v1.pb.h"

#include "api/conditions.hpp"
#include "api/times.hpp"
#include "sim/sim_clock.hpp"
#include "tests/fakes/fake_api.hpp"
#include "tests/fakes/quiet.hpp"

namespace podlab::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class HollowNodeTest : public ::testing::Test {
 protected:
  asio::io_context io_;
  SimClock clock_{io_};
  SeededRng rng_{1};
  fakes::FakeApi api_;
  HollowNodeOptions options_{.name = "hollow1",
                             .labels = {{"zone", "a"}},
                             .taints = {},
                             .capacity = {{"cpu", "8"}, {"memory", "16Gi"}, {"pods", "110"}},
                             .addresses = {*net::IpAddress::parse("198.18.0.1")},
                             .clusterRanges = {*net::Cidr::parse("10.244.0.0/16")},
                             .version = "podlab-test",
                             .behaviour = {}};
  std::unique_ptr<HollowNode> node_;

  void start() {
    node_ = std::make_unique<HollowNode>(
        HollowNodeDependencies{io_.get_executor(), clock_, rng_, api_}, options_);
    node_->start();
    clock_.runUntilIdle();
    // What the server's controllers would do.
    corev1::Node copy = *api_.find<corev1::Node>("hollow1");
    copy.mutable_spec()->add_podcidrs("10.244.1.0/24");
    api_.put(copy);
    clock_.runUntilIdle();
    ASSERT_TRUE(nodeIsReady());
  }
  void TearDown() override {
    if (node_ != nullptr) clock_.run(node_->stop());
  }
  bool nodeIsReady() { return api::isTrue(api_.find<corev1::Node>("hollow1")->status(), "Ready"); }

  void add(const std::string& name, const std::string& restartPolicy = "Always") {
    corev1::Pod pod;
    pod.mutable_metadata()->set_name(name);
    pod.mutable_metadata()->set_namespace_("default");
    pod.mutable_spec()->set_nodename("hollow1");
    pod.mutable_spec()->set_restartpolicy(restartPolicy);
    pod.mutable_spec()->set_terminationgraceperiodseconds(30);
    auto& container = *pod.mutable_spec()->add_containers();
    container.set_name("main");
    container.set_image("app:1");
    pod.mutable_status()->set_phase("Pending");
    api_.put(pod);
    clock_.runUntilIdle();
  }
  corev1::PodStatus status(const std::string& name) {
    const auto pod = api_.find<corev1::Pod>("default/" + name);
    return pod == nullptr ? corev1::PodStatus() : pod->status();
  }
  corev1::ContainerStatus container(const std::string& name) {
    const auto all = status(name);
    return all.containerstatuses_size() == 0 ? corev1::ContainerStatus() : all.containerstatuses(0);
  }
};

TEST_F(HollowNodeTest, RegistersAsDeclared) {
  options_.taints.emplace_back();
  options_.taints.back().set_key("sim");
  options_.taints.back().set_effect("NoSchedule");
  start();
  const auto node = api_.find<corev1::Node>("hollow1");
  EXPECT_EQ(node->metadata().labels().at("zone"), "a");
  EXPECT_EQ(node->status().capacity().at("cpu").string(), "8");
  EXPECT_EQ(node->status().addresses(0).address(), "198.18.0.1");
  EXPECT_EQ(node->status().nodeinfo().containerruntimeversion(), "simulated://1.0");
  EXPECT_EQ(node->status().nodeinfo().kubeletversion(), "podlab-test");
  bool tainted = false;
  for (const auto& taint : node->spec().taints()) tainted |= taint.key() == "sim";
  EXPECT_TRUE(tainted);
}

TEST_F(HollowNodeTest, StartsAndStopsTakeTheirTime) {
  options_.behaviour.startDelay = Distribution::constant(2);
  options_.behaviour.stopDelay = Distribution::constant(3);
  start();
  add("web");
  clock_.advance(milliseconds(1900));
  EXPECT_EQ(status("web").phase(), "Pending");
  clock_.advance(milliseconds(200));
  EXPECT_EQ(status("web").phase(), "Running");
  EXPECT_FALSE(status("web").podip().empty());

  const api::ResourceId id{&api::kindFor<corev1::Pod>(), "default", "web", ""};
  api::DeleteOptions deletion;
  ASSERT_TRUE(runInSim(clock_, api_.remove(id, deletion)).ok());
  clock_.advance(milliseconds(2900));
  EXPECT_NE(api_.find<corev1::Pod>("default/web"), nullptr);
  clock_.advance(milliseconds(200));
  EXPECT_EQ(api_.find<corev1::Pod>("default/web"), nullptr);
}

TEST_F(HollowNodeTest, StartsFailByChance) {
  options_.behaviour.startFailures = 1;
  start();
  add("web");
  EXPECT_EQ(container("web").state().waiting().reason(), "RunContainerError");
  EXPECT_THAT(container("web").state().waiting().message(),
              ::testing::HasSubstr("the hollow node's behaviour lets this start fail"));
}

TEST_F(HollowNodeTest, ContainersCrashByChance) {
  options_.behaviour.crashes = 1;
  options_.behaviour.crashAfter = Distribution::constant(5);
  options_.behaviour.lifetime = Distribution::constant(60);
  start();
  add("web", "Never");
  clock_.advance(seconds(4));
  EXPECT_EQ(status("web").phase(), "Running");
  clock_.advance(seconds(2));
  EXPECT_EQ(status("web").phase(), "Failed");
  EXPECT_EQ(container("web").state().terminated().exitcode(), 1);
}

TEST_F(HollowNodeTest, ContainersEndAfterTheirLifetime) {
  options_.behaviour.lifetime = Distribution::constant(60);
  start();
  add("job", "Never");
  clock_.advance(seconds(59));
  EXPECT_EQ(status("job").phase(), "Running");
  clock_.advance(seconds(2));
  EXPECT_EQ(status("job").phase(), "Succeeded");
}

TEST_F(HollowNodeTest, ProbesAreAnswered) {
  start();
  corev1::Pod pod;
  pod.mutable_metadata()->set_name("web");
  pod.mutable_metadata()->set_namespace_("default");
  pod.mutable_spec()->set_nodename("hollow1");
  for (const char* name : {"http", "tcp", "exec"}) {
    auto& container = *pod.mutable_spec()->add_containers();
    container.set_name(name);
    container.set_image("app:1");
    auto& probe = *container.mutable_readinessprobe();
    probe.set_timeoutseconds(1);
    probe.set_periodseconds(1);
    probe.set_successthreshold(1);
    probe.set_failurethreshold(1);
    if (container.name() == "http")
      probe.mutable_handler()->mutable_httpget()->mutable_port()->set_intval(80);
    if (container.name() == "tcp")
      probe.mutable_handler()->mutable_tcpsocket()->mutable_port()->set_intval(80);
    if (container.name() == "exec") probe.mutable_handler()->mutable_exec()->add_command("true");
  }
  api_.put(pod);
  clock_.advance(seconds(3));
  EXPECT_TRUE(api::isTrue(status("web"), "Ready"));
}

TEST_F(HollowNodeTest, HasNoPeersAndEnforcesNoPolicy) {
  networkingv1::NetworkPolicy policy;
  policy.mutable_metadata()->set_name("deny");
  policy.mutable_metadata()->set_namespace_("default");
  policy.mutable_spec()->add_policytypes("Ingress");
  api_.put(policy);
  start();
  add("web");
  EXPECT_EQ(status("web").phase(), "Running");
  const auto node = api_.find<corev1::Node>("hollow1");
  EXPECT_FALSE(node->metadata().annotations().contains("podlab.io/vxlan-mac"));
  EXPECT_TRUE(node_->agent()->peers().empty());
}

TEST_F(HollowNodeTest, NodesThatStartTogetherRenewTheirLeasesApart) {
  start();
  options_.name = "hollow2";
  HollowNode other({io_.get_executor(), clock_, rng_, api_}, options_);
  other.start();
  clock_.advance(minutes(10));
  const auto renewed = [this](const std::string& name) {
    return api::toWallTime(
        api_.find<coordinationv1::Lease>("kube-node-lease/" + name)->spec().renewtime());
  };
  EXPECT_NE(renewed("hollow1"), renewed("hollow2"));
  for (const char* name : {"hollow1", "hollow2"})
    EXPECT_LE(clock_.wallNow() - renewed(name), milliseconds(10'400)) << name;
  clock_.run(other.stop());
}

TEST_F(HollowNodeTest, PodsOutliveTheirAgents) {
  start();
  add("web");
  clock_.advance(seconds(1));
  ASSERT_EQ(status("web").phase(), "Running");
  const auto before = status("web").SerializeAsString();
  clock_.run(node_->stop());
  EXPECT_EQ(node_->agent(), nullptr);
  node_->start();
  clock_.advance(minutes(1));
  EXPECT_EQ(status("web").SerializeAsString(), before);
  EXPECT_EQ(node_->runtime().starts(), 1U);
}

TEST_F(HollowNodeTest, PodsAndStatusesWaitForTheirTurnAndAllAreWritten) {
  options_.limits.reset(
      new node::SharedLimits{.podTurns = Semaphore(1), .statusWrites = Semaphore(1)});
  start();
  for (int i = 0; i < 20; ++i) add("web-" + std::to_string(i));
  clock_.advance(seconds(1));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(status("web-" + std::to_string(i)).phase(), "Running");
}

TEST_F(HollowNodeTest, WithoutLaterAgentsPodsLiveAndEndAsWell) {
  options_.agentsComeBack = false;
  options_.behaviour.lifetime = Distribution::constant(5);
  start();
  add("job", "Never");
  EXPECT_EQ(status("job").phase(), "Running");
  clock_.advance(seconds(6));
  EXPECT_EQ(status("job").phase(), "Succeeded");
}

TEST_F(HollowNodeTest, ACrashLosesNothing) {
  options_.behaviour.startDelay = Distribution::constant(2);
  start();
  add("before");
  clock_.advance(seconds(3));
  add("during");
  clock_.advance(seconds(1));
  clock_.run(node_->crash());
  add("after");
  clock_.advance(minutes(1));
  EXPECT_EQ(status("after").phase(), "Pending");
  node_->start();
  clock_.advance(minutes(1));
  for (const char* name : {"before", "during", "after"})
    EXPECT_EQ(status(name).phase(), "Running") << name;
  EXPECT_EQ(container("before").restartcount(), 0);
}

TEST_F(HollowNodeTest, APowerFailureEndsContainers) {
  start();
  add("web");
  clock_.advance(seconds(1));
  const auto bootBefore = api_.find<corev1::Node>("hollow1")->status().nodeinfo().bootid();
  clock_.run(node_->powerOff());
  EXPECT_EQ(node_->runtime().runningCount(), 0U);
  node_->start();
  clock_.advance(minutes(1));
  EXPECT_EQ(status("web").phase(), "Running");
  EXPECT_EQ(container("web").restartcount(), 1);
  EXPECT_NE(api_.find<corev1::Node>("hollow1")->status().nodeinfo().bootid(), bootBefore);
}

}  // namespace
}  // namespace podlab::sim
