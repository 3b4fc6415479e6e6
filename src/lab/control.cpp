#include "lab/control.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include <asio.hpp>

#include "common/log.hpp"
#include "common/unique_fd.hpp"
#include "common/unix_socket.hpp"

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

}  // namespace

Co<Status> serveControl(std::string socketPath, ControlHandler handler) {
  auto executor = co_await asio::this_coro::executor;
  auto listening = listenOnUnixSocket(socketPath);
  if (!listening) co_return listening.status();
  asio::local::stream_protocol::acceptor acceptor(executor, asio::local::stream_protocol(),
                                                  listening->release());
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
  auto connected = connectToUnixSocket(socketPath);
  if (!connected) return connected.status().withContext("the lab does not answer");
  const UniqueFd fd = std::move(*connected);
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
  if (response.has_error()) return Status(codeFromName(response.errorcode()), response.error());
  return response;
}

}  // namespace podlab::lab
