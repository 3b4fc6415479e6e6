#pragma once
#include "apiserver/authorizer.hpp"

namespace podlab::apiserver {

/// Whether the user may write a role or binding as `next` is: by the verbs "escalate" on the role
/// or "bind" on the role referred to, or because it has all these rights already
/// (pkg/registry/rbac/*/policybased). OK for other kinds; kForbidden names the missing rights.
/// `before` is null for a new object.
Status checkEscalation(const Authorizer& authorizer, const User& user,
                       const google::protobuf::Message& next,
                       const google::protobuf::Message* before);

}  // namespace podlab::apiserver
