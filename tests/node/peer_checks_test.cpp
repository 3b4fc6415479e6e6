// What a node finds out about its peers when they come, in virtual time.
#include "node/peer_checks.hpp"

#include <gmock/gmock.h>

#include "api/conditions.hpp"
#include "node_fixture.hpp"

namespace podlab::node {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const net::PeerVerdict kBlocked{"UDP port 8472 is closed", "let it pass", "OverlayBlocked"};

std::vector<Peer> peersNamed(const std::vector<std::string>& names) {
  std::vector<Peer> peers;
  for (const auto& name : names) {
    Peer peer;
    peer.node = name;
    peers.push_back(peer);
  }
  return peers;
}

class PeerChecksTest : public ::testing::Test {
 protected:
  asio::io_context io_;
  sim::SimClock clock_{io_};
  SeededRng rng_{1};
  SimulatedDataplane dataplane_{clock_, underlay("192.0.2.1", "02:00:00:00:00:01")};
  std::vector<PeerHealth> told_;
  PeerChecks checks_{dataplane_, clock_,
                     rng_,       io_.get_executor(),
                     "node-1",   [this](const PeerHealth& health) { told_.push_back(health); }};

  void SetUp() override {
    checks_.start();
    clock_.runUntilIdle();
  }
  void TearDown() override { sim::runInSim(clock_, checks_.stop()); }
  void setPeers(const std::vector<std::string>& names) {
    checks_.setPeers(peersNamed(names));
    clock_.runUntilIdle();
  }
};

TEST_F(PeerChecksTest, LooksAtAPeerOnceWhenItComesAndWhenItChanges) {
  setPeers({"a", "b"});
  EXPECT_THAT(dataplane_.probed(), IsEmpty()) << "peers learn of this node first";
  clock_.advance(seconds(3));
  EXPECT_THAT(dataplane_.probed(), ElementsAre(ElementsAre("a", "b")));
  EXPECT_THAT(told_, ElementsAre(PeerHealth{"PeersAnswer", "all peers that were asked answer"}));
  setPeers({"a", "b", "c"});
  clock_.advance(minutes(30));
  ASSERT_THAT(dataplane_.probed(), SizeIs(2)) << "nothing polls";
  EXPECT_THAT(dataplane_.probed()[1], ElementsAre("c"));
  auto moved = peersNamed({"a", "b", "c"});
  moved[1].underlay = {*net::IpAddress::parse("192.0.2.22")};
  checks_.setPeers(moved);
  clock_.advance(seconds(3));
  ASSERT_THAT(dataplane_.probed(), SizeIs(3));
  EXPECT_THAT(dataplane_.probed()[2], ElementsAre("b"));
  EXPECT_THAT(told_, SizeIs(1));
}

TEST_F(PeerChecksTest, TellsOfTroubleThatStaysUntilItIsOver) {
  dataplane_.setPeerVerdict("b", kBlocked);
  setPeers({"a", "b"});
  clock_.advance(seconds(3));
  EXPECT_THAT(told_, ElementsAre(PeerHealth{"PeersAnswer", "all peers that were asked answer"}))
      << "once may be a moment's fault";
  clock_.advance(seconds(3));
  ASSERT_THAT(told_, SizeIs(2));
  EXPECT_EQ(told_[1], (PeerHealth{"OverlayBlocked",
                                  "b: UDP port 8472 is closed; remedy: let it pass", true}));
  // The other peer is let alone, and looks become seldom.
  const std::size_t before = dataplane_.probed().size();
  clock_.advance(minutes(60));
  const std::size_t looks = dataplane_.probed().size() - before;
  EXPECT_GE(looks, 12U);
  EXPECT_LE(looks, 20U);
  for (std::size_t i = 1; i < dataplane_.probed().size(); ++i)
    EXPECT_THAT(dataplane_.probed()[i], ElementsAre("b"));
  EXPECT_THAT(told_, SizeIs(2));
  dataplane_.setPeerVerdict("b", {});
  clock_.advance(minutes(5));
  ASSERT_THAT(told_, SizeIs(3));
  EXPECT_FALSE(told_[2].problem);
}

TEST_F(PeerChecksTest, ForgetsThePeersThatAreGone) {
  dataplane_.setPeerVerdict("b", kBlocked);
  setPeers({"a", "b"});
  clock_.advance(seconds(10));
  ASSERT_TRUE(told_.back().problem);
  setPeers({"a"});  // not Ready any more
  EXPECT_FALSE(told_.back().problem);
  setPeers({"a", "b"});
  clock_.advance(seconds(10));
  EXPECT_TRUE(told_.back().problem);
}

TEST_F(PeerChecksTest, NamesSomeOfManyPeersInTrouble) {
  std::vector<std::string> names;
  for (char c = 'a'; c < 'f'; ++c) {
    names.push_back(std::string(1, c));
    dataplane_.setPeerVerdict(names.back(), kBlocked);
  }
  setPeers(names);
  clock_.advance(seconds(10));
  EXPECT_THAT(told_.back().message, HasSubstr("c: UDP port 8472 is closed"));
  EXPECT_THAT(told_.back().message, HasSubstr("and 2 peers more"));
}

// Of n nodes each looks at a few, and each is looked at by a few: no storm when they all start.
TEST(PeerSample, IsBoundedAndSpread) {
  constexpr std::size_t kNodes = 300;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kNodes; ++i) names.push_back("node-" + std::to_string(i));
  std::map<std::string, std::size_t> lookedAt;
  for (const auto& self : names) {
    asio::io_context io;
    sim::SimClock clock(io);
    SeededRng rng(1);
    SimulatedDataplane dataplane(clock, underlay("192.0.2.1", "02:00:00:00:00:01"));
    PeerChecks checks(dataplane, clock, rng, io.get_executor(), self, [](const PeerHealth&) {});
    checks.start();
    auto peers = peersNamed(names);
    std::erase_if(peers, [&](const Peer& peer) { return peer.node == self; });
    checks.setPeers(peers);
    clock.advance(seconds(5));
    checks.setPeers(std::move(peers));  // the same ones are drawn
    clock.advance(seconds(5));
    ASSERT_THAT(dataplane.probed(), SizeIs(1));
    EXPECT_THAT(dataplane.probed()[0], SizeIs(PeerChecks::kSample));
    for (const auto& name : dataplane.probed()[0]) ++lookedAt[name];
    sim::runInSim(clock, checks.stop());
  }
  EXPECT_GT(lookedAt.size(), kNodes * 9 / 10);
  for (const auto& [name, times] : lookedAt) EXPECT_LT(times, 4 * PeerChecks::kSample) << name;
}

class PeerTroubleTest : public NodeTest {
 protected:
  const corev1::NodeCondition* condition() {
    node_ = api_.find<corev1::Node>("node-1");
    return api::findCondition(node_->status(), kPeerCondition);
  }
  void putPeer(const char* ready) {
    corev1::Node peer;
    peer.mutable_metadata()->set_name("node-2");
    (*peer.mutable_metadata()->mutable_annotations())[kVxlanMacAnnotation] = "02:00:00:00:00:02";
    peer.mutable_spec()->add_podcidrs("10.244.2.0/24");
    auto& address = *peer.mutable_status()->add_addresses();
    address.set_type("InternalIP");
    address.set_address("192.0.2.2");
    api::setCondition(*peer.mutable_status(), {"Ready", ready, "", ""}, clock_.wallNow());
    api_.put(peer);
    clock_.runUntilIdle();
  }
  std::shared_ptr<const corev1::Node> node_;
};

TEST_F(PeerTroubleTest, IsAConditionAndAnEventAndLeavesTheNodeReady) {
  putPeer("False");
  boot();
  clock_.advance(seconds(20));
  EXPECT_THAT(dataplane_.probed(), IsEmpty()) << "a node that is not Ready may be silent";
  putPeer("True");
  clock_.advance(seconds(20));
  EXPECT_THAT(dataplane_.probed(), SizeIs(1));
  EXPECT_EQ(condition(), nullptr) << "all is well, and nothing is written";
  EXPECT_EQ(eventCount("PeersAnswer"), 0);
  stop();

  dataplane_.setPeerVerdict("node-2", kBlocked);
  launch();
  clock_.advance(seconds(20));
  ASSERT_NE(condition(), nullptr);
  EXPECT_EQ(condition()->status(), "True");
  EXPECT_EQ(condition()->reason(), "OverlayBlocked");
  EXPECT_THAT(condition()->message(), HasSubstr("node-2: UDP port 8472 is closed"));
  EXPECT_EQ(eventCount("OverlayBlocked"), 1);
  EXPECT_TRUE(api::isTrue(node_->status(), "Ready"));
  EXPECT_THAT(node_->spec().taints(), SizeIs(0));

  // It is over while no agent looks; the next one finds that out.
  stop();
  dataplane_.setPeerVerdict("node-2", {});
  launch();
  clock_.advance(seconds(20));
  EXPECT_EQ(condition()->status(), "False");
  EXPECT_EQ(condition()->reason(), "PeersAnswer");
}

}  // namespace
}  // namespace podlab::node
