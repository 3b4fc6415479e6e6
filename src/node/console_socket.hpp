#pragma once
#include <string>

#include "common/status.hpp"
#include "common/unique_fd.hpp"

namespace podlab::node {

/// Where an OCI runtime sends the terminal that it has made for a program (--console-socket).
class ConsoleSocket {
 public:
  /// Listens at `name` in `folder`, however long that path is.
  static Result<ConsoleSocket> listen(const std::string& folder, const std::string& name);
  ConsoleSocket(ConsoleSocket&&) = default;
  ConsoleSocket& operator=(ConsoleSocket&&) = default;
  /// Removes the file.
  ~ConsoleSocket();

  /// The folder, O_PATH, to be inherited by the runtime.
  int folder() const { return folder_.get(); }
  /// The terminal's descriptor, non-blocking; the runtime has run already. kUnavailable when it has
  /// not sent one.
  Result<UniqueFd> receive();

 private:
  ConsoleSocket(UniqueFd folder, UniqueFd listener, std::string name)
      : folder_(std::move(folder)), listener_(std::move(listener)), name_(std::move(name)) {}

  UniqueFd folder_;
  UniqueFd listener_;
  std::string name_;
};

/// All that can be read now without waiting, without line ends at its end; at most 4 KiB.
std::string readMessage(int fd);

}  // namespace podlab::node
