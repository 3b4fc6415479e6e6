#include "apiserver/api_service.hpp"

#include <array>
#include <map>
#include <utility>

#include "api/priority_classes.hpp"
#include "apiserver/authorizer.hpp"
#include "apiserver/housekeeping.hpp"
#include "apiserver/registry.hpp"
#include "apiserver/watch_cache.hpp"

namespace podlab::apiserver {
namespace {

constexpr std::array<const char*, 4> kSeedNamespaces{"default", "kube-system", "kube-public",
                                                     "kube-node-lease"};

/// What every cluster has; in this order.
std::vector<api::ObjectPtr> seedObjects() {
  std::vector<api::ObjectPtr> objects;
  for (const char* name : kSeedNamespaces) {
    auto object = std::make_shared<corev1::Namespace>();
    object->mutable_metadata()->set_name(name);
    objects.push_back(std::move(object));
  }
  for (const auto& known : api::systemPriorities()) {
    auto object = std::make_shared<schedulingv1::PriorityClass>();
    object->mutable_metadata()->set_name(std::string(known.name));
    object->set_value(known.value);
    object->set_description(std::string(known.description));
    objects.push_back(std::move(object));
  }
  return objects;
}

}  // namespace

struct ApiService::State {
  State(store::Store& store, Clock& clock, Rng& rng, const asio::any_io_executor& executor,
        ApiOptions options)
      : cache(store, clock, executor),
        registry(store, cache, clock, rng, std::move(options.serviceRanges)),
        housekeeping(store, cache, clock, executor) {}

  /// nullptr for what is stored.
  VirtualKind* virtualKind(const api::ResourceId& id) const {
    if (id.kind->verbs.empty() && id.subresource.empty()) return nullptr;
    const auto found = virtualKinds.find({id.kind, id.subresource});
    return found == virtualKinds.end() ? nullptr : found->second.get();
  }

  WatchCache cache;
  Registry registry;
  Housekeeping housekeeping;
  std::map<std::pair<const api::Kind*, std::string>, std::shared_ptr<VirtualKind>> virtualKinds;
};

class ApiService::BoundApi final : public api::Api {
 public:
  BoundApi(State& state, User user)
      : state_(state), registry_(state.registry), cache_(state.cache), user_(std::move(user)) {}

  Co<Result<api::ObjectPtr>> get(api::ResourceId id) override {
    if (Status denied = check({"get", id, "", nullptr, nullptr}); !denied) co_return denied;
    if (auto* kind = state_.virtualKind(id)) co_return co_await kind->get(user_, std::move(id));
    if (isUnserved(id)) co_return VirtualKind::notAllowed();
    co_return registry_.get(id);
  }

  Co<Result<api::ListResult>> list(api::ResourceId id, api::ListOptions options) override {
    const Status denied =
        check({"list", id, options.fieldSelector, nullptr, nullptr, options.labelSelector});
    if (!denied) co_return denied;
    if (auto* kind = state_.virtualKind(id))
      co_return co_await kind->list(user_, std::move(id), std::move(options));
    if (isUnserved(id)) co_return VirtualKind::notAllowed();
    co_return co_await registry_.list(std::move(id), std::move(options));
  }

  Co<Result<std::unique_ptr<api::Watch>>> watch(api::ResourceId id,
                                                api::WatchOptions options) override {
    const Status denied =
        check({"watch", id, options.fieldSelector, nullptr, nullptr, options.labelSelector});
    if (!denied) co_return denied;
    if (isUnserved(id)) co_return VirtualKind::notAllowed();
    co_return registry_.watch(id, options);
  }

  Co<Result<api::WriteResult>> create(api::ResourceId id, api::ObjectPtr object,
                                      api::WriteOptions options) override {
    api::ResourceId named = id;
    if (named.name.empty() && object) named.name = api::meta(*object).name();
    const Attributes attributes{"create", std::move(named), "", nullptr, object};
    if (Status denied = check(attributes); !denied) co_return denied;
    if (auto* kind = state_.virtualKind(id)) {
      auto made = co_await kind->create(user_, std::move(id), std::move(object));
      if (!made) co_return made.status();
      co_return api::WriteResult{std::move(*made), {}};
    }
    if (isUnserved(id)) co_return VirtualKind::notAllowed();
    co_return co_await registry_.create(std::move(id), std::move(object), std::move(options));
  }

  Co<Result<api::WriteResult>> update(api::ResourceId id, api::ObjectPtr object,
                                      api::WriteOptions options) override {
    const Status denied = check({"update", id, "", nullptr, object});
    if (!denied) co_return denied;
    if (isUnserved(id)) co_return VirtualKind::notAllowed();
    co_return co_await registry_.update(std::move(id), std::move(object), std::move(options));
  }

  Co<Result<api::WriteResult>> patch(api::ResourceId id, api::PatchType type, std::string body,
                                     api::WriteOptions options) override {
    Status denied = check({"patch", id, "", nullptr, nullptr});
    if (denied && type == api::PatchType::kApply && !registry_.find(*id.kind, id.ns, id.name))
      denied = check({"create", id, "", nullptr, nullptr});
    if (!denied) co_return denied;
    if (isUnserved(id)) co_return VirtualKind::notAllowed();
    co_return co_await registry_.patch(std::move(id), type, std::move(body), std::move(options));
  }

  Co<Result<api::ObjectPtr>> remove(api::ResourceId id, api::DeleteOptions options) override {
    const Status denied = check({"delete", id, "", &options, nullptr});
    if (!denied) co_return denied;
    if (isUnserved(id)) co_return VirtualKind::notAllowed();
    co_return co_await registry_.remove(std::move(id), std::move(options));
  }

 private:
  Status check(const Attributes& attributes) const {
    const Lookup lookup = [this](const api::Kind& kind, const std::string& ns,
                                 const std::string& name) {
      return registry_.find(kind, ns, name);
    };
    const AnyPod anyPod = [this](const std::string& node, const auto& isSuch) {
      Filter bound;
      bound.nodeName = node;
      bound.matches = [&node](const google::protobuf::Message& pod) {
        return static_cast<const corev1::Pod&>(pod).spec().nodename() == node;
      };
      bool found = false;
      cache_.of(api::kindFor<corev1::Pod>())
          .forEach(bound, [&](const std::string&, const api::ObjectPtr& pod) {
            found = isSuch(api::as<corev1::Pod>(pod));
            return !found;
          });
      return found;
    };
    return authorize(user_, attributes, lookup, anyPod);
  }

  /// A kind that is not stored, and has no answer to this.
  static bool isUnserved(const api::ResourceId& id) { return !id.kind->verbs.empty(); }

  State& state_;
  Registry& registry_;
  WatchCache& cache_;
  const User user_;
};

ApiService::ApiService(store::Store& store, Clock& clock, Rng& rng,
                       const asio::any_io_executor& executor, ApiOptions options)
    : state_(std::make_unique<State>(store, clock, rng, executor, std::move(options))) {}

ApiService::~ApiService() = default;

Co<Status> ApiService::start() {
  if (Status failed = co_await state_->cache.start(); !failed) co_return failed;
  for (const auto& object : seedObjects()) {
    const api::Kind& kind = *api::kindOf(*object);
    const std::string name = api::meta(*object).name();
    if (state_->registry.find(kind, "", name)) continue;
    api::ResourceId id{&kind, "", "", ""};
    auto made = co_await state_->registry.create(std::move(id), object, {});
    if (!made)
      co_return made.status().withContext("cannot make " + std::string(kind.singular) + " " + name);
  }
  state_->housekeeping.start();
  co_return Status();
}

Co<void> ApiService::stop() {
  co_await state_->housekeeping.stop();
  co_await state_->cache.stop();
}

std::unique_ptr<api::Api> ApiService::as(User user) {
  return std::make_unique<BoundApi>(*state_, std::move(user));
}

void ApiService::serve(const api::Kind& kind, std::string subresource,
                       std::shared_ptr<VirtualKind> handler) {
  state_->virtualKinds[{&kind, std::move(subresource)}] = std::move(handler);
}

}  // namespace podlab::apiserver
