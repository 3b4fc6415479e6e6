// The life of pods on one node: starts, exits, restarts, probes, deletion.
#include <gmock/gmock.h>

#include <algorithm>
#include <map>

#include "intstr.pb.h"

#include "node_fixture.hpp"

namespace podlab::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class PodLifeTest : public PodTest {};

INSTANTIATE_TEST_SUITE_P(Workers, PodLifeTest, workersStayAndGo(), workerName);

TEST_P(PodLifeTest, RunsAllContainersInOneSandbox) {
  boot();
  auto uid = add(makePod("web", {"main", "side"}));
  EXPECT_EQ(status("web").phase(), "Running");
  EXPECT_TRUE(ready("web"));
  EXPECT_EQ(status("web").podip(), "10.244.1.2");
  EXPECT_EQ(status("web").hostip(), "192.0.2.1");
  EXPECT_EQ(container("web", 1).containerid(), "simulated://" + uid + "_side_0");
  EXPECT_EQ(container("web", 1).imageid(), "simulated:app:1");
  ASSERT_NE(runtime_.running(uid + "_main_0"), nullptr);
  const auto& main = *runtime_.running(uid + "_main_0");
  EXPECT_EQ(main.namespaces.network, "simulated/" + uid + "/net");
  EXPECT_EQ(runtime_.running(uid + "_side_0")->namespaces.network, main.namespaces.network);
  EXPECT_EQ(main.logPath, "/state/pods/" + uid + "/main.0.log");
  EXPECT_THAT(volumes_.pods().at(uid).etc.at("hosts"), HasSubstr("10.244.1.2\tweb\n"));
  // One write of the status is enough for a pod that starts at once.
  EXPECT_EQ(eventCount("Started"), 2);
}

TEST_P(PodLifeTest, APodThatHasNothingToDoIsParked) {
  boot();
  add(makePod("web"));
  auto job = makePod("job");
  job.mutable_spec()->set_restartpolicy("Never");
  const auto uid = add(job);
  auto probed = makePod("probed");
  probed.mutable_spec()
      ->mutable_containers(0)
      ->mutable_livenessprobe()
      ->mutable_handler()
      ->mutable_tcpsocket();
  add(probed);
  clock_.advance(seconds(1));
  const std::size_t parks = GetParam() ? 1 : 0;
  EXPECT_EQ(agent_->pods()->parked(), 2 * parks);
  // What ends is seen, and the pod rests again.
  runtime_.exit(uid + "_main_0", 0);
  clock_.advance(seconds(1));
  EXPECT_EQ(status("job").phase(), "Succeeded");
  EXPECT_EQ(agent_->pods()->parked(), 2 * parks);
  // One that is asked for has a worker as it had before.
  const auto* worker = agent_->pods()->find("default", "web");
  ASSERT_NE(worker, nullptr);
  EXPECT_TRUE(worker->access("main")->running);
  EXPECT_EQ(agent_->pods()->parked(), parks);
  int before = api_.calls(fakes::Verb::kUpdate);
  clock_.advance(seconds(1));
  EXPECT_EQ(agent_->pods()->parked(), 2 * parks);
  EXPECT_EQ(api_.calls(fakes::Verb::kUpdate), before);
  EXPECT_EQ(agent_->pods()->size(), 3U);
  // Of one that has ended only the record is left to remove.
  const std::string record = "/state/pods/" + uid + "/record";
  ASSERT_EQ(files_.files().count(record), 1U);
  api_.erase(api::kindFor<corev1::Pod>(), "default/job");
  clock_.advance(seconds(1));
  EXPECT_EQ(agent_->pods()->size(), 2U);
  EXPECT_EQ(files_.files().count(record), 0U);
}

TEST_P(PodLifeTest, WritesTheStatusOnceWhenThePodStartsSwiftly) {
  runtime_.setScript(
      [](const ContainerSpec&) { return ContainerScript{.startTakes = milliseconds(20)}; });
  boot();
  int before = api_.calls(fakes::Verb::kUpdate);
  add(makePod("web", {"main", "side"}));
  clock_.advance(milliseconds(20));
  EXPECT_TRUE(ready("web"));
  clock_.advance(seconds(1));
  EXPECT_EQ(api_.calls(fakes::Verb::kUpdate) - before, 1);
}

TEST_P(PodLifeTest, ShowsSlowStarts) {
  runtime_.setScript(
      [](const ContainerSpec&) { return ContainerScript{.startTakes = seconds(3)}; });
  boot();
  add(makePod("web"));
  clock_.advance(milliseconds(200));
  EXPECT_EQ(status("web").phase(), "Pending");
  EXPECT_EQ(container("web").state().waiting().reason(), "ContainerCreating");
  EXPECT_TRUE(status("web").has_starttime());
  clock_.advance(seconds(3));
  EXPECT_TRUE(ready("web"));
}

TEST_P(PodLifeTest, InitContainersRunOneAfterTheOther) {
  std::vector<std::string> order;
  runtime_.onStart([&](const ContainerSpec& spec) { order.push_back(spec.name); });
  runtime_.setScript([](const ContainerSpec& spec) {
    ContainerScript script;
    if (spec.name.starts_with("init")) script.runsFor = seconds(2);
    return script;
  });
  boot();
  auto pod = makePod("web", {"a", "b"});
  addInit(pod, "init-1");
  addInit(pod, "init-2");
  add(pod);
  EXPECT_THAT(order, ElementsAre("init-1"));
  clock_.advance(milliseconds(200));
  EXPECT_EQ(status("web").phase(), "Pending");
  EXPECT_EQ(status("web").initcontainerstatuses(1).state().waiting().reason(), "PodInitializing");
  EXPECT_EQ(container("web").state().waiting().reason(), "PodInitializing");
  EXPECT_EQ(api::findCondition(status("web"), "Initialized")->message(),
            "containers with incomplete status: [init-1 init-2]");
  clock_.advance(seconds(2));
  EXPECT_THAT(order, ElementsAre("init-1", "init-2"));
  clock_.advance(seconds(2));
  EXPECT_THAT(order, ElementsAre("init-1", "init-2", "a", "b"));
  EXPECT_TRUE(ready("web"));
  EXPECT_EQ(status("web").initcontainerstatuses(0).state().terminated().reason(), "Completed");
  EXPECT_TRUE(status("web").initcontainerstatuses(0).ready());
}

TEST_P(PodLifeTest, FailedInitContainerStopsAPodThatNeverRestarts) {
  runtime_.setScript(
      [](const ContainerSpec&) { return ContainerScript{.runsFor = seconds(1), .exitCode = 3}; });
  boot();
  auto pod = makePod("job");
  pod.mutable_spec()->set_restartpolicy("Never");
  addInit(pod, "init");
  add(pod);
  clock_.advance(seconds(60));
  EXPECT_EQ(status("job").phase(), "Failed");
  EXPECT_EQ(status("job").initcontainerstatuses(0).state().terminated().exitcode(), 3);
  EXPECT_EQ(runtime_.starts(), 1U);
}

// The exact times of kubelet's back-off: at once, then 10, 20, 40, 80, 160, 300, 300 s after each
// exit.
TEST_P(PodLifeTest, CrashLoopsWithKubeletsTimes) {
  std::vector<int> starts;
  runtime_.onStart([&](const ContainerSpec&) {
    starts.push_back(static_cast<int>((clock_.wallNow() - sim::SimClock::kStart) / seconds(1)));
  });
  runtime_.setScript(
      [](const ContainerSpec&) { return ContainerScript{.runsFor = seconds(1), .exitCode = 1}; });
  boot();
  auto uid = add(makePod("web"));
  clock_.advance(seconds(3));
  EXPECT_EQ(container("web").state().waiting().reason(), "CrashLoopBackOff");
  EXPECT_EQ(container("web").state().waiting().message(),
            "back-off 10s restarting failed container=main pod=web_default(" + uid + ")");
  EXPECT_EQ(container("web").laststate().terminated().exitcode(), 1);
  EXPECT_EQ(container("web").laststate().terminated().reason(), "Error");
  EXPECT_EQ(container("web").restartcount(), 1);
  EXPECT_EQ(status("web").phase(), "Running");
  EXPECT_FALSE(ready("web"));
  clock_.advance(minutes(20));
  EXPECT_THAT(starts, ElementsAre(0, 1, 12, 33, 74, 155, 316, 617, 918));
  EXPECT_GE(eventCount("BackOff"), 3);
}

TEST_P(PodLifeTest, LongRunsForgetTheBackOff) {
  std::vector<int> starts;
  runtime_.onStart([&](const ContainerSpec&) {
    starts.push_back(static_cast<int>((clock_.wallNow() - sim::SimClock::kStart) / seconds(1)));
  });
  runtime_.setScript([&](const ContainerSpec&) {
    return ContainerScript{.runsFor = starts.size() == 3 ? seconds(601) : seconds(1),
                           .exitCode = 1};
  });
  boot();
  add(makePod("web"));
  clock_.advance(seconds(640));
  EXPECT_THAT(starts, ElementsAre(0, 1, 12, 613, 624));
}

TEST_P(PodLifeTest, RestartPolicyDecidesByExitCode) {
  struct Case {
    const char* policy;
    int exitCode;
    const char* phase;
    std::size_t starts;
  };
  const Case cases[] = {
      {"Never", 0, "Succeeded", 1},   {"Never", 1, "Failed", 1},   {"OnFailure", 0, "Succeeded", 1},
      {"OnFailure", 1, "Running", 3}, {"Always", 0, "Running", 3}, {"Always", 1, "Running", 3},
  };
  boot();
  int number = 0;
  for (const auto& one : cases) {
    runtime_.setScript([&](const ContainerSpec&) {
      return ContainerScript{.runsFor = seconds(1), .exitCode = one.exitCode};
    });
    auto name = "pod-" + std::to_string(number++);
    auto pod = makePod(name);
    pod.mutable_spec()->set_restartpolicy(one.policy);
    auto before = runtime_.starts();
    add(pod);
    clock_.advance(seconds(15));
    EXPECT_EQ(status(name).phase(), one.phase) << one.policy << one.exitCode;
    EXPECT_EQ(runtime_.starts() - before, one.starts) << one.policy << one.exitCode;
    remove(name, 0);
    EXPECT_FALSE(exists(name));
  }
}

TEST_P(PodLifeTest, FinishedPodsKeepTheirAddressButNoSandbox) {
  runtime_.setScript([](const ContainerSpec&) { return ContainerScript{.runsFor = seconds(1)}; });
  boot();
  auto pod = makePod("job", {"a", "b"});
  pod.mutable_spec()->set_restartpolicy("Never");
  add(pod);
  clock_.advance(seconds(2));
  EXPECT_EQ(status("job").phase(), "Succeeded");
  EXPECT_EQ(status("job").podip(), "10.244.1.2");
  EXPECT_EQ(api::findCondition(status("job"), "Ready")->reason(), "PodCompleted");
  EXPECT_TRUE(dataplane_.sandboxes().empty());
  EXPECT_TRUE(volumes_.pods().empty());
  runtime_.setScript(nullptr);
  add(makePod("next"));
  EXPECT_EQ(status("next").podip(), "10.244.1.3");
}

TEST_P(PodLifeTest, ProgramsThatCannotStartAreErrorsOfTheContainer) {
  runtime_.setScript([](const ContainerSpec&) {
    return ContainerScript{.startFails = Status(Code::kNotFound, "exec: \"nope\": not found")};
  });
  boot();
  auto pod = makePod("job");
  pod.mutable_spec()->set_restartpolicy("Never");
  add(pod);
  EXPECT_EQ(status("job").phase(), "Failed");
  const auto ended = container("job").state().terminated();
  EXPECT_EQ(ended.reason(), "StartError");
  EXPECT_EQ(ended.exitcode(), 128);
  EXPECT_THAT(ended.message(), HasSubstr("nope"));
  add(makePod("web"));
  clock_.advance(seconds(5));
  EXPECT_EQ(container("web").state().waiting().reason(), "CrashLoopBackOff");
  EXPECT_EQ(container("web").laststate().terminated().reason(), "StartError");
}

TEST_P(PodLifeTest, TroubleOfTheHostIsNoCrash) {
  int tries = 0;
  runtime_.setScript([&](const ContainerSpec&) {
    ContainerScript script;
    if (++tries < 3) script.startFails = Status(Code::kInternal, "cgroup trouble");
    return script;
  });
  boot();
  auto pod = makePod("job");
  pod.mutable_spec()->set_restartpolicy("Never");
  auto uid = add(pod);
  clock_.advance(seconds(1));
  EXPECT_EQ(container("job").state().waiting().reason(), "RunContainerError");
  clock_.advance(seconds(30));
  EXPECT_EQ(tries, 3);
  EXPECT_TRUE(ready("job"));
  EXPECT_EQ(container("job").restartcount(), 0);
  EXPECT_NE(runtime_.running(uid + "_main_0"), nullptr);
}

TEST_P(PodLifeTest, MissingImagesBackOff) {
  images_.setMissing("app:1", true);
  boot();
  add(makePod("web"));
  EXPECT_EQ(container("web").state().waiting().reason(), "ErrImagePull");
  EXPECT_THAT(container("web").state().waiting().message(), HasSubstr("app:1"));
  clock_.advance(seconds(2));
  EXPECT_EQ(container("web").state().waiting().reason(), "ImagePullBackOff");
  EXPECT_THAT(container("web").state().waiting().message(),
              HasSubstr("Back-off pulling image \"app:1\""));
  clock_.advance(seconds(8));
  EXPECT_EQ(container("web").state().waiting().reason(), "ErrImagePull");
  images_.setMissing("app:1", false);
  clock_.advance(seconds(19));
  EXPECT_FALSE(ready("web"));
  clock_.advance(seconds(1));
  EXPECT_TRUE(ready("web"));
}

TEST_P(PodLifeTest, NeverPullingIsSaidSo) {
  images_.setMissing("app:1", true);
  boot();
  auto pod = makePod("web");
  pod.mutable_spec()->mutable_containers(0)->set_imagepullpolicy("Never");
  add(pod);
  clock_.advance(seconds(3));
  EXPECT_EQ(container("web").state().waiting().reason(), "ErrImageNeverPull");
  EXPECT_EQ(eventCount("ErrImageNeverPull"), 1);
}

TEST_P(PodLifeTest, ANewImageReplacesTheContainer) {
  boot();
  auto uid = add(makePod("web"));
  auto changed = *api_.find<corev1::Pod>("default/web");
  changed.mutable_spec()->mutable_containers(0)->set_image("app:2");
  api_.put(changed);
  clock_.advance(seconds(1));
  ASSERT_NE(runtime_.running(uid + "_main_1"), nullptr);
  EXPECT_EQ(runtime_.running(uid + "_main_1")->image.reference, "app:2");
  EXPECT_EQ(container("web").restartcount(), 1);
  EXPECT_EQ(container("web").image(), "docker.io/library/app:2");
  EXPECT_TRUE(ready("web"));
}

TEST_P(PodLifeTest, RefusesWhatItCannotDo) {
  boot();
  auto pod = makePod("web");
  pod.mutable_spec()->set_runtimeclassname("other");
  add(pod);
  clock_.advance(minutes(1));
  EXPECT_EQ(status("web").phase(), "Pending");
  EXPECT_EQ(container("web").state().waiting().reason(), "CreateContainerConfigError");
  EXPECT_THAT(container("web").state().waiting().message(), HasSubstr("spec.runtimeClassName"));
  EXPECT_THAT(eventMessage("Failed"), HasSubstr("runtimeClassName"));
  EXPECT_LE(eventCount("Failed"), 2);
  EXPECT_EQ(runtime_.starts(), 0U);
  remove("web");
  EXPECT_FALSE(exists("web"));
}

TEST_P(PodLifeTest, WaitsForAnAddress) {
  range_ = "10.244.1.0/29";  // five pods
  boot();
  for (int i = 0; i < 6; ++i) add(makePod("pod-" + std::to_string(i)));
  EXPECT_TRUE(ready("pod-4"));
  clock_.advance(seconds(1));
  EXPECT_EQ(status("pod-5").phase(), "Pending");
  EXPECT_EQ(eventCount("FailedCreatePodSandBox"), 1);
  EXPECT_THAT(eventMessage("FailedCreatePodSandBox"), HasSubstr("10.244.1.0/29"));
  auto freed = status("pod-2").podip();
  remove("pod-2", 0);
  EXPECT_TRUE(ready("pod-5"));
  EXPECT_EQ(status("pod-5").podip(), freed);
}

TEST_P(PodLifeTest, AFinishedPodGivesItsAddressBack) {
  range_ = "10.244.1.0/29";  // five pods
  runtime_.setScript([](const ContainerSpec&) {
    ContainerScript script;
    script.runsFor = seconds(1);
    return script;
  });
  boot();
  for (int i = 0; i < 12; ++i) {
    auto job = makePod("job-" + std::to_string(i));
    job.mutable_spec()->set_restartpolicy("Never");
    add(job);
  }
  clock_.advance(seconds(5));
  for (int i = 0; i < 12; ++i) {
    auto seen = status("job-" + std::to_string(i));
    EXPECT_EQ(seen.phase(), "Succeeded") << i;
    EXPECT_FALSE(seen.podip().empty()) << i;
  }
}

TEST_P(PodLifeTest, FailedSandboxesAreTriedAgain) {
  bool broken = true;
  dataplane_.setSandboxScript([&](const SandboxSpec&) {
    SimulatedDataplane::SandboxScript script;
    if (broken) script.fails = Status(Code::kInternal, "veth trouble");
    return script;
  });
  boot();
  add(makePod("web"));
  clock_.advance(seconds(5));
  EXPECT_THAT(eventMessage("FailedCreatePodSandBox"), HasSubstr("veth trouble"));
  EXPECT_EQ(status("web").phase(), "Pending");
  broken = false;
  clock_.advance(seconds(6));
  EXPECT_TRUE(ready("web"));
}

TEST_P(PodLifeTest, AForbiddenSysctlRejectsThePod) {
  boot();
  auto pod = makePod("web");
  auto& sysctl = *pod.mutable_spec()->mutable_securitycontext()->add_sysctls();
  sysctl.set_name("kernel.msgmax");
  sysctl.set_value("1");
  add(pod);
  const auto expectRejected = [this] {
    EXPECT_EQ(status("web").phase(), "Failed");
    EXPECT_EQ(status("web").reason(), "SysctlForbidden");
    EXPECT_EQ(status("web").message(),
              "Pod was rejected: forbidden sysctl: \"kernel.msgmax\" not allowlisted");
    EXPECT_EQ(status("web").containerstatuses_size(), 0);
    EXPECT_EQ(runtime_.starts(), 0U);
    EXPECT_THAT(dataplane_.sandboxes(), ::testing::IsEmpty());
    EXPECT_EQ(eventCount("SysctlForbidden"), 1);
  };
  expectRejected();
  EXPECT_EQ(eventMessage("SysctlForbidden"), "forbidden sysctl: \"kernel.msgmax\" not allowlisted");
  stop();
  launch();
  clock_.advance(seconds(30));
  expectRejected();
  remove("web");
  EXPECT_FALSE(exists("web"));
}

TEST_P(PodLifeTest, HostNetworkUsesTheNodesAddress) {
  boot();
  auto pod = makePod("web");
  pod.mutable_spec()->set_hostnetwork(true);
  auto uid = add(pod);
  EXPECT_EQ(status("web").podip(), "192.0.2.1");
  EXPECT_TRUE(runtime_.running(uid + "_main_0")->namespaces.network.empty());
  EXPECT_EQ(dataplane_.sandboxes().at(uid).hostname, "node-1");
  EXPECT_TRUE(dataplane_.sandboxes().at(uid).addresses.empty());
}

TEST_P(PodLifeTest, APodMayShareTheNodesProcessesAndIpc) {
  boot();
  auto pod = makePod("web");
  pod.mutable_spec()->set_hostpid(true);
  pod.mutable_spec()->set_hostipc(true);
  auto uid = add(pod);
  const auto& spec = *runtime_.running(uid + "_main_0");
  EXPECT_TRUE(spec.hostPid);
  EXPECT_TRUE(spec.namespaces.ipc.empty());
  EXPECT_FALSE(spec.namespaces.network.empty());
  EXPECT_THAT(spec.mounts, ::testing::Contains(::testing::AllOf(
                               ::testing::Field(&Mount::source, "/dev/shm"),
                               ::testing::Field(&Mount::destination, "/dev/shm"))));
}

std::map<std::string, std::string> mountsOf(const ContainerSpec& spec) {
  std::map<std::string, std::string> mounts;
  for (const auto& mount : spec.mounts) {
    auto [known, first] =
        mounts.emplace(mount.destination, mount.source + (mount.readOnly ? " ro" : ""));
    EXPECT_TRUE(first) << mount.destination << " is mounted twice";
  }
  return mounts;
}

TEST_P(PodLifeTest, MountsVolumesAndThePodsFiles) {
  boot();
  auto pod = makePod("web", {"a", "b"});
  pod.mutable_spec()->add_volumes()->set_name("data");
  pod.mutable_spec()->add_volumes()->set_name("memory");
  pod.mutable_spec()->mutable_volumes(1)->mutable_volumesource()->mutable_emptydir()->set_medium(
      "Memory");
  const auto mount = [&](int container, const char* volume, const char* path, bool readOnly) {
    auto& added = *pod.mutable_spec()->mutable_containers(container)->add_volumemounts();
    added.set_name(volume);
    added.set_mountpath(path);
    added.set_readonly(readOnly);
  };
  mount(0, "data", "/data", false);
  mount(0, "memory", "/dev/shm", false);
  mount(1, "data", "/srv", true);
  auto& first = *pod.mutable_spec()->mutable_containers(0)->mutable_volumemounts(0);
  first.set_mountpropagation("HostToContainer");
  mount(1, "data", "/etc/hosts", false);
  auto uid = add(pod);
  const std::string volumes = "simulated/" + uid + "/";
  const std::string etc = volumes + "etc/";
  // What the pod mounts itself goes before what it is given.
  EXPECT_EQ(mountsOf(*runtime_.running(uid + "_a_0")),
            (std::map<std::string, std::string>{{"/data", volumes + "data"},
                                                {"/dev/shm", volumes + "memory"},
                                                {"/etc/hosts", etc + "hosts"},
                                                {"/etc/hostname", etc + "hostname"},
                                                {"/etc/resolv.conf", etc + "resolv.conf"}}));
  for (const auto& made : runtime_.running(uid + "_a_0")->mounts) {
    EXPECT_EQ(made.propagation, made.destination == "/data" ? Mount::Propagation::kHostToContainer
                                                            : Mount::Propagation::kNone);
  }
  EXPECT_EQ(mountsOf(*runtime_.running(uid + "_b_0")),
            (std::map<std::string, std::string>{{"/srv", volumes + "data ro"},
                                                {"/dev/shm", volumes + "shm"},
                                                {"/etc/hosts", volumes + "data"},
                                                {"/etc/hostname", etc + "hostname"},
                                                {"/etc/resolv.conf", etc + "resolv.conf"}}));
}

TEST_P(PodLifeTest, MountsAFolderBeforeWhatIsInsideIt) {
  boot();
  auto pod = makePod("web");
  pod.mutable_spec()->add_volumes()->set_name("data");
  for (const char* path : {"/data/inner/deep", "/data", "/data/inner"}) {
    auto& added = *pod.mutable_spec()->mutable_containers(0)->add_volumemounts();
    added.set_name("data");
    added.set_mountpath(path);
  }
  auto uid = add(pod);
  std::vector<std::string> order;
  for (const auto& mount : runtime_.running(uid + "_main_0")->mounts) {
    if (mount.destination.starts_with("/data")) order.push_back(mount.destination);
  }
  EXPECT_THAT(order, ElementsAre("/data", "/data/inner", "/data/inner/deep"));
}

TEST_P(PodLifeTest, SharesProcesses) {
  boot();
  auto pod = makePod("web", {"a", "b"});
  pod.mutable_spec()->set_shareprocessnamespace(true);
  auto uid = add(pod);
  EXPECT_EQ(runtime_.running(uid + "_a_0")->pidNamespace, "simulated/" + uid + "/pid");
  EXPECT_EQ(runtime_.running(uid + "_b_0")->pidNamespace, "simulated/" + uid + "/pid");
}

// --- deletion

TEST_P(PodLifeTest, StopsGracefullyAndCleansUp) {
  runtime_.setScript([](const ContainerSpec&) { return ContainerScript{.stopTakes = seconds(4)}; });
  boot();
  auto uid = add(makePod("web", {"a", "b"}));
  remove("web");
  clock_.advance(seconds(3));
  EXPECT_EQ(runtime_.runningCount(), 2U);
  EXPECT_TRUE(exists("web"));
  clock_.advance(seconds(1));
  EXPECT_FALSE(exists("web"));
  EXPECT_EQ(runtime_.runningCount(), 0U);
  EXPECT_TRUE(dataplane_.sandboxes().empty());
  EXPECT_TRUE(volumes_.pods().empty());
  for (const auto& [path, content] : files_.files())
    EXPECT_FALSE(path.starts_with("/state/pods")) << path;
  EXPECT_EQ(agent_->pods()->size(), 0U);
  EXPECT_EQ(eventCount("Killing"), 2);
}

TEST_P(PodLifeTest, KillsAfterTheGracePeriod) {
  runtime_.setScript([](const ContainerSpec&) { return ContainerScript{.ignoresTerm = true}; });
  boot();
  add(makePod("web"));
  remove("web", 7);
  clock_.advance(seconds(7) - milliseconds(1));
  EXPECT_EQ(runtime_.runningCount(), 1U);
  clock_.advance(milliseconds(1));
  EXPECT_EQ(runtime_.runningCount(), 0U);
  EXPECT_FALSE(exists("web"));
}

TEST_P(PodLifeTest, ALaterDeleteShortensTheGracePeriod) {
  runtime_.setScript([](const ContainerSpec&) { return ContainerScript{.ignoresTerm = true}; });
  boot();
  add(makePod("web"));
  remove("web");
  clock_.advance(seconds(5));
  remove("web", 3);
  clock_.advance(seconds(3) - milliseconds(1));
  EXPECT_EQ(runtime_.runningCount(), 1U);
  clock_.advance(milliseconds(1));
  EXPECT_FALSE(exists("web"));
  EXPECT_EQ(runtime_.runningCount(), 0U);
}

TEST_P(PodLifeTest, TheFinalStatusIsSeenBeforeThePodGoes) {
  boot();
  add(makePod("web"));
  api_.failNext(fakes::Verb::kRemove, Status(Code::kUnavailable, "away"), 1);
  auto pod = *api_.find<corev1::Pod>("default/web");
  pod.mutable_metadata()->mutable_deletiontimestamp()->set_seconds(1);
  pod.mutable_metadata()->set_deletiongraceperiodseconds(30);
  api_.put(pod);
  clock_.runUntilIdle();
  ASSERT_TRUE(exists("web"));
  EXPECT_EQ(status("web").phase(), "Failed");
  EXPECT_EQ(container("web").state().terminated().exitcode(), 143);
  EXPECT_FALSE(ready("web"));
  clock_.advance(seconds(1));
  EXPECT_FALSE(exists("web"));
}

// The object is gone at once; what runs still has its grace period.
TEST_P(PodLifeTest, ForcedDeletionStopsWhatRuns) {
  runtime_.setScript([](const ContainerSpec&) { return ContainerScript{.ignoresTerm = true}; });
  boot();
  add(makePod("web"));
  remove("web", 0);
  ASSERT_FALSE(exists("web"));
  clock_.advance(seconds(30));
  EXPECT_EQ(runtime_.runningCount(), 0U);
  EXPECT_EQ(agent_->pods()->size(), 0U);
}

TEST_P(PodLifeTest, DeletionWhileAContainerStartsWaitsForIt) {
  runtime_.setScript(
      [](const ContainerSpec&) { return ContainerScript{.startTakes = seconds(2)}; });
  boot();
  add(makePod("web"));
  clock_.advance(seconds(1));
  remove("web");
  EXPECT_TRUE(exists("web"));
  clock_.advance(seconds(2));
  EXPECT_FALSE(exists("web"));
  EXPECT_EQ(runtime_.runningCount(), 0U);
  EXPECT_TRUE(dataplane_.sandboxes().empty());
}

TEST_P(PodLifeTest, APodHasNotFailedWhileAContainerStartsAgain) {
  runtime_.setScript([](const ContainerSpec&) {
    return ContainerScript{.startTakes = seconds(3), .runsFor = seconds(5), .exitCode = 1};
  });
  boot();
  add(makePod("web"));
  clock_.advance(seconds(9));  // it has ended once, and starts again
  ASSERT_TRUE(container("web").laststate().has_terminated());
  ASSERT_EQ(runtime_.runningCount(), 0U);
  remove("web", 30);
  EXPECT_EQ(status("web").phase(), "Running");
  clock_.advance(seconds(40));
  EXPECT_FALSE(exists("web"));
}

TEST_P(PodLifeTest, ReplacesAPodOfTheSameName) {
  runtime_.setScript([](const ContainerSpec&) { return ContainerScript{.stopTakes = seconds(2)}; });
  boot();
  auto before = add(makePod("web"));
  api_.erase(api::kindFor<corev1::Pod>(), "default/web");
  auto after = add(makePod("web"));
  ASSERT_NE(before, after);
  clock_.advance(seconds(3));
  EXPECT_TRUE(ready("web"));
  EXPECT_EQ(runtime_.running(before + "_main_0"), nullptr);
  EXPECT_NE(runtime_.running(after + "_main_0"), nullptr);
  EXPECT_EQ(agent_->pods()->size(), 1U);
}

// --- readiness

corev1::Pod probedPod(const std::string& name) {
  auto pod = makePod(name);
  auto& probe = *pod.mutable_spec()->mutable_containers(0)->mutable_readinessprobe();
  probe.mutable_handler()->mutable_exec()->add_command("check");
  probe.set_initialdelayseconds(5);
  probe.set_periodseconds(10);
  probe.set_timeoutseconds(1);
  probe.set_successthreshold(2);
  probe.set_failurethreshold(3);
  return pod;
}

TEST_P(PodLifeTest, ReadinessFollowsThresholds) {
  std::vector<int> probes;
  int exitCode = 0;
  runtime_.setExecScript([&](const std::string&, const ExecSpec&) {
    probes.push_back(static_cast<int>((clock_.wallNow() - sim::SimClock::kStart) / seconds(1)));
    return ExecScript{.exitCode = exitCode, .out = "reason", .takes = {}};
  });
  boot();
  add(probedPod("web"));
  EXPECT_EQ(status("web").phase(), "Running");
  EXPECT_FALSE(ready("web"));
  EXPECT_EQ(api::findCondition(status("web"), "Ready")->message(),
            "containers with unready status: [main]");
  clock_.advance(seconds(14));
  EXPECT_FALSE(ready("web"));  // one success
  clock_.advance(seconds(1));
  EXPECT_TRUE(ready("web"));
  exitCode = 1;
  clock_.advance(seconds(20));
  EXPECT_TRUE(ready("web"));  // two failures
  clock_.advance(seconds(10));
  EXPECT_FALSE(ready("web"));
  EXPECT_EQ(container("web").restartcount(), 0);
  EXPECT_THAT(probes, ElementsAre(5, 15, 25, 35, 45));
  EXPECT_EQ(eventCount("Unhealthy"), 3);
  EXPECT_EQ(eventMessage("Unhealthy"), "Readiness probe failed: reason");
}

TEST_P(PodLifeTest, SlowProbesFailByTimeout) {
  runtime_.setExecScript([](const std::string&, const ExecSpec&) {
    return ExecScript{.exitCode = 0, .out = "", .takes = seconds(2)};
  });
  boot();
  add(probedPod("web"));
  clock_.advance(seconds(7));
  EXPECT_EQ(eventMessage("Unhealthy"), "Readiness probe failed: command \"check\" timed out");
}

TEST_P(PodLifeTest, ANewInstanceMustProveItselfAgain) {
  boot();
  auto uid = add(probedPod("web"));
  clock_.advance(seconds(15));
  ASSERT_TRUE(ready("web"));
  runtime_.exit(uid + "_main_0", 1);
  clock_.runUntilIdle();
  EXPECT_FALSE(ready("web"));
  EXPECT_EQ(container("web").restartcount(), 1);
  clock_.advance(seconds(14));
  EXPECT_FALSE(ready("web"));
  clock_.advance(seconds(1));
  EXPECT_TRUE(ready("web"));
}

}  // namespace
}  // namespace podlab::node
