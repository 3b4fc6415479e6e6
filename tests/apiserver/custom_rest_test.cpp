// Custom resources by REST, as a client sees them.
#include "tests/api/custom_objects.hpp"
#include "tests/apiserver/rest_fixture.hpp"

namespace podlab::apiserver {
namespace {

using api::Crd;
using testing::HasSubstr;

constexpr const char* kTabs = "/apis/stable.example.com/v1/namespaces/default/crontabs";

class CustomRestTest : public RestTest {
 protected:
  CustomRestTest() {
    EXPECT_EQ(ask("POST", kDefinitions, api::kCronTab).code, 201);
    establish();
  }
  /// As the controller does.
  void establish() {
    Crd definition = *get<Crd>("crontabs.stable.example.com");
    api::establish(definition);
    EXPECT_TRUE(update(definition, "status").ok());
  }
  static std::string tab(const std::string& spec, const std::string& name = "a") {
    return R"({"apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": {"name": ")" +
           name + R"("}, "spec": )" + spec + "}";
  }
  static constexpr const char* kDefinitions =
      "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
};

TEST_F(CustomRestTest, AreDiscoveredAtOnceAndNoMoreWhenTheyGo) {
  const auto group = ask("GET", "/apis/stable.example.com/v1").json();
  EXPECT_EQ(group["resources"][0]["name"], "crontabs");
  EXPECT_EQ(group["resources"][0]["shortNames"], Json::array({"ct"}));
  EXPECT_EQ(group["resources"].size(), 3U) << "with scale and status";
  const std::string path = "/openapi/v3/apis/stable.example.com/v1";
  const auto schemas = ask("GET", path).json()["components"]["schemas"];
  EXPECT_EQ(schemas["com.example.stable.v1.CronTab"]["properties"]["spec"]["properties"]["replicas"]
                   ["maximum"],
            10);
  EXPECT_THAT(ask("GET", "/openapi/v3").body, HasSubstr("apis/stable.example.com/v1"));
  EXPECT_THAT(ask("GET", "/openapi/v2").body, HasSubstr("com.example.stable.v1.CronTab"));

  Crd definition = *get<Crd>("crontabs.stable.example.com");
  EXPECT_EQ(ask("DELETE", std::string(kDefinitions) + "/crontabs.stable.example.com").code, 200);
  definition = *get<Crd>("crontabs.stable.example.com");
  definition.mutable_metadata()->clear_finalizers();
  ASSERT_TRUE(update(definition).ok());
  EXPECT_EQ(ask("GET", kTabs).code, 404);
  EXPECT_EQ(ask("GET", path).code, 404);
  EXPECT_EQ(ask("GET", "/apis/stable.example.com").code, 404);
  EXPECT_THAT(ask("GET", "/openapi/v3").body, testing::Not(HasSubstr("stable.example.com")));
}

TEST_F(CustomRestTest, AreWrittenAndReadAsJson) {
  const auto made = ask("POST", kTabs, tab(R"({"cronSpec": "* * * * *", "x": 1})"));
  ASSERT_EQ(made.code, 201) << made.body;
  EXPECT_THAT(made.head, HasSubstr(R"(Warning: 299 - "unknown field \"spec.x\"")"));
  EXPECT_EQ(made.json()["spec"], Json::parse(R"({"cronSpec": "* * * * *", "image": "web"})"));
  EXPECT_EQ(made.json()["metadata"]["managedFields"][0]["operation"], "Update");
  const auto strict = ask("POST", std::string(kTabs) + "?fieldValidation=Strict",
                          tab(R"({"cronSpec": "* * * * *", "x": 1})", "b"));
  EXPECT_EQ(strict.code, 400);
  EXPECT_EQ(strict.json()["message"],
            "CronTab in version \"v1\" cannot be handled as a CronTab: strict decoding error: "
            "unknown field \"spec.x\"");
  EXPECT_EQ(ask("POST", kTabs, tab("{}", "c")).json()["message"],
            "CronTab.stable.example.com \"c\" is invalid: spec.cronSpec: Required value");
  EXPECT_EQ(ask("POST", kTabs, R"({"metadata": {"name": "d"}})").code, 400);
  EXPECT_EQ(ask("POST", kTabs, "{", "application/json").code, 400);
  EXPECT_EQ(ask("POST", kTabs, tab("{}"), "application/vnd.kubernetes.protobuf").code, 415);
  EXPECT_EQ(
      ask("PATCH", std::string(kTabs) + "/a", "{}", "application/strategic-merge-patch+json").code,
      415);
  EXPECT_EQ(ask("GET", std::string(kTabs) + "/a/log").code, 404);
  EXPECT_EQ(ask("GET", std::string(kTabs) + "/a/nothing").code, 404);
  EXPECT_EQ(ask("GET", "/apis/stable.example.com/v2/namespaces/default/crontabs").code, 404);
  const auto listed = ask("GET", std::string(kTabs) + "?fieldSelector=spec.level%3Dhigh").json();
  EXPECT_EQ(listed["kind"], "CronTabList");
  EXPECT_TRUE(listed["items"].empty());
  EXPECT_EQ(ask("GET", std::string(kTabs) + "?fieldSelector=spec.image%3Dx").code, 400);
}

TEST_F(CustomRestTest, AreShownInTheirColumns) {
  ASSERT_EQ(ask("POST", kTabs, tab(R"({"cronSpec": "* * * * *", "replicas": 3})")).code, 201);
  const auto table =
      ask("GET", kTabs, "", "", "application/json;as=Table;v=v1;g=meta.k8s.io").json();
  std::string columns;
  for (const auto& column : table["columnDefinitions"])
    columns += column["name"].get<std::string>() + ":" + column["type"].get<std::string>() + ":" +
               column["priority"].dump() + " ";
  EXPECT_EQ(columns, "Name:string:0 Spec:string:0 Replicas:integer:1 Age:date:0 ");
  EXPECT_EQ(table["rows"][0]["cells"][2], "3");
}

TEST_F(CustomRestTest, FollowTheirDefinition) {
  ASSERT_EQ(ask("POST", kTabs, tab(R"({"cronSpec": "* * * * *"})")).code, 201);
  const std::string path = std::string(kDefinitions) + "/crontabs.stable.example.com";
  // A new default shows in what is there, a new bound holds for what is written.
  const std::string schema = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
  const auto patched = ask("PATCH", path,
                           R"([{"op": "add", "path": ")" + schema +
                               R"(/level/default", "value": "low"},
                               {"op": "replace", "path": ")" +
                               schema + R"(/replicas/maximum", "value": 2}])",
                           "application/json-patch+json");
  ASSERT_EQ(patched.code, 200) << patched.body;
  EXPECT_EQ(ask("GET", std::string(kTabs) + "/a").json()["spec"]["level"], "low");
  const auto refused = ask("PATCH", std::string(kTabs) + "/a", R"({"spec": {"replicas": 3}})",
                           "application/merge-patch+json");
  EXPECT_EQ(refused.code, 422);
  EXPECT_THAT(refused.body, HasSubstr("should be less than or equal to 2"));
  const auto renamed =
      ask("PATCH", path, R"({"spec": {"scope": "Cluster"}})", "application/merge-patch+json");
  EXPECT_EQ(renamed.code, 422);
  EXPECT_THAT(renamed.body,
              HasSubstr("spec.scope: Invalid value: \\\"Cluster\\\": field is immutable"));
}

}  // namespace
}  // namespace podlab::apiserver
