#include "tests/integration/runtime_world.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>

#include "tests/integration/sanitizer.hpp"

namespace podlab::node {
namespace {

constexpr int kSandboxNamespaces = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
constexpr uid_t kOrdinaryUser = 1000;
constexpr unsigned kPatience = 300;  // seconds

[[noreturn]] void die(const char* what) {
  std::perror(what);
  ::_exit(1);
}

void writeText(const char* path, const std::string& text) {
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || ::write(fd, text.data(), text.size()) < 0) die(path);
  ::close(fd);
}

void enterNamespaces(Privilege privilege) {
  int flags = CLONE_NEWNS | CLONE_NEWPID | kSandboxNamespaces;
  if (privilege == Privilege::kUser) {
    if (::getuid() == 0) {
      if (::setresgid(kOrdinaryUser, kOrdinaryUser, kOrdinaryUser) < 0 ||
          ::setresuid(kOrdinaryUser, kOrdinaryUser, kOrdinaryUser) < 0)
        die("setresuid");
      ::prctl(PR_SET_DUMPABLE, 1);
    }
    flags |= CLONE_NEWUSER;
  }
  const auto uid = std::to_string(::getuid());
  const auto gid = std::to_string(::getgid());
  if (::unshare(flags) < 0) die("unshare");
  if (privilege == Privilege::kUser) {
    writeText("/proc/self/setgroups", "deny");
    writeText("/proc/self/uid_map", "0 " + uid + " 1");
    writeText("/proc/self/gid_map", "0 " + gid + " 1");
  }
}

void mountFolders() {
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) die("make / private");
  if (::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) < 0)
    die("mount /proc");
  // As a lab does: crun refuses a version 2 hierarchy beside version 1 ones.
  if (::umount2("/sys/fs/cgroup/unified", MNT_DETACH) < 0 &&
      ::access("/sys/fs/cgroup/unified", F_OK) == 0 &&
      ::mount("none", "/sys/fs/cgroup", "tmpfs", 0, nullptr) < 0)
    die("cover /sys/fs/cgroup");
  if (::mount("none", "/mnt", "tmpfs", 0, "mode=755") < 0) die("mount /mnt");
}

int exitCodeOf(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// The world's first process: reaps orphans, and takes everything away when the body is over.
[[noreturn]] void beInit(pid_t body) {
  for (;;) {
    int status = 0;
    if (::wait(&status) == body) ::_exit(exitCodeOf(status));
  }
}

}  // namespace

void inWorld(Privilege privilege, const std::function<void(RuntimeFixture&)>& body) {
  if (privilege == Privilege::kRoot && ::geteuid() != 0) GTEST_SKIP() << "needs root";
  if (privilege == Privilege::kUser && test::kNoUserNamespace != nullptr)
    GTEST_SKIP() << test::kNoUserNamespace;
  std::fflush(nullptr);
  const std::string cgroup = "podlab-test-" + std::to_string(::getpid());
  const pid_t outer = ::fork();
  if (outer == 0) {
    enterNamespaces(privilege);
    const pid_t init = ::fork();
    if (init != 0) {
      int status = 0;
      ::waitpid(init, &status, 0);
      ::_exit(exitCodeOf(status));
    }
    mountFolders();
    const pid_t child = ::fork();
    if (child != 0) beInit(child);
    ::setsid();
    // A test that hangs fails here, and its world goes with it.
    ::alarm(kPatience);
    try {
      OciRuntimeOptions options;
      options.cgroups = {Cgroups::find(), cgroup + "/node"};
      RuntimeFixture fixture("/mnt/podlab", options);
      const Status opened = fixture.run(fixture.runtime().open());
      EXPECT_EQ(opened, Status());
      if (opened) body(fixture);
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
    std::fflush(nullptr);
    ::_exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ::waitpid(outer, &status, 0);
  EXPECT_EQ(exitCodeOf(status), 0) << "the test's failures are above";
  for (const auto& folder : Cgroups::find().folders(cgroup)) {
    // The world's processes are gone with its init, and their cgroups a moment later.
    Status removed = removeCgroup(folder);
    for (int tries = 0; removed.is(Code::kConflict) && tries < 500; ++tries) {
      ::usleep(10'000);
      removed = removeCgroup(folder);
    }
    EXPECT_EQ(removed, Status());
  }
}

SandboxNamespaces makeSandbox(const std::string& folder, const std::string& hostname) {
  const auto files = makeRealFilesystem();
  EXPECT_EQ(files->createDirectories(folder), Status());
  const SandboxNamespaces paths{folder + "/net", folder + "/ipc", folder + "/uts"};
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(kSandboxNamespaces) < 0) die("unshare");
    ::sethostname(hostname.data(), hostname.size());
    const std::array<std::pair<std::string, const char*>, 3> pins{
        {{paths.network, "/proc/self/ns/net"},
         {paths.ipc, "/proc/self/ns/ipc"},
         {paths.uts, "/proc/self/ns/uts"}}};
    for (const auto& [path, source] : pins) {
      ::close(::open(path.c_str(), O_CREAT | O_CLOEXEC, 0600));
      if (::mount(source, path.c_str(), nullptr, MS_BIND, nullptr) < 0) die("pin");
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  return paths;
}

}  // namespace podlab::node
