#include "cli/std_stream.hpp"

#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <asio.hpp>

#include "common/unique_fd.hpp"

namespace podlab::cli {

StdStream::StdStream(const asio::any_io_executor& executor, int fd)
    : fd_(fd), ready_(executor), piece_(::isatty(fd) != 0 ? 1024 : PIPE_BUF) {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{};
  event.events = fd == STDIN_FILENO ? EPOLLIN : EPOLLOUT;
  // Regular files are refused: they are always ready.
  if (epoll && ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) == 0)
    ready_.assign(epoll.release());
}

Co<void> StdStream::wait(short events) {
  pollfd descriptor{fd_, events, 0};
  while (ready_.is_open() && ::poll(&descriptor, 1, 0) == 0)
    co_await ready_.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
}

Co<void> StdStream::waitReadable() {
  co_await wait(POLLIN);
}

Co<bool> StdStream::write(std::string_view data) {
  while (!data.empty()) {
    co_await wait(POLLOUT);
    const std::size_t size = ready_.is_open() ? std::min(data.size(), piece_) : data.size();
    const ssize_t n = ::write(fd_, data.data(), size);
    if (n < 0 && errno != EINTR && errno != EAGAIN) co_return false;
    if (n > 0) data.remove_prefix(static_cast<std::size_t>(n));
  }
  co_return true;
}

}  // namespace podlab::cli
