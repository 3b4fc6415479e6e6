#pragma once
#include <google/protobuf/map.h>

#include <map>
#include <string>
#include <vector>

#include "api/object.hpp"
#include "cli/event_text.hpp"
#include "common/time.hpp"

namespace podlab::cli {

/// The text of `kubectl describe`: lines of cells, indented by two spaces a level. In consecutive
/// lines the cells of a column are as wide as the widest of them and two spaces, but for the last
/// cell of a line.
class Description {
 public:
  void line(int level, std::vector<std::string> cells);
  void blank() { lines_.push_back({}); }
  /// "Key:  value"; further lines of the value stand below its first one.
  void field(int level, const std::string& key, const std::string& value);
  /// "Labels:  a=b", one pair a line (annotations are told as "a: b"); "<none>" without any. The
  /// manifest that `apply` keeps in an annotation is left out.
  void pairs(int level, const std::string& key,
             const google::protobuf::Map<std::string, std::string>& values,
             const std::string& separator = "=");
  /// A table with its header underlined.
  void header(int level, std::vector<std::string> names);
  /// The closing section of every description: oldest first.
  void events(Events events, WallTime now);

  std::string text() const;

 private:
  std::vector<std::vector<std::string>> lines_;
};

/// "Fri, 02 Jan 2026 03:04:05 +0000" (RFC 1123), in UTC.
std::string formatDate(WallTime time);
/// "" for a time that is not set.
std::string formatDate(const metav1::Time& time);

/// The entries of a map, sorted by key.
template <typename Map>
auto sorted(const Map& map) {
  return std::map<std::string, typename Map::mapped_type>(map.begin(), map.end());
}

}  // namespace podlab::cli
