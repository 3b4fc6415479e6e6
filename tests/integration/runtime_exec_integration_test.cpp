#include <signal.h>

#include "tests/integration/runtime_world.hpp"

namespace podlab::node {
namespace {

class RuntimeExec : public RuntimeTest {
 protected:
  /// With a container "a" that sleeps.
  void inContainer(const std::function<void(RuntimeFixture&)>& body) {
    inWorld([&body](RuntimeFixture& rt) {
      ASSERT_EQ(rt.run(rt.runtime().start(rt.spec("a", {"sleep", "1000"}))), Status());
      body(rt);
    });
  }
};
INSTANTIATE_RUNTIME_TEST(RuntimeExec);

ExecSpec shell(const std::string& script, bool withStdin = false, bool tty = false) {
  ExecSpec spec;
  spec.argv = {"sh", "-c", script};
  spec.stdin = withStdin;
  spec.tty = tty;
  return spec;
}

TEST_P(RuntimeExec, OutputsAndExitCode) {
  inContainer([](RuntimeFixture& rt) {
    auto result = rt.exec("a", shell("echo out; echo err >&2; cat; exit 5"));
    ASSERT_TRUE(result.ok()) << result.status().toString();
    EXPECT_EQ(result->out, "out\n");
    EXPECT_EQ(result->err, "err\n");
    EXPECT_EQ(result->exitCode, 5);
    EXPECT_EQ(rt.exec("a", shell("kill -KILL $$"))->exitCode, 137);
    EXPECT_EQ(rt.exec("a", shell("exit 255"))->exitCode, 255);
  });
}

TEST_P(RuntimeExec, StdinToItsEnd) {
  inContainer([](RuntimeFixture& rt) {
    std::string input;
    for (int i = 0; i < 100; ++i) input += std::string(100, 'a') + "\n";
    EXPECT_EQ(rt.exec("a", shell("cat", true), input)->out, input);
    EXPECT_EQ(rt.exec("a", shell("wc -c", true), std::string(60'000, 'b'))->out, "60000\n");
  });
}

TEST_P(RuntimeExec, LargeOutput) {
  inContainer([](RuntimeFixture& rt) {
    auto result = rt.exec("a", shell("head -c 5000000 /dev/zero; echo end >&2"));
    EXPECT_EQ(result->out.size(), 5'000'000u);
    EXPECT_EQ(result->err, "end\n");
  });
}

TEST_P(RuntimeExec, AProgramThatCannotRun) {
  inContainer([](RuntimeFixture& rt) {
    ExecSpec spec;
    spec.argv = {"no-such-program"};
    const Status missing = rt.exec("a", spec).status();
    EXPECT_EQ(missing.code(), Code::kNotFound) << missing.toString();
    EXPECT_NE(missing.message().find("not found in $PATH"), std::string::npos);
    spec.tty = true;
    const Status missingWithTerminal = rt.exec("a", spec).status();
    EXPECT_EQ(missingWithTerminal.code(), Code::kNotFound) << missingWithTerminal.toString();
    spec.argv = {"/etc/passwd"};
    const Status forbidden = rt.exec("a", spec).status();
    EXPECT_EQ(forbidden.code(), Code::kForbidden) << forbidden.toString();
    spec.argv = {};
    EXPECT_EQ(rt.exec("a", spec).status().code(), Code::kInvalid);
    EXPECT_EQ(rt.exec("none", shell("true")).status().code(), Code::kNotFound);
    ASSERT_EQ(rt.run(rt.runtime().kill("a", SIGKILL)), Status());
    rt.waitForExit("a");
    EXPECT_EQ(rt.exec("a", shell("true")).status().code(), Code::kNotFound);
  });
}

TEST_P(RuntimeExec, ATerminal) {
  inContainer([](RuntimeFixture& rt) {
    auto result = rt.exec("a", shell("tty; exit 3", false, true));
    ASSERT_TRUE(result.ok()) << result.status().toString();
    EXPECT_EQ(result->out, "/dev/pts/0\r\n");
    EXPECT_EQ(result->exitCode, 3);
    // The terminal echoes what is typed, and the end of input ends the program.
    auto typed = rt.exec("a", shell("stty -echo; echo ready; cat", true, true), "typed\n");
    ASSERT_TRUE(typed.ok()) << typed.status().toString();
    EXPECT_EQ(typed->exitCode, 0);
    const auto left = *rt.files().listDirectory(rt.folder() + "/state/containers/a");
    for (const auto& name : left) {
      EXPECT_EQ(name.find(".sock"), std::string::npos) << name;
    }
  });
}

TEST_P(RuntimeExec, ResizeIsSeenByTheProgram) {
  inContainer([](RuntimeFixture& rt) {
    auto session = rt.run(rt.runtime().exec("a", shell("read x; stty size", true, true)));
    ASSERT_TRUE(session.ok()) << session.status().toString();
    EXPECT_EQ((*session)->resize(33, 121), Status());
    EXPECT_EQ(rt.run((*session)->writeStdin("\n")), Status());
    std::string out;
    for (;;) {
      auto output = rt.run((*session)->read());
      if (output->exitCode) break;
      out += output->data;
    }
    EXPECT_NE(out.find("33 121"), std::string::npos) << out;
  });
}

TEST_P(RuntimeExec, LettingTheSessionGoKillsTheProgram) {
  inContainer([](RuntimeFixture& rt) {
    {
      auto session = rt.run(rt.runtime().exec("a", shell("echo started; exec sleep 4321")));
      ASSERT_TRUE(session.ok());
      EXPECT_EQ(rt.run((*session)->read())->data, "started\n");
    }
    EXPECT_EQ(rt.exec("a", shell("while pgrep -f 'sleep 432[1]'; do sleep 0.01; done"))->exitCode,
              0);
  });
}

}  // namespace
}  // namespace podlab::node
