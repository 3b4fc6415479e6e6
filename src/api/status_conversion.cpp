#include "api/status_conversion.hpp"

#include <algorithm>
#include <array>

namespace podlab::api {
namespace {

constexpr std::array<std::pair<Code, int>, 15> kHttpStatuses{{{Code::kOk, 200},
                                                              {Code::kBadRequest, 400},
                                                              {Code::kUnauthorized, 401},
                                                              {Code::kForbidden, 403},
                                                              {Code::kNotFound, 404},
                                                              {Code::kMethodNotAllowed, 405},
                                                              {Code::kAlreadyExists, 409},
                                                              {Code::kConflict, 409},
                                                              {Code::kExpired, 410},
                                                              {Code::kTooLarge, 413},
                                                              {Code::kUnsupportedMediaType, 415},
                                                              {Code::kInvalid, 422},
                                                              {Code::kTooManyRequests, 429},
                                                              {Code::kUnavailable, 503},
                                                              {Code::kTimeout, 504}}};

/// `pods "x"`, or `leases.coordination.k8s.io "x"`.
std::string subjectOf(const Kind& kind, std::string_view name) {
  return kind.resource() + " \"" + std::string(name) + "\"";
}

}  // namespace

int httpStatusOf(Code code) {
  const auto found = std::ranges::find(kHttpStatuses, code, &std::pair<Code, int>::first);
  return found == kHttpStatuses.end() ? 500 : found->second;
}

metav1::Status toApiStatus(const Status& status, const StatusSubject& subject) {
  metav1::Status made;
  made.mutable_metadata();
  if (status.ok()) {
    made.set_status("Success");
    return made;
  }
  made.set_status("Failure");
  made.set_message(status.message());
  made.set_reason(std::string(codeName(status.code())));
  made.set_code(httpStatusOf(status.code()));
  if (subject.kind == nullptr && subject.name.empty() && status.causes().empty()) return made;

  metav1::StatusDetails& details = *made.mutable_details();
  if (!subject.name.empty()) details.set_name(subject.name);
  if (subject.kind != nullptr) {
    if (!subject.kind->group.empty()) details.set_group(std::string(subject.kind->group));
    details.set_kind(
        std::string(status.is(Code::kInvalid) ? subject.kind->kind : subject.kind->plural));
  }
  for (const Cause& cause : status.causes()) {
    metav1::StatusCause& added = *details.add_causes();
    added.set_reason(cause.reason);
    added.set_message(cause.message);
    added.set_field(cause.field);
  }
  return made;
}

metav1::Status deletedStatus(const Kind& kind, const metav1::ObjectMeta& metadata) {
  metav1::Status made = toApiStatus({});
  metav1::StatusDetails& details = *made.mutable_details();
  details.set_name(metadata.name());
  if (!kind.group.empty()) details.set_group(std::string(kind.group));
  details.set_kind(std::string(kind.plural));
  details.set_uid(metadata.uid());
  return made;
}

Status fromApiStatus(const metav1::Status& status) {
  if (status.status() == "Success") return {};
  Code code = codeFromName(status.reason());
  if (code == Code::kInternal && status.reason() != codeName(Code::kInternal)) {
    const auto found =
        std::ranges::find(kHttpStatuses, status.code(), &std::pair<Code, int>::second);
    if (found != kHttpStatuses.end() && found->first != Code::kOk) code = found->first;
  }
  std::vector<Cause> causes;
  for (const metav1::StatusCause& cause : status.details().causes()) {
    causes.push_back({cause.reason(), cause.field(), cause.message()});
  }
  return Status(code, status.message(), std::move(causes));
}

Status notFound(const Kind& kind, std::string_view name) {
  return Status(Code::kNotFound, subjectOf(kind, name) + " not found");
}

Status alreadyExists(const Kind& kind, std::string_view name) {
  return Status(Code::kAlreadyExists, subjectOf(kind, name) + " already exists");
}

Status conflict(const Kind& kind, std::string_view name, std::string_view why) {
  if (why.empty()) {
    why =
        "the object has been modified; please apply your changes to the latest version and try "
        "again";
  }
  return Status(Code::kConflict, "Operation cannot be fulfilled on " + subjectOf(kind, name) +
                                     ": " + std::string(why));
}

Status forbidden(const Kind& kind, std::string_view name, std::string_view why) {
  return Status(Code::kForbidden, subjectOf(kind, name) + " is forbidden: " + std::string(why));
}

Status invalid(const Kind& kind, std::string_view name, std::vector<Cause> causes) {
  std::string message(kind.kind);
  if (!kind.group.empty()) message.append(".").append(kind.group);
  message.append(" \"").append(name).append("\" is invalid: ");
  if (causes.size() > 1) message += '[';
  for (const Cause& cause : causes) {
    if (&cause != &causes.front()) message += ", ";
    message.append(cause.field).append(": ").append(cause.message);
  }
  if (causes.size() > 1) message += ']';
  return Status(Code::kInvalid, std::move(message), std::move(causes));
}

Status expired(std::string_view asked, std::string_view oldest) {
  return Status(Code::kExpired, "too old resource version: " + std::string(asked) + " (" +
                                    std::string(oldest) + ")");
}

}  // namespace podlab::api
