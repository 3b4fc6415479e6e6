#include "common/process.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <asio.hpp>

#include "common/real_clock.hpp"
#include "common/spawn.hpp"
#include "common/unique_fd.hpp"

namespace podlab {
namespace {

Co<void> runInto(ProcessRunner& runner, ProcessSpec spec,
                 std::optional<Result<ProcessOutput>>& result) {
  result = co_await runner.run(std::move(spec));
}

class ProcessTest : public testing::Test {
 protected:
  Result<ProcessOutput> run(ProcessSpec spec) {
    std::optional<Result<ProcessOutput>> result;
    asio::co_spawn(io_, runInto(*runner_, std::move(spec), result), asio::detached);
    io_.restart();
    while (!result) io_.run_one();
    return std::move(*result);
  }
  Result<ProcessOutput> shell(std::string script) {
    ProcessSpec spec;
    spec.argv = {"sh", "-c", std::move(script)};
    return run(std::move(spec));
  }

  asio::io_context io_;
  std::unique_ptr<Clock> clock_ = makeRealClock(io_.get_executor());
  std::unique_ptr<ProcessRunner> runner_ = makeProcessRunner(io_.get_executor(), *clock_);
};

TEST_F(ProcessTest, KeepsOutputsApartAndReportsExitCode) {
  auto result = shell("echo out; echo err >&2; exit 7");
  ASSERT_TRUE(result.ok()) << result.status().toString();
  EXPECT_EQ(result->exitCode, 7);
  EXPECT_EQ(result->out, "out\n");
  EXPECT_EQ(result->err, "err\n");
  EXPECT_FALSE(result->timedOut);
}

TEST_F(ProcessTest, SignalIs128PlusNumber) {
  auto result = shell("kill -TERM $$");
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->exitCode, 128 + SIGTERM);
}

TEST_F(ProcessTest, PassesInputAndEnvironment) {
  ProcessSpec spec;
  spec.argv = {"/bin/sh", "-c", "cat; echo \"$GREETING:$HOME\""};
  spec.input = std::string(1 << 20, 'x') + "\n";
  spec.env = {"GREETING=hello", "PATH=/usr/bin:/bin"};
  spec.maxOutput = 2 << 20;
  auto result = run(spec);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->out, spec.input + "hello:\n");
}

TEST_F(ProcessTest, InputThatIsNotReadDoesNotBlock) {
  ProcessSpec spec;
  spec.argv = {"true"};
  spec.input = std::string(1 << 20, 'x');
  auto result = run(spec);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->exitCode, 0);
}

TEST_F(ProcessTest, OutputBeyondTheLimitIsDropped) {
  ProcessSpec spec;
  spec.argv = {"sh", "-c", "head -c 3000000 /dev/zero; echo done >&2"};
  spec.maxOutput = 1000;
  auto result = run(spec);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->out.size(), 1000u);
  EXPECT_EQ(result->err, "done\n");
}

TEST_F(ProcessTest, TimeoutKills) {
  ProcessSpec spec;
  spec.argv = {"sleep", "1000"};
  spec.timeout = std::chrono::milliseconds(1);
  auto result = run(spec);
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(result->timedOut);
  EXPECT_EQ(result->exitCode, 128 + SIGKILL);
}

TEST_F(ProcessTest, DescendantThatKeepsThePipesIsNotWaitedFor) {
  auto result = shell("sleep 1000 & echo $!");
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->exitCode, 0);
  const int left = std::stoi(result->out);
  EXPECT_EQ(::kill(left, 0), 0);
  ::kill(left, SIGKILL);
}

TEST_F(ProcessTest, MissingProgramIsNamed) {
  ProcessSpec spec;
  spec.argv = {"/nonexistent/program"};
  auto result = run(spec);
  EXPECT_EQ(result.status().code(), Code::kNotFound);
  EXPECT_NE(result.status().message().find("/nonexistent/program"), std::string::npos);
  spec.argv = {"/etc/passwd"};
  EXPECT_EQ(run(spec).status().code(), Code::kForbidden);
  spec.argv = {};
  EXPECT_EQ(run(spec).status().code(), Code::kBadRequest);
}

TEST(FindProgram, LooksInPathUnlessTheNameHasASlash) {
  EXPECT_EQ(findProgram("./any/thing"), "./any/thing");
  const auto found = findProgram("sh");
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->ends_with("/sh"));
  EXPECT_EQ(::access(found->c_str(), X_OK), 0);
  EXPECT_EQ(findProgram("no-such-program"), std::nullopt);
}

TEST_F(ProcessTest, RunsAnOpenFileAndKeepsItFromTheProgram) {
  UniqueFd ls(::open("/bin/ls", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(ls);
  ProcessSpec spec;
  spec.program = ls.get();
  spec.argv = {"ls", "/proc/self/fd"};
  auto result = run(spec);
  ASSERT_TRUE(result.ok()) << result.status().toString();
  EXPECT_EQ(result->out, "0\n1\n2\n3\n");  // 3: the folder that it lists
  spec.argv = {"another name", "/nonexistent"};
  result = run(spec);
  ASSERT_TRUE(result.ok()) << result.status().toString();
  EXPECT_TRUE(result->err.starts_with("another name: ")) << result->err;
}

TEST_F(ProcessTest, SignalsOfTheParentAreNotInherited) {
  ::signal(SIGPIPE, SIG_IGN);
  auto result = shell("grep SigIgn /proc/self/status");
  ::signal(SIGPIPE, SIG_DFL);
  ASSERT_TRUE(result.ok());
  const auto mask = std::stoull(result->out.substr(result->out.find('\t')), nullptr, 16);
  EXPECT_EQ(mask & 0x7fffffff, 0u) << result->out;  // the C library keeps 32 and 33 for itself
}

TEST_F(ProcessTest, CancellationKillsTheProgram) {
  asio::cancellation_signal cancel;
  bool aborted = false;
  ProcessSpec spec;
  spec.argv = {"sh", "-c", "exec sleep 1000"};
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);  // inherited: its end tells that the program is gone
  std::optional<Result<ProcessOutput>> result;
  auto done = [&aborted](std::exception_ptr error) { aborted = error != nullptr; };
  asio::co_spawn(io_, runInto(*runner_, spec, result),
                 asio::bind_cancellation_slot(cancel.slot(), done));
  io_.run_one();
  ::close(ends[1]);
  cancel.emit(asio::cancellation_type::terminal);
  io_.run();
  EXPECT_TRUE(aborted);
  char byte;
  EXPECT_EQ(::read(ends[0], &byte, 1), 0);
  ::close(ends[0]);
}

TEST_F(ProcessTest, ManyAtOnce) {
  std::vector<std::optional<Result<ProcessOutput>>> results(50);
  for (std::size_t i = 0; i < results.size(); ++i) {
    ProcessSpec spec;
    spec.argv = {"sh", "-c", "echo " + std::to_string(i)};
    asio::co_spawn(io_, runInto(*runner_, std::move(spec), results[i]), asio::detached);
  }
  io_.run();
  for (std::size_t i = 0; i < results.size(); ++i) {
    ASSERT_TRUE(results[i] && results[i]->ok());
    EXPECT_EQ((*results[i])->out, std::to_string(i) + "\n");
  }
}

}  // namespace
}  // namespace podlab
