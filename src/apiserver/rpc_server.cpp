#include "apiserver/rpc_server.hpp"

#include <utility>

#include "apiserver/rpc_api.hpp"
#include "common/log.hpp"
#include "transport/accept.hpp"

namespace podlab::apiserver {

RpcServer::RpcServer(ApiService& service, StreamRelay& relay, Clock& clock,
                     asio::any_io_executor executor, rpc::ConnectionOptions options)
    : RpcServer(
          service, relay, clock, std::move(executor),
          [](const ByteStream& stream) { return userOf(stream.peerIdentity()); }, options) {}

RpcServer::RpcServer(ApiService& service, StreamRelay& relay, Clock& clock,
                     asio::any_io_executor executor, Authenticate authenticate,
                     rpc::ConnectionOptions options)
    : service_(service),
      relay_(relay),
      clock_(clock),
      executor_(executor),
      authenticate_(std::move(authenticate)),
      options_(options),
      tasks_(std::move(executor)) {}

void RpcServer::serve(std::unique_ptr<Listener> listener) {
  listeners_.push_back(std::move(listener));
  auto take = [this](std::unique_ptr<ByteStream> stream) {
    tasks_.spawn("rpc_connection", serveConnection(std::move(stream)));
  };
  tasks_.spawn("rpc_accept", transport::acceptAll(*listeners_.back(), clock_, take));
}

Co<void> RpcServer::stop() {
  stopping_ = true;
  for (const auto& listener : listeners_) listener->close();
  for (const auto& connection : connections_) connection->close();
  co_await tasks_.join();
}

Co<void> RpcServer::serveConnection(std::unique_ptr<ByteStream> stream) {
  if (stopping_) co_return;
  const User user = authenticate_(*stream);
  const std::string node = user.nodeName();
  const auto api = service_.as(user);
  auto handler = [this, bound = api.get(), user](rpc::Connection&, rpc::Stream& opened) {
    return serveStream(*bound, user, opened);
  };
  auto connection =
      rpc::makeConnection(executor_, clock_, std::move(stream), true, std::move(handler), options_);
  connections_.insert(connection);
  if (!node.empty()) {
    logInfo("node_connected", {{"node", node}, {"peer", connection->peer()}});
    relay_.connected(node, connection);
  }
  const Status why = co_await connection->closed();
  if (!node.empty()) {
    logInfo("node_disconnected", {{"node", node}, {"reason", why}});
    relay_.disconnected(node, *connection);
  }
  connections_.erase(connection);
}

Co<Status> RpcServer::serveStream(api::Api& api, User user, rpc::Stream& stream) {
  const std::string& method = stream.method();
  if (method == "api") co_return co_await serveApi(api, stream);
  if (method == "watch") co_return co_await serveWatch(api, stream);
  if (StreamRelay::serves(method)) co_return co_await relay_.serve(std::move(user), stream);
  co_return Status(Code::kMethodNotAllowed, "unknown method \"" + method + "\"");
}

}  // namespace podlab::apiserver
