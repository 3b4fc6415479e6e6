// Definitions of kinds and their objects, in virtual time.
#include "controllers/custom_resources.hpp"

#include <gmock/gmock.h>

#include <set>

#include "core_v1_policies.pb.h"

#include "api/custom/custom_object.hpp"
#include "tests/api/custom_objects.hpp"
#include "tests/controllers/cluster_fixture.hpp"

namespace podlab::controllers {
namespace {

using api::Crd;
using Json = nlohmann::json;
using std::chrono::minutes;

constexpr const char* kTabs = "crontabs.stable.example.com";

class CustomResourcesTest : public ClusterTest {
 protected:
  ~CustomResourcesTest() override { stopManager(); }

  static Crd definition(const std::function<void(Json&)>& change = nullptr) {
    Json json = Json::parse(api::kCronTab);
    if (change) change(json);
    Crd made;
    EXPECT_TRUE(api::fromJson(json.dump(), made).ok());
    return made;
  }
  /// The definition of another plural, with names of its own unless they are given.
  static Crd named(const std::string& plural, const std::string& kind) {
    return definition([&](Json& json) {
      json["metadata"]["name"] = plural + ".stable.example.com";
      json["spec"]["names"] = {{"plural", plural}, {"kind", kind}, {"singular", plural + "1"}};
    });
  }
  void define(const Crd& made = definition()) {
    const auto created = create(made);
    ASSERT_TRUE(created.ok()) << created.status().toString();
    clock_.runUntilIdle();
  }
  std::string condition(const std::string& name, const std::string& type) {
    const auto found = get<Crd>(name);
    if (!found) return found.status().toString();
    for (const auto& one : found->status().conditions()) {
      if (one.type() == type) return one.status() + " " + one.reason() + ": " + one.message();
    }
    return "";
  }

  static api::ResourceId tabId(const std::string& name, const std::string& version = "v1",
                               const std::string& ns = "default") {
    return {api::findResource("stable.example.com", "crontabs", version), ns, name, ""};
  }
  Result<CustomObject> makeTab(const std::string& name, const std::string& ns = "default",
                               const std::string& finalizer = "") {
    Json json{{"apiVersion", "stable.example.com/v1"},
              {"kind", "CronTab"},
              {"metadata", {{"name", name}}},
              {"spec", {{"cronSpec", "* * * * *"}}}};
    if (!finalizer.empty()) json["metadata"]["finalizers"] = {finalizer};
    auto object = std::make_shared<CustomObject>();
    EXPECT_TRUE(api::fromJson(json.dump(), *object).ok());
    return unwrap<CustomObject>(run(admin_->create(tabId("", "v1", ns), object, {})));
  }
  Result<CustomObject> tab(const std::string& name, const std::string& version = "v1") {
    auto found = run(admin_->get(tabId(name, version)));
    if (!found) return found.status();
    return api::as<CustomObject>(*found);
  }
  Result<api::WriteResult> patchTab(const std::string& name, const std::string& body,
                                    const std::string& subresource = "") {
    auto id = tabId(name);
    id.subresource = subresource;
    return run(admin_->patch(id, api::PatchType::kMerge, body, {}));
  }
};

TEST_F(CustomResourcesTest, AreEstablishedAndServed) {
  startManager();
  define();
  EXPECT_EQ(condition(kTabs, "NamesAccepted"), "True NoConflicts: no conflicts found");
  EXPECT_EQ(condition(kTabs, "Established"),
            "True InitialNamesAccepted: the initial names have been accepted");
  EXPECT_EQ(get<Crd>(kTabs)->status().storedversions(0), "v1");
  const auto made = makeTab("a");
  ASSERT_TRUE(made.ok()) << made.status().toString();
  EXPECT_EQ(made->metadata().generation(), 1);
  EXPECT_EQ(api::contentOf(*made)["spec"]["image"], "web") << "its default";
  ASSERT_TRUE(patchTab("a", R"({"spec": {"replicas": 2}})").ok());
  ASSERT_TRUE(patchTab("a", R"({"status": {"replicas": 9}})").ok());
  EXPECT_EQ(tab("a")->metadata().generation(), 2);
  EXPECT_FALSE(tab("a")->has_status()) << "a status is written through its subresource only";
  ASSERT_TRUE(
      patchTab("a", R"({"status": {"replicas": 9}, "spec": {"replicas": 3}})", "status").ok());
  EXPECT_EQ(api::contentOf(*tab("a"))["status"]["replicas"], 9);
  EXPECT_EQ(api::contentOf(*tab("a"))["spec"]["replicas"], 2);
  EXPECT_EQ(tab("a")->metadata().generation(), 2);
  EXPECT_TRUE(patchTab("a", R"({"spec": {"replicas": 99}})").status().is(Code::kInvalid));
  EXPECT_TRUE(patchTab("a", R"({"spec": {"replicas": 4}})", "scale").ok());
  EXPECT_EQ(api::contentOf(*tab("a"))["spec"]["replicas"], 4);
}

TEST_F(CustomResourcesTest, AreThereBeforeTheFirstRequestOfARestartedServer) {
  startManager();
  define();
  ASSERT_TRUE(makeTab("a").ok());
  stopManager();
  restart();
  ASSERT_NE(tabId("").kind, nullptr);
  EXPECT_TRUE(tab("a").ok());
  startManager();
  ASSERT_TRUE(makeTab("b").ok());
}

TEST_F(CustomResourcesTest, TakeTheirObjectsWithThem) {
  startManager();
  define();
  ASSERT_TRUE(makeTab("free").ok());
  ASSERT_TRUE(makeTab("held", "default", "example.com/hold").ok());
  const auto leaving = remove<Crd>(kTabs);
  ASSERT_TRUE(leaving.ok());
  EXPECT_EQ(leaving->metadata().finalizers(0), "customresourcecleanup.apiextensions.k8s.io");
  clock_.runUntilIdle();
  EXPECT_TRUE(tab("free").status().is(Code::kNotFound));
  EXPECT_TRUE(tab("held")->metadata().has_deletiontimestamp());
  EXPECT_EQ(condition(kTabs, "Terminating"),
            "True InstanceDeletionInProgress: CustomResource deletion is in progress");
  const auto refused = makeTab("new");
  EXPECT_TRUE(refused.status().is(Code::kMethodNotAllowed));
  EXPECT_EQ(refused.status().message(),
            "create not allowed while custom resource definition is terminating");
  ASSERT_TRUE(patchTab("held", R"({"metadata": {"finalizers": null}})").ok());
  clock_.runUntilIdle();
  EXPECT_TRUE(get<Crd>(kTabs).status().is(Code::kNotFound));
  EXPECT_EQ(tabId("").kind, nullptr);
  // The same name again is another resource.
  define();
  ASSERT_NE(tabId("").kind, nullptr);
  EXPECT_TRUE(tab("free").status().is(Code::kNotFound));
  EXPECT_TRUE(makeTab("free").ok());
}

TEST_F(CustomResourcesTest, WaitForNamesThatOthersHave) {
  startManager();
  define(named("tabs", "Tab"));
  define(named("others", "Tab"));
  EXPECT_EQ(condition("others.stable.example.com", "NamesAccepted"),
            "False ListKindConflict: \"TabList\" is already in use");
  EXPECT_EQ(condition("others.stable.example.com", "Established"),
            "False NotAccepted: not all names are accepted");
  EXPECT_EQ(api::findResource("stable.example.com", "others"), nullptr);
  ASSERT_TRUE(remove<Crd>("tabs.stable.example.com").ok());
  clock_.runUntilIdle();
  EXPECT_EQ(condition("others.stable.example.com", "NamesAccepted"),
            "True NoConflicts: no conflicts found");
  EXPECT_NE(api::findResource("stable.example.com", "others"), nullptr);
}

TEST_F(CustomResourcesTest, AreServedInSeveralVersions) {
  startManager();
  const auto withVersions = [](bool newer) {
    return definition([newer](Json& json) {
      auto& versions = json["spec"]["versions"];
      Json other = versions[0];
      other["name"] = "v2";
      other["storage"] = newer;
      versions[0]["storage"] = !newer;
      versions.push_back(other);
    });
  };
  define(withVersions(false));
  ASSERT_TRUE(makeTab("a").ok());
  EXPECT_EQ(tab("a", "v1")->apiversion(), "stable.example.com/v1");
  EXPECT_EQ(tab("a", "v2")->apiversion(), "stable.example.com/v2");
  auto listed = run(admin_->list(tabId("", "v2"), {}));
  ASSERT_TRUE(listed.ok());
  EXPECT_EQ(api::as<CustomObject>(listed->items[0]).apiversion(), "stable.example.com/v2");
  api::WatchOptions all;
  auto watch = run(admin_->watch(tabId("", "v2"), all));
  ASSERT_TRUE(watch.ok());
  auto event = run((*watch)->next());
  EXPECT_EQ(api::as<CustomObject>(event->object).apiversion(), "stable.example.com/v2");

  auto changed = withVersions(true);
  *changed.mutable_metadata() = get<Crd>(kTabs)->metadata();
  ASSERT_TRUE(update(changed).ok());
  clock_.runUntilIdle();
  EXPECT_EQ(get<Crd>(kTabs)->status().storedversions_size(), 2);
  EXPECT_EQ(tab("a", "v1")->apiversion(), "stable.example.com/v1");
  auto next = std::make_shared<CustomObject>(*tab("a", "v1"));
  (*next->mutable_metadata()->mutable_labels())["x"] = "y";
  const auto written = run(admin_->update(tabId("a", "v1"), next, {}));
  ASSERT_TRUE(written.ok()) << written.status().toString();
  EXPECT_EQ(api::as<CustomObject>(written->object).apiversion(), "stable.example.com/v1");
  EXPECT_EQ(tab("a", "v2")->metadata().labels().at("x"), "y");
  EXPECT_EQ(tab("a", "v2")->metadata().resourceversion(),
            api::meta(*written->object).resourceversion());
}

TEST_F(CustomResourcesTest, BelongToOwnersNamespacesAndQuotas) {
  startManager();
  define();
  corev1::Namespace ns;
  ns.mutable_metadata()->set_name("tabs");
  ASSERT_TRUE(create(ns).ok());
  clock_.runUntilIdle();
  const auto owner = makeTab("owner", "tabs");
  ASSERT_TRUE(owner.ok());
  corev1::ConfigMap owned = configMap("owned");
  owned.mutable_metadata()->set_namespace_("tabs");
  auto& reference = *owned.mutable_metadata()->add_ownerreferences();
  reference.set_apiversion("stable.example.com/v1");
  reference.set_kind("CronTab");
  reference.set_name("owner");
  reference.set_uid(owner->metadata().uid());
  ASSERT_TRUE(create(owned).ok());
  clock_.runUntilIdle();
  const api::ResourceId ownedId{&api::kindFor<corev1::ConfigMap>(), "tabs", "owned", ""};
  EXPECT_TRUE(run(admin_->get(ownedId)).ok());
  ASSERT_TRUE(run(admin_->remove(tabId("owner", "v1", "tabs"), {})).ok());
  clock_.runUntilIdle();
  EXPECT_TRUE(run(admin_->get(ownedId)).status().is(Code::kNotFound));

  corev1::ResourceQuota quota;
  quota.mutable_metadata()->set_name("few");
  quota.mutable_metadata()->set_namespace_("tabs");
  (*quota.mutable_spec()->mutable_hard())["count/crontabs.stable.example.com"].set_string("1");
  ASSERT_TRUE(create(quota).ok());
  clock_.runUntilIdle();
  ASSERT_TRUE(makeTab("a", "tabs").ok());
  EXPECT_THAT(makeTab("b", "tabs").status().message(), testing::HasSubstr("exceeded quota: few"));
  ASSERT_TRUE(run(admin_->remove(tabId("a", "v1", "tabs"), {})).ok());
  clock_.runUntilIdle();
  ASSERT_TRUE(makeTab("b", "tabs").ok());

  ASSERT_TRUE(remove<corev1::Namespace>("tabs").ok());
  clock_.advance(minutes(1));
  EXPECT_TRUE(get<corev1::Namespace>("tabs").status().is(Code::kNotFound));
  EXPECT_TRUE(run(admin_->list(tabId("", "v1", ""), {}))->items.empty());
}

/// Definitions and objects come and go while the server restarts.
TEST_F(CustomResourcesTest, SettleWhateverHappens) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRng rng(seed);
    startManager();
    const char* kPlurals[] = {"crontabs", "tabs", "others"};
    const char* kKinds[] = {"CronTab", "Tab"};
    for (int step = 0; step < 60; ++step) {
      const std::string plural = kPlurals[rng.below(3)];
      const std::string name = plural + ".stable.example.com";
      switch (rng.below(8)) {
        case 0:
        case 1:
          (void)create(plural == "crontabs" ? definition() : named(plural, kKinds[rng.below(2)]));
          break;
        case 2:
          (void)remove<Crd>(name);
          break;
        case 3:
        case 4:
          if (tabId("").kind != nullptr)
            (void)makeTab("o" + std::to_string(rng.below(5)), "default",
                          rng.chance(0.2) ? "example.com/hold" : "");
          break;
        case 5:
          if (tabId("").kind != nullptr)
            (void)run(admin_->remove(tabId("o" + std::to_string(rng.below(5))), {}));
          break;
        case 6:
          clock_.advance(std::chrono::milliseconds(rng.below(2000)));
          break;
        default:
          if (!rng.chance(0.3)) break;
          stopManager();
          restart();
          startManager();
      }
    }
    // Who held objects lets go.
    if (tabId("").kind != nullptr) {
      const auto listed = run(admin_->list(tabId(""), {}));
      for (const auto& object : listed->items)
        (void)patchTab(api::meta(*object).name(), R"({"metadata": {"finalizers": null}})");
    }
    clock_.advance(minutes(10));
    std::set<std::string> kinds;
    for (const auto& object : list<Crd>().items) {
      const auto& found = api::as<Crd>(object);
      const std::string& name = found.metadata().name();
      EXPECT_FALSE(found.metadata().has_deletiontimestamp()) << name;
      const bool established = api::isTrue(found.status(), "Established");
      EXPECT_EQ(api::customResource(name) != nullptr, established) << name;
      if (established)
        EXPECT_TRUE(kinds.insert(found.spec().names().kind()).second)
            << name << " has a taken kind";
    }
    for (const auto& object : list<Crd>().items) {
      const auto& found = api::as<Crd>(object);
      if (!api::isTrue(found.status(), "Established"))
        EXPECT_TRUE(kinds.contains(found.spec().names().kind())) << "nobody has its kind";
    }
    for (const auto& object : list<Crd>().items) (void)remove<Crd>(api::meta(*object).name());
    clock_.advance(minutes(10));
    EXPECT_TRUE(list<Crd>().items.empty());
    stopManager();
    const auto left = run(
        store_->range({"/registry/stable.example.com/", "/registry/stable.example.com0", 0, 0}));
    ASSERT_TRUE(left.ok());
    EXPECT_TRUE(left->items.empty()) << left->items[0].key << " is left";
  }
}

}  // namespace
}  // namespace podlab::controllers
