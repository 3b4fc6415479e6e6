#include <nlohmann/json.hpp>

#include "authentication_v1.pb.h"
#include "core_v1_accounts.pb.h"
#include "rbac_v1.pb.h"

#include "tests/apiserver/rest_fixture.hpp"

namespace podlab::apiserver {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class RestAuthTest : public RestTest {
 protected:
  RestAuthTest() {
    service_->signTokensWith(std::move(*transport::SigningKey::create()));
    corev1::ServiceAccount account;
    account.mutable_metadata()->set_name("bot");
    EXPECT_TRUE(create(account).ok());
  }
  /// Lets the user do `verbs` with `resource` of `group` in the whole cluster.
  void allow(const std::string& user, std::vector<std::string> verbs, const std::string& group,
             const std::string& resource) {
    rbacv1::ClusterRole role;
    static int number = 0;
    role.mutable_metadata()->set_name("role" + std::to_string(++number));
    auto& rule = *role.add_rules();
    for (auto& verb : verbs) rule.add_verbs(verb);
    rule.add_apigroups(group);
    rule.add_resources(resource);
    ASSERT_TRUE(create(role).ok());
    rbacv1::ClusterRoleBinding binding;
    binding.mutable_metadata()->set_name(role.metadata().name());
    binding.mutable_roleref()->set_kind("ClusterRole");
    binding.mutable_roleref()->set_name(role.metadata().name());
    auto& subject = *binding.add_subjects();
    subject.set_kind("User");
    subject.set_name(user);
    ASSERT_TRUE(create(binding).ok());
  }
  std::string message(const Answer& answer) { return answer.json()["message"]; }
  Json whoami() {
    const Answer answer = ask("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "{}");
    EXPECT_EQ(answer.code, 201) << answer.body;
    return answer.json()["status"]["userInfo"];
  }
  bool mayI(const Json& spec) {
    const Json body{{"spec", spec}};
    const Answer answer =
        ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body.dump());
    EXPECT_EQ(answer.code, 201) << answer.body;
    return answer.json()["status"]["allowed"];
  }
};

TEST_F(RestAuthTest, TakesTokens) {
  const Answer made =
      ask("POST", "/api/v1/namespaces/default/serviceaccounts/bot/token", R"({"spec":{}})");
  ASSERT_EQ(made.code, 201) << made.body;
  EXPECT_EQ(made.json()["kind"], "TokenRequest");
  const std::string token = made.json()["status"]["token"];
  identity_ = {};
  extraHeaders_ = "Authorization: Bearer " + token + "\r\n";
  EXPECT_EQ(whoami()["username"], "system:serviceaccount:default:bot");
  const Answer refused = ask("GET", kPods);
  EXPECT_EQ(refused.code, 403);
  EXPECT_EQ(message(refused),
            "pods is forbidden: User \"system:serviceaccount:default:bot\" cannot list resource "
            "\"pods\" in API group \"\" in the namespace \"default\"");
  allow("system:serviceaccount:default:bot", {"list"}, "", "pods");
  EXPECT_EQ(ask("GET", kPods).code, 200);
  EXPECT_EQ(ask("GET", "/openid/v1/jwks").json()["keys"][0]["alg"], "ES256");
  EXPECT_EQ(ask("GET", "/.well-known/openid-configuration").json()["jwks_uri"],
            "https://x/openid/v1/jwks");
  ASSERT_TRUE(remove<corev1::ServiceAccount>("bot").ok());
  const Answer gone = ask("GET", kPods);
  EXPECT_EQ(gone.code, 401);
  EXPECT_EQ(message(gone), "Unauthorized");
  extraHeaders_ = "Authorization: Bearer nonsense\r\n";
  EXPECT_EQ(ask("GET", "/version").code, 401);
  extraHeaders_ = "Authorization: Basic YTpi\r\n";
  EXPECT_EQ(ask("GET", "/version").code, 200);  // nobody
}

TEST_F(RestAuthTest, Impersonates) {
  extraHeaders_ =
      "Impersonate-User: jane\r\nImpersonate-Group: dev\r\nImpersonate-Group: ops\r\n"
      "Impersonate-Uid: u1\r\nImpersonate-Extra-Scopes%2fX: view\r\n";
  const Json info = whoami();
  EXPECT_EQ(info["username"], "jane");
  EXPECT_EQ(info["uid"], "u1");
  EXPECT_EQ(info["groups"], Json({"dev", "ops", "system:authenticated"}));
  EXPECT_EQ(info["extra"]["scopes/x"], Json::array({"view"}));
  EXPECT_EQ(ask("GET", kPods).code, 403);
  extraHeaders_ = "Impersonate-User: system:serviceaccount:default:bot\r\n";
  EXPECT_THAT(whoami()["groups"].dump(), HasSubstr("system:serviceaccounts:default"));
  extraHeaders_ = "Impersonate-Group: dev\r\n";
  EXPECT_EQ(ask("GET", kPods).code, 400);
  // Who is no administrator needs the verb.
  identity_ = {"eve", {}};
  extraHeaders_ = "Impersonate-User: jane\r\n";
  EXPECT_EQ(message(ask("GET", kPods)),
            "users \"jane\" is forbidden: User \"eve\" cannot impersonate resource \"users\" in "
            "API group \"\" at the cluster scope");
  allow("eve", {"impersonate"}, "", "users");
  EXPECT_EQ(whoami()["username"], "jane");
  extraHeaders_ = "Impersonate-User: jane\r\nImpersonate-Group: system:masters\r\n";
  EXPECT_THAT(message(ask("GET", kPods)), HasSubstr("groups \"system:masters\" is forbidden"));
}

TEST_F(RestAuthTest, ReviewsSayWhoMayDoWhat) {
  const Json list{
      {"resourceAttributes", {{"verb", "list"}, {"resource", "pods"}, {"namespace", "default"}}}};
  EXPECT_TRUE(mayI(list));
  EXPECT_TRUE(mayI({{"nonResourceAttributes", {{"verb", "get"}, {"path", "/metrics"}}}}));
  identity_ = {"jane", {"dev"}};
  EXPECT_FALSE(mayI(list));
  EXPECT_TRUE(mayI({{"nonResourceAttributes", {{"verb", "get"}, {"path", "/version"}}}}));
  EXPECT_EQ(ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", "{}").code, 403);
  allow("jane", {"list"}, "", "pods");
  EXPECT_TRUE(mayI(list));
  const Answer bad =
      ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", R"({"spec":{}})");
  EXPECT_EQ(bad.code, 422);
  EXPECT_THAT(message(bad),
              HasSubstr("exactly one of nonResourceAttributes or resourceAttributes"));
  const Answer rules = ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
                           R"({"spec":{"namespace":"default"}})");
  ASSERT_EQ(rules.code, 201) << rules.body;
  EXPECT_THAT(rules.json()["status"]["resourceRules"].dump(), HasSubstr(R"("resources":["pods"])"));
  EXPECT_EQ(rules.json()["status"]["incomplete"], false);

  identity_ = {"admin", {"system:masters"}};
  const Answer other =
      ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews",
          Json{{"spec", {{"user", "jane"}, {"resourceAttributes", list["resourceAttributes"]}}}}
              .dump());
  EXPECT_EQ(other.json()["status"]["allowed"], true) << other.body;
  EXPECT_THAT(other.json()["status"]["reason"], HasSubstr("RBAC: allowed by ClusterRoleBinding"));
  const std::string local =
      "/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews";
  EXPECT_EQ(
      ask("POST", local,
          Json{{"spec", {{"user", "jane"}, {"resourceAttributes", list["resourceAttributes"]}}}}
              .dump())
          .json()["status"]["allowed"],
      true);
  EXPECT_EQ(
      ask("POST", local, R"({"spec":{"user":"a","resourceAttributes":{"namespace":"b"}}})").code,
      422);
}

TEST_F(RestAuthTest, VirtualKindsHaveTheirVerbsAlone) {
  const std::string reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
  EXPECT_EQ(ask("GET", reviews).code, 405);
  EXPECT_EQ(ask("GET", reviews + "/x").code, 405);
  EXPECT_EQ(ask("DELETE", reviews + "/x").code, 405);
  EXPECT_EQ(ask("DELETE", reviews).code, 405);
  EXPECT_EQ(ask("PUT", reviews + "/x", R"({"metadata":{"name":"x"}})").code, 405);
  const Json resources = ask("GET", "/apis/authorization.k8s.io/v1").json()["resources"];
  for (const auto& one : resources) EXPECT_EQ(one["verbs"], Json::array({"create"})) << one;
}

TEST_F(RestAuthTest, ActionsNeedTheirOwnVerbs) {
  ASSERT_TRUE(create([] {
                corev1::Pod made = pod("a");
                made.mutable_spec()->set_serviceaccountname("bot");
                return made;
              }())
                  .ok());
  identity_ = {"jane", {}};
  allow("jane", {"get", "list", "delete"}, "", "pods");
  const std::string one = std::string(kPods) + "/a";
  EXPECT_EQ(ask("GET", one).code, 200);
  EXPECT_THAT(message(ask("GET", one + "/log")), HasSubstr("cannot get resource \"pods/log\""));
  EXPECT_THAT(message(ask("GET", one + "/exec?command=a&stdout=true")),
              HasSubstr("cannot create resource \"pods/exec\""));
  EXPECT_THAT(message(ask("POST", one + "/eviction", "{}")),
              HasSubstr("cannot create resource \"pods/eviction\""));
  EXPECT_THAT(message(ask("POST", one + "/binding", R"({"target":{"name":"n"}})")),
              HasSubstr("cannot create resource \"pods/binding\""));
  EXPECT_THAT(message(ask("PATCH", one + "/status", "{}", "application/merge-patch+json")),
              HasSubstr("cannot patch resource \"pods/status\""));
  EXPECT_THAT(message(ask("DELETE", kPods)),
              HasSubstr("cannot deletecollection resource \"pods\""));
  allow("jane", {"create"}, "", "pods/eviction");
  EXPECT_EQ(ask("POST", one + "/eviction", "{}").code, 201);
}

}  // namespace
}  // namespace podlab::apiserver
