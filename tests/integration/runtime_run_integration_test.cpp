#include <signal.h>

#include "tests/integration/runtime_world.hpp"

namespace podlab::node {
namespace {

class RuntimeRun : public RuntimeTest {};
INSTANTIATE_RUNTIME_TEST(RuntimeRun);

TEST_P(RuntimeRun, KeepsOutputAndExitCodeAndIsRemovedWhole) {
  inWorld([](RuntimeFixture& rt) {
    auto spec = rt.spec("a", {"sh", "-c", "echo out; echo err >&2; printf tail; exit 7"});
    ASSERT_EQ(rt.run(rt.runtime().start(spec)), Status());
    EXPECT_EQ(rt.run(rt.runtime().start(spec)).code(), Code::kAlreadyExists);
    const auto status = rt.waitForExit("a");
    EXPECT_EQ(status.exitCode, 7);
    EXPECT_EQ(status.signal, std::nullopt);
    EXPECT_EQ(status.podUid, "pod");
    EXPECT_LE(*status.startedAt, *status.finishedAt);
    EXPECT_EQ(rt.output("a", "stdout"), "out\ntail");
    EXPECT_EQ(rt.output("a", "stderr"), "err\n");
    EXPECT_EQ(rt.run(rt.runtime().kill("a", SIGTERM)).code(), Code::kNotFound);
    EXPECT_EQ(rt.run(rt.runtime().remove("a")), Status());
    EXPECT_EQ(rt.run(rt.runtime().remove("a")), Status());
    EXPECT_EQ(rt.run(rt.runtime().status("a")).status().code(), Code::kNotFound);
    EXPECT_TRUE(rt.files().listDirectory(rt.folder() + "/state/containers")->empty());
    EXPECT_TRUE(rt.files().listDirectory(rt.folder() + "/state/runtime")->empty());
  });
}

TEST_P(RuntimeRun, SignalsReachTheProgram) {
  inWorld([](RuntimeFixture& rt) {
    ASSERT_EQ(rt.run(rt.runtime().start(rt.spec("killed", {"sleep", "1000"}))), Status());
    ASSERT_EQ(
        rt.run(rt.runtime().start(rt.spec("graceful", {"bash", "-c",
                                                       "trap 'echo bye; exit 3' TERM; echo ready; "
                                                       "while :; do sleep 0.01; done"}))),
        Status());
    while (rt.output("graceful").empty()) std::this_thread::yield();
    EXPECT_EQ(rt.run(rt.runtime().kill("killed", SIGKILL)), Status());
    EXPECT_EQ(rt.run(rt.runtime().kill("graceful", SIGTERM)), Status());
    const auto killed = rt.waitForExit("killed");
    EXPECT_EQ(killed.exitCode, 137);
    EXPECT_EQ(killed.signal, SIGKILL);
    EXPECT_EQ(rt.waitForExit("graceful").exitCode, 3);
    EXPECT_EQ(rt.output("graceful"), "ready\nbye\n");
  });
}

TEST_P(RuntimeRun, RemoveKillsARunningContainer) {
  inWorld([](RuntimeFixture& rt) {
    ASSERT_EQ(rt.run(rt.runtime().start(rt.spec("a", {"sleep", "1000"}))), Status());
    const int pid = rt.run(rt.runtime().status("a"))->pid;
    EXPECT_EQ(::kill(pid, 0), 0);
    EXPECT_EQ(rt.run(rt.runtime().remove("a")), Status());
    EXPECT_LT(::kill(pid, 0), 0);
  });
}

TEST_P(RuntimeRun, ARemovalThatTheRuntimeBrokeOffIsEnded) {
  inWorld([](RuntimeFixture& rt) {
    ASSERT_EQ(rt.run(rt.runtime().start(rt.spec("a", {"true"}))), Status());
    rt.waitForExit("a");
    const std::string state = rt.folder() + "/state/runtime/a";
    ASSERT_EQ(rt.files().removeFile(state + "/config.json"), Status());
    ASSERT_TRUE(rt.files().exists(state));
    EXPECT_EQ(rt.run(rt.runtime().remove("a")), Status());
    EXPECT_FALSE(rt.files().exists(state));
  });
}

TEST_P(RuntimeRun, KeepsAllOfALargeOutput) {
  inWorld([](RuntimeFixture& rt) {
    auto spec = rt.spec("a", {"sh", "-c", "seq 900000; printf '%0100000d' 0 >&2"});
    ASSERT_EQ(rt.run(rt.runtime().start(spec)), Status());
    EXPECT_EQ(rt.waitForExit("a").exitCode, 0);
    const std::string out = rt.output("a", "stdout");
    EXPECT_GT(out.size(), 5u << 20);
    std::string expected;
    for (int i = 1; i <= 900000; ++i) expected += std::to_string(i) + "\n";
    EXPECT_TRUE(out == expected);
    EXPECT_TRUE(rt.output("a", "stderr") == std::string(100000, '0'));
  });
}

TEST_P(RuntimeRun, AProgramThatCannotRunIsAnErrorWithTheReason) {
  inWorld([](RuntimeFixture& rt) {
    const auto start = [&rt](std::vector<std::string> argv) {
      return rt.run(rt.runtime().start(rt.spec("a", std::move(argv))));
    };
    const Status missing = start({"no-such-program"});
    EXPECT_EQ(missing.code(), Code::kNotFound) << missing.toString();
    EXPECT_NE(missing.message().find("no-such-program"), std::string::npos);
    EXPECT_NE(missing.message().find("not found in $PATH"), std::string::npos) << missing.message();
    EXPECT_EQ(start({"/no/such/program"}).code(), Code::kNotFound);
    const Status forbidden = start({"/etc/passwd"});
    EXPECT_EQ(forbidden.code(), Code::kForbidden) << forbidden.toString();
    EXPECT_NE(forbidden.message().find("/etc/passwd"), std::string::npos);
    EXPECT_EQ(start({}).code(), Code::kInvalid);
    auto lost = rt.spec("a", {"true"});
    lost.mounts.push_back({"/no/such/folder", "/mnt", false});
    EXPECT_FALSE(rt.run(rt.runtime().start(lost)).ok());
    EXPECT_TRUE(rt.run(rt.runtime().list())->empty());
    EXPECT_EQ(start({"true"}), Status());
  });
}

TEST_P(RuntimeRun, StdinIsOpenOnlyWhenAsked) {
  inWorld([](RuntimeFixture& rt) {
    ASSERT_EQ(rt.run(rt.runtime().start(rt.spec("closed", {"cat"}))), Status());
    auto open = rt.spec("open", {"cat"});
    open.stdin = true;
    ASSERT_EQ(rt.run(rt.runtime().start(open)), Status());
    EXPECT_EQ(rt.waitForExit("closed").exitCode, 0);
    EXPECT_EQ(rt.run(rt.runtime().status("open"))->state, ContainerState::kRunning);
  });
}

TEST_P(RuntimeRun, ATerminalIsATerminal) {
  inWorld([](RuntimeFixture& rt) {
    auto spec = rt.spec("a", {"sh", "-c", "tty; test -t 1 && echo yes; echo $TERM; exit 4"});
    spec.tty = true;
    ASSERT_EQ(rt.run(rt.runtime().start(spec)), Status());
    EXPECT_EQ(rt.waitForExit("a").exitCode, 4);
    EXPECT_EQ(rt.output("a"), "/dev/pts/0\r\nyes\r\nxterm\r\n");
    auto missing = rt.spec("b", {"no-such-program"});
    missing.tty = true;
    const Status failed = rt.run(rt.runtime().start(missing));
    EXPECT_EQ(failed.code(), Code::kNotFound) << failed.toString();
  });
}

TEST_P(RuntimeRun, ManyAtOnce) {
  inWorld([](RuntimeFixture& rt) {
    std::vector<ContainerSpec> specs;
    for (int i = 0; i < 40; ++i) {
      specs.push_back(rt.spec("c" + std::to_string(i), {"sh", "-c", "exit " + std::to_string(i)}));
    }
    for (const Status& status : rt.startAll(specs)) EXPECT_EQ(status, Status());
    for (int i = 0; i < 40; ++i) {
      EXPECT_EQ(rt.waitForExit("c" + std::to_string(i)).exitCode, i);
    }
  });
}

TEST_P(RuntimeRun, Version) {
  inWorld([](RuntimeFixture& rt) {
    auto version = rt.run(rt.runtime().version());
    ASSERT_TRUE(version.ok()) << version.status().toString();
    EXPECT_EQ(version->rfind("crun://", 0), 0u) << *version;
    EXPECT_EQ(version->find('\n'), std::string::npos);
  });
}

}  // namespace
}  // namespace podlab::node
