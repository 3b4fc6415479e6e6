#include "node/shim.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "common/unique_fd.hpp"
#include "node/shim_container.hpp"
#include "node/shim_request.hpp"

namespace podlab::node {
namespace {

/// The next request and its reply pipe; false when the agent is gone.
bool receive(std::string& message, UniqueFd& reply) {
  std::array<char, kMaxShimRequest> buffer;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control;
  iovec data{buffer.data(), buffer.size()};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t n = 0;
  do {
    n = ::recvmsg(kShimSocket, &header, MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n <= 0) return false;
  message.assign(buffer.data(), n);
  const cmsghdr* rights = CMSG_FIRSTHDR(&header);
  if (rights == nullptr || rights->cmsg_type != SCM_RIGHTS) return false;
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(rights), sizeof fd);
  reply.reset(fd);
  return true;
}

}  // namespace

int shimMain(int argc, char** argv) {
  const bool sealed = argc == 4 && std::string_view(argv[3]) == "--sealed-runtime";
  if (argc != 3 && !sealed) {
    std::fprintf(stderr,
                 "usage: podlab shim LOCK [--sealed-runtime] (with a socket as descriptor 3)\n");
    return 2;
  }
  ::prctl(PR_SET_NAME, "podlab-shim");
  ::fcntl(kShimSocket, F_SETFD, FD_CLOEXEC);
  if (sealed) ::fcntl(kShimRuntime, F_SETFD, FD_CLOEXEC);
  // The forked processes are nobody's to wait for.
  ::signal(SIGCHLD, SIG_IGN);
  UniqueFd lock(::open(argv[2], O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock) return 1;
  while (::flock(lock.get(), LOCK_EX) < 0) {
    if (errno != EINTR) return 1;
  }
  if (::send(kShimSocket, "r", 1, MSG_NOSIGNAL) != 1) return 0;

  std::string message;
  UniqueFd reply;
  while (receive(message, reply)) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(kShimSocket);
      serveShimRequest(message, std::move(reply), std::move(lock),
                       UniqueFd(sealed ? kShimRuntime : -1));
    }
    if (child < 0) sendShimReply(reply, errnoStatus(errno, "cannot fork the container's shim"), "");
    reply.reset();
  }
  return 0;
}

}  // namespace podlab::node
