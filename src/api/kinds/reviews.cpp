#include "authentication_v1.pb.h"
#include "authorization_v1.pb.h"

#include "api/kinds/rows.hpp"

namespace podlab::api {
namespace {

template <typename T>
Kind review(std::string_view group, std::string_view kind, std::string_view plural,
            std::string_view singular, Scope scope = Scope::kCluster) {
  return {.group = group,
          .version = "v1",
          .kind = kind,
          .plural = plural,
          .singular = singular,
          .shortNames = {},
          .categories = {},
          .scope = scope,
          .prototype = &T::default_instance(),
          .columns = {nameColumn(), ageColumn()},
          .strategy = {},
          .verbs = {"create"}};
}

constexpr std::string_view kAuthentication = "authentication.k8s.io";
constexpr std::string_view kAuthorization = "authorization.k8s.io";

}  // namespace

std::vector<Kind> reviewKinds() {
  using namespace authorizationv1;
  return {review<authenticationv1::SelfSubjectReview>(kAuthentication, "SelfSubjectReview",
                                                      "selfsubjectreviews", "selfsubjectreview"),
          review<authenticationv1::TokenReview>(kAuthentication, "TokenReview", "tokenreviews",
                                                "tokenreview"),
          review<LocalSubjectAccessReview>(kAuthorization, "LocalSubjectAccessReview",
                                           "localsubjectaccessreviews", "localsubjectaccessreview",
                                           Scope::kNamespaced),
          review<SelfSubjectAccessReview>(kAuthorization, "SelfSubjectAccessReview",
                                          "selfsubjectaccessreviews", "selfsubjectaccessreview"),
          review<SelfSubjectRulesReview>(kAuthorization, "SelfSubjectRulesReview",
                                         "selfsubjectrulesreviews", "selfsubjectrulesreview"),
          review<SubjectAccessReview>(kAuthorization, "SubjectAccessReview", "subjectaccessreviews",
                                      "subjectaccessreview")};
}

Kind tokenRequestKind() {
  return review<authenticationv1::TokenRequest>(kAuthentication, "TokenRequest", "tokenrequests",
                                                "tokenrequest");
}

}  // namespace podlab::api
