#include <algorithm>
#include <cstdio>

#include "api/codec.hpp"
#include "api/kinds.hpp"
#include "cli/ask_lab.hpp"
#include "cli/commands.hpp"
#include "cli/resources.hpp"
#include "cli/session.hpp"
#include "cli/table.hpp"
#include "lab/fault.hpp"

namespace podlab::cli {
namespace {

using lab::FaultConfig;

struct FaultOptions {
  std::vector<std::string> nodes;  ///< groups, or lists of nodes
  std::string selector;
  std::string measure;  ///< a share, a delay or a rate
  std::string jitter;
  std::string lease = "1m";
  bool oneWay = false;
  std::string output;
};

/// One kind of fault, as a command.
struct FaultCommand {
  const char* kind;
  const char* name;
  const char* help;
  const char* measure;  ///< the name of its first argument; nullptr: none
  const char* measureHelp;
};

constexpr FaultCommand kNetworkCommands[] = {
    {"partition", "partition", "Cut groups of nodes off from each other", nullptr, nullptr},
    {"loss", "loss", "Lose a share of the packets between groups of nodes", "PERCENT",
     "The share, such as 30%"},
    {"delay", "delay", "Delay what nodes send", "DELAY", "How long, such as 100ms"},
    {"rate", "rate", "Limit the rate of nodes' links, in both directions", "RATE",
     "Bits a second, such as 10Mbit"},
};
constexpr FaultCommand kLinkDown{"link-down", "down", "Pull the cable of nodes", nullptr, nullptr};
constexpr FaultCommand kNodeCommands[] = {
    {"node-kill", "kill", "Kill nodes as a power failure does; they start again when it is over",
     nullptr, nullptr},
    {"node-freeze", "freeze", "Hold all processes of nodes", nullptr, nullptr},
};
constexpr FaultCommand kAgentKill{"agent-kill", "kill",
                                  "Kill the agents of nodes; they are started again at once",
                                  nullptr, nullptr};

/// Whether its arguments are groups that it comes between.
bool hasGroups(const FaultCommand& command) {
  return std::string_view(command.kind) == "partition" || std::string_view(command.kind) == "loss";
}

bool needsLabels(const FaultOptions& options) {
  return !options.selector.empty() || std::ranges::any_of(options.nodes, [](const auto& group) {
    return group.find('=') != std::string::npos;
  });
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts{""};
  for (const char c : text) {
    if (c == separator) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

void append(std::string& list, const std::string& more) {
  list += (list.empty() ? "" : ",") + more;
}

/// The names of the nodes that have these labels now.
Co<Result<std::string>> nodesWith(Session& session, std::string selector) {
  Selection selection;
  selection.labels = selector;
  api::ResourceId collection{&api::kindFor<corev1::Node>(), "", "", ""};
  auto listed = co_await listSelected(session, selection, std::move(collection));
  if (!listed) co_return listed.status();
  std::string names;
  for (const auto& object : listed->items) append(names, api::meta(*object).name());
  if (names.empty())
    co_return Status(Code::kNotFound, "no node has the labels \"" + selector +
                                          "\"; podlab get nodes --show-labels lists them");
  co_return names;
}

/// Puts the names of nodes in the place of labels.
Co<int> lookUpLabels(Session& session, FaultOptions& options) {
  if (!options.selector.empty()) {
    auto names = co_await nodesWith(session, options.selector);
    if (!names) co_return fail(names.status());
    options.nodes = {*names};
    co_return kDone;
  }
  for (auto& group : options.nodes) {
    std::string named;
    for (const auto& member : split(group, ',')) {
      if (member.find('=') == std::string::npos) {
        append(named, member);
        continue;
      }
      auto names = co_await nodesWith(session, member);
      if (!names) co_return fail(names.status());
      append(named, *names);
    }
    group = named;
  }
  co_return kDone;
}

void print(const google::protobuf::Message& message, const std::string& output) {
  if (output == "yaml") {
    std::fputs(api::toYaml(message).c_str(), stdout);
    return;
  }
  api::EncodeOptions encode;
  encode.indent = 4;
  std::printf("%s\n", api::toJson(message, encode).c_str());
}

int add(const Context& context, const FaultCommand& command, FaultOptions options) {
  if (!options.selector.empty() && !options.nodes.empty())
    return failUsage("say nodes, or -l with their labels, not both");
  if (options.selector.empty() && options.nodes.empty())
    return failUsage("say which nodes: names, patterns such as 'worker*', labels KEY=VALUE, or -l");
  if (!lab::parseSpan(options.lease))
    return failUsage("--for: \"" + options.lease +
                     "\" is not a duration such as 30s, at most 8760h");
  if (needsLabels(options)) {
    // "A|B" is one word, and two groups.
    std::vector<std::string> groups;
    for (const auto& word : options.nodes) {
      for (auto& group : split(word, '|')) groups.push_back(std::move(group));
    }
    options.nodes = std::move(groups);
    const int code =
        withSession(context, [&](Session& session) { return lookUpLabels(session, options); });
    if (code != kDone) return code;
  }
  lab::LabRequest request;
  FaultConfig& fault = *request.mutable_addfault();
  fault.set_kind(command.kind);
  if (hasGroups(command)) {
    for (const auto& word : options.nodes) {
      for (auto& group : split(word, '|')) fault.add_between(std::move(group));
    }
    if (fault.between_size() == 1) {
      fault.set_nodes(fault.between(0));
      fault.clear_between();
    }
  } else {
    for (const auto& word : options.nodes) append(*fault.mutable_nodes(), word);
  }
  const std::string_view kind = command.kind;
  if (kind == "loss") fault.set_loss(options.measure);
  if (kind == "delay") fault.set_delay(options.measure);
  if (kind == "rate") fault.set_rate(options.measure);
  if (!options.jitter.empty()) fault.set_jitter(options.jitter);
  if (options.oneWay) fault.set_oneway(true);
  if (kind != "agent-kill") fault.set_for_(options.lease);
  auto answer = askRunningLab(context, request);
  if (!answer) return fail(answer.status());
  if (answer->faults().empty()) {
    say(context, "Killed the agents of " + fault.nodes() + ".");
    return kDone;
  }
  const auto& made = answer->faults(0);
  if (!options.output.empty()) {
    print(made, options.output);
  } else {
    std::printf("%s: %s %s, ends in %s\n", made.id().c_str(), made.fault().kind().c_str(),
                lab::wordsFor(made.fault()).c_str(), made.endsin().c_str());
  }
  return kDone;
}

int thaw(const Context& context, FaultOptions options) {
  if (options.selector.empty() == options.nodes.empty())
    return failUsage("say which nodes, or -l with their labels");
  if (needsLabels(options)) {
    const int code =
        withSession(context, [&](Session& session) { return lookUpLabels(session, options); });
    if (code != kDone) return code;
  }
  lab::LabRequest request;
  for (const auto& word : options.nodes) append(*request.mutable_thawnodes(), word);
  auto answer = askRunningLab(context, request);
  if (!answer) return fail(answer.status());
  say(context, "Thawed " + request.thawnodes() + ".");
  return kDone;
}

int list(const Context& context, const std::string& output) {
  lab::LabRequest request;
  request.set_listfaults(true);
  auto answer = askRunningLab(context, request);
  if (!answer) return fail(answer.status());
  if (!output.empty()) {
    lab::FaultList faults;
    *faults.mutable_faults() = answer->faults();
    print(faults, output);
    return kDone;
  }
  Table table({"ID", "KIND", "WHAT", "ENDS IN", "ORIGIN"});
  for (const auto& one : answer->faults())
    table.add(
        {one.id(), one.fault().kind(), lab::wordsFor(one.fault()), one.endsin(), one.origin()});
  if (table.empty()) {
    std::fputs("No faults are in force.\n", stderr);
  } else {
    std::fputs(table.text().c_str(), stdout);
  }
  return kDone;
}

int clear(const Context& context, const std::vector<std::string>& ids, bool all) {
  if (all == !ids.empty())
    return failUsage("say which faults, by the ids of podlab fault ls, or --all");
  lab::LabRequest request;
  auto& choice = *request.mutable_clearfaults();
  for (const auto& id : ids) choice.add_ids(id);
  if (all) choice.set_all(true);
  auto answer = askRunningLab(context, request);
  if (!answer) return fail(answer.status());
  for (const auto& one : answer->faults()) std::printf("%s cleared\n", one.id().c_str());
  if (answer->faults().empty()) std::fputs("No faults are in force.\n", stderr);
  return kDone;
}

void addOutput(CLI::App& command, std::string& output) {
  command.add_option("-o,--output", output, "json or yaml")->check(CLI::IsMember({"json", "yaml"}));
}

void addFault(CLI::App& parent, Context& context, const FaultCommand& command) {
  auto options = std::make_shared<FaultOptions>();
  auto* app = parent.add_subcommand(command.name, command.help);
  if (command.measure != nullptr)
    app->add_option(command.measure, options->measure, command.measureHelp)->required();
  app->add_option(hasGroups(command) ? "GROUPS" : "NODES", options->nodes,
                  hasGroups(command)
                      ? "Groups of nodes: A B, or 'A|B'; one alone against everybody else"
                      : "Nodes: names, patterns such as 'worker*', labels KEY=VALUE");
  app->add_option("-l,--selector", options->selector, "The nodes with these labels");
  const std::string_view kind = command.kind;
  if (kind != "agent-kill")
    app->add_option("--for", options->lease, "When it ends by itself")->capture_default_str();
  if (kind == "delay") app->add_option("--jitter", options->jitter, "By which the delay varies");
  if (hasGroups(command))
    app->add_flag("--one-way", options->oneWay, "Only what earlier groups send to later ones");
  addOutput(*app, options->output);
  app->callback(
      [&context, &command, options] { context.exitCode = add(context, command, *options); });
}

}  // namespace

void addFaultCommands(CLI::App& app, Context& context) {
  auto* fault = app.add_subcommand("fault", "Break the network, nodes and agents for a while");
  fault->require_subcommand(1);
  for (const auto& command : kNetworkCommands) addFault(*fault, context, command);
  auto* link = fault->add_subcommand("link", "Faults of a node's link");
  link->require_subcommand(1);
  addFault(*link, context, kLinkDown);
  auto* node = fault->add_subcommand("node", "Faults of whole nodes");
  node->require_subcommand(1);
  for (const auto& command : kNodeCommands) addFault(*node, context, command);
  auto thawOptions = std::make_shared<FaultOptions>();
  auto* thawCommand = node->add_subcommand("thaw", "Let frozen nodes go on");
  thawCommand->add_option("NODES", thawOptions->nodes, "Names, patterns, labels");
  thawCommand->add_option("-l,--selector", thawOptions->selector, "The nodes with these labels");
  thawCommand->callback(
      [&context, thawOptions] { context.exitCode = thaw(context, *thawOptions); });
  auto* agent = fault->add_subcommand("agent", "Faults of agents");
  agent->require_subcommand(1);
  addFault(*agent, context, kAgentKill);

  auto output = std::make_shared<std::string>();
  auto* listCommand = fault->add_subcommand("ls", "List the faults in force");
  addOutput(*listCommand, *output);
  listCommand->callback([&context, output] { context.exitCode = list(context, *output); });

  auto ids = std::make_shared<std::vector<std::string>>();
  auto all = std::make_shared<bool>(false);
  auto* clearCommand = fault->add_subcommand("clear", "End faults now");
  clearCommand->add_option("ID", *ids, "Which; podlab fault ls has their ids");
  clearCommand->add_flag("--all", *all, "All of them");
  clearCommand->callback([&context, ids, all] { context.exitCode = clear(context, *ids, *all); });
}

}  // namespace podlab::cli
