#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "authentication_v1.pb.h"
#include "token_claims.pb.h"

#include "api/api.hpp"
#include "apiserver/identity.hpp"
#include "apiserver/virtual_kind.hpp"
#include "apiserver/watch_cache.hpp"
#include "common/clock.hpp"
#include "common/rng.hpp"
#include "transport/signing_key.hpp"

namespace podlab::apiserver {

/// Who issues the tokens, and whom they are for when nobody else is named.
inline constexpr std::string_view kTokenIssuer = "https://kubernetes.default.svc.cluster.local";

/// The tokens of service accounts: JSON Web Tokens signed by the cluster's key
/// (pkg/serviceaccount). A token ends with its time, its account, and the pod, secret or node that
/// it is bound to.
class TokenAuthority {
 public:
  TokenAuthority(transport::SigningKey key, WatchCache& cache, Clock& clock, Rng& rng);

  /// A new token for the account `id`; the request with its status. Errors name the field or the
  /// object that is missing.
  Result<api::ObjectPtr> issue(const api::ResourceId& id,
                               const authenticationv1::TokenRequest& request);

  struct Authenticated {
    User user;
    std::vector<std::string> audiences;  ///< of those that were asked for, the token's
  };
  /// kUnauthorized says what is wrong with the token. `audiences` empty: the API.
  Result<Authenticated> authenticate(std::string_view token,
                                     const std::vector<std::string>& audiences = {});

  /// What others verify tokens with (RFC 7517), and where they find it: `address` is the API's
  /// "host:port".
  std::string keySet() const;
  std::string discovery(std::string_view address) const;

 private:
  /// The claims of a token that this key has signed.
  Result<token::Claims> claimsOf(std::string_view token);
  Status checkBound(const token::Kubernetes& claims) const;
  api::ObjectPtr find(const api::Kind& kind, const std::string& ns, const std::string& name) const;
  Status bind(const api::ResourceId& id, const authenticationv1::BoundObjectReference& reference,
              token::Kubernetes& claims) const;
  Result<std::string> encode(const token::Claims& claims) const;

  const transport::SigningKey key_;
  const std::string keyId_;
  const std::string header_;  ///< of every token, encoded
  WatchCache& cache_;
  Clock& clock_;
  Rng& rng_;
  std::unordered_map<std::string, token::Claims> verified_;  ///< whose signatures were good
};

/// POST of serviceaccounts/token.
std::shared_ptr<VirtualKind> makeTokenRequests(TokenAuthority& authority);
/// POST of authentication.k8s.io TokenReview.
std::shared_ptr<VirtualKind> makeTokenReviews(TokenAuthority& authority);

}  // namespace podlab::apiserver
