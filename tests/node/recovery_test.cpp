// An agent dies and another takes its place: nothing is lost, nothing runs twice, nothing stays
// behind.
#include <gmock/gmock.h>

#include <map>
#include <set>

#include "node_fixture.hpp"
#include "sim/crashing_host.hpp"

namespace podlab::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;

class RecoveryTest : public PodTest {
 protected:
  /// Kills the agent as it stands and starts another.
  void crashAndRestart() {
    ASSERT_NE(world_, nullptr);
    world_->point.kill();
    clock_.runUntilIdle();
    dispose();
    launch();
  }
  void launchMortal(int at = -1, bool afterEffect = false) {
    world_ = std::make_unique<sim::CrashingWorld>(dependencies(), at, afterEffect);
    launch(world_->dependencies());
  }
  /// Removes the dead agent's coroutines; nothing that they do has an effect any more.
  void dispose() {
    world_->point.kill();
    stop();
    world_.reset();
    clock_.runUntilIdle();
  }
  void TearDown() override {
    stop();
    world_.reset();
  }
  void expectNothingLeft() {
    EXPECT_EQ(runtime_.runningCount(), 0U);
    auto leftovers = sim::runInSim(clock_, runtime_.list());
    for (const auto& left : *leftovers) {
      ADD_FAILURE() << left.id << " is left, in state " << static_cast<int>(left.state);
    }
    EXPECT_TRUE(dataplane_.sandboxes().empty());
    EXPECT_TRUE(volumes_.pods().empty());
    for (const auto& [path, content] : files_.files())
      EXPECT_FALSE(path.starts_with("/state/pods")) << path;
    EXPECT_EQ(agent_->pods()->size(), 0U);
  }

  std::unique_ptr<sim::CrashingWorld> world_;
};

INSTANTIATE_TEST_SUITE_P(Workers, RecoveryTest, workersStayAndGo(), workerName);

TEST_P(RecoveryTest, RunningPodsGoOn) {
  giveRange();
  launchMortal();
  auto uid = add(makePod("web", {"a", "b"}));
  ASSERT_TRUE(ready("web"));
  auto before = status("web");
  auto starts = runtime_.starts();
  clock_.advance(seconds(5));
  crashAndRestart();
  clock_.advance(minutes(2));
  EXPECT_EQ(runtime_.starts(), starts);
  EXPECT_EQ(status("web").SerializeAsString(), before.SerializeAsString());
  // Still its own: it is stopped when it is deleted.
  remove("web");
  expectNothingLeft();
}

TEST_P(RecoveryTest, PodsThatComeWhileTheFirstAreReportedStay) {
  giveRange();
  launchMortal();
  add(makePod("web"));
  world_->point.kill();
  runtime_.reboot();
  dataplane_.reboot();
  dispose();
  // The status of the pod that was there is long in coming.
  api_.failNext(fakes::Verb::kUpdate, Status(Code::kUnavailable, "away"), 6);
  launch();
  add(makePod("late"));
  clock_.advance(minutes(1));
  EXPECT_TRUE(ready("web"));
  EXPECT_TRUE(ready("late"));
  EXPECT_EQ(runtime_.runningCount(), 2U);
}

TEST_P(RecoveryTest, ExitsInBetweenAreSeen) {
  giveRange();
  launchMortal();
  auto job = makePod("job");
  job.mutable_spec()->set_restartpolicy("Never");
  auto jobUid = add(job);
  auto webUid = add(makePod("web"));
  clock_.advance(seconds(5));
  world_->point.kill();
  runtime_.exit(jobUid + "_main_0", 4);
  runtime_.exit(webUid + "_main_0", 5);
  clock_.advance(seconds(60));
  crashAndRestart();
  EXPECT_EQ(status("job").phase(), "Failed");
  EXPECT_EQ(container("job").state().terminated().exitcode(), 4);
  EXPECT_TRUE(ready("web"));
  EXPECT_EQ(container("web").restartcount(), 1);
  EXPECT_EQ(container("web").laststate().terminated().exitcode(), 5);
}

TEST_P(RecoveryTest, BackOffGoesOn) {
  runtime_.setScript([](const ContainerSpec&) {
    ContainerScript script;
    script.runsFor = seconds(1);
    script.exitCode = 1;
    return script;
  });
  std::vector<int> starts;
  runtime_.onStart([&](const ContainerSpec&) {
    starts.push_back(static_cast<int>((clock_.wallNow() - sim::SimClock::kStart) / seconds(1)));
  });
  giveRange();
  launchMortal();
  add(makePod("web"));
  clock_.advance(seconds(60));
  crashAndRestart();
  clock_.advance(seconds(120));
  EXPECT_EQ(starts, (std::vector<int>{0, 1, 12, 33, 74, 155}));
  EXPECT_EQ(container("web").restartcount(), 5);
}

TEST_P(RecoveryTest, AClockSetBackStopsNothing) {
  runtime_.setScript([](const ContainerSpec&) {
    ContainerScript script;
    script.runsFor = seconds(1);
    script.exitCode = 1;
    return script;
  });
  std::vector<int> starts;
  const auto begin = clock_.now();
  runtime_.onStart([&](const ContainerSpec&) {
    starts.push_back(static_cast<int>((clock_.now() - begin) / seconds(1)));
  });
  giveRange();
  launchMortal();
  add(makePod("web"));
  clock_.advance(seconds(20));
  clock_.adjustWall(-std::chrono::hours(1));
  clock_.advance(seconds(20));
  EXPECT_EQ(starts, (std::vector<int>{0, 1, 12, 33}));
  // The next agent finds an end in the future: it waits for the whole delay, and no longer.
  clock_.adjustWall(-std::chrono::hours(1));
  crashAndRestart();
  clock_.advance(seconds(60));
  EXPECT_EQ(starts, (std::vector<int>{0, 1, 12, 33, 80}));
  remove("web", 0);
  EXPECT_FALSE(exists("web"));
}

TEST_P(RecoveryTest, PodsDeletedMeanwhileAreStopped) {
  giveRange();
  launchMortal();
  add(makePod("gone"));
  add(makePod("going"));
  add(makePod("stays"));
  world_->point.kill();
  api_.erase(api::kindFor<corev1::Pod>(), "default/gone");
  remove("going");
  crashAndRestart();
  clock_.advance(seconds(31));
  EXPECT_FALSE(exists("going"));
  EXPECT_EQ(runtime_.runningCount(), 1U);
  EXPECT_EQ(dataplane_.sandboxes().size(), 1U);
  EXPECT_TRUE(ready("stays"));
}

TEST_P(RecoveryTest, WithoutTheServerPodsRunAndRestart) {
  giveRange();
  launchMortal();
  auto uid = add(makePod("web"));
  world_->point.kill();
  for (auto verb : {fakes::Verb::kList, fakes::Verb::kWatch, fakes::Verb::kGet,
                    fakes::Verb::kCreate, fakes::Verb::kUpdate, fakes::Verb::kRemove}) {
    api_.failNext(verb, Status(Code::kUnavailable, "away"), 100000);
  }
  crashAndRestart();
  ASSERT_TRUE(dataplane_.network().has_value());
  ASSERT_NE(runtime_.running(uid + "_main_0"), nullptr);
  clock_.advance(seconds(30));
  runtime_.exit(uid + "_main_0", 1);
  clock_.runUntilIdle();
  EXPECT_NE(runtime_.running(uid + "_main_1"), nullptr);
  runtime_.exit(uid + "_main_1", 1);
  clock_.advance(seconds(10));
  EXPECT_NE(runtime_.running(uid + "_main_2"), nullptr);
}

TEST_P(RecoveryTest, ARebootStartsPodsAnewWithTheSameAddress) {
  runtime_.setScript([](const ContainerSpec& spec) {
    ContainerScript script;
    if (spec.name == "init") script.runsFor = seconds(1);
    return script;
  });
  std::vector<std::string> order;
  runtime_.onStart([&](const ContainerSpec& spec) { order.push_back(spec.name); });
  giveRange();
  launchMortal();
  add(makePod("other"));
  auto pod = makePod("web");
  addInit(pod, "init");
  add(pod);
  auto job = makePod("job");
  job.mutable_spec()->set_restartpolicy("Never");
  add(job);
  clock_.advance(seconds(10));
  ASSERT_TRUE(ready("web"));
  auto address = status("web").podip();
  world_->point.kill();
  runtime_.reboot();
  dataplane_.reboot();
  order.clear();
  crashAndRestart();
  clock_.advance(seconds(2));
  EXPECT_TRUE(ready("web"));
  EXPECT_EQ(status("web").podip(), address);
  EXPECT_EQ(container("web").restartcount(), 1);
  EXPECT_EQ(container("web").laststate().terminated().reason(), "ContainerStatusUnknown");
  EXPECT_EQ(std::count(order.begin(), order.end(), "init"), 1);
  EXPECT_EQ(order.back(), "main");
  EXPECT_EQ(status("job").phase(), "Failed");
}

TEST_P(RecoveryTest, FinishedPodsStayFinished) {
  runtime_.setScript([](const ContainerSpec&) {
    ContainerScript script;
    script.runsFor = seconds(1);
    return script;
  });
  giveRange();
  launchMortal();
  auto job = makePod("job");
  job.mutable_spec()->set_restartpolicy("Never");
  add(job);
  clock_.advance(seconds(5));
  ASSERT_EQ(status("job").phase(), "Succeeded");
  auto before = status("job");
  crashAndRestart();
  clock_.advance(seconds(60));
  EXPECT_EQ(runtime_.starts(), 1U);
  EXPECT_EQ(status("job").SerializeAsString(), before.SerializeAsString());
  remove("job");
  expectNothingLeft();
}

TEST_P(RecoveryTest, ALostRecordIsMadeUpForByServerAndRuntime) {
  giveRange();
  launchMortal();
  auto uid = add(makePod("web"));
  runtime_.exit(uid + "_main_0", 9);
  clock_.advance(seconds(1));
  ASSERT_EQ(container("web").restartcount(), 1);
  world_->point.kill();
  auto path = PodFolder("/state", uid).record();
  ASSERT_TRUE(files_.writeFileAtomic(path, "rubbish", 0600, false).ok());
  auto orphan = makePod("orphan");
  crashAndRestart();
  clock_.advance(seconds(5));
  EXPECT_EQ(runtime_.starts(), 2U);
  EXPECT_TRUE(ready("web"));
  EXPECT_EQ(container("web").restartcount(), 1);
  EXPECT_EQ(container("web").laststate().terminated().exitcode(), 9);
  EXPECT_EQ(status("web").podip(), "10.244.1.2");
  remove("web");
  expectNothingLeft();
}

TEST_P(RecoveryTest, WhatBelongsToNoPodIsRemoved) {
  giveRange();
  launchMortal();
  auto uid = add(makePod("web"));
  world_->point.kill();
  api_.erase(api::kindFor<corev1::Pod>(), "default/web");
  ASSERT_TRUE(files_.removeFile(PodFolder("/state", uid).record()).ok());
  crashAndRestart();
  clock_.advance(seconds(1));
  expectNothingLeft();
}

/// Watches what must hold at each start of a container.
class StartInvariants {
 public:
  explicit StartInvariants(SimulatedRuntime& runtime) : runtime_(runtime) {}
  void check(const ContainerSpec& spec) {
    auto all = alive_[spec.podUid];
    for (const auto& id : all) {
      const auto* running = runtime_.running(id);
      if (running == nullptr) continue;
      EXPECT_NE(running->name, spec.name) << "two instances: " << id << " and " << spec.id;
      EXPECT_FALSE(running->name.starts_with("init"))
          << spec.id << " begins while " << id << " runs";
    }
    alive_[spec.podUid].insert(spec.id);
  }

 private:
  SimulatedRuntime& runtime_;
  std::map<std::string, std::set<std::string>> alive_;
};

void addSidecar(corev1::Pod& pod, const std::string& name) {
  addInit(pod, name);
  auto& spec = *pod.mutable_spec();
  spec.mutable_initcontainers(spec.initcontainers_size() - 1)->set_restartpolicy("Always");
}

void addHook(corev1::LifecycleHandler& hook, const char* command) {
  hook.mutable_exec()->add_command(command);
}

/// The whole life of a pod with an init container, a sidecar, hooks, a volume that changes, a crash
/// and a delete, with the agent dying once at every possible call.
TEST_P(RecoveryTest, SurvivesDeathAtEachStep) {
  int deaths = 0;
  for (bool afterEffect : {false, true}) {
    for (int at = 0;; ++at) {
      SCOPED_TRACE("death at call " + std::to_string(at) + (afterEffect ? " after" : " before") +
                   " its effect");
      StartInvariants invariants(runtime_);
      runtime_.onStart([&](const ContainerSpec& spec) { invariants.check(spec); });
      runtime_.setScript([](const ContainerSpec& spec) {
        ContainerScript script;
        script.startTakes = milliseconds(15);
        script.stopTakes = seconds(1);
        if (spec.name == "init") script.runsFor = seconds(1);
        if (spec.name == "flaky" && spec.id.ends_with("_0")) script.runsFor = seconds(2);
        return script;
      });
      std::map<std::string, int> hooks;
      runtime_.setExecScript([&](const std::string&, const ExecSpec& spec) {
        ++hooks[spec.argv[0]];
        return ExecScript{.exitCode = 0, .out = "", .takes = milliseconds(300)};
      });
      giveRange();
      launchMortal(at, afterEffect);
      auto pod = makePod("web", {"main", "flaky"});
      addSidecar(pod, "proxy");
      addInit(pod, "init");
      pod.mutable_spec()->add_volumes()->set_name("config");
      pod.mutable_spec()
          ->mutable_volumes(0)
          ->mutable_volumesource()
          ->mutable_configmap()
          ->mutable_localobjectreference()
          ->set_name("settings");
      auto& mount = *pod.mutable_spec()->mutable_containers(0)->add_volumemounts();
      mount.set_name("config");
      mount.set_mountpath("/config");
      mount.set_subpath("color");
      corev1::ConfigMap settings;
      settings.mutable_metadata()->set_name("settings");
      settings.mutable_metadata()->set_namespace_("default");
      (*settings.mutable_data())["color"] = "blue";
      api_.put(settings);
      auto& lifecycle = *pod.mutable_spec()->mutable_containers(0)->mutable_lifecycle();
      addHook(*lifecycle.mutable_poststart(), "begin");
      addHook(*lifecycle.mutable_prestop(), "bye");
      api_.put(pod);
      auto restartIfDead = [&] {
        if (world_ == nullptr || !world_->point.dead()) return;
        ++deaths;
        dispose();
        launch();
      };
      for (int step = 0; step < 40; ++step) {
        clock_.advance(milliseconds(250));
        restartIfDead();
        if (step != 16) continue;
        (*settings.mutable_data())["color"] = "red";
        api_.put(settings);
      }
      EXPECT_TRUE(ready("web")) << status("web").DebugString();
      const auto& volume = volumes_.pods().at(uidOf("web")).volumes.at("config");
      EXPECT_EQ(volume.files->at("color").content, "red");
      EXPECT_EQ(container("web").restartcount(), 0);
      EXPECT_EQ(container("web", 1).restartcount(), 1);
      EXPECT_EQ(runtime_.runningCount(), 3U);
      // At least once, and again only when the agent died meanwhile.
      EXPECT_GE(hooks["begin"], 1);
      EXPECT_LE(hooks["begin"], 2);
      remove("web");
      for (int step = 0; step < 40; ++step) {
        clock_.advance(milliseconds(250));
        restartIfDead();
      }
      EXPECT_FALSE(exists("web"));
      EXPECT_GE(hooks["bye"], 1);
      EXPECT_LE(hooks["bye"], 2);
      bool survived = world_ != nullptr && !world_->point.dead();
      // The lease goes on for ever: the last steps are those of the pod's life.
      clock_.advance(seconds(1));
      expectNothingLeft();
      stop();
      world_.reset();
      runtime_.onStart(nullptr);
      if (HasFailure() || survived) break;
    }
  }
  EXPECT_GT(deaths, 60);
}

/// Random pods, exits, deletes, failures and deaths of the agent; in the end all is as the server
/// says.
TEST_P(RecoveryTest, RandomLifeConverges) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRng rng(seed);
    StartInvariants invariants(runtime_);
    runtime_.onStart([&](const ContainerSpec& spec) { invariants.check(spec); });
    runtime_.setScript([&](const ContainerSpec& spec) {
      ContainerScript script;
      script.startTakes = milliseconds(rng.below(50));
      script.stopTakes = milliseconds(rng.below(3000));
      script.ignoresTerm = rng.chance(0.2);
      script.exitCode = static_cast<int>(rng.below(2));
      if (rng.chance(0.05)) script.startFails = Status(Code::kInternal, "trouble");
      if (rng.chance(0.05)) script.startFails = Status(Code::kNotFound, "no such program");
      if (rng.chance(0.3) || spec.name.starts_with("init"))
        script.runsFor = milliseconds(rng.below(20000));
      return script;
    });
    dataplane_.setSandboxScript([&](const SandboxSpec&) {
      SimulatedDataplane::SandboxScript script;
      script.takes = milliseconds(rng.below(20));
      if (rng.chance(0.1)) script.fails = Status(Code::kInternal, "trouble");
      return script;
    });
    runtime_.setExecScript([&](const std::string&, const ExecSpec&) {
      return ExecScript{
          .exitCode = rng.chance(0.2) ? 1 : 0, .out = "", .takes = milliseconds(rng.below(3000))};
    });
    giveRange();
    launchMortal();
    int made = 0;
    for (int step = 0; step < 200; ++step) {
      switch (rng.below(8)) {
        case 0:
        case 1: {
          auto pod = makePod("pod-" + std::to_string(made++), {"a", "b"});
          const char* policies[] = {"Always", "OnFailure", "Never"};
          pod.mutable_spec()->set_restartpolicy(policies[rng.below(3)]);
          pod.mutable_spec()->set_terminationgraceperiodseconds(static_cast<int>(rng.below(5)));
          if (rng.chance(0.4)) addInit(pod, "init-1");
          if (rng.chance(0.2)) addInit(pod, "init-2");
          if (rng.chance(0.3)) addSidecar(pod, "side-1");
          if (rng.chance(0.2)) addSidecar(pod, "side-2");
          auto& first = *pod.mutable_spec()->mutable_containers(0);
          if (rng.chance(0.2)) addHook(*first.mutable_lifecycle()->mutable_poststart(), "begin");
          if (rng.chance(0.2)) addHook(*first.mutable_lifecycle()->mutable_prestop(), "bye");
          if (rng.chance(0.2))
            first.mutable_startupprobe()->mutable_handler()->mutable_exec()->add_command("up");
          if (rng.chance(0.2))
            first.mutable_livenessprobe()->mutable_handler()->mutable_exec()->add_command("live");
          if (rng.chance(0.1)) pod.mutable_spec()->set_activedeadlineseconds(10);
          api_.put(pod);
          break;
        }
        case 2:
        case 3: {
          if (made == 0) break;
          std::string name = "pod-" + std::to_string(rng.below(made));
          if (!exists(name)) break;
          if (rng.chance(0.2)) {
            api_.erase(api::kindFor<corev1::Pod>(), "default/" + name);
          } else if (rng.chance(0.2)) {
            remove(name, 0);
          } else {
            remove(name);
          }
          break;
        }
        case 4:
          api_.failNext(fakes::Verb::kUpdate, Status(Code::kUnavailable, "away"),
                        static_cast<int>(rng.below(5)));
          api_.failNext(fakes::Verb::kRemove, Status(Code::kUnavailable, "away"),
                        static_cast<int>(rng.below(3)));
          break;
        case 5:
          if (rng.chance(0.5)) api_.breakWatches(Status(Code::kUnavailable, "broken"));
          break;
        case 6:
          if (!rng.chance(0.3)) break;
          dispose();
          clock_.advance(milliseconds(rng.below(5000)));
          launchMortal();
          break;
        default:
          break;
      }
      clock_.advance(milliseconds(rng.below(2000)));
      std::map<std::string, std::string> owners;
      for (const auto& [uid, sandbox] : dataplane_.sandboxes()) {
        for (const auto& address : sandbox.addresses) {
          EXPECT_TRUE(owners.emplace(address.toString(), uid).second)
              << "address given twice: " << address.toString();
        }
      }
    }
    // Peace: nothing fails any more, and all that is to run runs.
    runtime_.setScript([](const ContainerSpec& spec) {
      ContainerScript script;
      if (spec.name.starts_with("init")) script.runsFor = seconds(1);
      return script;
    });
    runtime_.setExecScript(nullptr);
    dataplane_.setSandboxScript(nullptr);
    api_.clearFailures();
    for (int i = 0; i < 400; ++i) clock_.advance(seconds(3));
    std::set<std::string> alive;
    for (int i = 0; i < made; ++i) {
      std::string name = "pod-" + std::to_string(i);
      if (!exists(name)) continue;
      const auto now = status(name);
      const auto& phase = now.phase();
      EXPECT_NE(phase, "Pending") << name << " " << now.ShortDebugString();
      if (now.reason() == "DeadlineExceeded") {
        EXPECT_EQ(phase, "Failed");
        continue;
      }
      for (const auto& one : now.containerstatuses()) {
        bool over = one.state().has_terminated() &&
                    api_.find<corev1::Pod>("default/" + name)->spec().restartpolicy() != "Always";
        bool failedInit = phase == "Failed" && one.state().has_waiting();
        EXPECT_TRUE(one.ready() || over || failedInit) << name << " " << one.ShortDebugString();
      }
      if (phase == "Running") alive.insert(uidOf(name));
    }
    EXPECT_EQ(dataplane_.sandboxes().size(), alive.size());
    for (const auto& [uid, sandbox] : dataplane_.sandboxes())
      EXPECT_TRUE(alive.contains(uid)) << uid;
    for (int i = 0; i < made; ++i) {
      std::string name = "pod-" + std::to_string(i);
      if (exists(name)) remove(name);
    }
    clock_.advance(seconds(40));
    expectNothingLeft();
    stop();
    world_.reset();
    runtime_.onStart(nullptr);
    if (HasFailure()) break;
  }
}

}  // namespace
}  // namespace podlab::node
