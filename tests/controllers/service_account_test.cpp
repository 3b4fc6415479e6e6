#include <gmock/gmock.h>

#include "core_v1_accounts.pb.h"
#include "rbac_v1.pb.h"

#include "tests/controllers/cluster_fixture.hpp"

namespace podlab::controllers {
namespace {

using corev1::ConfigMap;
using corev1::ServiceAccount;
using rbacv1::ClusterRole;

class ServiceAccountTest : public ClusterTest {
 protected:
  void start(const std::string& ca = "CA") {
    auto chosen = options();
    chosen.rootCa = ca;
    startManager(std::move(chosen));
  }
  template <typename T>
  std::shared_ptr<const T> in(const std::string& ns, const std::string& name) {
    auto target = id<T>(name);
    target.ns = ns;
    auto found = run(admin_->get(std::move(target)));
    return found ? api::share<T>(*found) : nullptr;
  }
  std::string certificate(const std::string& ns) {
    const auto map = in<ConfigMap>(ns, "kube-root-ca.crt");
    return map ? map->data().at("ca.crt") : "";
  }
  void makeNamespace(const std::string& name) {
    corev1::Namespace made;
    made.mutable_metadata()->set_name(name);
    ASSERT_TRUE(create(made).ok());
    clock_.runUntilIdle();
  }
};

TEST_F(ServiceAccountTest, EachNamespaceHasAnAccountAndTheCertificate) {
  start();
  makeNamespace("fresh");
  for (const char* ns : {"default", "kube-system", "fresh"}) {
    EXPECT_NE(in<ServiceAccount>(ns, "default"), nullptr) << ns;
    EXPECT_EQ(certificate(ns), "CA") << ns;
  }
}

TEST_F(ServiceAccountTest, TheyComeBack) {
  start();
  ASSERT_TRUE(remove<ServiceAccount>("default").ok());
  ASSERT_TRUE(remove<ConfigMap>("kube-root-ca.crt").ok());
  clock_.runUntilIdle();
  EXPECT_NE(in<ServiceAccount>("default", "default"), nullptr);
  auto map = get<ConfigMap>("kube-root-ca.crt");
  ASSERT_TRUE(map.ok());
  (*map->mutable_data())["ca.crt"] = "forged";
  (*map->mutable_data())["more"] = "x";
  ASSERT_TRUE(update(*map).ok());
  clock_.runUntilIdle();
  EXPECT_EQ(certificate("default"), "CA");
  EXPECT_EQ(get<ConfigMap>("kube-root-ca.crt")->data_size(), 1);
  // A cluster with another authority says so everywhere.
  stopManager();
  start("CA2");
  EXPECT_EQ(certificate("default"), "CA2");
  EXPECT_EQ(certificate("kube-system"), "CA2");
}

TEST_F(ServiceAccountTest, ANamespaceEndsWithBoth) {
  start();
  makeNamespace("brief");
  ASSERT_TRUE(remove<corev1::Namespace>("brief").ok());
  pass(std::chrono::seconds(30));
  EXPECT_FALSE(get<corev1::Namespace>("brief").ok());
  EXPECT_EQ(in<ServiceAccount>("brief", "default"), nullptr);
}

TEST_F(ServiceAccountTest, AggregatedRolesHaveTheRulesOfTheirParts) {
  start();
  const auto grants = [&](const std::string& role, const std::string& resource) {
    const auto found = get<ClusterRole>(role);
    return std::ranges::any_of(found->rules(), [&](const rbacv1::PolicyRule& rule) {
      return std::ranges::find(rule.resources(), resource) != rule.resources().end();
    });
  };
  EXPECT_TRUE(grants("view", "pods/log"));
  EXPECT_FALSE(grants("view", "secrets"));
  EXPECT_FALSE(grants("edit", "roles"));
  EXPECT_TRUE(grants("edit", "secrets"));
  for (const char* resource : {"pods/log", "secrets", "roles"})
    EXPECT_TRUE(grants("admin", resource)) << resource;
  ClusterRole crontabs;
  crontabs.mutable_metadata()->set_name("crontabs");
  (*crontabs.mutable_metadata()->mutable_labels())["rbac.authorization.k8s.io/aggregate-to-view"] =
      "true";
  auto& rule = *crontabs.add_rules();
  rule.add_verbs("get");
  rule.add_apigroups("stable.example.com");
  rule.add_resources("crontabs");
  ASSERT_TRUE(create(crontabs).ok());
  clock_.runUntilIdle();
  for (const char* role : {"view", "edit", "admin"}) EXPECT_TRUE(grants(role, "crontabs")) << role;
  ASSERT_TRUE(remove<ClusterRole>("crontabs").ok());
  clock_.runUntilIdle();
  for (const char* role : {"view", "edit", "admin"}) EXPECT_FALSE(grants(role, "crontabs")) << role;
}

}  // namespace
}  // namespace podlab::controllers
