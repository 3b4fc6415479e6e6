#include <gmock/gmock.h>

#include "authorization_v1.pb.h"
#include "core_v1_accounts.pb.h"
#include "rbac_v1.pb.h"

#include "apiserver/authorizer.hpp"
#include "apiserver/bootstrap_policy.hpp"
#include "tests/apiserver/fixture.hpp"

namespace podlab::apiserver {
namespace {

using corev1::Pod;
using rbacv1::ClusterRole;
using rbacv1::ClusterRoleBinding;
using rbacv1::PolicyRule;
using rbacv1::Role;
using rbacv1::RoleBinding;
using testing::HasSubstr;

PolicyRule rule(std::vector<std::string> verbs, std::vector<std::string> groups,
                std::vector<std::string> resources, std::vector<std::string> names = {}) {
  PolicyRule made;
  for (auto& verb : verbs) made.add_verbs(verb);
  for (auto& group : groups) made.add_apigroups(group);
  for (auto& resource : resources) made.add_resources(resource);
  for (auto& name : names) made.add_resourcenames(name);
  return made;
}
PolicyRule pathRule(const std::string& verb, const std::string& path) {
  PolicyRule made;
  made.add_verbs(verb);
  made.add_nonresourceurls(path);
  return made;
}

class RbacTest : public ServiceTest {
 protected:
  template <typename T>
  T named(const std::string& name) {
    T made;
    made.mutable_metadata()->set_name(name);
    return made;
  }
  void makeRole(const std::string& name, std::vector<PolicyRule> rules) {
    auto role = named<Role>(name);
    for (const auto& one : rules) *role.add_rules() = one;
    ASSERT_TRUE(create(role).ok());
  }
  template <typename Binding = RoleBinding>
  Binding binding(const std::string& roleKind, const std::string& role, const std::string& kind,
                  const std::string& subject, const std::string& ns = "") {
    auto made = named<Binding>(role + "-" + kind + "-" + subject);
    made.mutable_roleref()->set_kind(roleKind);
    made.mutable_roleref()->set_name(role);
    auto& one = *made.add_subjects();
    one.set_kind(kind);
    one.set_name(subject);
    if (!ns.empty()) one.set_namespace_(ns);
    return made;
  }
  Status check(const User& user, std::string_view verb, api::ResourceId id) {
    return service_->authorizer().check(user,
                                        Attributes{verb, std::move(id), "", nullptr, nullptr});
  }
  std::string refusal(const User& user, std::string_view verb, api::ResourceId id) {
    return check(user, verb, std::move(id)).message();
  }

  const User jane_{"jane", {"dev", std::string(kAuthenticated)}};
};

TEST(RbacRules, Matrix) {
  struct Case {
    PolicyRule rule;
    Access access;
    bool allowed;
  };
  const Case cases[] = {
      {rule({"get"}, {""}, {"pods"}), {"get", "", "pods", "", "", "a"}, true},
      {rule({"get"}, {""}, {"pods"}), {"list", "", "pods", "", "", "a"}, false},
      {rule({"*"}, {""}, {"pods"}), {"list", "", "pods", "", "", "a"}, true},
      {rule({"get"}, {"apps"}, {"pods"}), {"get", "", "pods", "", "", "a"}, false},
      {rule({"get"}, {"*"}, {"pods"}), {"get", "apps", "pods", "", "", "a"}, true},
      {rule({"get"}, {""}, {"pods"}), {"get", "", "pods", "log", "", "a"}, false},
      {rule({"get"}, {""}, {"pods/log"}), {"get", "", "pods", "log", "", "a"}, true},
      {rule({"get"}, {""}, {"pods/log"}), {"get", "", "pods", "", "", "a"}, false},
      {rule({"get"}, {""}, {"*/log"}), {"get", "", "pods", "log", "", "a"}, true},
      {rule({"get"}, {""}, {"*/log"}), {"get", "", "pods", "exec", "", "a"}, false},
      {rule({"get"}, {""}, {"*"}), {"get", "", "pods", "log", "", "a"}, true},
      {rule({"get"}, {""}, {"pods"}, {"a"}), {"get", "", "pods", "", "", "a"}, true},
      {rule({"get"}, {""}, {"pods"}, {"a"}), {"get", "", "pods", "", "", "b"}, false},
      {rule({"list"}, {""}, {"pods"}, {"a"}), {"list", "", "pods", "", "", ""}, false},
      {rule({"get"}, {""}, {"pods"}), {.verb = "get", .path = "/pods"}, false},
      {pathRule("get", "/api/*"), {.verb = "get", .path = "/api/v1"}, true},
      {pathRule("get", "/api/*"), {.verb = "get", .path = "/api"}, false},
      {pathRule("get", "/api"), {.verb = "get", .path = "/api"}, true},
      {pathRule("*", "*"), {.verb = "post", .path = "/x"}, true},
      {pathRule("*", "*"), {"get", "", "pods", "", "", "a"}, false},
  };
  for (const auto& item : cases) {
    EXPECT_EQ(allows(item.rule, item.access), item.allowed)
        << item.rule.ShortDebugString() << " " << item.access.verb << " " << item.access.resource
        << "/" << item.access.subresource << item.access.path;
  }
}

TEST(RbacRules, CoverPartsOfRules) {
  const std::vector<PolicyRule> held{rule({"get", "list"}, {""}, {"pods", "*/scale"}),
                                     rule({"get"}, {""}, {"secrets"}, {"a", "b"}),
                                     pathRule("get", "/api/*")};
  const auto missing = [&](PolicyRule wanted) {
    return describeRules(missingRules(held, {std::move(wanted)}));
  };
  EXPECT_EQ(missing(rule({"get"}, {""}, {"pods"}, {"x"})), "");
  EXPECT_EQ(missing(rule({"get"}, {""}, {"deployments/scale"})), "");
  EXPECT_EQ(missing(rule({"get"}, {""}, {"secrets"}, {"a"})), "");
  EXPECT_EQ(missing(pathRule("get", "/api/v1")), "");
  EXPECT_EQ(missing(rule({"get"}, {""}, {"secrets"})),
            R"({APIGroups:[""], Resources:["secrets"], Verbs:["get"]})");
  EXPECT_EQ(missing(rule({"get", "delete", "watch"}, {""}, {"pods"})),
            R"({APIGroups:[""], Resources:["pods"], Verbs:["delete" "watch"]})");
  EXPECT_EQ(missing(rule({"*"}, {""}, {"*"})), R"({APIGroups:[""], Resources:["*"], Verbs:["*"]})");
  EXPECT_EQ(missing(pathRule("get", "/apis/*")), R"({NonResourceURLs:["/apis/*"], Verbs:["get"]})");
}

TEST_F(RbacTest, RefusesInTheWordsOfKubernetes) {
  EXPECT_EQ(refusal(jane_, "list", id<Pod>("")),
            "pods is forbidden: User \"jane\" cannot list resource \"pods\" in API group \"\" in "
            "the namespace \"default\"");
  EXPECT_EQ(refusal(jane_, "create", id<Pod>("new")),
            "pods is forbidden: User \"jane\" cannot create resource \"pods\" in API group \"\" in "
            "the namespace \"default\"");
  EXPECT_EQ(refusal(jane_, "create", id<Pod>("a", "exec")),
            "pods \"a\" is forbidden: User \"jane\" cannot create resource \"pods/exec\" in API "
            "group \"\" in the namespace \"default\"");
  EXPECT_EQ(refusal(jane_, "get", id<corev1::Node>("n1")),
            "nodes \"n1\" is forbidden: User \"jane\" cannot get resource \"nodes\" in API group "
            "\"\" at the cluster scope");
  EXPECT_EQ(refusal(jane_, "get", id<corev1::Namespace>("x")),
            "namespaces \"x\" is forbidden: User \"jane\" cannot get resource \"namespaces\" in "
            "API group \"\" in the namespace \"x\"");
  EXPECT_EQ(service_->authorizer().checkPath(jane_, "get", "/metrics").message(),
            "forbidden: User \"jane\" cannot get path \"/metrics\"");
  EXPECT_TRUE(check({"root", {std::string(kMasters)}}, "delete", id<corev1::Node>("n1")).ok());
  // The name alone makes no node, nor does the group.
  EXPECT_FALSE(check({"system:node:n1", {}}, "list", id<corev1::Node>("")).ok());
  EXPECT_FALSE(check({"n1", {"system:nodes"}}, "list", id<corev1::Node>("")).ok());
}

TEST_F(RbacTest, EverybodyMayDiscoverAndNobodyMore) {
  const auto& authorizer = service_->authorizer();
  const User nobody{std::string(kAnonymous), {std::string(kUnauthenticated)}};
  for (const char* path : {"/version", "/healthz", "/livez", "/readyz"}) {
    EXPECT_TRUE(authorizer.checkPath(nobody, "get", path).ok()) << path;
    EXPECT_TRUE(authorizer.checkPath(jane_, "get", path).ok()) << path;
  }
  for (const char* path : {"/api", "/apis/apps/v1", "/openapi/v2"}) {
    EXPECT_FALSE(authorizer.checkPath(nobody, "get", path).ok()) << path;
    EXPECT_TRUE(authorizer.checkPath(jane_, "get", path).ok()) << path;
  }
  const auto review = id<authorizationv1::SelfSubjectAccessReview>("");
  EXPECT_TRUE(check(jane_, "create", review).ok());
  EXPECT_FALSE(check(nobody, "create", review).ok());
}

TEST_F(RbacTest, BindingsGiveRightsAsTheyComeAndGo) {
  makeRole("reader", {rule({"get", "list"}, {""}, {"pods"})});
  auto toGroup = create(binding("Role", "reader", "Group", "dev"));
  ASSERT_TRUE(toGroup.ok()) << toGroup.status().toString();
  EXPECT_EQ(toGroup->subjects(0).apigroup(), "rbac.authorization.k8s.io");
  EXPECT_TRUE(check(jane_, "list", id<Pod>("")).ok());
  EXPECT_FALSE(check(jane_, "delete", id<Pod>("a")).ok());
  auto elsewhere = id<Pod>("");
  elsewhere.ns = "kube-system";
  EXPECT_FALSE(check(jane_, "list", elsewhere).ok());

  // Another subject instead.
  toGroup->mutable_subjects(0)->set_name("ops");
  ASSERT_TRUE(update(*toGroup).ok());
  EXPECT_FALSE(check(jane_, "list", id<Pod>("")).ok());
  const User account{"system:serviceaccount:default:bot", serviceAccountGroups("default")};
  EXPECT_FALSE(check(account, "get", id<Pod>("a")).ok());
  ASSERT_TRUE(create(binding("Role", "reader", "ServiceAccount", "bot", "default")).ok());
  EXPECT_TRUE(check(account, "get", id<Pod>("a")).ok());
  ASSERT_TRUE(
      create(binding<ClusterRoleBinding>("ClusterRole", "cluster-admin", "User", "jane")).ok());
  EXPECT_TRUE(check(jane_, "delete", elsewhere).ok());

  // As they were, after a restart.
  restart();
  EXPECT_TRUE(check(account, "get", id<Pod>("a")).ok());
  EXPECT_TRUE(check(jane_, "delete", elsewhere).ok());
  ASSERT_TRUE(remove<ClusterRoleBinding>("cluster-admin-User-jane").ok());
  EXPECT_FALSE(check(jane_, "delete", elsewhere).ok());
  // The role goes: its bindings give nothing.
  ASSERT_TRUE(remove<Role>("reader").ok());
  EXPECT_FALSE(check(account, "get", id<Pod>("a")).ok());
}

TEST_F(RbacTest, TheRoleOfABindingStays) {
  makeRole("a", {rule({"get"}, {""}, {"pods"})});
  auto bound = create(binding("Role", "a", "User", "jane"));
  bound->mutable_roleref()->set_name("b");
  EXPECT_THAT(update(*bound).status().message(), HasSubstr("roleRef: Invalid value:"));
  EXPECT_THAT(update(*bound).status().message(), HasSubstr("cannot change roleRef"));
}

TEST_F(RbacTest, NobodyGrantsWhatHeHasNot) {
  makeRole("author", {rule({"*"}, {"rbac.authorization.k8s.io"}, {"roles", "rolebindings"}),
                      rule({"get"}, {""}, {"pods"})});
  // "*" holds escalate and bind as well.
  auto exact = get<Role>("author");
  exact->mutable_rules(0)->clear_verbs();
  for (const char* verb : {"create", "update", "patch"}) exact->mutable_rules(0)->add_verbs(verb);
  ASSERT_TRUE(update(*exact).ok());
  ASSERT_TRUE(create(binding("Role", "author", "User", "jane")).ok());
  const auto api = service_->as(jane_);
  auto role = named<Role>("small");
  *role.add_rules() = rule({"get"}, {""}, {"pods"});
  ASSERT_TRUE(createAs(*api, role).ok());
  auto large = named<Role>("large");
  *large.add_rules() = rule({"get", "delete"}, {""}, {"pods", "secrets"});
  const Status refused = createAs(*api, large).status();
  EXPECT_EQ(refused.code(), Code::kForbidden);
  EXPECT_EQ(refused.message(),
            "roles.rbac.authorization.k8s.io \"large\" is forbidden: user \"jane\" "
            "(groups=[\"dev\" \"system:authenticated\"]) is attempting to grant RBAC permissions "
            "not currently held:\n"
            "{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\"]}\n"
            "{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"delete\"]}");
  // Nor by a patch of what he may have.
  const auto patched =
      run(api->patch(id<Role>("small"), api::PatchType::kMerge,
                     R"({"rules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}]})", {}));
  EXPECT_EQ(patched.status().code(), Code::kForbidden);
  EXPECT_EQ(get<Role>("small")->rules(0).verbs(0), "get");
  EXPECT_EQ(createAs(*api, binding("ClusterRole", "cluster-admin", "User", "jane")).status().code(),
            Code::kForbidden);
  EXPECT_TRUE(createAs(*api, binding("Role", "small", "User", "joe")).ok());
  EXPECT_EQ(createAs(*api, binding("Role", "none", "User", "joe")).status().code(),
            Code::kNotFound);

  // With "escalate" and "bind" he may.
  makeRole("trusted",
           {rule({"escalate"}, {"rbac.authorization.k8s.io"}, {"roles"}),
            rule({"bind"}, {"rbac.authorization.k8s.io"}, {"clusterroles"}, {"cluster-admin"})});
  ASSERT_TRUE(create(binding("Role", "trusted", "User", "jane")).ok());
  EXPECT_TRUE(createAs(*api, large).ok());
  EXPECT_TRUE(createAs(*api, binding("ClusterRole", "cluster-admin", "User", "joe")).ok());
}

TEST_F(RbacTest, TheSystemsRolesComeBackWhole) {
  auto discovery = get<ClusterRole>("system:discovery");
  ASSERT_TRUE(discovery.ok());
  discovery->clear_rules();
  *discovery->add_rules() = pathRule("get", "/mine");
  ASSERT_TRUE(update(*discovery).ok());
  auto basic = get<ClusterRole>("system:basic-user");
  basic->clear_rules();
  (*basic->mutable_metadata()
        ->mutable_annotations())["rbac.authorization.kubernetes.io/autoupdate"] = "false";
  ASSERT_TRUE(update(*basic).ok());
  auto viewers = get<ClusterRoleBinding>("system:public-info-viewer");
  viewers->clear_subjects();
  ASSERT_TRUE(update(*viewers).ok());
  ASSERT_TRUE(remove<ClusterRole>("view").ok());
  restart();
  EXPECT_TRUE(service_->authorizer().checkPath(jane_, "get", "/api/v1").ok());
  EXPECT_TRUE(service_->authorizer().checkPath(jane_, "get", "/mine").ok());
  EXPECT_EQ(get<ClusterRole>("system:basic-user")->rules_size(), 0);
  EXPECT_EQ(get<ClusterRoleBinding>("system:public-info-viewer")->subjects_size(), 2);
  EXPECT_TRUE(get<ClusterRole>("view").ok());
  // A whole policy is left alone.
  const auto before = get<ClusterRole>("system:discovery")->metadata().resourceversion();
  restart();
  EXPECT_EQ(get<ClusterRole>("system:discovery")->metadata().resourceversion(), before);
}

TEST_F(RbacTest, BadRolesAreRefusedByField) {
  auto role = named<Role>("bad");
  role.add_rules()->add_verbs("get");
  *role.add_rules() = pathRule("get", "/x");
  const std::string said = create(role).status().message();
  EXPECT_THAT(said, HasSubstr("rules[0].apiGroups: Required value: resource rules must supply at "
                              "least one api group"));
  EXPECT_THAT(said, HasSubstr("rules[0].resources: Required value"));
  EXPECT_THAT(said, HasSubstr("rules[1].nonResourceURLs: Invalid value: [\"/x\"]: namespaced rules "
                              "cannot apply to non-resource URLs"));
  auto bound = binding("Pod", "x", "Robot", "r");
  const std::string why = create(bound).status().message();
  EXPECT_THAT(why, HasSubstr("roleRef.kind: Unsupported value: \"Pod\""));
  EXPECT_THAT(why, HasSubstr("subjects[0].kind: Unsupported value: \"Robot\""));
  EXPECT_THAT(create(named<Role>("a/b")).status().message(), HasSubstr("may not contain '/'"));
  auto aggregated = named<ClusterRole>("agg");
  aggregated.mutable_aggregationrule();
  EXPECT_THAT(create(aggregated).status().message(),
              HasSubstr("at least one clusterRoleSelector required"));
}

}  // namespace
}  // namespace podlab::apiserver
