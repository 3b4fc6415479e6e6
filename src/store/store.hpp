#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/co.hpp"
#include "common/status.hpp"

namespace podlab::store {

/// One counter for all keys: each committed transaction takes the next value. 0 is "before
/// everything".
using Revision = std::int64_t;

/// The bytes of a value, immutable and shared by all who keep them; or none.
class Value {
 public:
  Value() = default;
  Value(std::string bytes)  // NOLINT(*-explicit-*)
      : bytes_(std::make_shared<const std::string>(std::move(bytes))) {}
  Value(const char* bytes) : Value(std::string(bytes)) {}  // NOLINT(*-explicit-*)

  bool present() const { return bytes_ != nullptr; }
  /// Of a value that is present.
  const std::string& operator*() const { return *bytes_; }
  const std::string* operator->() const { return bytes_.get(); }
  const std::shared_ptr<const std::string>& share() const { return bytes_; }

 private:
  std::shared_ptr<const std::string> bytes_;
};

struct KeyValue {
  std::string key;
  Value value;
  Revision createRevision = 0;
  Revision modRevision = 0;
};

/// Holds when the key's modRevision equals `modRevision` (0: the key is absent).
struct Compare {
  std::string key;
  Revision modRevision = 0;
};

struct Put {
  std::string key;
  Value value;
};

/// All or nothing: when every compare holds, all puts and deletes are applied under one new
/// revision. A key may occur once among puts and deletes. Deleting an absent key is no error and
/// makes no event.
struct Txn {
  std::vector<Compare> compares;
  std::vector<Put> puts;
  std::vector<std::string> deletes;
  /// It may wait a moment for others to share a commit with.
  bool patient = false;
};

struct TxnResult {
  bool succeeded = false;
  Revision revision =
      0;  ///< of this transaction; the current one when it did not succeed or changed nothing
  std::vector<KeyValue>
      current;  ///< when it did not succeed: the present values of the compared keys that are there
};

struct RangeRequest {
  std::string start;       ///< first key
  std::string end;         ///< first key after the range; empty: only `start` itself
  std::int64_t limit = 0;  ///< 0: all
  Revision revision = 0;   ///< as of; 0: now
};

struct RangeResult {
  std::vector<KeyValue> items;  ///< in byte order of the keys
  Revision revision = 0;        ///< of the snapshot
  std::int64_t remaining = 0;   ///< left out by the limit
};

struct Event {
  enum class Type { kPut, kDelete };
  Type type = Type::kPut;
  KeyValue kv;     ///< of a delete: the key, modRevision of the deletion, and no value
  Value previous;  ///< what the key had before, or none
};

/// Changes in order of revision, nothing lost or doubled. Destroying it ends it.
class Watcher {
 public:
  virtual ~Watcher() = default;
  struct Batch {
    std::vector<Event>
        events;             ///< all events of each revision it contains, possibly none (progress)
    Revision revision = 0;  ///< every event up to here has been delivered
  };
  /// Waits for the next events; kExpired when `from` was compacted away, or the watcher fell too
  /// far behind.
  virtual Co<Result<Batch>> next() = 0;
};

/// A revisioned key-value store with compare-and-swap, snapshots and watches (the semantics of
/// etcd's MVCC, in one process). Used from one thread. A write is acknowledged only when it is
/// durable; writes that wait at the same time share a commit.
class Store {
 public:
  virtual ~Store() = default;
  virtual Co<Result<TxnResult>> txn(Txn txn) = 0;
  /// kExpired when the revision was compacted, kInvalid when it lies in the future.
  virtual Co<Result<RangeResult>> range(RangeRequest request) = 0;
  /// Events with revision > `after` of keys in [start, end). kExpired when they were compacted.
  virtual Co<Result<std::unique_ptr<Watcher>>> watch(std::string start, std::string end,
                                                     Revision after) = 0;
  /// Forgets history at and before `revision`, except the present values.
  virtual Co<Status> compact(Revision revision) = 0;
  virtual Revision currentRevision() const = 0;
  virtual Revision compactedRevision() const = 0;
  /// Finishes what was accepted; later calls fail with kUnavailable.
  virtual Co<void> close() = 0;
};

/// The end of the range of all keys that begin with `prefix`.
std::string prefixEnd(std::string_view prefix);

}  // namespace podlab::store
