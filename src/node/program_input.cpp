#include "node/program_input.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include <asio.hpp>

namespace podlab::node {

void ProgramInput::open(UniqueFd fd) {
  descriptor_.assign(fd.release());
  descriptor_.non_blocking(true);
}

Co<Status> ProgramInput::write(std::string data) {
  std::string_view left = data;
  while (!left.empty()) {
    if (!descriptor_.is_open()) co_return Status(Code::kCanceled, "stdin is closed");
    const ssize_t n = ::write(descriptor_.native_handle(), left.data(), left.size());
    if (n >= 0) {
      left.remove_prefix(n);
    } else if (errno == EAGAIN) {
      asio::error_code ignored;
      co_await descriptor_.async_wait(asio::posix::stream_descriptor::wait_write,
                                      asio::redirect_error(asio::use_awaitable, ignored));
    } else if (errno != EINTR) {
      co_return errnoStatus(errno, "cannot write to the program's stdin");
    }
  }
  co_return Status();
}

Status ProgramInput::resize(int rows, int columns) {
  const winsize size{static_cast<unsigned short>(rows), static_cast<unsigned short>(columns), 0, 0};
  const int terminal = descriptor_.is_open() ? descriptor_.native_handle() : -1;
  if (::ioctl(terminal, TIOCSWINSZ, &size) < 0)
    return errnoStatus(errno, "cannot resize the terminal");
  return {};
}

void ProgramInput::sendEndOfFile() {
  if (!descriptor_.is_open()) return;
  // A full buffer means that nobody reads it.
  [[maybe_unused]] const ssize_t n = ::write(descriptor_.native_handle(), "\x04", 1);
}

void ProgramInput::close() {
  asio::error_code ignored;
  descriptor_.close(ignored);
}

}  // namespace podlab::node
