#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <set>
#include <sstream>

#include "cli/commands.hpp"
#include "cli/completion_command.hpp"

namespace podlab::cli {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// The scripts of the real commands, and a bash that has read one.
class Completion : public testing::Test {
 protected:
  Completion() : app_("", "podlab") {
    app_.add_option("--name", context_.lab, "The lab");
    addLabCommands(app_, context_);
    addNodeCommands(app_, context_);
    addResourceCommands(app_, context_);
    addConfigCommands(app_, context_);
    addProcessCommands(app_, context_);
    std::string path = testing::TempDir() + "/podlab-completion-XXXXXX";
    const int fd = ::mkstemp(path.data());
    ::close(fd);
    file_ = path;
    std::ofstream(file_) << completionScript(app_, "bash");
  }
  ~Completion() override { ::unlink(file_.c_str()); }

  static std::string run(const std::string& command, int& status) {
    FILE* pipe = ::popen(command.c_str(), "r");
    std::string out;
    char buffer[4096];
    for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;)
      out.append(buffer, n);
    status = ::pclose(pipe);
    return out;
  }

  /// What is offered for the last of the words.
  std::set<std::string> complete(const std::vector<std::string>& words) {
    std::string line;
    for (const auto& word : words) line += (word.empty() ? "\"\"" : word) + " ";
    int status = 0;
    std::istringstream out(run("bash -c '. " + file_ + "; COMP_WORDS=(" + line +
                                   "); COMP_CWORD=" + std::to_string(words.size() - 1) +
                                   "; _podlab; printf \"%s\\n\" \"${COMPREPLY[@]}\"'",
                               status));
    EXPECT_EQ(status, 0);
    std::set<std::string> offered;
    for (std::string word; std::getline(out, word);) {
      if (!word.empty()) offered.insert(word);
    }
    return offered;
  }

  Context context_;
  CLI::App app_;
  std::string file_;
};

TEST_F(Completion, BashReadsTheScript) {
  int status = -1;
  EXPECT_EQ(run("bash -n " + file_ + " 2>&1", status), "");
  EXPECT_EQ(status, 0);
}

TEST_F(Completion, Commands) {
  const auto all = complete({"podlab", ""});
  for (const char* name : {"up", "down", "get", "describe", "apply", "logs", "exec", "reach"})
    EXPECT_THAT(all, Contains(name));
  // Those of the machinery are hidden.
  EXPECT_THAT(all, Not(Contains("node-init")));
  EXPECT_THAT(complete({"podlab", "des"}), ElementsAre("describe"));
  EXPECT_THAT(complete({"podlab", "node", "st"}), ElementsAre("start", "stop"));
}

TEST_F(Completion, CommandsAfterGlobalFlags) {
  EXPECT_THAT(complete({"podlab", "--name", "up", "des"}), ElementsAre("describe"));
}

TEST_F(Completion, Types) {
  for (const char* verb : {"get", "describe", "delete", "wait"}) {
    EXPECT_THAT(complete({"podlab", verb, "pods"}), ElementsAre("pods")) << verb;
    EXPECT_THAT(complete({"podlab", verb, "-n", "demo", "nod"}), ElementsAre("nodes")) << verb;
    EXPECT_THAT(complete({"podlab", verb, "pods", "no"}), IsEmpty()) << verb;
  }
  EXPECT_THAT(complete({"podlab", "logs", "po"}), IsEmpty());
}

TEST_F(Completion, FlagsAndTheirValues) {
  EXPECT_THAT(complete({"podlab", "get", "--all"}), ElementsAre("--all-namespaces"));
  EXPECT_THAT(complete({"podlab", "get", "pods", "--na"}), ElementsAre("--name", "--namespace"));
  EXPECT_THAT(complete({"podlab", "get", "pods", "-o", ""}),
              testing::IsSupersetOf({"json", "name", "wide", "yaml", "jsonpath"}));
  EXPECT_THAT(complete({"podlab", "events", "--types", "W"}), ElementsAre("Warning"));
}

TEST_F(Completion, OtherShells) {
  EXPECT_THAT(completionScript(app_, "zsh"), testing::StartsWith("#compdef podlab\n"));
  const auto fish = completionScript(app_, "fish");
  EXPECT_THAT(fish, HasSubstr("complete -c podlab -n "
                              "'not __fish_seen_subcommand_from "));
  EXPECT_THAT(fish, testing::ContainsRegex("-l output -s o -x -a '[a-z -]*json[a-z -]*wide yaml'"));
}

}  // namespace
}  // namespace podlab::cli
