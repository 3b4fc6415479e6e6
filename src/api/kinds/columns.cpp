#include <algorithm>
#include <span>

#include "api/age.hpp"
#include "api/kinds/rows.hpp"

namespace podlab::api {

Column nameColumn() {
  return {"Name", 0,
          [](const google::protobuf::Message& object, WallTime) { return meta(object).name(); }};
}

Column ageColumn() {
  return {"Age", 0, [](const google::protobuf::Message& object, WallTime now) {
            return ageOf(meta(object).creationtimestamp(), now);
          }};
}

std::string firstOf(const std::vector<std::string>& all, std::string_view none) {
  constexpr std::size_t kShown = 3;
  if (all.empty()) return std::string(none);
  const std::string text = joined(std::span(all).first(std::min(all.size(), kShown)),
                                  [](const auto& one) { return one; });
  return all.size() <= kShown ? text
                              : text + " + " + std::to_string(all.size() - kShown) + " more...";
}

}  // namespace podlab::api
