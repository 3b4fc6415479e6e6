#include "apiserver/api_service.hpp"

#include <array>
#include <map>
#include <utility>

#include "authentication_v1.pb.h"
#include "authorization_v1.pb.h"
#include "core_v1_accounts.pb.h"

#include "api/priority_classes.hpp"
#include "apiserver/bootstrap_policy.hpp"
#include "apiserver/escalation.hpp"
#include "apiserver/housekeeping.hpp"
#include "apiserver/kind_forms.hpp"
#include "apiserver/registry.hpp"
#include "apiserver/reviews.hpp"
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
  for (auto& object : bootstrapPolicy()) objects.push_back(std::move(object));
  return objects;
}

}  // namespace

struct ApiService::State {
  State(store::Store& store, Clock& clock, Rng& rng, const asio::any_io_executor& executor,
        ApiOptions options)
      : cache(store, clock, executor),
        authorizer(cache),
        registry(store, cache, clock, rng, std::move(options.serviceRanges)),
        housekeeping(store, cache, clock, executor),
        clock(clock),
        rng(rng),
        executor(executor) {}

  /// nullptr for what is stored.
  VirtualKind* virtualKind(const api::ResourceId& id) const {
    if (id.kind->verbs.empty() && id.subresource.empty()) return nullptr;
    const auto found = virtualKinds.find({id.kind, id.subresource});
    return found == virtualKinds.end() ? nullptr : found->second.get();
  }

  WatchCache cache;
  Authorizer authorizer;
  Registry registry;
  KindForms forms{registry};
  Housekeeping housekeeping;
  Clock& clock;
  Rng& rng;
  std::unique_ptr<TokenAuthority> tokens;
  asio::any_io_executor executor;
  std::map<std::pair<const api::Kind*, std::string>, std::shared_ptr<VirtualKind>> virtualKinds;
};

class ApiService::BoundApi final : public api::Api {
 public:
  BoundApi(State& state, User user)
      : state_(state), registry_(state.registry), user_(std::move(user)) {}

  Co<Result<api::ObjectPtr>> get(api::ResourceId id) override {
    if (Status denied = check({"get", id, "", nullptr, nullptr}); !denied) co_return denied;
    if (auto* kind = state_.virtualKind(id)) co_return co_await kind->get(user_, std::move(id));
    if (isUnserved(id)) co_return VirtualKind::notAllowed();
    co_return id.kind->form ? state_.forms.get(id) : registry_.get(id);
  }

  Co<Result<api::ListResult>> list(api::ResourceId id, api::ListOptions options) override {
    const Status denied =
        check({"list", id, options.fieldSelector, nullptr, nullptr, options.labelSelector});
    if (!denied) co_return denied;
    if (auto* kind = state_.virtualKind(id))
      co_return co_await kind->list(user_, std::move(id), std::move(options));
    if (isUnserved(id)) co_return VirtualKind::notAllowed();
    if (id.kind->form) co_return co_await state_.forms.list(std::move(id), std::move(options));
    co_return co_await registry_.list(std::move(id), std::move(options));
  }

  Co<Result<std::unique_ptr<api::Watch>>> watch(api::ResourceId id,
                                                api::WatchOptions options) override {
    const Status denied =
        check({"watch", id, options.fieldSelector, nullptr, nullptr, options.labelSelector});
    if (!denied) co_return denied;
    if (isUnserved(id)) co_return VirtualKind::notAllowed();
    co_return id.kind->form ? state_.forms.watch(id, std::move(options))
                            : registry_.watch(id, options);
  }

  Co<Result<api::WriteResult>> create(api::ResourceId id, api::ObjectPtr object,
                                      api::WriteOptions options) override {
    api::ResourceId named = id;
    if (named.name.empty() && object) named.name = api::meta(*object).name();
    const Status denied = check({"create", std::move(named), "", nullptr, object});
    if (!denied) co_return denied;
    if (auto* kind = state_.virtualKind(id)) {
      auto made = co_await kind->create(user_, std::move(id), std::move(object));
      if (!made) co_return made.status();
      co_return api::WriteResult{std::move(*made), {}};
    }
    if (isUnserved(id)) co_return VirtualKind::notAllowed();
    if (id.kind->form)
      co_return co_await state_.forms.create(std::move(id), std::move(object), std::move(options));
    Registry::Guard guard = guardOf(id);
    co_return co_await registry_.create(std::move(id), std::move(object), std::move(options),
                                        std::move(guard));
  }

  Co<Result<api::WriteResult>> update(api::ResourceId id, api::ObjectPtr object,
                                      api::WriteOptions options) override {
    const Status denied = check({"update", id, "", nullptr, object});
    if (!denied) co_return denied;
    if (isUnserved(id)) co_return VirtualKind::notAllowed();
    if (id.kind->form)
      co_return co_await state_.forms.update(std::move(id), std::move(object), std::move(options));
    Registry::Guard guard = guardOf(id);
    co_return co_await registry_.update(std::move(id), std::move(object), std::move(options),
                                        std::move(guard));
  }

  Co<Result<api::WriteResult>> patch(api::ResourceId id, api::PatchType type, std::string body,
                                     api::WriteOptions options) override {
    Status denied = check({"patch", id, "", nullptr, nullptr});
    if (denied && type == api::PatchType::kApply && !isUnserved(id) &&
        !registry_.find(id.kind->stored(), id.ns, id.name))
      denied = check({"create", id, "", nullptr, nullptr});
    if (!denied) co_return denied;
    if (isUnserved(id)) co_return VirtualKind::notAllowed();
    if (id.kind->form)
      co_return co_await state_.forms.patch(std::move(id), type, std::move(body),
                                            std::move(options));
    Registry::Guard guard = guardOf(id);
    co_return co_await registry_.patch(std::move(id), type, std::move(body), std::move(options),
                                       std::move(guard));
  }

  Co<Result<api::ObjectPtr>> remove(api::ResourceId id, api::DeleteOptions options) override {
    const Status denied = check({"delete", id, "", &options, nullptr});
    if (!denied) co_return denied;
    if (isUnserved(id)) co_return VirtualKind::notAllowed();
    if (id.kind->form) co_return co_await state_.forms.remove(std::move(id), std::move(options));
    co_return co_await registry_.remove(std::move(id), std::move(options));
  }

 private:
  Status check(const Attributes& attributes) const {
    return state_.authorizer.check(user_, attributes);
  }

  /// A kind that is not stored, and has no answer to this.
  static bool isUnserved(const api::ResourceId& id) { return !id.kind->verbs.empty(); }

  Registry::Guard guardOf(const api::ResourceId& id) const {
    if (id.kind->group != api::kindFor<rbacv1::Role>().group) return nullptr;
    return [this](const google::protobuf::Message& next, const google::protobuf::Message* before) {
      return checkEscalation(state_.authorizer, user_, next, before);
    };
  }

  State& state_;
  Registry& registry_;
  const User user_;
};

namespace {

/// Makes the object, or gives a stored role or binding what it lacks.
Co<void> ensure(Registry& registry, api::ObjectPtr object, Status& failure) {
  const api::Kind& kind = *api::kindOf(*object);
  const std::string name = api::meta(*object).name();
  api::ResourceId id{&kind, "", "", ""};
  Status status;
  if (const auto stored = registry.find(kind, "", name)) {
    const bool isPolicy = kind.group == api::kindFor<rbacv1::Role>().group;
    const auto completed = isPolicy ? completedPolicy(stored, object) : nullptr;
    if (!completed) co_return;
    id.name = name;
    status = (co_await registry.update(std::move(id), completed, {})).status();
  } else {
    status = (co_await registry.create(std::move(id), object, {})).status();
  }
  if (!status.ok())
    failure = status.withContext("cannot make " + std::string(kind.singular) + " " + name);
}

}  // namespace

ApiService::ApiService(store::Store& store, Clock& clock, Rng& rng,
                       const asio::any_io_executor& executor, ApiOptions options)
    : state_(std::make_unique<State>(store, clock, rng, executor, std::move(options))) {
  const std::shared_ptr<VirtualKind> reviews = makeReviews(state_->authorizer);
  serve(api::kindFor<authenticationv1::SelfSubjectReview>(), "", reviews);
  serve(api::kindFor<authorizationv1::SelfSubjectAccessReview>(), "", reviews);
  serve(api::kindFor<authorizationv1::SelfSubjectRulesReview>(), "", reviews);
  serve(api::kindFor<authorizationv1::SubjectAccessReview>(), "", reviews);
  serve(api::kindFor<authorizationv1::LocalSubjectAccessReview>(), "", reviews);
}

ApiService::~ApiService() = default;

Co<Status> ApiService::start() {
  if (Status failed = co_await state_->cache.start(); !failed) co_return failed;
  Status failed;
  TaskGroup making(state_->executor);  // at once: they share one commit
  for (const auto& object : seedObjects())
    making.spawn("seed", ensure(state_->registry, object, failed));
  co_await making.join();
  if (!failed) co_return failed;
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

const Authorizer& ApiService::authorizer() const {
  return state_->authorizer;
}

void ApiService::serve(const api::Kind& kind, std::string subresource,
                       std::shared_ptr<VirtualKind> handler) {
  state_->virtualKinds[{&kind, std::move(subresource)}] = std::move(handler);
}

void ApiService::signTokensWith(transport::SigningKey key) {
  state_->tokens =
      std::make_unique<TokenAuthority>(std::move(key), state_->cache, state_->clock, state_->rng);
  state_->registry.requireAccounts();
  serve(api::kindFor<corev1::ServiceAccount>(), "token", makeTokenRequests(*state_->tokens));
  serve(api::kindFor<authenticationv1::TokenReview>(), "", makeTokenReviews(*state_->tokens));
}

TokenAuthority* ApiService::tokens() const {
  return state_->tokens.get();
}

}  // namespace podlab::apiserver
