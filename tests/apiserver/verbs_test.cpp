#include <gmock/gmock.h>

#include <limits>
#include <set>

#include "scheduling_v1.pb.h"

#include "api/conditions.hpp"
#include "api/times.hpp"
#include "tests/apiserver/fixture.hpp"

namespace podlab::apiserver {
namespace {

using api::PatchType;
using corev1::ConfigMap;
using corev1::Namespace;
using corev1::Pod;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class VerbsTest : public ServiceTest {};

std::int64_t revisionOf(const google::protobuf::Message& object) {
  return std::stoll(api::meta(object).resourceversion());
}

api::DeleteOptions grace(std::int64_t seconds) {
  api::DeleteOptions options;
  options.set_graceperiodseconds(seconds);
  return options;
}

TEST_F(VerbsTest, SeedsNamespaces) {
  std::vector<std::string> names;
  for (const auto& object : list<Namespace>().items) names.push_back(api::meta(*object).name());
  EXPECT_THAT(names, ElementsAre("default", "kube-node-lease", "kube-public", "kube-system"));
  const auto one = get<Namespace>("default");
  EXPECT_EQ(one->status().phase(), "Active");
  EXPECT_THAT(one->spec().finalizers(), ElementsAre("kubernetes"));
  const std::string before = one->metadata().resourceversion();
  restart();
  EXPECT_EQ(get<Namespace>("default")->metadata().resourceversion(), before);
}

TEST_F(VerbsTest, CreateSetsServerOwnedMetadata) {
  Pod wanted = pod("web");
  wanted.mutable_metadata()->set_uid("mine");
  wanted.mutable_metadata()->set_generation(7);
  wanted.mutable_metadata()->set_deletiongraceperiodseconds(1);
  wanted.mutable_status()->set_phase("Running");
  const auto made = create(wanted);
  ASSERT_TRUE(made.ok()) << made.status().toString();
  const auto& metadata = made->metadata();
  EXPECT_EQ(metadata.namespace_(), "default");
  EXPECT_EQ(metadata.uid().size(), 36U);
  EXPECT_EQ(metadata.generation(), 1);
  EXPECT_FALSE(metadata.has_deletiongraceperiodseconds());
  EXPECT_EQ(api::toWallTime(metadata.creationtimestamp()), clock_.wallNow());
  EXPECT_EQ(made->status().phase(), "Pending");
  EXPECT_EQ(made->spec().restartpolicy(), "Always");
  EXPECT_EQ(get<Pod>("web")->SerializeAsString(), made->SerializeAsString());
}

TEST_F(VerbsTest, GenerateNameAppendsASuffixThatIsFree) {
  std::set<std::string> names;
  ConfigMap wanted;
  wanted.mutable_metadata()->set_generatename("job-");
  for (int i = 0; i < 50; ++i) {
    const auto made = create(wanted);
    ASSERT_TRUE(made.ok());
    EXPECT_THAT(made->metadata().name(),
                testing::MatchesRegex("job-[bcdfghjklmnpqrstvwxz2456789]{5}"));
    EXPECT_TRUE(names.insert(made->metadata().name()).second);
  }
}

TEST_F(VerbsTest, RefusesBadCreates) {
  ASSERT_TRUE(create(pod("taken")).ok());
  struct Case {
    const char* name;
    Pod object;
    Code code;
    const char* message;
  };
  Pod elsewhere = pod("a");
  elsewhere.mutable_metadata()->set_namespace_("nowhere");
  Pod versioned = pod("a");
  versioned.mutable_metadata()->set_resourceversion("5");
  Pod imageless = pod("a");
  imageless.mutable_spec()->mutable_containers(0)->clear_image();
  const Case cases[] = {
      {"name taken", pod("taken"), Code::kAlreadyExists, "pods \"taken\" already exists"},
      {"no namespace", elsewhere, Code::kNotFound, "namespaces \"nowhere\" not found"},
      {"resourceVersion", versioned, Code::kBadRequest,
       "resourceVersion should not be set on objects to be created"},
      {"invalid", imageless, Code::kInvalid,
       "Pod \"a\" is invalid: spec.containers[0].image: Required value"},
      {"no name", pod(""), Code::kInvalid,
       "Pod \"\" is invalid: metadata.name: Required value: name or generateName is required"},
  };
  for (const auto& item : cases) {
    const auto made = create(item.object);
    EXPECT_EQ(made.status().code(), item.code) << item.name;
    EXPECT_EQ(made.status().message(), item.message) << item.name;
  }
  auto shared = std::make_shared<Pod>(elsewhere);
  const auto mismatch = run(admin_->create(id<Pod>(""), shared, {}));
  EXPECT_EQ(mismatch.status().code(), Code::kBadRequest);
  auto plain = std::make_shared<Pod>(pod("a"));
  api::ResourceId everywhere{&api::kindFor<Pod>(), "", "", ""};
  EXPECT_EQ(run(admin_->create(everywhere, plain, {})).status().code(), Code::kMethodNotAllowed);
}

TEST_F(VerbsTest, UpdateIsOptimisticAndKeepsWhatTheServerOwns) {
  const auto made = create(configMap("a"));
  ConfigMap next = *made;
  (*next.mutable_data())["value"] = "2";
  next.mutable_metadata()->mutable_creationtimestamp()->set_seconds(1);
  const auto updated = update(next);
  ASSERT_TRUE(updated.ok()) << updated.status().toString();
  EXPECT_GT(revisionOf(*updated), revisionOf(*made));
  EXPECT_EQ(updated->metadata().uid(), made->metadata().uid());
  EXPECT_EQ(updated->metadata().creationtimestamp().seconds(),
            made->metadata().creationtimestamp().seconds());

  const auto stale = update(next);
  EXPECT_EQ(
      stale.status(),
      Status(Code::kConflict,
             "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; "
             "please apply your changes to the latest version and try again"));
  next.mutable_metadata()->clear_resourceversion();
  (*next.mutable_data())["value"] = "3";
  EXPECT_TRUE(update(next).ok());
  next.mutable_metadata()->set_uid("another");
  EXPECT_EQ(update(next).status().code(), Code::kConflict);
  EXPECT_EQ(update(configMap("absent")).status(),
            Status(Code::kNotFound, "configmaps \"absent\" not found"));
}

TEST_F(VerbsTest, AnUpdateThatChangesNothingIsNoWrite) {
  const auto made = create(configMap("a"));
  const auto before = store_->currentRevision();
  EXPECT_EQ(revisionOf(*update(*made)), revisionOf(*made));
  EXPECT_EQ(revisionOf(*patch<ConfigMap>("a", PatchType::kMerge, R"({"data":{"value":"1"}})")),
            revisionOf(*made));
  EXPECT_EQ(store_->currentRevision(), before);
}

TEST_F(VerbsTest, StatusAndSpecAreWrittenApart) {
  const auto made = create(pod("web"));
  Pod next = *made;
  next.mutable_status()->set_phase("Running");
  (*next.mutable_metadata()->mutable_labels())["a"] = "b";
  const auto status = update(next, "status");
  ASSERT_TRUE(status.ok()) << status.status().toString();
  EXPECT_EQ(status->status().phase(), "Running");
  EXPECT_TRUE(status->metadata().labels().empty());
  EXPECT_EQ(status->metadata().generation(), 1);

  next = *status;
  next.mutable_status()->set_phase("Failed");
  next.mutable_spec()->mutable_containers(0)->set_image("host:2");
  const auto spec = update(next);
  ASSERT_TRUE(spec.ok()) << spec.status().toString();
  EXPECT_EQ(spec->status().phase(), "Running");
  EXPECT_EQ(spec->metadata().generation(), 2);
  EXPECT_EQ(update(configMap("a"), "status").status().code(), Code::kNotFound);
}

// As upstream's ephemeralcontainers subresource.
TEST_F(VerbsTest, EphemeralContainersAreAddedAndStay) {
  ASSERT_TRUE(create(pod("web")).ok());
  Pod next = *get<Pod>("web");
  auto& added = *next.mutable_spec()->add_ephemeralcontainers();
  added.mutable_ephemeralcontainercommon()->set_name("debug");
  added.mutable_ephemeralcontainercommon()->set_image("host");
  added.set_targetcontainername("main");
  EXPECT_EQ(update(next).status().code(), Code::kInvalid);  // not by the pod itself
  // Nothing else is written with them.
  next.mutable_spec()->mutable_containers(0)->set_image("other");
  (*next.mutable_metadata()->mutable_labels())["a"] = "b";
  const auto written = update(next, "ephemeralcontainers");
  ASSERT_TRUE(written.ok()) << written.status().toString();
  EXPECT_EQ(written->spec().containers(0).image(), "host");
  EXPECT_TRUE(written->metadata().labels().empty());
  EXPECT_EQ(written->metadata().generation(), 2);
  const auto& debug = written->spec().ephemeralcontainers(0).ephemeralcontainercommon();
  EXPECT_EQ(debug.terminationmessagepath(), "/dev/termination-log");
  EXPECT_EQ(debug.imagepullpolicy(), "Always");

  const auto refused = [&](auto change) {
    Pod changed = *get<Pod>("web");
    change(*changed.mutable_spec());
    return update(changed, "ephemeralcontainers").status().message();
  };
  EXPECT_NE(refused([](auto& spec) { spec.clear_ephemeralcontainers(); })
                .find("spec.ephemeralContainers: Forbidden: existing ephemeral containers "
                      "\"debug\" may not be removed"),
            std::string::npos);
  EXPECT_NE(
      refused([](auto& spec) {
        spec.mutable_ephemeralcontainers(0)->mutable_ephemeralcontainercommon()->set_image("x");
      }).find("existing ephemeral containers \"debug\" may not be changed"),
      std::string::npos);
  const auto bad = refused([](auto& spec) {
    auto& more = *spec.add_ephemeralcontainers();
    more.set_targetcontainername("debug");
    auto& common = *more.mutable_ephemeralcontainercommon();
    common.set_name("main");
    common.set_image("host");
    common.add_ports()->set_containerport(80);
    common.mutable_lifecycle()->mutable_prestop()->mutable_sleep()->set_seconds(1);
  });
  for (const char* fault :
       {"spec.ephemeralContainers[1].name: Duplicate value: \"main\"",
        "spec.ephemeralContainers[1].targetContainerName: Not found: \"debug\"",
        "spec.ephemeralContainers[1].ports: Forbidden: cannot be set for an Ephemeral Container",
        "spec.ephemeralContainers[1].lifecycle: Forbidden: cannot be set for an Ephemeral"}) {
    EXPECT_NE(bad.find(fault), std::string::npos) << fault << "\n" << bad;
  }
  EXPECT_EQ(update(configMap("a"), "ephemeralcontainers").status().code(), Code::kNotFound);
}

TEST_F(VerbsTest, PatchesMergeAndJson) {
  ASSERT_TRUE(create(configMap("a")).ok());
  const auto merged =
      patch<ConfigMap>("a", PatchType::kMerge, R"({"data":{"value":null,"other":"x"}})");
  ASSERT_TRUE(merged.ok()) << merged.status().toString();
  EXPECT_FALSE(merged->data().contains("value"));
  EXPECT_EQ(merged->data().at("other"), "x");
  const auto json = patch<ConfigMap>("a", PatchType::kJson,
                                     R"([{"op":"replace","path":"/data/other","value":"y"}])");
  EXPECT_EQ(json->data().at("other"), "y");
  const auto stale = patch<ConfigMap>("a", PatchType::kMerge,
                                      R"({"metadata":{"resourceVersion":"1"},"data":{"z":"1"}})");
  EXPECT_EQ(stale.status().code(), Code::kConflict);
  EXPECT_EQ(
      patch<ConfigMap>("a", PatchType::kJson, R"([{"op":"test","path":"/data/other","value":1}])")
          .status()
          .code(),
      Code::kInvalid);
  EXPECT_EQ(patch<ConfigMap>("none", PatchType::kMerge, "{}").status().code(), Code::kNotFound);
  ASSERT_TRUE(create(pod("web")).ok());
  const auto phase =
      patch<Pod>("web", PatchType::kMerge, R"({"status":{"phase":"Running"}})", "status");
  EXPECT_EQ(phase->status().phase(), "Running");
}

TEST_F(VerbsTest, BindsAPodExactlyOnce) {
  ASSERT_TRUE(create(pod("web")).ok());
  const auto bound = bind("web", "n1");
  ASSERT_TRUE(bound.ok()) << bound.status().toString();
  EXPECT_EQ(bound->spec().nodename(), "n1");
  EXPECT_TRUE(api::isTrue(bound->status(), "PodScheduled"));
  EXPECT_EQ(bind("web", "n2").status(),
            Status(Code::kConflict,
                   "Operation cannot be fulfilled on pods \"web\": pod web is already assigned to "
                   "node \"n1\""));
  EXPECT_EQ(bind("web", "").status().code(), Code::kInvalid);
  EXPECT_EQ(bind("none", "n1").status().code(), Code::kNotFound);
  EXPECT_EQ(get<Pod>("web")->spec().nodename(), "n1");
}

TEST_F(VerbsTest, DeletesPodsGracefully) {
  struct Case {
    const char* name;
    const char* node;
    const char* phase;
    std::int64_t asked;    // -1: the default
    std::int64_t granted;  // -1: removed at once
  };
  const Case cases[] = {
      {"unscheduled", "", "Pending", -1, -1}, {"finished", "n1", "Succeeded", -1, -1},
      {"failed", "n1", "Failed", 10, -1},     {"running", "n1", "Running", -1, 30},
      {"shorter", "n1", "Running", 5, 5},     {"forced", "n1", "Running", 0, -1},
  };
  for (const auto& item : cases) {
    auto made = create(pod(item.name, item.node));
    ASSERT_TRUE(made.ok()) << made.status().toString();
    made->mutable_status()->set_phase(item.phase);
    ASSERT_TRUE(update(*made, "status").ok());
    const auto removed =
        remove<Pod>(item.name, item.asked < 0 ? api::DeleteOptions() : grace(item.asked));
    ASSERT_TRUE(removed.ok()) << item.name;
    const auto left = get<Pod>(item.name);
    if (item.granted < 0) {
      EXPECT_EQ(left.status().code(), Code::kNotFound) << item.name;
      continue;
    }
    ASSERT_TRUE(left.ok()) << item.name;
    EXPECT_EQ(left->metadata().deletiongraceperiodseconds(), item.granted) << item.name;
    EXPECT_EQ(api::toWallTime(left->metadata().deletiontimestamp()),
              clock_.wallNow() + std::chrono::seconds(item.granted))
        << item.name;
    EXPECT_EQ(left->metadata().generation(), 2) << item.name;
  }
}

TEST_F(VerbsTest, AGracePeriodOnlyShrinks) {
  ASSERT_TRUE(create(pod("web", "n1")).ok());
  const WallTime start = clock_.wallNow();
  ASSERT_TRUE(remove<Pod>("web").ok());
  clock_.advance(std::chrono::seconds(3));
  EXPECT_EQ(remove<Pod>("web", grace(60))->metadata().deletiongraceperiodseconds(), 30);
  const auto shorter = remove<Pod>("web", grace(10));
  EXPECT_EQ(shorter->metadata().deletiongraceperiodseconds(), 10);
  EXPECT_EQ(api::toWallTime(shorter->metadata().deletiontimestamp()),
            start + std::chrono::seconds(10));
  ASSERT_TRUE(remove<Pod>("web", grace(0)).ok());
  EXPECT_EQ(get<Pod>("web").status().code(), Code::kNotFound);
}

TEST_F(VerbsTest, FinalizersHoldBackRemoval) {
  ConfigMap held = configMap("a");
  held.mutable_metadata()->add_finalizers("podlab.io/hold");
  ASSERT_TRUE(create(held).ok());
  auto terminating = remove<ConfigMap>("a");
  ASSERT_TRUE(terminating.ok());
  EXPECT_TRUE(terminating->metadata().has_deletiontimestamp());
  EXPECT_EQ(revisionOf(*remove<ConfigMap>("a")), revisionOf(*terminating));
  api::WatchOptions sinceThen;
  sinceThen.resourceVersion = terminating->metadata().resourceversion();
  const auto watch = this->watch<ConfigMap>(sinceThen);
  terminating->mutable_metadata()->clear_finalizers();
  terminating->mutable_metadata()->clear_deletiontimestamp();
  ASSERT_TRUE(update(*terminating).ok());
  EXPECT_EQ(get<ConfigMap>("a").status().code(), Code::kNotFound);
  // Watches are told of the object as it last was.
  const auto events = drain(*watch);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].type, api::EventType::kDeleted);
  EXPECT_EQ(api::meta(*events[0].object).finalizers_size(), 1);
}

TEST_F(VerbsTest, DeletePreconditions) {
  const auto made = create(configMap("a"));
  api::DeleteOptions options;
  options.mutable_preconditions()->set_uid("another");
  EXPECT_EQ(remove<ConfigMap>("a", options).status().code(), Code::kConflict);
  options.mutable_preconditions()->set_uid(made->metadata().uid());
  options.mutable_preconditions()->set_resourceversion("1");
  EXPECT_EQ(remove<ConfigMap>("a", options).status().code(), Code::kConflict);
  options.mutable_preconditions()->set_resourceversion(made->metadata().resourceversion());
  EXPECT_TRUE(remove<ConfigMap>("a", options).ok());
  EXPECT_EQ(remove<ConfigMap>("a").status(), Status(Code::kNotFound, "configmaps \"a\" not found"));
}

TEST_F(VerbsTest, DryRunStoresNothing) {
  const auto before = store_->currentRevision();
  const auto made = create(pod("web"), dryRun());
  EXPECT_EQ(made->status().phase(), "Pending");
  EXPECT_EQ(get<Pod>("web").status().code(), Code::kNotFound);
  EXPECT_EQ(store_->currentRevision(), before);
  ASSERT_TRUE(create(configMap("a")).ok());
  EXPECT_EQ(create(configMap("a"), dryRun()).status().code(), Code::kAlreadyExists);
  EXPECT_EQ(update(configMap("a", "2"), "", dryRun())->data().at("value"), "2");
  api::DeleteOptions options;
  options.add_dryrun("All");
  EXPECT_TRUE(remove<ConfigMap>("a", options).ok());
  EXPECT_EQ(get<ConfigMap>("a")->data().at("value"), "1");
}

TEST_F(VerbsTest, ATerminatingNamespaceTakesNothingNew) {
  Namespace ns;
  ns.mutable_metadata()->set_name("lab");
  ASSERT_TRUE(create(ns).ok());
  ConfigMap inside = configMap("a");
  inside.mutable_metadata()->set_namespace_("lab");
  ASSERT_TRUE(create(inside).ok());
  auto terminating = remove<Namespace>("lab");
  ASSERT_TRUE(terminating.ok()) << terminating.status().toString();
  EXPECT_EQ(terminating->status().phase(), "Terminating");
  inside.mutable_metadata()->set_name("b");
  const Status denied = create(inside).status();
  EXPECT_EQ(denied.code(), Code::kForbidden);
  EXPECT_EQ(denied.message(),
            "configmaps \"b\" is forbidden: unable to create new content in namespace lab because "
            "it is being terminated");
  EXPECT_EQ(denied.causes().at(0).reason, "NamespaceTerminating");
  // Only the subresource lets go of it.
  terminating->mutable_spec()->clear_finalizers();
  EXPECT_TRUE(update(*terminating).ok());
  EXPECT_TRUE(get<Namespace>("lab").ok());
  EXPECT_TRUE(update(*terminating, "finalize").ok());
  EXPECT_EQ(get<Namespace>("lab").status().code(), Code::kNotFound);
  EXPECT_EQ(remove<Namespace>("default").status(),
            Status(Code::kForbidden,
                   "namespaces \"default\" is forbidden: this namespace may not be deleted"));
}

TEST_F(VerbsTest, ListsBySelectorInOrderOfKeys) {
  for (const char* name : {"b", "a", "c"}) {
    Pod made = pod(name, name == std::string("c") ? "" : "n1");
    (*made.mutable_metadata()->mutable_labels())["app"] = name;
    ASSERT_TRUE(create(made).ok());
  }
  struct Case {
    const char* labels;
    const char* fields;
    std::vector<std::string> expected;
  };
  const Case cases[] = {
      {"", "", {"a", "b", "c"}},
      {"app in (a,c)", "", {"a", "c"}},
      {"app!=a", "", {"b", "c"}},
      {"", "spec.nodeName=n1", {"a", "b"}},
      {"", "spec.nodeName=", {"c"}},
      {"", "spec.nodeName!=n1", {"c"}},
      {"app=b", "spec.nodeName=n1", {"b"}},
      {"", "metadata.name=b", {"b"}},
      {"app=a", "metadata.name=b", {}},
      {"", "metadata.namespace=other", {}},
      {"", "status.phase=Pending,metadata.name!=a", {"b", "c"}},
  };
  for (const auto& item : cases) {
    std::vector<std::string> names;
    for (const auto& object : list<Pod>(selecting(item.labels, item.fields)).items) {
      names.push_back(api::meta(*object).name());
    }
    EXPECT_EQ(names, item.expected) << item.labels << " " << item.fields;
  }
  EXPECT_EQ(run(admin_->list(id<Pod>(""), selecting("", "spec.x=1"))).status().code(),
            Code::kBadRequest);
  EXPECT_TRUE(run(admin_->list(id<Pod>(""), selecting("a=="))).ok());
  EXPECT_EQ(run(admin_->list(id<Pod>(""), notBefore("x"))).status().code(), Code::kBadRequest);
  EXPECT_EQ(run(admin_->list(id<Pod>(""), notBefore("100000"))).status().code(), Code::kTimeout);
}

TEST_F(VerbsTest, ChunksShowOneSnapshot) {
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(create(configMap("c" + std::to_string(i))).ok());
  auto page = list<ConfigMap>(chunk(4));
  const std::string version = page.resourceVersion;
  EXPECT_EQ(page.remainingItemCount, 6);
  ASSERT_TRUE(create(configMap("c00")).ok());
  ASSERT_TRUE(remove<ConfigMap>("c5").ok());
  ASSERT_TRUE(update(configMap("c6", "changed")).ok());
  std::vector<std::string> names;
  while (true) {
    EXPECT_EQ(page.resourceVersion, version);
    for (const auto& object : page.items) {
      names.push_back(api::meta(*object).name());
      EXPECT_EQ(api::as<ConfigMap>(object).data().at("value"), "1");
      // What has not changed is shared, not decoded again.
      if (names.back() == "c7") EXPECT_EQ(object.object(), *run(admin_->get(id<ConfigMap>("c7"))));
    }
    if (page.continueToken.empty()) break;
    page = list<ConfigMap>(chunk(4, page.continueToken));
  }
  EXPECT_THAT(names, ElementsAre("c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9"));

  page = list<ConfigMap>(chunk(4));
  ASSERT_TRUE(create(configMap("later")).ok());
  ASSERT_TRUE(run(store_->compact(store_->currentRevision())).ok());
  const auto late = run(admin_->list(id<ConfigMap>(""), chunk(0, page.continueToken)));
  EXPECT_EQ(late.status().code(), Code::kExpired);
  EXPECT_THAT(late.status().message(), StartsWith("The provided continue parameter is too old"));
  for (const char* bad : {"x", "5", "5.f", "5.zz", ".61", "0.61"}) {
    EXPECT_EQ(run(admin_->list(id<ConfigMap>(""), chunk(0, bad))).status().code(),
              Code::kBadRequest)
        << bad;
  }
}

TEST_F(VerbsTest, APodHasThePriorityOfItsClass) {
  EXPECT_EQ(create(pod("plain"))->spec().priority(), 0);
  Pod critical = pod("critical");
  critical.mutable_spec()->set_priorityclassname("system-cluster-critical");
  EXPECT_EQ(create(critical)->spec().priority(), 2'000'000'000);

  schedulingv1::PriorityClass usual;
  usual.mutable_metadata()->set_name("usual");
  usual.set_value(7);
  usual.set_globaldefault(true);
  usual.set_preemptionpolicy("Never");
  ASSERT_TRUE(create(usual).ok());
  const auto made = create(pod("made"));
  EXPECT_EQ(made->spec().priorityclassname(), "usual");
  EXPECT_EQ(made->spec().priority(), 7);
  EXPECT_EQ(made->spec().preemptionpolicy(), "Never");

  Pod wrong = pod("wrong");
  wrong.mutable_spec()->set_priorityclassname("none");
  EXPECT_EQ(create(wrong).status().message(),
            "pods \"wrong\" is forbidden: no PriorityClass with name none was found");
  wrong.mutable_spec()->set_priorityclassname("usual");
  wrong.mutable_spec()->set_priority(8);
  EXPECT_THAT(create(wrong).status().message(), HasSubstr("integer value of priority (8)"));
}

TEST_F(VerbsTest, ReturnsWarnings) {
  Pod odd = pod("web");
  auto& policy = *odd.mutable_spec()->mutable_containers(0)->add_resizepolicy();
  policy.set_resourcename("cpu");
  policy.set_restartpolicy("NotRequired");
  auto made = run(admin_->create(id<Pod>(""), std::make_shared<Pod>(odd), {}));
  ASSERT_TRUE(made.ok()) << made.status().toString();
  EXPECT_THAT(made->warnings, testing::Contains(HasSubstr("resizePolicy")));
}

TEST_F(VerbsTest, OldEventsAndHistoryGo) {
  corev1::Event event;
  event.mutable_metadata()->set_name("e1");
  event.mutable_involvedobject()->set_kind("Pod");
  event.mutable_involvedobject()->set_namespace_("default");
  event.mutable_involvedobject()->set_name("web");
  *event.mutable_lasttimestamp() = api::toTime(clock_.wallNow());
  ASSERT_TRUE(create(event).ok());
  clock_.advance(std::chrono::minutes(30));
  event.mutable_metadata()->set_name("e2");
  *event.mutable_lasttimestamp() = api::toTime(clock_.wallNow());
  ASSERT_TRUE(create(event).ok());
  clock_.advance(std::chrono::minutes(29));
  EXPECT_EQ(list<corev1::Event>().items.size(), 2U);
  clock_.advance(std::chrono::minutes(6));
  ASSERT_EQ(list<corev1::Event>().items.size(), 1U);
  EXPECT_GT(store_->compactedRevision(), 0);
  clock_.advance(std::chrono::minutes(40));
  EXPECT_TRUE(list<corev1::Event>().items.empty());
}

TEST_F(VerbsTest, ConcurrentWritersLoseNothing) {
  ASSERT_TRUE(create(configMap("counter", "0")).ok());
  constexpr int kWriters = 20;
  constexpr int kRounds = 25;
  int conflicts = 0;
  auto writer = [](api::Api& api, api::ResourceId target, int& lost) -> Co<void> {
    for (int done = 0; done < kRounds;) {
      auto found = co_await api.get(target);
      auto next = std::make_shared<ConfigMap>(api::as<ConfigMap>(*found));
      auto& value = (*next->mutable_data())["value"];
      value = std::to_string(std::stoi(value) + 1);
      auto written = co_await api.update(target, next, {});
      written ? ++done : ++lost;
    }
  };
  TaskGroup group(io_.get_executor());
  for (int i = 0; i < kWriters; ++i) {
    group.spawn("writer", writer(*admin_, id<ConfigMap>("counter"), conflicts));
  }
  run(group.join());
  EXPECT_EQ(get<ConfigMap>("counter")->data().at("value"), std::to_string(kWriters * kRounds));
  EXPECT_GT(conflicts, 0);
}

TEST_F(VerbsTest, ConcurrentBindingsAndPatchesKeepTheirInvariants) {
  ASSERT_TRUE(create(pod("web")).ok());
  int bound = 0;
  auto binder = [](api::Api& api, api::ResourceId target, std::string node,
                   int& count) -> Co<void> {
    auto binding = std::make_shared<corev1::Binding>();
    binding->mutable_target()->set_name(node);
    auto result = co_await api.create(target, binding, {});
    if (result) ++count;
  };
  auto patcher = [](api::Api& api, api::ResourceId target, int i) -> Co<void> {
    std::string body = R"({"metadata":{"labels":{"l)" + std::to_string(i) + R"(":"x"}}})";
    auto result = co_await api.patch(target, PatchType::kMerge, body, {});
    EXPECT_TRUE(result.ok()) << result.status().toString();
  };
  TaskGroup group(io_.get_executor());
  for (int i = 0; i < 20; ++i) {
    group.spawn("binder",
                binder(*admin_, id<Pod>("web", "binding"), "n" + std::to_string(i), bound));
    group.spawn("patcher", patcher(*admin_, id<Pod>("web"), i));
  }
  run(group.join());
  EXPECT_EQ(bound, 1);
  EXPECT_EQ(get<Pod>("web")->metadata().labels().size(), 20U);
}

}  // namespace
}  // namespace podlab::apiserver
