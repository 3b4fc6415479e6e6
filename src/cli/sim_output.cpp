#include "cli/sim_output.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "common/json.hpp"

namespace podlab::cli {
namespace {

template <typename... Arguments>
std::string format(const char* pattern, Arguments... arguments) {
  char text[256];
  const int size = std::snprintf(text, sizeof(text), pattern, arguments...);
  return {text, static_cast<std::size_t>(std::clamp<int>(size, 0, sizeof(text) - 1))};
}

std::string row(const std::string& name, const std::string& value) {
  return format("  %-22s %14s\n", name.c_str(), value.c_str());
}
std::string row(const std::string& name, std::uint64_t value) {
  return row(name, grouped(value));
}
std::string percent(double share) {
  return format("%.1f%%", 100 * share);
}

void member(JsonWriter& json, std::string_view key, std::uint64_t value) {
  json.key(key);
  json.number(value);
}
void member(JsonWriter& json, std::string_view key, int value) {
  json.key(key);
  json.number(std::int64_t{value});
}
void member(JsonWriter& json, std::string_view key, double value) {
  json.key(key);
  json.number(value);
}
void member(JsonWriter& json, std::string_view key, const std::string& value) {
  json.key(key);
  json.string(value);
}

double secondsOf(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

void writeTotals(JsonWriter& json, const sim::Totals& totals) {
  json.beginObject();
  member(json, "created", totals.created);
  member(json, "bound", totals.bound);
  member(json, "started", totals.started);
  member(json, "succeeded", totals.succeeded);
  member(json, "failed", totals.failed);
  member(json, "evicted", totals.evicted);
  member(json, "deleted", totals.deleted);
  member(json, "mostPending", totals.mostPending);
  json.key("startLatencySeconds");
  json.beginObject();
  member(json, "p50", totals.startP50);
  member(json, "p90", totals.startP90);
  member(json, "p99", totals.startP99);
  member(json, "max", totals.startMax);
  json.endObject();
  json.endObject();
}

void writeSample(JsonWriter& json, const sim::Sample& sample) {
  json.beginObject();
  member(json, "seconds", secondsOf(sample.at));
  member(json, "nodes", sample.nodes);
  member(json, "nodesReady", sample.nodesReady);
  member(json, "podsPending", sample.pending);
  member(json, "podsBound", sample.bound);
  member(json, "podsRunning", sample.running);
  member(json, "cpu", sample.cpu);
  member(json, "memory", sample.memory);
  member(json, "fragmentation", sample.fragmentation);
  member(json, "created", sample.created);
  member(json, "started", sample.started);
  member(json, "finished", sample.finished);
  member(json, "evicted", sample.evicted);
  member(json, "startP50", sample.startP50);
  member(json, "startP99", sample.startP99);
  json.endObject();
}

}  // namespace

std::string grouped(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t i = text.size(); i > 3; i -= 3) text.insert(i - 3, ",");
  return text;
}

std::string spanText(double seconds) {
  if (seconds < 1) return format("%.0fms", seconds * 1000);
  if (seconds < 100) return format("%.1fs", seconds);
  return formatDuration(std::chrono::seconds(std::llround(seconds)));
}

std::string hashText(std::uint64_t hash) {
  return format("%016llx", static_cast<unsigned long long>(hash));
}

std::string simText(const SimReport& report) {
  const auto& outcome = report.outcome;
  const auto& totals = outcome.totals;
  std::string out = "Simulated " + formatDuration(outcome.simulated) + " of " +
                    grouped(static_cast<std::uint64_t>(report.scenario.nodeCount())) +
                    " nodes, seed " + std::to_string(report.scenario.seed) + ".\n\nPODS\n";
  out += row("created", totals.created) + row("bound to a node", totals.bound) +
         row("started", totals.started) + row("succeeded", totals.succeeded) +
         row("failed", totals.failed) + row("evicted", totals.evicted) +
         row("most waiting at once", static_cast<std::uint64_t>(totals.mostPending));
  out += "\nFROM CREATION TO START\n";
  out += row("p50", spanText(totals.startP50)) + row("p90", spanText(totals.startP90)) +
         row("p99", spanText(totals.startP99)) + row("longest", spanText(totals.startMax));
  out += "\nREQUESTED OF THE NODES\n";
  double mostCpu = 0, mostMemory = 0;
  for (const auto& sample : outcome.samples) {
    mostCpu = std::max(mostCpu, sample.cpu);
    mostMemory = std::max(mostMemory, sample.memory);
  }
  out += row("CPU, mean", percent(totals.meanCpu)) + row("CPU, most", percent(mostCpu)) +
         row("memory, mean", percent(totals.meanMemory)) + row("memory, most", percent(mostMemory));
  out += "\nCLUSTER\n";
  out += row("faults", outcome.faults) + row("writes to the store", outcome.writes);
  if (!report.scenario.direct)
    out += row("packets", outcome.packets) + row("packets lost", outcome.packetsLost) +
           row("connections broken", outcome.connectionsBroken);
  out += row("events", outcome.events) + row("placement hash", hashText(outcome.placementHash));
  if (outcome.changesChecked > 0) {
    out += "\nINVARIANTS\n";
    out += row("changes checked", outcome.changesChecked) +
           row("watch events checked", outcome.watchEventsChecked) +
           row("violations", outcome.violations.size());
    for (const auto& violation : outcome.violations) out += "  " + violation + "\n";
  }
  return out;
}

std::string simJson(const SimReport& report) {
  const auto& outcome = report.outcome;
  std::string out;
  JsonWriter json(out, 2);
  json.beginObject();
  member(json, "scenario", report.file);
  member(json, "seed", report.scenario.seed);
  member(json, "simulatedSeconds", secondsOf(outcome.simulated));
  member(json, "nodes", report.scenario.nodeCount());
  json.key("pods");
  writeTotals(json, outcome.totals);
  member(json, "meanCpu", outcome.totals.meanCpu);
  member(json, "meanMemory", outcome.totals.meanMemory);
  member(json, "faults", outcome.faults);
  member(json, "writes", outcome.writes);
  member(json, "packets", outcome.packets);
  member(json, "packetsLost", outcome.packetsLost);
  member(json, "connectionsBroken", outcome.connectionsBroken);
  member(json, "refused", outcome.refused);
  member(json, "events", outcome.events);
  member(json, "placementHash", hashText(outcome.placementHash));
  json.key("violations");
  json.beginArray();
  for (const auto& violation : outcome.violations) json.string(violation);
  json.endArray();
  json.key("samples");
  json.beginArray();
  for (const auto& sample : outcome.samples) writeSample(json, sample);
  json.endArray();
  json.endObject();
  return out + "\n";
}

std::string simCsv(const SimReport& report) {
  std::string out =
      "seconds,nodes,nodes_ready,pods_pending,pods_bound,pods_running,cpu,memory,fragmentation,"
      "created,started,finished,evicted,start_p50_seconds,start_p99_seconds\n";
  for (const auto& s : report.outcome.samples) {
    out += format("%.3f,%d,%d,%d,%d,%d,%.6f,%.6f,%.6f,%d,%d,%d,%d,%.6f,%.6f\n", secondsOf(s.at),
                  s.nodes, s.nodesReady, s.pending, s.bound, s.running, s.cpu, s.memory,
                  s.fragmentation, s.created, s.started, s.finished, s.evicted, s.startP50,
                  s.startP99);
  }
  return out;
}

}  // namespace podlab::cli
