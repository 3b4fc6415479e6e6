#pragma once
#include <deque>
#include <utility>

#include <asio/any_io_executor.hpp>

#include "apiserver/watch_cache.hpp"
#include "common/clock.hpp"
#include "common/sync.hpp"
#include "store/store.hpp"

namespace podlab::apiserver {

/// Once a minute: compacts the store to where it was five minutes ago, and removes the bootstrap
/// tokens that have expired; every five minutes the Events that have not happened for an hour.
class Housekeeping {
 public:
  Housekeeping(store::Store& store, WatchCache& cache, Clock& clock,
               asio::any_io_executor executor);
  void start();
  Co<void> stop() { co_await tasks_.cancelAndJoin(); }

 private:
  Co<void> run();
  Co<void> compact();
  Co<void> removeOldEvents();
  Co<void> removeExpiredTokens();
  Co<void> removeKeys(std::vector<std::string> keys);

  store::Store& store_;
  WatchCache& cache_;
  Clock& clock_;
  /// One a minute, for as long as Events live.
  std::deque<std::pair<MonoTime, store::Revision>> revisions_;
  TaskGroup tasks_;
};

}  // namespace podlab::apiserver
