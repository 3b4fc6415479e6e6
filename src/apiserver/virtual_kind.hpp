#pragma once
#include "api/api.hpp"
#include "api/kinds.hpp"
#include "apiserver/identity.hpp"

namespace podlab::apiserver {

/// Answers the verbs of a kind that is not stored (Kind::verbs), or of a subresource that makes its
/// own answer (serviceaccounts/token). Who asks has been judged already.
class VirtualKind {
 public:
  virtual ~VirtualKind() = default;
  /// The object with its status filled in.
  virtual Co<Result<api::ObjectPtr>> create(User, api::ResourceId, api::ObjectPtr) {
    co_return notAllowed();
  }
  virtual Co<Result<api::ObjectPtr>> get(User, api::ResourceId) { co_return notAllowed(); }
  virtual Co<Result<api::ListResult>> list(User, api::ResourceId, api::ListOptions) {
    co_return notAllowed();
  }

  static Status notAllowed() {
    return {Code::kMethodNotAllowed,
            "the server does not allow this method on the requested resource"};
  }
};

}  // namespace podlab::apiserver
