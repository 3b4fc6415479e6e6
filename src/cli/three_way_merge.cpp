#include "cli/three_way_merge.hpp"

#include <nlohmann/json.hpp>

namespace podlab::cli {
namespace {

using nlohmann::json;

void merge(const json& last, const json& next, json& live) {
  for (const auto& [key, value] : next.items()) {
    const auto before = last.find(key);
    const bool known = before != last.end();
    if (live.contains(key) && value.is_object() && live[key].is_object()) {
      merge(known && before->is_object() ? *before : json::object(), value, live[key]);
    } else if (!live.contains(key) || !known || *before != value) {
      live[key] = value;
    }
  }
  for (const auto& [key, value] : last.items()) {
    if (!next.contains(key)) live.erase(key);
  }
}

}  // namespace

Result<std::string> threeWayMerge(const std::string& last, const std::string& next,
                                  const std::string& live) {
  const json before = last.empty() ? json::object() : json::parse(last, nullptr, false);
  const json wanted = json::parse(next, nullptr, false);
  json result = json::parse(live, nullptr, false);
  if (!wanted.is_object() || !result.is_object())
    return Status(Code::kInternal, "an object is not JSON");
  // A malformed annotation is as good as none.
  merge(before.is_object() ? before : json::object(), wanted, result);
  return result.dump();
}

}  // namespace podlab::cli
