#include "cli/top_command.hpp"

#include <algorithm>
#include <cstdio>
#include <map>

#include "agent_rpc.pb.h"

#include "api/quantity.hpp"
#include "cli/resources.hpp"
#include "cli/table.hpp"
#include "common/sync.hpp"

namespace podlab::cli {
namespace {

struct TopOptions {
  std::string name;
  std::string ns = "default";
  bool allNamespaces = false;
  bool containers = false;
  bool noHeaders = false;
  std::string labels;
  std::string sortBy;
};

struct Amount {
  std::int64_t nanocores = 0;
  std::int64_t memory = 0;
};

struct Row {
  std::vector<std::string> names;
  Amount amount;
  std::vector<std::string> cells;
};

struct NodeAnswer {
  std::string node;
  Result<rpc::UsageReport> report = Status(Code::kUnavailable, "not asked");
};

constexpr std::int64_t kNanoPerMilli = 1'000'000;

std::string cpuText(std::int64_t nanocores) {
  return std::to_string((nanocores + kNanoPerMilli - 1) / kNanoPerMilli) + "m";
}
std::string memoryText(std::int64_t bytes) {
  return std::to_string(bytes / (1 << 20)) + "Mi";
}
std::string percent(std::int64_t part, std::int64_t whole) {
  return whole > 0 ? std::to_string(static_cast<std::int64_t>(100.0 * static_cast<double>(part) /
                                                              static_cast<double>(whole))) +
                         "%"
                   : "<unknown>";
}

Co<Result<rpc::UsageReport>> askNode(client::ReconnectingConnection& connection, MonoTime deadline,
                                     std::string node) {
  auto open = co_await connection.get(deadline);
  if (!open) co_return open.status();
  auto stream = co_await (*open)->open("usage");
  if (!stream) co_return stream.status();
  rpc::UsageRequest request;
  request.set_node(node);
  std::string message = rpc::encode(request);
  if (Status sent = co_await (*stream)->send(std::move(message)); !sent.ok()) co_return sent;
  auto bytes = co_await (*stream)->receive();
  if (!bytes) co_return bytes.status();
  rpc::UsageReport report;
  if (Status status = rpc::decode(*bytes, report); !status.ok()) co_return status;
  if (!report.error().empty()) co_return Status(Code::kHostUnsupported, report.error());
  co_return report;
}

Co<void> askInto(client::ReconnectingConnection& connection, MonoTime deadline,
                 NodeAnswer& answer) {
  answer.report = co_await askNode(connection, deadline, answer.node);
}

/// All nodes at once: each takes the time of its measurement.
Co<std::vector<NodeAnswer>> askNodes(Session& session, std::vector<std::string> nodes) {
  std::vector<NodeAnswer> answers(nodes.size());
  const MonoTime deadline = session.clock.now() + std::chrono::seconds(10);
  TaskGroup asking(session.io.get_executor());
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    answers[i].node = nodes[i];
    asking.spawn("usage", askInto(session.connection, deadline, answers[i]));
  }
  co_await asking.join();
  co_return answers;
}

/// Prints the rows, sorted by name or by what --sort-by asks for.
void print(const TopOptions& options, std::vector<std::string> header, std::vector<Row> rows) {
  std::sort(rows.begin(), rows.end(), [&](const Row& a, const Row& b) {
    if (options.sortBy == "cpu" && a.amount.nanocores != b.amount.nanocores)
      return a.amount.nanocores > b.amount.nanocores;
    if (options.sortBy == "memory" && a.amount.memory != b.amount.memory)
      return a.amount.memory > b.amount.memory;
    return a.names < b.names;
  });
  Table table(std::move(header));
  for (const auto& row : rows) {
    auto cells = row.names;
    cells.insert(cells.end(), row.cells.begin(), row.cells.end());
    table.add(std::move(cells));
  }
  std::fputs(table.text(!options.noHeaders).c_str(), stdout);
}

/// Exit code of a command whose figures lack those of some nodes.
int reportFailures(const std::vector<NodeAnswer>& answers) {
  int code = kDone;
  for (const auto& answer : answers) {
    if (!answer.report) code = fail(answer.report.status().withContext("node " + answer.node));
  }
  return code;
}

Co<Result<std::vector<api::ObjectPtr>>> find(Session& session, api::ResourceId id,
                                             std::string labels) {
  if (!id.name.empty()) {
    auto one = co_await session.api.get(std::move(id));
    if (!one) co_return one.status();
    co_return std::vector<api::ObjectPtr>{*one};
  }
  api::ListOptions list;
  list.labelSelector = std::move(labels);
  auto all = co_await session.api.list(std::move(id), std::move(list));
  if (!all) co_return all.status();
  co_return all->objects();
}

Co<int> topNodes(Session& session, const TopOptions& options) {
  api::ResourceId id{&api::kindFor<corev1::Node>(), "", options.name, ""};
  auto nodes = co_await find(session, id, options.labels);
  if (!nodes) co_return failRequest(nodes.status());
  std::vector<std::string> names;
  for (const auto& node : *nodes) names.push_back(api::meta(*node).name());
  const auto answers = co_await askNodes(session, names);
  std::vector<Row> rows;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (!answers[i].report) continue;
    const auto& used = answers[i].report->node();
    const auto& allocatable = api::as<corev1::Node>((*nodes)[i]).status().allocatable();
    const auto amount = [&](const char* resource) {
      const auto found = allocatable.find(resource);
      return found == allocatable.end() ? api::Quantity() : api::Quantity::read(found->second);
    };
    rows.push_back(
        {{answers[i].node},
         {used.nanocores(), used.memorybytes()},
         {cpuText(used.nanocores()),
          percent(used.nanocores(), amount("cpu").milliValue() * kNanoPerMilli),
          memoryText(used.memorybytes()), percent(used.memorybytes(), amount("memory").value())}});
  }
  if (!rows.empty() || answers.empty())
    print(options, {"NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"}, std::move(rows));
  co_return reportFailures(answers);
}

Co<int> topPods(Session& session, const TopOptions& options) {
  api::ResourceId id{&api::kindFor<corev1::Pod>(), options.allNamespaces ? "" : options.ns,
                     options.name, ""};
  auto pods = co_await find(session, id, options.labels);
  if (!pods) co_return failRequest(pods.status());
  if (pods->empty()) {
    std::fputs(options.allNamespaces
                   ? "No resources found\n"
                   : ("No resources found in " + options.ns + " namespace.\n").c_str(),
               stderr);
    co_return kDone;
  }
  std::map<std::string, bool> nodes;
  for (const auto& object : *pods) {
    const auto& pod = api::as<corev1::Pod>(object);
    if (pod.status().phase() == "Running") nodes[pod.spec().nodename()] = true;
  }
  std::vector<std::string> names;
  for (const auto& [name, used] : nodes) names.push_back(name);
  const auto answers = co_await askNodes(session, names);
  std::map<std::string, std::map<std::string, Amount>> used;  // by pod UID and container
  for (const auto& answer : answers) {
    if (!answer.report) continue;
    for (const auto& usage : answer.report->containers()) {
      auto& amount = used[usage.poduid()][usage.container()];
      amount.nanocores += usage.nanocores();
      amount.memory += usage.memorybytes();
    }
  }
  std::vector<Row> rows;
  for (const auto& object : *pods) {
    const auto& meta = api::meta(*object);
    const auto found = used.find(meta.uid());
    if (found == used.end()) continue;
    std::vector<std::string> prefix;
    if (options.allNamespaces) prefix.push_back(meta.namespace_());
    prefix.push_back(meta.name());
    Row sum{prefix, {}, {}};
    for (const auto& [container, amount] : found->second) {
      sum.amount.nanocores += amount.nanocores;
      sum.amount.memory += amount.memory;
      if (!options.containers) continue;
      Row row{prefix, amount, {cpuText(amount.nanocores), memoryText(amount.memory)}};
      row.names.push_back(container);
      rows.push_back(std::move(row));
    }
    sum.cells = {cpuText(sum.amount.nanocores), memoryText(sum.amount.memory)};
    if (!options.containers) rows.push_back(std::move(sum));
  }
  std::vector<std::string> header;
  if (options.allNamespaces) header.emplace_back("NAMESPACE");
  if (options.containers) header.emplace_back("POD");
  for (const char* name : {"NAME", "CPU(cores)", "MEMORY(bytes)"}) header.emplace_back(name);
  if (!rows.empty()) print(options, std::move(header), std::move(rows));
  co_return reportFailures(answers);
}

void addFlags(CLI::App& command, TopOptions& options) {
  command.add_option("-l,--selector", options.labels, "Only those with these labels");
  command.add_option("--sort-by", options.sortBy, "cpu or memory: the largest first")
      ->check(CLI::IsMember({"cpu", "memory"}));
  command.add_flag("--no-headers", options.noHeaders, "Print no header");
}

}  // namespace

void addTopCommand(CLI::App& app, Context& context) {
  auto* top = app.add_subcommand("top", "Show what CPU time and memory nodes or pods use");
  top->require_subcommand(1);
  auto nodeOptions = std::make_shared<TopOptions>();
  auto* nodes = top->add_subcommand("nodes", "All pods of each node together")->alias("node");
  nodes->add_option("NAME", nodeOptions->name, "Only this node");
  addFlags(*nodes, *nodeOptions);
  nodes->callback([&context, nodeOptions] {
    context.exitCode =
        withSession(context, [&](Session& session) { return topNodes(session, *nodeOptions); });
  });
  auto podOptions = std::make_shared<TopOptions>();
  auto* pods = top->add_subcommand("pods", "Each pod, or each container")->alias("pod");
  pods->add_option("NAME", podOptions->name, "Only this pod");
  addNamespaceFlag(*pods, podOptions->ns);
  pods->add_flag("-A,--all-namespaces", podOptions->allNamespaces, "Pods of all namespaces");
  pods->add_flag("--containers", podOptions->containers, "Each container by itself");
  addFlags(*pods, *podOptions);
  pods->callback([&context, podOptions] {
    context.exitCode =
        withSession(context, [&](Session& session) { return topPods(session, *podOptions); });
  });
}

}  // namespace podlab::cli
