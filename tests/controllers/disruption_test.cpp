#include <gmock/gmock.h>

#include "apps_v1.pb.h"
#include "policy_v1.pb.h"

#include "api/int_or_percent.hpp"
#include "tests/controllers/cluster_fixture.hpp"

namespace podlab::controllers {
namespace {

using policyv1::PodDisruptionBudget;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

class DisruptionTest : public ClusterTest {
 protected:
  ~DisruptionTest() override { stopManager(); }

  /// Running and ready on a node, with the label app=web.
  void addWeb(const std::string& name, bool ready = true) {
    auto made = pod(name, "n1");
    (*made.mutable_metadata()->mutable_labels())["app"] = "web";
    ASSERT_TRUE(create(made).ok());
    run(name, ready);
  }
  void run(const std::string& name, bool ready) {
    auto made = get<corev1::Pod>(name);
    made->mutable_status()->set_phase("Running");
    const api::ConditionState state{"Ready", ready ? "True" : "False", "", ""};
    api::setCondition(*made->mutable_status(), state, clock_.wallNow());
    ASSERT_TRUE(update(*made, "status").ok());
    clock_.runUntilIdle();
  }
  using ClusterTest::run;

  static intstr::IntOrString number(int value) {
    intstr::IntOrString made;
    made.set_type(0);
    made.set_intval(value);
    return made;
  }
  static intstr::IntOrString percent(const std::string& value) {
    intstr::IntOrString made;
    made.set_type(1);
    made.set_strval(value);
    return made;
  }
  static PodDisruptionBudget budget() {
    PodDisruptionBudget made;
    made.mutable_metadata()->set_name("b");
    (*made.mutable_spec()->mutable_selector()->mutable_matchlabels())["app"] = "web";
    return made;
  }
  void addBudget(const PodDisruptionBudget& made) {
    const auto done = create(made);
    ASSERT_TRUE(done.ok()) << done.status().toString();
    clock_.runUntilIdle();
  }
  policyv1::PodDisruptionBudgetStatus status() { return get<PodDisruptionBudget>("b")->status(); }
  std::string reason() {
    const auto found = status();
    return found.conditions().empty() ? "" : found.conditions(0).reason();
  }
  Status evict(const std::string& name, api::DeleteOptions options = {}) {
    auto eviction = std::make_shared<policyv1::Eviction>();
    eviction->mutable_metadata()->set_name(name);
    *eviction->mutable_deleteoptions() = std::move(options);
    const auto done = run(admin_->create(id<corev1::Pod>(name, "eviction"), eviction, {}));
    return done.status();
  }
  bool isTerminating(const std::string& name) {
    return get<corev1::Pod>(name)->metadata().has_deletiontimestamp();
  }
};

TEST_F(DisruptionTest, EvictionsTakeFromTheBudget) {
  startManager();
  addNode("n1");
  for (const char* name : {"a", "b", "c"}) addWeb(name);
  auto two = budget();
  *two.mutable_spec()->mutable_minavailable() = number(2);
  addBudget(two);
  EXPECT_EQ(status().expectedpods(), 3);
  EXPECT_EQ(status().currenthealthy(), 3);
  EXPECT_EQ(status().disruptionsallowed(), 1);
  EXPECT_EQ(reason(), "SufficientPods");
  api::DeleteOptions dry;
  dry.add_dryrun("All");
  EXPECT_TRUE(evict("a", dry).ok());
  EXPECT_EQ(status().disruptionsallowed(), 1);

  ASSERT_TRUE(evict("a").ok());
  EXPECT_TRUE(isTerminating("a"));
  EXPECT_EQ(status().disruptionsallowed(), 0);
  EXPECT_EQ(api::findCondition(get<corev1::Pod>("a")->status(), "DisruptionTarget")->reason(),
            "EvictionByEvictionAPI");
  const Status refused = evict("b");
  EXPECT_EQ(refused.code(), Code::kTooManyRequests);
  EXPECT_EQ(refused.message(), "Cannot evict pod as it would violate the pod's disruption budget.");
  ASSERT_EQ(refused.causes().size(), 1U);
  EXPECT_EQ(refused.causes()[0].reason, "DisruptionBudget");
  clock_.runUntilIdle();
  EXPECT_EQ(evict("b").causes()[0].message,
            "The disruption budget b needs 2 healthy pods and has 2 currently");
  EXPECT_EQ(reason(), "InsufficientPods");
  EXPECT_FALSE(isTerminating("b"));
  EXPECT_TRUE(evict("a").ok()) << "it is on its way already";

  addWeb("d");
  EXPECT_EQ(status().disruptionsallowed(), 1);
  EXPECT_TRUE(status().disruptedpods().empty());
  EXPECT_TRUE(evict("b").ok());
}

TEST_F(DisruptionTest, ConcurrentEvictionsTakeWhatThereIsAndNoMore) {
  startManager();
  addNode("n1");
  for (int i = 0; i < 10; ++i) addWeb("p" + std::to_string(i));
  auto seven = budget();
  *seven.mutable_spec()->mutable_minavailable() = number(7);
  addBudget(seven);
  int done = 0;
  int refused = 0;
  auto evictOne = [](api::Api& api, api::ResourceId id, int& yes, int& no) -> Co<void> {
    auto eviction = std::make_shared<policyv1::Eviction>();
    api::WriteOptions options;
    auto answer = co_await api.create(std::move(id), eviction, std::move(options));
    ++(answer ? yes : no);
  };
  TaskGroup group(io_.get_executor());
  for (int i = 0; i < 10; ++i) {
    group.spawn("evict", evictOne(*admin_, id<corev1::Pod>("p" + std::to_string(i), "eviction"),
                                  done, refused));
  }
  clock_.runUntilIdle();
  EXPECT_EQ(done, 3);
  EXPECT_EQ(refused, 7);
  pass(minutes(10));
  EXPECT_EQ(status().currenthealthy(), 7);
  EXPECT_EQ(status().disruptionsallowed(), 0);
}

TEST_F(DisruptionTest, PercentagesAreOfWhatTheControllersWant) {
  startManager();
  addNode("n1");
  appsv1::ReplicaSet set;
  set.mutable_metadata()->set_name("set");
  set.mutable_spec()->set_replicas(8);
  (*set.mutable_spec()->mutable_selector()->mutable_matchlabels())["app"] = "web";
  (*set.mutable_spec()->mutable_template_()->mutable_metadata()->mutable_labels())["app"] = "web";
  *set.mutable_spec()->mutable_template_()->mutable_spec() = pod("x", "n1").spec();
  const auto made = create(set);
  ASSERT_TRUE(made.ok()) << made.status().toString();
  clock_.advance(seconds(5));
  const auto pods = list<corev1::Pod>().items;
  ASSERT_EQ(pods.size(), 8U);
  for (std::size_t i = 0; i < 7; ++i) run(api::meta(*pods[i]).name(), true);
  auto quarter = budget();
  *quarter.mutable_spec()->mutable_maxunavailable() = percent("25%");
  addBudget(quarter);
  EXPECT_EQ(status().expectedpods(), 8);
  EXPECT_EQ(status().desiredhealthy(), 6);
  EXPECT_EQ(status().currenthealthy(), 7);
  EXPECT_EQ(status().disruptionsallowed(), 1);
}

TEST_F(DisruptionTest, PodsOfNobodyCannotBeAShare) {
  startManager();
  addNode("n1");
  auto alien = pod("a", "n1");
  (*alien.mutable_metadata()->mutable_labels())["app"] = "web";
  auto& owner = *alien.mutable_metadata()->add_ownerreferences();
  owner.set_apiversion("example.com/v1");
  owner.set_kind("Gadget");
  owner.set_name("g");
  owner.set_uid("u");
  owner.set_controller(true);
  ASSERT_TRUE(create(alien).ok());
  auto half = budget();
  *half.mutable_spec()->mutable_minavailable() = percent("50%");
  addBudget(half);
  EXPECT_EQ(reason(), "SyncFailed");
  EXPECT_EQ(status().disruptionsallowed(), 0);
}

TEST_F(DisruptionTest, UnhealthyPodsGoAsThePolicySays) {
  startManager();
  addNode("n1");
  for (const char* name : {"a", "b"}) addWeb(name);
  addWeb("sick", false);
  addWeb("sick2", false);
  auto two = budget();
  *two.mutable_spec()->mutable_minavailable() = number(2);
  addBudget(two);
  EXPECT_TRUE(evict("sick").ok()) << "the budget is met without it";
  run("a", false);
  EXPECT_EQ(evict("sick2").code(), Code::kTooManyRequests);
  auto always = *get<PodDisruptionBudget>("b");
  always.mutable_spec()->set_unhealthypodevictionpolicy("AlwaysAllow");
  ASSERT_TRUE(update(always).ok());
  EXPECT_TRUE(evict("sick2").ok());
  clock_.runUntilIdle();
  EXPECT_EQ(evict("b").code(), Code::kTooManyRequests);
}

TEST_F(DisruptionTest, AnEvictionWithoutEffectIsForgotten) {
  startManager();
  addNode("n1");
  for (const char* name : {"a", "b"}) addWeb(name);
  auto one = budget();
  *one.mutable_spec()->mutable_minavailable() = number(1);
  addBudget(one);
  auto evicted = *get<PodDisruptionBudget>("b");
  (*evicted.mutable_status()->mutable_disruptedpods())["a"] = api::toTime(clock_.wallNow());
  ASSERT_TRUE(update(evicted, "status").ok());
  pass(seconds(60));
  EXPECT_EQ(status().disruptionsallowed(), 0);
  pass(seconds(70));
  EXPECT_EQ(status().disruptionsallowed(), 1);
  EXPECT_TRUE(status().disruptedpods().empty());
}

TEST_F(DisruptionTest, ABudgetIsCheckedBeforeItIsKept) {
  auto both = budget();
  *both.mutable_spec()->mutable_minavailable() = number(1);
  *both.mutable_spec()->mutable_maxunavailable() = percent("101%");
  both.mutable_spec()->set_unhealthypodevictionpolicy("Never");
  const auto made = create(both);
  ASSERT_EQ(made.status().code(), Code::kInvalid);
  for (const char* fault : {"minAvailable and maxUnavailable cannot be both set",
                            "spec.maxUnavailable: Invalid value: \"101%\": must not be greater",
                            "spec.unhealthyPodEvictionPolicy: Unsupported value: \"Never\""})
    EXPECT_THAT(made.status().message(), HasSubstr(fault));
}

TEST_F(DisruptionTest, TwoBudgetsAreTooMany) {
  startManager();
  addNode("n1");
  addWeb("a");
  addBudget(budget());
  auto other = budget();
  other.mutable_metadata()->set_name("other");
  ASSERT_TRUE(create(other).ok());
  EXPECT_THAT(evict("a").message(), HasSubstr("more than one PodDisruptionBudget"));
  EXPECT_EQ(evict("nope").code(), Code::kNotFound);
}

}  // namespace
}  // namespace podlab::controllers
