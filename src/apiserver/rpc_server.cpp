#include "apiserver/rpc_server.hpp"

#include <string>
#include <unordered_map>
#include <utility>

#include "apiserver/rpc_api.hpp"
#include "common/log.hpp"
#include "transport/accept.hpp"

namespace podlab::apiserver {
namespace {

/// Who has no certificate comes to join, and goes.
constexpr std::size_t kMaxAnonymous = 256;
constexpr Duration kAnonymousLife = std::chrono::minutes(1);
/// Each of thousands of hollow nodes has some watches.
constexpr std::size_t kStreamsOfHollowNodes = 1 << 20;

Co<void> closeAfter(Clock& clock, std::shared_ptr<rpc::Connection> connection, Duration life) {
  co_await clock.sleepFor(life);
  connection->close();
}

}  // namespace

/// A connection, and who speaks over it.
struct RpcServer::Served {
  User user;
  std::unique_ptr<api::Api> api;
  std::shared_ptr<rpc::Connection> connection;
  std::unordered_map<std::string, std::unique_ptr<api::Api>> nodes;  ///< hollow ones, that have
};

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

rpc::ConnectionOptions RpcServer::optionsFor(const User& user) const {
  rpc::ConnectionOptions options = options_;
  if (user.speaksForNodes()) options.maxStreams = kStreamsOfHollowNodes;
  if (user.name != kAnonymous) return options;
  options.maxMessage = options.window = options.maxBuffered = 64 << 10;
  options.maxStreams = 16;
  return options;
}

Co<void> RpcServer::serveConnection(std::unique_ptr<ByteStream> stream) {
  if (stopping_) co_return;
  Served served;
  served.user = authenticate_(*stream);
  const bool anonymous = served.user.name == kAnonymous;
  if (anonymous && anonymous_ >= kMaxAnonymous) co_return;
  const std::string node = served.user.nodeName();
  served.api = service_.as(served.user);
  auto handler = [this, &served](rpc::Connection&, rpc::Stream& opened) {
    return serveStream(served, opened);
  };
  auto connection = rpc::makeConnection(executor_, clock_, std::move(stream), true,
                                        std::move(handler), optionsFor(served.user));
  served.connection = connection;
  const auto position = connections_.insert(connections_.end(), connection);
  TaskGroup limits(executor_);
  if (anonymous) {
    ++anonymous_;
    limits.spawn("rpc_anonymous", closeAfter(clock_, connection, kAnonymousLife));
  }
  if (!node.empty()) {
    logInfo("node_connected", {{"node", node}, {"peer", connection->peer()}});
    arrived(served, node);
  }
  const Status why = co_await connection->closed();
  if (!node.empty()) {
    logInfo("node_disconnected", {{"node", node}, {"reason", why}});
    relay_.disconnected(node, *connection);
  }
  for (const auto& [hollow, api] : served.nodes) relay_.disconnected(hollow, *connection);
  connections_.erase(position);
  if (!anonymous) co_return;
  --anonymous_;
  co_await limits.cancelAndJoin();
}

void RpcServer::arrived(Served& served, const std::string& node) {
  relay_.connected(node, served.connection);
  if (join_ != nullptr) join_->arrived(node);
}

Result<api::Api*> RpcServer::apiFor(Served& served, const std::string& node) {
  if (node.empty()) return served.api.get();
  const auto known = served.nodes.find(node);
  if (known != served.nodes.end()) return known->second.get();
  if (!served.user.speaksFor(node)) {
    return Status(Code::kForbidden,
                  "user \"" + served.user.name + "\" cannot speak for node \"" + node + "\"");
  }
  auto& api = served.nodes[node];
  api = service_.as(nodeUser(node));
  arrived(served, node);
  return api.get();
}

Co<Status> RpcServer::serveStream(Served& served, rpc::Stream& stream) {
  const std::string& method = stream.method();
  const ApiFor apiOf = [this, &served](const std::string& node) { return apiFor(served, node); };
  if (method == "api") co_return co_await serveApi(apiOf, stream);
  if (method == "watch") co_return co_await serveWatch(apiOf, stream);
  if (join_ != nullptr && NodeJoin::serves(method))
    co_return co_await join_->serve(served.user, stream);
  if (StreamRelay::serves(method)) co_return co_await relay_.serve(served.user, stream);
  co_return Status(Code::kMethodNotAllowed, "unknown method \"" + method + "\"");
}

}  // namespace podlab::apiserver
