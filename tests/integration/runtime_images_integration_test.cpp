#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/unique_fd.hpp"
#include "node/shim_state.hpp"
#include "tests/integration/runtime_world.hpp"

namespace podlab::node {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

class RuntimeImages : public RuntimeTest {};
INSTANTIATE_RUNTIME_TEST(RuntimeImages);

std::string readMounts() {
  std::ifstream in("/proc/self/mountinfo");
  return {std::istreambuf_iterator<char>(in), {}};
}

/// An image of two layers: busybox with some files, and one that hides a part of them.
Image makeImage(const std::string& folder) {
  const std::string low = folder + "/low";
  const std::string high = folder + "/high";
  for (const auto& path : {low + "/bin", low + "/proc", low + "/dev", low + "/sys", low + "/opaque",
                           low + "/turns/in", low + "/kept", high + "/opaque", high + "/kept"})
    fs::create_directories(path);
  fs::copy_file("/bin/busybox", low + "/bin/busybox");
  fs::create_symlink("busybox", low + "/bin/sh");
  for (const char* name : {"/gone", "/changed", "/opaque/low", "/kept/low"})
    std::ofstream(low + name) << "low";
  for (const char* name : {"/changed", "/opaque/high", "/kept/high", "/turns"})
    std::ofstream(high + name) << "high";
  EXPECT_EQ(::mknod((high + "/gone").c_str(), S_IFCHR, ::makedev(0, 0)), 0);
  EXPECT_EQ(::setxattr((high + "/opaque").c_str(), "user.overlay.opaque", "y", 1, 0), 0);
  std::ofstream(folder + "/manifest") << "{}";
  Image image;
  image.id = "image";
  image.layers = {low, high};
  image.lockFile = folder + "/manifest";
  return image;
}

ContainerSpec specOf(RuntimeFixture& rt, const Image& image, const std::string& id,
                     const std::string& script) {
  auto spec = rt.spec(id, {"/bin/sh", "-c", script});
  spec.image = image;
  spec.env = {};
  return spec;
}

bool inUse(const Image& image) {
  const UniqueFd lock(::open(image.lockFile.c_str(), O_RDONLY | O_CLOEXEC));
  return ::flock(lock.get(), LOCK_EX | LOCK_NB) < 0;
}

constexpr const char* kLook =
    "busybox cat /changed; busybox ls -d /gone; busybox ls /opaque /kept; busybox cat /turns; "
    "echo mine > /kept/low; echo new > /new; busybox rm /changed; busybox cat /kept/low /new";
constexpr const char* kSeen = "high/kept:\nhigh\nlow\n\n/opaque:\nhigh\nhighmine\nnew\n";

void expectOwnFiles(RuntimeFixture& rt, const Image& image) {
  for (const char* id : {"a", "b"}) {
    ASSERT_EQ(rt.run(rt.runtime().start(specOf(rt, image, id, kLook))), Status());
    EXPECT_EQ(rt.waitForExit(id).exitCode, 0) << rt.output(id);
    EXPECT_EQ(rt.output(id, "stdout"), kSeen) << rt.output(id);
  }
  EXPECT_EQ(rt.files().readFile(image.layers[0] + "/kept/low").valueOr("?"), "low");
  EXPECT_TRUE(rt.files().exists(image.layers[1] + "/changed"));
}

TEST_P(RuntimeImages, EachContainerWritesForItself) {
  inWorld([](RuntimeFixture& rt) {
    const Image image = makeImage(rt.folder() + "/image");
    const std::string before = readMounts();
    expectOwnFiles(rt, image);
    EXPECT_EQ(readMounts(), before);
    EXPECT_EQ(rt.files().listDirectory(rt.folder() + "/disk")->size(), 2U);
    for (const char* id : {"a", "b"}) EXPECT_EQ(rt.run(rt.runtime().remove(id)), Status());
    EXPECT_TRUE(rt.files().listDirectory(rt.folder() + "/disk")->empty());
  });
}

TEST_P(RuntimeImages, ACopyDoesWhereTheKernelRefusesOverlays) {
  inWorld([](RuntimeFixture& rt) {
    const Image image = makeImage(rt.folder() + "/image");
    // No overlay is written on another one.
    const std::string base = rt.folder() + "/base";
    for (const char* name : {"/low", "/up", "/work"}) fs::create_directories(base + name);
    const std::string options =
        "lowerdir=" + base + "/low,upperdir=" + base + "/up,workdir=" + base + "/work,userxattr";
    ASSERT_EQ(::mount("overlay", (rt.folder() + "/disk").c_str(), "overlay", 0, options.c_str()),
              0);
    expectOwnFiles(rt, image);
    for (const char* id : {"a", "b"}) EXPECT_EQ(rt.run(rt.runtime().remove(id)), Status());
    EXPECT_TRUE(rt.files().listDirectory(rt.folder() + "/disk")->empty());
  });
}

TEST_P(RuntimeImages, AnImageIsHeldWhileItRuns) {
  inWorld([](RuntimeFixture& rt) {
    const Image image = makeImage(rt.folder() + "/image");
    auto spec = specOf(rt, image, "a", "echo up; busybox sleep 1000");
    spec.stopSignal = SIGINT;
    ASSERT_EQ(rt.run(rt.runtime().start(spec)), Status());
    EXPECT_TRUE(inUse(image));
    EXPECT_EQ(rt.run(rt.runtime().status("a"))->stopSignal, SIGINT);
    const auto seen = rt.exec("a", {{"/bin/busybox", "cat", "/changed"}});
    ASSERT_TRUE(seen.ok()) << seen.status().toString();
    EXPECT_EQ(seen->out, "high");
    EXPECT_EQ(rt.run(rt.runtime().kill("a", SIGKILL)), Status());
    rt.waitForExit("a");
    while (inUse(image)) std::this_thread::yield();
  });
}

TEST_P(RuntimeImages, AKilledShimLeavesNoMountAndNoLock) {
  inWorld([](RuntimeFixture& rt) {
    const Image image = makeImage(rt.folder() + "/image");
    const std::string before = readMounts();
    ASSERT_EQ(rt.run(rt.runtime().start(specOf(rt, image, "a", "busybox sleep 1000"))), Status());
    const auto record =
        parseRunning(*rt.files().readFile(rt.folder() + "/state/containers/a/running"));
    ASSERT_EQ(signalProcess(record->shim, SIGKILL), Status());
    EXPECT_EQ(rt.waitForExit("a").exitCode, 137);
    EXPECT_EQ(rt.run(rt.runtime().remove("a")), Status());
    EXPECT_FALSE(inUse(image));
    EXPECT_EQ(readMounts(), before);
    EXPECT_TRUE(rt.files().listDirectory(rt.folder() + "/disk")->empty());
  });
}

TEST_P(RuntimeImages, ARemovedImageIsAnError) {
  inWorld([](RuntimeFixture& rt) {
    Image image = makeImage(rt.folder() + "/image");
    ASSERT_EQ(::unlink(image.lockFile.c_str()), 0);
    const Status gone = rt.run(rt.runtime().start(specOf(rt, image, "a", "true")));
    EXPECT_THAT(gone.message(), HasSubstr("the image was removed"));
    std::ofstream(image.lockFile) << "{}";
    image.layers.push_back(rt.folder() + "/nothing");
    const Status half = rt.run(rt.runtime().start(specOf(rt, image, "a", "true")));
    EXPECT_THAT(half.message(), HasSubstr("cannot open the layer"));
    EXPECT_TRUE(rt.files().listDirectory(rt.folder() + "/disk")->empty());
    EXPECT_TRUE(rt.files().listDirectory(rt.folder() + "/state/containers")->empty());
  });
}

}  // namespace
}  // namespace podlab::node
