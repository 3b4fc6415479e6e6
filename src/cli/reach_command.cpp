#include "cli/reach_command.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "cli/reach_measure.hpp"
#include "cli/reach_output.hpp"
#include "cli/session.hpp"
#include "cli/user_files.hpp"
#include "common/yaml.hpp"

namespace podlab::cli {
namespace {

constexpr int kMostPackets = 10'000;
constexpr int kLargestPacket = 65'535;

struct ReachFlags {
  std::string ns;
  std::string labels;
  std::vector<std::string> from;
  std::vector<std::string> to;
  std::vector<std::string> ports;
  std::vector<std::string> protocols;
  std::string timeout = "1s";
  std::string interval = "100ms";
  std::string size;
  int count = 1;
  std::string expect;
  std::string output;
  std::string junit;
  std::string html;
  bool tap = false;
  bool watch = false;
  std::string every = "2s";
};

Result<Duration> durationOf(const std::string& flag, const std::string& text) {
  const auto duration = parseDuration(text);
  if (duration && *duration > Duration(0)) return *duration;
  return Status(Code::kBadRequest,
                flag + ": \"" + text + "\" is not a duration such as 1s or 500ms");
}

/// kBadRequest: what is wrong with the flags.
Result<ReachPlan> planOf(const ReachFlags& flags) {
  ReachPlan plan;
  plan.selection.ns = flags.ns;
  plan.selection.labels = flags.labels;
  plan.selection.from = flags.from;
  plan.selection.to = flags.to;
  auto ports = ReachPortChoice::of(flags.ports, flags.protocols);
  if (!ports) return ports.status();
  plan.selection.ports = std::move(*ports);
  auto timeout = durationOf("--timeout", flags.timeout);
  if (!timeout) return timeout.status();
  plan.options.timeout = *timeout;
  auto interval = durationOf("--interval", flags.interval);
  if (!interval) return interval.status();
  plan.options.interval = *interval;
  plan.options.count = flags.count;
  plan.wholePathMtu = flags.size == "mtu";
  if (!flags.size.empty() && !plan.wholePathMtu) {
    plan.options.packetSize = std::atoi(flags.size.c_str());
    const int least = 20 + 8 + 36;  // IPv4 and UDP headers, and what a probe carries
    if (flags.size.find_first_not_of("0123456789") != std::string::npos ||
        plan.options.packetSize < least || plan.options.packetSize > kLargestPacket) {
      return Status(Code::kBadRequest, "--size: \"" + flags.size +
                                           "\" is not a packet's size in bytes, from 64 to 65535, "
                                           "nor \"mtu\"");
    }
  }
  if (!flags.expect.empty()) {
    auto text = readInput(flags.expect);
    if (!text) return text.status();
    auto expectation = ReachExpectation::parse(*text);
    if (!expectation) return expectation.status().withContext(flags.expect);
    plan.expectation = std::move(*expectation);
  }
  return plan;
}

int exitCodeOf(const ReachMeasurement& measurement) {
  if (measurement.unexpected() > 0) return kCheckFailed;
  return measurement.ok() ? kDone : kFailed;
}

Status writeReports(const ReachMeasurement& measurement, const ReachFlags& flags) {
  Status status;
  if (!flags.junit.empty()) status = writeOutput(flags.junit, reachJunit(measurement));
  if (status && !flags.html.empty()) status = writeOutput(flags.html, reachHtml(measurement));
  return status;
}

void toStdout(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

Status print(const ReachMeasurement& measurement, const ReachFlags& flags) {
  if (flags.tap) {
    reachTap(measurement, toStdout);
  } else if (flags.output == "json") {
    reachJson(measurement, 4, toStdout);
  } else if (flags.output == "yaml") {
    std::string json;
    reachJson(measurement, 0, [&json](std::string_view part) { json += part; });
    auto yaml = jsonToYaml(json);
    if (!yaml) return yaml.status();
    toStdout(*yaml);
  } else if (flags.output == "csv") {
    reachCsv(measurement, toStdout);
  } else {
    const ReachStyle style{useColor(STDOUT_FILENO), terminalWidth(STDOUT_FILENO), flags.count > 1};
    toStdout(reachText(measurement, style));
  }
  return writeReports(measurement, flags);
}

/// Measures again and again, and shows what changes, until it is interrupted.
Co<int> watchReach(Session& session, ReachPlan plan, const ReachFlags& flags, Duration every,
                   ReachMeasurement before) {
  std::string trouble;
  MonoTime next = session.clock.now();
  while (true) {
    std::fflush(stdout);
    next = std::max(next + every, session.clock.now());
    co_await session.clock.sleepUntil(next);
    auto measured = co_await measureReach(session, plan);
    // A server that is away comes back.
    const std::string now = measured ? "" : measured.status().message();
    if (now != trouble && !now.empty()) std::fprintf(stderr, "error: %s\n", now.c_str());
    trouble = now;
    if (!measured) continue;
    const std::string time = formatTime(session.clock.wallNow());
    for (const auto& change : reachChanges(before, *measured)) {
      std::printf("%s %s\n", time.c_str(), change.c_str());
    }
    if (Status status = writeReports(*measured, flags); !status) co_return fail(status);
    before = std::move(*measured);
  }
}

Co<int> reach(Session& session, const ReachFlags& flags) {
  auto plan = planOf(flags);
  if (!plan) {
    co_return plan.status().is(Code::kBadRequest) ? failUsage(plan.status().message())
                                                  : fail(plan.status());
  }
  const auto every = durationOf("--every", flags.every);
  if (!every) co_return failUsage(every.status().message());
  auto measured = co_await measureReach(session, *plan);
  if (!measured && measured.status().is(Code::kBadRequest)) {
    co_return failUsage(measured.status().message());
  }
  if (!measured) co_return fail(measured.status());
  if (measured->cells.empty()) {
    co_return fail(Status(Code::kNotFound,
                          "there is nothing to probe: no running pod with an address of its own is "
                          "chosen, or it has none of the ports"));
  }
  if (Status status = print(*measured, flags); !status) co_return fail(status);
  const int code = exitCodeOf(*measured);
  if (!flags.watch) co_return code;
  co_return co_await watchReach(session, std::move(*plan), flags, *every, std::move(*measured));
}

}  // namespace

void addReachCommand(CLI::App& app, Context& context) {
  auto flags = std::make_shared<ReachFlags>();
  auto* command = app.add_subcommand(
      "reach",
      "Send real packets from pods to pods, nodes and addresses, and tell who reaches whom; exit 3 "
      "unless it is as expected");
  command->add_option("-n,--namespace", flags->ns, "Only pods of this namespace (default: all)");
  command->add_option("-l,--selector", flags->labels, "Only pods with these labels");
  const std::string words = "web, demo/web-*, app=web, demo:app=web, on:NODE, node:NAME";
  command->add_option("--from", flags->from, "Who sends: " + words);
  command->add_option("--to", flags->to, "Who is probed: " + words + ", ADDRESS[:PORT]");
  command
      ->add_option("--port", flags->ports,
                   "80, tcp/80, udp/5000-5010, icmp, declared (ports of the containers), probe "
                   "(reach's own receivers); default: probe and declared")
      ->delimiter(',');
  command->add_option("--protocol", flags->protocols, "Only icmp, tcp or udp")->delimiter(',');
  command->add_option("--size", flags->size,
                      "Bytes of the whole packets of ICMP and UDP, not to be fragmented; mtu: the "
                      "largest that pods may send");
  command->add_option("--count", flags->count, "How often each probe is sent, for latency and loss")
      ->check(CLI::Range(1, kMostPackets))
      ->capture_default_str();
  command->add_option("--interval", flags->interval, "From one sending to the next")
      ->capture_default_str();
  command->add_option("--timeout", flags->timeout, "How long to wait for each answer")
      ->capture_default_str();
  command->add_option("--expect", flags->expect,
                      "A file of lines \"allow|deny FROM -> TO [PORTS...]\"; what none fits is as "
                      "NetworkPolicies say");
  auto* output = command->add_option("-o,--output", flags->output, "json, yaml or csv")
                     ->check(CLI::IsMember({"json", "yaml", "csv"}));
  auto* tap = command->add_flag("--tap", flags->tap, "Test Anything Protocol on stdout");
  tap->excludes(output);
  auto* watch = command->add_flag("-w,--watch", flags->watch,
                                  "Measure again and again, and show what changes");
  watch->excludes(output)->excludes(tap);
  command->add_option("--every", flags->every, "With --watch: from one measurement to the next")
      ->capture_default_str();
  command->add_option("--junit", flags->junit, "Also write a JUnit report to this file");
  command->add_option("--html", flags->html,
                      "Also write a page with heatmap, topology and each cell to this file");
  command->callback([&context, flags] {
    context.exitCode =
        withSession(context, [&](Session& session) { return reach(session, *flags); });
  });
}

}  // namespace podlab::cli
