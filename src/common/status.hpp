#pragma once
#include <cassert>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace podlab {

/// Why an operation failed. Maps one to one to the reasons of Kubernetes' metav1.Status
/// (apimachinery/pkg/apis/meta/v1/types.go); an own code exists only where a caller can react to
/// it.
enum class Code {
  kOk,
  kBadRequest,
  kUnauthorized,
  kForbidden,
  kNotFound,
  kMethodNotAllowed,
  kAlreadyExists,
  kConflict,
  kExpired,  ///< 410: the revision asked for was compacted away
  kTooLarge,
  kUnsupportedMediaType,
  kInvalid,  ///< 422: the causes name the fields
  kTooManyRequests,
  kInternal,
  kUnavailable,  ///< the peer is away; trying again may help
  kTimeout,
  kCanceled,
  kEndOfStream,      ///< a clean end: no more messages
  kExhausted,        ///< no address, port, space or memory left
  kHostUnsupported,  ///< this host's kernel or tools lack something; the message has the remedy
};

/// The API reason of a code, e.g. "NotFound"; and back ("" or unknown: kInternal).
std::string_view codeName(Code code);
Code codeFromName(std::string_view name);

/// One field's fault, as in metav1.StatusCause.
struct Cause {
  std::string reason;   ///< e.g. "FieldValueInvalid"
  std::string field;    ///< e.g. "spec.containers[0].image"
  std::string message;  ///< e.g. "Required value"
  bool operator==(const Cause&) const = default;
};

/// The outcome of an operation: OK, or a code with a message for people and the causes by field.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message, std::vector<Cause> causes = {})
      : code_(code), message_(std::move(message)), causes_(std::move(causes)) {}

  bool ok() const { return code_ == Code::kOk; }
  explicit operator bool() const { return ok(); }
  Code code() const { return code_; }
  bool is(Code code) const { return code_ == code; }
  const std::string& message() const { return message_; }
  const std::vector<Cause>& causes() const { return causes_; }

  /// The same failure with "context: " before its message; OK stays OK.
  Status withContext(std::string_view context) const;
  /// "NotFound: pods \"x\" not found", or "OK".
  std::string toString() const;
  bool operator==(const Status&) const = default;

 private:
  Code code_ = Code::kOk;
  std::string message_;
  std::vector<Cause> causes_;
};

/// A failure from an errno value: "what: strerror (errno NAME)". ENOSPC and EMFILE become
/// kExhausted, ENOENT kNotFound, EEXIST kAlreadyExists, EPERM and EACCES kForbidden, EOPNOTSUPP and
/// ENOSYS kHostUnsupported, others kInternal.
Status errnoStatus(int error, std::string_view what);

/// A value, or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Status status) : state_(std::in_place_index<1>, std::move(status)) {
    assert(!std::get<1>(state_).ok() && "a Result without value needs a failure");
  }

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& operator*() & { return std::get<0>(state_); }
  const T& operator*() const& { return std::get<0>(state_); }
  T&& operator*() && { return std::get<0>(std::move(state_)); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }
  T valueOr(T fallback) && { return ok() ? std::get<0>(std::move(state_)) : std::move(fallback); }
  Status status() const { return ok() ? Status() : std::get<1>(state_); }

 private:
  std::variant<T, Status> state_;
};

}  // namespace podlab
