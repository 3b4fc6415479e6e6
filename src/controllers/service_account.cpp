#include "controllers/service_account.hpp"

#include <utility>

#include "core_v1_accounts.pb.h"

#include "api/kinds.hpp"
#include "api/service_accounts.hpp"

namespace podlab::controllers {
namespace {

constexpr std::size_t kWorkers = 4;
constexpr const char* kKey = "ca.crt";

/// What others have made or are taking away meanwhile is no failure.
Status settled(const Status& status) {
  const bool fine = status.is(Code::kAlreadyExists) || status.is(Code::kNotFound) ||
                    (status.is(Code::kForbidden) && !status.causes().empty());
  return fine ? Status() : status;
}

}  // namespace

ServiceAccountController::ServiceAccountController(Context& context, client::Informer& accounts,
                                                   client::Informer& configMaps, std::string rootCa)
    : context_(context),
      accounts_(accounts),
      configMaps_(configMaps),
      rootCa_(std::move(rootCa)),
      reconciler_("service_account", context.clock, context.rng, context.executor,
                  [this](std::string key) { return reconcile(std::move(key)); }) {
  client::Informer::Handlers namespaces;
  namespaces.added = [this](const api::ObjectPtr& object) {
    reconciler_.add(api::meta(*object).name());
  };
  context_.namespaces.addHandlers(std::move(namespaces));
  const auto changed = [this](const api::ObjectPtr& object) {
    const auto& meta = api::meta(*object);
    if (meta.name() == api::kDefaultAccount || meta.name() == api::kRootCaConfigMap)
      reconciler_.add(meta.namespace_());
  };
  for (auto* informer : {&accounts_, &configMaps_}) {
    client::Informer::Handlers handlers;
    handlers.updated = [changed](const api::ObjectPtr&, const api::ObjectPtr& now) {
      changed(now);
    };
    handlers.deleted = changed;
    informer->addHandlers(std::move(handlers));
  }
}

void ServiceAccountController::start() {
  reconciler_.start(waitForSync(), kWorkers);
}

Co<void> ServiceAccountController::waitForSync() {
  co_await context_.namespaces.waitForSync();
  co_await accounts_.waitForSync();
  co_await configMaps_.waitForSync();
}

Co<Status> ServiceAccountController::reconcile(std::string ns) {
  const auto found = context_.namespaces.get(ns);
  if (!found || api::meta(*found).has_deletiontimestamp()) co_return Status();
  Status made = co_await ensureAccount(ns);
  if (!made) co_return made;
  co_return co_await publish(ns);
}

Co<Status> ServiceAccountController::ensureAccount(std::string ns) {
  if (accounts_.get(ns + "/" + api::kDefaultAccount)) co_return Status();
  auto account = std::make_shared<corev1::ServiceAccount>();
  account->mutable_metadata()->set_name(api::kDefaultAccount);
  account->mutable_metadata()->set_namespace_(ns);
  api::ResourceId id{&api::kindFor<corev1::ServiceAccount>(), ns, "", ""};
  api::WriteOptions options;
  auto made = co_await context_.api.create(std::move(id), account, std::move(options));
  co_return settled(made.status());
}

Co<Status> ServiceAccountController::publish(std::string ns) {
  const auto found = configMaps_.get(ns + "/" + api::kRootCaConfigMap);
  auto map = found ? std::make_shared<corev1::ConfigMap>(api::as<corev1::ConfigMap>(found))
                   : std::make_shared<corev1::ConfigMap>();
  const auto data = map->data().find(kKey);
  if (found && map->data_size() == 1 && data != map->data().end() && data->second == rootCa_)
    co_return Status();
  map->clear_data();
  (*map->mutable_data())[kKey] = rootCa_;
  api::ResourceId id{&api::kindFor<corev1::ConfigMap>(), ns, "", ""};
  api::WriteOptions options;
  if (found) {
    id.name = api::kRootCaConfigMap;
    auto written = co_await context_.api.update(std::move(id), map, std::move(options));
    co_return settled(written.status());
  }
  map->mutable_metadata()->set_name(api::kRootCaConfigMap);
  map->mutable_metadata()->set_namespace_(ns);
  (*map->mutable_metadata()->mutable_annotations())["kubernetes.io/description"] =
      "Contains a CA bundle that can be used to verify the kube-apiserver when using internal "
      "endpoints such as the internal service IP or kubernetes.default.svc. No other usage is "
      "guaranteed across distributions of Kubernetes clusters.";
  auto made = co_await context_.api.create(std::move(id), map, std::move(options));
  co_return settled(made.status());
}

}  // namespace podlab::controllers
