#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/clock.hpp"
#include "common/rng.hpp"
#include "store/store.hpp"

namespace podlab::sim {

/// A disk: what is acknowledged outlives the server that wrote it. What is written at a crash is
/// there afterwards, or is not.
class SimDisk {
 public:
  struct Options {
    Duration commit = std::chrono::milliseconds(1);  ///< until a write is durable
    /// For tests of the invariants: a crash takes so many of the last writes back,
    std::size_t losesAtCrash = 0;
    /// and a write comes to the disk as something else than what is acknowledged.
    std::function<void(store::Txn&)> tamper = nullptr;
  };

  SimDisk(Clock& clock, Rng& rng, Options options);
  ~SimDisk();

  /// The store of a server that starts. One at a time.
  Co<std::unique_ptr<store::Store>> open();
  /// The server dies: its calls fail from now on.
  void crash();

  /// What is on the disk, for who looks from outside.
  store::Store& contents();
  /// The last acknowledged write of each key, until it is removed.
  const std::unordered_map<std::string, store::Revision>& acknowledged() const;
  /// From now on; costs memory for each key.
  void keepAcknowledged();

 private:
  struct State;
  class Handle;
  std::shared_ptr<State> state_;
};

}  // namespace podlab::sim
