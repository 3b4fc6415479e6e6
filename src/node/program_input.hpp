#pragma once
#include <string>

#include <asio/any_io_executor.hpp>
#include <asio/posix/stream_descriptor.hpp>

#include "common/co.hpp"
#include "common/status.hpp"
#include "common/unique_fd.hpp"

namespace podlab::node {

/// The agent's end of a program's stdin: a pipe, or the terminal that the program has.
class ProgramInput {
 public:
  explicit ProgramInput(const asio::any_io_executor& executor) : descriptor_(executor) {}

  void open(UniqueFd fd);
  bool isOpen() const { return descriptor_.is_open(); }
  /// Waits while the program takes nothing. kCanceled when this side is closed.
  Co<Status> write(std::string data);
  /// Of a terminal.
  Status resize(int rows, int columns);
  /// The end of a terminal's input, which is a character.
  void sendEndOfFile();
  void close();

 private:
  asio::posix::stream_descriptor descriptor_;
};

}  // namespace podlab::node
