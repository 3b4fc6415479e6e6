#pragma once
#include <sys/types.h>

#include <string>

#include <asio/any_io_executor.hpp>

#include "common/co.hpp"
#include "common/status.hpp"
#include "common/unique_fd.hpp"
#include "node/shim_request.hpp"

namespace podlab::node {

/// The agent's end of `podlab shim` (shim.hpp): starts it, again when it was killed, and sends it
/// requests.
class ShimClient {
 public:
  /// `program` is started with the arguments "shim" and `lockPath`.
  ShimClient(asio::any_io_executor executor, std::string program, std::string lockPath);
  ~ShimClient();
  ShimClient(const ShimClient&) = delete;
  ShimClient& operator=(const ShimClient&) = delete;

  /// Starts the shim and waits until it has the lock: no container of an earlier agent is between
  /// being requested and running then. The shim runs the file `runtime`, a descriptor that outlives
  /// this object, instead of the program that a request names; -1: that program.
  Co<Status> start(int runtime);
  /// The text of the reply. Failures of the request carry the shim's message (kInternal).
  Co<Result<std::string>> request(ShimRequest request);

 private:
  Status spawnShim();
  void stopShim();
  Status send(const std::string& message, int replyFd);

  asio::any_io_executor executor_;
  std::string program_;
  std::string lockPath_;
  int runtime_ = -1;
  pid_t pid_ = 0;
  UniqueFd socket_;
};

}  // namespace podlab::node
