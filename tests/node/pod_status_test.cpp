#include "node/pod_status.hpp"

#include <gtest/gtest.h>

#include "api/conditions.hpp"
#include "api/times.hpp"

namespace podlab::node {
namespace {

using Phase = ContainerView::Phase;

corev1::PodStatus updated(const corev1::Pod& pod, const PodView& view, corev1::PodStatus status,
                          WallTime now) {
  updateStatus(status, pod, view, now);
  return status;
}

corev1::PodStatus merged(const corev1::PodStatus& theirs, const corev1::PodStatus& ours) {
  corev1::PodStatus both;
  mergeStatus(both, theirs, ours);
  return both;
}

corev1::ContainerStateTerminated exited(int code) {
  corev1::ContainerStateTerminated how;
  how.set_exitcode(code);
  how.set_reason(code == 0 ? "Completed" : "Error");
  return how;
}

/// One letter a container: w waiting for its first start, r running, d done (0), f failed (1), b
/// waiting after a failure, n running but not ready.
ContainerView container(char state, const std::string& name) {
  ContainerView view;
  view.name = name;
  switch (state) {
    case 'r':
    case 'n':
      view.phase = Phase::kRunning;
      view.startedAt = WallTime();
      view.started = true;
      view.ready = state == 'r';
      break;
    case 'd':
    case 'f':
      view.phase = Phase::kTerminated;
      view.ended = exited(state == 'd' ? 0 : 1);
      break;
    case 'b':
      view.waitingReason = "CrashLoopBackOff";
      view.ended = exited(1);
      view.restartCount = 2;
      break;
    default:
      break;
  }
  return view;
}

PodView makeView(const std::string& init, const std::string& main) {
  PodView view;
  view.sandboxReady = true;
  for (char state : init)
    view.initContainers.push_back(
        container(state, "i" + std::to_string(view.initContainers.size())));
  for (char state : main)
    view.containers.push_back(container(state, "c" + std::to_string(view.containers.size())));
  return view;
}

TEST(PodPhase, FollowsKubelet) {
  struct Case {
    const char* policy;
    const char* init;
    const char* main;
    bool final;
    const char* phase;
  };
  const Case cases[] = {
      {"Always", "", "w", false, "Pending"},      {"Always", "", "r", false, "Running"},
      {"Always", "", "rw", false, "Pending"},     {"Always", "", "rb", false, "Running"},
      {"Always", "", "bb", false, "Running"},     {"Always", "", "d", false, "Running"},
      {"Always", "", "f", false, "Running"},      {"Always", "w", "w", false, "Pending"},
      {"Always", "r", "w", false, "Pending"},     {"Always", "f", "w", false, "Pending"},
      {"Always", "b", "w", false, "Pending"},     {"Always", "dd", "r", false, "Running"},
      {"Always", "dr", "w", false, "Pending"},    {"Always", "", "d", true, "Succeeded"},
      {"Always", "", "df", true, "Failed"},       {"Always", "", "dr", true, "Running"},
      {"OnFailure", "", "d", false, "Succeeded"}, {"OnFailure", "", "dd", false, "Succeeded"},
      {"OnFailure", "", "df", false, "Running"},  {"OnFailure", "", "db", false, "Running"},
      {"OnFailure", "", "dr", false, "Running"},  {"OnFailure", "f", "w", false, "Pending"},
      {"Never", "", "d", false, "Succeeded"},     {"Never", "", "df", false, "Failed"},
      {"Never", "", "fr", false, "Running"},      {"Never", "", "fw", false, "Pending"},
      {"Never", "f", "w", false, "Failed"},       {"Never", "df", "w", false, "Failed"},
      {"Never", "d", "w", false, "Pending"},      {"Never", "r", "w", false, "Pending"},
  };
  for (const auto& one : cases) {
    corev1::PodSpec spec;
    spec.set_restartpolicy(one.policy);
    PodView view = makeView(one.init, one.main);
    view.final = one.final;
    EXPECT_EQ(podPhase(spec, view), one.phase)
        << one.policy << " [" << one.init << "] " << one.main << one.final;
  }
}

std::string describe(const corev1::PodStatus& status, const char* type) {
  const auto* condition = api::findCondition(status, type);
  if (condition == nullptr) return "none";
  std::string text = condition->status();
  if (!condition->reason().empty()) text += " " + condition->reason();
  if (!condition->message().empty()) text += ": " + condition->message();
  return text;
}

TEST(PodConditions, FollowKubelet) {
  struct Case {
    const char* init;
    const char* main;
    const char* initialized;
    const char* ready;
  };
  const Case cases[] = {
      {"", "w", "True", "False ContainersNotReady: containers with unready status: [c0]"},
      {"", "rr", "True", "True"},
      {"", "rn", "True", "False ContainersNotReady: containers with unready status: [c1]"},
      {"rw", "ww", "False ContainersNotInitialized: containers with incomplete status: [i0 i1]",
       "False ContainersNotReady: containers with unready status: [c0 c1]"},
      {"dr", "w", "False ContainersNotInitialized: containers with incomplete status: [i1]",
       "False ContainersNotReady: containers with unready status: [c0]"},
      {"d", "dd", "True PodCompleted", "False PodCompleted"},
      {"d", "df", "True", "False PodFailed"},
  };
  for (const auto& one : cases) {
    corev1::Pod pod;
    pod.mutable_spec()->set_restartpolicy("Never");
    auto status = updated(pod, makeView(one.init, one.main), {}, WallTime());
    EXPECT_EQ(describe(status, "Initialized"), one.initialized) << one.init << "/" << one.main;
    EXPECT_EQ(describe(status, "Ready"), one.ready) << one.init << "/" << one.main;
    EXPECT_EQ(describe(status, "ContainersReady"), one.ready) << one.init << "/" << one.main;
    EXPECT_EQ(describe(status, "PodScheduled"), "True");
    EXPECT_EQ(describe(status, "PodReadyToStartContainers"), "True");
  }
}

TEST(PodConditions, ReadinessGatesHoldReadyAlone) {
  corev1::Pod pod;
  pod.mutable_spec()->add_readinessgates()->set_conditiontype("example.com/gate");
  auto status = updated(pod, makeView("", "r"), {}, WallTime());
  EXPECT_EQ(describe(status, "ContainersReady"), "True");
  EXPECT_EQ(describe(status, "Ready"),
            "False ReadinessGatesNotReady: corresponding condition of pod readiness gate "
            "\"example.com/gate\" does not exist.");
  auto& gate = *status.add_conditions();
  gate.set_type("example.com/gate");
  gate.set_status("True");
  EXPECT_EQ(describe(updated(pod, makeView("", "r"), status, WallTime()), "Ready"), "True");
}

TEST(PodConditions, KeepTheirTransitionTimes) {
  corev1::Pod pod;
  const WallTime t1{std::chrono::seconds(100)};
  const WallTime t2{std::chrono::seconds(200)};
  auto first = updated(pod, makeView("", "r"), {}, t1);
  auto second = updated(pod, makeView("", "r"), first, t2);
  EXPECT_EQ(first.SerializeAsString(), second.SerializeAsString());
  auto third = updated(pod, makeView("", "n"), second, t2);
  EXPECT_EQ(api::findCondition(third, "Ready")->lasttransitiontime().seconds(), 200);
  EXPECT_EQ(api::findCondition(third, "Initialized")->lasttransitiontime().seconds(), 100);
}

TEST(ContainerStatus, ShowsTheInstanceBefore) {
  PodView view = makeView("", "rbf");
  view.containers[0].previous = exited(7);
  view.containers[2].previous = exited(8);
  auto status = updated(corev1::Pod(), view, {}, WallTime());
  EXPECT_EQ(status.containerstatuses(0).laststate().terminated().exitcode(), 7);
  EXPECT_TRUE(status.containerstatuses(0).state().has_running());
  EXPECT_TRUE(status.containerstatuses(0).started());
  EXPECT_EQ(status.containerstatuses(1).state().waiting().reason(), "CrashLoopBackOff");
  EXPECT_EQ(status.containerstatuses(1).laststate().terminated().exitcode(), 1);
  EXPECT_EQ(status.containerstatuses(1).restartcount(), 2);
  EXPECT_EQ(status.containerstatuses(2).state().terminated().exitcode(), 1);
  EXPECT_EQ(status.containerstatuses(2).laststate().terminated().exitcode(), 8);
  EXPECT_FALSE(status.containerstatuses(2).ready());
}

TEST(MergeStatus, TakesOnlyWhatTheNodeOwns) {
  corev1::PodStatus theirs;
  theirs.set_qosclass("Burstable");
  theirs.set_phase("Pending");
  auto& foreign = *theirs.add_conditions();
  foreign.set_type("DisruptionTarget");
  foreign.set_status("True");
  auto& scheduled = *theirs.add_conditions();
  scheduled.set_type("PodScheduled");
  scheduled.set_status("True");
  scheduled.mutable_lasttransitiontime()->set_seconds(5);
  auto ours = updated(corev1::Pod(), makeView("", "r"), {}, WallTime());
  const auto both = merged(theirs, ours);
  EXPECT_EQ(both.phase(), "Running");
  EXPECT_EQ(both.qosclass(), "Burstable");
  EXPECT_EQ(describe(both, "DisruptionTarget"), "True");
  EXPECT_EQ(api::findCondition(both, "PodScheduled")->lasttransitiontime().seconds(), 5);
  EXPECT_EQ(describe(both, "Ready"), "True");
  EXPECT_EQ(merged(both, ours).SerializeAsString(), both.SerializeAsString());
}

}  // namespace
}  // namespace podlab::node
