#include <algorithm>
#include <cstdio>
#include <set>
#include <tuple>

#include "cli/reach_output.hpp"
#include "cli/table.hpp"

namespace podlab::cli {
namespace {

constexpr std::size_t kLargestMatrix = 40;
constexpr std::size_t kFailuresShown = 100;
constexpr int kColumn = 3;  // of a matrix

std::string colored(const ReachStyle& style, const char* code, const std::string& text) {
  return style.color ? "\033[" + std::string(code) + "m" + text + "\033[0m" : text;
}

const char* colorOf(ReachSymbol symbol) {
  switch (symbol) {
    case ReachSymbol::kReached:
    case ReachSymbol::kSome:
      return "32";
    case ReachSymbol::kDenied:
      return "2";
    case ReachSymbol::kNotMeasured:
      return "33";
    default:
      return "31";
  }
}

const char* meaningOf(ReachSymbol symbol) {
  switch (symbol) {
    case ReachSymbol::kReached:
      return "all reached";
    case ReachSymbol::kDenied:
      return "none reached, as expected";
    case ReachSymbol::kSome:
      return "some reached, as expected";
    case ReachSymbol::kNone:
      return "none reached";
    case ReachSymbol::kMixed:
      return "some not as expected";
    case ReachSymbol::kOneWay:
      return "arrives, but no answer";
    case ReachSymbol::kTooMuch:
      return "gets through against expectation";
    case ReachSymbol::kNotMeasured:
      return "not measured";
  }
  return "";
}

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(width, text.size()), ' ');
  return text;
}

std::string number(std::size_t value) {
  std::string text = std::to_string(value);
  return std::string(kColumn - std::min<std::size_t>(kColumn, text.size()), ' ') + text;
}

/// The ends of one side, by their numbers in the list of all.
std::vector<std::uint32_t> side(const ReachMeasurement& measurement, bool ReachEnd::* takesPart) {
  std::vector<std::uint32_t> indices;
  for (std::uint32_t i = 0; i < measurement.ends.size(); ++i) {
    if (measurement.ends[i].*takesPart) indices.push_back(i);
  }
  return indices;
}

std::string matrixText(const ReachMeasurement& measurement, const ReachMatrix& matrix,
                       const ReachStyle& style) {
  const auto senders = side(measurement, &ReachEnd::sends);
  const auto receivers = side(measurement, &ReachEnd::receives);
  std::size_t name = 9;
  std::size_t node = 4;
  for (const auto& end : measurement.ends) {
    name = std::max(name, end.toString().size());
    node = std::max(node, end.node.size());
  }
  // Where the terminal is narrow the nodes go, and the columns are shown in blocks.
  const auto fits = [&](std::size_t left, std::size_t columns) {
    return style.width == 0 || left + kColumn * columns <= static_cast<std::size_t>(style.width);
  };
  const std::size_t numbers = kColumn + 2;
  const bool withNode = fits(numbers + name + 1 + node, receivers.size());
  const std::size_t left = numbers + name + (withNode ? 1 + node : 0);
  std::size_t block = receivers.size();
  while (block > 5 && !fits(left, block)) --block;
  std::string text;
  std::set<ReachSymbol> used;
  for (std::size_t begin = 0; begin < receivers.size(); begin += std::max<std::size_t>(block, 1)) {
    const std::size_t end = std::min(begin + block, receivers.size());
    if (begin > 0) text += "\n";
    text += std::string(numbers, ' ') + padded("FROM \\ TO", name);
    if (withNode) text += " " + padded("NODE", node);
    for (std::size_t i = begin; i < end; ++i) text += number(receivers[i] + 1);
    text += "\n";
    for (const std::uint32_t from : senders) {
      const ReachEnd& sender = measurement.ends[from];
      text += number(from + 1) + "  " + padded(sender.toString(), name);
      if (withNode) text += " " + padded(sender.node, node);
      for (std::size_t i = begin; i < end; ++i) {
        const auto found = matrix.find({from, receivers[i]});
        if (found == matrix.end()) {  // no family in common
          text += std::string(kColumn, ' ');
          continue;
        }
        const ReachSymbol symbol = found->second.symbol();
        used.insert(symbol);
        text += std::string(kColumn - 1, ' ') +
                colored(style, colorOf(symbol), std::string(1, static_cast<char>(symbol)));
      }
      text += "\n";
    }
  }
  // Who is only probed has no row.
  for (const std::uint32_t to : receivers) {
    if (!measurement.ends[to].sends) {
      text += number(to + 1) + "  " + measurement.ends[to].toString() + "\n";
    }
  }
  text += "\n";
  std::string legend;
  for (const ReachSymbol symbol : used) {
    legend += (legend.empty() ? "" : "   ") + std::string(1, static_cast<char>(symbol)) + " " +
              meaningOf(symbol);
  }
  return text + legend + "\n";
}

std::string byNodeText(const ReachMeasurement& measurement, const ReachMatrix& matrix) {
  const auto place = [&](std::uint32_t index) {
    const ReachEnd& end = measurement.ends[index];
    return end.node.empty() ? std::string("outside") : end.node;
  };
  std::map<std::pair<std::string, std::string>, std::pair<std::size_t, std::size_t>> byNode;
  std::set<std::string> sources;
  std::set<std::string> targets;
  for (const auto& [pair, cells] : matrix) {
    const std::string from = place(pair.first);
    const std::string to = place(pair.second);
    sources.insert(from);
    targets.insert(to);
    auto& [good, all] = byNode[{from, to}];
    good += cells.asExpected == cells.cells ? 1 : 0;
    ++all;
  }
  std::vector<std::string> header{"FROM \\ TO"};
  header.insert(header.end(), targets.begin(), targets.end());
  Table table(header);
  for (const auto& from : sources) {
    std::vector<std::string> row{from};
    for (const auto& to : targets) {
      const auto& [good, all] = byNode[{from, to}];
      row.push_back(std::to_string(good) + "/" + std::to_string(all));
    }
    table.add(row);
  }
  return "Pairs as expected, by node:\n" + table.text();
}

std::string milliseconds(Duration duration) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", static_cast<double>(duration.count()) / 1e6);
  return text;
}

/// Latency and loss of each pair of which all answers were expected.
std::string lossText(const ReachMeasurement& measurement) {
  Table table({"FROM", "TO", "PROBE", "SENT", "ARRIVED", "ANSWERED", "LOSS", "MIN/MEAN/MAX ms"});
  std::size_t rows = 0;
  std::size_t hidden = 0;
  for (const ReachCell& cell : measurement.cells) {
    if (!cell.measured || cell.sent == 0) continue;
    if (rows == kFailuresShown) {
      ++hidden;
      continue;
    }
    ++rows;
    char loss[16];
    std::snprintf(loss, sizeof loss, "%.0f%%",
                  100.0 * (1 - static_cast<double>(cell.answered) / cell.sent));
    table.add({measurement.ends[cell.key.from].toString(), measurement.ends[cell.key.to].toString(),
               cellName(cell), std::to_string(cell.sent),
               cell.arrived ? std::to_string(*cell.arrived) : "?", std::to_string(cell.answered),
               loss,
               cell.answered == 0 ? "-"
                                  : milliseconds(cell.rttMin) + "/" + milliseconds(cell.rttMean) +
                                        "/" + milliseconds(cell.rttMax)});
  }
  std::string text = table.text();
  if (hidden > 0) text += "... and " + std::to_string(hidden) + " more: see -o csv\n";
  return text + "\n";
}

std::string summary(const ReachMeasurement& measurement, const ReachStyle& style) {
  std::size_t reached = 0;
  for (const ReachCell& cell : measurement.cells) reached += cell.reached() ? 1 : 0;
  const std::size_t all = measurement.cells.size();
  const std::size_t senders = side(measurement, &ReachEnd::sends).size();
  const std::size_t receivers = side(measurement, &ReachEnd::receives).size();
  std::string verdict;
  if (measurement.ok()) {
    verdict = reached == all ? "All reach all:" : "As expected:";
    verdict = colored(style, "32", verdict);
  } else {
    verdict = colored(style, "31", "Not as expected:");
  }
  std::string text = verdict + " " + std::to_string(senders) + " to " + std::to_string(receivers) +
                     ", " + std::to_string(all) + " probes, " + std::to_string(reached) +
                     " reached, " + std::to_string(measurement.unexpected()) + " not as expected, ";
  if (const std::size_t unmeasured = measurement.unmeasured(); unmeasured > 0) {
    text += std::to_string(unmeasured) + " not measured, ";
  }
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(measurement.took);
  return text + "in " + std::to_string(took.count()) + " ms\n";
}

}  // namespace

std::string cellName(const ReachCell& cell) {
  std::string text = reachPortText(cell.key.protocol, cell.key.port);
  return cell.key.family == net::Family::kV6 ? text + " over IPv6" : text;
}

std::string reachFailures(const ReachMeasurement& measurement, const ReachStyle& style,
                          std::size_t most) {
  // Cells of one pair that fail for one reason share a line.
  using Line = std::pair<std::tuple<std::uint32_t, std::uint32_t, std::string>, std::string>;
  std::vector<Line> lines;
  std::map<std::tuple<std::uint32_t, std::uint32_t, std::string>, std::size_t> known;
  for (const ReachCell& cell : measurement.cells) {
    if (cell.asExpected()) continue;
    const std::tuple key{cell.key.from, cell.key.to, cell.reason};
    const auto [found, added] = known.emplace(key, lines.size());
    if (added) {
      lines.emplace_back(key, cellName(cell));
    } else {
      lines[found->second].second += ", " + cellName(cell);
    }
  }
  std::string text;
  for (std::size_t i = 0; i < std::min(most, lines.size()); ++i) {
    const auto& [from, to, reason] = lines[i].first;
    text += colored(style, "31", "FAIL") + " " + measurement.ends[from].toString() + " -> " +
            measurement.ends[to].toString() + ": " + lines[i].second + ": " + reason + "\n";
  }
  if (lines.size() > most) text += "... and " + std::to_string(lines.size() - most) + " more\n";
  return text;
}

std::string reachText(const ReachMeasurement& measurement, const ReachStyle& style) {
  const ReachMatrix matrix = matrixOf(measurement.cells);
  std::string text = measurement.ends.size() <= kLargestMatrix
                         ? matrixText(measurement, matrix, style)
                         : byNodeText(measurement, matrix);
  if (style.loss) text += lossText(measurement);
  text += reachFailures(measurement, style, kFailuresShown);
  for (const auto& [node, error] : measurement.failures) {
    text += colored(style, "31", "FAIL") + " node " + node + ": " + error + "\n";
  }
  for (const auto& pod : measurement.missing) {
    text += "Pod " + pod + " stopped running before it could be probed.\n";
  }
  return text + summary(measurement, style);
}

}  // namespace podlab::cli
