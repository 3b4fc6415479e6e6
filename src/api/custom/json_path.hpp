#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/status.hpp"

namespace podlab::api {

/// A path into a JSON value, as printer columns, the scale subresource and selectable fields name
/// one (client-go/util/jsonpath): ".spec.replicas", ".metadata.labels['a.b']", ".items[0]",
/// ".conditions[-1:]", ".conditions[*].type", ".conditions[?(@.type==\"Ready\")].status".
class JsonPath {
 public:
  using Json = nlohmann::json;

  /// kBadRequest says what is wrong with the text.
  static Result<JsonPath> parse(std::string_view text);

  /// Whether it names members only, and so one value at most.
  bool isSimple() const;
  /// The name of the first member, "" when it begins otherwise.
  std::string_view firstMember() const;
  /// A simple path as a JSON pointer (RFC 6901).
  std::string pointer() const;
  std::vector<const Json*> find(const Json& value) const;
  /// The one value of a simple path; nullptr when it is not there.
  const Json* findOne(const Json& value) const;
  /// Sets the value of a simple path, with the objects that lead to it. False, and nothing is done,
  /// when something else than an object is in the way.
  bool set(Json& value, Json wanted) const;

 private:
  struct Member {
    std::string name;
  };
  struct All {};
  /// Elements from `begin` to before `end`; negative ones count from the list's end.
  struct Range {
    std::int64_t begin = 0;
    std::optional<std::int64_t> end;
  };
  struct Filter {
    std::vector<std::string> path;
    std::string op;  ///< "" when being there is enough
    Json value;
  };
  using Step = std::variant<Member, All, Range, Filter>;
  class Parser;

  static bool holds(const Filter& filter, const Json& element);
  std::vector<Step> steps_;
};

}  // namespace podlab::api
