#include "apiserver/rest_server.hpp"

#include "common/log.hpp"
#include "transport/accept.hpp"

namespace podlab::apiserver {
namespace {

/// So many are told at a time that there are too many; others are cut off.
constexpr std::size_t kMaxRefused = 256;

/// The host of "10.0.0.1:4321".
std::string addressOf(const std::string& peer) {
  return peer.substr(0, peer.rfind(':'));
}

Co<void> tellTooMany(http::Exchange& exchange) {
  http::Response response =
      statusAnswer(Status(Code::kTooManyRequests, "Too many connections, please try again later."));
  response.headers.emplace_back("Retry-After", "1");
  co_await exchange.respond(std::move(response));
}

}  // namespace

RestServer::RestServer(ApiService& service, StreamRelay& relay, Clock& clock,
                       asio::any_io_executor executor, ConnectionLimits limits)
    : clock_(clock),
      handler_(service, relay, clock),
      limits_(limits),
      tasks_(std::move(executor)) {}

void RestServer::serve(std::unique_ptr<Listener> listener) {
  listeners_.push_back(std::move(listener));
  auto take = [this](std::unique_ptr<ByteStream> stream) {
    tasks_.spawn("rest_connection", serveOne(std::move(stream)));
  };
  tasks_.spawn("rest_accept", transport::acceptAll(*listeners_.back(), clock_, take));
}

Co<void> RestServer::stop() {
  stopping_ = true;
  for (const auto& listener : listeners_) listener->close();
  for (auto* stream : streams_) stream->close();
  co_await tasks_.join();
}

bool RestServer::isFull(const std::string& anonymousAddress) const {
  if (served_ >= limits_.all) return true;
  if (anonymousAddress.empty()) return false;
  const auto found = anonymousOf_.find(anonymousAddress);
  return anonymous_ >= limits_.anonymous ||
         (found != anonymousOf_.end() && found->second >= limits_.anonymousOfOneAddress);
}

Co<void> RestServer::serveOne(std::unique_ptr<ByteStream> stream) {
  if (stopping_) co_return;
  const bool known = !stream->peerIdentity().commonName.empty();
  const std::string address = known ? "" : addressOf(stream->peer());
  if (isFull(address)) co_return co_await refuse(std::move(stream));
  ++served_;
  if (!known) {
    ++anonymous_;
    ++anonymousOf_[address];
  }
  streams_.insert(stream.get());
  auto handle = [this](http::Exchange& exchange) { return handler_.serve(exchange); };
  co_await http::serveConnection(*stream, clock_, handle);
  streams_.erase(stream.get());
  --served_;
  if (known) co_return;
  --anonymous_;
  if (const auto found = anonymousOf_.find(address); --found->second == 0)
    anonymousOf_.erase(found);
}

Co<void> RestServer::refuse(std::unique_ptr<ByteStream> stream) {
  if (refused_ == 0) logWarning("rest_connections_full", {{"peer", stream->peer()}});
  if (refused_ >= kMaxRefused) co_return;
  ++refused_;
  streams_.insert(stream.get());
  http::ConnectionOptions options;
  options.idle = options.request = options.write = std::chrono::seconds(5);
  options.once = true;
  co_await http::serveConnection(*stream, clock_, tellTooMany, options);
  streams_.erase(stream.get());
  --refused_;
}

}  // namespace podlab::apiserver
