#include "common/unix_socket.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace podlab {
namespace {

/// A longer path than an address has room for is reached through its folder's descriptor.
struct Address {
  UniqueFd folder;
  sockaddr_un value{};

  explicit Address(const std::string& path) {
    std::string name = path;
    if (path.size() >= sizeof value.sun_path) {
      const auto slash = path.rfind('/');
      folder.reset(::open(path.substr(0, slash).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
      name = "/proc/self/fd/" + std::to_string(folder.get()) + path.substr(slash);
    }
    value.sun_family = AF_UNIX;
    std::strncpy(value.sun_path, name.c_str(), sizeof value.sun_path - 1);
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&value); }
};

UniqueFd makeSocket() {
  return UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

}  // namespace

Result<UniqueFd> listenOnUnixSocket(const std::string& path) {
  UniqueFd fd = makeSocket();
  ::unlink(path.c_str());
  const Address address(path);
  const mode_t before = ::umask(0177);
  const bool bound = fd && ::bind(fd.get(), address.get(), sizeof address.value) == 0;
  const int error = errno;
  ::umask(before);
  if (!bound) return errnoStatus(error, "cannot listen on " + path);
  if (::listen(fd.get(), SOMAXCONN) < 0) return errnoStatus(errno, "cannot listen on " + path);
  return fd;
}

Result<UniqueFd> connectToUnixSocket(const std::string& path) {
  UniqueFd fd = makeSocket();
  const Address address(path);
  if (fd && ::connect(fd.get(), address.get(), sizeof address.value) == 0) return fd;
  return Status(Code::kUnavailable, errnoStatus(errno, "cannot connect to " + path).message());
}

}  // namespace podlab
