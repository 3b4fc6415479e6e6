#pragma once
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "common/sync.hpp"
#include "transport/rpc.hpp"

namespace podlab::apiserver {

/// Two ends of a stream of messages inside this process, with the behaviour of one over a
/// connection: a send waits while the other end has not taken earlier messages.
std::pair<std::unique_ptr<rpc::Stream>, std::unique_ptr<rpc::Stream>> makeLocalStream(
    const std::string& method);

/// Serves one end of such a stream beside the caller. Must be stopped before its destruction.
class LocalService {
 public:
  using Serve = std::function<Co<Status>(rpc::Stream&)>;
  LocalService(asio::any_io_executor executor, Serve serve, std::unique_ptr<rpc::Stream> stream);
  Co<void> stop() { co_await tasks_.cancelAndJoin(); }

 private:
  TaskGroup tasks_;
};

}  // namespace podlab::apiserver
