#include "cli/reach_cells.hpp"

#include <netinet/in.h>

#include <algorithm>

namespace podlab::cli {

bool ReachCell::reached() const {
  if (!error.empty() && answered > 0) return false;
  const bool silentProgram = !own && key.protocol == IPPROTO_UDP && !refused;
  return answered > 0 || (silentProgram && arrived.value_or(0) > 0);
}

std::string ReachCell::outcome() const {
  if (!measured) return "not measured";
  if (reached()) return "reached";
  if (answered > 0) return error;
  if (refused && arrived.value_or(0) > 0) return "no listener: it arrived and was refused";
  if (refused) return error + ", and it did not arrive";
  if (oneWay()) return "one way: it arrived, and the answer was lost";
  if (arrived) return "it did not arrive: " + error;
  return error;
}

std::size_t ReachMeasurement::unexpected() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      cells, [](const ReachCell& cell) { return cell.measured && !cell.asExpected(); }));
}

std::size_t ReachMeasurement::unmeasured() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(cells, [](const ReachCell& cell) { return !cell.measured; }));
}

std::vector<ReachCell> planReachCells(const std::vector<ReachEnd>& ends) {
  std::vector<ReachCell> cells;
  std::size_t most = 0;
  for (const auto& from : ends) {
    for (const auto& to : ends) {
      if (from.sends && to.receives) most += from.addresses.size() * to.ports.size();
    }
  }
  cells.reserve(most);
  for (std::uint32_t from = 0; from < ends.size(); ++from) {
    for (std::uint32_t to = 0; to < ends.size(); ++to) {
      if (!ends[from].sends || !ends[to].receives) continue;
      for (const auto& source : ends[from].addresses) {
        const bool both = std::ranges::any_of(ends[to].addresses, [&](const auto& target) {
          return target.family() == source.family();
        });
        for (const auto& port : ends[to].ports) {
          if (!both) break;
          ReachCell& cell = cells.emplace_back();
          cell.key = {from, to, source.family(), port.protocol, port.port};
          cell.own = port.own || port.protocol == IPPROTO_ICMP;
        }
      }
    }
  }
  std::ranges::sort(cells, {}, &ReachCell::key);
  return cells;
}

ReachCell* findReachCell(std::vector<ReachCell>& cells, const net::ProbeKey& key) {
  const auto found = std::ranges::lower_bound(cells, key, {}, &ReachCell::key);
  return found != cells.end() && found->key == key ? &*found : nullptr;
}

void ReachPair::add(const ReachCell& cell) {
  ++cells;
  unmeasured += cell.measured ? 0 : 1;
  reached += cell.reached() ? 1 : 0;
  asExpected += cell.asExpected() ? 1 : 0;
  if (cell.asExpected() || !cell.measured) return;
  oneWay += cell.allowed && cell.oneWay() ? 1 : 0;
  tooMuch += cell.allowed ? 0 : 1;
}

ReachSymbol ReachPair::symbol() const {
  if (asExpected == cells) {
    if (reached == cells) return ReachSymbol::kReached;
    return reached == 0 ? ReachSymbol::kDenied : ReachSymbol::kSome;
  }
  const std::size_t differing = cells - asExpected;
  if (unmeasured == differing) return ReachSymbol::kNotMeasured;
  if (tooMuch == differing) return ReachSymbol::kTooMuch;
  if (oneWay == differing) return ReachSymbol::kOneWay;
  return reached == 0 ? ReachSymbol::kNone : ReachSymbol::kMixed;
}

ReachMatrix matrixOf(const std::vector<ReachCell>& cells) {
  ReachMatrix matrix;
  for (const ReachCell& cell : cells) matrix[{cell.key.from, cell.key.to}].add(cell);
  return matrix;
}

}  // namespace podlab::cli
