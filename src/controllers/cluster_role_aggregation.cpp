#include "controllers/cluster_role_aggregation.hpp"

#include <algorithm>
#include <utility>

#include "rbac_v1.pb.h"

#include "api/kinds.hpp"
#include "api/selectors.hpp"

namespace podlab::controllers {
namespace {

using rbacv1::ClusterRole;
using rbacv1::PolicyRule;

bool selects(const rbacv1::AggregationRule& rule, const metav1::ObjectMeta& meta) {
  return std::ranges::any_of(rule.clusterroleselectors(), [&](const metav1::LabelSelector& labels) {
    const auto selector = api::LabelSelector::of(labels);
    return selector && selector->matches(meta.labels());
  });
}

bool same(const PolicyRule& a, const PolicyRule& b) {
  return a.SerializeAsString() == b.SerializeAsString();
}

}  // namespace

ClusterRoleAggregation::ClusterRoleAggregation(Context& context, client::Informer& roles)
    : context_(context),
      roles_(roles),
      reconciler_("cluster_role_aggregation", context.clock, context.rng, context.executor,
                  [this](std::string key) { return reconcile(std::move(key)); }) {
  const auto changed = [this](const api::ObjectPtr&) {
    for (const auto& role : roles_.list()) {
      if (api::as<ClusterRole>(role).has_aggregationrule())
        reconciler_.add(api::meta(*role).name());
    }
  };
  client::Informer::Handlers handlers;
  handlers.added = changed;
  handlers.updated = [changed](const api::ObjectPtr&, const api::ObjectPtr& now) { changed(now); };
  handlers.deleted = changed;
  roles_.addHandlers(std::move(handlers));
}

Co<Status> ClusterRoleAggregation::reconcile(std::string name) {
  const auto found = roles_.get(name);
  if (!found || !api::as<ClusterRole>(found).has_aggregationrule()) co_return Status();
  auto next = std::make_shared<ClusterRole>(api::as<ClusterRole>(found));
  next->clear_rules();
  for (const auto& object : roles_.list()) {
    const auto& role = api::as<ClusterRole>(object);
    if (role.metadata().name() == name || !selects(next->aggregationrule(), role.metadata()))
      continue;
    for (const PolicyRule& rule : role.rules()) {
      const bool there = std::ranges::any_of(
          next->rules(), [&](const PolicyRule& one) { return same(one, rule); });
      if (!there) *next->add_rules() = rule;
    }
  }
  if (std::ranges::equal(next->rules(), api::as<ClusterRole>(found).rules(), same))
    co_return Status();
  api::ResourceId id{&api::kindFor<ClusterRole>(), "", name, ""};
  api::WriteOptions options;
  auto written = co_await context_.api.update(std::move(id), next, std::move(options));
  co_return written.status().is(Code::kNotFound) ? Status() : written.status();
}

}  // namespace podlab::controllers
