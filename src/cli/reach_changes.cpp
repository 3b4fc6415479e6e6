#include <algorithm>
#include <set>
#include <tuple>

#include "cli/reach_output.hpp"

namespace podlab::cli {
namespace {

std::string stateOf(const ReachCell& cell) {
  if (!cell.asExpected()) return cell.reason;
  return cell.allowed ? "reached" : "not reached, as expected";
}

/// Cells by the names of their ends, which keep theirs from one run to the next.
using Name = std::tuple<std::string, std::string, net::Family, std::uint8_t, std::uint16_t>;
std::map<Name, const ReachCell*> byName(const ReachMeasurement& measurement) {
  std::map<Name, const ReachCell*> cells;
  for (const ReachCell& cell : measurement.cells) {
    cells.emplace(
        Name(measurement.ends[cell.key.from].toString(), measurement.ends[cell.key.to].toString(),
             cell.key.family, cell.key.protocol, cell.key.port),
        &cell);
  }
  return cells;
}

std::set<std::string> namesOf(const ReachMeasurement& measurement) {
  std::set<std::string> names;
  for (const ReachEnd& end : measurement.ends) names.insert(end.toString());
  return names;
}

}  // namespace

std::vector<std::string> reachChanges(const ReachMeasurement& before,
                                      const ReachMeasurement& after) {
  std::vector<std::string> lines;
  const auto had = namesOf(before);
  const auto has = namesOf(after);
  for (const auto& name : had) {
    if (!has.contains(name)) lines.push_back(name + " is gone");
  }
  for (const auto& name : has) {
    if (!had.contains(name)) lines.push_back(name + " is new");
  }
  const auto old = byName(before);
  // Cells of one pair that change alike share a line, at the place of the first.
  std::map<std::tuple<std::string, std::string, std::string>, std::size_t> places;
  std::vector<std::pair<std::string, std::string>> changes;
  for (const auto& [name, cell] : byName(after)) {
    const auto found = old.find(name);
    const std::string now = stateOf(*cell);
    // Of a new end only faults are worth a line.
    const std::string was = found == old.end() ? "reached" : stateOf(*found->second);
    if (now == was || (found == old.end() && cell->asExpected())) continue;
    const std::string change = found == old.end() ? now : was + " -> " + now;
    const auto& [from, to, family, protocol, port] = name;
    const auto [place, added] = places.emplace(std::tuple(from, to, change), changes.size());
    if (added) {
      changes.emplace_back(from + " -> " + to + ": " + cellName(*cell), change);
    } else {
      changes[place->second].first += ", " + cellName(*cell);
    }
  }
  for (const auto& [what, change] : changes) lines.push_back(what + ": " + change);
  return lines;
}

}  // namespace podlab::cli
