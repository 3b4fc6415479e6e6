#include "apiserver/rest_server.hpp"

#include "common/log.hpp"

namespace podlab::apiserver {
namespace {

constexpr Duration kAcceptRetry = std::chrono::milliseconds(100);

}  // namespace

RestServer::RestServer(ApiService& service, StreamRelay& relay, Clock& clock,
                       asio::any_io_executor executor)
    : clock_(clock), handler_(service, relay, clock), tasks_(std::move(executor)) {}

void RestServer::serve(std::unique_ptr<Listener> listener) {
  listeners_.push_back(std::move(listener));
  tasks_.spawn("rest_accept", acceptAll(listeners_.back().get()));
}

Co<void> RestServer::stop() {
  stopping_ = true;
  for (const auto& listener : listeners_) listener->close();
  for (auto* stream : streams_) stream->close();
  co_await tasks_.join();
}

Co<void> RestServer::acceptAll(Listener* listener) {
  while (!stopping_) {
    auto stream = co_await listener->accept();
    if (stream) {
      tasks_.spawn("rest_connection", serveOne(std::move(*stream)));
      continue;
    }
    if (stream.status().is(Code::kCanceled)) co_return;
    // E.g. out of file descriptors: what waits can be accepted when others have gone.
    logWarning("accept_failed", {{"listener", listener->address()}, {"error", stream.status()}});
    co_await clock_.sleepFor(kAcceptRetry);
  }
}

Co<void> RestServer::serveOne(std::unique_ptr<ByteStream> stream) {
  if (stopping_) co_return;
  streams_.insert(stream.get());
  auto handle = [this](http::Exchange& exchange) { return handler_.serve(exchange); };
  co_await http::serveConnection(*stream, clock_, handle);
  streams_.erase(stream.get());
}

}  // namespace podlab::apiserver
