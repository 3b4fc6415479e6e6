#include <gmock/gmock.h>

#include <map>

#include "tests/apiserver/fixture.hpp"

namespace podlab::apiserver {
namespace {

using corev1::ConfigMap;
using corev1::Pod;
using testing::ElementsAre;
using testing::IsEmpty;

api::WatchOptions watching(std::string labels, std::string fields = "", std::string revision = "") {
  api::WatchOptions options;
  options.labelSelector = std::move(labels);
  options.fieldSelector = std::move(fields);
  options.resourceVersion = std::move(revision);
  return options;
}

class WatchTest : public ServiceTest {
 protected:
  void label(const std::string& name, const std::string& value) {
    auto found = get<ConfigMap>(name);
    (*found->mutable_metadata()->mutable_labels())["app"] = value;
    ASSERT_TRUE(update(*found).ok());
  }
  std::string now() { return list<ConfigMap>().resourceVersion; }
};

TEST_F(WatchTest, StartsWithWhatIsThereAndGoesOn) {
  ASSERT_TRUE(create(configMap("a")).ok());
  auto all = watch<ConfigMap>({});
  EXPECT_THAT(texts(*all), ElementsAre("ADDED a"));
  ASSERT_TRUE(create(configMap("b")).ok());
  ASSERT_TRUE(update(configMap("a", "2")).ok());
  const auto removed = remove<ConfigMap>("b");
  const auto events = drain(*all);
  std::vector<std::string> seen;
  for (const auto& event : events) seen.push_back(text(event));
  EXPECT_THAT(seen, ElementsAre("ADDED b", "MODIFIED a", "DELETED b"));
  EXPECT_EQ(api::meta(*events[2].object).resourceversion(), removed->metadata().resourceversion());
  EXPECT_EQ(api::as<ConfigMap>(events[2].object).data().at("value"), "1");
}

TEST_F(WatchTest, FromARevisionNothingIsLostOrDoubled) {
  const std::string start = now();
  ASSERT_TRUE(create(configMap("a")).ok());
  const std::string middle = now();
  ASSERT_TRUE(create(configMap("b")).ok());
  ASSERT_TRUE(remove<ConfigMap>("a").ok());
  auto early = watch<ConfigMap>(watching("", "", start));
  auto later = watch<ConfigMap>(watching("", "", middle));
  ASSERT_TRUE(create(configMap("c")).ok());
  EXPECT_THAT(texts(*early), ElementsAre("ADDED a", "ADDED b", "DELETED a", "ADDED c"));
  EXPECT_THAT(texts(*later), ElementsAre("ADDED b", "DELETED a", "ADDED c"));
}

TEST_F(WatchTest, SelectorTransitionsAreAdditionsAndDeletions) {
  ASSERT_TRUE(create(configMap("a")).ok());
  auto green = watch<ConfigMap>(watching("app=green", "", now()));
  label("a", "red");
  EXPECT_THAT(texts(*green), IsEmpty());
  label("a", "green");
  EXPECT_THAT(texts(*green), ElementsAre("ADDED a"));
  ASSERT_TRUE(update(configMap("a", "9")).ok());  // drops the label
  const auto events = drain(*green);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(text(events[0]), "DELETED a");
  EXPECT_EQ(api::meta(*events[0].object).labels().at("app"), "green");
  EXPECT_EQ(api::meta(*events[0].object).resourceversion(),
            get<ConfigMap>("a")->metadata().resourceversion());
}

TEST_F(WatchTest, ANodeSeesItsPodsFromTheirBindingOn) {
  auto mine = watch<Pod>(watching("", "spec.nodeName=n1"));
  auto unbound = watch<Pod>(watching("", "spec.nodeName="));
  auto named = watch<Pod>(watching("", "metadata.name=b"));
  for (const char* name : {"a", "b"}) ASSERT_TRUE(create(pod(name)).ok());
  ASSERT_TRUE(bind("a", "n1").ok());
  ASSERT_TRUE(bind("b", "n2").ok());
  api::DeleteOptions at;
  at.set_graceperiodseconds(0);
  ASSERT_TRUE(remove<Pod>("a", at).ok());
  EXPECT_THAT(texts(*mine), ElementsAre("ADDED a", "DELETED a"));
  EXPECT_THAT(texts(*unbound), ElementsAre("ADDED a", "ADDED b", "DELETED a", "DELETED b"));
  EXPECT_THAT(texts(*named), ElementsAre("ADDED b", "MODIFIED b"));
}

TEST_F(WatchTest, InitialEventsEndWithABookmark) {
  for (const char* name : {"a", "b"}) ASSERT_TRUE(create(configMap(name)).ok());
  api::WatchOptions options;
  options.sendInitialEvents = true;
  options.bookmarks = true;
  options.resourceVersion = "1";
  auto all = watch<ConfigMap>(options);
  const auto events = drain(*all);
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(text(events[2]), "BOOKMARK end");
  EXPECT_EQ(api::meta(*events[2].object).resourceversion(), now());
}

TEST_F(WatchTest, BookmarksComeBeforeTheHistoryForgets) {
  api::WatchOptions options;
  options.labelSelector = "app=web";
  auto plain = watch<ConfigMap>(options);
  options.bookmarks = true;
  auto marked = watch<ConfigMap>(options);
  auto ofQuietKind = watch<corev1::Secret>(options);
  ASSERT_TRUE(create(configMap("a")).ok());
  clock_.advance(std::chrono::seconds(179));
  EXPECT_THAT(texts(*marked), IsEmpty());
  ASSERT_TRUE(create(pod("elsewhere")).ok());
  clock_.advance(std::chrono::seconds(62));
  const auto events = drain(*marked);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(text(events[0]), "BOOKMARK");
  EXPECT_EQ(api::meta(*events[0].object).resourceversion(), now());
  EXPECT_THAT(texts(*plain), IsEmpty());
  EXPECT_THAT(texts(*ofQuietKind), IsEmpty());
  // Nothing has happened since.
  clock_.advance(std::chrono::hours(1));
  EXPECT_THAT(texts(*marked), IsEmpty());
}

TEST_F(WatchTest, ATimeOutIsACleanEnd) {
  api::WatchOptions options;
  options.timeout = std::chrono::seconds(5);
  auto brief = watch<ConfigMap>(options);
  clock_.advance(std::chrono::seconds(4));
  ASSERT_TRUE(create(configMap("a")).ok());
  Status end;
  EXPECT_THAT(texts(*brief, &end), ElementsAre("ADDED a"));
  EXPECT_TRUE(end.ok());
  clock_.advance(std::chrono::seconds(1));
  EXPECT_THAT(texts(*brief, &end), IsEmpty());
  EXPECT_EQ(end.code(), Code::kEndOfStream);
}

TEST_F(WatchTest, TooOldIsExpired) {
  const std::string old = now();
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(update(i == 0 ? *create(configMap("a")) : configMap("a", std::to_string(i))).ok());
  }
  clock_.advance(std::chrono::minutes(4));
  EXPECT_TRUE(run(admin_->watch(id<ConfigMap>(""), watching("", "", old))).ok());
  clock_.advance(std::chrono::minutes(3));
  const auto late = run(admin_->watch(id<ConfigMap>(""), watching("", "", old)));
  EXPECT_EQ(late.status().code(), Code::kExpired);
  EXPECT_THAT(late.status().message(), testing::StartsWith("too old resource version: " + old));
  // Quiet kinds lose nothing.
  EXPECT_TRUE(run(admin_->watch(id<Pod>(""), watching("", "", old))).ok());
  EXPECT_EQ(run(admin_->watch(id<Pod>(""), watching("", "", "999999"))).status().code(),
            Code::kExpired);
}

TEST_F(WatchTest, WhatHasNotChangedIsWatchedOnFromAnyRevision) {
  for (const char* name : {"a", "b", "gone"}) ASSERT_TRUE(create(configMap(name)).ok());
  for (const char* node : {"n1", "n2"})
    ASSERT_TRUE(create(pod(std::string("on-") + node, node)).ok());
  const std::string old = now();
  ASSERT_TRUE(update(configMap("a", "2")).ok());
  ASSERT_TRUE(remove<ConfigMap>("gone").ok());
  ASSERT_TRUE(create(pod("other", "n1")).ok());
  clock_.advance(std::chrono::minutes(7));
  const auto watchOld = [&](const auto& where, const std::string& field) {
    api::WatchOptions options;
    options.resourceVersion = old;
    options.fieldSelector = field;
    return run(admin_->watch(where, options));
  };
  EXPECT_EQ(watchOld(id<ConfigMap>(""), "").status().code(), Code::kExpired);
  EXPECT_EQ(watchOld(id<ConfigMap>(""), "metadata.name=a").status().code(), Code::kExpired);
  EXPECT_EQ(watchOld(id<ConfigMap>(""), "metadata.name=gone").status().code(), Code::kExpired);
  EXPECT_EQ(watchOld(id<Pod>(""), "spec.nodeName=n1").status().code(), Code::kExpired);
  const auto unchanged = watchOld(id<ConfigMap>(""), "metadata.name=b");
  const auto quiet = watchOld(id<Pod>(""), "spec.nodeName=n2");
  ASSERT_TRUE(unchanged.ok() && quiet.ok());
  ASSERT_TRUE(update(configMap("b", "2")).ok());
  ASSERT_TRUE(create(pod("more", "n2")).ok());
  EXPECT_THAT(texts(**unchanged), ElementsAre("MODIFIED b"));
  EXPECT_THAT(texts(**quiet), ElementsAre("ADDED more"));
}

TEST_F(WatchTest, GoesOnOverARestartOfTheServer) {
  const std::string before = now();
  ASSERT_TRUE(create(configMap("a")).ok());
  ASSERT_TRUE(remove<ConfigMap>("a").ok());
  restart();
  auto resumed = watch<ConfigMap>(watching("", "", before));
  ASSERT_TRUE(create(configMap("b")).ok());
  EXPECT_THAT(texts(*resumed), ElementsAre("ADDED a", "DELETED a", "ADDED b"));
}

TEST_F(WatchTest, TheServersEndEndsWatches) {
  auto open = watch<ConfigMap>({});
  Status end;
  admin_.reset();
  run(service_->stop());
  service_.reset();
  texts(*open, &end);
  EXPECT_EQ(end.code(), Code::kUnavailable);
}

/// What a client knows that only applies the watch's events; checks that each event fits.
struct Mirror {
  std::map<std::string, std::string> objects;  // key to resourceVersion
  std::int64_t last = 0;

  void apply(const api::WatchEvent& event, const std::string& context) {
    const std::string key = api::keyOf(*event.object);
    const std::int64_t revision = std::stoll(api::meta(*event.object).resourceversion());
    ASSERT_GE(revision, last) << context;
    last = revision;
    switch (event.type) {
      case api::EventType::kAdded:
        ASSERT_TRUE(objects.emplace(key, std::to_string(revision)).second) << context << key;
        break;
      case api::EventType::kModified:
        ASSERT_TRUE(objects.contains(key)) << context << key;
        objects[key] = std::to_string(revision);
        break;
      case api::EventType::kDeleted:
        ASSERT_EQ(objects.erase(key), 1U) << context << key;
        break;
      case api::EventType::kBookmark:
        break;
    }
  }
};

// Watches with all sorts of selectors, opened at any time from the revision of a list, must at
// every moment amount to what a list says.
TEST_F(WatchTest, AgreesWithListsUnderRandomOperations) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SeededRng random(seed);
    struct Client {
      api::ListOptions query;
      std::unique_ptr<api::Watch> watch;
      Mirror mirror;
    };
    std::vector<Client> clients;
    const char* queries[][2] = {{"", ""},
                                {"app=1", ""},
                                {"app!=1", ""},
                                {"", "spec.nodeName=n1"},
                                {"", "spec.nodeName="},
                                {"app in (1,2)", "spec.nodeName=n2"},
                                {"", "metadata.name=p3"},
                                {"", "status.phase=Running"}};
    const auto context = [&] { return "seed " + std::to_string(seed) + " "; };
    for (int step = 0; step < 150; ++step) {
      const std::string name = "p" + std::to_string(random.below(8));
      const auto found = get<Pod>(name);
      switch (random.below(7)) {
        case 0:
        case 1: {
          Pod made = pod(name);
          (*made.mutable_metadata()->mutable_labels())["app"] = std::to_string(random.below(4));
          EXPECT_EQ(create(made).ok(), !found.ok());
          break;
        }
        case 2:
          if (!found) break;
          EXPECT_TRUE(patch<Pod>(name, api::PatchType::kMerge,
                                 R"({"metadata":{"labels":{"app":")" +
                                     std::to_string(random.below(4)) + R"("}}})")
                          .ok());
          break;
        case 3:
          EXPECT_EQ(bind(name, "n" + std::to_string(random.below(3))).ok(),
                    found.ok() && found->spec().nodename().empty() &&
                        !found->metadata().has_deletiontimestamp());
          break;
        case 4: {
          if (!found) break;
          Pod next = *found;
          next.mutable_status()->set_phase(random.chance(0.5) ? "Running" : "Failed");
          EXPECT_TRUE(update(next, "status").ok());
          break;
        }
        case 5: {
          api::DeleteOptions options;
          if (random.chance(0.5)) options.set_graceperiodseconds(0);
          EXPECT_EQ(remove<Pod>(name, options).ok(), found.ok());
          break;
        }
        default: {
          const auto& query = queries[random.below(std::size(queries))];
          Client client;
          client.query = selecting(query[0], query[1]);
          const auto listed = list<Pod>(client.query);
          for (const auto& object : listed.items) {
            client.mirror.objects[api::keyOf(*object)] = api::meta(*object).resourceversion();
          }
          client.watch = watch<Pod>(watching(query[0], query[1], listed.resourceVersion));
          clients.push_back(std::move(client));
        }
      }
      for (auto& client : clients) {
        if (!random.chance(0.3)) continue;
        for (const auto& event : drain(*client.watch)) client.mirror.apply(event, context());
        std::map<std::string, std::string> listed;
        for (const auto& object : list<Pod>(client.query).items) {
          listed[api::keyOf(*object)] = api::meta(*object).resourceversion();
        }
        ASSERT_EQ(client.mirror.objects, listed)
            << context() << "step " << step << " " << client.query.labelSelector << " "
            << client.query.fieldSelector;
      }
    }
    api::DeleteOptions at;
    at.set_graceperiodseconds(0);
    for (const auto& object : list<Pod>().items) {
      EXPECT_TRUE(remove<Pod>(api::meta(*object).name(), at).ok());
    }
  }
}

}  // namespace
}  // namespace podlab::apiserver
