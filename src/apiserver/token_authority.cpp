#include "apiserver/token_authority.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "core_v1_accounts.pb.h"

#include "api/codec.hpp"
#include "api/codec_base64.hpp"
#include "api/field_errors.hpp"
#include "api/status_conversion.hpp"
#include "api/times.hpp"
#include "common/json.hpp"

namespace podlab::apiserver {
namespace {

using authenticationv1::BoundObjectReference;
using authenticationv1::TokenRequest;

constexpr std::int64_t kDefaultSeconds = 3600;
constexpr std::int64_t kLeastSeconds = 600;
constexpr std::int64_t kMostSeconds = std::int64_t{1} << 32;
/// Tokens whose verified claims are kept.
constexpr std::size_t kMaxVerified = 4096;
constexpr std::size_t kMaxToken = 16UL << 10;

/// RFC 7515: base64 for URLs, without padding.
std::string encodeUrl(std::string_view bytes) {
  std::string text = api::codec::base64Encode(bytes);
  while (text.ends_with('=')) text.pop_back();
  std::ranges::replace(text, '+', '-');
  std::ranges::replace(text, '/', '_');
  return text;
}

std::optional<std::string> decodeUrl(std::string_view given) {
  std::string text(given);
  if (text.find_first_of("+/=\r\n") != std::string::npos) return std::nullopt;
  std::ranges::replace(text, '-', '+');
  std::ranges::replace(text, '_', '/');
  text.append((4 - text.size() % 4) % 4, '=');
  return api::codec::base64Decode(text);
}

Status unauthorized(std::string why) {
  return {Code::kUnauthorized, std::move(why)};
}

std::int64_t secondsOf(WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

Status validate(const TokenRequest& request) {
  api::FieldErrors errors;
  const api::FieldPath path = api::FieldPath("spec").child("expirationSeconds");
  const std::int64_t seconds = request.spec().expirationseconds();
  if (seconds < kLeastSeconds)
    errors.invalid(path, seconds, "may not specify a duration less than 10 minutes");
  if (seconds > kMostSeconds)
    errors.invalid(path, seconds, "may not specify a duration larger than 2^32 seconds");
  auto causes = errors.take();
  if (causes.empty()) return {};
  return api::invalid(api::kindFor<TokenRequest>(), request.metadata().name(), std::move(causes));
}

void refer(token::Reference& reference, const metav1::ObjectMeta& meta) {
  reference.set_name(meta.name());
  reference.set_uid(meta.uid());
}

}  // namespace

TokenAuthority::TokenAuthority(transport::SigningKey key, WatchCache& cache, Clock& clock, Rng& rng)
    : key_(std::move(key)),
      keyId_(encodeUrl(key_.digest())),
      header_(encodeUrl(R"({"alg":"ES256","kid":")" + keyId_ + R"("})")),
      cache_(cache),
      clock_(clock),
      rng_(rng) {}

api::ObjectPtr TokenAuthority::find(const api::Kind& kind, const std::string& ns,
                                    const std::string& name) const {
  return cache_.of(kind).get(kind.namespaced() ? ns + "/" + name : name);
}

Result<std::string> TokenAuthority::encode(const token::Claims& claims) const {
  const std::string message = header_ + "." + encodeUrl(api::toJson(claims));
  auto signature = key_.sign(message);
  if (!signature) return signature.status();
  return message + "." + encodeUrl(*signature);
}

Status TokenAuthority::bind(const api::ResourceId& id, const BoundObjectReference& reference,
                            token::Kubernetes& claims) const {
  const bool core = reference.apiversion() == "v1" || reference.apiversion().empty();
  const api::Kind* kind = core ? api::findKind("v1", reference.kind()) : nullptr;
  token::Reference* bound = nullptr;
  if (kind == &api::kindFor<corev1::Pod>()) bound = claims.mutable_pod();
  if (kind == &api::kindFor<corev1::Secret>()) bound = claims.mutable_secret();
  if (kind == &api::kindFor<corev1::Node>()) bound = claims.mutable_node();
  if (bound == nullptr) {
    return {Code::kBadRequest, "cannot bind token to object of type " + reference.apiversion() +
                                   ", Kind=" + reference.kind() +
                                   ": it must be a Pod, Secret or Node of v1"};
  }
  const auto object = find(*kind, id.ns, reference.name());
  if (!object) return api::notFound(*kind, reference.name());
  const auto& meta = api::meta(*object);
  if (!reference.uid().empty() && reference.uid() != meta.uid()) {
    return api::conflict(*kind, reference.name(),
                         "the UID in the bound object reference (" + reference.uid() +
                             ") does not match the UID in record. The object might have been "
                             "deleted and then recreated");
  }
  refer(*bound, meta);
  if (kind != &api::kindFor<corev1::Pod>()) return {};
  const auto& pod = api::as<corev1::Pod>(object);
  if (pod.spec().serviceaccountname() != id.name) {
    return {Code::kBadRequest, "cannot bind token for serviceaccount \"" + id.name +
                                   "\" to pod running with different serviceaccount name."};
  }
  if (const auto node = find(api::kindFor<corev1::Node>(), "", pod.spec().nodename()))
    refer(*claims.mutable_node(), api::meta(*node));
  return {};
}

Result<api::ObjectPtr> TokenAuthority::issue(const api::ResourceId& id,
                                             const TokenRequest& request) {
  const api::Kind& accounts = api::kindFor<corev1::ServiceAccount>();
  const auto account = find(accounts, id.ns, id.name);
  if (!account) return api::notFound(accounts, id.name);
  auto made = std::make_shared<TokenRequest>(request);
  made->mutable_metadata()->set_name(id.name);
  made->mutable_metadata()->set_namespace_(id.ns);
  *made->mutable_metadata()->mutable_creationtimestamp() = api::toTime(clock_.wallNow());
  auto& spec = *made->mutable_spec();
  if (spec.audiences().empty()) spec.add_audiences(std::string(kTokenIssuer));
  if (!spec.has_expirationseconds()) spec.set_expirationseconds(kDefaultSeconds);
  if (Status wrong = validate(*made); !wrong) return wrong;

  token::Claims claims;
  auto& kubernetes = *claims.mutable_kubernetes();
  kubernetes.set_namespace_(id.ns);
  refer(*kubernetes.mutable_serviceaccount(), api::meta(*account));
  const auto& reference = spec.boundobjectref();
  if (!reference.kind().empty() || !reference.name().empty()) {
    if (Status wrong = bind(id, reference, kubernetes); !wrong) return wrong;
  } else {
    spec.clear_boundobjectref();
  }
  const std::int64_t now = secondsOf(clock_.wallNow());
  *claims.mutable_aud() = spec.audiences();
  claims.set_iss(std::string(kTokenIssuer));
  claims.set_sub(serviceAccountUser(id.ns, id.name));
  claims.set_iat(now);
  claims.set_nbf(now);
  claims.set_exp(now + spec.expirationseconds());
  claims.set_jti(rng_.uuid());
  auto token = encode(claims);
  if (!token) return token.status();
  made->mutable_status()->set_token(std::move(*token));
  made->mutable_status()->mutable_expirationtimestamp()->set_seconds(claims.exp());
  return api::ObjectPtr(std::move(made));
}

// The header must be this key's own, and nothing is read that this key has not signed.
Result<token::Claims> TokenAuthority::claimsOf(std::string_view token) {
  if (const auto known = verified_.find(std::string(token)); known != verified_.end())
    return known->second;
  const auto end = token.rfind('.');
  const bool ours = token.size() <= kMaxToken && token.starts_with(header_) &&
                    token.substr(header_.size()).starts_with('.') && end > header_.size();
  if (!ours) return unauthorized("invalid bearer token");
  const auto signature = decodeUrl(token.substr(end + 1));
  if (!signature || !key_.verifies(token.substr(0, end), *signature))
    return unauthorized("the token's signature is wrong");
  const auto payload = decodeUrl(token.substr(header_.size() + 1, end - header_.size() - 1));
  token::Claims claims;
  if (!payload || !api::fromJson(*payload, claims).ok())
    return unauthorized("the token's claims are malformed");
  if (verified_.size() >= kMaxVerified) verified_.clear();
  verified_.emplace(token, claims);
  return claims;
}

Status TokenAuthority::checkBound(const token::Kubernetes& claims) const {
  const auto exists = [&](const api::Kind& kind, const token::Reference& reference) {
    const auto object = find(kind, claims.namespace_(), reference.name());
    return object && api::meta(*object).uid() == reference.uid();
  };
  if (!exists(api::kindFor<corev1::ServiceAccount>(), claims.serviceaccount()))
    return unauthorized("service account token has been invalidated: the account is gone");
  if (claims.has_secret() && !exists(api::kindFor<corev1::Secret>(), claims.secret()))
    return unauthorized("service account token has been invalidated: its secret is gone");
  if (claims.has_pod()) {
    if (!exists(api::kindFor<corev1::Pod>(), claims.pod()))
      return unauthorized("service account token has been invalidated: its pod is gone");
  } else if (claims.has_node() && !exists(api::kindFor<corev1::Node>(), claims.node())) {
    return unauthorized("service account token has been invalidated: its node is gone");
  }
  return {};
}

Result<TokenAuthority::Authenticated> TokenAuthority::authenticate(
    std::string_view token, const std::vector<std::string>& audiences) {
  const auto read = claimsOf(token);
  if (!read) return read.status();
  const token::Claims& claims = *read;
  const std::int64_t now = secondsOf(clock_.wallNow());
  if (claims.iss() != kTokenIssuer) return unauthorized("the token is of another issuer");
  if (now >= claims.exp()) return unauthorized("service account token has expired");
  if (now < claims.nbf()) return unauthorized("service account token is not valid yet");
  const std::vector<std::string> wanted =
      audiences.empty() ? std::vector<std::string>{std::string(kTokenIssuer)} : audiences;
  Authenticated made;
  for (const auto& audience : wanted) {
    if (std::ranges::find(claims.aud(), audience) != claims.aud().end())
      made.audiences.push_back(audience);
  }
  if (made.audiences.empty()) return unauthorized("the token is for another audience");
  const token::Kubernetes& kubernetes = claims.kubernetes();
  if (Status gone = checkBound(kubernetes); !gone) return gone;

  made.user.name = claims.sub();
  made.user.uid = kubernetes.serviceaccount().uid();
  made.user.groups = serviceAccountGroups(kubernetes.namespace_());
  made.user.extra["authentication.kubernetes.io/credential-id"] = {"JTI=" + claims.jti()};
  const auto tell = [&](const std::string& what, const token::Reference& reference) {
    if (reference.name().empty()) return;
    made.user.extra["authentication.kubernetes.io/" + what + "-name"] = {reference.name()};
    made.user.extra["authentication.kubernetes.io/" + what + "-uid"] = {reference.uid()};
  };
  tell("node", kubernetes.node());
  tell("pod", kubernetes.pod());
  return made;
}

std::string TokenAuthority::keySet() const {
  const std::string point = key_.publicPoint();
  const std::string_view all(point);
  return R"({"keys":[{"use":"sig","kty":"EC","kid":")" + keyId_ +
         R"(","crv":"P-256","alg":"ES256","x":")" + encodeUrl(all.substr(0, point.size() / 2)) +
         R"(","y":")" + encodeUrl(all.substr(point.size() / 2)) + R"("}]})";
}

std::string TokenAuthority::discovery(std::string_view address) const {
  std::string text;
  JsonWriter writer(text);
  const auto list = [&](const char* name, const char* value) {
    writer.key(name);
    writer.beginArray();
    writer.string(value);
    writer.endArray();
  };
  writer.beginObject();
  writer.key("issuer");
  writer.string(kTokenIssuer);
  writer.key("jwks_uri");
  writer.string("https://" + std::string(address) + "/openid/v1/jwks");
  list("response_types_supported", "id_token");
  list("subject_types_supported", "public");
  list("id_token_signing_alg_values_supported", "ES256");
  writer.endObject();
  return text;
}

}  // namespace podlab::apiserver
