#pragma once
#include <array>
#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.hpp"

namespace podlab::api {

/// Where a field is, as error messages write it: "spec.containers[0].ports[1].name",
/// "metadata.labels[a/b]". Most are never written: a path is its steps, and refers to their names,
/// which must outlive it.
class FieldPath {
 public:
  FieldPath() = default;
  explicit FieldPath(std::string_view name) : FieldPath(FieldPath().child(name)) {}
  template <std::same_as<std::string> Temporary>
  explicit FieldPath(Temporary&& name) = delete;

  FieldPath child(std::string_view name) const { return with(Step::Kind::kChild, name); }
  template <std::same_as<std::string> Temporary>
  FieldPath child(Temporary&& name) const = delete;
  FieldPath index(std::size_t i) const { return with(Step::Kind::kIndex, {}, i); }
  FieldPath key(std::string_view key) const { return with(Step::Kind::kKey, key); }
  template <std::same_as<std::string> Temporary>
  FieldPath key(Temporary&& key) const = delete;
  std::string text() const;

 private:
  struct Step {
    enum class Kind : std::uint8_t { kChild, kIndex, kKey };
    Kind kind;
    std::uint32_t number;  ///< the index, or how long the name is
    const char* name;
  };
  static constexpr std::size_t kMaxSteps = 12;

  FieldPath with(Step::Kind kind, std::string_view name, std::size_t index = 0) const;

  std::string prefix_;  ///< the text of the steps before steps_, when there are more
  std::size_t depth_ = 0;
  std::array<Step, kMaxSteps> steps_{};
};

/// Collects the faults of an object in the wording of Kubernetes (apimachinery's field.Error), one
/// Cause each.
class FieldErrors {
 public:
  void required(const FieldPath& path, std::string_view detail = {});
  /// `value` is shown quoted, a number or a bool as it is.
  void invalid(const FieldPath& path, std::string_view value, std::string_view why);
  void invalid(const FieldPath& path, const char* value, std::string_view why);
  void invalid(const FieldPath& path, std::int64_t value, std::string_view why);
  /// Only for a bool itself: a number is no bool.
  void invalid(const FieldPath& path, std::same_as<bool> auto value, std::string_view why) {
    invalidText(path, value ? "true" : "false", why);
  }
  /// `json` is shown as it is.
  void invalidJson(const FieldPath& path, const std::string& json, std::string_view why) {
    invalidText(path, json, why);
  }
  void duplicate(const FieldPath& path, std::string_view value);
  void notSupported(const FieldPath& path, std::string_view value,
                    std::span<const std::string_view> supported);
  void notFound(const FieldPath& path, std::string_view value);
  void forbidden(const FieldPath& path, std::string_view detail);
  void tooLong(const FieldPath& path, std::int64_t maxBytes);
  void tooMany(const FieldPath& path, std::int64_t count, std::int64_t max);
  /// Of a value as a whole, which is not shown.
  void invalidWhole(const FieldPath& path, std::string_view why);

  /// One `invalid` for each message.
  void invalidEach(const FieldPath& path, std::string_view value,
                   const std::vector<std::string>& messages);
  /// `value` must be one of `supported`; empty is `required`.
  void oneOf(const FieldPath& path, std::string_view value,
             std::span<const std::string_view> supported);
  void notNegative(const FieldPath& path, std::int64_t value);

  void add(std::vector<Cause> causes);
  std::vector<Cause> take() { return std::move(causes_); }

 private:
  void invalidText(const FieldPath& path, const std::string& value, std::string_view why);
  void add(std::string_view reason, const FieldPath& path, std::string message);
  std::vector<Cause> causes_;
};

/// `text` in double quotes, with Go's escapes.
std::string quoted(std::string_view text);

}  // namespace podlab::api
