#pragma once
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "apiserver/rest_handler.hpp"
#include "common/sync.hpp"

namespace podlab::apiserver {

/// How many connections there may be at one time. Who comes in vain is told so (429).
struct ConnectionLimits {
  std::size_t all = 16384;
  /// Of clients without a certificate, so that those who have one are served whatever others do.
  std::size_t anonymous = 8192;
  std::size_t anonymousOfOneAddress = 4096;
};

/// Serves the REST API on listeners of TLS.
class RestServer {
 public:
  RestServer(ApiService& service, StreamRelay& relay, Clock& clock, asio::any_io_executor executor,
             ConnectionLimits limits = {});

  /// Accepts and serves connections until stop().
  void serve(std::unique_ptr<Listener> listener);
  /// Ends all connections; returns when none is served any more.
  Co<void> stop();

 private:
  Co<void> serveOne(std::unique_ptr<ByteStream> stream);
  Co<void> refuse(std::unique_ptr<ByteStream> stream);
  bool isFull(const std::string& anonymousAddress) const;

  Clock& clock_;
  RestHandler handler_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::unordered_set<ByteStream*> streams_;
  ConnectionLimits limits_;
  std::size_t served_ = 0;
  std::size_t anonymous_ = 0;                                 ///< of them
  std::unordered_map<std::string, std::size_t> anonymousOf_;  ///< by address
  std::size_t refused_ = 0;                                   ///< being told so
  bool stopping_ = false;
  TaskGroup tasks_;
};

}  // namespace podlab::apiserver
