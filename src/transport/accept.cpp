#include "transport/accept.hpp"

#include "common/log.hpp"

namespace podlab::transport {
namespace {

constexpr Duration kAcceptRetry = std::chrono::milliseconds(100);

}  // namespace

Co<void> acceptAll(Listener& listener, Clock& clock,
                   std::function<void(std::unique_ptr<ByteStream>)> take) {
  while (true) {
    auto stream = co_await listener.accept();
    if (stream) {
      take(std::move(*stream));
      continue;
    }
    if (stream.status().is(Code::kCanceled)) co_return;
    logWarning("accept_failed", {{"listener", listener.address()}, {"error", stream.status()}});
    co_await clock.sleepFor(kAcceptRetry);
  }
}

}  // namespace podlab::transport
