#include "node/shim_client.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include <asio.hpp>

#include "common/log.hpp"
#include "common/readable.hpp"
#include "common/spawn.hpp"
#include "node/shim.hpp"

namespace podlab::node {
namespace {

Co<void> waitReadable(asio::posix::stream_descriptor& descriptor) {
  do {
    co_await descriptor.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
  } while (!isReadable(descriptor.native_handle()));
}

}  // namespace

ShimClient::ShimClient(asio::any_io_executor executor, std::string program, std::string lockPath)
    : executor_(std::move(executor)),
      program_(std::move(program)),
      lockPath_(std::move(lockPath)) {}

ShimClient::~ShimClient() {
  stopShim();
}

Status ShimClient::spawnShim() {
  stopShim();
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) < 0)
    return errnoStatus(errno, "cannot make a socket for the shim");
  UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  SpawnSpec spec;
  spec.argv = {program_, "shim", lockPath_};
  spec.descriptors = {{theirs.get(), kShimSocket}};
  if (runtime_ >= 0) {
    spec.argv.emplace_back("--sealed-runtime");
    spec.descriptors.emplace_back(runtime_, kShimRuntime);
  }
  spec.newSession = true;  // a terminal's signals to the agent are not for the containers
  auto child = spawn(spec);
  if (!child) return child.status();
  pid_ = child->pid;
  socket_ = std::move(ours);
  return {};
}

void ShimClient::stopShim() {
  socket_.reset();
  if (pid_ == 0) return;
  ::kill(pid_, SIGKILL);
  reapChild(pid_);
  pid_ = 0;
}

Co<Status> ShimClient::start(int runtime) {
  runtime_ = runtime;
  Status spawned = spawnShim();
  if (!spawned) co_return spawned;
  asio::posix::stream_descriptor ready(executor_, ::fcntl(socket_.get(), F_DUPFD_CLOEXEC, 0));
  co_await waitReadable(ready);
  char byte = 0;
  if (::recv(socket_.get(), &byte, 1, 0) == 1) co_return Status();
  co_return Status(Code::kInternal, "the shim (" + program_ + " shim " + lockPath_ + ") failed");
}

Status ShimClient::send(const std::string& message, int replyFd) {
  iovec data{const_cast<char*>(message.data()), message.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  cmsghdr* rights = CMSG_FIRSTHDR(&header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(rights), &replyFd, sizeof replyFd);
  if (::sendmsg(socket_.get(), &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return {};
  if (errno == EAGAIN) return Status(Code::kExhausted, "the shim is busy");
  return Status(Code::kUnavailable, "the shim is not there");
}

Co<Result<std::string>> ShimClient::request(ShimRequest request) {
  const std::string message = encodeShimRequest(request);
  if (message.size() > kMaxShimRequest)
    co_return Status(Code::kTooLarge, "the request to the shim is larger than 64 KiB");
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) < 0) co_return errnoStatus(errno, "cannot make a pipe");
  asio::posix::stream_descriptor reply(executor_, ends[0]);
  UniqueFd theirs(ends[1]);
  Status sent = send(message, theirs.get());
  if (sent.is(Code::kUnavailable)) {
    logWarning("shim_restarted", {{"reason", sent}});
    sent = spawnShim();
    if (sent) sent = send(message, theirs.get());
  }
  theirs.reset();
  if (!sent) co_return sent;

  std::string text;
  std::array<char, 4096> buffer;
  for (ssize_t n = 1; n > 0;) {
    co_await waitReadable(reply);
    n = ::read(reply.native_handle(), buffer.data(), buffer.size());
    if (n > 0) text.append(buffer.data(), n);
  }
  if (text.starts_with("ok ")) co_return text.substr(3);
  if (text.starts_with("error ")) co_return Status(Code::kInternal, text.substr(6));
  co_return Status(Code::kInternal, "the shim was killed while it started the container");
}

}  // namespace podlab::node
