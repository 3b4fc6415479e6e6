#pragma once
#include <memory>
#include <unordered_set>
#include <vector>

#include "apiserver/rest_handler.hpp"
#include "common/sync.hpp"

namespace podlab::apiserver {

/// Serves the REST API on listeners of TLS.
class RestServer {
 public:
  RestServer(ApiService& service, StreamRelay& relay, Clock& clock, asio::any_io_executor executor);

  /// Accepts and serves connections until stop().
  void serve(std::unique_ptr<Listener> listener);
  /// Ends all connections; returns when none is served any more.
  Co<void> stop();

 private:
  Co<void> serveOne(std::unique_ptr<ByteStream> stream);

  Clock& clock_;
  RestHandler handler_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::unordered_set<ByteStream*> streams_;
  bool stopping_ = false;
  TaskGroup tasks_;
};

}  // namespace podlab::apiserver
