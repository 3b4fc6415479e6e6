#pragma once
#include <string_view>

#include <asio/any_io_executor.hpp>
#include <asio/posix/stream_descriptor.hpp>

#include "common/co.hpp"

namespace podlab::cli {

/// Standard input or output for a command that must go on meanwhile: a reader that stops (a pager,
/// a terminal's Ctrl-S) holds up only what waits for it. The descriptor is shared with the shell
/// and with other programs, so it is not made non-blocking, but waited for by an epoll instance.
class StdStream {
 public:
  /// `fd` is 0, 1 or 2.
  StdStream(const asio::any_io_executor& executor, int fd);

  Co<void> waitReadable();
  /// All of `data`; false when nobody will read it.
  Co<bool> write(std::string_view data);

 private:
  Co<void> wait(short events);

  int fd_;
  asio::posix::stream_descriptor ready_;  ///< not open when the descriptor never blocks (a file)
  std::size_t piece_;                     ///< that can be written without blocking when ready
};

}  // namespace podlab::cli
