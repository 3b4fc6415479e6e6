#pragma once
#include <google/protobuf/map.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "api/object.hpp"
#include "cli/event_text.hpp"
#include "common/time.hpp"

namespace podlab::cli {

using Pairs = google::protobuf::Map<std::string, std::string>;

/// The text of `kubectl describe`: lines of cells, indented by two spaces a level. In consecutive
/// lines the cells of a column are as wide as the widest of them and two spaces, but for the last
/// cell of a line (an empty last cell leaves the spaces at the line's end).
class Description {
 public:
  void line(int level, std::vector<std::string> cells);
  void blank() { lines_.push_back({}); }
  /// "Key:  value"; further lines of the value stand below its first one.
  void field(int level, const std::string& key, const std::string& value);
  /// The same, but that further lines stand at the left.
  void plain(int level, const std::string& key, const std::string& value);
  /// "Labels:  a=b", one pair a line; "<none>" without any.
  void pairs(int level, const std::string& key, const Pairs& values);
  /// "Annotations:  a: b", likewise; values that are long, or of several lines, stand below their
  /// key. The manifest that `apply` keeps in an annotation is left out.
  void annotations(int level, const std::string& key, const Pairs& values);
  /// What most descriptions begin with: name, namespace (of a namespaced kind), labels,
  /// annotations.
  void identity(const metav1::ObjectMeta& meta, bool namespaced);
  /// A table with its header underlined.
  void header(int level, std::vector<std::string> names);
  /// The closing section of every description: oldest first.
  void events(Events events, WallTime now);
  /// Type, status, reason (and message) of each condition; nothing without any.
  template <typename Conditions>
  void conditions(const Conditions& conditions, bool messages = false) {
    if (conditions.empty()) return;
    line(0, {"Conditions:"});
    header(1, messages ? std::vector<std::string>{"Type", "Status", "Reason", "Message"}
                       : std::vector<std::string>{"Type", "Status", "Reason"});
    for (const auto& one : conditions) {
      std::vector<std::string> cells{one.type() + (messages ? "" : " "), one.status(),
                                     one.reason()};
      if (messages) cells.push_back(one.message());
      line(1, std::move(cells));
    }
  }

  std::string text() const;

 private:
  std::vector<std::vector<std::string>> lines_;
};

/// "Fri, 02 Jan 2026 03:04:05 +0000" (RFC 1123), in UTC.
std::string formatDate(WallTime time);
/// "" for a time that is not set.
std::string formatDate(const metav1::Time& time);

/// The elements with `separator` between them.
template <typename Range>
std::string joined(const Range& values, const std::string& separator) {
  std::string text;
  bool first = true;
  for (const auto& value : values) {
    if (!std::exchange(first, false)) text += separator;
    text += value;
  }
  return text;
}
/// "<none>" for "".
inline std::string orNone(std::string text, const char* none = "<none>") {
  return text.empty() ? none : std::move(text);
}
/// A number of a field with presence: "<unset>" without.
template <typename Number>
std::string orUnset(bool isSet, Number value, const char* unit = "") {
  return isSet ? std::to_string(value) + unit : "<unset>";
}
/// "a=b,c=d", "<none>" without any.
std::string pairsText(const Pairs& values);
/// "a=b,c in (d,e)", "<none>" for the selector of everything.
std::string selectorText(const metav1::LabelSelector& selector);

/// The entries of a map, sorted by key.
template <typename Map>
auto sorted(const Map& map) {
  return std::map<std::string, typename Map::mapped_type>(map.begin(), map.end());
}

}  // namespace podlab::cli
