#include <gmock/gmock.h>

#include "apps_v1.pb.h"
#include "autoscaling_v2.pb.h"
#include "metrics_v1beta1.pb.h"

#include "api/pod_resources.hpp"
#include "controllers/autoscaling_limits.hpp"
#include "controllers/autoscaling_replicas.hpp"
#include "tests/controllers/cluster_fixture.hpp"

namespace podlab::controllers {
namespace {

using autoscalingv2::HorizontalPodAutoscaler;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

constexpr WallTime kNow = sim::SimClock::kStart;

/// A ready pod that has run for an hour and requests 100m.
std::shared_ptr<corev1::Pod> worker(const std::string& name) {
  auto made = std::make_shared<corev1::Pod>();
  made->mutable_metadata()->set_name(name);
  auto& container = *made->mutable_spec()->add_containers();
  container.set_name("main");
  (*container.mutable_resources()->mutable_requests())["cpu"].set_string("100m");
  made->mutable_status()->set_phase("Running");
  *made->mutable_status()->mutable_starttime() = api::toTime(kNow - std::chrono::hours(1));
  const api::ConditionState ready{"Ready", "True", "", ""};
  api::setCondition(*made->mutable_status(), ready, kNow - std::chrono::hours(1));
  return made;
}

class ProposalTest : public testing::Test {
 protected:
  /// Pods that use so much; -1: not known.
  void add(std::initializer_list<int> uses) {
    for (const int milli : uses) {
      const std::string name = "p" + std::to_string(pods_.size());
      pods_.push_back(worker(name));
      if (milli >= 0) metrics_[name] = {milli, kNow, seconds(1)};
    }
  }
  std::int32_t propose(std::int32_t utilization) {
    AutoscalingTarget target{"cpu", "", utilization};
    return proposed(target);
  }
  std::int32_t proposed(const AutoscalingTarget& target) {
    const auto made = proposeReplicas(target, {pods_.begin(), pods_.end()}, metrics_,
                                      static_cast<std::int32_t>(pods_.size()), kNow);
    EXPECT_TRUE(made.ok()) << made.status().toString();
    return made ? made->replicas : -1;
  }
  std::vector<std::shared_ptr<corev1::Pod>> pods_;
  PodMetrics metrics_;
};

TEST_F(ProposalTest, FollowsTheRatioBeyondTheTolerance) {
  add({60, 60, 60});
  EXPECT_EQ(propose(30), 6);
  EXPECT_EQ(propose(55), 3) << "a tenth off is near enough";
  EXPECT_EQ(propose(54), 4);
  EXPECT_EQ(propose(100), 2);
  AutoscalingTarget amount{"cpu", "", std::nullopt, 20};
  EXPECT_EQ(proposed(amount), 9);
}

TEST_F(ProposalTest, MissingFiguresHoldBack) {
  add({100, 100, -1});
  EXPECT_EQ(propose(50), 4) << "up: the unknown pod is taken to be idle";
  metrics_["p0"].milli = metrics_["p1"].milli = 10;
  EXPECT_EQ(propose(50), 3) << "down: the unknown pod is taken to use what it requests";
}

TEST_F(ProposalTest, PodsThatStartDoNotCount) {
  add({100, 100, 100});
  *pods_[2]->mutable_status()->mutable_starttime() = api::toTime(kNow - seconds(10));
  const api::ConditionState ready{"Ready", "False", "", ""};
  api::setCondition(*pods_[2]->mutable_status(), ready, kNow - seconds(10));
  EXPECT_EQ(propose(50), 4);
  pods_[1]->mutable_status()->set_phase("Failed");
  EXPECT_EQ(propose(50), 3) << "what has failed is not there";
}

TEST_F(ProposalTest, SaysWhatItCannotKnow) {
  add({10});
  pods_[0]->mutable_spec()->mutable_containers(0)->clear_resources();
  const auto made =
      proposeReplicas({"cpu", "", 50}, {pods_.begin(), pods_.end()}, metrics_, 1, kNow);
  EXPECT_EQ(made.status().message(), "missing request for cpu in container main of Pod p0");
}

class LimitTest : public testing::Test {
 protected:
  LimitTest() {
    spec_.set_minreplicas(1);
    spec_.set_maxreplicas(100);
  }
  LimitedSize limit(std::int32_t current, std::int32_t wanted) {
    return limitSize(spec_, history_, current, wanted, now_);
  }
  /// One policy each way.
  void behave(const char* type, int value, int period) {
    for (auto* rules : {spec_.mutable_behavior()->mutable_scaleup(),
                        spec_.mutable_behavior()->mutable_scaledown()}) {
      rules->set_stabilizationwindowseconds(0);
      rules->set_selectpolicy("Max");
      auto& policy = *rules->add_policies();
      policy.set_type(type);
      policy.set_value(value);
      policy.set_periodseconds(period);
    }
  }
  autoscalingv2::HorizontalPodAutoscalerSpec spec_;
  ScalingHistory history_;
  MonoTime now_ = MonoTime(std::chrono::hours(5));
};

TEST_F(LimitTest, DoublesAtMost) {
  EXPECT_EQ(limit(1, 50).replicas, 4);
  const auto fast = limit(10, 50);
  EXPECT_EQ(fast.replicas, 20);
  EXPECT_EQ(fast.limitReason, "ScaleUpLimit");
  spec_.set_maxreplicas(15);
  EXPECT_EQ(limit(10, 50).replicas, 15);
  EXPECT_EQ(limit(10, 50).limitReason, "TooManyReplicas");
}

TEST_F(LimitTest, ShrinksAfterFiveMinutes) {
  EXPECT_EQ(limit(8, 8).replicas, 8);
  now_ += minutes(4);
  const auto early = limit(8, 2);
  EXPECT_EQ(early.replicas, 8);
  EXPECT_EQ(early.stableReason, "ScaleDownStabilized");
  now_ += minutes(2);
  EXPECT_EQ(limit(8, 2).replicas, 2);
  now_ += minutes(6);
  const auto least = limit(8, 0);
  EXPECT_EQ(least.replicas, 1);
  EXPECT_EQ(least.limitReason, "TooFewReplicas");
}

TEST_F(LimitTest, PoliciesCountFromTheStartOfTheirPeriod) {
  behave("Pods", 3, 60);
  EXPECT_EQ(limit(10, 50).replicas, 13);
  recordScaling(history_, 10, 13, now_);
  now_ += seconds(30);
  EXPECT_EQ(limit(13, 50).replicas, 13);
  now_ += seconds(31);
  EXPECT_EQ(limit(13, 50).replicas, 16);
  EXPECT_EQ(limit(13, 1).replicas, 10);
  EXPECT_EQ(limit(13, 1).limitReason, "ScaleDownLimit");
}

TEST_F(LimitTest, SharesAreRoundedSoThatTheyHaveAnEffect) {
  behave("Percent", 10, 60);
  EXPECT_EQ(limit(3, 50).replicas, 4);
  EXPECT_EQ(limit(25, 1).replicas, 22);
  spec_.mutable_behavior()->mutable_scaledown()->set_selectpolicy("Disabled");
  EXPECT_EQ(limit(25, 1).replicas, 25);
}

/// Figures as the test says.
class FakeMetrics final : public apiserver::VirtualKind {
 public:
  FakeMetrics(api::Api*& api, Clock& clock) : api_(api), clock_(clock) {}
  std::int64_t milliEach = 0;
  bool away = false;

  Co<Result<api::ListResult>> list(apiserver::User, api::ResourceId id,
                                   api::ListOptions options) override {
    if (away) co_return Status(Code::kUnavailable, "nobody answers");
    id.kind = &api::kindFor<corev1::Pod>();
    auto pods = co_await api_->list(std::move(id), std::move(options));
    api::ListResult made;
    for (const auto& pod : pods->items) {
      auto metrics = std::make_shared<metricsv1beta1::PodMetrics>();
      metrics->mutable_metadata()->set_name(api::meta(*pod).name());
      *metrics->mutable_timestamp() = api::toTime(clock_.wallNow());
      auto& container = *metrics->add_containers();
      container.set_name("main");
      (*container.mutable_usage())["cpu"].set_string(std::to_string(milliEach) + "m");
      made.items.push_back(std::move(metrics));
    }
    co_return made;
  }

 private:
  api::Api*& api_;
  Clock& clock_;
};

class AutoscalerTest : public ClusterTest {
 protected:
  AutoscalerTest() {
    api_ = admin_.get();
    service_->serve(api::kindFor<metricsv1beta1::PodMetrics>(), "", metrics_);
  }
  ~AutoscalerTest() override { stopManager(); }

  void addSet(int replicas) {
    appsv1::ReplicaSet set;
    set.mutable_metadata()->set_name("set");
    set.mutable_spec()->set_replicas(replicas);
    (*set.mutable_spec()->mutable_selector()->mutable_matchlabels())["app"] = "web";
    auto& made = *set.mutable_spec()->mutable_template_();
    (*made.mutable_metadata()->mutable_labels())["app"] = "web";
    *made.mutable_spec() = worker("x")->spec();
    made.mutable_spec()->mutable_containers(0)->set_image("host");
    ASSERT_TRUE(create(set).ok());
  }
  void addAutoscaler(int min, int max, const std::string& target = "set") {
    HorizontalPodAutoscaler made;
    made.mutable_metadata()->set_name("hpa");
    auto& spec = *made.mutable_spec();
    spec.mutable_scaletargetref()->set_apiversion("apps/v1");
    spec.mutable_scaletargetref()->set_kind("ReplicaSet");
    spec.mutable_scaletargetref()->set_name(target);
    spec.set_minreplicas(min);
    spec.set_maxreplicas(max);
    const auto done = create(made);
    ASSERT_TRUE(done.ok()) << done.status().toString();
    EXPECT_EQ(done->spec().metrics(0).resource().target().averageutilization(), 80);
  }
  /// Time goes by; new pods become ready at once.
  void live(Duration time) {
    for (Duration done{}; done < time; done += seconds(5)) {
      for (const auto& object : list<corev1::Pod>().items) {
        auto pod = api::as<corev1::Pod>(object);
        if (pod.status().phase() != "Pending" || pod.metadata().has_deletiontimestamp()) continue;
        pod.mutable_status()->set_phase("Running");
        *pod.mutable_status()->mutable_starttime() = api::toTime(clock_.wallNow());
        const api::ConditionState ready{"Ready", "True", "", ""};
        api::setCondition(*pod.mutable_status(), ready, clock_.wallNow());
        ASSERT_TRUE(update(pod, "status").ok());
      }
      clock_.advance(seconds(5));
    }
  }
  std::int32_t size() { return get<appsv1::ReplicaSet>("set")->spec().replicas(); }
  std::string condition(const std::string& type) {
    const auto found = get<HorizontalPodAutoscaler>("hpa");
    for (const auto& one : found->status().conditions()) {
      if (one.type() == type) return one.status() + " " + one.reason();
    }
    return "";
  }
  std::vector<std::string> events(const std::string& reason) {
    std::vector<std::string> found;
    for (const auto& object : list<corev1::Event>().items) {
      const auto& event = api::as<corev1::Event>(object);
      if (event.reason() == reason) found.push_back(event.message());
    }
    return found;
  }

  api::Api* api_ = nullptr;
  std::shared_ptr<FakeMetrics> metrics_ = std::make_shared<FakeMetrics>(api_, clock_);
};

TEST_F(AutoscalerTest, FollowsTheLoadUpAtOnceAndDownLater) {
  startManager();
  addSet(2);
  metrics_->milliEach = 80;
  live(minutes(1));
  addAutoscaler(1, 6);
  live(seconds(40));
  EXPECT_EQ(size(), 2);
  EXPECT_EQ(condition("ScalingActive"), "True ValidMetricFound");
  metrics_->milliEach = 160;
  live(minutes(1));
  EXPECT_EQ(size(), 6);
  EXPECT_EQ(condition("ScalingLimited"), "True TooManyReplicas");
  EXPECT_THAT(events("SuccessfulRescale"),
              testing::Contains("New size: 4; reason: cpu resource utilization (percentage of "
                                "request) above target"));
  metrics_->milliEach = 20;
  live(minutes(2));
  EXPECT_EQ(size(), 6);
  EXPECT_EQ(condition("AbleToScale"), "True ScaleDownStabilized");
  live(minutes(5));
  EXPECT_EQ(size(), 2);
  const auto hpa = get<HorizontalPodAutoscaler>("hpa");
  EXPECT_EQ(hpa->status().currentmetrics(0).resource().current().averageutilization(), 20);
  EXPECT_TRUE(hpa->status().has_lastscaletime());
}

TEST_F(AutoscalerTest, KeepsTheSizeWithinItsBoundsWithoutFigures) {
  startManager();
  metrics_->away = true;
  addSet(1);
  live(seconds(10));
  addAutoscaler(3, 5);
  live(seconds(20));
  EXPECT_EQ(size(), 3);
  EXPECT_THAT(
      events("SuccessfulRescale"),
      testing::Contains("New size: 3; reason: Current number of replicas below Spec.MinReplicas"));
  live(seconds(20));
  EXPECT_EQ(condition("ScalingActive"), "False FailedGetResourceMetric");
  EXPECT_EQ(size(), 3);
}

TEST_F(AutoscalerTest, SaysThatItsTargetIsMissing) {
  startManager();
  addAutoscaler(1, 5, "nobody");
  live(seconds(20));
  EXPECT_EQ(condition("AbleToScale"), "False FailedGetScale");
  EXPECT_THAT(events("FailedGetScale"), testing::Contains(HasSubstr("\"nobody\" not found")));
}

TEST_F(AutoscalerTest, IsCheckedBeforeItIsKept) {
  HorizontalPodAutoscaler made;
  made.mutable_metadata()->set_name("hpa");
  auto& spec = *made.mutable_spec();
  spec.set_minreplicas(5);
  spec.set_maxreplicas(3);
  auto& metric = *spec.add_metrics();
  metric.set_type("Resource");
  auto& down = *spec.mutable_behavior()->mutable_scaledown();
  down.set_stabilizationwindowseconds(4000);
  const std::string message = create(made).status().message();
  for (const char* fault :
       {"spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`",
        "spec.scaleTargetRef.kind: Required value", "spec.metrics[0].resource: Required value",
        "spec.behavior.scaleDown.stabilizationWindowSeconds: Invalid value: 4000"})
    EXPECT_THAT(message, HasSubstr(fault));
}

}  // namespace
}  // namespace podlab::controllers
