#include <signal.h>

#include "node/container_log_files.hpp"
#include "tests/integration/runtime_world.hpp"

namespace podlab::node {
namespace {

class RuntimeAttach : public RuntimeTest {
 protected:
  static ContainerSpec reader(RuntimeFixture& rt, const std::string& script) {
    auto spec = rt.spec("a", {"sh", "-c", script});
    spec.stdin = true;
    return spec;
  }
  /// Until the log has `text`.
  static void waitForOutput(RuntimeFixture& rt, const std::string& text) {
    while (rt.output("a").find(text) == std::string::npos) rt.step();
  }
};
INSTANTIATE_RUNTIME_TEST(RuntimeAttach);

TEST_P(RuntimeAttach, StdinReachesTheProgramUntilItIsEnded) {
  inWorld([](RuntimeFixture& rt) {
    const auto spec = reader(rt, "while read line; do echo got $line; done; echo end; exit 3");
    ASSERT_EQ(rt.run(rt.runtime().start(spec)), Status());
    {
      auto first = rt.runtime().openInput("a");
      ASSERT_TRUE(first.ok()) << first.status().toString();
      EXPECT_EQ(rt.run((*first)->write("one\n")), Status());
    }
    waitForOutput(rt, "got one");
    // The program's stdin stays open without clients.
    auto second = rt.runtime().openInput("a");
    auto third = rt.runtime().openInput("a");
    ASSERT_TRUE(second.ok() && third.ok());
    EXPECT_EQ(rt.run((*second)->write("two\n")), Status());
    waitForOutput(rt, "got two");
    (*second)->end();
    third->reset();
    EXPECT_EQ(rt.waitForExit("a").exitCode, 3);
    EXPECT_EQ(rt.output("a"), "got one\ngot two\nend\n");
    EXPECT_EQ(rt.runtime().openInput("a").status().code(), Code::kNotFound);
    EXPECT_EQ(rt.runtime().openInput("none").status().code(), Code::kNotFound);
  });
}

TEST_P(RuntimeAttach, AnEndedOrAbsentStdinIsSaid) {
  inWorld([](RuntimeFixture& rt) {
    ASSERT_EQ(rt.run(rt.runtime().start(reader(rt, "cat; echo end; exec sleep 1000"))), Status());
    (*rt.runtime().openInput("a"))->end();
    waitForOutput(rt, "end");
    EXPECT_EQ(rt.runtime().openInput("a").status().code(), Code::kNotFound);
    ASSERT_EQ(rt.run(rt.runtime().start(rt.spec("b", {"sleep", "1000"}))), Status());
    EXPECT_EQ(rt.runtime().openInput("b").status().code(), Code::kNotFound);
  });
}

TEST_P(RuntimeAttach, ATerminalIsTypedAtAndResized) {
  inWorld([](RuntimeFixture& rt) {
    auto spec = reader(rt, "stty -echo; echo ready; read x; stty size; echo $x");
    spec.tty = true;
    ASSERT_EQ(rt.run(rt.runtime().start(spec)), Status());
    waitForOutput(rt, "ready");
    auto input = rt.runtime().openInput("a");
    ASSERT_TRUE(input.ok()) << input.status().toString();
    EXPECT_EQ((*input)->resize(41, 99), Status());
    EXPECT_EQ(rt.run((*input)->write("typed\n")), Status());
    EXPECT_EQ(rt.waitForExit("a").exitCode, 0);
    EXPECT_NE(rt.output("a").find("41 99\r\ntyped\r\n"), std::string::npos) << rt.output("a");
  });
}

/// A program that writes more than the log keeps is not held up, and its last lines are there.
TEST_P(RuntimeAttach, TheLogIsRotated) {
  inWorld([](RuntimeFixture& rt) {
    const auto spec = rt.spec("a", {"sh", "-c", "seq 10000000 10999999; seq 2000000"});
    ASSERT_EQ(rt.run(rt.runtime().start(spec)), Status());
    EXPECT_EQ(rt.waitForExit("a").exitCode, 0);
    const auto names = *rt.files().listDirectory(rt.folder() + "/logs");
    const auto numbers = logFileNumbers(rt.folder() + "/logs/a.log", names);
    ASSERT_EQ(numbers.size(), 5u);
    EXPECT_GT(numbers.front(), 0u);
    const auto last =
        *rt.files().readFile(logFileName(rt.folder() + "/logs/a.log", numbers.back()));
    EXPECT_TRUE(last.ends_with(" stdout F 2000000\n"));
  });
}

}  // namespace
}  // namespace podlab::node
