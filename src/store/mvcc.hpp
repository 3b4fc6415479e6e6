#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/indexed_map.hpp"
#include "common/status.hpp"
#include "common/sync.hpp"
#include "store/store.hpp"

namespace podlab::store {

/// One state of a key.
struct Version {
  Value value;  ///< none: absent
  Revision created = 0;
  Revision modified = 0;  ///< of an absent key: of its deletion, 0 when it never was
  std::int64_t row = 0;   ///< the number of its record

  bool present() const { return value.present(); }
};

/// One change of one key; what a durable log keeps, one row each.
struct Record {
  std::string key;
  Version now;
  Version before;
};

/// The state of a store in memory: the present values and the latest history. History beyond
/// `historyBytes` is compacted by itself, so that neither writers nor slow watchers can fill the
/// memory. What compaction makes unreachable is handed out as garbage(), for the log to delete.
class MvccIndex {
 public:
  explicit MvccIndex(std::size_t historyBytes) : historyLimit_(historyBytes) {}

  Revision current() const { return current_; }
  Revision compacted() const { return compacted_; }
  std::int64_t lastRow() const { return lastRow_; }
  /// The present version; one that is not present() when there is none.
  const Version& find(const std::string& key) const;

  Result<RangeResult> range(const RangeRequest& request) const;
  /// Adds whole revisions, and wakes watchers.
  void apply(std::vector<Record> records);
  /// kInvalid when `revision` lies in the future.
  Status compact(Revision revision);

  /// For opening: first the compaction, then every record of the log in its order.
  void restoreCompacted(Revision revision);
  void restore(std::string key, Version version);

  /// Rows that nothing needs any more, collected since clearGarbage().
  const std::vector<std::int64_t>& garbage() const { return garbage_; }
  /// Drops the first `count`, which have been deleted.
  void clearGarbage(std::size_t count);

  /// The changes after `after` of keys in [start, end), at most about kBatch of them; kExpired when
  /// they were compacted.
  Result<Watcher::Batch> changes(const std::string& start, const std::string& end,
                                 Revision after) const;
  /// Ends all watchers with kUnavailable.
  void close();
  bool closed() const { return closed_; }
  WaitQueue& changed() { return changed_; }

 private:
  void push(Record record);
  void compactTo(Revision revision);
  void trim();

  const std::size_t historyLimit_;
  IndexedMap<Version> present_;
  std::deque<Record> history_;  ///< all records after compacted_, in order of revision
  std::size_t historyBytes_ = 0;
  std::vector<std::int64_t> garbage_;
  Revision current_ = 0;
  Revision compacted_ = 0;
  std::int64_t lastRow_ = 0;
  bool closed_ = false;
  WaitQueue changed_;
};

/// Transactions evaluated one after the other on top of an index, none of them visible yet. The
/// index must not change meanwhile.
class PendingBatch {
 public:
  explicit PendingBatch(const MvccIndex& index)
      : index_(index), revision_(index.current()), row_(index.lastRow()) {}

  /// kInvalid for an empty key or one that is written twice.
  Result<TxnResult> add(Txn txn);
  std::vector<Record> takeRecords() { return std::move(records_); }

 private:
  const Version& latest(const std::string& key) const;
  void append(std::string key, Version now);

  const MvccIndex& index_;
  Revision revision_;
  std::int64_t row_;
  std::vector<Record> records_;
  std::unordered_map<std::string, std::size_t> newest_;  ///< of each key, in records_
};

/// A watcher of an index, which it keeps alive.
Result<std::unique_ptr<Watcher>> makeWatcher(std::shared_ptr<MvccIndex> index, std::string start,
                                             std::string end, Revision after);

/// What every call on a closed store returns.
Status closedStatus();

}  // namespace podlab::store
