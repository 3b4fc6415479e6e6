#pragma once
#include <cstddef>
#include <memory>
#include <string>

#include <asio/any_io_executor.hpp>

#include "common/clock.hpp"
#include "common/status.hpp"
#include "store/memory_store.hpp"
#include "store/store.hpp"

namespace podlab::store {

struct SqliteOptions {
  /// Kept for watches and old revisions, also over a restart; what is older is compacted.
  std::size_t historyBytes = kDefaultHistoryBytes;
  /// SQLite's name of the file layer; empty: the default one.
  std::string vfs;
  /// For patient transactions, which wait kPatience at most; null: none waits. Must outlive the
  /// store.
  Clock* clock = nullptr;
};

inline constexpr Duration kPatience = std::chrono::milliseconds(20);

/// A durable store in the file `path`, whose folder must exist. All data is also in memory, so
/// reads wait for nothing; one thread of its own writes, and transactions that wait for it share
/// its next commit. Blocks while it loads. Errors name the file: in use by another process
/// (kUnavailable), damaged (kInternal), another program's or a newer schema (kInvalid), a full disk
/// (kExhausted). A full disk later fails writes with kExhausted until there is space; reads and
/// watches go on. The store must be destroyed before `executor`'s context.
Result<std::unique_ptr<Store>> openSqliteStore(asio::any_io_executor executor,
                                               const std::string& path,
                                               const SqliteOptions& options = {});

}  // namespace podlab::store
