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

VolumeSpec volume(const std::string& name, VolumeSpec::Type type) {
  VolumeSpec spec;
  spec.name = name;
  spec.type = type;
  return spec;
}

VolumeSpec filesOf(const std::string& name, VolumeSpec::Type type, Payload files) {
  VolumeSpec spec = volume(name, type);
  spec.files = std::move(files);
  return spec;
}

VolumeSpec hostPath(const std::string& path, const std::string& type) {
  VolumeSpec spec = volume("host", VolumeSpec::Type::kHostPath);
  spec.path = path;
  spec.pathType = type;
  spec.mode = 0755;
  return spec;
}

std::vector<VolumeSpec> someVolumes() {
  return {volume("disk", VolumeSpec::Type::kDisk), volume("memory", VolumeSpec::Type::kMemory)};
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
    const auto volumes = makeLocalVolumes(rt.files(), *pool, rt.clock(), state, run);
    ::umask(077);
    auto made = rt.run(volumes->setUp("u1", someVolumes(), {{"hosts", "127.0.0.1 localhost\n"}}));
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
    auto again = rt.run(volumes->setUp("u1", someVolumes(), {{"hosts", "changed\n"}}));
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
    const auto volumes = makeLocalVolumes(rt.files(), *pool, rt.clock(), rt.folder() + "/state2",
                                          rt.folder() + "/run2");
    auto made = rt.run(volumes->setUp("u1", someVolumes(), {{"hosts", "127.0.0.1 localhost\n"}}));
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

TEST_P(RuntimeVolumes, FilesChangeAllAtOnceUnderARunningContainer) {
  inWorld([](RuntimeFixture& rt) {
    using Type = VolumeSpec::Type;
    const auto pool = makeInlinePool();
    const std::string run = rt.folder() + "/run3";
    const auto volumes =
        makeLocalVolumes(rt.files(), *pool, rt.clock(), rt.folder() + "/state3", run);
    const auto setUp = [&](const std::string& text) {
      const Payload files{{"a", {text, 0640}}, {"sub/b", {text, 0777}}};
      return rt.run(volumes->setUp(
          "u1", {filesOf("config", Type::kFiles, files), filesOf("secret", Type::kSecret, files)},
          {}));
    };
    auto made = setUp("1");
    ASSERT_TRUE(made.ok()) << made.status().toString();
    EXPECT_TRUE(isTmpfs(made->byName.at("secret")));
    EXPECT_FALSE(isTmpfs(made->byName.at("config")) && !isTmpfs(rt.folder()));
    // It looks again when the pipe tells it to.
    auto spec = rt.spec("reader", {"sh", "-c",
                                   "cat /c/a /c/sub/b /s/a; stat -Lc %a /c/a /c/sub/b; touch /c/x "
                                   "2>/dev/null || echo refused; cat /go; cat /c/a /s/sub/b"});
    const std::string pipe = rt.folder() + "/go";
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0666), 0);
    spec.mounts = {{made->byName.at("config"), "/c", true},
                   {made->byName.at("secret"), "/s", true},
                   {pipe, "/go"}};
    ASSERT_EQ(rt.run(rt.runtime().start(spec)), Status());
    while (rt.output("reader").find("refused") == std::string::npos) rt.step();
    ASSERT_TRUE(setUp("2").ok());
    std::ofstream(pipe) << "";
    (void)rt.waitForExit("reader");
    EXPECT_EQ(rt.output("reader"), "111640\n777\nrefused\n22");
    EXPECT_EQ(rt.run(volumes->tearDown("u1")), Status());
    EXPECT_EQ(mountsBelow(run), "");
  });
}

TEST_P(RuntimeVolumes, ASubPathNeverLeavesItsVolume) {
  inWorld([](RuntimeFixture& rt) {
    const auto pool = makeInlinePool();
    const std::string run = rt.folder() + "/run4";
    const auto volumes =
        makeLocalVolumes(rt.files(), *pool, rt.clock(), rt.folder() + "/state4", run);
    auto made = rt.run(volumes->setUp("u1", someVolumes(), {}));
    ASSERT_TRUE(made.ok()) << made.status().toString();
    const std::string disk = made->byName.at("disk");
    const auto open = [&](const std::string& path) {
      return rt.run(volumes->openSubPath({"u1", "main", 0, disk, path}));
    };
    std::filesystem::create_directories(disk + "/a/b");
    write(disk + "/a/file", "content");
    std::filesystem::create_directory_symlink("a", disk + "/inside");
    std::filesystem::create_directory_symlink("..", disk + "/outside");
    std::filesystem::create_directory_symlink("/etc", disk + "/absolute");
    std::filesystem::create_directory_symlink("nowhere", disk + "/dangling");
    for (const char* path : {"outside", "outside/x", "absolute", "absolute/passwd", "a/../../x"}) {
      auto opened = open(path);
      EXPECT_TRUE(opened.status().is(Code::kForbidden)) << path << opened.status().toString();
    }
    EXPECT_FALSE(open("dangling/x").ok());
    EXPECT_FALSE(open("a/file/x").ok());
    for (const auto& [path, same] :
         {std::pair{"a", "/a"}, std::pair{"inside/b", "/a/b"}, std::pair{"a/file", "/a/file"}}) {
      auto opened = open(path);
      ASSERT_TRUE(opened.ok()) << path << opened.status().toString();
      EXPECT_TRUE(std::filesystem::equivalent(*opened, disk + same)) << path;
    }
    // What is not there becomes a folder.
    auto fresh = open("new/folder");
    ASSERT_TRUE(fresh.ok()) << fresh.status().toString();
    EXPECT_TRUE(std::filesystem::is_directory(disk + "/new/folder"));
    // What was opened is what is mounted, whatever is put into its place.
    std::filesystem::rename(disk + "/new", disk + "/moved");
    std::filesystem::create_directory_symlink("/etc", disk + "/new");
    auto spec = rt.spec("main", {"sh", "-c", "echo x > /p/x; ls /p"});
    spec.mounts = {{*fresh, "/p"}};
    ASSERT_EQ(rt.run(rt.runtime().start(spec)), Status());
    (void)rt.waitForExit("main");
    EXPECT_EQ(rt.output("main"), "x\n");
    EXPECT_TRUE(std::filesystem::exists(disk + "/moved/folder/x"));
    EXPECT_EQ(rt.run(volumes->tearDown("u1")), Status());
    EXPECT_EQ(mountsBelow(run), "");
  });
}

TEST_P(RuntimeVolumes, HostPathsAreCheckedByTheirTypes) {
  inWorld([](RuntimeFixture& rt) {
    const auto pool = makeInlinePool();
    const auto volumes = makeLocalVolumes(rt.files(), *pool, rt.clock(), rt.folder() + "/state5",
                                          rt.folder() + "/run5");
    const std::string folder = rt.folder() + "/host";
    std::filesystem::create_directories(folder + "/dir");
    write(folder + "/file", "x");
    const auto check = [&](const std::string& name, const std::string& type) {
      const std::string path = name.starts_with('/') ? name : folder + "/" + name;
      auto made = rt.run(volumes->setUp("u1", {hostPath(path, type)}, {}));
      EXPECT_TRUE(!made.ok() || made->byName.at("host") == path);
      return made.status().message();
    };
    const std::string failed = "MountVolume.SetUp failed for volume \"host\" : ";
    const std::string wrong = failed + "hostPath type check failed: " + folder;
    EXPECT_EQ(check("dir", "Directory"), "");
    EXPECT_EQ(check("file", "Directory"), wrong + "/file is not a directory");
    EXPECT_EQ(check("none", "Directory"), wrong + "/none is not a directory");
    EXPECT_EQ(check("file", "File"), "");
    EXPECT_EQ(check("none", "File"), wrong + "/none is not a file");
    EXPECT_EQ(check("dir", "FileOrCreate"), wrong + "/dir is not a file");
    EXPECT_EQ(check("made-file", "FileOrCreate"), "");
    EXPECT_TRUE(std::filesystem::is_regular_file(folder + "/made-file"));
    EXPECT_EQ(check("made/dir", "DirectoryOrCreate"), "");
    EXPECT_EQ(modeOf(folder + "/made/dir"), 0755);
    EXPECT_EQ(check("by-runtime", ""), "");
    EXPECT_TRUE(std::filesystem::is_directory(folder + "/by-runtime"));
    EXPECT_EQ(check("file", "Socket"), wrong + "/file is not a socket file");
    EXPECT_EQ(check("/dev/null", "CharDevice"), "");
    EXPECT_EQ(check("file", "CharDevice"), wrong + "/file is not a character device");
    EXPECT_EQ(check("/dev/null", "BlockDevice"),
              failed + "hostPath type check failed: /dev/null is not a block device");
    // The pod's end leaves the host's own.
    EXPECT_EQ(rt.run(volumes->tearDown("u1")), Status());
    EXPECT_TRUE(std::filesystem::exists(folder + "/file"));
  });
}

TEST_P(RuntimeVolumes, LimitsAreOfTheTmpfsAndMeasuredOnDisk) {
  inWorld([](RuntimeFixture& rt) {
    const auto pool = makeInlinePool();
    const auto volumes = makeLocalVolumes(rt.files(), *pool, rt.clock(), rt.folder() + "/state6",
                                          rt.folder() + "/run6");
    auto memory = volume("memory", VolumeSpec::Type::kMemory);
    memory.sizeLimit = 1 << 20;
    auto made = rt.run(volumes->setUp("u1", {volume("disk", VolumeSpec::Type::kDisk), memory}, {}));
    ASSERT_TRUE(made.ok()) << made.status().toString();
    struct statfs info{};
    ASSERT_EQ(::statfs(made->byName.at("memory").c_str(), &info), 0);
    EXPECT_EQ(static_cast<std::uint64_t>(info.f_blocks) * static_cast<std::uint64_t>(info.f_bsize),
              1U << 20);
    const std::string disk = made->byName.at("disk");
    const auto before = rt.run(volumes->usage({disk}));
    std::filesystem::create_directories(disk + "/sub");
    write(disk + "/sub/x", std::string(3 << 20, 'x'));
    const auto after = rt.run(volumes->usage({disk}));
    ASSERT_TRUE(before.ok() && after.ok());
    EXPECT_GE((*after)[0] - (*before)[0], 3 << 20);
    EXPECT_LT((*after)[0] - (*before)[0], 4 << 20);
    EXPECT_EQ(rt.run(volumes->tearDown("u1")), Status());
  });
}

}  // namespace
}  // namespace podlab::node
