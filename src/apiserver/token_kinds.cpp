#include "apiserver/reviews.hpp"
#include "apiserver/token_authority.hpp"

namespace podlab::apiserver {
namespace {

using authenticationv1::TokenRequest;
using authenticationv1::TokenReview;

class TokenRequests final : public VirtualKind {
 public:
  explicit TokenRequests(TokenAuthority& authority) : authority_(authority) {}

  Co<Result<api::ObjectPtr>> create(User, api::ResourceId id, api::ObjectPtr object) override {
    co_return authority_.issue(id, api::as<TokenRequest>(object));
  }

 private:
  TokenAuthority& authority_;
};

class TokenReviews final : public VirtualKind {
 public:
  explicit TokenReviews(TokenAuthority& authority) : authority_(authority) {}

  Co<Result<api::ObjectPtr>> create(User, api::ResourceId, api::ObjectPtr object) override {
    auto review = std::make_shared<TokenReview>(api::as<TokenReview>(object));
    const auto& spec = review->spec();
    if (spec.token().empty())
      co_return Status(Code::kBadRequest, "token is required for TokenReview in authentication");
    const auto found =
        authority_.authenticate(spec.token(), {spec.audiences().begin(), spec.audiences().end()});
    review->clear_status();
    auto& status = *review->mutable_status();
    status.mutable_user();
    if (found) {
      status.set_authenticated(true);
      *status.mutable_user() = toUserInfo(found->user);
      for (const auto& audience : found->audiences) status.add_audiences(audience);
    } else {
      status.set_error(found.status().message());
    }
    co_return api::ObjectPtr(std::move(review));
  }

 private:
  TokenAuthority& authority_;
};

}  // namespace

std::shared_ptr<VirtualKind> makeTokenRequests(TokenAuthority& authority) {
  return std::make_shared<TokenRequests>(authority);
}

std::shared_ptr<VirtualKind> makeTokenReviews(TokenAuthority& authority) {
  return std::make_shared<TokenReviews>(authority);
}

}  // namespace podlab::apiserver
