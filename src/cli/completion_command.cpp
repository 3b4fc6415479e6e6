#include "cli/completion_command.hpp"

#include <cstdio>
#include <vector>

#include "api/kinds.hpp"
#include "cli/command_tree.hpp"

namespace podlab::cli {
namespace {

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::string typeWords() {
  std::vector<std::string> words;
  for (const auto& kind : api::kinds()) words.emplace_back(kind.plural);
  return join(words);
}

std::vector<std::string> dashed(const Flag& flag) {
  std::vector<std::string> names;
  if (!flag.longName.empty()) names.push_back("--" + flag.longName);
  if (!flag.shortName.empty()) names.push_back("-" + flag.shortName);
  return names;
}

/// The tables that bash and zsh read alike: _podlab_at sets subs, flags, valued and types of a
/// command, _podlab_values sets the values of a flag.
std::string tables(const std::vector<Command>& commands) {
  std::string at = "_podlab_at() {\n  case \"$1\" in\n";
  std::string values = "_podlab_values() {\n  values=\"\"\n  case \"$1 $2\" in\n";
  for (const auto& command : commands) {
    std::vector<std::string> all, valued;
    const std::string path = join(command.path);
    for (const auto& flag : command.flags) {
      const auto names = dashed(flag);
      all.insert(all.end(), names.begin(), names.end());
      if (!flag.takesValue) continue;
      valued.insert(valued.end(), names.begin(), names.end());
      if (flag.values.empty()) continue;
      std::string pattern;
      for (const auto& name : names)
        pattern += (pattern.empty() ? "\"" : "|\"") + path + " " + name + "\"";
      values += "    " + pattern + ") values=\"" + join(flag.values) + "\" ;;\n";
    }
    at += "    \"" + path + "\")\n      subs=\"" + join(command.subcommands) +
          "\"\n      flags=\"" + join(all) + "\"\n      valued=\"" + join(valued) +
          "\"\n      types=\"" + (command.takesType ? typeWords() : "") + "\" ;;\n";
  }
  return at + "  esac\n}\n" + values + "    *) ;;\n  esac\n}\n";
}

/// From the words before the current one, and the current one itself, the `list` to choose from.
constexpr const char* kChoose = R"(_podlab_choose() {
  local at=podlab word rest=0 skip=0
  _podlab_at "$at"
  for word in "$@"; do
    if [[ $skip == 1 || -z $word ]]; then
      skip=0
    elif [[ " $valued " == *" $word "* ]]; then
      skip=1
    elif [[ " $subs " == *" $word "* ]]; then
      at="$at $word"
      _podlab_at "$at"
    elif [[ $word != -* ]]; then
      rest=1
    fi
  done
  if [[ $skip == 1 ]]; then
    _podlab_values "$at" "$word"
    list=$values
  elif [[ $current == -* ]]; then
    list=$flags
  elif [[ -n $subs ]]; then
    list=$subs
  elif [[ $rest == 0 ]]; then
    list=$types
  fi
}
)";

constexpr const char* kBash = R"(_podlab() {
  local subs flags valued types values list current=${COMP_WORDS[COMP_CWORD]}
  _podlab_choose "${COMP_WORDS[@]:1:COMP_CWORD-1}"
  COMPREPLY=($(compgen -W "$list" -- "$current"))
}
complete -o default -F _podlab podlab
)";

constexpr const char* kZsh = R"(_podlab() {
  local subs flags valued types values list current=${words[CURRENT]}
  _podlab_choose "${(@)words[2,CURRENT-1]}"
  if [[ -n $list ]]; then
    compadd -- ${=list}
  else
    _files
  fi
}
compdef _podlab podlab
)";

std::string fishQuoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string fishScript(const std::vector<Command>& commands) {
  std::string out = "# fish completion of podlab\ncomplete -c podlab -f\n";
  const auto helpOf = [&](std::vector<std::string> path, const std::string& name) {
    path.push_back(name);
    for (const auto& command : commands) {
      if (command.path == path) return command.help;
    }
    return std::string();
  };
  for (const auto& command : commands) {
    std::string here;
    for (std::size_t i = 1; i < command.path.size(); ++i)
      here += (here.empty() ? "" : "; and ") + std::string("__fish_seen_subcommand_from ") +
              command.path[i];
    const std::string none = command.subcommands.empty()
                                 ? ""
                                 : "not __fish_seen_subcommand_from " + join(command.subcommands);
    const std::string before = here.empty() || none.empty() ? here + none : here + "; and " + none;
    const std::string start = "complete -c podlab -n ";
    for (const auto& name : command.subcommands) {
      out += start + fishQuoted(before) + " -a " + name + " -d " +
             fishQuoted(helpOf(command.path, name)) + "\n";
    }
    if (command.takesType)
      out += start + fishQuoted(here) + " -a " + fishQuoted(typeWords()) + "\n";
    for (const auto& flag : command.flags) {
      out += start + fishQuoted(before);
      if (!flag.longName.empty()) out += " -l " + flag.longName;
      if (!flag.shortName.empty()) out += " -s " + flag.shortName;
      if (!flag.values.empty()) {
        out += " -x -a " + fishQuoted(join(flag.values));
      } else if (flag.takesValue) {
        out += " -r -F";
      }
      out += " -d " + fishQuoted(flag.help) + "\n";
    }
  }
  return out;
}

}  // namespace

std::string completionScript(const CLI::App& app, const std::string& shell) {
  const auto commands = commandTree(app);
  if (shell == "fish") return fishScript(commands);
  if (shell == "zsh") return "#compdef podlab\n" + tables(commands) + kChoose + kZsh;
  return "# bash completion of podlab\n" + tables(commands) + kChoose + kBash;
}

void addCompletionCommand(CLI::App& app, Context& context) {
  auto shell = std::make_shared<std::string>();
  auto* command = app.add_subcommand("completion", "Print the completion script of a shell");
  command->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->callback([&app, &context, shell] {
    std::fputs(completionScript(app, *shell).c_str(), stdout);
    context.exitCode = kDone;
  });
}

}  // namespace podlab::cli
