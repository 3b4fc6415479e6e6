#include "controllers/reconciler.hpp"

#include <utility>

#include "common/log.hpp"
#include "common/sync.hpp"

namespace podlab::controllers {

Reconciler::Reconciler(std::string name, Clock& clock, Rng& rng, asio::any_io_executor executor,
                       Function reconcile)
    : name_(std::move(name)),
      reconcile_(std::move(reconcile)),
      queue_(clock, rng),
      tasks_(std::move(executor)) {}

void Reconciler::start(Co<void> ready, std::size_t workers) {
  tasks_.spawn(name_, run(std::move(ready), workers));
}

Co<void> Reconciler::stop() {
  queue_.shutDown();
  co_await tasks_.cancelAndJoin();
}

Co<void> Reconciler::run(Co<void> ready, std::size_t workers) {
  co_await std::move(ready);
  for (std::size_t i = 0; i < workers; ++i) tasks_.spawn(name_, work());
}

Co<void> Reconciler::work() {
  while (auto key = co_await queue_.get()) {
    const Status status = co_await reconcile_(*key);
    if (status.ok()) {
      queue_.forget(*key);
    } else {
      const LogLevel level = status.is(Code::kConflict) ? LogLevel::kDebug : LogLevel::kWarning;
      log(level, "reconcile_failed", {{"controller", name_}, {"key", *key}, {"error", status}});
      queue_.addRateLimited(*key);
    }
    queue_.done(*key);
    // A long queue, as after a start, is no reason for clients to wait.
    co_await giveWay();
  }
}

}  // namespace podlab::controllers
