#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "common/status.hpp"

namespace podlab::api {

/// kubectl's JSONPath templates (client-go/util/jsonpath): text with paths in braces, as
/// "{.metadata.name}", "{range .items[*]}{.kind}{"\n"}{end}"; with .., [*], [1:3], ['a\.b'],
/// [0,2], [?(@.a=="b")]. What is not there is left out.
class JsonPath {
 public:
  /// kBadRequest names the fault.
  static Result<JsonPath> parse(std::string_view text);
  /// A path as --sort-by and custom-columns take it: "a.b", ".a.b", "{a.b}" or "{.a.b}".
  static Result<JsonPath> parseRelaxed(std::string_view text);
  ~JsonPath();
  JsonPath(JsonPath&&) noexcept;
  JsonPath& operator=(JsonPath&&) noexcept;

  /// What each part of the template finds. kBadRequest: an index beyond the end of its list, or a
  /// step that the value has not.
  Result<std::vector<std::vector<nlohmann::json>>> find(const nlohmann::json& object) const;
  /// The template's text: what a path finds, with spaces between; objects and lists as JSON.
  Result<std::string> print(const nlohmann::json& object) const;

  struct Item;

 private:
  explicit JsonPath(std::vector<Item> items);

  std::vector<Item> items_;
};

}  // namespace podlab::api
