// Pods and the objects that they refer to: volumes and variables that come, change and go.
#include <gmock/gmock.h>

#include "api/persistent_volumes.hpp"
#include "node_fixture.hpp"

namespace podlab::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class PodVolumesTest : public PodTest {
 protected:
  void putConfigMap(const std::string& name, const std::string& color) {
    corev1::ConfigMap map;
    map.mutable_metadata()->set_name(name);
    map.mutable_metadata()->set_namespace_("default");
    (*map.mutable_data())["color"] = color;
    api_.put(map);
    clock_.runUntilIdle();
  }
  void putBoundClaim(const std::string& name, const std::string& volume) {
    corev1::PersistentVolumeClaim claim;
    claim.mutable_metadata()->set_name(name);
    claim.mutable_metadata()->set_namespace_("default");
    claim.mutable_spec()->set_volumename(volume);
    claim.mutable_status()->set_phase("Bound");
    api_.put(claim);
  }
  static corev1::VolumeSource& addVolume(corev1::Pod& pod, const std::string& name) {
    auto& volume = *pod.mutable_spec()->add_volumes();
    volume.set_name(name);
    auto& mount = *pod.mutable_spec()->mutable_containers(0)->add_volumemounts();
    mount.set_name(name);
    mount.set_mountpath("/" + name);
    return *volume.mutable_volumesource();
  }
  static corev1::Pod podWithConfig() {
    auto pod = makePod("web");
    addVolume(pod, "config")
        .mutable_configmap()
        ->mutable_localobjectreference()
        ->set_name("settings");
    return pod;
  }
  static corev1::Pod podWithVariable() {
    auto pod = makePod("web");
    auto& variable = *pod.mutable_spec()->mutable_containers(0)->add_env();
    variable.set_name("COLOR");
    auto& reference = *variable.mutable_valuefrom()->mutable_configmapkeyref();
    reference.mutable_localobjectreference()->set_name("settings");
    reference.set_key("color");
    return pod;
  }
  std::string fileOf(const std::string& uid, const std::string& volume, const std::string& path) {
    return volumes_.pods().at(uid).volumes.at(volume).files->at(path).content;
  }
  const ContainerSpec& running(const std::string& uid) {
    const auto* spec = runtime_.running(uid + "_main_0");
    EXPECT_NE(spec, nullptr);
    static const ContainerSpec kNone;
    return spec == nullptr ? kNone : *spec;
  }
  std::string waitingFor() {
    const auto waiting = container("web").state().waiting();
    return waiting.reason() + ": " + waiting.message();
  }
  int openWatches() { return api_.calls(fakes::Verb::kWatch); }
};

INSTANTIATE_TEST_SUITE_P(Workers, PodVolumesTest, workersStayAndGo(), workerName);

TEST_P(PodVolumesTest, APodWaitsForItsConfigMapAndStartsOnceItIsThere) {
  boot();
  auto uid = add(podWithConfig());
  clock_.advance(milliseconds(200));
  EXPECT_EQ(waitingFor(), "ContainerCreating: ");
  EXPECT_EQ(eventMessage("FailedMount"),
            "MountVolume.SetUp failed for volume \"config\" : configmap \"settings\" not found");
  clock_.advance(seconds(300));
  EXPECT_EQ(eventCount("FailedMount"), 1) << "it waits for a change, not for time";
  putConfigMap("settings", "blue");
  EXPECT_TRUE(ready("web"));
  EXPECT_EQ(fileOf(uid, "config", "color"), "blue");
  const auto& mount = running(uid).mounts.front();
  EXPECT_EQ(mount.destination, "/config");
  EXPECT_TRUE(mount.readOnly);
}

TEST_P(PodVolumesTest, ChangesReachTheVolumesOfRunningPods) {
  boot();
  putConfigMap("settings", "blue");
  auto pod = podWithConfig();
  auto& file = *addVolume(pod, "labels").mutable_downwardapi()->add_items();
  file.set_path("labels");
  file.mutable_fieldref()->set_fieldpath("metadata.labels");
  auto uid = add(pod);
  EXPECT_TRUE(ready("web"));
  putConfigMap("settings", "red");
  EXPECT_EQ(fileOf(uid, "config", "color"), "red");

  corev1::Pod labelled = *api_.find<corev1::Pod>("default/web");
  (*labelled.mutable_metadata()->mutable_labels())["tier"] = "front";
  api_.put(labelled);
  clock_.runUntilIdle();
  EXPECT_EQ(fileOf(uid, "labels", "labels"), "tier=\"front\"");

  // An object that goes leaves the files as they are.
  api_.erase(api::kindFor<corev1::ConfigMap>(), "default/settings");
  clock_.runUntilIdle();
  EXPECT_EQ(fileOf(uid, "config", "color"), "red");
  EXPECT_THAT(eventMessage("FailedMount"), HasSubstr("configmap \"settings\" not found"));
  EXPECT_TRUE(ready("web"));
  EXPECT_EQ(runtime_.starts(), 1U);
}

TEST_P(PodVolumesTest, AContainerWaitsForItsVariables) {
  boot();
  auto uid = add(podWithVariable());
  clock_.advance(milliseconds(200));
  EXPECT_EQ(waitingFor(), "CreateContainerConfigError: configmap \"settings\" not found");
  EXPECT_EQ(eventMessage("Failed"), "Error: configmap \"settings\" not found");
  corev1::ConfigMap empty;
  empty.mutable_metadata()->set_name("settings");
  empty.mutable_metadata()->set_namespace_("default");
  api_.put(empty);
  clock_.advance(milliseconds(200));
  EXPECT_EQ(waitingFor(),
            "CreateContainerConfigError: couldn't find key color in ConfigMap default/settings");
  putConfigMap("settings", "blue");
  EXPECT_TRUE(ready("web"));
  EXPECT_THAT(running(uid).env, ::testing::Contains("COLOR=blue"));
  putConfigMap("settings", "red");
  EXPECT_EQ(runtime_.starts(), 1U) << "variables are those of the start";
}

TEST_P(PodVolumesTest, PodsShareOneWatchAndTheLastOneEndsIt) {
  putConfigMap("settings", "blue");
  boot();
  const int before = openWatches();
  add(podWithConfig());
  EXPECT_EQ(openWatches(), before + 1);
  auto second = podWithConfig();
  second.mutable_metadata()->set_name("second");
  add(second);
  EXPECT_EQ(openWatches(), before + 1);
  remove("web", 0);
  remove("second", 0);
  clock_.advance(seconds(40));
  EXPECT_FALSE(exists("second"));
  // A new pod begins a new watch.
  add(podWithConfig());
  EXPECT_EQ(openWatches(), before + 2);
}

TEST_P(PodVolumesTest, ARestartedAgentWithoutAServerKeepsWhatItHad) {
  boot();
  putConfigMap("settings", "blue");
  auto uid = add(podWithConfig());
  stop();
  api_.failNext(fakes::Verb::kList, Status(Code::kUnavailable, "away"), 1000);
  launch();
  clock_.advance(seconds(60));
  EXPECT_EQ(runtime_.starts(), 1U);
  EXPECT_NE(runtime_.running(uid + "_main_0"), nullptr);
  EXPECT_FALSE(volumes_.pods().at(uid).volumes.at("config").files) << "those on disk stay";
  api_.clearFailures();
  putConfigMap("settings", "red");
  clock_.advance(seconds(60));
  EXPECT_EQ(fileOf(uid, "config", "color"), "red");
  EXPECT_EQ(runtime_.starts(), 1U);
}

TEST_P(PodVolumesTest, TokensAreRenewedAt80PercentOfTheirLife) {
  boot();
  auto pod = makePod("web");
  pod.mutable_spec()->set_serviceaccountname("bot");
  auto& token = *addVolume(pod, "token").mutable_projected()->add_sources();
  token.mutable_serviceaccounttoken()->set_path("token");
  token.mutable_serviceaccounttoken()->set_expirationseconds(1000);
  api_.failNext(fakes::Verb::kCreate, Status(Code::kNotFound, "serviceaccounts \"bot\" not found"));
  auto uid = add(pod);
  EXPECT_FALSE(ready("web"));
  EXPECT_THAT(eventMessage("FailedMount"),
              HasSubstr("MountVolume.SetUp failed for volume \"token\" : failed to fetch token: "
                        "serviceaccounts \"bot\" not found"));
  clock_.advance(seconds(1));
  EXPECT_TRUE(ready("web"));
  EXPECT_EQ(fileOf(uid, "token", "token"), "token 1");
  clock_.advance(seconds(798));
  EXPECT_EQ(fileOf(uid, "token", "token"), "token 1");
  clock_.advance(seconds(2));
  EXPECT_EQ(fileOf(uid, "token", "token"), "token 2");
  // While the server is away, what is there stays; then there is a new one.
  api_.failNext(fakes::Verb::kCreate, Status(Code::kUnavailable, "away"), 3);
  clock_.advance(seconds(800));
  EXPECT_EQ(fileOf(uid, "token", "token"), "token 2");
  clock_.advance(seconds(60));
  EXPECT_EQ(fileOf(uid, "token", "token"), "token 3");
  EXPECT_TRUE(ready("web"));
  EXPECT_EQ(runtime_.starts(), 1U);
}

TEST_P(PodVolumesTest, AnEmptyDirBeyondItsLimitEvictsThePod) {
  boot();
  auto pod = makePod("web");
  addVolume(pod, "scratch").mutable_emptydir()->mutable_sizelimit()->set_string("1Mi");
  auto uid = add(pod);
  volumes_.setUsage(1 << 20);
  clock_.advance(seconds(60));
  EXPECT_TRUE(ready("web")) << "the limit itself is allowed";
  volumes_.setUsage((1 << 20) + 4096);
  clock_.advance(seconds(15));
  EXPECT_EQ(status("web").phase(), "Failed");
  EXPECT_EQ(status("web").reason(), "Evicted");
  const std::string why = "Usage of EmptyDir volume \"scratch\" exceeds the limit \"1Mi\". ";
  EXPECT_EQ(status("web").message(), why);
  EXPECT_EQ(eventMessage("Evicted"), why);
  EXPECT_EQ(api::findCondition(status("web"), "DisruptionTarget")->reason(),
            "TerminationByKubelet");
  EXPECT_EQ(runtime_.running(uid + "_main_0"), nullptr);
  // It stays so, also for the next agent.
  stop();
  launch();
  clock_.advance(seconds(60));
  EXPECT_EQ(status("web").phase(), "Failed");
  EXPECT_EQ(status("web").reason(), "Evicted");
  EXPECT_EQ(runtime_.starts(), 1U);
  remove("web", 0);
  EXPECT_FALSE(exists("web"));
  EXPECT_THAT(volumes_.pods(), IsEmpty());
}

TEST_P(PodVolumesTest, AClaimLeadsToItsVolumesFolder) {
  boot();
  auto pod = makePod("web");
  addVolume(pod, "data").mutable_persistentvolumeclaim()->set_claimname("disk");
  auto& mount = *pod.mutable_spec()->mutable_containers(0)->mutable_volumemounts(0);
  mount.set_subpathexpr("of-$(NAME)");
  auto& name = *pod.mutable_spec()->mutable_containers(0)->add_env();
  name.set_name("NAME");
  name.set_value("web");
  auto uid = add(pod);
  EXPECT_THAT(eventMessage("FailedMount"), HasSubstr("persistentvolumeclaims \"disk\" not found"));

  corev1::PersistentVolumeClaim claim;
  claim.mutable_metadata()->set_name("disk");
  claim.mutable_metadata()->set_namespace_("default");
  claim.mutable_status()->set_phase("Pending");
  api_.put(claim);
  clock_.runUntilIdle();
  EXPECT_FALSE(ready("web"));
  corev1::PersistentVolume volume;
  volume.mutable_metadata()->set_name("pv");
  volume.mutable_spec()->mutable_persistentvolumesource()->mutable_hostpath()->set_path("/srv/x");
  api_.put(volume);
  claim.mutable_spec()->set_volumename("pv");
  claim.mutable_status()->set_phase("Bound");
  api_.put(claim);
  clock_.runUntilIdle();
  EXPECT_TRUE(ready("web"));
  EXPECT_EQ(running(uid).mounts.front().source, "/srv/x/of-web");
}

TEST_P(PodVolumesTest, FsGroupIsForVolumesThatAreThePodsToOwn) {
  boot();
  const auto bind = [this](const std::string& name, corev1::PersistentVolume volume) {
    volume.mutable_metadata()->set_name(name);
    api_.put(volume);
    corev1::PersistentVolumeClaim claim;
    claim.mutable_metadata()->set_name(name);
    claim.mutable_metadata()->set_namespace_("default");
    claim.mutable_spec()->set_volumename(name);
    claim.mutable_status()->set_phase("Bound");
    api_.put(claim);
  };
  corev1::PersistentVolume volume;
  auto& source = *volume.mutable_spec()->mutable_persistentvolumesource();
  source.mutable_hostpath()->set_path("/srv/x");
  bind("host", volume);
  (*volume.mutable_metadata()->mutable_annotations())[api::kProvisionedByAnnotation] =
      api::kLocalProvisioner;
  bind("made", volume);
  volume.mutable_metadata()->clear_annotations();
  source.mutable_local()->set_path("/srv/y");
  source.clear_hostpath();
  bind("local", volume);
  bind("read", volume);
  putConfigMap("settings", "blue");
  auto pod = podWithConfig();
  auto& security = *pod.mutable_spec()->mutable_securitycontext();
  security.set_fsgroup(2000);
  security.set_fsgroupchangepolicy("OnRootMismatch");
  for (const char* name : {"host", "made", "local", "read"}) {
    auto& claim = *addVolume(pod, name).mutable_persistentvolumeclaim();
    claim.set_claimname(name);
    claim.set_readonly(name == std::string("read"));
  }
  addVolume(pod, "own").mutable_emptydir();
  addVolume(pod, "path").mutable_hostpath()->set_path("/srv/z");
  const auto uid = add(pod);
  ASSERT_TRUE(ready("web"));
  std::map<std::string, bool> given;  // by name: whether only on mismatch
  for (const auto& [name, spec] : volumes_.pods().at(uid).volumes) {
    if (!spec.group) continue;
    EXPECT_EQ(*spec.group, 2000U);
    given[name] = spec.groupOnRootMismatch;
  }
  // As kubelet, which heeds the policy for volumes that outlive the pod.
  EXPECT_EQ(given, (std::map<std::string, bool>{
                       {"config", false}, {"local", true}, {"made", true}, {"own", false}}));
}

TEST_P(PodVolumesTest, AVolumeForOnePodWaitsUntilTheOtherHasGone) {
  boot();
  corev1::PersistentVolume volume;
  volume.mutable_metadata()->set_name("pv");
  volume.mutable_spec()->add_accessmodes("ReadWriteOncePod");
  volume.mutable_spec()->mutable_persistentvolumesource()->mutable_hostpath()->set_path("/srv/x");
  api_.put(volume);
  putBoundClaim("disk", "pv");
  auto pod = makePod("web");
  addVolume(pod, "data").mutable_persistentvolumeclaim()->set_claimname("disk");
  add(pod);
  ASSERT_TRUE(ready("web"));
  pod.mutable_metadata()->set_name("other");
  add(pod);
  EXPECT_FALSE(ready("other"));
  EXPECT_EQ(eventMessage("FailedMount"),
            "MountVolume.SetUp failed for volume \"pv\" : volume uses the ReadWriteOncePod access "
            "mode and is already in use by another pod");
  // Also for the next agent, whichever pod comes first.
  stop();
  launch();
  clock_.advance(seconds(60));
  EXPECT_TRUE(ready("web"));
  EXPECT_EQ(runtime_.runningCount(), 1U);
  remove("web", 0);
  clock_.advance(seconds(1));
  EXPECT_TRUE(ready("other"));
}

TEST_P(PodVolumesTest, AVolumeOfOtherNodesIsNotMounted) {
  boot();
  corev1::PersistentVolume volume;
  volume.mutable_metadata()->set_name("pv");
  auto& spec = *volume.mutable_spec();
  spec.mutable_persistentvolumesource()->mutable_hostpath()->set_path("/srv/x");
  auto& expression = *spec.mutable_nodeaffinity()
                          ->mutable_required()
                          ->add_nodeselectorterms()
                          ->add_matchexpressions();
  expression.set_key("kubernetes.io/hostname");
  expression.set_operator_("In");
  expression.add_values("node-2");
  api_.put(volume);
  putBoundClaim("disk", "pv");
  auto pod = makePod("web");
  addVolume(pod, "data").mutable_persistentvolumeclaim()->set_claimname("disk");
  add(pod);
  EXPECT_FALSE(ready("web"));
  EXPECT_EQ(eventMessage("FailedMount"),
            "MountVolume.NodeAffinity check failed for volume \"pv\" : no matching "
            "NodeSelectorTerms");
}

TEST_P(PodVolumesTest, AVariableInASubPathThatIsNotThereIsAnError) {
  boot();
  auto pod = makePod("web");
  addVolume(pod, "data").mutable_emptydir();
  pod.mutable_spec()->mutable_containers(0)->mutable_volumemounts(0)->set_subpathexpr("$(NONE)");
  add(pod);
  clock_.advance(milliseconds(200));
  EXPECT_EQ(waitingFor(),
            "CreateContainerConfigError: failed to prepare subPath for volumeMount \"data\" of "
            "container \"main\": missing value for \"NONE\"");
}

TEST_P(PodVolumesTest, ReleasedVolumesInThisNodesHandsLoseTheirFolders) {
  auto settings = options();
  settings.volumesFolder = "/lab/volumes";
  giveRange();
  agent_ = std::make_unique<Agent>(dependencies(), settings);
  asio::co_spawn(io_, runAgent(*agent_, running_), asio::detached);
  clock_.runUntilIdle();
  const auto put = [this](const std::string& name, const std::string& path,
                          const std::string& node) {
    corev1::PersistentVolume volume;
    volume.mutable_metadata()->set_name(name);
    volume.mutable_metadata()->add_finalizers(api::kVolumeFolder);
    volume.mutable_metadata()->add_finalizers(api::kVolumeProtection);
    (*volume.mutable_metadata()->mutable_labels())[api::kReclaimLabel] = node;
    volume.mutable_spec()->mutable_persistentvolumesource()->mutable_hostpath()->set_path(path);
    api_.put(volume);
  };
  put("mine", "/lab/volumes/mine", "node-1");
  put("theirs", "/lab/volumes/theirs", "node-2");
  put("evil", "/etc", "node-1");
  clock_.advance(seconds(1));
  EXPECT_THAT(volumes_.removedFolders(), ::testing::ElementsAre("/lab/volumes/mine"));
  EXPECT_EQ(api_.find<corev1::PersistentVolume>("mine")->metadata().finalizers_size(), 1);
  EXPECT_EQ(api_.find<corev1::PersistentVolume>("evil")->metadata().finalizers_size(), 2);
  const auto node = api_.find<corev1::Node>("node-1");
  EXPECT_EQ(node->metadata().annotations().at(api::kVolumesFolderAnnotation), "/lab/volumes");
  EXPECT_EQ(node->metadata().labels().at(api::kVolumesLabel).size(), 16U);
}

}  // namespace
}  // namespace podlab::node
