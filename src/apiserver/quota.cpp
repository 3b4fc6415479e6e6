#include "apiserver/quota.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "core_v1_policies.pb.h"

#include "api/kinds.hpp"
#include "api/quota.hpp"
#include "api/status_conversion.hpp"

namespace podlab::apiserver {
namespace {

using corev1::ResourceQuota;
using google::protobuf::Message;

/// "cpu=1,pods=2": those of the resources that are named.
std::string text(const api::ResourceList& amounts, const std::set<std::string>& names) {
  std::string made;
  for (const auto& name : names) {
    const auto found = amounts.find(name);
    if (found != amounts.end())
      made += (made.empty() ? "" : ",") + name + "=" + found->second.toString();
  }
  return made;
}

/// What `now` takes more than `before` did.
api::ResourceList increaseOf(const corev1::ResourceQuotaSpec& quota, const Message& now,
                             const Message* before) {
  api::ResourceList more;
  if (!api::inScope(quota, now)) return more;
  more = api::quotaUsage(now);
  if (before == nullptr || !api::inScope(quota, *before)) return more;
  for (const auto& [name, amount] : api::quotaUsage(*before)) more[name] -= amount;
  std::erase_if(more,
                [](const auto& one) { return one.second.isZero() || one.second.isNegative(); });
  return more;
}

Result<std::optional<Companion>> charge(const api::ObjectPtr& object, const Message& now,
                                        const Message* before) {
  const auto& quota = api::as<ResourceQuota>(object);
  const std::string& name = quota.metadata().name();
  const api::Kind& kind = api::kindOf(now)->resourceKind();
  const auto refuse = [&](const std::string& why) {
    return api::forbidden(kind, api::meta(now).name(), why);
  };
  const auto hard = api::toResourceList(quota.status().hard());
  const auto used = api::toResourceList(quota.status().used());
  const auto more = increaseOf(quota.spec(), now, before);
  std::set<std::string> concerned;
  std::set<std::string> unknown;
  // A quota that has not been counted yet has no hard limits in its status.
  for (const auto& [resource, limit] : quota.spec().hard()) {
    if (api::kindOfQuotaResource(resource) != &kind || more.empty()) continue;
    concerned.insert(resource);
    if (!hard.contains(resource) || !used.contains(resource)) unknown.insert(resource);
  }
  if (concerned.empty()) return std::optional<Companion>();
  if (const auto* pod = dynamic_cast<const corev1::Pod*>(&now); pod != nullptr && !before) {
    if (auto missing = api::missingRequests(*pod, concerned); !missing.empty())
      return refuse("failed quota: " + name + ": must specify " + missing);
  }
  if (!unknown.empty()) {
    std::string all;
    for (const auto& resource : unknown) all += (all.empty() ? "" : ", ") + resource;
    return refuse("status unknown for quota: " + name + ", resources: " + all);
  }
  auto next = std::make_shared<ResourceQuota>(quota);
  std::set<std::string> exceeded;
  bool changed = false;
  for (const auto& resource : concerned) {
    const auto added = more.find(resource);
    if (added == more.end()) continue;
    const api::Quantity sum = used.at(resource) + added->second;
    if (sum > hard.at(resource)) exceeded.insert(resource);
    (*next->mutable_status()->mutable_used())[resource] = sum.toMessage();
    changed |= !added->second.isZero();
  }
  if (!exceeded.empty()) {
    return refuse("exceeded quota: " + name + ", requested: " + text(more, exceeded) +
                  ", used: " + text(used, exceeded) + ", limited: " + text(hard, exceeded));
  }
  if (!changed) return std::optional<Companion>();
  return std::optional(Companion{object, std::move(next)});
}

}  // namespace

Result<std::vector<Companion>> chargeQuotas(const Message& now, const Message* before,
                                            WatchCache& cache) {
  std::vector<Companion> charged;
  Filter filter;
  filter.ns = api::meta(now).namespace_();
  if (filter.ns.empty()) return charged;
  Status refused;
  cache.of(api::kindFor<ResourceQuota>())
      .forEach(filter, [&](const std::string&, const api::ObjectPtr& quota) {
        auto one = charge(quota, now, before);
        refused = one.status();
        if (one && *one) charged.push_back(std::move(**one));
        return refused.ok();
      });
  if (!refused) return refused;
  return charged;
}

}  // namespace podlab::apiserver
