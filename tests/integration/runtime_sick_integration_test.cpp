// An OCI runtime that fails, dies or hangs: the agent says so, and goes on when it is well again.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <set>

#include "common/spawn.hpp"
#include "tests/integration/runtime_world.hpp"

namespace podlab::node {
namespace {

struct Sickness {
  const char* name;
  const char* symptom;  ///< what the script does before, or instead of, being crun
  const char* message;  ///< of the failed start
};

const Sickness kSicknesses[] = {
    {"Fails", "echo unwell >&2; exit 1", "unwell"},
    {"Dies", "kill -9 $$", "failed without a message"},
    {"Hangs", "exec sleep 1000", "did not start the container within 500ms"},
    {"HangsWithARunningContainer", "$crun \"$@\"; exec sleep 1000",
     "did not start the container within 500ms"},
    {"DiesWithARunningContainer", "$crun \"$@\"; kill -9 $$", "failed without a message"},
};

/// The programs that run in this world.
std::multiset<std::string> processes(Filesystem& files) {
  std::multiset<std::string> found;
  for (const auto& name : files.listDirectory("/proc").valueOr({})) {
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    auto program = files.readFile("/proc/" + name + "/comm");
    if (program) found.insert(*program);
  }
  return found;
}

class RuntimeSick : public testing::TestWithParam<std::tuple<Privilege, Sickness>> {};

TEST_P(RuntimeSick, IsSaidAndGotOver) {
  const auto& [privilege, sickness] = GetParam();
  inWorld(privilege, [&sickness](RuntimeFixture& world) {
    const auto crun = findProgram("crun");
    ASSERT_TRUE(crun);
    const std::string script = "/mnt/bin/crun";
    ASSERT_EQ(world.files().createDirectories("/mnt/bin"), Status());
    const auto write = [&](const std::string& symptom) {
      ASSERT_EQ(
          world.files().writeFileAtomic(
              script, "#!/bin/sh\ncrun=" + *crun + "\n" + symptom + "\nexec $crun \"$@\"\n", 0755),
          Status());
      ASSERT_EQ(::chmod(script.c_str(), 0755), 0);
    };
    OciRuntimeOptions options;
    options.runtime = script;
    const auto before = processes(world.files());
    {
      write(sickness.symptom);
      options.timeout = std::chrono::milliseconds(500);
      RuntimeFixture sick("/mnt/agent", options);
      ASSERT_EQ(sick.run(sick.runtime().open()), Status());
      const Status status = sick.run(sick.runtime().start(sick.spec("a", {"sleep", "1000"})));
      EXPECT_THAT(status.message(), testing::HasSubstr(sickness.message));
      EXPECT_TRUE(sick.run(sick.runtime().list())->empty());
    }
    write("");
    options.timeout = std::chrono::seconds(60);
    {
      RuntimeFixture well("/mnt/agent", options);
      ASSERT_EQ(well.run(well.runtime().open()), Status());
      EXPECT_TRUE(well.files().listDirectory("/mnt/agent/state/containers")->empty());
      EXPECT_TRUE(well.files().listDirectory("/mnt/agent/state/runtime").valueOr({}).empty());
      EXPECT_EQ(well.run(well.runtime().start(well.spec("a", {"sleep", "1000"}))), Status());
      EXPECT_EQ(well.run(well.runtime().remove("a")), Status());
    }
    while (processes(world.files()) != before) std::this_thread::yield();
  });
}
INSTANTIATE_TEST_SUITE_P(Runtime, RuntimeSick,
                         testing::Combine(testing::Values(Privilege::kRoot, Privilege::kUser),
                                          testing::ValuesIn(kSicknesses)),
                         [](const auto& info) {
                           return std::string(std::get<1>(info.param).name) +
                                  (std::get<0>(info.param) == Privilege::kRoot ? "AsRoot"
                                                                               : "AsUser");
                         });

}  // namespace
}  // namespace podlab::node
