#include <gmock/gmock.h>

#include <map>

#include "core_v1_services.pb.h"
#include "scheduling_v1.pb.h"

#include "api/pod_resources.hpp"
#include "tests/controllers/cluster_fixture.hpp"
#include "tests/fakes/flaky_api.hpp"

namespace podlab::controllers {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Contains;

class SchedulingTest : public ClusterTest {
 protected:
  /// A Ready node that can take `cpu`.
  void addRoom(const std::string& name, const std::string& cpu, const std::string& pods = "110") {
    addNode(name);
    auto node = get<corev1::Node>(name);
    for (const auto& [resource, amount] :
         {std::pair<std::string, std::string>{"cpu", cpu}, {"memory", "64Gi"}, {"pods", pods}}) {
      (*node->mutable_status()->mutable_capacity())[resource].set_string(amount);
      (*node->mutable_status()->mutable_allocatable())[resource].set_string(amount);
    }
    ASSERT_TRUE(update(*node, "status").ok());
    clock_.runUntilIdle();
  }
  static corev1::Pod requesting(const std::string& name, const std::string& cpu) {
    corev1::Pod made = pod(name);
    auto& requests = *made.mutable_spec()->mutable_containers(0)->mutable_resources();
    (*requests.mutable_requests())["cpu"].set_string(cpu);
    auto& second = *made.mutable_spec()->add_containers();
    second.set_name("side");
    second.set_image("host");
    return made;
  }
  std::vector<std::string> messages(const std::string& reason) {
    clock_.runUntilIdle();
    std::vector<std::string> made;
    for (const auto& object : list<corev1::Event>().items) {
      const auto& event = api::as<corev1::Event>(object);
      if (event.reason() == reason) made.push_back(event.message());
    }
    return made;
  }
};

TEST_F(SchedulingTest, SaysByFilterWhyAPodHasNoPlaceAndPlacesItWhenOneComes) {
  startManager();
  addRoom("cordoned", "8");
  addRoom("tainted", "8");
  addRoom("small", "1");
  addRoom("full", "8", "0");
  auto node = get<corev1::Node>("cordoned");
  node->mutable_spec()->set_unschedulable(true);
  ASSERT_TRUE(update(*node).ok());
  node = get<corev1::Node>("tainted");
  auto& taint = *node->mutable_spec()->add_taints();
  taint.set_key("dedicated");
  taint.set_value("db");
  taint.set_effect("NoSchedule");
  ASSERT_TRUE(update(*node).ok());
  clock_.runUntilIdle();

  ASSERT_TRUE(create(requesting("web", "2")).ok());
  const std::string why =
      "0/4 nodes are available: 1 Insufficient cpu, 1 Too many pods, 1 node(s) had untolerated "
      "taint {dedicated: db}, 1 node(s) were unschedulable. preemption: 0/4 nodes are available: "
      "2 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling.";
  EXPECT_THAT(messages("FailedScheduling"), testing::ElementsAre(why));
  const auto waiting = get<corev1::Pod>("web");
  const auto* condition = api::findCondition(waiting->status(), "PodScheduled");
  ASSERT_NE(condition, nullptr);
  EXPECT_EQ(condition->status(), "False");
  EXPECT_EQ(condition->reason(), "Unschedulable");
  EXPECT_EQ(condition->message(), why);
  EXPECT_EQ(waiting->status().phase(), "Pending");

  // It waits for events, not for time.
  pass(seconds(60));
  EXPECT_THAT(messages("FailedScheduling"), testing::ElementsAre(why));
  addRoom("roomy", "8");
  EXPECT_EQ(get<corev1::Pod>("web")->spec().nodename(), "roomy");
  EXPECT_TRUE(api::isTrue(get<corev1::Pod>("web")->status(), "PodScheduled"));
  EXPECT_THAT(messages("Scheduled"),
              testing::ElementsAre("Successfully assigned default/web to roomy"));
}

TEST_F(SchedulingTest, NodesThatAreNotReadyTakeNoPods) {
  startManager();
  addRoom("n1", "8");
  setReady("n1", "False");
  ASSERT_TRUE(create(requesting("web", "1")).ok());
  clock_.runUntilIdle();
  EXPECT_EQ(get<corev1::Pod>("web")->spec().nodename(), "");
  EXPECT_THAT(messages("FailedScheduling"),
              Contains("0/1 nodes are available: 1 node(s) had untolerated taint "
                       "{node.kubernetes.io/not-ready: }. preemption: 0/1 nodes are available: 1 "
                       "Preemption is not helpful for scheduling."));
  setReady("n1", "True");
  pass(seconds(2));
  EXPECT_EQ(get<corev1::Pod>("web")->spec().nodename(), "n1");
}

TEST_F(SchedulingTest, ARestartedServerPlacesWhatWaited) {
  startManager();
  addRoom("n1", "2");
  ASSERT_TRUE(create(requesting("first", "2")).ok());
  ASSERT_TRUE(create(requesting("second", "2")).ok());
  clock_.runUntilIdle();
  stopManager();
  restart();
  alive_ = {"n1"};
  startManager();
  // It knows that the node is full.
  EXPECT_EQ(get<corev1::Pod>("second")->spec().nodename(), "");
  api::DeleteOptions now;
  now.set_graceperiodseconds(0);
  ASSERT_TRUE(remove<corev1::Pod>("first", now).ok());
  pass(seconds(2));
  EXPECT_EQ(get<corev1::Pod>("second")->spec().nodename(), "n1");
}

TEST_F(SchedulingTest, AnUrgentPodTakesThePlaceOfOthersThatEndGracefully) {
  startManager();
  addRoom("n1", "2");
  ASSERT_TRUE(create(requesting("low", "2")).ok());
  clock_.runUntilIdle();
  ASSERT_EQ(get<corev1::Pod>("low")->spec().nodename(), "n1");
  schedulingv1::PriorityClass urgent;
  urgent.mutable_metadata()->set_name("urgent");
  urgent.set_value(1000);
  ASSERT_TRUE(create(urgent).ok());
  corev1::Pod high = requesting("high", "1");
  high.mutable_spec()->set_priorityclassname("urgent");
  ASSERT_TRUE(create(high).ok());
  clock_.runUntilIdle();

  EXPECT_EQ(get<corev1::Pod>("high")->status().nominatednodename(), "n1");
  const auto leaving = get<corev1::Pod>("low");
  EXPECT_TRUE(leaving->metadata().has_deletiontimestamp()) << "with its own grace period";
  const auto* condition = api::findCondition(leaving->status(), "DisruptionTarget");
  ASSERT_NE(condition, nullptr);
  EXPECT_EQ(condition->reason(), "PreemptionByScheduler");
  EXPECT_EQ(condition->message(),
            "default-scheduler: preempting to accommodate a higher priority pod");
  EXPECT_THAT(messages("Preempted"),
              testing::ElementsAre("Preempted by pod " +
                                   get<corev1::Pod>("high")->metadata().uid() + " on node n1"));

  // Its room is not for others, and nobody else is sent away meanwhile.
  ASSERT_TRUE(create(requesting("late", "1500m")).ok());
  pass(seconds(20));
  EXPECT_EQ(get<corev1::Pod>("high")->spec().nodename(), "");
  api::DeleteOptions now;
  now.set_graceperiodseconds(0);
  ASSERT_TRUE(remove<corev1::Pod>("low", now).ok());
  pass(seconds(10));
  EXPECT_EQ(get<corev1::Pod>("high")->spec().nodename(), "n1");
  EXPECT_EQ(get<corev1::Pod>("late")->spec().nodename(), "");
  EXPECT_EQ(messages("Preempted").size(), 1u);
}

TEST_F(SchedulingTest, PodsOfAServiceSpreadByDefault) {
  startManager();
  // By resources alone the larger node would have them all.
  addRoom("large", "64");
  addRoom("small", "4");
  for (const char* name : {"large", "small"}) {
    auto node = get<corev1::Node>(name);
    (*node->mutable_metadata()->mutable_labels())["kubernetes.io/hostname"] = name;
    ASSERT_TRUE(update(*node).ok());
  }
  corev1::Service service;
  service.mutable_metadata()->set_name("web");
  (*service.mutable_spec()->mutable_selector())["app"] = "web";
  service.mutable_spec()->add_ports()->set_port(80);
  ASSERT_TRUE(create(service).ok());
  clock_.runUntilIdle();
  std::map<std::string, int> placed;
  for (int i = 0; i < 4; ++i) {
    corev1::Pod web = requesting("web" + std::to_string(i), "500m");
    (*web.mutable_metadata()->mutable_labels())["app"] = "web";
    ASSERT_TRUE(create(web).ok());
    clock_.runUntilIdle();
    ++placed[get<corev1::Pod>(web.metadata().name())->spec().nodename()];
  }
  EXPECT_EQ(placed["large"], 2);
  EXPECT_EQ(placed["small"], 2);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(create(requesting("other" + std::to_string(i), "500m")).ok());
    clock_.runUntilIdle();
    EXPECT_EQ(get<corev1::Pod>("other" + std::to_string(i))->spec().nodename(), "large");
  }
}

TEST_F(SchedulingTest, ProfilesPackOrSpreadAndOtherSchedulersPodsAreLeftAlone) {
  ManagerOptions chosen = options();
  scheduler::Profile packing;
  packing.name = "packing";
  packing.resources = scheduler::ResourceScoring::kMostAllocated;
  chosen.profiles.push_back(packing);
  startManager(chosen);
  addRoom("n1", "8");
  addRoom("n2", "8");
  ASSERT_TRUE(create(requesting("first", "2")).ok());
  clock_.runUntilIdle();
  const std::string taken = get<corev1::Pod>("first")->spec().nodename();
  for (const char* name : {"packing", "nobody", "default-scheduler"}) {
    corev1::Pod made = requesting(name, "1");
    made.mutable_spec()->set_schedulername(name);
    ASSERT_TRUE(create(made).ok());
    clock_.runUntilIdle();
  }
  EXPECT_EQ(get<corev1::Pod>("packing")->spec().nodename(), taken);
  EXPECT_EQ(get<corev1::Pod>("nobody")->spec().nodename(), "");
  EXPECT_EQ(api::findCondition(get<corev1::Pod>("nobody")->status(), "PodScheduled"), nullptr);
  const std::string other = get<corev1::Pod>("default-scheduler")->spec().nodename();
  EXPECT_NE(other, "");
  EXPECT_NE(other, taken);
}

/// What a watch of all pods shows: each pod, by uid, whole on at most one node for its whole life,
/// and no node over what it can take.
class PlacementAudit {
 public:
  explicit PlacementAudit(std::int64_t cpuMilliOfANode) : limit_(cpuMilliOfANode) {}

  void see(const api::WatchEvent& event) {
    if (event.type == api::EventType::kBookmark) return;
    const auto& pod = api::as<corev1::Pod>(event.object);
    const std::string& uid = pod.metadata().uid();
    const std::string& node = pod.spec().nodename();
    const auto known = nodeOf_.find(uid);
    if (known != nodeOf_.end()) {
      EXPECT_EQ(node, known->second) << pod.metadata().name() << " moved";
    }
    EXPECT_EQ(pod.spec().containers_size(), 2);
    const auto requests = api::podRequests(pod);
    const auto cpu = requests.at("cpu").milliValue();
    if (known == nodeOf_.end() && !node.empty()) {
      nodeOf_[uid] = node;
      ++placements_;
      used_[node] += cpu;
      EXPECT_LE(used_[node], limit_) << node << " has too much";
    }
    if (event.type == api::EventType::kDeleted && !node.empty()) used_[node] -= cpu;
  }
  int placements() const { return placements_; }

 private:
  const std::int64_t limit_;
  std::map<std::string, std::string> nodeOf_;
  std::map<std::string, std::int64_t> used_;
  int placements_ = 0;
};

// Over 1,000 placements with pods coming and going, bindings that fail, and a scheduler that
// restarts.
TEST_F(SchedulingTest, EachPodOfTwoContainersIsOnOneNodeWhole) {
  constexpr std::uint64_t kSeed = 3;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  SeededRng rng(kSeed);
  fakes::FlakyApi flaky(*admin_, clock_, rng);
  startManager(options(), &flaky);
  fakes::FlakyApi::Faults faults;
  faults.refused = 0.05;
  faults.slowest = milliseconds(20);
  faults.watchBroken = 0.01;
  flaky.setFaults(faults);
  for (int i = 0; i < 12; ++i) addRoom("n" + std::to_string(i), "4");
  clock_.advance(seconds(5));

  PlacementAudit audit(4000);
  auto pods = watch<corev1::Pod>({});
  std::vector<std::string> present;
  int made = 0;
  while (audit.placements() < 1000 && !HasFailure()) {
    ASSERT_LT(made, 3000) << "pods are not placed";
    for (std::uint64_t i = rng.below(20); i > 0; --i) {
      const std::string name = "p" + std::to_string(made++);
      ASSERT_TRUE(create(requesting(name, std::to_string(50 + rng.below(450)) + "m")).ok());
      present.push_back(name);
    }
    pass(milliseconds(rng.below(500)));
    if (rng.chance(0.1)) {
      const auto alive = alive_;
      stopManager();
      alive_ = alive;
      startManager(options(), &flaky);
    }
    while (present.size() > 100) {
      const std::size_t i = rng.below(present.size());
      api::DeleteOptions now;
      now.set_graceperiodseconds(0);
      ASSERT_TRUE(remove<corev1::Pod>(present[i], now).ok());
      present.erase(present.begin() + static_cast<std::ptrdiff_t>(i));
    }
    for (const auto& event : drain(*pods)) audit.see(event);
  }
  // What fits is placed in the end.
  flaky.setFaults({});
  while (present.size() > 60) {
    api::DeleteOptions now;
    now.set_graceperiodseconds(0);
    ASSERT_TRUE(remove<corev1::Pod>(present.back(), now).ok());
    present.pop_back();
  }
  pass(seconds(30));
  for (const auto& event : drain(*pods)) audit.see(event);
  for (const auto& name : present) EXPECT_NE(get<corev1::Pod>(name)->spec().nodename(), "") << name;
  stopManager();
}

}  // namespace
}  // namespace podlab::controllers
