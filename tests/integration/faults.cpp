#include "tests/integration/faults.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace podlab::test {
namespace {

constexpr const char* kVariable = "PODLAB_TEST_FAULTS";

struct Shared {
  std::atomic<bool> armed;
  std::atomic<long> calls;
  std::atomic<long> at;
  std::atomic<int> error;
  char name[32];
};
Shared* shared = nullptr;
thread_local bool exempt = false;

/// Any function of libc's: six registers are how the ABIs of x86-64 and arm64 pass integers and
/// pointers, also to variadic functions.
using Function = long (*)(long, long, long, long, long, long);

Function next(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

/// Whether this call is the one that fails.
bool strike(const char* name, int error) {
  if (shared == nullptr || !shared->armed || exempt) return false;
  if (shared->calls++ != shared->at) return false;
  std::strncpy(shared->name, name, sizeof shared->name - 1);
  shared->error = error;
  return true;
}

void map(const char* path) {
  const int fd = ::open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || ::ftruncate(fd, sizeof(Shared)) < 0) throw std::runtime_error("no file for faults");
  void* page = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (page == MAP_FAILED) throw std::runtime_error("no memory for faults");
  shared = static_cast<Shared*>(page);
  ::close(fd);
}

/// In a process that was started by another one with faults.
[[gnu::constructor]] void mapAtStart() {
  if (const char* path = std::getenv(kVariable)) map(path);
}

}  // namespace

void Faults::open(const std::string& path) {
  map(path.c_str());
  ::setenv(kVariable, path.c_str(), 1);
}

void Faults::arm(long at) {
  shared->error = 0;
  shared->calls = 0;
  shared->at = at;
  shared->armed = true;
}

long Faults::disarm() {
  shared->armed = false;
  return shared->calls;
}

std::string Faults::struck() {
  if (shared->error == 0) return "";
  return std::string(shared->name) + ": " + std::strerror(shared->error);
}

Faults::Exempt::Exempt() {
  exempt = true;
}
Faults::Exempt::~Exempt() {
  exempt = false;
}

#define FAULTY(name, error)                                                                     \
  extern "C" long faulty_##name(long a, long b, long c, long d, long e, long f) __asm__(#name); \
  long faulty_##name(long a, long b, long c, long d, long e, long f) {                          \
    static const Function real = next(#name);                                                   \
    if (strike(#name, error)) {                                                                 \
      errno = error;                                                                            \
      return -1;                                                                                \
    }                                                                                           \
    return real(a, b, c, d, e, f);                                                              \
  }

// Not setns: a thread that cannot return to its namespace ends the agent, as a SIGKILL does.
FAULTY(chmod, EIO)
FAULTY(chown, EIO)
FAULTY(clone, EAGAIN)
FAULTY(fcntl, EMFILE)
FAULTY(fork, EAGAIN)
FAULTY(memfd_create, EMFILE)
FAULTY(mkdir, ENOSPC)
FAULTY(mkdirat, ENOSPC)
FAULTY(mount, ENOMEM)
FAULTY(move_mount, ENOMEM)
FAULTY(open, EMFILE)
FAULTY(open_tree, EMFILE)
FAULTY(openat, EMFILE)
FAULTY(pipe2, EMFILE)
FAULTY(rename, ENOSPC)
FAULTY(rmdir, EIO)
FAULTY(sendmsg, ENOBUFS)
FAULTY(sendto, ENOBUFS)
FAULTY(sethostname, EPERM)
FAULTY(socket, EMFILE)
FAULTY(socketpair, EMFILE)
FAULTY(symlink, ENOSPC)
FAULTY(syscall, EMFILE)
FAULTY(umount2, EBUSY)
FAULTY(unlink, EIO)
FAULTY(unlinkat, EIO)
FAULTY(unshare, ENOSPC)
FAULTY(write, ENOSPC)
#undef FAULTY

}  // namespace podlab::test
