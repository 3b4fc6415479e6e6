#include "cli/man_command.hpp"

#include <cstdio>

#include "cli/command_tree.hpp"
#include "cli/executable.hpp"

namespace podlab::cli {
namespace {

/// As running text: no character of it is a request or an escape of roff's.
std::string text(const std::string& plain) {
  std::string out = plain.starts_with('.') || plain.starts_with('\'') ? "\\&" : "";
  for (const char c : plain) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

std::string names(const Flag& flag) {
  std::string out;
  if (!flag.shortName.empty()) out = "\\fB" + text("-" + flag.shortName) + "\\fR";
  if (!flag.shortName.empty() && !flag.longName.empty()) out += ", ";
  if (!flag.longName.empty()) out += "\\fB" + text("--" + flag.longName) + "\\fR";
  if (!flag.takesValue) return out;
  std::string value;
  for (const auto& one : flag.values) value += (value.empty() ? "" : "|") + one;
  return out + " \\fI" + (value.empty() ? "VALUE" : text(value)) + "\\fR";
}

std::string flags(const Command& command) {
  std::string out;
  for (std::size_t i = command.inherited; i < command.flags.size(); ++i) {
    const Flag& flag = command.flags[i];
    out += ".TP\n" + names(flag) + "\n" + text(flag.help) + "\n";
  }
  return out;
}

std::string usage(const Command& command) {
  std::string out = "\\fB";
  for (const auto& word : command.path)
    out += (word == command.path.front() ? "" : " ") + text(word);
  out += "\\fR";
  if (!command.subcommands.empty()) out += " \\fICOMMAND\\fR";
  for (const auto& argument : command.arguments) out += " \\fI" + text(argument) + "\\fR";
  return out + " [flags]";
}

}  // namespace

std::string manualPage(const CLI::App& app, const std::string& version) {
  const auto commands = commandTree(app);
  const Command& whole = commands.front();
  std::string page = ".TH PODLAB 1 \"\" \"podlab " + text(version) + "\" \"podlab\"\n";
  page += ".SH NAME\npodlab \\- " + text(whole.help) + "\n";
  page += ".SH SYNOPSIS\n" + usage(whole) + "\n";
  page += ".SH FLAGS OF ALL COMMANDS\n" + flags(whole);
  page += ".SH COMMANDS\n";
  for (std::size_t i = 1; i < commands.size(); ++i)
    page += ".SS " + usage(commands[i]) + "\n" + text(commands[i].help) + "\n" + flags(commands[i]);
  page +=
      ".SH EXIT STATUS\n0: done; 1: failed; 2: wrong usage; 3: a check did not hold; 4: the host "
      "lacks something.\n"
      ".SH ENVIRONMENT\n.TP\n\\fBPODLAB_NAME\\fR\nThe lab, instead of \\fB\\-\\-name\\fR.\n"
      ".TP\n\\fBPODLAB_STATE_DIR\\fR\nThe folder of all labs.\n";
  return page;
}

void addManCommand(CLI::App& app, Context& context) {
  app.add_subcommand("man", "Print the manual page")->group("")->callback([&app, &context] {
    std::fputs(manualPage(app, versionText()).c_str(), stdout);
    context.exitCode = kDone;
  });
}

}  // namespace podlab::cli
