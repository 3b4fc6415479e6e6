#include "node/console_socket.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace podlab::node {

Result<ConsoleSocket> ConsoleSocket::listen(const std::string& folder, const std::string& name) {
  UniqueFd directory(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return errnoStatus(errno, "cannot open " + folder);
  // A socket's address has little more than 100 characters: through /proc the folder needs few.
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", directory.get(),
                name.c_str());
  UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener ||
      ::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0 ||
      ::listen(listener.get(), 1) < 0)
    return errnoStatus(errno, "cannot listen for the terminal in " + folder);
  return ConsoleSocket(std::move(directory), std::move(listener), name);
}

ConsoleSocket::~ConsoleSocket() {
  if (folder_) ::unlinkat(folder_.get(), name_.c_str(), 0);
}

Result<UniqueFd> ConsoleSocket::receive() {
  UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  std::array<char, 256> name;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control;
  iovec data{name.data(), name.size()};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  UniqueFd terminal;
  if (connection && ::recvmsg(connection.get(), &header, MSG_CMSG_CLOEXEC) >= 0) {
    if (const cmsghdr* rights = CMSG_FIRSTHDR(&header)) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(rights), sizeof fd);
      terminal.reset(fd);
    }
  }
  if (!terminal) return Status(Code::kUnavailable, "the runtime sent no terminal");
  ::fcntl(terminal.get(), F_SETFL, O_RDWR | O_NONBLOCK);
  return terminal;
}

std::string readMessage(int fd) {
  std::string text;
  std::array<char, 4096> buffer;
  const int flags = ::fcntl(fd, F_GETFL);
  ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  const ssize_t n = ::read(fd, buffer.data(), buffer.size());
  if (n > 0) text.assign(buffer.data(), n);
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

}  // namespace podlab::node
