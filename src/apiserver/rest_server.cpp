#include "apiserver/rest_server.hpp"

#include "transport/accept.hpp"

namespace podlab::apiserver {

RestServer::RestServer(ApiService& service, StreamRelay& relay, Clock& clock,
                       asio::any_io_executor executor)
    : clock_(clock), handler_(service, relay, clock), tasks_(std::move(executor)) {}

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

Co<void> RestServer::serveOne(std::unique_ptr<ByteStream> stream) {
  if (stopping_) co_return;
  streams_.insert(stream.get());
  auto handle = [this](http::Exchange& exchange) { return handler_.serve(exchange); };
  co_await http::serveConnection(*stream, clock_, handle);
  streams_.erase(stream.get());
}

}  // namespace podlab::apiserver
