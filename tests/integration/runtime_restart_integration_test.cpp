#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "node/shim_state.hpp"
#include "tests/integration/runtime_world.hpp"

namespace podlab::node {
namespace {

class RuntimeRestart : public RuntimeTest {
 protected:
  /// Runs `first` as an agent in a process that is then killed with no warning, and `second` as the
  /// next agent on the same folder.
  void inTwoAgents(const std::function<void(RuntimeFixture&)>& first,
                   const std::function<void(RuntimeFixture&)>& second) {
    inWorld([&](RuntimeFixture& world) {
      const std::string folder = "/mnt/agent";
      OciRuntimeOptions options;
      options.cgroups = {world.cgroups().cgroups, world.cgroups().path + "2"};
      std::array<int, 2> ready{};
      ASSERT_EQ(::pipe(ready.data()), 0);
      const pid_t agent = ::fork();
      if (agent == 0) {
        RuntimeFixture rt(folder, options);
        EXPECT_EQ(rt.run(rt.runtime().open()), Status());
        first(rt);
        const char failed = HasFailure() ? 1 : 0;
        [[maybe_unused]] const auto n = ::write(ready[1], &failed, 1);
        for (;;) ::pause();
      }
      // An agent that dies by itself ends the pipe.
      ::close(ready[1]);
      char failed = 1;
      EXPECT_EQ(::read(ready[0], &failed, 1), 1);
      ::kill(agent, SIGKILL);
      ::waitpid(agent, nullptr, 0);
      ASSERT_EQ(failed, 0) << "the first agent's failures are above";
      RuntimeFixture rt(folder, options);
      ASSERT_EQ(rt.run(rt.runtime().open()), Status());
      second(rt);
    });
  }
};
INSTANTIATE_RUNTIME_TEST(RuntimeRestart);

/// Prints numbers until a file appears, then exits with 9.
std::vector<std::string> printer() {
  return {"bash", "-c",
          "i=0; while [ ! -e /tmp/data/stop ]; do echo $((i++)); sleep 0.001; done; exit 9"};
}

TEST_P(RuntimeRestart, ContainersGoOnAndNothingIsLost) {
  inTwoAgents(
      [](RuntimeFixture& rt) {
        ASSERT_EQ(rt.files().createDirectories(rt.folder() + "/volume"), Status());
        auto spec = rt.spec("printer", printer());
        spec.podUid = "uid-1";
        spec.mounts = {{rt.folder() + "/volume", "/tmp/data", false}};
        ASSERT_EQ(rt.run(rt.runtime().start(spec)), Status());
        ASSERT_EQ(rt.run(rt.runtime().start(rt.spec("short", {"sh", "-c", "exit 4"}))), Status());
        rt.waitForExit("short");
        // Ends while no agent is there.
        auto later = rt.spec("later", {"sh", "-c",
                                       "while [ ! -e /tmp/data/go ]; do sleep 0.001; done;"
                                       "echo done; exit 6"});
        later.mounts = spec.mounts;
        ASSERT_EQ(rt.run(rt.runtime().start(later)), Status());
        ASSERT_EQ(rt.files().writeFileAtomic(rt.folder() + "/volume/go", ""), Status());
      },
      [](RuntimeFixture& rt) {
        EXPECT_EQ(rt.run(rt.runtime().list())->size(), 3u);
        const auto running = rt.run(rt.runtime().status("printer"));
        ASSERT_TRUE(running.ok());
        EXPECT_EQ(running->state, ContainerState::kRunning);
        EXPECT_EQ(running->podUid, "uid-1");
        EXPECT_EQ(running->name, "printer");
        EXPECT_TRUE(running->startedAt.has_value());
        EXPECT_EQ(::kill(running->pid, 0), 0);
        EXPECT_EQ(rt.run(rt.runtime().status("short"))->exitCode, 4);
        EXPECT_EQ(rt.waitForExit("later").exitCode, 6);
        EXPECT_EQ(rt.output("later"), "done\n");

        std::vector<std::string> changed;
        rt.runtime().onChange([&changed](std::string id) { changed.push_back(std::move(id)); });
        ASSERT_EQ(rt.files().writeFileAtomic(rt.folder() + "/volume/stop", ""), Status());
        EXPECT_EQ(rt.waitForExit("printer").exitCode, 9);
        EXPECT_EQ(changed, std::vector<std::string>{"printer"});
        std::string expected;
        const std::string out = rt.output("printer");
        for (int i = 0; expected.size() < out.size(); ++i) expected += std::to_string(i) + "\n";
        EXPECT_TRUE(out == expected);
        // What the new agent starts is beside what it found.
        EXPECT_EQ(rt.run(rt.runtime().start(rt.spec("new", {"true"}))), Status());
        EXPECT_EQ(rt.waitForExit("new").exitCode, 0);
        const auto all = *rt.run(rt.runtime().list());
        for (const auto& status : all) {
          EXPECT_EQ(rt.run(rt.runtime().remove(status.id)), Status());
        }
      });
}

TEST_P(RuntimeRestart, KilledInTheMiddleOfStarts) {
  inTwoAgents(
      [](RuntimeFixture& rt) {
        for (int i = 0; i < 20; ++i) {
          rt.startLater(rt.spec("c" + std::to_string(i), {"sleep", "1000"}));
        }
        while (rt.run(rt.runtime().list())->size() < 5) rt.step();
      },
      [](RuntimeFixture& rt) {
        // Each container either runs and is known, or there is nothing of it.
        const auto known = *rt.run(rt.runtime().list());
        EXPECT_GE(known.size(), 5u);
        for (const auto& status : known) {
          EXPECT_EQ(status.state, ContainerState::kRunning) << status.id;
          EXPECT_EQ(::kill(status.pid, 0), 0);
        }
        EXPECT_EQ(rt.files().listDirectory(rt.folder() + "/state/containers")->size(),
                  known.size());
        EXPECT_EQ(rt.files().listDirectory(rt.folder() + "/state/runtime")->size(), known.size());
        for (int i = 0; i < 20; ++i) {
          const std::string id = "c" + std::to_string(i);
          if (!rt.run(rt.runtime().status(id)).ok())
            EXPECT_EQ(rt.run(rt.runtime().start(rt.spec(id, {"sleep", "1000"}))), Status());
          EXPECT_EQ(rt.run(rt.runtime().remove(id)), Status());
        }
      });
}

TEST_P(RuntimeRestart, AKilledShimTakesItsContainerOnly) {
  inTwoAgents(
      [](RuntimeFixture& rt) {
        const auto shimOf = [&rt](const std::string& id) {
          return parseRunning(*rt.files().readFile(rt.folder() + "/state/containers/" + id + "/" +
                                                   kRunningFile))
              ->shim;
        };
        for (const char* id : {"now", "later", "other"}) {
          ASSERT_EQ(rt.run(rt.runtime().start(rt.spec(id, {"sleep", "1000"}))), Status());
        }
        const int pid = rt.run(rt.runtime().status("now"))->pid;
        EXPECT_EQ(signalProcess(shimOf("now"), SIGKILL), Status());
        const auto status = rt.waitForExit("now");
        EXPECT_EQ(status.exitCode, 137);
        EXPECT_EQ(status.signal, SIGKILL);
        EXPECT_FALSE(rt.run(rt.runtime().kill("now", SIGTERM)).ok());
        while (::kill(pid, 0) == 0) std::this_thread::yield();
        EXPECT_EQ(signalProcess(shimOf("later"), SIGKILL), Status());
      },
      [](RuntimeFixture& rt) {
        EXPECT_EQ(rt.run(rt.runtime().status("now"))->exitCode, 137);
        EXPECT_EQ(rt.run(rt.runtime().status("later"))->exitCode, 137);
        EXPECT_EQ(rt.run(rt.runtime().status("other"))->state, ContainerState::kRunning);
        EXPECT_EQ(rt.exec("other", {{"true"}, false, false})->exitCode, 0);
      });
}

TEST_P(RuntimeRestart, AReusedPidIsNotMistaken) {
  inTwoAgents(
      [](RuntimeFixture& rt) {
        ASSERT_EQ(rt.run(rt.runtime().start(rt.spec("a", {"sleep", "1000"}))), Status());
        // As if both processes had ended and another one had their pid: the world's first.
        const std::string file = rt.folder() + "/state/containers/a/" + kRunningFile;
        auto record = *parseRunning(*rt.files().readFile(file));
        EXPECT_EQ(signalProcess(record.init, SIGKILL), Status());
        rt.waitForExit("a");
        ASSERT_EQ(rt.files().removeFile(rt.folder() + "/state/containers/a/" + kExitFile),
                  Status());
        auto ended = *identifyProcess(1);
        ++ended.startTicks;
        record.shim = record.init = ended;
        ASSERT_EQ(rt.files().writeFileAtomic(file, formatRunning(record)), Status());
      },
      [](RuntimeFixture& rt) {
        // Removing it would wait for the end of the process that it was mistaken for.
        ASSERT_EQ(rt.run(rt.runtime().status("a"))->exitCode, 137);
        EXPECT_EQ(rt.run(rt.runtime().remove("a")), Status());
      });
}

TEST_P(RuntimeRestart, TheShimIsStartedAgain) {
  inWorld([](RuntimeFixture& rt) {
    ASSERT_EQ(rt.run(rt.runtime().start(rt.spec("a", {"sleep", "1000"}))), Status());
    // The one that forks: this process's only child.
    auto children =
        rt.files().readFile("/proc/self/task/" + std::to_string(::getpid()) + "/children");
    ASSERT_TRUE(children.ok());
    const int shim = std::atoi(children->c_str());
    ASSERT_GT(shim, 0);
    ASSERT_EQ(::kill(shim, SIGKILL), 0);
    siginfo_t info{};
    ::waitid(P_PID, shim, &info, WEXITED | WNOWAIT);
    ASSERT_EQ(rt.run(rt.runtime().start(rt.spec("b", {"sh", "-c", "exit 8"}))), Status());
    EXPECT_EQ(rt.waitForExit("b").exitCode, 8);
    EXPECT_EQ(rt.run(rt.runtime().status("a"))->state, ContainerState::kRunning);
    ASSERT_EQ(rt.run(rt.runtime().kill("a", SIGKILL)), Status());
    EXPECT_EQ(rt.waitForExit("a").exitCode, 137);
  });
}

}  // namespace
}  // namespace podlab::node
