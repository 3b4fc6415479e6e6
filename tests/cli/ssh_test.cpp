#include "cli/ssh.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>

#include "cli/agent_service.hpp"
#include "cli/host_setup.hpp"
#include "tests/param_name.hpp"

namespace podlab::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// What a shell makes of a command line.
std::string outputOf(const std::string& shell, const std::string& command) {
  const std::string line = shell + " -c " + shellWord(command);
  std::FILE* pipe = ::popen(line.c_str(), "r");
  std::string text;
  for (int c; (c = std::fgetc(pipe)) != EOF;) text += static_cast<char>(c);
  ::pclose(pipe);
  return text;
}

class ShellWords : public testing::TestWithParam<const char*> {};

TEST_P(ShellWords, ArriveAsTheyAre) {
  const std::string word = GetParam();
  for (const char* shell : {"sh", "bash"}) {
    EXPECT_EQ(outputOf(shell, "printf %s " + shellWord(word)), word);
    EXPECT_EQ(outputOf(shell, remoteCommand("printf \"%s|\" \"$@\"", {word, "end"})),
              word + "|end|");
  }
}

INSTANTIATE_TEST_SUITE_P(All, ShellWords,
                         testing::Values("", "plain", "a b", "it's", "''", "$(reboot)", "`reboot`",
                                         "a;b", "a&&b", "a|b", ">x", "*", "~", "\"", "\\", "a\\'b",
                                         "-n", "memory.available<100Mi", "k=v:NoSchedule", "=ls",
                                         "{a,b}", "#x", "a\tb", "\xc3\xa4"),
                         [](const auto& info) { return paramName(info.param, info.index); });

TEST(ShellWords, PlainOnesStayReadable) {
  EXPECT_EQ(shellWord("/usr/local/bin/podlab"), "/usr/local/bin/podlab");
  EXPECT_EQ(remoteCommand("true", {"a", "b c"}), "sh -c true podlab a 'b c'");
}

TEST(SshFailures, HaveARemedy) {
  const lab::NodeHost host{"me", "m2", 2222};
  const auto told = [&](const char* said) { return sshFailure(host, said).message(); };
  EXPECT_EQ(told("Host key verification failed.\r\n"),
            "Host key verification failed.; its host key is not known here; look at it, and accept "
            "it: ssh -p 2222 me@m2");
  EXPECT_THAT(told("@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n@@@\nHost key "
                   "verification failed.\n"),
              HasSubstr("remove the old one by ssh-keygen -R"));
  EXPECT_EQ(told("me@m2: Permission denied (publickey).\n"),
            "me@m2: Permission denied (publickey).; let your key in: ssh-copy-id -p 2222 me@m2; a "
            "key with a passphrase must be in ssh-agent (ssh-add)");
  EXPECT_THAT(told("ssh: connect to host m2 port 2222: Connection timed out\n"),
              HasSubstr("the machine is down, or a firewall is between"));
  EXPECT_EQ(told("kex_exchange_identification: read: Connection reset by peer"),
            "kex_exchange_identification: read: Connection reset by peer; try it by hand: ssh -p "
            "2222 me@m2");
  EXPECT_EQ(told(""), "ssh failed and said nothing; try it by hand: ssh -p 2222 me@m2");
}

TEST(RemoteFailures, HaveARemedy) {
  const auto told = [](int code, const char* said) {
    ProcessOutput output;
    output.exitCode = code;
    output.err = said;
    return remoteFailure(output).message();
  };
  EXPECT_EQ(told(1, "cat: write error: No space left on device\n"),
            "cat: write error: No space left on device; free some space there");
  EXPECT_THAT(told(1, "sudo: a password is required\n"), HasSubstr("NOPASSWD in sudoers"));
  EXPECT_THAT(told(127, "podlab: error while loading shared libraries: libx.so: cannot open\n"),
              HasSubstr("not built for that system"));
  EXPECT_EQ(told(1, "a log line\nerror: crun: not there; remedy: apt-get install crun\n"),
            "crun: not there; remedy: apt-get install crun");
  EXPECT_EQ(told(7, ""), "the command there ended with 7");
}

TEST(MachineFacts, AreReadAmongOtherLines) {
  const MachineFacts facts = readMachineFacts(
      "Welcome!\npodlab-fact kernel Linux\npodlab-fact machine x86_64\npodlab-fact uid 1000\n"
      "podlab-fact client 192.168.56.1\npodlab-fact sudo sudo: a password is required\n"
      "podlab-fact program 12ab /usr/local/bin/podlab\npodlab-fact program\n");
  EXPECT_EQ(facts.kernel, "Linux");
  EXPECT_EQ(facts.machine, "x86_64");
  EXPECT_FALSE(facts.root);
  EXPECT_EQ(facts.client, "192.168.56.1");
  EXPECT_EQ(facts.sudo, "sudo: a password is required");
  EXPECT_THAT(facts.programs, ElementsAre(InstalledProgram{"/usr/local/bin/podlab", "12ab"}));
  EXPECT_EQ(equalProgram(facts, "12ab"), "/usr/local/bin/podlab");
  EXPECT_EQ(equalProgram(facts, "34cd"), "");
}

TEST(MachineFacts, SayWhoCanBeANode) {
  MachineFacts facts;
  const auto verdict = [&] { return judgeMachine(facts, "x86_64").message(); };
  EXPECT_THAT(verdict(), HasSubstr("no POSIX shell"));
  facts.kernel = "Darwin";
  EXPECT_THAT(verdict(), HasSubstr("it runs Darwin; a node is a Linux machine"));
  facts.kernel = "Linux";
  facts.machine = "aarch64";
  EXPECT_THAT(verdict(), HasSubstr("its architecture is aarch64, this podlab is built for x86_64"));
  facts.machine = "x86_64";
  facts.sudo = "sh: 1: sudo: not found";
  EXPECT_THAT(verdict(), HasSubstr("sudo says: sh: 1: sudo: not found; let the user run commands"));
  facts.root = true;
  EXPECT_EQ(verdict(), "");
}

TEST(AgentUnit, IsThePackagesWithTheFlagsInIt) {
  const std::string unit = agentUnit("/usr/local/bin/podlab", {"--label", "a=\"50%\" $x\\"});
  EXPECT_TRUE(unit.starts_with("# Written by podlab agent --background"));
  EXPECT_THAT(unit, HasSubstr("\nExecStart=/usr/local/bin/podlab agent \"--label\" "
                              "\"a=\\\"50%%\\\" $$x\\\\\"\n"));
  for (const char* line : {"[Unit]\n", "KillMode=process\n", "Restart=always\n", "WantedBy="})
    EXPECT_THAT(unit, HasSubstr(line));
  for (const char* word : {"EnvironmentFile", "ConditionPathExists", "/usr/bin/podlab"})
    EXPECT_THAT(unit, testing::Not(HasSubstr(word)));
}

}  // namespace
}  // namespace podlab::cli
