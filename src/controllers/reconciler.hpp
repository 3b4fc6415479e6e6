#pragma once
#include <functional>
#include <string>

#include <asio/any_io_executor.hpp>

#include "client/work_queue.hpp"
#include "common/clock.hpp"
#include "common/rng.hpp"
#include "common/status.hpp"
#include "common/sync.hpp"

namespace podlab::controllers {

/// Works off keys: `reconcile` compares what is with what should be and writes the difference. A
/// failure brings the key again after a growing delay; a conflict (somebody else has written) is
/// not worth a warning.
class Reconciler {
 public:
  using Function = std::function<Co<Status>(std::string key)>;

  Reconciler(std::string name, Clock& clock, Rng& rng, asio::any_io_executor executor,
             Function reconcile);

  void add(std::string key) { queue_.add(std::move(key)); }
  void addAfter(std::string key, Duration delay) { queue_.addAfter(std::move(key), delay); }

  /// Works on up to `workers` keys at a time, once `ready` has returned.
  void start(Co<void> ready, std::size_t workers = 1);
  Co<void> stop();

 private:
  Co<void> run(Co<void> ready, std::size_t workers);
  Co<void> work();

  const std::string name_;
  const Function reconcile_;
  client::WorkQueue queue_;
  TaskGroup tasks_;
};

}  // namespace podlab::controllers
