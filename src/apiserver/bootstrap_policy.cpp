#include "apiserver/bootstrap_policy.hpp"

#include <algorithm>
#include <string>
#include <string_view>

#include "rbac_v1.pb.h"

#include "api/kinds.hpp"
#include "apiserver/identity.hpp"
#include "apiserver/rbac.hpp"

namespace podlab::apiserver {
namespace {

using rbacv1::ClusterRole;
using rbacv1::ClusterRoleBinding;
using rbacv1::PolicyRule;

constexpr const char* kAutoUpdate = "rbac.authorization.kubernetes.io/autoupdate";
constexpr std::string_view kRead = "get list watch";
constexpr std::string_view kWrite = "create delete deletecollection patch update";
constexpr std::string_view kReadWrite =
    "get list watch create delete deletecollection patch update";

/// One rule; each list is separated by spaces. The group "-" is that of the core.
struct Rule {
  std::string_view verbs;
  std::string_view groups;
  std::string_view resources;
};

template <typename Add>
void forEachWord(std::string_view text, Add add) {
  while (!text.empty()) {
    const auto end = std::min(text.find(' '), text.size());
    if (end > 0) add(std::string(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

PolicyRule toRule(const Rule& rule) {
  PolicyRule made;
  forEachWord(rule.verbs, [&](std::string word) { made.add_verbs(std::move(word)); });
  forEachWord(rule.groups,
              [&](const std::string& word) { made.add_apigroups(word == "-" ? "" : word); });
  forEachWord(rule.resources, [&](std::string word) { made.add_resources(std::move(word)); });
  return made;
}

void mark(metav1::ObjectMeta& meta, std::string_view name) {
  meta.set_name(std::string(name));
  (*meta.mutable_labels())["kubernetes.io/bootstrapping"] = "rbac-defaults";
  (*meta.mutable_annotations())[kAutoUpdate] = "true";
}

class Policy {
 public:
  ClusterRole& role(std::string_view name, std::initializer_list<Rule> rules) {
    auto made = std::make_shared<ClusterRole>();
    mark(*made->mutable_metadata(), name);
    for (const Rule& rule : rules) *made->add_rules() = toRule(rule);
    objects_.push_back(made);
    return *made;
  }
  /// A role to which others with the label aggregate-to-NAME add their rules.
  void aggregate(const std::string& name, const std::string& partOf = "") {
    auto& made = role(name, {});
    auto& selector = *made.mutable_aggregationrule()->add_clusterroleselectors();
    (*selector.mutable_matchlabels())[labelOf(name)] = "true";
    if (!partOf.empty()) addTo(made, partOf);
  }
  void part(const std::string& of, std::initializer_list<Rule> rules) {
    addTo(role("system:aggregate-to-" + of, rules), of);
  }
  static void addTo(ClusterRole& role, const std::string& name) {
    (*role.mutable_metadata()->mutable_labels())[labelOf(name)] = "true";
  }
  static void addPaths(ClusterRole& role, std::string_view paths, std::string_view verb = "get") {
    auto& rule = *role.add_rules();
    rule.add_verbs(std::string(verb));
    forEachWord(paths, [&](std::string path) { rule.add_nonresourceurls(std::move(path)); });
  }
  void bind(std::string_view roleName, std::initializer_list<std::string_view> groups) {
    auto made = std::make_shared<ClusterRoleBinding>();
    mark(*made->mutable_metadata(), roleName);
    made->mutable_roleref()->set_kind("ClusterRole");
    made->mutable_roleref()->set_name(std::string(roleName));
    for (const auto group : groups) {
      auto& subject = *made->add_subjects();
      subject.set_kind("Group");
      subject.set_name(std::string(group));
    }
    objects_.push_back(std::move(made));
  }
  std::vector<api::ObjectPtr> take() { return std::move(objects_); }

 private:
  static std::string labelOf(const std::string& role) {
    return "rbac.authorization.k8s.io/aggregate-to-" + role;
  }
  std::vector<api::ObjectPtr> objects_;
};

void addUserRoles(Policy& policy) {
  policy.aggregate("admin");
  policy.aggregate("edit", "admin");
  policy.aggregate("view", "edit");
  policy.part("admin", {{"create", "authorization.k8s.io", "localsubjectaccessreviews"},
                        {kReadWrite, "rbac.authorization.k8s.io", "rolebindings roles"}});
  policy.part(
      "edit",
      {{kRead, "-", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy"},
       {"impersonate", "-", "serviceaccounts"},
       {kWrite, "-", "pods pods/attach pods/exec pods/portforward pods/proxy"},
       {"create", "-", "pods/eviction"},
       {kWrite, "-",
        "configmaps events persistentvolumeclaims replicationcontrollers "
        "replicationcontrollers/scale secrets serviceaccounts services services/proxy"},
       {"create", "-", "serviceaccounts/token"},
       {kWrite, "apps",
        "daemonsets deployments deployments/rollback deployments/scale replicasets "
        "replicasets/scale statefulsets statefulsets/scale"},
       {kWrite, "autoscaling", "horizontalpodautoscalers"},
       {kWrite, "batch", "cronjobs jobs"},
       {kWrite, "policy", "poddisruptionbudgets"},
       {kWrite, "networking.k8s.io", "ingresses networkpolicies"},
       {kReadWrite, "coordination.k8s.io", "leases"}});
  policy.part("view",
              {{kRead, "-",
                "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods "
                "replicationcontrollers replicationcontrollers/scale serviceaccounts services "
                "services/status"},
               {kRead, "-",
                "bindings events limitranges namespaces/status pods/log pods/status "
                "replicationcontrollers/status resourcequotas resourcequotas/status"},
               {kRead, "-", "namespaces"},
               {kRead, "discovery.k8s.io", "endpointslices"},
               {kRead, "apps",
                "controllerrevisions daemonsets daemonsets/status deployments deployments/scale "
                "deployments/status replicasets replicasets/scale replicasets/status statefulsets "
                "statefulsets/scale statefulsets/status"},
               {kRead, "autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"},
               {kRead, "batch", "cronjobs cronjobs/status jobs jobs/status"},
               {kRead, "policy", "poddisruptionbudgets poddisruptionbudgets/status"},
               {kRead, "networking.k8s.io", "ingresses ingresses/status networkpolicies"}});
  auto& metrics =
      policy.role("system:aggregated-metrics-reader", {{kRead, "metrics.k8s.io", "pods nodes"}});
  for (const char* name : {"view", "edit", "admin"}) Policy::addTo(metrics, name);
}

void addSystemRoles(Policy& policy) {
  auto& everything = policy.role("cluster-admin", {{"*", "*", "*"}});
  Policy::addPaths(everything, "*", "*");
  policy.bind("cluster-admin", {kMasters});

  Policy::addPaths(policy.role("system:discovery", {}),
                   "/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version "
                   "/version/");
  policy.bind("system:discovery", {kAuthenticated});
  Policy::addPaths(policy.role("system:public-info-viewer", {}),
                   "/healthz /livez /readyz /version /version/");
  policy.bind("system:public-info-viewer", {kAuthenticated, kUnauthenticated});
  policy.role("system:basic-user", {{"create", "authorization.k8s.io",
                                     "selfsubjectaccessreviews selfsubjectrulesreviews"},
                                    {"create", "authentication.k8s.io", "selfsubjectreviews"}});
  policy.bind("system:basic-user", {kAuthenticated});
  Policy::addPaths(policy.role("system:service-account-issuer-discovery", {}),
                   "/.well-known/openid-configuration /openid/v1/jwks");
  policy.bind("system:service-account-issuer-discovery", {kAccounts});
  policy.role("system:auth-delegator",
              {{"create", "authentication.k8s.io", "tokenreviews"},
               {"create", "authorization.k8s.io", "subjectaccessreviews"}});
  // Nodes have their rights of nodeMay(); the role tells of them.
  policy.role("system:node",
              {{"create", "-", "serviceaccounts/token"},
               {"get list watch create patch update", "-", "nodes"},
               {"patch update", "-", "nodes/status pods/status"},
               {"create patch update", "-", "events"},
               {"get list watch delete", "-", "pods"},
               {kRead, "-", "configmaps secrets persistentvolumeclaims persistentvolumes"},
               {"create get patch update", "coordination.k8s.io", "leases"}});
  policy.bind("system:node", {});
}

template <typename T>
std::vector<PolicyRule> rulesOf(const T& role) {
  return {role.rules().begin(), role.rules().end()};
}

}  // namespace

std::vector<api::ObjectPtr> bootstrapPolicy() {
  Policy policy;
  addSystemRoles(policy);
  addUserRoles(policy);
  return policy.take();
}

api::ObjectPtr completedPolicy(const api::ObjectPtr& stored, const api::ObjectPtr& wanted) {
  const auto& annotations = api::meta(*stored).annotations();
  if (const auto update = annotations.find(kAutoUpdate);
      update != annotations.end() && update->second == "false")
    return nullptr;
  if (api::kindOf(*stored) == &api::kindFor<ClusterRole>()) {
    auto next = std::make_shared<ClusterRole>(api::as<ClusterRole>(stored));
    const auto missing = missingRules(rulesOf(*next), rulesOf(api::as<ClusterRole>(wanted)));
    for (const auto& rule : missing) *next->add_rules() = rule;
    return missing.empty() ? nullptr : next;
  }
  auto next = std::make_shared<ClusterRoleBinding>(api::as<ClusterRoleBinding>(stored));
  bool changed = false;
  for (const auto& subject : api::as<ClusterRoleBinding>(wanted).subjects()) {
    const bool there = std::ranges::any_of(next->subjects(), [&](const rbacv1::Subject& one) {
      return one.kind() == subject.kind() && one.name() == subject.name();
    });
    if (there) continue;
    *next->add_subjects() = subject;
    changed = true;
  }
  return changed ? next : nullptr;
}

}  // namespace podlab::apiserver
