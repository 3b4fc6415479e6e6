#include "store/sqlite_log.hpp"

#include <errno.h>
#include <fcntl.h>

#include <utility>

#include <sqlite3.h>

#include "common/unique_fd.hpp"

namespace podlab::store {
namespace {

constexpr std::int64_t kApplicationId = 0x706f646c;  // "podl"
constexpr std::int64_t kSchemaVersion = 1;

// From the first access on the lock is held, without a shared-memory file beside the database.
constexpr const char* kLock = "PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE";
// The cache is small since the index in memory serves all reads.
constexpr const char* kSettings =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-512;"
    "PRAGMA temp_store=MEMORY; PRAGMA journal_size_limit=16777216;";
// A row is one record: `value` is NULL for a deletion. meta has the row "compacted".
constexpr const char* kSchema =
    "CREATE TABLE log (id INTEGER PRIMARY KEY, revision INTEGER NOT NULL,"
    " created INTEGER NOT NULL, key BLOB NOT NULL, value BLOB) STRICT;"
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "INSERT INTO meta VALUES ('compacted', 0);"
    "PRAGMA application_id=1886348396; PRAGMA user_version=1;";
static_assert(kApplicationId == 1886348396 && kSchemaVersion == 1, "kSchema repeats them");

}  // namespace

/// A prepared statement; each run binds, steps to the end and resets.
class SqliteLog::Statement {
 public:
  Statement(sqlite3* db, const char* sql, unsigned flags = SQLITE_PREPARE_PERSISTENT) {
    sqlite3_prepare_v3(db, sql, -1, flags, &handle_, nullptr);
  }
  ~Statement() { sqlite3_finalize(handle_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  bool valid() const { return handle_ != nullptr; }
  void bind(int index, std::int64_t value) { sqlite3_bind_int64(handle_, index, value); }
  /// The bytes must stay until run().
  void bind(int index, const std::string& bytes) {
    sqlite3_bind_blob64(handle_, index, bytes.data(), bytes.size(), SQLITE_STATIC);
  }
  void bindNull(int index) { sqlite3_bind_null(handle_, index); }
  bool step() { return sqlite3_step(handle_) == SQLITE_ROW; }
  bool run() {
    const bool done = sqlite3_step(handle_) == SQLITE_DONE;
    return sqlite3_reset(handle_) == SQLITE_OK && done;
  }
  bool isNull(int column) const { return sqlite3_column_type(handle_, column) == SQLITE_NULL; }
  std::int64_t integer(int column) const { return sqlite3_column_int64(handle_, column); }
  std::string blob(int column) const {
    const auto* data = static_cast<const char*>(sqlite3_column_blob(handle_, column));
    return data == nullptr
               ? std::string()
               : std::string(data, static_cast<std::size_t>(sqlite3_column_bytes(handle_, column)));
  }

 private:
  sqlite3_stmt* handle_ = nullptr;
};

Status SqliteLog::failure() const {
  const int code = sqlite3_errcode(db_) & 0xff;
  const std::string file = "store database " + path_;
  const std::string reason = sqlite3_errmsg(db_);
  switch (code) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {Code::kUnavailable, file +
                                      " is in use by another process: stop that one, or choose "
                                      "another data directory"};
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return {Code::kInternal, file + " is damaged (" + reason +
                                   "): restore it from a backup, or move it and its -wal file "
                                   "away to begin with an empty store"};
    case SQLITE_FULL:
      return {Code::kExhausted, file + ": the disk is full: free some space"};
    case SQLITE_NOMEM:
      return {Code::kExhausted, file + ": out of memory"};
    default:
      break;
  }
  if (const int error = sqlite3_system_errno(db_); error != 0) {
    if (code == SQLITE_IOERR || code == SQLITE_CANTOPEN || code == SQLITE_READONLY) {
      return errnoStatus(error, file + " (" + reason + ")");
    }
  }
  return {Code::kInternal, file + ": " + reason};
}

Status SqliteLog::execute(const char* sql) {
  return sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) == SQLITE_OK ? Status() : failure();
}

Result<std::int64_t> SqliteLog::readInteger(const char* sql) {
  Statement statement(db_, sql, 0);
  if (!statement.valid() || !statement.step()) return failure();
  return statement.integer(0);
}

Result<std::unique_ptr<SqliteLog>> SqliteLog::open(const std::string& path,
                                                   const std::string& vfs) {
  // Secrets are in it. The WAL takes the mode over from the database.
  UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file) return errnoStatus(errno, "open store database " + path);
  file.reset();
  sqlite3* db = nullptr;
  const int opened = sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                                     vfs.empty() ? nullptr : vfs.c_str());
  if (db == nullptr) return Status(Code::kExhausted, "store database " + path + ": out of memory");
  std::unique_ptr<SqliteLog> log(new SqliteLog(path, db));
  if (opened != SQLITE_OK) return log->failure();
  sqlite3_extended_result_codes(db, 1);
  if (auto status = log->checkFormat(); !status.ok()) return status;
  if (auto status = log->execute(kSettings); !status.ok()) return status;
  if (auto status = log->prepare(); !status.ok()) return status;
  return log;
}

SqliteLog::SqliteLog(std::string path, sqlite3* db) : path_(std::move(path)), db_(db) {}

SqliteLog::~SqliteLog() {
  close();
}

Status SqliteLog::checkFormat() {
  // Nothing is changed before it is known whose file it is.
  if (auto status = execute(kLock); !status.ok()) return status;
  auto application = readInteger("PRAGMA application_id");
  if (!application) return application.status();
  auto tables = readInteger("SELECT count(*) FROM sqlite_schema");
  if (!tables) return tables.status();
  if (*application == 0 && *tables == 0) {
    if (auto status = execute(kSchema); !status.ok()) return status;
    return execute("COMMIT");
  }
  if (*application != kApplicationId) {
    return {Code::kInvalid, "store database " + path_ +
                                " belongs to another program: choose another data directory"};
  }
  auto version = readInteger("PRAGMA user_version");
  if (!version) return version.status();
  if (*version != kSchemaVersion) {
    return {Code::kInvalid, "store database " + path_ + " has schema version " +
                                std::to_string(*version) + ", this podlab knows version " +
                                std::to_string(kSchemaVersion) +
                                ": use the podlab that wrote it, or a newer one"};
  }
  return execute("COMMIT");
}

Status SqliteLog::prepare() {
  auto make = [&](std::unique_ptr<Statement>& out, const char* sql) {
    out = std::make_unique<Statement>(db_, sql);
    return out->valid();
  };
  const bool made =
      make(insert_, "INSERT INTO log (id, revision, created, key, value) VALUES (?, ?, ?, ?, ?)") &&
      make(delete_, "DELETE FROM log WHERE id = ?") &&
      make(setCompacted_, "UPDATE meta SET value = ? WHERE name = 'compacted'");
  return made ? Status() : failure();
}

Result<Revision> SqliteLog::readCompacted() {
  auto value = readInteger("SELECT value FROM meta WHERE name = 'compacted'");
  if (value) compacted_ = *value;
  return value;
}

Status SqliteLog::readRecords(const std::function<void(std::string key, Version version)>& visit) {
  Statement rows(db_, "SELECT id, revision, created, key, value FROM log ORDER BY id", 0);
  if (!rows.valid()) return failure();
  while (rows.step()) {
    Version version;
    version.row = rows.integer(0);
    version.modified = rows.integer(1);
    version.created = rows.integer(2);
    if (!rows.isNull(4)) version.value = rows.blob(4);
    visit(rows.blob(3), std::move(version));
  }
  return sqlite3_errcode(db_) == SQLITE_DONE ? Status() : failure();
}

Status SqliteLog::write(std::span<const Record> records, std::span<const std::int64_t> garbage,
                        Revision compacted) {
  for (const Record& record : records) {
    insert_->bind(1, record.now.row);
    insert_->bind(2, record.now.modified);
    insert_->bind(3, record.now.created);
    insert_->bind(4, record.key);
    if (record.now.present()) {
      insert_->bind(5, *record.now.value);
    } else {
      insert_->bindNull(5);
    }
    if (!insert_->run()) return failure();
  }
  for (std::int64_t row : garbage) {
    delete_->bind(1, row);
    if (!delete_->run()) return failure();
  }
  if (compacted == compacted_) return {};
  setCompacted_->bind(1, compacted);
  return setCompacted_->run() ? Status() : failure();
}

Status SqliteLog::commit(std::span<const Record> records, std::span<const std::int64_t> garbage,
                         Revision compacted) {
  Status status = execute("BEGIN IMMEDIATE");
  if (status.ok()) status = write(records, garbage, compacted);
  if (status.ok()) status = execute("COMMIT");
  if (status.ok()) {
    compacted_ = compacted;
  } else if (sqlite3_get_autocommit(db_) == 0) {
    sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
  }
  return status;
}

void SqliteLog::close() {
  insert_.reset();
  delete_.reset();
  setCompacted_.reset();
  sqlite3_close(std::exchange(db_, nullptr));
}

}  // namespace podlab::store
