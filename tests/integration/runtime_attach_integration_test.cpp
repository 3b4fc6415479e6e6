#include <sys/mount.h>

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

/// Without space for its log a program goes on, and what is missing is said once there is space.
TEST_P(RuntimeAttach, AFullDiskHoldsUpNobody) {
  inWorld([](RuntimeFixture& rt) {
    const std::string logs = rt.folder() + "/logs";
    const std::string shared = rt.folder() + "/shared";
    ASSERT_EQ(rt.files().createDirectories(logs), Status());
    ASSERT_EQ(rt.files().createDirectories(shared), Status());
    ASSERT_EQ(::mount("log", logs.c_str(), "tmpfs", 0, "size=256k"), 0);
    auto spec = rt.spec("a", {"sh", "-c",
                              "seq 200000; touch /tmp/shared/full; while [ ! -e /tmp/shared/go ]; "
                              "do sleep 0.01; done; echo after"});
    spec.mounts = {{shared, "/tmp/shared", false}};
    ASSERT_EQ(rt.run(rt.runtime().start(spec)), Status());
    while (!rt.files().exists(shared + "/full")) rt.step();
    ASSERT_EQ(::mount("log", logs.c_str(), "tmpfs", MS_REMOUNT, "size=4m"), 0);
    ASSERT_EQ(rt.files().writeFileAtomic(shared + "/go", ""), Status());
    EXPECT_EQ(rt.waitForExit("a").exitCode, 0);
    const std::string text = rt.output("a");
    EXPECT_TRUE(text.starts_with("1\n2\n3\n"));
    const std::string notice = " bytes of output are missing here: No space left on device\n";
    const auto at = text.find(notice);
    ASSERT_NE(at, std::string::npos) << text.substr(text.size() > 500 ? text.size() - 500 : 0);
    const auto begin = text.rfind("podlab: ", at) + 8;
    EXPECT_GT(std::stoul(text.substr(begin, at - begin)), 1'000'000u);
    EXPECT_TRUE(text.ends_with("after\n"));
    EXPECT_EQ(rt.run(rt.runtime().remove("a")), Status());
    ASSERT_EQ(::umount(logs.c_str()), 0);
  });
}

}  // namespace
}  // namespace podlab::node
