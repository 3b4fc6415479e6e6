#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "api/kinds.hpp"
#include "api/object.hpp"
#include "common/status.hpp"

namespace podlab::api {

/// What a failure is about, for metav1.Status.details.
struct StatusSubject {
  const Kind* kind = nullptr;
  std::string name;
};

/// The HTTP status of a code: kOk 200, kNotFound 404, ... Codes without an own one are 500.
int httpStatusOf(Code code);

/// The API form of a status: Success, or Failure with message, reason, code and details (the
/// resource as kind, but the Kind itself for kInvalid, as clients expect).
metav1::Status toApiStatus(const Status& status, const StatusSubject& subject = {});
/// The answer to a delete: Success, with the object's resource, name and uid.
metav1::Status deletedStatus(const Kind& kind, const metav1::ObjectMeta& metadata);
/// Back, as clients see it; a Success is OK. An unknown reason follows the HTTP code.
Status fromApiStatus(const metav1::Status& status);

/// Failures in the words of Kubernetes.
Status notFound(const Kind& kind, std::string_view name);       ///< pods "x" not found
Status alreadyExists(const Kind& kind, std::string_view name);  ///< pods "x" already exists
/// Operation cannot be fulfilled on pods "x": WHY; by default, that the object has been modified.
Status conflict(const Kind& kind, std::string_view name, std::string_view why = {});
Status forbidden(const Kind& kind, std::string_view name, std::string_view why);
/// Pod "x" is invalid: CAUSE, or [CAUSE, CAUSE]; `causes` is not empty.
Status invalid(const Kind& kind, std::string_view name, std::vector<Cause> causes);
Status expired(std::string_view asked,
               std::string_view oldest);  ///< too old resource version: 1 (7)

}  // namespace podlab::api
