// Server-side apply and managedFields through the verbs.
#include <gmock/gmock.h>

#include "api/codec.hpp"
#include "tests/apiserver/fixture.hpp"

namespace podlab::apiserver {
namespace {

using corev1::ConfigMap;
using corev1::Pod;
using testing::ElementsAre;
using testing::HasSubstr;

class ApplyTest : public ServiceTest {
 protected:
  static api::WriteOptions by(std::string manager, bool force = false, bool dry = false) {
    api::WriteOptions options;
    options.fieldManager = std::move(manager);
    options.force = force;
    options.dryRun = dry;
    return options;
  }
  Result<api::WriteResult> apply(const std::string& data, api::WriteOptions options,
                                 const std::string& extra = "") {
    const std::string body = R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c")" +
                             extra + R"(},"data":)" + data + "}";
    return run(admin_->patch(id<ConfigMap>("c"), api::PatchType::kApply, body, std::move(options)));
  }
  ConfigMap stored() {
    auto found = get<ConfigMap>("c");
    EXPECT_TRUE(found.ok()) << found.status().toString();
    return found ? *found : ConfigMap();
  }
  static std::vector<std::string> managers(const metav1::ObjectMeta& metadata) {
    std::vector<std::string> all;
    for (const auto& entry : metadata.managedfields()) {
      all.push_back(entry.manager() + " " + entry.operation() +
                    (entry.subresource().empty() ? "" : " " + entry.subresource()) + " " +
                    entry.fieldsv1().raw());
    }
    return all;
  }
};

TEST_F(ApplyTest, MakesTheObjectAndLeavesItWhenNothingChanges) {
  auto made = apply(R"({"a":"1"})", by("one"));
  ASSERT_TRUE(made.ok()) << made.status().toString();
  EXPECT_TRUE(made->created);
  EXPECT_THAT(managers(stored().metadata()), ElementsAre(R"(one Apply {"f:data":{"f:a":{}}})"));
  const std::string revision = stored().metadata().resourceversion();
  clock_.advance(std::chrono::seconds(5));
  made = apply(R"({"a":"1"})", by("one"));
  ASSERT_TRUE(made.ok());
  EXPECT_FALSE(made->created);
  EXPECT_EQ(stored().metadata().resourceversion(), revision);
  // A restart keeps it all.
  restart();
  EXPECT_THAT(managers(stored().metadata()), ElementsAre(R"(one Apply {"f:data":{"f:a":{}}})"));
}

TEST_F(ApplyTest, RemovesWhatTheManagerNoLongerHas) {
  ASSERT_TRUE(apply(R"({"a":"1","b":"2"})", by("one")).ok());
  ASSERT_TRUE(apply(R"({"b":"2","c":"3"})", by("two")).ok());
  ASSERT_TRUE(apply(R"({"c":"3"})", by("one")).ok());
  const ConfigMap now = stored();
  EXPECT_FALSE(now.data().contains("a"));
  EXPECT_TRUE(now.data().contains("b"));
  EXPECT_EQ(apply(R"({"c":"4"})", by("two")).status().message(),
            "Apply failed with 1 conflict: conflict with \"one\": .data.c");
  ASSERT_TRUE(apply(R"({"c":"4"})", by("two", true)).ok());
  EXPECT_THAT(managers(stored().metadata()), ElementsAre(R"(two Apply {"f:data":{"f:c":{}}})"));
}

TEST_F(ApplyTest, ADryRunStoresNothing) {
  auto made = apply(R"({"a":"1"})", by("one", false, true));
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(get<ConfigMap>("c").status().code(), Code::kNotFound);
  ASSERT_TRUE(apply(R"({"a":"1"})", by("one")).ok());
  made = apply(R"({"a":"2"})", by("one", false, true));
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(api::as<ConfigMap>(made->object).data().at("a"), "2");
  EXPECT_EQ(stored().data().at("a"), "1");
}

TEST_F(ApplyTest, SaysWhatIsWrong) {
  EXPECT_EQ(apply("{}", by("")).status().message(),
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required "
            "for apply patch");
  const auto patched =
      run(admin_->patch(id<ConfigMap>("c"), api::PatchType::kMerge, "{}", by("one", true)));
  EXPECT_THAT(patched.status().message(), HasSubstr("may not be specified for non-apply patch"));
  EXPECT_EQ(apply("{}", by("one"), R"(,"namespace":"other")").status().code(), Code::kBadRequest);
  EXPECT_EQ(apply(R"({"a b":"1"})", by("one")).status().code(), Code::kInvalid);
  ASSERT_TRUE(apply("{}", by("one")).ok());
  EXPECT_EQ(apply("{}", by("one"), R"(,"resourceVersion":"1")").status().code(), Code::kConflict);
  const auto absent =
      run(admin_->patch(id<Pod>("none", "status"), api::PatchType::kApply,
                        R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"none"}})", by("x")));
  EXPECT_EQ(absent.status().code(), Code::kNotFound);
}

TEST_F(ApplyTest, WhoeverNamesAManagerOwnsWhatItWrites) {
  ASSERT_TRUE(create(configMap("c"), by("maker")).ok());
  EXPECT_THAT(managers(stored().metadata()),
              ElementsAre(R"(maker Update {"f:data":{".":{},"f:value":{}}})"));
  ConfigMap next = stored();
  (*next.mutable_data())["value"] = "2";
  (*next.mutable_data())["more"] = "3";
  next.mutable_metadata()->clear_managedfields();
  ASSERT_TRUE(update(next, "", by("editor")).ok());
  EXPECT_THAT(managers(stored().metadata()),
              ElementsAre(R"(editor Update {"f:data":{"f:more":{},"f:value":{}}})",
                          R"(maker Update {"f:data":{}})"));
  const std::string revision = stored().metadata().resourceversion();
  clock_.advance(std::chrono::seconds(5));
  ASSERT_TRUE(update(stored(), "", by("third")).ok());
  EXPECT_EQ(stored().metadata().resourceversion(), revision);
}

TEST_F(ApplyTest, OwnPartsOfPodlabAreTrackedOnlyWhereOthersManage) {
  ASSERT_TRUE(create(configMap("c")).ok());
  EXPECT_THAT(managers(stored().metadata()), ElementsAre());
  ConfigMap next = stored();
  (*next.mutable_data())["value"] = "2";
  ASSERT_TRUE(update(next).ok());
  EXPECT_THAT(managers(stored().metadata()), ElementsAre());

  Pod made = pod("p", "n");
  ASSERT_TRUE(create(made, by("maker")).ok());
  Pod now = *get<Pod>("p");
  const auto before = managers(now.metadata());
  now.mutable_status()->set_phase("Running");
  ASSERT_TRUE(update(now, "status").ok());
  EXPECT_EQ(managers(get<Pod>("p")->metadata()), before);
  now = *get<Pod>("p");
  (*now.mutable_metadata()->mutable_annotations())["a"] = "b";
  ASSERT_TRUE(update(now).ok());
  EXPECT_THAT(
      managers(get<Pod>("p")->metadata()),
      testing::Contains(R"(podlab Update {"f:metadata":{"f:annotations":{".":{},"f:a":{}}}})"));
}

TEST_F(ApplyTest, TheStatusHasManagersOfItsOwn) {
  ASSERT_TRUE(create(pod("p", "n"), by("maker")).ok());
  const char* const config =
      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":{"no":"effect"}},
          "status":{"conditions":[{"type":"example.com/x","status":"True"}],"message":"m"}})";
  const auto applied =
      run(admin_->patch(id<Pod>("p", "status"), api::PatchType::kApply, config, by("gate")));
  ASSERT_TRUE(applied.ok()) << applied.status().toString();
  const Pod now = *get<Pod>("p");
  EXPECT_EQ(now.status().message(), "m");
  EXPECT_EQ(now.status().phase(), "Pending");
  EXPECT_TRUE(now.metadata().labels().empty());
  EXPECT_THAT(
      managers(now.metadata()),
      testing::Contains(
          R"(gate Apply status {"f:status":{"f:conditions":{"k:{\"type\":\"example.com/x\"}":{".":{},"f:status":{},"f:type":{}}},"f:message":{}}})"));
}

TEST_F(ApplyTest, TwoWritersBothCount) {
  // Both start before either has written: the slower one is decided anew.
  auto both = [](api::Api& api, api::ResourceId target) -> Co<std::vector<Status>> {
    std::vector<Status> ends;
    for (const char* name : {"a", "b"}) {
      const std::string body =
          std::string(
              R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{")") +
          name + R"(":"1"}})";
      api::WriteOptions options;
      options.fieldManager = name;
      auto done = co_await api.patch(target, api::PatchType::kApply, body, options);
      ends.push_back(done.status());
    }
    co_return ends;
  };
  TaskGroup group(io_.get_executor());
  std::vector<Status> first;
  std::vector<Status> second;
  auto keep = [](Co<std::vector<Status>> task, std::vector<Status>& out) -> Co<void> {
    out = co_await std::move(task);
  };
  group.spawn("first", keep(both(*admin_, id<ConfigMap>("c")), first));
  group.spawn("second", keep(both(*admin_, id<ConfigMap>("c")), second));
  clock_.runUntilIdle();
  for (const auto& ends : {first, second}) EXPECT_THAT(ends, ElementsAre(Status(), Status()));
  EXPECT_THAT(managers(stored().metadata()),
              ElementsAre(R"(a Apply {"f:data":{"f:a":{}}})", R"(b Apply {"f:data":{"f:b":{}}})"));
}

}  // namespace
}  // namespace podlab::apiserver
