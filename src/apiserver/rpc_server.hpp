#pragma once
#include <functional>
#include <list>
#include <memory>
#include <vector>

#include <asio/any_io_executor.hpp>

#include "apiserver/api_service.hpp"
#include "apiserver/identity.hpp"
#include "apiserver/node_join.hpp"
#include "apiserver/stream_relay.hpp"
#include "common/clock.hpp"
#include "common/sync.hpp"
#include "transport/rpc.hpp"

namespace podlab::apiserver {

/// Who is at the other end of an accepted stream.
using Authenticate = std::function<User(const ByteStream&)>;

/// Serves the API over RPC: the methods "api" and "watch" of proto/api_rpc.proto and those of
/// StreamRelay, each connection with the identity of its client certificate. The connections of
/// nodes are the relay's way to their agents. Hollow nodes share one, whose certificate speaks for
/// them: each request then names its node, and may what that node may.
class RpcServer {
 public:
  RpcServer(ApiService& service, StreamRelay& relay, Clock& clock, asio::any_io_executor executor,
            rpc::ConnectionOptions options = {});
  /// The same with another way to tell who connects (streams in memory have no certificates).
  RpcServer(ApiService& service, StreamRelay& relay, Clock& clock, asio::any_io_executor executor,
            Authenticate authenticate, rpc::ConnectionOptions options = {});

  /// Serves its methods as well; it outlives the server.
  void offer(NodeJoin& join) { join_ = &join; }
  /// Accepts and serves connections until stop().
  void serve(std::unique_ptr<Listener> listener);
  /// Ends all connections; returns when none is served any more.
  Co<void> stop();
  std::size_t connections() const { return connections_.size(); }

 private:
  struct Served;
  rpc::ConnectionOptions optionsFor(const User& user) const;
  Co<void> serveConnection(std::unique_ptr<ByteStream> stream);
  Co<Status> serveStream(Served& served, rpc::Stream& stream);
  Result<api::Api*> apiFor(Served& served, const std::string& node);
  void arrived(Served& served, const std::string& node);

  ApiService& service_;
  StreamRelay& relay_;
  Clock& clock_;
  asio::any_io_executor executor_;
  Authenticate authenticate_;
  rpc::ConnectionOptions options_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::list<std::shared_ptr<rpc::Connection>> connections_;  ///< in the order of their coming
  NodeJoin* join_ = nullptr;
  std::size_t anonymous_ = 0;  ///< connections of whom nobody knows
  bool stopping_ = false;
  TaskGroup tasks_;
};

}  // namespace podlab::apiserver
