#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "api/object.hpp"
#include "common/rng.hpp"
#include "common/status.hpp"
#include "common/time.hpp"

namespace podlab::api {

inline constexpr std::string_view kBootstrapTokenType = "bootstrap.kubernetes.io/token";
inline constexpr std::string_view kBootstrapTokenNamespace = "kube-system";

/// What lets a machine join: an id that may be told, and a secret
/// (cluster-bootstrap/token/api/types.go).
struct BootstrapToken {
  std::string id;      ///< [a-z0-9]{6}
  std::string secret;  ///< [a-z0-9]{16}

  /// "ID.SECRET"
  std::string text() const { return id + "." + secret; }
  /// The name of the Secret that keeps it.
  std::string secretName() const { return "bootstrap-token-" + id; }
};

BootstrapToken makeBootstrapToken(Rng& rng);
/// nullopt when it is not of the form ID.SECRET.
std::optional<BootstrapToken> parseBootstrapToken(std::string_view text);

/// The Secret that keeps a token for machines to join by; without `expiration` it never expires.
corev1::Secret toSecret(const BootstrapToken& token, std::optional<WallTime> expiration,
                        const std::string& description);
/// Whether the Secret is one of a token whose time is over. One that is malformed counts as over,
/// as upstream (cluster-bootstrap/util/secrets).
bool isExpiredToken(const corev1::Secret& secret, WallTime now);
/// Whether `token` lets a machine in by its Secret; kUnauthorized says why not.
Status checkToken(const corev1::Secret& secret, const BootstrapToken& token, WallTime now);
/// The Secret's value of `key`; "" when it has none.
std::string tokenField(const corev1::Secret& secret, const std::string& key);

/// What a join token says besides: whom to trust. "ID.SECRET@sha256:HEX", where HEX is the hash of
/// the public key of the cluster's CA, as in kubeadm's --discovery-token-ca-cert-hash.
struct JoinToken {
  BootstrapToken token;
  std::string caHash;  ///< "sha256:HEX"
};
/// kBadRequest says what a token looks like.
Result<JoinToken> parseJoinToken(std::string_view text);

}  // namespace podlab::api
