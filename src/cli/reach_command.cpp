#include "cli/reach_command.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

#include "agent_rpc.pb.h"

#include "cli/session.hpp"
#include "cli/table.hpp"
#include "common/json.hpp"

namespace podlab::cli {
namespace {

constexpr int kLargestMatrix = 40;

struct ReachOptions {
  std::string ns;
  std::string labels;
  std::string timeout = "1s";
  std::string output;
};

struct Measured {
  std::vector<rpc::ReachEndpoint> endpoints;
  std::vector<rpc::ProbeResult> results;
  std::vector<std::string> errors;  ///< nodes that could not measure
};

const char* protocolName(std::uint32_t protocol) {
  switch (protocol) {
    case 1:
    case 58:
      return "icmp";
    case 6:
      return "tcp";
    default:
      return "udp";
  }
}

std::string nameOf(const rpc::ReachEndpoint& endpoint) {
  return endpoint.namespace_() + "/" + endpoint.name();
}

/// One cell: all families and protocols from one pod to another.
struct Cell {
  int passed = 0;
  int failed = 0;
};

using Matrix = std::map<std::pair<std::uint32_t, std::uint32_t>, Cell>;

Matrix matrixOf(const Measured& measured) {
  Matrix matrix;
  for (const auto& result : measured.results) {
    Cell& cell = matrix[{result.from(), result.to()}];
    ++(result.ok() ? cell.passed : cell.failed);
  }
  return matrix;
}

std::string colored(const char* code, const std::string& text) {
  return useColor(STDOUT_FILENO) ? "\033[" + std::string(code) + "m" + text + "\033[0m" : text;
}

void printMatrix(const Measured& measured, const Matrix& matrix) {
  const int count = static_cast<int>(measured.endpoints.size());
  std::size_t width = 4;
  for (const auto& endpoint : measured.endpoints) width = std::max(width, nameOf(endpoint).size());
  std::printf("%*s  %-*s %-10s ", 3, "", static_cast<int>(width), "FROM \\ TO", "NODE");
  for (int to = 0; to < count; ++to) std::printf("%3d", to + 1);
  std::puts("");
  for (int from = 0; from < count; ++from) {
    const auto& endpoint = measured.endpoints[from];
    std::printf("%3d  %-*s %-10s ", from + 1, static_cast<int>(width), nameOf(endpoint).c_str(),
                endpoint.node().c_str());
    for (int to = 0; to < count; ++to) {
      const auto cell = matrix.find({from, to});
      if (cell == matrix.end()) {
        std::fputs("  ?", stdout);
      } else if (cell->second.failed == 0) {
        std::printf("  %s", colored("32", "+").c_str());
      } else {
        std::printf("  %s", colored("31", cell->second.passed == 0 ? "x" : "~").c_str());
      }
    }
    std::puts("");
  }
  std::puts("\n+ all protocols pass   ~ some pass   x none passes   ? not measured");
}

void printByNode(const Measured& measured, const Matrix& matrix) {
  std::map<std::pair<std::string, std::string>, Cell> byNode;
  std::set<std::string> nodes;
  for (const auto& [pair, cell] : matrix) {
    const std::string from = measured.endpoints[pair.first].node(),
                      to = measured.endpoints[pair.second].node();
    nodes.insert({from, to});
    Cell& sum = byNode[{from, to}];
    ++(cell.failed == 0 ? sum.passed : sum.failed);
  }
  std::vector<std::string> header{"FROM \\ TO"};
  header.insert(header.end(), nodes.begin(), nodes.end());
  Table table(header);
  for (const auto& from : nodes) {
    std::vector<std::string> row{from};
    for (const auto& to : nodes) {
      const Cell& cell = byNode[{from, to}];
      row.push_back(std::to_string(cell.passed) + "/" + std::to_string(cell.passed + cell.failed));
    }
    table.add(row);
  }
  std::fputs(table.text().c_str(), stdout);
}

void printFailures(const Measured& measured) {
  constexpr int kShown = 100;
  int shown = 0;
  for (const auto& result : measured.results) {
    if (result.ok()) continue;
    if (++shown > kShown) continue;
    std::printf("%s %s -> %s: %s %s%s\n", colored("31", "FAIL").c_str(),
                nameOf(measured.endpoints[result.from()]).c_str(),
                nameOf(measured.endpoints[result.to()]).c_str(), protocolName(result.protocol()),
                result.family() == 6 ? "over IPv6: " : "", result.error().c_str());
  }
  if (shown > kShown) std::printf("... and %d more\n", shown - kShown);
}

void printJson(const Measured& measured, bool ok) {
  std::string out;
  JsonWriter writer(out, 4);
  writer.beginObject();
  writer.key("ok");
  writer.boolean(ok);
  writer.key("pods");
  writer.beginArray();
  for (const auto& endpoint : measured.endpoints) {
    writer.beginObject();
    writer.key("namespace");
    writer.string(endpoint.namespace_());
    writer.key("name");
    writer.string(endpoint.name());
    writer.key("node");
    writer.string(endpoint.node());
    writer.key("ips");
    writer.beginArray();
    for (const auto& ip : endpoint.ips()) writer.string(ip);
    writer.endArray();
    writer.endObject();
  }
  writer.endArray();
  writer.key("probes");
  writer.beginArray();
  for (const auto& result : measured.results) {
    writer.beginObject();
    writer.key("from");
    writer.string(nameOf(measured.endpoints[result.from()]));
    writer.key("to");
    writer.string(nameOf(measured.endpoints[result.to()]));
    writer.key("protocol");
    writer.string(protocolName(result.protocol()));
    writer.key("family");
    writer.string(result.family() == 6 ? "ipv6" : "ipv4");
    writer.key("ok");
    writer.boolean(result.ok());
    if (result.ok()) {
      writer.key("rttMicroseconds");
      writer.number(static_cast<double>(result.rttnanos()) / 1000);
    } else {
      writer.key("error");
      writer.string(result.error());
    }
    writer.endObject();
  }
  writer.endArray();
  writer.key("errors");
  writer.beginArray();
  for (const auto& error : measured.errors) writer.string(error);
  writer.endArray();
  writer.endObject();
  std::printf("%s\n", out.c_str());
}

Co<Result<Measured>> measure(Session& session, rpc::ReachRequest request) {
  auto connection = co_await session.connection.get(session.clock.now() + std::chrono::seconds(10));
  if (!connection) co_return connection.status();
  auto stream = co_await (*connection)->open("reach");
  if (!stream) co_return stream.status();
  std::string message = rpc::encode(request);
  if (Status status = co_await (*stream)->send(std::move(message)); !status.ok()) co_return status;
  Measured measured;
  for (;;) {
    auto bytes = co_await (*stream)->receive();
    if (!bytes) {
      if (bytes.status().is(Code::kEndOfStream)) co_return measured;
      co_return bytes.status();
    }
    rpc::ReachReport report;
    if (Status status = rpc::decode(*bytes, report); !status.ok()) co_return status;
    measured.endpoints.insert(measured.endpoints.end(), report.endpoints().begin(),
                              report.endpoints().end());
    if (!report.report().error().empty())
      measured.errors.push_back(report.report().node() + ": " + report.report().error());
    for (const auto& result : report.report().results()) {
      if (result.from() < measured.endpoints.size() && result.to() < measured.endpoints.size())
        measured.results.push_back(result);
    }
  }
}

Co<int> reach(Session& session, const ReachOptions& options) {
  const auto timeout = parseDuration(options.timeout);
  if (!timeout || *timeout <= Duration(0))
    co_return failUsage("--timeout: \"" + options.timeout +
                        "\" is not a duration such as 1s or 500ms");
  rpc::ReachRequest request;
  request.set_namespace_(options.ns);
  request.set_labelselector(options.labels);
  request.set_timeoutmillis(
      std::chrono::duration_cast<std::chrono::milliseconds>(*timeout).count());
  const MonoTime startedAt = session.clock.now();
  auto measured = co_await measure(session, std::move(request));
  if (!measured) co_return fail(measured.status());
  const auto took =
      std::chrono::duration_cast<std::chrono::milliseconds>(session.clock.now() - startedAt);
  const Matrix matrix = matrixOf(*measured);
  const std::size_t pods = measured->endpoints.size();
  const auto failed = std::count_if(measured->results.begin(), measured->results.end(),
                                    [](const auto& result) { return !result.ok(); });
  const bool ok = failed == 0 && measured->errors.empty() && matrix.size() == pods * pods;
  if (options.output == "json") {
    printJson(*measured, ok);
    co_return ok ? kDone : kCheckFailed;
  }
  if (pods == 0) {
    std::fputs("No running pods with an address of their own.\n", stderr);
    co_return kDone;
  }
  if (pods <= kLargestMatrix) {
    printMatrix(*measured, matrix);
  } else {
    printByNode(*measured, matrix);
  }
  printFailures(*measured);
  for (const auto& error : measured->errors)
    std::printf("%s %s\n", colored("31", "FAIL").c_str(), error.c_str());
  std::printf(
      "%s %zu pods, %zu probes by ICMP, TCP and UDP, %lld failed, in %lld ms\n",
      ok ? colored("32", "All reach all:").c_str() : colored("31", "Not all reach all:").c_str(),
      pods, measured->results.size(), static_cast<long long>(failed),
      static_cast<long long>(took.count()));
  co_return ok ? kDone : kCheckFailed;
}

}  // namespace

void addReachCommand(CLI::App& app, Context& context) {
  auto options = std::make_shared<ReachOptions>();
  auto* command = app.add_subcommand(
      "reach", "Send real packets from every pod to every pod; exit 3 unless all arrive");
  command->add_option("-n,--namespace", options->ns, "Only pods of this namespace (default: all)");
  command->add_option("-l,--selector", options->labels, "Only pods with these labels");
  command->add_option("--timeout", options->timeout, "How long to wait for each answer")
      ->capture_default_str();
  command->add_option("-o,--output", options->output, "json")->check(CLI::IsMember({"json"}));
  command->callback([&context, options] {
    context.exitCode =
        withSession(context, [&](Session& session) { return reach(session, *options); });
  });
}

}  // namespace podlab::cli
