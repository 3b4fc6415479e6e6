#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <vector>

#include "cli/sim_output.hpp"

namespace podlab::cli {
namespace {

constexpr double kWidth = 900, kHeight = 200;  // of a plot's inner part
constexpr double kLeft = 62, kRight = 14, kTop = 10, kBottom = 26;

constexpr const char* kHead = R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>podlab sim</title>
<style>
:root {
  color-scheme: light dark;
  --page: #ffffff; --panel: #f5f6f8; --ink: #1c2330; --faint: #667085; --line: #d5d9e0;
  --a: #2457d6; --b: #d9722b; --c: #3a9a63; --bad: #d64545;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #11151c; --panel: #1a2029; --ink: #e4e8ef; --faint: #97a1b2; --line: #323b49;
    --a: #7ea6ff; --b: #f0a35e; --c: #64c48c; --bad: #ff7b7b;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 14px/1.45 system-ui, sans-serif; }
header { padding: 16px 24px; border-bottom: 1px solid var(--line); }
h1 { font-size: 18px; margin: 0 0 2px; }
h2 { font-size: 14px; margin: 0; font-weight: 600; }
p { margin: 0; color: var(--faint); }
main { padding: 16px 24px; max-width: 1080px; }
section { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; margin-bottom: 16px; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 12px; }
.figures b { display: block; font-size: 20px; font-weight: 600; font-variant-numeric: tabular-nums; }
.figures span { color: var(--faint); font-size: 12px; }
.title { display: flex; flex-wrap: wrap; gap: 2px 16px; align-items: baseline; margin-bottom: 4px; }
.title i { display: inline-block; width: 12px; height: 3px; border-radius: 2px; margin-right: 6px; vertical-align: 3px; }
.title span { color: var(--faint); font-size: 12px; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--faint); font-size: 11px; font-variant-numeric: tabular-nums; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .series { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
svg .area { stroke: none; opacity: .14; }
.bad { color: var(--bad); }
</style>
</head>
<body>
)";

std::string fixed(double value, int digits = 1) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.*f", digits, value);
  return text;
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<') {
      out += "&lt;";
    } else if (c == '&') {
      out += "&amp;";
    } else {
      out += c;
    }
  }
  return out;
}

/// 1, 2 or 5 times a power of ten, so that there are about `lines` steps up to `most`.
double stepFor(double most, int lines) {
  const double rough = most / lines;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough * 0.999) return factor * power;
  }
  return 10 * power;
}

/// So that there are about eight steps of a kind that people divide time by.
double timeStepFor(double seconds) {
  constexpr double kSteps[] = {1,     2,     5,     10,    15,     30,     60,
                               120,   300,   600,   900,   1800,   3600,   7200,
                               10800, 21600, 43200, 86400, 172800, 604800, 2592000};
  for (const double step : kSteps) {
    if (seconds / step <= 12) return step;
  }
  return 2592000 * std::ceil(seconds / 2592000 / 12);
}

/// "0", "90s", "45m", "6h", "2d": of multiples of the steps.
std::string timeLabel(std::int64_t seconds) {
  if (seconds == 0) return "0";
  if (seconds % 86400 == 0 && seconds > 86400) return std::to_string(seconds / 86400) + "d";
  if (seconds % 3600 == 0) return std::to_string(seconds / 3600) + "h";
  if (seconds % 60 == 0 && seconds >= 3600)
    return std::to_string(seconds / 3600) + "h" + std::to_string(seconds % 3600 / 60) + "m";
  return seconds % 60 == 0 ? std::to_string(seconds / 60) + "m" : std::to_string(seconds) + "s";
}

struct Series {
  const char* name;
  const char* color;
  std::function<double(const sim::Sample&)> value;  ///< NaN: none at that time
  bool filled = false;
};

class Plot {
 public:
  Plot(const std::vector<sim::Sample>& samples, std::vector<Series> series,
       std::function<std::string(double)> label, double least)
      : samples_(samples), series_(std::move(series)), label_(std::move(label)) {
    double most = least;
    for (const auto& sample : samples_) {
      for (const auto& line : series_) most = std::fmax(most, line.value(sample));
    }
    step_ = stepFor(most, 4);
    most_ = std::ceil(most / step_ - 1e-9) * step_;
    end_ = samples_.empty() ? 1 : seconds(samples_.back());
  }

  std::string svg() const {
    std::string out = "<svg viewBox=\"0 0 " + fixed(kLeft + kWidth + kRight, 0) + " " +
                      fixed(kTop + kHeight + kBottom, 0) + "\" role=\"img\">\n";
    for (double value = 0; value <= most_ * 1.0001; value += step_) {
      out += line(kLeft, y(value), kLeft + kWidth, y(value));
      out += text(kLeft - 8, y(value) + 4, "end", label_(value));
    }
    const double step = timeStepFor(end_);
    for (double at = 0; at <= end_ * 1.0001; at += step) {
      out += line(x(at), kTop + kHeight, x(at), kTop + kHeight + 4);
      out += text(x(at), kTop + kHeight + 18, "middle", timeLabel(std::llround(at)));
    }
    for (const auto& series : series_) out += path(series);
    return out + "</svg>\n";
  }

 private:
  static double seconds(const sim::Sample& sample) {
    return std::chrono::duration<double>(sample.at).count();
  }
  double x(double at) const { return kLeft + kWidth * at / end_; }
  double y(double value) const { return kTop + kHeight * (1 - value / most_); }
  static std::string line(double x1, double y1, double x2, double y2) {
    return "<line class=\"grid\" x1=\"" + fixed(x1) + "\" y1=\"" + fixed(y1) + "\" x2=\"" +
           fixed(x2) + "\" y2=\"" + fixed(y2) + "\"/>\n";
  }
  static std::string text(double x, double y, const char* anchor, const std::string& content) {
    return "<text x=\"" + fixed(x) + "\" y=\"" + fixed(y) + "\" text-anchor=\"" + anchor + "\">" +
           escaped(content) + "</text>\n";
  }
  std::string path(const Series& series) const {
    std::string points, area, part;
    double from = 0, to = 0;
    const auto endPart = [&] {
      if (!part.empty())
        area += "M" + fixed(from) + " " + fixed(y(0)) + "L" + part.substr(1) + "L" + fixed(to) +
                " " + fixed(y(0)) + "Z";
      points += part;
      part.clear();
    };
    for (const auto& sample : samples_) {
      const double value = series.value(sample);
      if (std::isnan(value)) {
        endPart();
        continue;
      }
      to = x(seconds(sample));
      if (part.empty()) from = to;
      part += (part.empty() ? "M" : "L") + fixed(to) + " " + fixed(y(value));
    }
    endPart();
    std::string out;
    if (series.filled)
      out += "<path class=\"area\" fill=\"var(" + std::string(series.color) + ")\" d=\"" + area +
             "\"/>\n";
    return out + "<path class=\"series\" stroke=\"var(" + series.color + ")\" d=\"" + points +
           "\"/>\n";
  }

  const std::vector<sim::Sample>& samples_;
  std::vector<Series> series_;
  std::function<std::string(double)> label_;
  double step_ = 1, most_ = 1, end_ = 1;
};

std::string section(const std::vector<sim::Sample>& samples, const std::string& title,
                    const std::vector<Series>& series,
                    const std::function<std::string(double)>& label, double least) {
  std::string out = "<section>\n<div class=\"title\"><h2>" + title + "</h2>";
  for (const auto& line : series)
    out += "<span><i style=\"background:var(" + std::string(line.color) + ")\"></i>" + line.name +
           "</span>";
  return out + "</div>\n" + Plot(samples, series, label, least).svg() + "</section>\n";
}

std::string figure(const std::string& value, const std::string& name, bool bad = false) {
  return "<div><b" + std::string(bad ? " class=\"bad\"" : "") + ">" + value + "</b><span>" + name +
         "</span></div>\n";
}

std::string asPercent(double share) {
  return fixed(100 * share, share < 0.095 && share > 0 ? 1 : 0) + "%";
}
std::string asCount(double value) {
  return value < 10 && value != std::floor(value)
             ? fixed(value)
             : grouped(static_cast<std::uint64_t>(value + 0.5));
}

}  // namespace

std::string simHtml(const SimReport& report) {
  const auto& outcome = report.outcome;
  const auto& totals = outcome.totals;
  const auto& samples = outcome.samples;
  std::string out = kHead;
  out += "<header>\n<h1>" + escaped(report.file) + "</h1>\n<p>" +
         formatDuration(outcome.simulated) + " of " +
         grouped(static_cast<std::uint64_t>(report.scenario.nodeCount())) + " nodes, seed " +
         std::to_string(report.scenario.seed) + ", a sample every " +
         formatDuration(report.scenario.sample) + ", placement hash " +
         hashText(outcome.placementHash) + "</p>\n</header>\n<main>\n<section class=\"figures\">\n";
  out += figure(grouped(totals.created), "pods created");
  out += figure(grouped(totals.started), "started");
  out += figure(grouped(static_cast<std::uint64_t>(totals.mostPending)), "most waiting at once");
  out += figure(spanText(totals.startP50), "creation to start, p50");
  out += figure(spanText(totals.startP99), "creation to start, p99");
  out += figure(asPercent(totals.meanCpu), "mean CPU requested");
  out += figure(asPercent(totals.meanMemory), "mean memory requested");
  out += figure(grouped(totals.failed), "failed");
  out += figure(grouped(totals.evicted), "evicted");
  out += figure(grouped(outcome.faults), "faults");
  if (outcome.changesChecked > 0)
    out += figure(std::to_string(outcome.violations.size()), "violations of invariants",
                  !outcome.violations.empty());
  out += "</section>\n";
  using sim::Sample;
  out += section(samples, "Utilisation: share of the nodes that is requested",
                 {{"CPU", "--a", [](const Sample& s) { return s.cpu; }, true},
                  {"memory", "--b", [](const Sample& s) { return s.memory; }}},
                 asPercent, 0.01);
  out += section(samples, "Pods",
                 {{"running", "--c", [](const Sample& s) { return double(s.running); }, true},
                  {"waiting for a node", "--b", [](const Sample& s) { return double(s.pending); }}},
                 asCount, 4);
  out += section(
      samples, "From creation to start, of the pods that started since the sample before",
      {{"p50", "--a", [](const Sample& s) { return s.started > 0 ? s.startP50 : NAN; }, true},
       {"p99", "--b", [](const Sample& s) { return s.started > 0 ? s.startP99 : NAN; }}},
      spanText, 0.01);
  out += section(samples,
                 "Fragmentation: share of the free CPU where no pod of the largest shape fits",
                 {{"unusable", "--a", [](const Sample& s) { return s.fragmentation; }, true}},
                 asPercent, 0.01);
  out += section(samples, "Pods evicted since the sample before",
                 {{"evicted", "--bad", [](const Sample& s) { return double(s.evicted); }, true}},
                 asCount, 4);
  out += section(samples, "Nodes",
                 {{"ready", "--c", [](const Sample& s) { return double(s.nodesReady); }, true},
                  {"registered", "--a", [](const Sample& s) { return double(s.nodes); }}},
                 asCount, 4);
  return out + "</main>\n</body>\n</html>\n";
}

}  // namespace podlab::cli
