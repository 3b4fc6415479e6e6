#include "controllers/resource_quota.hpp"

#include <set>
#include <utility>
#include <vector>

#include "api/kinds.hpp"
#include "api/quota.hpp"

namespace podlab::controllers {
namespace {

constexpr std::size_t kWorkers = 5;
constexpr Duration kRecount = std::chrono::minutes(5);

bool sameAmounts(const api::ResourceMap& a, const api::ResourceMap& b) {
  return api::toResourceList(a) == api::toResourceList(b);
}

}  // namespace

ResourceQuotaController::ResourceQuotaController(Context& context)
    : context_(context),
      quotas_(*context.caches.of(api::kindFor<Quota>())),
      reconciler_("resource_quota", context.clock, context.rng, context.executor,
                  [this](std::string key) { return reconcile(std::move(key)); }) {
  client::Informer::Handlers quotas;
  quotas.added = [this](const api::ObjectPtr& quota) { reconciler_.add(api::keyOf(*quota)); };
  quotas.updated = [this](const api::ObjectPtr& before, const api::ObjectPtr& now) {
    if (!sameAmounts(api::as<Quota>(before).spec().hard(), api::as<Quota>(now).spec().hard()))
      reconciler_.add(api::keyOf(*now));
  };
  quotas_.addHandlers(std::move(quotas));

  context_.caches.forEachKind([this](client::Informer& informer) {
    client::Informer::Handlers contents;
    contents.updated = [this](const api::ObjectPtr& before, const api::ObjectPtr& now) {
      observe(before.get(), now.get());
    };
    contents.deleted = [this](const api::ObjectPtr& last) { observe(last.get(), nullptr); };
    informer.addHandlers(std::move(contents));
  });
}

void ResourceQuotaController::start() {
  reconciler_.start(context_.waitForSync(), kWorkers);
}

/// Something that was counted is no more, or counts for less.
void ResourceQuotaController::observe(const google::protobuf::Message* before,
                                      const google::protobuf::Message* now) {
  const auto keys = quotas_.keysIn(api::meta(*before).namespace_());
  if (keys.empty()) return;
  if (now != nullptr && api::quotaUsage(*before) == api::quotaUsage(*now)) return;
  for (const auto& key : keys) reconciler_.add(key);
}

Co<Status> ResourceQuotaController::reconcile(std::string key) {
  const auto cached = quotas_.get(key);
  if (!cached) co_return Status();
  // The quota before what it counts: a charge that comes after it makes the write fail.
  api::ResourceId id{&api::kindFor<Quota>(), api::meta(*cached).namespace_(),
                     api::meta(*cached).name(), ""};
  auto found = co_await context_.api.get(id);
  if (!found) co_return unlessGone(found.status());
  const auto& quota = api::as<Quota>(*found);
  reconciler_.addAfter(key, kRecount);
  auto next = std::make_shared<Quota>(quota);
  if (Status failed = co_await count(*next); !failed) co_return failed;
  if (sameAmounts(next->status().hard(), quota.status().hard()) &&
      sameAmounts(next->status().used(), quota.status().used()))
    co_return Status();
  id.subresource = "status";
  api::WriteOptions options;
  auto written = co_await context_.api.update(std::move(id), next, std::move(options));
  co_return unlessGone(written.status());
}

Co<Status> ResourceQuotaController::count(Quota& quota) {
  std::set<const api::Kind*> kinds;
  api::ResourceList used;
  for (const auto& [resource, limit] : quota.spec().hard()) {
    used[resource] = api::Quantity();
    if (const auto* kind = api::kindOfQuotaResource(resource)) kinds.insert(kind);
  }
  for (const auto* kind : kinds) {
    if (!kind->namespaced()) continue;
    api::ResourceId collection{kind, quota.metadata().namespace_(), "", ""};
    api::ListOptions all;
    auto listed = co_await context_.api.list(std::move(collection), std::move(all));
    if (!listed) co_return listed.status();
    for (const auto& object : listed->items) {
      if (!api::inScope(quota.spec(), *object)) continue;
      for (const auto& [resource, amount] : api::quotaUsage(*object)) {
        const auto counted = used.find(resource);
        if (counted != used.end()) counted->second += amount;
      }
    }
  }
  *quota.mutable_status()->mutable_hard() = quota.spec().hard();
  auto& amounts = *quota.mutable_status()->mutable_used();
  amounts.clear();
  for (const auto& [resource, amount] : used) amounts[resource] = amount.toMessage();
  co_return Status();
}

}  // namespace podlab::controllers
