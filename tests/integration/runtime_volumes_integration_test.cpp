#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <filesystem>
#include <fstream>

#include "common/blocking.hpp"
#include "node/local_volumes.hpp"
#include "tests/integration/runtime_world.hpp"

namespace podlab::node {
namespace {

/// emptyDir on disk and in memory, and the pod's /dev/shm, as real mounts.
class RuntimeVolumes : public RuntimeTest {};
INSTANTIATE_RUNTIME_TEST(RuntimeVolumes);

corev1::Pod podWithVolumes() {
  corev1::Pod pod;
  pod.mutable_metadata()->set_uid("u1");
  for (const auto& [name, medium] : {std::pair{"disk", ""}, std::pair{"memory", "Memory"}}) {
    auto& volume = *pod.mutable_spec()->add_volumes();
    volume.set_name(name);
    volume.mutable_volumesource()->mutable_emptydir()->set_medium(medium);
  }
  return pod;
}

bool isTmpfs(const std::string& path) {
  struct statfs info{};
  return ::statfs(path.c_str(), &info) == 0 && info.f_type == TMPFS_MAGIC;
}

int modeOf(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<int>(info.st_mode & 07777) : -1;
}

void write(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

std::string mountsBelow(const std::string& folder) {
  std::ifstream table("/proc/self/mountinfo");
  std::string found;
  for (std::string line; std::getline(table, line);) {
    if (line.find(" " + folder) != std::string::npos) found += line + "\n";
  }
  return found;
}

TEST_P(RuntimeVolumes, AreMadeKeptAndRemoved) {
  inWorld([](RuntimeFixture& rt) {
    const auto pool = makeInlinePool();
    const std::string state = rt.folder() + "/volumes-state";
    const std::string run = rt.folder() + "/volumes-run";
    const auto volumes = makeLocalVolumes(rt.files(), *pool, state, run);
    ::umask(077);
    auto made = rt.run(volumes->setUp(podWithVolumes(), {{"hosts", "127.0.0.1 localhost\n"}}));
    ASSERT_TRUE(made.ok()) << made.status().toString();
    const std::string disk = made->byName.at("disk");
    const std::string memory = made->byName.at("memory");
    EXPECT_TRUE(disk.starts_with(state + "/pods/u1/volumes/")) << disk;
    EXPECT_TRUE(memory.starts_with(run + "/pods/u1/")) << memory;
    EXPECT_TRUE(isTmpfs(memory));
    EXPECT_TRUE(isTmpfs(made->sharedMemory));
    // Of its own, whatever lies below.
    EXPECT_EQ(mountsBelow(disk), "");
    EXPECT_EQ(modeOf(disk), 0777);
    EXPECT_EQ(modeOf(memory), 0777);
    EXPECT_EQ(modeOf(made->sharedMemory), 01777);
    struct statfs shm{};
    ASSERT_EQ(::statfs(made->sharedMemory.c_str(), &shm), 0);
    EXPECT_EQ(static_cast<std::uint64_t>(shm.f_blocks) * static_cast<std::uint64_t>(shm.f_bsize),
              64U << 20);

    // A restarted agent sets up again: nothing is lost, and nothing mounted twice.
    for (const auto& folder : {disk, memory, made->sharedMemory}) write(folder + "/kept", "x");
    const std::string mounted = mountsBelow(run);
    auto again = rt.run(volumes->setUp(podWithVolumes(), {{"hosts", "changed\n"}}));
    ASSERT_TRUE(again.ok()) << again.status().toString();
    EXPECT_EQ(again->byName, made->byName);
    EXPECT_EQ(mountsBelow(run), mounted);
    EXPECT_EQ(*rt.files().readFile(made->etc + "/hosts"), "127.0.0.1 localhost\n");
    for (const auto& folder : {disk, memory, made->sharedMemory}) {
      EXPECT_TRUE(std::filesystem::exists(folder + "/kept")) << folder;
    }

    EXPECT_EQ(rt.run(volumes->tearDown("u1")), Status());
    EXPECT_EQ(mountsBelow(run), "");
    EXPECT_FALSE(std::filesystem::exists(disk));
    EXPECT_FALSE(std::filesystem::exists(run + "/pods/u1"));
    EXPECT_EQ(rt.run(volumes->tearDown("u1")), Status()) << "absent is fine";
  });
}

TEST_P(RuntimeVolumes, ContainersShareThem) {
  inWorld([](RuntimeFixture& rt) {
    const auto pool = makeInlinePool();
    const auto volumes =
        makeLocalVolumes(rt.files(), *pool, rt.folder() + "/state2", rt.folder() + "/run2");
    auto made = rt.run(volumes->setUp(podWithVolumes(), {{"hosts", "127.0.0.1 localhost\n"}}));
    ASSERT_TRUE(made.ok()) << made.status().toString();
    const auto container = [&](const std::string& id, const std::string& script, bool readOnly) {
      auto spec = rt.spec(id, {"sh", "-c", script});
      spec.mounts = {{made->byName.at("disk"), "/disk", readOnly},
                     {made->byName.at("memory"), "/memory", readOnly},
                     {made->sharedMemory, "/dev/shm", false}};
      EXPECT_EQ(rt.run(rt.runtime().start(spec)), Status());
      (void)rt.waitForExit(id);
      return rt.output(id);
    };
    EXPECT_EQ(container("one", "for f in /disk /memory /dev/shm; do echo one > $f/x; done", false),
              "");
    EXPECT_EQ(container("two", "cat /disk/x /memory/x /dev/shm/x; stat -fc %T /memory", false),
              "one\none\none\ntmpfs\n");
    // The mount points are the container's own.
    auto stranger = rt.spec("stranger", {"sh", "-c", "ls -d /disk /memory 2>/dev/null | wc -l"});
    EXPECT_EQ(rt.run(rt.runtime().start(stranger)), Status());
    (void)rt.waitForExit("stranger");
    EXPECT_EQ(rt.output("stranger"), "0\n");
    EXPECT_EQ(
        container("three", "cat /disk/x; echo no 2>/dev/null > /disk/y || echo refused", true),
        "one\nrefused\n");
    EXPECT_EQ(rt.run(volumes->tearDown("u1")), Status());
  });
}

}  // namespace
}  // namespace podlab::node
