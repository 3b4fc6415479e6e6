#include "node/network_policies.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "networking_v1.pb.h"

#include "api/kinds.hpp"
#include "common/log.hpp"
#include "policy/rules.hpp"

namespace podlab::node {
namespace {

/// What comes together is applied together.
constexpr Duration kSettle = std::chrono::milliseconds(2);
/// Of a stream of changes each costs its share of the time, and no more.
constexpr int kRestShare = 3;
constexpr Duration kFirstRetry = std::chrono::milliseconds(200);
constexpr Duration kLastRetry = std::chrono::seconds(10);

}  // namespace

NetworkPolicies::NetworkPolicies(api::Api& api, Clock& clock, Rng& rng,
                                 asio::any_io_executor executor, Dataplane& dataplane)
    : api_(api),
      clock_(clock),
      rng_(rng),
      executor_(std::move(executor)),
      dataplane_(dataplane),
      tasks_(executor_) {}

NetworkPolicies::~NetworkPolicies() = default;

void NetworkPolicies::changed() {
  const bool noPolicies = policies_ != nullptr && policies_->synced() && policies_->size() == 0;
  // There is nothing to enforce, and nothing is enforced.
  if (noPolicies && pods_ == nullptr && tried_ == version_ && outcome_.ok()) return;
  ++version_;
  wake_.notifyAll();
}

std::unique_ptr<client::Informer> NetworkPolicies::informer(const api::Kind& kind) {
  api::ResourceId all{&kind, "", "", ""};
  return std::make_unique<client::Informer>(api_, clock_, rng_, executor_, all);
}

void NetworkPolicies::start() {
  policies_ = informer(api::kindFor<networkingv1::NetworkPolicy>());
  client::Informer::Handlers handlers;
  handlers.added = [this](const api::ObjectPtr&) { changed(); };
  handlers.updated = [this](const api::ObjectPtr&, const api::ObjectPtr&) { changed(); };
  handlers.deleted = [this](const api::ObjectPtr&) { changed(); };
  policies_->addHandlers(std::move(handlers));
  policies_->start();
  tasks_.spawn("network policies", keep());
}

Co<void> NetworkPolicies::stop() {
  co_await tasks_.cancelAndJoin();
  co_await forgetOthers();
  if (policies_ != nullptr) co_await policies_->stop();
}

void NetworkPolicies::add(const corev1::Pod& pod, std::vector<net::IpAddress> addresses) {
  if (disabled_) return;
  auto slim = api::share<corev1::Pod>(policy::slimPod(pod));
  if (pods_ != nullptr) {
    const auto seen = pods_->get(api::keyOf(pod));
    if (seen != nullptr && api::meta(*seen).uid() == pod.metadata().uid()) {
      slim = api::share<corev1::Pod>(seen);
    }
    index_.put(*slim, addresses, /*local=*/true);
  }
  locals_[pod.metadata().uid()] = {std::move(slim), std::move(addresses)};
  changed();
}

void NetworkPolicies::remove(const std::string& uid) {
  if (locals_.erase(uid) == 0) return;
  index_.erase(uid);
  changed();
}

Co<Status> NetworkPolicies::enforced() {
  if (disabled_) co_return Status();
  const std::uint64_t wanted = version_;
  while (tried_ < wanted) co_await done_.wait();
  co_return outcome_;
}

Co<void> NetworkPolicies::keep() {
  // Until the server has told of policies, those in the kernel are in force.
  co_await policies_->waitForSync();
  Duration retry = kFirstRetry;
  for (;;) {
    while (tried_ == version_ && outcome_.ok()) co_await wake_.wait();
    if (policies_->size() > 0) co_await clock_.sleepFor(kSettle);
    const MonoTime begin = clock_.now();
    co_await (policies_->size() > 0 ? watchOthers() : forgetOthers());
    const std::uint64_t version = version_;
    outcome_ = co_await apply();
    tried_ = version;
    done_.notifyAll();
    if (outcome_.ok()) {
      retry = kFirstRetry;
      co_await clock_.sleepFor(kRestShare * (clock_.now() - begin));
      continue;
    }
    logError("network_policies_failed", {{"error", outcome_}});
    co_await clock_.sleepFor(retry);
    retry = std::min(2 * retry, kLastRetry);
  }
}

Co<void> NetworkPolicies::watchOthers() {
  if (pods_ != nullptr) co_return;
  namespaces_ = informer(api::kindFor<corev1::Namespace>());
  client::Informer::Handlers namespaces;
  namespaces.added = [this](const api::ObjectPtr&) { changed(); };
  namespaces.updated = [this](const api::ObjectPtr&, const api::ObjectPtr&) { changed(); };
  namespaces_->addHandlers(std::move(namespaces));
  namespaces_->start();

  pods_ = informer(api::kindFor<corev1::Pod>());
  pods_->setTransform(
      [](const api::ObjectPtr& pod) { return policy::slimPod(api::as<corev1::Pod>(pod)); });
  client::Informer::Handlers pods;
  pods.added = [this](const api::ObjectPtr& pod) { observe(pod); };
  pods.updated = [this](const api::ObjectPtr& before, const api::ObjectPtr& now) {
    // Probes and restarts concern nobody here.
    if (!policy::sameForPolicies(api::as<corev1::Pod>(before), api::as<corev1::Pod>(now))) {
      observe(now);
    }
  };
  pods.deleted = [this](const api::ObjectPtr& pod) {
    const auto& uid = api::meta(*pod).uid();
    if (locals_.contains(uid)) return;
    index_.erase(uid);
    changed();
  };
  pods_->addHandlers(std::move(pods));
  pods_->start();
  for (const auto& [uid, local] : locals_) index_.put(*local.pod, local.addresses, true);
  co_await namespaces_->waitForSync();
  co_await pods_->waitForSync();
}

Co<void> NetworkPolicies::forgetOthers() {
  if (namespaces_ != nullptr) co_await namespaces_->stop();
  if (pods_ != nullptr) co_await pods_->stop();
  namespaces_.reset();
  pods_.reset();
  index_ = {};
}

void NetworkPolicies::observe(const api::ObjectPtr& object) {
  auto pod = api::share<corev1::Pod>(object);
  const std::string& uid = pod->metadata().uid();
  if (const auto local = locals_.find(uid); local != locals_.end()) {
    // Its addresses are known better here; it is judged by its labels of now.
    index_.put(*pod, local->second.addresses, /*local=*/true);
    local->second.pod = std::move(pod);
  } else if (auto addresses = policy::addressesOf(*pod);
             policy::isSelectable(*pod) && !addresses.empty()) {
    index_.put(*pod, std::move(addresses), /*local=*/false);
  } else {
    index_.erase(uid);
  }
  changed();
}

Co<Status> NetworkPolicies::apply() {
  std::optional<net::NftTable> table;
  if (pods_ != nullptr) {
    std::map<std::string, api::Labels> namespaces;
    for (const auto& ns : namespaces_->list())
      namespaces[api::meta(*ns).name()] = api::meta(*ns).labels();
    std::vector<std::shared_ptr<const networkingv1::NetworkPolicy>> policies;
    for (const auto& policy : policies_->list()) {
      policies.push_back(api::share<networkingv1::NetworkPolicy>(policy));
    }
    table = policy::nodeTable(index_, namespaces, policies);
  }
  co_return co_await dataplane_.setFirewall(std::move(table));
}

}  // namespace podlab::node
