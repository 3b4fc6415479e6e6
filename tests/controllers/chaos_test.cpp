// The whole control plane in virtual time, under random events and a bad line to its API.
#include <gmock/gmock.h>

#include <map>

#include "api/taints.hpp"
#include "tests/controllers/cluster_fixture.hpp"
#include "tests/fakes/flaky_api.hpp"

namespace podlab::controllers {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

/// What must hold whatever happens, checked on all that a watch shows.
class Invariants {
 public:
  void seePod(const api::WatchEvent& event) {
    const auto& pod = api::as<corev1::Pod>(event.object);
    const std::string& node = pod.spec().nodename();
    auto [known, first] = nodeOfPod_.try_emplace(pod.metadata().uid(), node);
    if (known->second.empty()) known->second = node;
    EXPECT_EQ(node, known->second) << "pod " << pod.metadata().name() << " moved";
  }
  void seeNode(const api::WatchEvent& event) {
    const auto& node = api::as<corev1::Node>(event.object);
    const std::string& name = node.metadata().name();
    if (event.type == api::EventType::kDeleted) {
      ranges_.erase(name);
      return;
    }
    if (node.spec().podcidrs().empty()) return;
    const std::string& range = node.spec().podcidrs(0);
    auto [known, first] = ranges_.try_emplace(name, range);
    EXPECT_EQ(range, known->second) << "node " << name << " changed its range";
    if (!first) return;
    for (const auto& [other, taken] : ranges_) {
      EXPECT_TRUE(other == name || taken != range)
          << other << " and " << name << " share " << range;
    }
  }

 private:
  std::map<std::string, std::string> nodeOfPod_;  ///< by uid
  std::map<std::string, std::string> ranges_;     ///< by node
};

class ChaosTest : public ClusterTest {
 protected:
  ~ChaosTest() override { stopManager(); }

  static std::string some(Rng& rng, const char* prefix, std::uint64_t count) {
    return prefix + std::to_string(rng.below(count));
  }

  void addWorker(const std::string& name) {
    if (get<corev1::Node>(name).ok()) return;
    corev1::Node node;
    node.mutable_metadata()->set_name(name);
    ASSERT_TRUE(create(node).ok());
    coordinationv1::Lease lease;
    lease.mutable_metadata()->set_name(name);
    lease.mutable_metadata()->set_namespace_("kube-node-lease");
    (void)create(lease);
    alive_.insert(name);
  }

  /// What living agents do: renew, report, and carry out deletions.
  void agents() {
    for (const auto& name : alive_) {
      const api::ResourceId lease{&api::kindFor<coordinationv1::Lease>(), "kube-node-lease", name,
                                  ""};
      auto next = std::make_shared<coordinationv1::Lease>(
          api::as<coordinationv1::Lease>(*run(admin_->get(lease))));
      *next->mutable_spec()->mutable_renewtime() = api::toMicroTime(clock_.wallNow());
      next->mutable_metadata()->clear_resourceversion();
      ASSERT_TRUE(run(admin_->update(lease, next, {})).ok());
      if (ready(name) != "True") report(name);
    }
    const api::ResourceId everywhere{&api::kindFor<corev1::Pod>(), "", "", ""};
    const auto pods = run(admin_->list(everywhere, {}));
    for (const auto& object : pods->items) {
      const auto& pod = api::as<corev1::Pod>(object);
      if (!pod.metadata().has_deletiontimestamp() || !alive_.contains(pod.spec().nodename())) {
        continue;
      }
      api::DeleteOptions now;
      now.set_graceperiodseconds(0);
      const api::ResourceId id{everywhere.kind, pod.metadata().namespace_(), pod.metadata().name(),
                               ""};
      (void)run(admin_->remove(id, now));
    }
  }
  void report(const std::string& name) {
    auto node = get<corev1::Node>(name);
    for (const auto& [resource, amount] :
         {std::pair<std::string, std::string>{"cpu", "4"}, {"memory", "8Gi"}, {"pods", "20"}}) {
      (*node->mutable_status()->mutable_capacity())[resource].set_string(amount);
      (*node->mutable_status()->mutable_allocatable())[resource].set_string(amount);
    }
    const api::ConditionState state{"Ready", "True", "Test", ""};
    api::setCondition(*node->mutable_status(), state, clock_.wallNow());
    node->mutable_metadata()->clear_resourceversion();
    ASSERT_TRUE(update(*node, "status").ok());
  }

  void live(Duration time, Invariants& invariants) {
    for (Duration done{}; done < time; done += seconds(10)) {
      agents();
      clock_.advance(std::min<Duration>(seconds(10), time - done));
      for (const auto& event : drain(*pods_)) invariants.seePod(event);
      for (const auto& event : drain(*nodes_)) invariants.seeNode(event);
    }
  }

  void doSomething(Rng& rng) {
    const std::string node = some(rng, "n", 6);
    switch (rng.below(12)) {
      case 0:
      case 1:
        addWorker(node);
        break;
      case 2:
        if (rng.chance(0.5)) break;
        alive_.erase(node);
        (void)remove<corev1::Node>(node);
        break;
      case 3:
        alive_.erase(node);  // killed, cut off
        break;
      case 4:
        if (get<corev1::Node>(node).ok()) alive_.insert(node);
        break;
      case 5:
        if (auto found = get<corev1::Node>(node)) {
          found->mutable_spec()->set_unschedulable(!found->spec().unschedulable());
          (void)update(*found);
        }
        break;
      case 6:
      case 7:
      case 8: {
        auto made = pod(some(rng, "p", 40));
        auto& requests = *made.mutable_spec()->mutable_containers(0)->mutable_resources();
        (*requests.mutable_requests())["cpu"].set_string(std::to_string(rng.below(1500)) + "m");
        if (rng.chance(0.3)) made.mutable_metadata()->set_namespace_(some(rng, "ns", 3));
        (void)create(made);
        break;
      }
      case 9:
        (void)remove<corev1::Pod>(some(rng, "p", 40));
        break;
      case 10: {
        corev1::Namespace made;
        made.mutable_metadata()->set_name(some(rng, "ns", 3));
        (void)create(made);
        auto inside = configMap(some(rng, "c", 5));
        inside.mutable_metadata()->set_namespace_(some(rng, "ns", 3));
        (void)create(inside);
        break;
      }
      default:
        (void)remove<corev1::Namespace>(some(rng, "ns", 3));
    }
  }

  std::unique_ptr<api::Watch> pods_;
  std::unique_ptr<api::Watch> nodes_;
};

class ChaosSeeds : public ChaosTest, public testing::WithParamInterface<int> {};

TEST_P(ChaosSeeds, SettlesWhereItShould) {
  SeededRng rng(static_cast<std::uint64_t>(GetParam()));
  fakes::FlakyApi flaky(*admin_, clock_, rng);
  Invariants invariants;
  const api::ResourceId everyPod{&api::kindFor<corev1::Pod>(), "", "", ""};
  pods_ = *run(admin_->watch(everyPod, {}));
  nodes_ = watch<corev1::Node>({});
  startManager(options("10.244.0.0/20"), &flaky);
  fakes::FlakyApi::Faults bad;
  bad.refused = 0.1;
  bad.answerLost = 0.05;
  bad.watchBroken = 0.02;
  bad.slowest = milliseconds(50);
  for (int step = 0; step < 150 && !HasFailure(); ++step) {
    if (step % 30 == 0) flaky.setFaults(rng.chance(0.7) ? bad : fakes::FlakyApi::Faults{});
    if (step == 75) {
      // The server's controllers restart in the middle of it all.
      const auto alive = alive_;
      stopManager();
      alive_ = alive;
      startManager(options("10.244.0.0/20"), &flaky);
    }
    for (std::uint64_t i = rng.below(6); i > 0; --i) doSomething(rng);
    live(seconds(rng.below(90)), invariants);
  }

  // The line is good again, and every agent comes back: all must come to rest.
  flaky.setFaults({});
  for (const auto& object : list<corev1::Node>().items) {
    alive_.insert(api::meta(*object).name());
    auto node = get<corev1::Node>(api::meta(*object).name());
    node->mutable_spec()->set_unschedulable(false);
    ASSERT_TRUE(update(*node).ok());
  }
  addWorker("spare");
  live(minutes(10), invariants);

  std::set<std::string> ranges;
  for (const auto& object : list<corev1::Node>().items) {
    const auto& node = api::as<corev1::Node>(object);
    ASSERT_EQ(node.spec().podcidrs_size(), 1) << node.metadata().name();
    EXPECT_TRUE(ranges.insert(node.spec().podcidrs(0)).second) << node.spec().podcidrs(0);
    EXPECT_EQ(ready(node.metadata().name()), "True");
    EXPECT_TRUE(node.spec().taints().empty()) << node.spec().taints(0).key();
  }
  const auto pods = run(admin_->list(everyPod, {}));
  for (const auto& object : pods->items) {
    const auto& pod = api::as<corev1::Pod>(object);
    const std::string& node = pod.spec().nodename();
    EXPECT_FALSE(pod.metadata().has_deletiontimestamp()) << pod.metadata().name();
    if (node.empty()) {
      EXPECT_EQ(api::findCondition(pod.status(), "PodScheduled")->reason(), "Unschedulable");
    } else {
      EXPECT_TRUE(get<corev1::Node>(node).ok()) << pod.metadata().name() << " is on " << node;
    }
  }
  for (const auto& object : list<corev1::Namespace>().items) {
    EXPECT_FALSE(api::meta(*object).has_deletiontimestamp()) << api::meta(*object).name();
  }
  stopManager();
}

INSTANTIATE_TEST_SUITE_P(Seeds, ChaosSeeds, testing::Range(1, 6));

}  // namespace
}  // namespace podlab::controllers
