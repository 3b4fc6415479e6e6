// A node as the cluster sees it: registration, heartbeats, network, peers.
#include "node/agent.hpp"

#include <gmock/gmock.h>

#include "api/taints.hpp"
#include "api/times.hpp"
#include "client/informer.hpp"
#include "node_fixture.hpp"

namespace podlab::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;

class AgentTest : public NodeTest {
 protected:
  std::shared_ptr<const corev1::Node> node() const { return api_.find<corev1::Node>("node-1"); }
  std::shared_ptr<const coordinationv1::Lease> lease() const {
    return api_.find<coordinationv1::Lease>("kube-node-lease/node-1");
  }
  void putPeer(const std::string& name, const std::string& range, const std::string& ip,
               const std::string& mac) {
    corev1::Node peer;
    peer.mutable_metadata()->set_name(name);
    (*peer.mutable_metadata()->mutable_annotations())[kVxlanMacAnnotation] = mac;
    peer.mutable_spec()->add_podcidrs(range);
    auto& address = *peer.mutable_status()->add_addresses();
    address.set_type("InternalIP");
    address.set_address(ip);
    api_.put(peer);
    clock_.runUntilIdle();
  }
};

TEST_F(AgentTest, RegistersAndBecomesReadyWithItsRange) {
  launch();
  ASSERT_NE(node(), nullptr);
  EXPECT_EQ(node()->metadata().labels().at("kubernetes.io/hostname"), "node-1");
  EXPECT_EQ(node()->metadata().annotations().at("podlab.io/vxlan-mac"), "02:00:00:00:00:01");
  EXPECT_EQ(node()->metadata().annotations().at("podlab.io/pod-mtu"), "1450");
  EXPECT_NE(api::findTaint(*node(), api::kTaintNotReady, api::kNoSchedule), nullptr);
  EXPECT_EQ(node()->status().capacity().at("cpu").string(), "4");
  EXPECT_EQ(node()->status().allocatable().at("pods").string(), "110");
  EXPECT_EQ(node()->status().nodeinfo().containerruntimeversion(), "simulated://1.0");
  EXPECT_EQ(node()->status().addresses(0).address(), "192.0.2.1");
  EXPECT_FALSE(api::isTrue(node()->status(), "Ready"));
  ASSERT_NE(lease(), nullptr);
  EXPECT_EQ(lease()->metadata().ownerreferences(0).uid(), node()->metadata().uid());

  giveRange();
  clock_.runUntilIdle();
  EXPECT_TRUE(api::isTrue(node()->status(), "Ready"));
  EXPECT_TRUE(agent_->ready());
  ASSERT_TRUE(dataplane_.network().has_value());
  EXPECT_EQ(dataplane_.network()->podRanges.at(0).toString(), "10.244.1.0/24");
}

TEST_F(AgentTest, IsReadyOnlyOnceItsPodsAreReported) {
  boot();
  add(makePod("web"));
  ASSERT_TRUE(ready("web"));
  stop();
  runtime_.reboot();
  dataplane_.reboot();
  // The server still has the old statuses; the new ones are long in coming.
  ContainerScript slow;
  slow.startTakes = seconds(5);
  runtime_.setScript([slow](const ContainerSpec&) { return slow; });
  auto stale = *node();
  stale.mutable_status()->mutable_nodeinfo()->set_bootid("before");
  api_.put(stale);

  std::vector<std::string> seen;
  client::Informer pods(api_, clock_, rng_, io_.get_executor(),
                        {&api::kindFor<corev1::Pod>(), "", "", ""});
  client::Informer nodes(api_, clock_, rng_, io_.get_executor(),
                         {&api::kindFor<corev1::Node>(), "", "", ""});
  client::Informer::Handlers onPod, onNode;
  onPod.updated = [&seen](const api::ObjectPtr&, const api::ObjectPtr& now) {
    seen.push_back(api::isTrue(api::as<corev1::Pod>(now).status(), "Ready") ? "pod ready"
                                                                            : "pod not ready");
  };
  onNode.updated = [&seen](const api::ObjectPtr&, const api::ObjectPtr& now) {
    const auto& status = api::as<corev1::Node>(now).status();
    if (status.nodeinfo().bootid() == "before") return;
    seen.push_back(api::isTrue(status, "Ready") ? "node ready" : "node not ready");
  };
  pods.addHandlers(std::move(onPod));
  nodes.addHandlers(std::move(onNode));
  pods.start();
  nodes.start();
  clock_.runUntilIdle();

  api_.failNext(fakes::Verb::kUpdate, Status(Code::kUnavailable, "away"), 3);
  launch();
  clock_.advance(seconds(4));
  const auto first = [&seen](const char* what) { return std::ranges::find(seen, what); };
  EXPECT_NE(first("node ready"), seen.end());
  EXPECT_LT(first("pod not ready"), first("node ready"));
  clock_.advance(seconds(4));
  EXPECT_EQ(seen.back(), "pod ready");
  sim::runInSim(clock_, pods.stop());
  sim::runInSim(clock_, nodes.stop());
}

TEST_F(AgentTest, RenewsItsLeaseEveryTenSecondsAndItsStatusEveryFiveMinutes) {
  boot();
  auto renewed = [&] {
    return api::toWallTime(lease()->spec().renewtime()) - sim::SimClock::kStart;
  };
  EXPECT_EQ(lease()->spec().leasedurationseconds(), 40);
  clock_.advance(seconds(9));
  EXPECT_EQ(renewed(), seconds(0));
  // Of both, what nodes do that have started together is spread.
  clock_.advance(milliseconds(1400));
  EXPECT_GE(renewed(), seconds(10));
  EXPECT_LE(renewed(), milliseconds(10'400));
  const auto heartbeat = [&] {
    return api::toWallTime(api::findCondition(node()->status(), "Ready")->lastheartbeattime()) -
           sim::SimClock::kStart;
  };
  clock_.advance(minutes(5));
  const auto first = heartbeat();
  EXPECT_GT(first, seconds(0));
  const auto before = node()->metadata().resourceversion();
  clock_.advance(first + minutes(5) - seconds(1) - (clock_.wallNow() - sim::SimClock::kStart));
  EXPECT_EQ(node()->metadata().resourceversion(), before);
  clock_.advance(seconds(2));
  EXPECT_EQ(heartbeat(), first + minutes(5));
}

TEST_F(AgentTest, PutsItsNodeRightAgain) {
  boot();
  auto changed = *node();
  changed.mutable_metadata()->mutable_annotations()->erase("podlab.io/vxlan-mac");
  api::setCondition(*changed.mutable_status(), {"Ready", "Unknown", "NodeStatusUnknown", ""},
                    clock_.wallNow());
  api_.put(changed);
  clock_.runUntilIdle();
  EXPECT_TRUE(api::isTrue(node()->status(), "Ready"));
  EXPECT_EQ(node()->metadata().annotations().count("podlab.io/vxlan-mac"), 1U);
  api_.erase(api::kindFor<corev1::Node>(), "node-1");
  clock_.runUntilIdle();
  ASSERT_NE(node(), nullptr);
  EXPECT_TRUE(api::isTrue(node()->status(), "Ready"));
}

TEST_F(AgentTest, KeepsTryingWhileTheServerIsAway) {
  api_.failNext(fakes::Verb::kCreate, Status(Code::kUnavailable, "away"), 3);
  api_.failNext(fakes::Verb::kUpdate, Status(Code::kUnavailable, "away"), 3);
  api_.failNext(fakes::Verb::kGet, Status(Code::kUnavailable, "away"), 3);
  launch();
  giveRange();
  clock_.advance(seconds(30));
  EXPECT_TRUE(api::isTrue(node()->status(), "Ready"));
  EXPECT_NE(lease(), nullptr);
}

TEST_F(AgentTest, IsNotReadyWhileAnotherLivingNodeHasItsAddress) {
  boot();
  putPeer("node-2", "10.244.2.0/24", "192.0.2.1", "02:00:00:00:00:02");
  const auto setReady = [&](const std::string& status) {
    auto other = *api_.find<corev1::Node>("node-2");
    api::setCondition(*other.mutable_status(), {"Ready", status, "", ""}, clock_.wallNow());
    api_.put(other);
    clock_.advance(milliseconds(20));
  };
  for (const char* status : {"True", "False"}) {
    setReady(status);
    EXPECT_FALSE(api::isTrue(node()->status(), "Ready"));
    const std::string why = api::findCondition(node()->status(), "Ready")->message();
    EXPECT_NE(why.find("node \"node-2\" has the same address 192.0.2.1"), std::string::npos) << why;
    EXPECT_NE(why.find("--node-ip"), std::string::npos) << why;
  }
  setReady("Unknown");  // it has gone, and left its address
  EXPECT_TRUE(api::isTrue(node()->status(), "Ready"));
  setReady("True");
  EXPECT_FALSE(api::isTrue(node()->status(), "Ready"));
  api_.erase(api::kindFor<corev1::Node>(), "node-2");
  clock_.advance(milliseconds(20));
  EXPECT_TRUE(api::isTrue(node()->status(), "Ready"));
}

TEST_F(AgentTest, KeepsThePeersOfTheCluster) {
  boot();
  auto updates = dataplane_.peerUpdates();
  putPeer("node-2", "10.244.2.0/24", "192.0.2.2", "02:00:00:00:00:02");
  putPeer("node-3", "10.244.3.0/24", "192.0.2.3", "02:00:00:00:00:03");
  putPeer("node-4", "10.244.4.0/24", "192.0.2.4", "garbage");
  clock_.advance(milliseconds(20));
  EXPECT_EQ(dataplane_.peerUpdates(), updates + 1);
  ASSERT_EQ(dataplane_.peers().size(), 2U);
  EXPECT_EQ(dataplane_.peers()[1].node, "node-3");
  EXPECT_EQ(dataplane_.peers()[1].underlay.at(0).toString(), "192.0.2.3");
  putPeer("node-3", "10.244.3.0/24", "192.0.2.33", "02:00:00:00:00:03");
  clock_.advance(milliseconds(20));
  EXPECT_EQ(dataplane_.peers()[1].underlay.at(0).toString(), "192.0.2.33");
  api_.erase(api::kindFor<corev1::Node>(), "node-2");
  clock_.advance(milliseconds(20));
  ASSERT_EQ(dataplane_.peers().size(), 1U);
  // What does not matter for the network does not touch the kernel.
  updates = dataplane_.peerUpdates();
  auto same = *api_.find<corev1::Node>("node-3");
  (*same.mutable_metadata()->mutable_labels())["x"] = "y";
  api_.put(same);
  clock_.advance(milliseconds(20));
  EXPECT_EQ(dataplane_.peerUpdates(), updates);
}

TEST_F(AgentTest, WritesStatusesDespiteConflictsAndFailures) {
  boot();
  api_.failNext(fakes::Verb::kUpdate, Status(Code::kConflict, "changed"), 2);
  api_.failNext(fakes::Verb::kUpdate, Status(Code::kUnavailable, "away"), 3);
  add(makePod("web"));
  clock_.advance(seconds(3));
  EXPECT_TRUE(ready("web"));
  // Another owner's condition stays.
  auto pod = *api_.find<corev1::Pod>("default/web");
  auto& foreign = *pod.mutable_status()->add_conditions();
  foreign.set_type("DisruptionTarget");
  foreign.set_status("True");
  pod.mutable_status()->set_phase("Pending");
  api_.put(pod);
  clock_.runUntilIdle();
  EXPECT_EQ(status("web").phase(), "Running");
  EXPECT_TRUE(api::isTrue(status("web"), "DisruptionTarget"));
}

}  // namespace
}  // namespace podlab::node
