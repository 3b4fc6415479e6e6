#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/reach_cells.hpp"

namespace podlab::cli {

/// How the terminal's text is to look.
struct ReachStyle {
  bool color = false;
  int width = 0;      ///< columns of the terminal; 0: no limit
  bool loss = false;  ///< with latency and loss, as of several packets a probe
};

/// The matrix (pairs by node when there are many ends), what is not as expected, and a summary.
std::string reachText(const ReachMeasurement& measurement, const ReachStyle& style);
/// What is not as expected: a line for each reason and pair, at most `most` lines.
std::string reachFailures(const ReachMeasurement& measurement, const ReachStyle& style,
                          std::size_t most);

/// What differs between two runs: ends that came and went, and a line for each pair and change.
std::vector<std::string> reachChanges(const ReachMeasurement& before,
                                      const ReachMeasurement& after);

/// Takes a text part by part: those of hundreds of thousands of cells are long.
using TextSink = std::function<void(std::string_view)>;
void reachJson(const ReachMeasurement& measurement, int indent, const TextSink& sink);
void reachCsv(const ReachMeasurement& measurement, const TextSink& sink);
/// JUnit's XML: a suite for each sender, a case for each cell.
std::string reachJunit(const ReachMeasurement& measurement);
/// Test Anything Protocol, version 14: a line for each cell.
void reachTap(const ReachMeasurement& measurement, const TextSink& sink);

/// One page that needs nothing else: heatmap, topology, and each cell.
std::string reachHtml(const ReachMeasurement& measurement);
/// The page, with "__REACH_DATA__" where its data go (resources/reach_report.html).
extern const char kReachReportPage[];

/// "icmp over IPv6", "tcp 80".
std::string cellName(const ReachCell& cell);

}  // namespace podlab::cli
