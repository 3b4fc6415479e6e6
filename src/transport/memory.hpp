#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "common/status.hpp"
#include "transport/byte_stream.hpp"

namespace podlab::transport {

/// Two connected streams in memory; each direction holds at most `capacity` bytes, a writer waits
/// for the reader. `peerOfFirst` and `peerOfSecond` are what their peer() says.
std::pair<std::unique_ptr<ByteStream>, std::unique_ptr<ByteStream>> makeMemoryPipe(
    std::size_t capacity = 64 << 10, std::string peerOfFirst = "memory",
    std::string peerOfSecond = "memory");

/// A network inside the process, for tests and simulation: listeners by name. Dialers and
/// listeners stay valid after the network is gone.
class MemoryNetwork {
 public:
  explicit MemoryNetwork(std::size_t capacity = 64 << 10);
  ~MemoryNetwork();

  /// kAlreadyExists when the name is taken.
  Result<std::unique_ptr<Listener>> listen(std::string name);
  /// A dialer; the accepted stream's peer() is `from`. dial() fails with kUnavailable when nobody
  /// listens.
  std::unique_ptr<Dialer> dialer(std::string from = "memory");

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace podlab::transport
