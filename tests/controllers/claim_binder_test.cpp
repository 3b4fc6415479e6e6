#include <gmock/gmock.h>

#include "api/persistent_volumes.hpp"
#include "cluster_fixture.hpp"
#include "controllers/claim_matching.hpp"

namespace podlab::controllers {
namespace {

using corev1::PersistentVolume;
using corev1::PersistentVolumeClaim;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ClaimBinderTest : public ClusterTest {
 protected:
  void addHost(const std::string& name, const std::string& host) {
    addNode(name);
    auto node = *get<corev1::Node>(name);
    if (!host.empty()) {
      (*node.mutable_metadata()->mutable_labels())[api::kVolumesLabel] = host;
      (*node.mutable_metadata()->mutable_annotations())[api::kVolumesFolderAnnotation] =
          "/lab/" + host;
    }
    ASSERT_TRUE(update(node).ok());
    node = *get<corev1::Node>(name);
    for (const char* resource : {"cpu", "memory", "pods"})
      (*node.mutable_status()->mutable_capacity())[resource].set_string("8G");
    *node.mutable_status()->mutable_allocatable() = node.status().capacity();
    ASSERT_TRUE(update(node, "status").ok());
    // As an agent would have it: ready once it is registered.
    setReady(name, "False");
    setReady(name, "True");
  }
  static PersistentVolumeClaim claim(const std::string& name, const std::string& size = "1Gi") {
    PersistentVolumeClaim made;
    made.mutable_metadata()->set_name(name);
    made.mutable_metadata()->set_namespace_("default");
    made.mutable_spec()->add_accessmodes("ReadWriteOnce");
    (*made.mutable_spec()->mutable_resources()->mutable_requests())["storage"].set_string(size);
    return made;
  }
  static PersistentVolume volume(const std::string& name, const std::string& size) {
    PersistentVolume made;
    made.mutable_metadata()->set_name(name);
    auto& spec = *made.mutable_spec();
    spec.add_accessmodes("ReadWriteOnce");
    spec.set_storageclassname("manual");
    (*spec.mutable_capacity())["storage"].set_string(size);
    spec.mutable_persistentvolumesource()->mutable_hostpath()->set_path("/srv/" + name);
    return made;
  }
  static corev1::Pod user(const std::string& name, const std::string& claimName,
                          const std::string& node = "") {
    auto made = pod(name, node);
    auto& added = *made.mutable_spec()->add_volumes();
    added.set_name("data");
    added.mutable_volumesource()->mutable_persistentvolumeclaim()->set_claimname(claimName);
    return made;
  }
  void label(const std::string& name, const std::string& key, const std::string& value) {
    auto node = *get<corev1::Node>(name);
    (*node.mutable_metadata()->mutable_labels())[key] = value;
    ASSERT_TRUE(update(node).ok());
    clock_.runUntilIdle();
  }
  template <typename T>
  void add(const T& object) {
    auto made = create(object);
    ASSERT_TRUE(made.ok()) << made.status().toString();
    clock_.runUntilIdle();
  }
  std::string phaseOf(const std::string& name) {
    return get<PersistentVolumeClaim>(name)->status().phase();
  }
  std::vector<std::string> messages(const std::string& about) {
    clock_.runUntilIdle();
    std::vector<std::string> found;
    for (const auto& object : list<corev1::Event>().items) {
      const auto& event = api::as<corev1::Event>(object);
      if (event.involvedobject().name() == about)
        found.push_back(event.reason() + ": " + event.message());
    }
    return found;
  }
  std::vector<std::string> volumeNames() {
    std::vector<std::string> names;
    for (const auto& object : list<PersistentVolume>().items)
      names.push_back(api::meta(*object).name());
    return names;
  }
  /// What the agent of the node does with the released volume.
  void reclaim(const std::string& name) {
    auto found = *get<PersistentVolume>(name);
    auto& finalizers = *found.mutable_metadata()->mutable_finalizers();
    finalizers.erase(std::remove(finalizers.begin(), finalizers.end(), api::kVolumeFolder),
                     finalizers.end());
    ASSERT_TRUE(update(found).ok());
    clock_.runUntilIdle();
  }
};

TEST_F(ClaimBinderTest, AClaimGetsAFolderOfTheHostThatGoesWithIt) {
  startManager();
  const auto local = get<storagev1::StorageClass>("local");
  EXPECT_TRUE(api::isDefaultClass(*local));
  addHost("n1", "h1");
  addHost("n2", "h1");
  add(claim("data"));
  const auto bound = get<PersistentVolumeClaim>("data");
  const std::string name = "pvc-" + bound->metadata().uid();
  EXPECT_EQ(bound->status().phase(), "Bound");
  EXPECT_EQ(bound->spec().storageclassname(), "local");
  EXPECT_EQ(bound->spec().volumename(), name);
  EXPECT_EQ(bound->status().capacity().at("storage").string(), "1Gi");
  const auto made = get<PersistentVolume>(name);
  EXPECT_EQ(made->status().phase(), "Bound");
  EXPECT_EQ(made->spec().persistentvolumesource().hostpath().path(), "/lab/h1/" + name);
  EXPECT_EQ(made->spec().persistentvolumereclaimpolicy(), "Delete");
  EXPECT_THAT(messages("data"),
              Contains("ProvisioningSucceeded: Successfully provisioned volume " + name));

  // A pod that uses it keeps the claim.
  add(user("web", "data", "n1"));
  ASSERT_TRUE(remove<PersistentVolumeClaim>("data", {}).ok());
  clock_.runUntilIdle();
  EXPECT_TRUE(get<PersistentVolumeClaim>("data")->metadata().has_deletiontimestamp());
  api::DeleteOptions now;
  now.set_graceperiodseconds(0);
  ASSERT_TRUE(remove<corev1::Pod>("web", now).ok());
  pass(seconds(1));
  EXPECT_FALSE(get<PersistentVolumeClaim>("data").ok());
  // The volume waits for a node of its host to remove the folder.
  EXPECT_EQ(get<PersistentVolume>(name)->status().phase(), "Released");
  EXPECT_EQ(get<PersistentVolume>(name)->metadata().labels().at(api::kReclaimLabel), "n1");
  setReady("n1", "False");
  pass(seconds(1));
  EXPECT_EQ(get<PersistentVolume>(name)->metadata().labels().at(api::kReclaimLabel), "n2");
  reclaim(name);
  EXPECT_THAT(volumeNames(), IsEmpty());
}

TEST_F(ClaimBinderTest, AVolumeThatIsThereIsTakenWhenItFits) {
  startManager();
  add(volume("small", "1Gi"));
  add(volume("large", "5Gi"));
  add(volume("huge", "50Gi"));
  EXPECT_EQ(get<PersistentVolume>("small")->status().phase(), "Available");
  auto wanted = claim("data", "2Gi");
  wanted.mutable_spec()->set_storageclassname("manual");
  add(wanted);
  EXPECT_EQ(get<PersistentVolumeClaim>("data")->spec().volumename(), "large");
  EXPECT_EQ(get<PersistentVolumeClaim>("data")->status().capacity().at("storage").string(), "5Gi");
  auto many = claim("many");
  many.mutable_spec()->set_storageclassname("manual");
  many.mutable_spec()->add_accessmodes("ReadWriteMany");
  add(many);
  EXPECT_EQ(phaseOf("many"), "Pending");
  EXPECT_THAT(messages("many"),
              Contains("ProvisioningFailed: storageclass.storage.k8s.io \"manual\" not found"));

  // Retain: the volume stays, for nobody else.
  ASSERT_TRUE(remove<PersistentVolumeClaim>("data", {}).ok());
  pass(seconds(1));
  EXPECT_EQ(get<PersistentVolume>("large")->status().phase(), "Released");
  ASSERT_TRUE(remove<PersistentVolume>("large", {}).ok());
  pass(seconds(1));
  EXPECT_FALSE(get<PersistentVolume>("large").ok());
  // A bound volume stays until its claim goes.
  auto next = claim("next");
  next.mutable_spec()->set_storageclassname("manual");
  add(next);
  ASSERT_EQ(get<PersistentVolumeClaim>("next")->spec().volumename(), "small");
  ASSERT_TRUE(remove<PersistentVolume>("small", {}).ok());
  pass(seconds(1));
  EXPECT_TRUE(get<PersistentVolume>("small")->metadata().has_deletiontimestamp());
}

TEST_F(ClaimBinderTest, SaysWhyAClaimWaits) {
  startManager();
  auto none = claim("none");
  none.mutable_spec()->set_storageclassname("");
  add(none);
  EXPECT_THAT(messages("none"), Contains(HasSubstr("FailedBinding: no persistent volumes available "
                                                   "for this claim and no storage class is set")));
  add(claim("data"));
  EXPECT_THAT(messages("data"),
              Contains("ProvisioningFailed: no ready node has a folder for volumes"));
  pass(seconds(60));
  EXPECT_EQ(phaseOf("data"), "Pending");
  addHost("n1", "h1");
  pass(seconds(1));
  EXPECT_EQ(phaseOf("data"), "Bound");
}

TEST_F(ClaimBinderTest, APodIsPlacedOnceItsClaimsAreBoundAndWhereTheirVolumesAre) {
  startManager();
  addHost("n0", "");  // has no folder
  add(user("web", "data"));
  EXPECT_THAT(messages("web"), Contains("FailedScheduling: 0/1 nodes are available: "
                                        "persistentvolumeclaim \"data\" not found. preemption: "
                                        "0/1 nodes are available: 1 Preemption is not helpful for "
                                        "scheduling."));
  auto later = claim("data");
  later.mutable_spec()->set_storageclassname("manual");
  add(later);
  pass(seconds(2));
  EXPECT_THAT(messages("web"),
              Contains("FailedScheduling: 0/1 nodes are available: pod has unbound immediate "
                       "PersistentVolumeClaims. preemption: 0/1 nodes are available: 1 Preemption "
                       "is not helpful for scheduling."));
  auto there = volume("there", "1Gi");
  auto& expression = *there.mutable_spec()
                          ->mutable_nodeaffinity()
                          ->mutable_required()
                          ->add_nodeselectorterms()
                          ->add_matchexpressions();
  expression.set_key(api::kVolumesLabel);
  expression.set_operator_("In");
  expression.add_values("h1");
  add(there);
  pass(seconds(2));
  EXPECT_EQ(phaseOf("data"), "Bound");
  EXPECT_THAT(messages("web"), Contains(HasSubstr("1 node(s) had volume node affinity conflict")));
  addHost("n1", "h1");
  pass(seconds(2));
  EXPECT_EQ(get<corev1::Pod>("web")->spec().nodename(), "n1");
}

TEST_F(ClaimBinderTest, AClassMayWaitForTheFirstPod) {
  startManager();
  addHost("n1", "h1");
  storagev1::StorageClass late;
  late.mutable_metadata()->set_name("late");
  late.set_provisioner(api::kLocalProvisioner);
  late.set_volumebindingmode("WaitForFirstConsumer");
  add(late);
  auto wanted = claim("data");
  wanted.mutable_spec()->set_storageclassname("late");
  add(wanted);
  EXPECT_THAT(messages("data"), Contains(HasSubstr("WaitForFirstConsumer: waiting for first")));
  auto web = user("web", "data");
  (*web.mutable_spec()->mutable_nodeselector())["disk"] = "fast";
  add(web);
  pass(seconds(2));
  EXPECT_EQ(phaseOf("data"), "Pending");
  EXPECT_THAT(messages("data"),
              Contains("WaitForPodScheduled: waiting for pod web to be scheduled"));
  // On the host of the node where the pod can go, although others have more nodes.
  addHost("n2", "h1");
  addHost("n3", "h2");
  label("n3", "disk", "fast");
  pass(seconds(2));
  EXPECT_EQ(phaseOf("data"), "Bound");
  EXPECT_EQ(get<corev1::Pod>("web")->spec().nodename(), "n3");
  const auto bound = get<PersistentVolumeClaim>("data");
  EXPECT_EQ(bound->metadata().annotations().at(api::kSelectedNodeAnnotation), "n3");
  EXPECT_THAT(get<PersistentVolume>(bound->spec().volumename())
                  ->spec()
                  .persistentvolumesource()
                  .hostpath()
                  .path(),
              HasSubstr("/lab/h2/"));
}

TEST_F(ClaimBinderTest, VolumesOfNodesAreChosenWithTheirPod) {
  startManager();
  for (const char* node : {"n1", "n2"}) {
    addHost(node, "");
    label(node, "kubernetes.io/hostname", node);
  }
  storagev1::StorageClass late;
  late.mutable_metadata()->set_name("manual");
  late.set_provisioner("kubernetes.io/no-provisioner");
  late.set_volumebindingmode("WaitForFirstConsumer");
  add(late);
  const auto on = [](PersistentVolume made, const std::string& node) {
    auto& expression = *made.mutable_spec()
                            ->mutable_nodeaffinity()
                            ->mutable_required()
                            ->add_nodeselectorterms()
                            ->add_matchexpressions();
    expression.set_key("kubernetes.io/hostname");
    expression.set_operator_("In");
    expression.add_values(node);
    return made;
  };
  add(on(volume("small", "1Gi"), "n1"));
  auto wanted = claim("data");
  wanted.mutable_spec()->set_storageclassname("manual");
  add(wanted);
  auto web = user("web", "data");
  (*web.mutable_spec()->mutable_nodeselector())["kubernetes.io/hostname"] = "n2";
  add(web);
  pass(seconds(2));
  EXPECT_THAT(messages("web"),
              Contains(HasSubstr("1 node(s) didn't find available persistent volumes to bind")));
  EXPECT_EQ(phaseOf("data"), "Pending");
  add(on(volume("large", "5Gi"), "n2"));
  pass(seconds(12));
  EXPECT_EQ(get<corev1::Pod>("web")->spec().nodename(), "n2");
  EXPECT_EQ(get<PersistentVolumeClaim>("data")->spec().volumename(), "large");
}

TEST_F(ClaimBinderTest, AClaimForOnePodHasOneAtATime) {
  startManager();
  addHost("n1", "h1");
  addHost("n2", "h1");
  auto single = claim("data");
  single.mutable_spec()->set_accessmodes(0, "ReadWriteOncePod");
  add(single);
  add(user("first", "data"));
  pass(seconds(2));
  ASSERT_NE(get<corev1::Pod>("first")->spec().nodename(), "");
  add(user("second", "data"));
  pass(seconds(30));
  EXPECT_EQ(get<corev1::Pod>("second")->spec().nodename(), "");
  EXPECT_THAT(messages("second"),
              Contains("FailedScheduling: 0/2 nodes are available: 2 node has pod using "
                       "PersistentVolumeClaim with the same name and ReadWriteOncePod access "
                       "mode. preemption: 0/2 nodes are available: 2 No preemption victims found "
                       "for incoming pod."));
  api::DeleteOptions now;
  now.set_graceperiodseconds(0);
  ASSERT_TRUE(remove<corev1::Pod>("first", now).ok());
  pass(seconds(12));
  EXPECT_NE(get<corev1::Pod>("second")->spec().nodename(), "");
}

TEST_F(ClaimBinderTest, AClaimThatNamesAVolumeMustFitIt) {
  startManager();
  add(volume("small", "1Gi"));
  const std::pair<const char*, const char*> kCases[] = {
      {"size", "requested PV is too small"},
      {"class", "storageClassName does not match"},
      {"modes", "incompatible accessMode"},
  };
  for (const auto& [name, why] : kCases) {
    auto wanted = claim(name, name == std::string("size") ? "2Gi" : "1Gi");
    wanted.mutable_spec()->set_volumename("small");
    wanted.mutable_spec()->set_storageclassname(name == std::string("class") ? "other" : "manual");
    if (name == std::string("modes")) wanted.mutable_spec()->set_accessmodes(0, "ReadOnlyMany");
    add(wanted);
    EXPECT_THAT(messages(name), Contains("VolumeMismatch: Cannot bind to requested volume "
                                         "\"small\": " +
                                         std::string(why)));
    EXPECT_EQ(phaseOf(name), "Pending");
  }
  EXPECT_EQ(get<PersistentVolume>("small")->status().phase(), "Available");
}

TEST_F(ClaimBinderTest, ARestartedServerGoesOn) {
  startManager();
  addHost("n1", "h1");
  add(claim("data"));
  const std::string name = get<PersistentVolumeClaim>("data")->spec().volumename();
  stopManager();
  ASSERT_TRUE(remove<PersistentVolumeClaim>("data", {}).ok());
  restart();
  alive_ = {"n1"};
  startManager();
  EXPECT_FALSE(get<PersistentVolumeClaim>("data").ok());
  EXPECT_EQ(get<PersistentVolume>(name)->metadata().labels().at(api::kReclaimLabel), "n1");
}

}  // namespace
}  // namespace podlab::controllers
