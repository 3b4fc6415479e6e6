#pragma once
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/status.hpp"

namespace podlab::api {

/// A path that names one member of an object, as the scale subresource and selectable fields have
/// it: ".spec.replicas", ".spec['a.b']". Other paths are JsonPath's.
class MemberPath {
 public:
  using Json = nlohmann::json;

  /// kBadRequest for another text.
  static Result<MemberPath> parse(std::string_view text);

  /// The name of the first member.
  const std::string& front() const { return names_.front(); }
  /// nullptr when it is not there.
  const Json* find(const Json& value) const;
  /// Sets the value, with the objects that lead to it. False, and nothing is done, when something
  /// else than an object is in the way.
  bool set(Json& value, Json wanted) const;
  /// As a JSON pointer (RFC 6901).
  std::string pointer() const;

 private:
  std::vector<std::string> names_;
};

}  // namespace podlab::api
