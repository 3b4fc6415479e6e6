// Probes, hooks, sidecars, deadlines and ephemeral containers of pods on one node, with kubelet's
// times.
#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "intstr.pb.h"

#include "node/container_id.hpp"
#include "node_fixture.hpp"
#include "transport/memory.hpp"

namespace podlab::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class PodLifecycleTest : public PodTest {
 protected:
  /// What happens, as "SECOND what", from the agent's start on.
  std::vector<std::string> journal_;
  std::map<std::string, int> execCodes_;  ///< exit code of each command; 0 when not named
  std::map<std::string, Duration> execTimes_;

  void note(const std::string& what) {
    const auto second = (clock_.wallNow() - sim::SimClock::kStart) / seconds(1);
    journal_.push_back(std::to_string(second) + " " + what);
  }
  void keepJournal() {
    runtime_.onStart([this](const ContainerSpec& spec) { note("start " + spec.name); });
    runtime_.onSignal([this](const std::string& id, int signal) {
      note((signal == 15 ? "term " : "kill ") + nameOf(id));
    });
    runtime_.setExecScript([this](const std::string&, const ExecSpec& spec) {
      note(spec.argv[0]);
      return ExecScript{
          .exitCode = execCodes_[spec.argv[0]], .out = "said", .takes = execTimes_[spec.argv[0]]};
    });
  }
  static std::string nameOf(const std::string& id) {
    const auto parsed = ContainerId::parse(id);
    return parsed ? parsed->name : id;
  }
  /// The journal since the last call.
  std::vector<std::string> happened() { return std::exchange(journal_, {}); }

  static void setProbe(corev1::Probe& probe, const std::string& command, int period, int failures,
                       int delay = 0) {
    probe.mutable_handler()->mutable_exec()->add_command(command);
    probe.set_periodseconds(period);
    probe.set_timeoutseconds(1);
    probe.set_failurethreshold(failures);
    probe.set_successthreshold(1);
    probe.set_initialdelayseconds(delay);
  }
  static corev1::Container& main(corev1::Pod& pod) {
    return *pod.mutable_spec()->mutable_containers(0);
  }
  static corev1::Container& addSidecar(corev1::Pod& pod, const std::string& name) {
    addInit(pod, name);
    auto& added = *pod.mutable_spec()->mutable_initcontainers(pod.spec().initcontainers_size() - 1);
    added.set_restartpolicy("Always");
    return added;
  }
  static void setHook(corev1::LifecycleHandler& hook, const std::string& command) {
    hook.mutable_exec()->add_command(command);
  }
};

INSTANTIATE_TEST_SUITE_P(Workers, PodLifecycleTest, workersStayAndGo(), workerName);

// --- liveness and startup

TEST_P(PodLifecycleTest, LivenessRestartsASickContainer) {
  keepJournal();
  boot();
  auto pod = makePod("web");
  setProbe(*main(pod).mutable_livenessprobe(), "live", 10, 3, 5);
  auto uid = add(pod);
  EXPECT_TRUE(ready("web"));
  EXPECT_TRUE(container("web").started());
  clock_.advance(seconds(16));
  EXPECT_THAT(happened(), ElementsAre("0 start main", "5 live", "15 live"));
  execCodes_["live"] = 1;
  clock_.advance(seconds(29));
  EXPECT_TRUE(ready("web"));
  // The third failure: stopped, and started anew at once. Its probes begin anew, too.
  clock_.advance(seconds(1));
  EXPECT_THAT(happened(),
              ElementsAre("25 live", "35 live", "45 live", "45 term main", "45 start main"));
  EXPECT_EQ(container("web").restartcount(), 1);
  EXPECT_EQ(container("web").laststate().terminated().exitcode(), 143);
  EXPECT_EQ(container("web").laststate().terminated().reason(), "Error");
  EXPECT_EQ(eventMessage("Killing"), "Container main failed liveness probe, will be restarted");
  EXPECT_EQ(eventMessage("Unhealthy"), "Liveness probe failed: said");
  clock_.advance(seconds(3));
  EXPECT_THAT(happened(), IsEmpty());
  clock_.advance(seconds(1));
  EXPECT_THAT(happened(), ElementsAre("50 live"));
}

// Kubelet's back-off, when it kills: that of the instance before, from the end of that one.
TEST_P(PodLifecycleTest, LivenessRestartsBackOffOnlyWhenTheyComeFast) {
  keepJournal();
  execCodes_["live"] = 1;
  boot();
  auto pod = makePod("web");
  setProbe(*main(pod).mutable_livenessprobe(), "live", 10, 1, 10);
  add(pod);
  clock_.advance(seconds(130));
  std::vector<std::string> starts;
  for (const auto& entry : happened()) {
    if (entry.ends_with("start main")) starts.push_back(entry);
  }
  // Charged 0, 10, 20 s: at 30 s the 20 s since 20 s are not over, so it waits 20 s from its end
  // on.
  EXPECT_THAT(starts, ElementsAre("0 start main", "10 start main", "20 start main", "30 start main",
                                  "60 start main", "110 start main"));
}

TEST_P(PodLifecycleTest, LivenessUnderNeverEndsThePod) {
  keepJournal();
  execCodes_["live"] = 1;
  boot();
  auto pod = makePod("job");
  pod.mutable_spec()->set_restartpolicy("Never");
  setProbe(*main(pod).mutable_livenessprobe(), "live", 1, 1);
  add(pod);
  clock_.advance(seconds(60));
  EXPECT_EQ(status("job").phase(), "Failed");
  EXPECT_EQ(runtime_.starts(), 1U);
  EXPECT_EQ(eventMessage("Killing"), "Container main failed liveness probe");
}

TEST_P(PodLifecycleTest, AProbesOwnGracePeriodCounts) {
  keepJournal();
  execCodes_["live"] = 1;
  runtime_.setScript([](const ContainerSpec&) { return ContainerScript{.ignoresTerm = true}; });
  boot();
  auto pod = makePod("web");
  setProbe(*main(pod).mutable_livenessprobe(), "live", 10, 1, 1);
  main(pod).mutable_livenessprobe()->set_terminationgraceperiodseconds(5);
  add(pod);
  clock_.advance(seconds(6));
  EXPECT_THAT(happened(),
              ElementsAre("0 start main", "1 live", "1 term main", "6 kill main", "6 start main"));
}

TEST_P(PodLifecycleTest, StartupGatesTheOtherProbes) {
  keepJournal();
  execCodes_["up"] = 1;
  boot();
  auto pod = makePod("web");
  setProbe(*main(pod).mutable_startupprobe(), "up", 2, 10);
  setProbe(*main(pod).mutable_livenessprobe(), "live", 5, 3);
  setProbe(*main(pod).mutable_readinessprobe(), "ready", 10, 3);
  add(pod);
  clock_.advance(seconds(5));
  EXPECT_EQ(status("web").phase(), "Running");
  EXPECT_FALSE(container("web").started());
  EXPECT_FALSE(ready("web"));
  execCodes_["up"] = 0;
  clock_.advance(seconds(6));
  // Readiness at once, liveness and readiness then in their own beat; startup never again.
  EXPECT_THAT(happened(), ElementsAre("0 start main", "0 up", "2 up", "4 up", "6 up", "6 ready",
                                      "10 live", "10 ready"));
  EXPECT_TRUE(container("web").started());
  EXPECT_TRUE(ready("web"));
  EXPECT_EQ(eventMessage("Unhealthy"), "Startup probe failed: said");
}

TEST_P(PodLifecycleTest, ContainersThatDoNotStartUpAreRestarted) {
  keepJournal();
  execCodes_["up"] = 1;
  boot();
  auto pod = makePod("web");
  setProbe(*main(pod).mutable_startupprobe(), "up", 2, 3);
  add(pod);
  clock_.advance(seconds(5));
  EXPECT_THAT(happened(), ElementsAre("0 start main", "0 up", "2 up", "4 up", "4 term main",
                                      "4 start main", "4 up"));
  EXPECT_EQ(eventMessage("Killing"), "Container main failed startup probe, will be restarted");
}

// Nobody restarts what is going away; readiness goes on to be told.
TEST_P(PodLifecycleTest, OnlyReadinessIsProbedWhileAPodStops) {
  keepJournal();
  runtime_.setScript(
      [](const ContainerSpec&) { return ContainerScript{.stopTakes = seconds(25)}; });
  boot();
  auto pod = makePod("web");
  setProbe(*main(pod).mutable_livenessprobe(), "live", 10, 1);
  setProbe(*main(pod).mutable_readinessprobe(), "ready", 10, 1);
  add(pod);
  clock_.advance(seconds(5));
  ASSERT_TRUE(ready("web"));
  execCodes_["live"] = execCodes_["ready"] = 1;
  remove("web");
  happened();
  clock_.advance(seconds(10));
  EXPECT_FALSE(ready("web"));
  EXPECT_THAT(happened(), ElementsAre("10 ready"));
  clock_.advance(seconds(20));
  EXPECT_FALSE(exists("web"));
}

// --- hooks

TEST_P(PodLifecycleTest, PostStartHoldsBackTheContainerAndTheNextOne) {
  keepJournal();
  execTimes_["begin"] = seconds(3);
  boot();
  auto pod = makePod("web", {"main", "next"});
  setHook(*main(pod).mutable_lifecycle()->mutable_poststart(), "begin");
  setProbe(*main(pod).mutable_readinessprobe(), "ready", 10, 3);
  add(pod);
  clock_.advance(milliseconds(2500));
  EXPECT_EQ(container("web").state().waiting().reason(), "ContainerCreating");
  EXPECT_EQ(status("web").phase(), "Pending");
  clock_.advance(seconds(1));
  EXPECT_THAT(happened(), ElementsAre("0 start main", "0 begin", "3 ready", "3 start next"));
  EXPECT_EQ(status("web").phase(), "Running");
}

TEST_P(PodLifecycleTest, AFailedPostStartKillsTheContainer) {
  keepJournal();
  execCodes_["begin"] = 1;
  boot();
  auto pod = makePod("web");
  setHook(*main(pod).mutable_lifecycle()->mutable_poststart(), "begin");
  add(pod);
  clock_.advance(seconds(1));
  EXPECT_THAT(happened(), ElementsAre("0 start main", "0 begin", "0 term main", "0 start main",
                                      "0 begin", "0 term main"));
  EXPECT_EQ(container("web").state().waiting().reason(), "CrashLoopBackOff");
  EXPECT_EQ(eventMessage("FailedPostStartHook"), "PostStartHook failed");
  EXPECT_EQ(eventMessage("Killing"), "FailedPostStartHook");
}

TEST_P(PodLifecycleTest, PreStopCountsAgainstTheGracePeriod) {
  keepJournal();
  execTimes_["bye"] = seconds(4);
  runtime_.setScript([](const ContainerSpec&) { return ContainerScript{.ignoresTerm = true}; });
  boot();
  auto pod = makePod("web");
  setHook(*main(pod).mutable_lifecycle()->mutable_prestop(), "bye");
  add(pod);
  happened();
  remove("web", 10);
  clock_.advance(seconds(20));
  EXPECT_THAT(happened(), ElementsAre("0 bye", "4 term main", "10 kill main"));
  EXPECT_FALSE(exists("web"));
}

TEST_P(PodLifecycleTest, ASlowPreStopIsCutOffAndTwoSecondsRemain) {
  keepJournal();
  execTimes_["bye"] = minutes(5);
  runtime_.setScript([](const ContainerSpec&) { return ContainerScript{.ignoresTerm = true}; });
  boot();
  auto pod = makePod("web");
  setHook(*main(pod).mutable_lifecycle()->mutable_prestop(), "bye");
  add(pod);
  happened();
  remove("web", 10);
  clock_.advance(seconds(3));
  remove("web", 4);  // a shorter grace period reaches the hook, too
  clock_.advance(seconds(20));
  EXPECT_THAT(happened(), ElementsAre("0 bye", "7 term main", "9 kill main"));
  EXPECT_FALSE(exists("web"));
}

/// Takes one request and gives one answer.
Co<void> serveOnce(std::unique_ptr<ByteStream> stream, std::string answer) {
  std::byte buffer[4096];
  (void)co_await stream->read(buffer);
  (void)co_await stream->write(std::as_bytes(std::span(answer)));
}

TEST_P(PodLifecycleTest, AnHttpsHookFallsBackToAServerOfPlainHttp) {
  std::string answer = "HTTP/1.0 400 Bad Request\r\n\r\n";
  dialer_.setAnswer([&](const net::IpAddress&, std::uint16_t) {
    auto [client, server] = transport::makeMemoryPipe();
    asio::co_spawn(io_, serveOnce(std::move(server), answer), asio::detached);
    return Result<std::unique_ptr<ByteStream>>(std::move(client));
  });
  boot();
  auto pod = makePod("web");
  auto& get = *main(pod).mutable_lifecycle()->mutable_poststart()->mutable_httpget();
  get.set_scheme("HTTPS");
  get.set_path("/begin");
  get.mutable_port()->set_intval(8443);
  add(pod);
  EXPECT_TRUE(ready("web"));
  EXPECT_EQ(eventMessage("LifecycleHTTPSFallback"),
            "request to HTTPS lifecycle hook 10.244.1.2:8443 got HTTP response, retry with HTTP "
            "succeeded");
  EXPECT_EQ(eventCount("FailedPostStartHook"), 0);
  answer = "SSH-2.0-OpenSSH\r\n";
  pod.mutable_metadata()->set_name("other");
  add(pod);
  EXPECT_FALSE(ready("other"));
  EXPECT_EQ(eventCount("LifecycleHTTPSFallback"), 1);
}

TEST_P(PodLifecycleTest, PreStopIsNotForContainersThatEndByThemselves) {
  keepJournal();
  runtime_.setScript([](const ContainerSpec&) { return ContainerScript{.runsFor = seconds(2)}; });
  boot();
  auto pod = makePod("job");
  pod.mutable_spec()->set_restartpolicy("Never");
  setHook(*main(pod).mutable_lifecycle()->mutable_prestop(), "bye");
  add(pod);
  clock_.advance(seconds(5));
  remove("job");
  EXPECT_THAT(happened(), ElementsAre("0 start main"));
}

TEST_P(PodLifecycleTest, SleepHooksSleepAndEndWithTheContainer) {
  keepJournal();
  boot();
  auto pod = makePod("web");
  main(pod).mutable_lifecycle()->mutable_prestop()->mutable_sleep()->set_seconds(5);
  auto uid = add(pod);
  happened();
  remove("web");
  clock_.advance(seconds(6));
  EXPECT_THAT(happened(), ElementsAre("5 term main"));
  EXPECT_FALSE(exists("web"));
  uid = add(pod);
  remove("web");
  clock_.advance(seconds(1));
  runtime_.exit(uid + "_main_0", 0);
  clock_.advance(milliseconds(1));
  EXPECT_FALSE(exists("web"));
}

TEST_P(PodLifecycleTest, WithoutAGracePeriodThereAreTwoSeconds) {
  keepJournal();
  runtime_.setScript([](const ContainerSpec&) { return ContainerScript{.ignoresTerm = true}; });
  boot();
  auto pod = makePod("web");
  pod.mutable_spec()->set_terminationgraceperiodseconds(0);
  add(pod);
  happened();
  remove("web", 0);
  clock_.advance(seconds(5));
  EXPECT_THAT(happened(), ElementsAre("0 term main", "2 kill main"));
}

// --- termination messages

TEST_P(PodLifecycleTest, TheMessageFileSpeaksForTheContainer) {
  boot();
  auto pod = makePod("web");
  main(pod).set_terminationmessagepath("/dev/termination-log");
  main(pod).set_terminationmessagepolicy("File");
  auto uid = add(pod);
  const auto& mounts = runtime_.running(uid + "_main_0")->mounts;
  auto mount = std::ranges::find(mounts, "/dev/termination-log", &Mount::destination);
  ASSERT_NE(mount, mounts.end());
  const std::string file = mount->source;
  ASSERT_TRUE(files_.writeFileAtomic(file, std::string(5000, 'x') + "end\xff", 0666, false).ok());
  runtime_.exit(uid + "_main_0", 3);
  clock_.advance(seconds(1));
  const auto message = container("web").laststate().terminated().message();
  EXPECT_THAT(message, ::testing::EndsWith("xxxend\xef\xbf\xbd"));
  EXPECT_EQ(message.size(), 4096U + 2);
  EXPECT_FALSE(files_.exists(file));
}

TEST_P(PodLifecycleTest, TheLogSpeaksWhenAskedTo) {
  boot();
  auto pod = makePod("web");
  pod.mutable_spec()->set_restartpolicy("Never");
  main(pod).set_terminationmessagepath("/dev/termination-log");
  main(pod).set_terminationmessagepolicy("FallbackToLogsOnError");
  auto uid = add(pod);
  std::string log;
  for (int i = 0; i < 100; ++i)
    log += "2026-01-01T00:00:00.000000000Z stderr F line " + std::to_string(i) + "\n";
  const auto path = runtime_.running(uid + "_main_0")->logPath;
  ASSERT_TRUE(files_.writeFileAtomic(path, log, 0600, false).ok());
  runtime_.exit(uid + "_main_0", 3);
  clock_.advance(seconds(1));
  const auto message = container("web").state().terminated().message();
  EXPECT_THAT(message, ::testing::StartsWith("line 20\n"));
  EXPECT_THAT(message, ::testing::EndsWith("line 99\n"));
}

// --- sidecars

TEST_P(PodLifecycleTest, SidecarsStartInOrderAndStayAndEndLast) {
  keepJournal();
  execCodes_["up"] = 1;
  runtime_.setScript([](const ContainerSpec& spec) {
    ContainerScript script;
    script.stopTakes = seconds(1);
    if (spec.name == "init") script.runsFor = seconds(2);
    return script;
  });
  boot();
  auto pod = makePod("web");
  auto& proxy = addSidecar(pod, "proxy");
  setProbe(*proxy.mutable_startupprobe(), "up", 1, 10);
  addInit(pod, "init");
  addSidecar(pod, "logger");
  add(pod);
  clock_.advance(milliseconds(2500));
  EXPECT_THAT(happened(), ElementsAre("0 start proxy", "0 up", "1 up", "2 up"));
  EXPECT_EQ(status("web").phase(), "Pending");
  execCodes_["up"] = 0;
  clock_.advance(seconds(3));
  EXPECT_THAT(happened(), ElementsAre("3 up", "3 start init", "5 start logger", "5 start main"));
  EXPECT_EQ(status("web").phase(), "Running");
  EXPECT_TRUE(ready("web"));
  EXPECT_TRUE(status("web").initcontainerstatuses(0).started());
  EXPECT_TRUE(status("web").initcontainerstatuses(0).ready());
  EXPECT_TRUE(status("web").initcontainerstatuses(0).state().has_running());
  remove("web");
  clock_.advance(seconds(4));
  EXPECT_THAT(happened(), ElementsAre("5 term main", "6 term logger", "7 term proxy"));
  EXPECT_FALSE(exists("web"));
}

TEST_P(PodLifecycleTest, SidecarsRestartUnderNeverAndDoNotKeepAPodAlive) {
  keepJournal();
  runtime_.setScript([](const ContainerSpec& spec) {
    ContainerScript script;
    if (spec.name == "main") script.runsFor = seconds(30);
    if (spec.name == "proxy" && spec.id.ends_with("_0")) {
      script.runsFor = seconds(5);
      script.exitCode = 1;
    }
    return script;
  });
  boot();
  auto pod = makePod("job");
  pod.mutable_spec()->set_restartpolicy("Never");
  addSidecar(pod, "proxy");
  add(pod);
  clock_.advance(seconds(6));
  EXPECT_THAT(happened(), ElementsAre("0 start proxy", "0 start main", "5 start proxy"));
  EXPECT_EQ(status("job").phase(), "Running");
  EXPECT_EQ(status("job").initcontainerstatuses(0).restartcount(), 1);
  clock_.advance(seconds(30));
  EXPECT_THAT(happened(), ElementsAre("30 term proxy"));
  EXPECT_EQ(status("job").phase(), "Succeeded");
  EXPECT_EQ(runtime_.runningCount(), 0U);
  EXPECT_TRUE(dataplane_.sandboxes().empty());
}

TEST_P(PodLifecycleTest, AnUnreadySidecarMakesThePodUnready) {
  keepJournal();
  boot();
  auto pod = makePod("web");
  setProbe(*addSidecar(pod, "proxy").mutable_readinessprobe(), "ready", 5, 1);
  add(pod);
  EXPECT_TRUE(ready("web"));
  execCodes_["ready"] = 1;
  clock_.advance(seconds(5));
  EXPECT_FALSE(ready("web"));
  EXPECT_EQ(api::findCondition(status("web"), "Ready")->message(),
            "containers with unready status: [proxy]");
  EXPECT_TRUE(api::isTrue(status("web"), "Initialized"));
}

TEST_P(PodLifecycleTest, ASidecarThatRestartsDoesNotTakeThePodBack) {
  keepJournal();
  runtime_.setScript([](const ContainerSpec& spec) {
    return ContainerScript{.runsFor = spec.name == "init" ? std::optional<Duration>(seconds(1))
                                                          : std::nullopt};
  });
  boot();
  auto pod = makePod("web");
  addSidecar(pod, "proxy");
  addInit(pod, "init");
  auto uid = add(pod);
  clock_.advance(seconds(2));
  ASSERT_TRUE(ready("web"));
  happened();
  runtime_.exit(uid + "_proxy_0", 1);
  clock_.runUntilIdle();
  runtime_.exit(uid + "_proxy_1", 1);
  clock_.advance(seconds(1));
  EXPECT_THAT(happened(), ElementsAre("2 start proxy"));
  EXPECT_EQ(status("web").phase(), "Running");
  EXPECT_FALSE(ready("web"));
  EXPECT_TRUE(api::isTrue(status("web"), "Initialized"));
  clock_.advance(seconds(10));
  EXPECT_THAT(happened(), ElementsAre("12 start proxy"));
  EXPECT_TRUE(ready("web"));
}

// --- deadlines

TEST_P(PodLifecycleTest, APodEndsAtItsDeadline) {
  keepJournal();
  runtime_.setScript([](const ContainerSpec&) { return ContainerScript{.stopTakes = seconds(2)}; });
  boot();
  auto pod = makePod("web");
  pod.mutable_spec()->set_activedeadlineseconds(20);
  add(pod);
  clock_.advance(seconds(21));
  EXPECT_EQ(status("web").phase(), "Running");
  clock_.advance(seconds(2));
  EXPECT_THAT(happened(), ElementsAre("0 start main", "20 term main"));
  EXPECT_EQ(status("web").phase(), "Failed");
  EXPECT_EQ(status("web").reason(), "DeadlineExceeded");
  EXPECT_EQ(status("web").message(),
            "Pod was active on the node longer than the specified deadline");
  EXPECT_EQ(eventCount("DeadlineExceeded"), 1);
  EXPECT_TRUE(exists("web"));
  EXPECT_TRUE(dataplane_.sandboxes().empty());
  // It stays so with another agent, also when the clock was set back.
  const auto before = status("web");
  stop();
  launch();
  clock_.advance(minutes(10));
  EXPECT_EQ(status("web").SerializeAsString(), before.SerializeAsString());
  EXPECT_EQ(runtime_.starts(), 1U);
}

TEST_P(PodLifecycleTest, ADeadlineOutlivesTheAgent) {
  boot();
  auto pod = makePod("web");
  pod.mutable_spec()->set_activedeadlineseconds(20);
  add(pod);
  clock_.advance(seconds(15));
  stop();
  launch();
  clock_.advance(seconds(4));
  EXPECT_EQ(status("web").phase(), "Running");
  clock_.advance(seconds(2));
  EXPECT_EQ(status("web").reason(), "DeadlineExceeded");
}

TEST_P(PodLifecycleTest, ADeadlineEndsAPodThatNeverStarted) {
  images_.setMissing("app:1", true);
  boot();
  auto pod = makePod("web");
  pod.mutable_spec()->set_activedeadlineseconds(20);
  add(pod);
  clock_.advance(seconds(60));
  EXPECT_EQ(status("web").phase(), "Failed");
  EXPECT_EQ(status("web").reason(), "DeadlineExceeded");
}

// --- ephemeral containers

corev1::EphemeralContainer debugger(const std::string& name, const std::string& target = "") {
  corev1::EphemeralContainer added;
  added.mutable_ephemeralcontainercommon()->set_name(name);
  added.mutable_ephemeralcontainercommon()->set_image("debug:1");
  if (!target.empty()) added.set_targetcontainername(target);
  return added;
}

TEST_P(PodLifecycleTest, EphemeralContainersJoinTheRunningPod) {
  keepJournal();
  runtime_.setScript([](const ContainerSpec& spec) {
    ContainerScript script;
    if (spec.name == "debug") script.runsFor = seconds(5);
    return script;
  });
  boot();
  auto uid = add(makePod("web"));
  auto pod = *api_.find<corev1::Pod>("default/web");
  *pod.mutable_spec()->add_ephemeralcontainers() = debugger("debug", "main");
  add(pod);
  const auto* spec = runtime_.running(uid + "_debug_0");
  ASSERT_NE(spec, nullptr);
  EXPECT_THAT(spec->pidNamespace, ::testing::MatchesRegex("/proc/[0-9]+/ns/pid"));
  EXPECT_EQ(spec->namespaces.network, runtime_.running(uid + "_main_0")->namespaces.network);
  EXPECT_TRUE(status("web").ephemeralcontainerstatuses(0).state().has_running());
  EXPECT_TRUE(agent_->pods()->find("default", "web")->access("debug")->running);
  stop();
  launch();
  clock_.advance(seconds(20));
  EXPECT_THAT(happened(), ElementsAre("0 start main", "0 start debug"));
  EXPECT_EQ(status("web").ephemeralcontainerstatuses(0).state().terminated().reason(), "Completed");
  EXPECT_TRUE(ready("web"));
  remove("web");
  EXPECT_FALSE(exists("web"));
}

TEST_P(PodLifecycleTest, ItsEndIsWrittenOnceWithThatOfItsSandbox) {
  runtime_.setScript([](const ContainerSpec&) {
    ContainerScript script;
    script.runsFor = seconds(5);
    return script;
  });
  boot();
  auto pod = makePod("job");
  pod.mutable_spec()->set_restartpolicy("Never");
  add(pod);
  ASSERT_EQ(status("job").phase(), "Running");
  api::WatchOptions options;
  options.resourceVersion = std::to_string(api_.revision());
  const auto watch = *sim::runInSim(
      clock_, api_.watch({&api::kindFor<corev1::Pod>(), "", "", ""}, std::move(options)));
  clock_.advance(seconds(6));
  const auto first = sim::runInSim(clock_, watch->next());
  ASSERT_TRUE(first);
  EXPECT_EQ(api::as<corev1::Pod>(first->object).status().phase(), "Succeeded");
  EXPECT_EQ(api::meta(*first->object).resourceversion(),
            api_.find<corev1::Pod>("default/job")->metadata().resourceversion());
  EXPECT_TRUE(dataplane_.sandboxes().empty());
}

TEST_P(PodLifecycleTest, EphemeralContainersDoNotKeepAPodAlive) {
  runtime_.setScript([](const ContainerSpec& spec) {
    ContainerScript script;
    if (spec.name == "main") script.runsFor = seconds(5);
    return script;
  });
  boot();
  auto pod = makePod("job");
  pod.mutable_spec()->set_restartpolicy("OnFailure");
  add(pod);
  pod = *api_.find<corev1::Pod>("default/job");
  *pod.mutable_spec()->add_ephemeralcontainers() = debugger("debug");
  add(pod);
  ASSERT_EQ(runtime_.runningCount(), 2U);
  clock_.advance(seconds(6));
  EXPECT_EQ(status("job").phase(), "Succeeded");
  EXPECT_EQ(runtime_.runningCount(), 0U);
}

TEST_P(PodLifecycleTest, EphemeralContainersBringReferencesOfTheirOwn) {
  boot();
  auto uid = add(makePod("web"));
  auto pod = *api_.find<corev1::Pod>("default/web");
  auto added = debugger("debug");
  auto& variable = *added.mutable_ephemeralcontainercommon()->add_env();
  variable.set_name("COLOR");
  auto& reference = *variable.mutable_valuefrom()->mutable_configmapkeyref();
  reference.mutable_localobjectreference()->set_name("settings");
  reference.set_key("color");
  *pod.mutable_spec()->add_ephemeralcontainers() = added;
  add(pod);
  EXPECT_EQ(runtime_.running(uid + "_debug_0"), nullptr);
  clock_.advance(milliseconds(200));
  EXPECT_EQ(status("web").ephemeralcontainerstatuses(0).state().waiting().message(),
            "configmap \"settings\" not found");
  corev1::ConfigMap map;
  map.mutable_metadata()->set_name("settings");
  map.mutable_metadata()->set_namespace_("default");
  (*map.mutable_data())["color"] = "blue";
  api_.put(map);
  clock_.runUntilIdle();
  ASSERT_NE(runtime_.running(uid + "_debug_0"), nullptr);
  EXPECT_THAT(runtime_.running(uid + "_debug_0")->env, ::testing::Contains("COLOR=blue"));
}

TEST_P(PodLifecycleTest, AnAbsentTargetIsToldAndWaitedFor) {
  runtime_.setScript([](const ContainerSpec& spec) {
    ContainerScript script;
    if (spec.name == "main" && spec.id.ends_with("_0")) script.runsFor = seconds(5);
    script.exitCode = 1;
    return script;
  });
  boot();
  auto pod = makePod("web");
  auto uid = add(pod);
  clock_.advance(seconds(6));
  runtime_.exit(uid + "_main_1", 1);
  clock_.runUntilIdle();  // in back-off
  pod = *api_.find<corev1::Pod>("default/web");
  *pod.mutable_spec()->add_ephemeralcontainers() = debugger("debug", "main");
  add(pod);
  clock_.advance(milliseconds(200));
  EXPECT_THAT(status("web").ephemeralcontainerstatuses(0).state().waiting().message(),
              HasSubstr("unable to find target container \"main\""));
  clock_.advance(seconds(20));
  EXPECT_NE(runtime_.running(uid + "_debug_0"), nullptr);
}

// --- with another agent

TEST_P(PodLifecycleTest, WhatProbesHaveFoundOutOutlivesTheAgent) {
  keepJournal();
  boot();
  auto pod = makePod("web");
  setProbe(*main(pod).mutable_startupprobe(), "up", 10, 3);
  setProbe(*main(pod).mutable_readinessprobe(), "ready", 10, 3);
  setProbe(*main(pod).mutable_livenessprobe(), "live", 10, 3);
  add(pod);
  clock_.advance(seconds(11));
  ASSERT_TRUE(ready("web"));
  happened();
  execCodes_["up"] = 1;
  const auto before = status("web");
  stop();
  launch();
  EXPECT_EQ(status("web").SerializeAsString(), before.SerializeAsString());
  clock_.advance(seconds(10));
  EXPECT_THAT(happened(), ::testing::UnorderedElementsAre("20 ready", "20 live"));
  EXPECT_EQ(status("web").SerializeAsString(), before.SerializeAsString());
}

TEST_P(PodLifecycleTest, APostStartHookThatWasCutOffRunsAgain) {
  keepJournal();
  execTimes_["begin"] = seconds(10);
  boot();
  auto pod = makePod("web");
  setHook(*main(pod).mutable_lifecycle()->mutable_poststart(), "begin");
  add(pod);
  clock_.advance(seconds(5));
  stop();
  launch();
  clock_.advance(seconds(20));
  EXPECT_THAT(happened(), ElementsAre("0 start main", "0 begin", "5 begin"));
  EXPECT_TRUE(ready("web"));
  stop();
  launch();
  clock_.advance(seconds(20));
  EXPECT_THAT(happened(), IsEmpty());
}

TEST_P(PodLifecycleTest, APreStopHookThatHasEndedIsNotRepeated) {
  keepJournal();
  runtime_.setScript([](const ContainerSpec&) { return ContainerScript{.stopTakes = seconds(9)}; });
  execTimes_["bye"] = seconds(4);
  boot();
  auto pod = makePod("web");
  setHook(*main(pod).mutable_lifecycle()->mutable_prestop(), "bye");
  add(pod);
  happened();
  remove("web");
  clock_.advance(seconds(5));
  stop();
  launch();
  clock_.advance(seconds(20));
  EXPECT_THAT(happened(), ElementsAre("0 bye", "4 term main", "5 term main"));
  EXPECT_FALSE(exists("web"));
}

}  // namespace
}  // namespace podlab::node
