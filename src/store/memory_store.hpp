#pragma once
#include <cstddef>
#include <memory>

#include "store/store.hpp"

namespace podlab::store {

/// Bytes of history that a store keeps for watches and old revisions; what is older is compacted.
constexpr std::size_t kDefaultHistoryBytes = 8 << 20;

/// A store without durability, for tests and virtual time.
std::unique_ptr<Store> makeMemoryStore(std::size_t historyBytes = kDefaultHistoryBytes);

}  // namespace podlab::store
