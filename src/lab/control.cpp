#include "lab/control.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <asio.hpp>

#include "common/log.hpp"
#include "common/unique_fd.hpp"

namespace podlab::lab {
namespace {

using Socket = asio::local::stream_protocol::socket;
constexpr std::size_t kMaxRequest = 1 << 20;

Co<void> serveOne(Socket socket, ControlHandler handler) {
  std::string bytes;
  auto buffer = asio::dynamic_buffer(bytes, kMaxRequest);
  asio::error_code readError;
  co_await asio::async_read(socket, buffer, asio::redirect_error(asio::use_awaitable, readError));
  LabRequest request;
  LabResponse response;
  if (readError != asio::error::eof || !request.ParseFromString(bytes)) {
    response.set_error("malformed request");
  } else {
    response = co_await handler(std::move(request));
  }
  const std::string answer = response.SerializeAsString();
  asio::error_code writeError;  // a client that left before its answer is its own affair
  co_await asio::async_write(socket, asio::buffer(answer),
                             asio::redirect_error(asio::use_awaitable, writeError));
}

/// Unix socket paths are at most 107 bytes (unix(7)): a longer one is reached through its folder's
/// descriptor.
struct SocketName {
  UniqueFd folder;
  std::string path;
};

SocketName shortName(const std::string& path) {
  if (path.size() < sizeof(sockaddr_un::sun_path)) return {UniqueFd(), path};
  const auto slash = path.rfind('/');
  UniqueFd folder(::open(path.substr(0, slash).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  std::string name = "/proc/self/fd/" + std::to_string(folder.get()) + path.substr(slash);
  return {std::move(folder), std::move(name)};
}

}  // namespace

Co<Status> serveControl(std::string socketPath, ControlHandler handler) {
  auto executor = co_await asio::this_coro::executor;
  ::unlink(socketPath.c_str());
  const SocketName name = shortName(socketPath);
  asio::local::stream_protocol::acceptor acceptor(executor);
  asio::error_code error;
  acceptor.open(asio::local::stream_protocol(), error);
  const mode_t before = ::umask(0177);
  if (!error) acceptor.bind(asio::local::stream_protocol::endpoint(name.path), error);
  ::umask(before);
  if (!error) acceptor.listen(16, error);
  if (error) co_return errnoStatus(error.value(), "cannot listen on " + socketPath);
  for (;;) {
    asio::error_code acceptError;
    Socket socket =
        co_await acceptor.async_accept(asio::redirect_error(asio::use_awaitable, acceptError));
    if (acceptError == asio::error::operation_aborted) co_return Status(Code::kCanceled, "stopped");
    if (acceptError) {
      logWarning("control_accept_failed", {{"error", acceptError.message()}});
      continue;
    }
    asio::co_spawn(executor, serveOne(std::move(socket), handler), [](std::exception_ptr failure) {
      try {
        if (failure) std::rethrow_exception(failure);
      } catch (const std::exception& e) {
        logError("control_request_failed", {{"error", e.what()}});
      }
    });
  }
}

Result<LabResponse> askLab(const std::string& socketPath, const LabRequest& request) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return errnoStatus(errno, "socket");
  const SocketName name = shortName(socketPath);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, name.path.c_str(), sizeof address.sun_path - 1);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) {
    return Status(Code::kUnavailable,
                  errnoStatus(errno, "the lab does not answer at " + socketPath).message());
  }
  const std::string bytes = request.SerializeAsString();
  if (::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(bytes.size())) {
    return errnoStatus(errno, "cannot ask the lab");
  }
  ::shutdown(fd.get(), SHUT_WR);
  std::string answer;
  char buffer[4096];
  for (;;) {
    const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errnoStatus(errno, "cannot read the lab's answer");
    if (n == 0) break;
    answer.append(buffer, static_cast<std::size_t>(n));
  }
  LabResponse response;
  if (!response.ParseFromString(answer))
    return Status(Code::kInternal, "the lab's answer is malformed");
  if (response.has_error()) return Status(Code::kInternal, response.error());
  return response;
}

}  // namespace podlab::lab
