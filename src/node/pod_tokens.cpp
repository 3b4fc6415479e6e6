#include "node/pod_tokens.hpp"

#include <algorithm>
#include <utility>

#include "authentication_v1.pb.h"
#include "core_v1_accounts.pb.h"

#include "api/kinds.hpp"

namespace podlab::node {
namespace {

constexpr std::int64_t kDefaultSeconds = 3600;
constexpr Duration kFirstRetry = std::chrono::milliseconds(500);
constexpr Duration kLastRetry = std::chrono::seconds(30);

std::int64_t secondsOf(const PodTokens::Wanted& wanted) {
  return wanted.has_expirationseconds() ? wanted.expirationseconds() : kDefaultSeconds;
}

std::string keyOf(const PodTokens::Wanted& wanted) {
  return std::to_string(secondsOf(wanted)) + " " + wanted.audience();
}

}  // namespace

void PodTokens::start(const corev1::Pod& pod, Listener listener) {
  if (std::exchange(started_, true)) return;
  pod_.set_namespace_(pod.metadata().namespace_());
  pod_.set_name(pod.metadata().name());
  pod_.set_uid(pod.metadata().uid());
  account_ = pod.spec().serviceaccountname();
  listener_ = std::move(listener);
  for (const auto& volume : pod.spec().volumes()) {
    for (const auto& part : volume.volumesource().projected().sources()) {
      if (!part.has_serviceaccounttoken()) continue;
      const auto& wanted = part.serviceaccounttoken();
      if (!tokens_.emplace(keyOf(wanted), "").second) continue;
      tasks_.spawn("token", keep(volume.name(), wanted));
    }
  }
}

bool PodTokens::known() const {
  return std::ranges::none_of(tokens_, [](const auto& entry) { return entry.second.empty(); });
}

Result<std::string> PodTokens::get(const Wanted& wanted) const {
  const auto found = tokens_.find(keyOf(wanted));
  if (found != tokens_.end() && !found->second.empty()) return found->second;
  return Status(Code::kUnavailable, "the service account's token is not known yet");
}

Co<void> PodTokens::keep(std::string volume, Wanted wanted) {
  const Duration life = std::chrono::seconds(secondsOf(wanted));
  Duration retry = kFirstRetry;
  while (true) {
    auto token = co_await request(wanted);
    if (token) {
      retry = kFirstRetry;
      tokens_[keyOf(wanted)] = *std::move(token);
      listener_.changed();
      co_await clock_.sleepFor(life / 5 * 4);
      continue;
    }
    listener_.failed(volume, token.status());
    co_await clock_.sleepFor(retry);
    retry = std::min(2 * retry, kLastRetry);
  }
}

Co<Result<std::string>> PodTokens::request(Wanted wanted) {
  auto request = std::make_shared<authenticationv1::TokenRequest>();
  auto& spec = *request->mutable_spec();
  if (!wanted.audience().empty()) spec.add_audiences(wanted.audience());
  spec.set_expirationseconds(secondsOf(wanted));
  auto& bound = *spec.mutable_boundobjectref();
  bound.set_apiversion("v1");
  bound.set_kind("Pod");
  bound.set_name(pod_.name());
  bound.set_uid(pod_.uid());
  api::ResourceId id{&api::kindFor<corev1::ServiceAccount>(), pod_.namespace_(), account_, "token"};
  api::WriteOptions options;
  auto made = co_await api_.create(std::move(id), request, std::move(options));
  if (!made) co_return made.status();
  co_return api::as<authenticationv1::TokenRequest>(made->object).status().token();
}

}  // namespace podlab::node
