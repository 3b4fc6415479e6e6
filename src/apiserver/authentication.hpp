#pragma once
#include "apiserver/authorizer.hpp"
#include "apiserver/token_authority.hpp"
#include "transport/http_request.hpp"

namespace podlab::apiserver {

/// Who sent the request: the client certificate's user, else the bearer token's, else
/// system:anonymous. kUnauthorized when there is a token and it is not valid; `tokens` may be null.
Result<User> authenticate(const http::Request& request, const ByteStream::PeerIdentity& identity,
                          TokenAuthority* tokens);

/// Whom `user` asks to be (the headers Impersonate-User, -Group, -Uid and -Extra-KEY), or `user`.
/// kForbidden when it may not.
Result<User> impersonate(User user, const http::Request& request, const Authorizer& authorizer);

}  // namespace podlab::apiserver
