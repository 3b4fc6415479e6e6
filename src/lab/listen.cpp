#include "lab/listen.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

namespace podlab::lab {

Result<UniqueFd> listenOn(const std::string& address, std::uint16_t port) {
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  const sockaddr* target = nullptr;
  socklen_t size = 0;
  if (::inet_pton(AF_INET, address.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    target = reinterpret_cast<const sockaddr*>(&v4);
    size = sizeof v4;
  } else if (::inet_pton(AF_INET6, address.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    target = reinterpret_cast<const sockaddr*>(&v6);
    size = sizeof v6;
  } else {
    return Status(Code::kBadRequest, "\"" + address + "\" is not an IP address");
  }
  UniqueFd fd(::socket(target->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return errnoStatus(errno, "socket");
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd.get(), target, size) < 0 || ::listen(fd.get(), 1024) < 0) {
    const std::string what = "cannot listen on " + address + " port " + std::to_string(port);
    return errno == EADDRINUSE ? Status(Code::kAlreadyExists, what + ": it is in use")
                               : errnoStatus(errno, what);
  }
  return fd;
}

Result<std::uint16_t> listeningPort(const UniqueFd& socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) < 0)
    return errnoStatus(errno, "getsockname");
  if (address.ss_family == AF_INET6)
    return ntohs(reinterpret_cast<sockaddr_in6&>(address).sin6_port);
  return ntohs(reinterpret_cast<sockaddr_in&>(address).sin_port);
}

}  // namespace podlab::lab
