#include "common/status.hpp"

#include <array>
#include <cerrno>
#include <cstring>

namespace podlab {
namespace {

constexpr std::array<std::pair<Code, std::string_view>, 20> kNames{{
    {Code::kOk, ""},
    {Code::kBadRequest, "BadRequest"},
    {Code::kUnauthorized, "Unauthorized"},
    {Code::kForbidden, "Forbidden"},
    {Code::kNotFound, "NotFound"},
    {Code::kMethodNotAllowed, "MethodNotAllowed"},
    {Code::kAlreadyExists, "AlreadyExists"},
    {Code::kConflict, "Conflict"},
    {Code::kExpired, "Expired"},
    {Code::kTooLarge, "RequestEntityTooLarge"},
    {Code::kUnsupportedMediaType, "UnsupportedMediaType"},
    {Code::kInvalid, "Invalid"},
    {Code::kTooManyRequests, "TooManyRequests"},
    {Code::kInternal, "InternalError"},
    {Code::kUnavailable, "ServiceUnavailable"},
    {Code::kTimeout, "Timeout"},
    {Code::kCanceled, "Canceled"},
    {Code::kEndOfStream, "EndOfStream"},
    {Code::kExhausted, "Exhausted"},
    {Code::kHostUnsupported, "HostUnsupported"},
}};

Code codeOfErrno(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return Code::kExhausted;
    case ENOENT:
    case ESRCH:
    case ENODEV:
      return Code::kNotFound;
    case EEXIST:
      return Code::kAlreadyExists;
    case EPERM:
    case EACCES:
      return Code::kForbidden;
    case EOPNOTSUPP:
    case ENOSYS:
    case EPROTONOSUPPORT:
    case EAFNOSUPPORT:
      return Code::kHostUnsupported;
    case ETIMEDOUT:
      return Code::kTimeout;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case EHOSTUNREACH:
    case ENETUNREACH:
      return Code::kUnavailable;
    default:
      return Code::kInternal;
  }
}

}  // namespace

std::string_view codeName(Code code) {
  for (const auto& [known, name] : kNames) {
    if (known == code) return name;
  }
  return "InternalError";
}

Code codeFromName(std::string_view name) {
  for (const auto& [code, known] : kNames) {
    if (known == name && code != Code::kOk) return code;
  }
  return Code::kInternal;
}

Status Status::withContext(std::string_view context) const {
  if (ok()) return *this;
  return Status(code_, std::string(context) + ": " + message_, causes_);
}

std::string Status::toString() const {
  if (ok()) return "OK";
  return std::string(codeName(code_)) + ": " + message_;
}

Status errnoStatus(int error, std::string_view what) {
  std::string message(what);
  message += ": ";
  message += strerrordesc_np(error) ? strerrordesc_np(error) : "unknown error";
  if (const char* name = strerrorname_np(error)) message += std::string(" (") + name + ")";
  return Status(codeOfErrno(error), std::move(message));
}

}  // namespace podlab
