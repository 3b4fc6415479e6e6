#include <utility>

#include "api/kinds.hpp"
#include "apiserver/rest_call.hpp"

namespace podlab::apiserver {
namespace {

/// What of a watch's events goes into one chunk, one record of TLS and one write.
constexpr std::size_t kTogether = 64UL << 10;

/// What a watch tells, until it ends; a failure is its last event.
Co<Status> sendEvents(Result<std::unique_ptr<api::Watch>>& watch,
                      std::shared_ptr<EventWriter>& writer, Clock& clock, http::Sender& sender) {
  Status end = watch.status();
  bool isFirst = true;
  while (end) {
    auto event = co_await (*watch)->next();
    if (!event) {
      end = event.status();
      break;
    }
    std::string lines;
    const WallTime now = clock.wallNow();
    std::optional<api::WatchEvent> one = std::move(*event);
    while (one) {
      writer->write(*one, isFirst, writer.use_count() > 1, now, lines);
      isFirst = false;
      one = lines.size() < kTogether ? (*watch)->poll() : std::nullopt;
    }
    Status sent = co_await sender.send(std::move(lines));
    if (!sent) co_return sent;
  }
  if (end.is(Code::kEndOfStream)) co_return Status();
  co_return co_await sender.send(writeErrorEvent(end));
}

}  // namespace

std::shared_ptr<EventWriter> RestHandler::eventWriter(const api::Kind& kind, const RestForm& form) {
  auto& shared = eventWriters_[{&kind, form}];
  auto writer = shared.lock();
  if (writer) return writer;
  writer = std::make_shared<EventWriter>(kind, form);
  shared = writer;
  return writer;
}

Co<void> RestHandler::watch(http::Exchange& exchange, Call& call) {
  const auto timeout = call.number("timeoutSeconds");
  if (!timeout) co_return co_await exchange.respond(call.fail(timeout.status()));
  api::WatchOptions options;
  options.labelSelector = call.text("labelSelector");
  options.fieldSelector = call.text("fieldSelector");
  options.resourceVersion = call.text("resourceVersion");
  options.bookmarks = call.flag("allowWatchBookmarks");
  options.sendInitialEvents = call.flag("sendInitialEvents");
  if (*timeout) options.timeout = std::chrono::seconds(**timeout);
  auto opened = co_await call.api->watch(call.id, std::move(options));
  if (!opened) {
    // As upstream, a version that is too old is told by an event.
    if (!opened.status().is(Code::kExpired))
      co_return co_await exchange.respond(call.fail(opened.status()));
  }
  http::Response head{
      200, {{"Content-Type", "application/json"}, {"Cache-Control", "no-cache, private"}}, ""};
  auto writer = eventWriter(*call.id.kind, call.form);
  auto send = [&](http::Sender& sender) { return sendEvents(opened, writer, clock_, sender); };
  co_await exchange.stream(std::move(head), send);
}

}  // namespace podlab::apiserver
