#include "apiserver/reviews.hpp"

#include "authentication_v1.pb.h"
#include "authorization_v1.pb.h"

#include "api/field_errors.hpp"
#include "api/status_conversion.hpp"

namespace podlab::apiserver {
namespace {

using namespace authorizationv1;

template <typename Spec>
void validateAttributes(const Spec& spec, api::FieldErrors& errors) {
  const api::FieldPath path("spec");
  if (spec.has_resourceattributes() && spec.has_nonresourceattributes()) {
    errors.invalid(path.child("nonResourceAttributes"), "",
                   "cannot be specified in combination with resourceAttributes");
  }
  if (!spec.has_resourceattributes() && !spec.has_nonresourceattributes()) {
    errors.invalid(path.child("resourceAttributes"), "",
                   "exactly one of nonResourceAttributes or resourceAttributes must be specified");
  }
}

void validateSubject(const SubjectAccessReviewSpec& spec, api::FieldErrors& errors) {
  if (spec.user().empty() && spec.groups().empty())
    errors.invalid(api::FieldPath("spec.user"), "",
                   "at least one of user or group must be specified");
}

template <typename Spec>
Access accessOf(const Spec& spec) {
  if (spec.has_nonresourceattributes()) {
    return {.verb = spec.nonresourceattributes().verb(),
            .path = spec.nonresourceattributes().path()};
  }
  const auto& wanted = spec.resourceattributes();
  return {.verb = wanted.verb(),
          .group = wanted.group(),
          .resource = wanted.resource(),
          .subresource = wanted.subresource(),
          .ns = wanted.namespace_(),
          .name = wanted.name()};
}

User userOf(const SubjectAccessReviewSpec& spec) {
  User user{spec.user(), {spec.groups().begin(), spec.groups().end()}, spec.uid()};
  for (const auto& [key, values] : spec.extra())
    user.extra[key] = {values.items().begin(), values.items().end()};
  return user;
}

class Reviews final : public VirtualKind {
 public:
  explicit Reviews(const Authorizer& authorizer) : authorizer_(authorizer) {}

  Co<Result<api::ObjectPtr>> create(User user, api::ResourceId id, api::ObjectPtr object) override {
    co_return answer(user, id, *object);
  }

 private:
  Result<api::ObjectPtr> answer(const User& user, const api::ResourceId& id,
                                const google::protobuf::Message& object) const {
    const api::Kind* kind = id.kind;
    if (kind == &api::kindFor<SelfSubjectAccessReview>())
      return judge<SelfSubjectAccessReview>(object, user);
    if (kind == &api::kindFor<SubjectAccessReview>())
      return judgeOther<SubjectAccessReview>(object);
    if (kind == &api::kindFor<LocalSubjectAccessReview>()) return judgeLocal(object, id.ns);
    if (kind == &api::kindFor<SelfSubjectRulesReview>()) return listRules(object, user);
    return describe(object, user);
  }

  template <typename Review>
  Result<api::ObjectPtr> judge(const google::protobuf::Message& object, const User& user) const {
    auto review = std::make_shared<Review>(static_cast<const Review&>(object));
    api::FieldErrors errors;
    validateAttributes(review->spec(), errors);
    if (auto causes = errors.take(); !causes.empty())
      return api::invalid(api::kindFor<Review>(), "", std::move(causes));
    const auto reason = authorizer_.reasonToAllow(user, accessOf(review->spec()));
    review->clear_status();
    review->mutable_status()->set_allowed(reason.has_value());
    if (reason) review->mutable_status()->set_reason(*reason);
    return api::ObjectPtr(std::move(review));
  }

  template <typename Review>
  Result<api::ObjectPtr> judgeOther(const google::protobuf::Message& object) const {
    const auto& spec = static_cast<const Review&>(object).spec();
    api::FieldErrors errors;
    validateSubject(spec, errors);
    if (auto causes = errors.take(); !causes.empty())
      return api::invalid(api::kindFor<Review>(), "", std::move(causes));
    return judge<Review>(object, userOf(spec));
  }

  Result<api::ObjectPtr> judgeLocal(const google::protobuf::Message& object,
                                    const std::string& ns) const {
    const auto& spec = static_cast<const LocalSubjectAccessReview&>(object).spec();
    api::FieldErrors errors;
    const api::FieldPath path("spec");
    if (spec.has_nonresourceattributes()) {
      errors.invalid(path.child("nonResourceAttributes"), "", "disallowed on this kind of request");
    }
    if (spec.has_resourceattributes() && spec.resourceattributes().namespace_() != ns) {
      errors.invalid(path.child("resourceAttributes").child("namespace"),
                     spec.resourceattributes().namespace_(), "must match metadata.namespace");
    }
    if (auto causes = errors.take(); !causes.empty())
      return api::invalid(api::kindFor<LocalSubjectAccessReview>(), "", std::move(causes));
    return judgeOther<LocalSubjectAccessReview>(object);
  }

  Result<api::ObjectPtr> listRules(const google::protobuf::Message& object,
                                   const User& user) const {
    auto review = std::make_shared<SelfSubjectRulesReview>(
        static_cast<const SelfSubjectRulesReview&>(object));
    if (review->spec().namespace_().empty())
      return Status(Code::kBadRequest, "no namespace on request");
    review->clear_status();
    auto& status = *review->mutable_status();
    for (const auto& rule : authorizer_.rbac().rulesOf(user, review->spec().namespace_())) {
      if (rule.nonresourceurls().empty()) {
        auto& added = *status.add_resourcerules();
        *added.mutable_verbs() = rule.verbs();
        *added.mutable_apigroups() = rule.apigroups();
        *added.mutable_resources() = rule.resources();
        *added.mutable_resourcenames() = rule.resourcenames();
      } else {
        auto& added = *status.add_nonresourcerules();
        *added.mutable_verbs() = rule.verbs();
        *added.mutable_nonresourceurls() = rule.nonresourceurls();
      }
    }
    // What a node may depends on its pods.
    status.set_incomplete(!user.nodeName().empty());
    if (status.incomplete())
      status.set_evaluationerror("node authorizer does not support user rule resolution");
    return api::ObjectPtr(std::move(review));
  }

  static Result<api::ObjectPtr> describe(const google::protobuf::Message& object,
                                         const User& user) {
    using authenticationv1::SelfSubjectReview;
    auto review =
        std::make_shared<SelfSubjectReview>(static_cast<const SelfSubjectReview&>(object));
    review->clear_status();
    *review->mutable_status()->mutable_userinfo() = toUserInfo(user);
    return api::ObjectPtr(std::move(review));
  }

  const Authorizer& authorizer_;
};

}  // namespace

authenticationv1::UserInfo toUserInfo(const User& user) {
  authenticationv1::UserInfo info;
  info.set_username(user.name);
  if (!user.uid.empty()) info.set_uid(user.uid);
  for (const auto& group : user.groups) info.add_groups(group);
  for (const auto& [key, values] : user.extra) {
    auto& items = (*info.mutable_extra())[key];
    for (const auto& value : values) items.add_items(value);
  }
  return info;
}

std::unique_ptr<VirtualKind> makeReviews(const Authorizer& authorizer) {
  return std::make_unique<Reviews>(authorizer);
}

}  // namespace podlab::apiserver
