#include <gmock/gmock.h>

#include <map>
#include <set>

#include "api/owners.hpp"
#include "tests/controllers/cluster_fixture.hpp"
#include "tests/fakes/flaky_api.hpp"

namespace podlab::controllers {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;

class GarbageTest : public ClusterTest {
 protected:
  ~GarbageTest() override { stopManager(); }

  template <typename T>
  metav1::OwnerReference referenceTo(const T& owner, bool blocking = true) {
    const api::Kind& kind = api::kindFor<T>();
    metav1::OwnerReference made;
    made.set_apiversion(kind.apiVersion());
    made.set_kind(std::string(kind.kind));
    made.set_name(owner.metadata().name());
    made.set_uid(owner.metadata().uid());
    made.set_blockownerdeletion(blocking);
    return made;
  }
  corev1::ConfigMap make(const std::string& name,
                         const std::vector<metav1::OwnerReference>& owners = {},
                         const std::string& ns = "default") {
    auto object = configMap(name);
    object.mutable_metadata()->set_namespace_(ns);
    for (const auto& owner : owners) *object.mutable_metadata()->add_ownerreferences() = owner;
    auto made = create(object);
    EXPECT_TRUE(made.ok()) << made.status().toString();
    return made ? *made : corev1::ConfigMap();
  }
  void settle() { clock_.advance(seconds(90)); }
  bool isThere(const std::string& name) { return get<corev1::ConfigMap>(name).ok(); }
  int owners(const std::string& name) {
    return get<corev1::ConfigMap>(name)->metadata().ownerreferences_size();
  }
  static api::DeleteOptions policy(const std::string& name) {
    api::DeleteOptions options;
    options.set_propagationpolicy(name);
    return options;
  }
  void removeFinalizerOf(const std::string& name, const std::string& finalizer) {
    auto object = get<corev1::ConfigMap>(name);
    api::removeFinalizer(*object->mutable_metadata(), finalizer);
    ASSERT_TRUE(update(*object).ok());
  }
};

TEST_F(GarbageTest, DependentsFollowTheirLastOwner) {
  startManager();
  const auto a = make("a");
  const auto b = make("b");
  make("of-a", {referenceTo(a)});
  make("of-both", {referenceTo(a), referenceTo(b)});
  const auto child = make("child", {referenceTo(b)});
  make("grandchild", {referenceTo(child)});
  settle();
  EXPECT_TRUE(isThere("of-a"));
  ASSERT_TRUE(remove<corev1::ConfigMap>("a").ok());
  settle();
  EXPECT_FALSE(isThere("of-a"));
  EXPECT_EQ(owners("of-both"), 1) << "the reference to what is gone is dropped";
  ASSERT_TRUE(remove<corev1::ConfigMap>("b").ok());
  settle();
  EXPECT_THAT(list<corev1::ConfigMap>().items, testing::IsEmpty());
}

TEST_F(GarbageTest, AnotherObjectUnderTheNameIsNoOwner) {
  const auto a = make("a");
  make("of-a", {referenceTo(a)});
  ASSERT_TRUE(remove<corev1::ConfigMap>("a").ok());
  make("a");
  startManager();
  settle();
  EXPECT_FALSE(isThere("of-a"));
}

TEST_F(GarbageTest, ForegroundWaitsForThoseThatBlock) {
  startManager();
  const auto a = make("a");
  auto blocking = configMap("blocking");
  *blocking.mutable_metadata()->add_ownerreferences() = referenceTo(a);
  blocking.mutable_metadata()->add_finalizers("podlab.io/hold");
  ASSERT_TRUE(create(blocking).ok());
  make("free", {referenceTo(a, false)});
  auto removed = remove<corev1::ConfigMap>("a", policy("Foreground"));
  ASSERT_TRUE(removed.ok());
  EXPECT_THAT(removed->metadata().finalizers(), ElementsAre("foregroundDeletion"));
  settle();
  EXPECT_FALSE(isThere("free"));
  EXPECT_TRUE(get<corev1::ConfigMap>("blocking")->metadata().has_deletiontimestamp());
  EXPECT_TRUE(isThere("a"));
  removeFinalizerOf("blocking", "podlab.io/hold");
  settle();
  EXPECT_FALSE(isThere("blocking"));
  EXPECT_FALSE(isThere("a"));
}

TEST_F(GarbageTest, ForegroundLeavesWhatHasAnotherOwner) {
  startManager();
  const auto a = make("a");
  const auto b = make("b");
  make("of-both", {referenceTo(a), referenceTo(b)});
  ASSERT_TRUE(remove<corev1::ConfigMap>("a", policy("Foreground")).ok());
  settle();
  EXPECT_FALSE(isThere("a"));
  EXPECT_EQ(owners("of-both"), 1);
}

TEST_F(GarbageTest, ACircleOfOwnersDoesNotBlockItself) {
  startManager();
  auto a = make("a");
  const auto b = make("b", {referenceTo(a)});
  *a.mutable_metadata()->add_ownerreferences() = referenceTo(b);
  a.mutable_metadata()->clear_resourceversion();
  ASSERT_TRUE(update(a).ok());
  settle();
  EXPECT_TRUE(isThere("a") && isThere("b"));
  ASSERT_TRUE(remove<corev1::ConfigMap>("a", policy("Foreground")).ok());
  settle();
  EXPECT_FALSE(isThere("a"));
  EXPECT_FALSE(isThere("b"));
}

TEST_F(GarbageTest, OrphansLoseTheirReference) {
  const auto a = make("a");
  for (const char* name : {"x", "y", "z"}) make(name, {referenceTo(a)});
  auto removed = remove<corev1::ConfigMap>("a", policy("Orphan"));
  ASSERT_TRUE(removed.ok());
  EXPECT_THAT(removed->metadata().finalizers(), ElementsAre("orphan"));
  // The server stops before the collector has begun.
  restart();
  startManager();
  settle();
  EXPECT_FALSE(isThere("a"));
  for (const char* name : {"x", "y", "z"}) EXPECT_EQ(owners(name), 0);
}

TEST_F(GarbageTest, ALaterDeleteMayChangeThePolicy) {
  const auto a = make("a");
  ASSERT_TRUE(remove<corev1::ConfigMap>("a", policy("Orphan")).ok());
  auto again = remove<corev1::ConfigMap>("a", policy("Foreground"));
  ASSERT_TRUE(again.ok());
  EXPECT_THAT(again->metadata().finalizers(), ElementsAre("foregroundDeletion"));
  ASSERT_TRUE(remove<corev1::ConfigMap>("a").ok());
  EXPECT_TRUE(isThere("a")) << "no policy: as it was";
  ASSERT_TRUE(remove<corev1::ConfigMap>("a", policy("Background")).ok());
  EXPECT_FALSE(isThere("a"));
}

TEST_F(GarbageTest, RefusesWrongPolicies) {
  make("a");
  auto both = policy("Orphan");
  both.set_orphandependents(true);
  for (const auto& options : {both, policy("Sideways"), policy("")}) {
    const auto removed = remove<corev1::ConfigMap>("a", options);
    EXPECT_EQ(removed.status().code(), Code::kInvalid);
    EXPECT_THAT(removed.status().message(), HasSubstr("propagationPolicy"));
  }
  EXPECT_TRUE(isThere("a"));
}

TEST_F(GarbageTest, OwnersInOtherNamespacesAreNone) {
  corev1::Namespace other;
  other.mutable_metadata()->set_name("other");
  ASSERT_TRUE(create(other).ok());
  startManager();
  const auto far = make("far", {}, "other");
  make("near", {referenceTo(far)});
  settle();
  EXPECT_FALSE(isThere("near"));
  std::string message;
  for (const auto& object : list<corev1::Event>().items) {
    const auto& event = api::as<corev1::Event>(object);
    if (event.reason() == "OwnerRefInvalidNamespace") message = event.message();
  }
  EXPECT_EQ(message, "ownerRef [v1/ConfigMap, namespace: default, name: far, uid: " +
                         far.metadata().uid() + "] does not exist in namespace \"default\"");
}

TEST_F(GarbageTest, OwnersOfUnknownKindsAndOfTheClusterAreLeftAlone) {
  corev1::Node node;
  node.mutable_metadata()->set_name("n");
  auto made = create(node);
  ASSERT_TRUE(made.ok());
  startManager();
  auto unknown = referenceTo(*made);
  unknown.set_kind("Gadget");
  make("of-unknown", {unknown});
  make("of-node", {referenceTo(*made)});
  settle();
  EXPECT_TRUE(isThere("of-unknown"));
  EXPECT_TRUE(isThere("of-node"));
  ASSERT_TRUE(remove<corev1::Node>("n").ok());
  settle();
  EXPECT_TRUE(isThere("of-unknown"));
  EXPECT_FALSE(isThere("of-node"));
}

TEST_F(GarbageTest, ANamespaceSaysWhatItWaitsFor) {
  startManager();
  corev1::Namespace made;
  made.mutable_metadata()->set_name("going");
  ASSERT_TRUE(create(made).ok());
  auto held = configMap("held");
  held.mutable_metadata()->set_namespace_("going");
  held.mutable_metadata()->add_finalizers("podlab.io/hold");
  ASSERT_TRUE(create(held).ok());
  const auto owner = make("owner", {}, "going");
  make("of-owner", {referenceTo(owner)}, "going");
  ASSERT_TRUE(remove<corev1::Namespace>("going", policy("Foreground")).ok());
  settle();
  auto found = get<corev1::Namespace>("going");
  ASSERT_TRUE(found.ok());
  std::map<std::string, std::string> conditions;
  for (const auto& condition : found->status().conditions())
    conditions[condition.type()] = condition.status() + ": " + condition.message();
  EXPECT_EQ(conditions["NamespaceContentRemaining"],
            "True: Some resources are remaining: configmaps. has 1 resource instances");
  EXPECT_EQ(conditions["NamespaceFinalizersRemaining"],
            "True: Some content in the namespace has finalizers remaining: podlab.io/hold in 1 "
            "resource instances");
  EXPECT_EQ(conditions["NamespaceDeletionContentFailure"],
            "False: All content successfully deleted, may be waiting on finalization");
  const api::ResourceId id{&api::kindFor<corev1::ConfigMap>(), "going", "held", ""};
  held.mutable_metadata()->clear_finalizers();
  ASSERT_TRUE(run(admin_->update(id, std::make_shared<corev1::ConfigMap>(held), {})).ok());
  clock_.advance(seconds(1));
  EXPECT_FALSE(get<corev1::Namespace>("going").ok());
}

/// Objects by uid and their owners, with what deletes should leave of them: worked out one step at
/// a time, in whatever order.
class Oracle {
 public:
  void add(const corev1::ConfigMap& object) {
    auto& owners = owners_[object.metadata().uid()];
    owners.clear();
    for (const auto& owner : object.metadata().ownerreferences()) owners.insert(owner.uid());
    settle();
  }
  void remove(const std::string& uid, bool orphan) {
    if (orphan) {
      for (auto& [dependent, owners] : owners_) owners.erase(uid);
    }
    owners_.erase(uid);
    settle();
  }
  std::map<std::string, std::set<std::string>> owners() const { return owners_; }

 private:
  void settle() {
    for (auto it = owners_.begin(); it != owners_.end();) {
      auto& [uid, owners] = *it;
      std::set<std::string> left;
      for (const auto& owner : owners) {
        if (owners_.contains(owner)) left.insert(owner);
      }
      const bool gone = !owners.empty() && left.empty();
      owners = std::move(left);
      if (!gone) {
        ++it;
        continue;
      }
      owners_.erase(it);
      it = owners_.begin();
    }
  }
  std::map<std::string, std::set<std::string>> owners_;
};

class GarbageSeeds : public GarbageTest, public testing::WithParamInterface<int> {
 protected:
  std::vector<corev1::ConfigMap> present() {
    std::vector<corev1::ConfigMap> found;
    for (const auto& object : list<corev1::ConfigMap>().items)
      found.push_back(api::as<corev1::ConfigMap>(object));
    return found;
  }
  std::map<std::string, std::set<std::string>> graph() {
    std::map<std::string, std::set<std::string>> made;
    for (const auto& object : present()) {
      auto& owners = made[object.metadata().uid()];
      for (const auto& owner : object.metadata().ownerreferences()) owners.insert(owner.uid());
    }
    return made;
  }
  /// Up to three owners among what there is; now and then one that never was.
  std::vector<metav1::OwnerReference> someOwners(Rng& rng) {
    const auto candidates = present();
    std::map<std::string, metav1::OwnerReference> chosen;
    for (std::uint64_t i = rng.below(4); i > 0 && !candidates.empty(); --i) {
      auto owner = referenceTo(candidates[rng.below(candidates.size())], rng.chance(0.6));
      if (rng.chance(0.05)) owner.set_uid(rng.uuid());
      chosen[owner.uid()] = owner;
    }
    std::vector<metav1::OwnerReference> made;
    for (auto& [uid, owner] : chosen) made.push_back(std::move(owner));
    return made;
  }
};

/// Each change is followed to its end, through a bad line and restarts: what is left is known.
TEST_P(GarbageSeeds, LeaveWhatANaiveCollectorLeaves) {
  SeededRng rng(static_cast<std::uint64_t>(GetParam()));
  auto flaky = std::make_unique<fakes::FlakyApi>(*admin_, clock_, rng);
  fakes::FlakyApi::Faults bad;
  bad.refused = 0.1;
  bad.answerLost = 0.05;
  bad.watchBroken = 0.02;
  bad.slowest = milliseconds(50);
  flaky->setFaults(bad);
  startManager(options(), flaky.get());
  Oracle oracle;
  int number = 0;
  for (int step = 0; step < 60 && !HasFailure(); ++step) {
    const auto objects = present();
    if (objects.size() < 4 || rng.chance(0.6)) {
      oracle.add(make("c" + std::to_string(number++), someOwners(rng)));
    } else if (rng.chance(0.25)) {
      // An owner of an owner of itself, perhaps.
      auto object = objects[rng.below(objects.size())];
      object.mutable_metadata()->clear_ownerreferences();
      for (const auto& owner : someOwners(rng))
        *object.mutable_metadata()->add_ownerreferences() = owner;
      ASSERT_TRUE(update(object).ok());
      oracle.add(object);
    } else {
      const auto& victim = objects[rng.below(objects.size())].metadata();
      constexpr const char* kPolicies[] = {"Background", "Foreground", "Orphan"};
      const std::string chosen = kPolicies[rng.below(3)];
      ASSERT_TRUE(remove<corev1::ConfigMap>(victim.name(), policy(chosen)).ok());
      oracle.remove(victim.uid(), chosen == "Orphan");
    }
    if (rng.chance(0.2)) {
      // The server dies in the middle of it.
      clock_.advance(milliseconds(rng.below(200)));
      stopManager();
      flaky.reset();
      restart();
      flaky = std::make_unique<fakes::FlakyApi>(*admin_, clock_, rng);
      flaky->setFaults(bad);
      startManager(options(), flaky.get());
    }
    clock_.advance(minutes(4));
    ASSERT_EQ(graph(), oracle.owners()) << "seed " << GetParam() << ", step " << step;
  }
  stopManager();
}

/// Many changes at once, and finalizers of others: at rest, nothing waits, and no reference leads
/// nowhere; what never had an owner and was not deleted is there.
TEST_P(GarbageSeeds, ComeToRest) {
  SeededRng rng(static_cast<std::uint64_t>(GetParam()) + 1000);
  fakes::FlakyApi flaky(*admin_, clock_, rng);
  fakes::FlakyApi::Faults bad;
  bad.slowest = milliseconds(30);
  bad.refused = 0.05;
  flaky.setFaults(bad);
  startManager(options(), &flaky);
  std::set<std::string> mustStay;
  for (int step = 0; step < 150; ++step) {
    const auto objects = present();
    if (rng.chance(0.55) || objects.empty()) {
      auto object = configMap("c" + std::to_string(step));
      for (const auto& owner : someOwners(rng))
        *object.mutable_metadata()->add_ownerreferences() = owner;
      if (rng.chance(0.2)) object.mutable_metadata()->add_finalizers("podlab.io/hold");
      const auto made = create(object);
      ASSERT_TRUE(made.ok()) << made.status().toString();
      if (made->metadata().ownerreferences().empty()) mustStay.insert(made->metadata().name());
    } else {
      const auto& victim = objects[rng.below(objects.size())].metadata();
      constexpr const char* kPolicies[] = {"Background", "Foreground", "Orphan"};
      (void)remove<corev1::ConfigMap>(victim.name(), policy(kPolicies[rng.below(3)]));
      mustStay.erase(victim.name());
    }
    if (rng.chance(0.5)) clock_.advance(milliseconds(rng.below(100)));
  }
  for (int round = 0; round < 20; ++round) {
    for (auto object : present()) {
      if (!api::removeFinalizer(*object.mutable_metadata(), "podlab.io/hold")) continue;
      (void)update(object);
    }
    clock_.advance(minutes(2));
  }
  const auto left = graph();
  for (const auto& object : present()) {
    const auto& metadata = object.metadata();
    EXPECT_FALSE(metadata.has_deletiontimestamp())
        << metadata.ShortDebugString() << ", seed " << GetParam();
    mustStay.erase(metadata.name());
    for (const auto& owner : metadata.ownerreferences())
      EXPECT_TRUE(left.contains(owner.uid())) << metadata.name() << ", seed " << GetParam();
  }
  EXPECT_THAT(mustStay, testing::IsEmpty()) << "seed " << GetParam();
  stopManager();
}

INSTANTIATE_TEST_SUITE_P(Seeds, GarbageSeeds, testing::Range(1, 9));

}  // namespace
}  // namespace podlab::controllers
