#pragma once
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "common/clock.hpp"
#include "common/rng.hpp"
#include "common/sync.hpp"

namespace podlab::client {

/// Keys to reconcile, as client-go's rate-limiting work queue: a key waits once, is never handed
/// out twice at a time, and one added while it is worked on comes again afterwards. Failures back
/// off by key, exponentially with jitter.
class WorkQueue {
 public:
  WorkQueue(Clock& clock, Rng& rng, Duration baseDelay = std::chrono::milliseconds(5),
            Duration maxDelay = std::chrono::seconds(60));
  ~WorkQueue();

  void add(std::string key);
  void addAfter(std::string key, Duration delay);
  /// After the key's back-off, which doubles each time until forget().
  void addRateLimited(std::string key);
  void forget(const std::string& key);
  /// The next key; nullopt after shutDown(). done() must follow.
  Co<std::optional<std::string>> get();
  void done(const std::string& key);
  void shutDown();
  std::size_t size() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace podlab::client
