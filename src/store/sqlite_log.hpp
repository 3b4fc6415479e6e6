#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "common/status.hpp"
#include "store/mvcc.hpp"

struct sqlite3;

namespace podlab::store {

/// The durable side of a store: one SQLite table with a row for each record, in order, of which
/// those that compaction made unreachable are deleted. WAL mode, synchronous=FULL: commit() returns
/// when the transaction is on the disk. The process holds the file's lock until close(). Blocking,
/// for one thread at a time.
class SqliteLog {
 public:
  /// Makes the file when it is absent (readable by its owner only). `vfs` empty: SQLite's default.
  static Result<std::unique_ptr<SqliteLog>> open(const std::string& path, const std::string& vfs);
  ~SqliteLog();
  SqliteLog(const SqliteLog&) = delete;
  SqliteLog& operator=(const SqliteLog&) = delete;

  Result<Revision> readCompacted();
  /// Every row in its order.
  Status readRecords(const std::function<void(std::string key, Version version)>& visit);

  /// Adds `records`, deletes the rows `garbage` and notes the compaction: all, durably, or nothing.
  /// kExhausted when the disk is full; a later commit may succeed.
  Status commit(std::span<const Record> records, std::span<const std::int64_t> garbage,
                Revision compacted);
  /// Folds the WAL into the database and unlocks it.
  void close();

 private:
  class Statement;
  SqliteLog(std::string path, sqlite3* db);

  Status prepare();
  Status checkFormat();
  Status execute(const char* sql);
  Status write(std::span<const Record> records, std::span<const std::int64_t> garbage,
               Revision compacted);
  Result<std::int64_t> readInteger(const char* sql);
  /// The connection's last error, as a Status that names the file and the remedy.
  Status failure() const;

  std::string path_;
  sqlite3* db_;
  std::unique_ptr<Statement> insert_;
  std::unique_ptr<Statement> delete_;
  std::unique_ptr<Statement> setCompacted_;
  Revision compacted_ = 0;  ///< as written
};

}  // namespace podlab::store
