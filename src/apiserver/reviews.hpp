#pragma once
#include <memory>

#include "authentication_v1.pb.h"

#include "apiserver/authorizer.hpp"
#include "apiserver/virtual_kind.hpp"

namespace podlab::apiserver {

/// authorization.k8s.io: SelfSubjectAccessReview, SubjectAccessReview, LocalSubjectAccessReview and
/// SelfSubjectRulesReview; and SelfSubjectReview of authentication.k8s.io. One answers them all.
std::unique_ptr<VirtualKind> makeReviews(const Authorizer& authorizer);

/// As reviews tell of users.
authenticationv1::UserInfo toUserInfo(const User& user);

}  // namespace podlab::apiserver
