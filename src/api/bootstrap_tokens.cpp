#include "api/bootstrap_tokens.hpp"

#include <algorithm>

namespace podlab::api {
namespace {

constexpr std::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyz0123456789";
constexpr std::size_t kIdSize = 6;
constexpr std::size_t kSecretSize = 16;
constexpr std::size_t kHashDigits = 64;

bool isOf(std::string_view text, std::string_view alphabet) {
  return text.find_first_not_of(alphabet) == std::string_view::npos;
}

/// In a time that says nothing of where they differ.
bool sameSecret(std::string_view a, std::string_view b) {
  unsigned char differs = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    differs |= static_cast<unsigned char>(a[i] ^ b[i]);
  return differs == 0;
}

}  // namespace

BootstrapToken makeBootstrapToken(Rng& rng) {
  BootstrapToken token;
  token.id = rng.text(kIdSize, kAlphabet);
  token.secret = rng.text(kSecretSize, kAlphabet);
  return token;
}

std::optional<BootstrapToken> parseBootstrapToken(std::string_view text) {
  if (text.size() != kIdSize + 1 + kSecretSize || text[kIdSize] != '.') return std::nullopt;
  BootstrapToken token{std::string(text.substr(0, kIdSize)), std::string(text.substr(kIdSize + 1))};
  if (!isOf(token.id, kAlphabet) || !isOf(token.secret, kAlphabet)) return std::nullopt;
  return token;
}

corev1::Secret toSecret(const BootstrapToken& token, std::optional<WallTime> expiration,
                        const std::string& description) {
  corev1::Secret secret;
  secret.mutable_metadata()->set_name(token.secretName());
  secret.mutable_metadata()->set_namespace_(std::string(kBootstrapTokenNamespace));
  secret.set_type(std::string(kBootstrapTokenType));
  auto& data = *secret.mutable_data();
  data["token-id"] = token.id;
  data["token-secret"] = token.secret;
  data["usage-bootstrap-authentication"] = "true";
  if (expiration) data["expiration"] = formatTime(*expiration);
  if (!description.empty()) data["description"] = description;
  return secret;
}

std::string tokenField(const corev1::Secret& secret, const std::string& key) {
  const auto found = secret.data().find(key);
  return found == secret.data().end() ? "" : found->second;
}

bool isExpiredToken(const corev1::Secret& secret, WallTime now) {
  if (secret.type() != kBootstrapTokenType) return false;
  const std::string text = tokenField(secret, "expiration");
  if (text.empty()) return false;
  const auto end = parseTime(text);
  return !end || *end <= now;
}

Status checkToken(const corev1::Secret& secret, const BootstrapToken& token, WallTime now) {
  const auto refuse = [&](const std::string& why) {
    return Status(Code::kUnauthorized, "the token " + token.id + ".* " + why +
                                           "; make another one with: podlab token create");
  };
  if (secret.type() != kBootstrapTokenType || tokenField(secret, "token-id") != token.id ||
      !sameSecret(tokenField(secret, "token-secret"), token.secret))
    return refuse("is not one of this cluster");
  if (isExpiredToken(secret, now)) return refuse("expired at " + tokenField(secret, "expiration"));
  if (tokenField(secret, "usage-bootstrap-authentication") != "true")
    return refuse("is not for joining (usage-bootstrap-authentication is not \"true\")");
  return {};
}

Result<JoinToken> parseJoinToken(std::string_view text) {
  constexpr std::string_view kHash = "sha256:";
  const auto at = text.find('@');
  auto token = parseBootstrapToken(text.substr(0, at));
  const std::string_view hash = at == std::string_view::npos ? "" : text.substr(at + 1);
  if (!token || hash.size() != kHash.size() + kHashDigits || !hash.starts_with(kHash) ||
      !isOf(hash.substr(kHash.size()), "0123456789abcdef")) {
    return Status(Code::kBadRequest,
                  "a token has the form ID.SECRET@sha256:HASH, as podlab token create prints it: "
                  "6 and 16 of a-z and 0-9, and 64 hexadecimal digits");
  }
  return JoinToken{std::move(*token), std::string(hash)};
}

}  // namespace podlab::api
