#include "store/sqlite_store.hpp"

#include <sys/stat.h>

#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <sqlite3.h>

#include "common/rng.hpp"
#include "tests/store/fault_vfs.hpp"
#include "tests/store/store_fixture.hpp"

namespace podlab::store {
namespace {

class SqliteStoreTest : public StoreFixture {
 protected:
  void SetUp() override { open(sqliteBackend()); }
  void reopen(std::size_t historyBytes = kDefaultHistoryBytes) {
    close();
    open(sqliteBackend(), historyBytes);
  }
  Status openError(const std::string& path) {
    return openSqliteStore(loop_.executor(), path).status();
  }
  /// Runs SQL on a closed database.
  void sql(const std::string& path, const std::string& text) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, text.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(db);
    sqlite3_close(db);
  }
  std::int64_t rows() {
    sqlite3* db = nullptr;
    EXPECT_EQ(sqlite3_open((dir_ / "store.db").c_str(), &db), SQLITE_OK);
    std::int64_t count = -1;
    auto read = [](void* out, int, char** values, char**) {
      *static_cast<std::int64_t*>(out) = std::stoll(values[0]);
      return 0;
    };
    EXPECT_EQ(sqlite3_exec(db, "SELECT count(*) FROM log", read, &count, nullptr), SQLITE_OK);
    sqlite3_close(db);
    return count;
  }
};

void expectSays(const Status& status, Code code, const std::vector<std::string>& parts) {
  EXPECT_TRUE(status.is(code)) << status.toString();
  for (const auto& part : parts) {
    EXPECT_NE(status.message().find(part), std::string::npos) << part << " in " << status.message();
  }
}

TEST_F(SqliteStoreTest, KeepsStateHistoryAndRevisionOverARestart) {
  put("a", "1");
  put("a", "2");
  put("b", "1");
  erase("b");
  reopen();
  EXPECT_EQ(store_->currentRevision(), 4);
  EXPECT_EQ(show("a", "z"), "a=2 ");
  EXPECT_EQ(show("a", "z", 3), "a=2 b=1 ");
  EXPECT_EQ(range("a")->items.at(0).createRevision, 1);
  auto watcher = watch("a", "z", 1);
  auto batch = next(*watcher);
  ASSERT_EQ(batch->events.size(), 3u);
  EXPECT_EQ(*batch->events[0].previous, "1");
  EXPECT_EQ(batch->events[2].type, Event::Type::kDelete);
  EXPECT_EQ(*batch->events[2].previous, "1");
  EXPECT_EQ(put("c", "1"), 5);
}

TEST_F(SqliteStoreTest, RevisionsNeverComeAgainAfterDeletesCompactionAndRestart) {
  put("a", "1");
  erase("a");
  ASSERT_TRUE(loop_.run(store_->compact(2)).ok());
  reopen();
  EXPECT_EQ(store_->compactedRevision(), 2);
  EXPECT_EQ(store_->currentRevision(), 2);
  EXPECT_EQ(show("a", "z"), "");
  EXPECT_TRUE(loop_.run(store_->watch("a", "z", 1)).status().is(Code::kExpired));
  EXPECT_EQ(put("a", "1"), 3);
  EXPECT_EQ(range("a")->items.at(0).createRevision, 3);
}

TEST_F(SqliteStoreTest, CompactionRemovesExactlyTheUnreachableRows) {
  for (int i = 0; i < 10; ++i) put("a", std::to_string(i));
  put("b", "1");
  erase("b");
  put("c", "1");
  ASSERT_TRUE(loop_.run(store_->compact(store_->currentRevision())).ok());
  close();
  EXPECT_EQ(rows(), 2);
  open(sqliteBackend());
  EXPECT_EQ(show("a", "z"), "a=9 c=1 ");
}

TEST_F(SqliteStoreTest, OldHistoryLeavesTheDiskByItself) {
  reopen(16 << 10);
  for (int i = 0; i < 500; ++i) put("a", std::string(500, 'x'));
  const Revision compacted = store_->compactedRevision();
  EXPECT_GT(compacted, 300);
  close();
  EXPECT_LT(rows(), 200);
  open(sqliteBackend(), 16 << 10);
  EXPECT_EQ(store_->currentRevision(), 500);
}

TEST_F(SqliteStoreTest, TheFileIsItsOwnersOnly) {
  put("secret", "1");
  for (auto* name : {"store.db", "store.db-wal"}) {
    struct stat info{};
    ASSERT_EQ(::stat((dir_ / name).c_str(), &info), 0) << name;
    EXPECT_EQ(info.st_mode & 0777, 0600u) << name;
  }
}

TEST_F(SqliteStoreTest, ASecondUserIsRefused) {
  expectSays(openError(dir_ / "store.db"), Code::kUnavailable,
             {"store.db", "in use by another process"});
  EXPECT_EQ(put("a", "1"), 1);
}

TEST_F(SqliteStoreTest, ForeignNewerAndDamagedFilesAreRefusedWithTheRemedy) {
  sql(dir_ / "foreign.db", "CREATE TABLE people (name TEXT)");
  expectSays(openError(dir_ / "foreign.db"), Code::kInvalid, {"foreign.db", "another program"});
  EXPECT_FALSE(std::filesystem::exists(dir_ / "foreign.db-wal"));

  put("a", "1");
  close();
  std::filesystem::copy_file(dir_ / "store.db", dir_ / "newer.db");
  sql(dir_ / "newer.db", "PRAGMA user_version=7");
  expectSays(openError(dir_ / "newer.db"), Code::kInvalid,
             {"newer.db", "schema version 7", "knows version 1", "newer"});

  std::ofstream(dir_ / "garbage.db") << std::string(8192, 'g');
  expectSays(openError(dir_ / "garbage.db"), Code::kInternal,
             {"garbage.db", "damaged", "backup", "empty store"});

  open(sqliteBackend());
  for (int i = 0; i < 200; ++i) put("k" + std::to_string(i), std::string(1000, 'v'));
  close();
  {
    std::fstream file(dir_ / "store.db", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(8192);
    file << std::string(100'000, '\xee');
  }
  expectSays(openError(dir_ / "store.db"), Code::kInternal, {"store.db", "damaged", "backup"});
  expectSays(openError(dir_ / "no/such/folder.db"), Code::kNotFound, {"no/such/folder.db"});
}

/// Time stands still until a test says that a timer is due.
class HandClock final : public Clock {
 public:
  MonoTime now() const override { return {}; }
  WallTime wallNow() const override { return {}; }
  TimerId schedule(MonoTime at, std::function<void()> fn) override {
    timers_[++last_] = {at, std::move(fn)};
    return last_;
  }
  void cancel(TimerId id) override { timers_.erase(id); }

  std::vector<MonoTime> due() const {
    std::vector<MonoTime> times;
    for (const auto& [id, timer] : timers_) times.push_back(timer.first);
    return times;
  }
  void runAll() {
    for (auto& [id, timer] : std::exchange(timers_, {})) timer.second();
  }

 private:
  std::map<TimerId, std::pair<MonoTime, std::function<void()>>> timers_;
  TimerId last_ = 0;
};

class PatientStoreTest : public SqliteStoreTest {
 protected:
  void SetUp() override {
    SqliteOptions options;
    options.clock = &clock_;
    auto opened = openSqliteStore(loop_.executor(), dir_ / "store.db", options);
    ASSERT_TRUE(opened.ok()) << opened.status().toString();
    store_ = *std::move(opened);
  }
  void TearDown() override {
    if (store_) close();
  }
  void putPatiently(const std::string& key) {
    const auto write = [](Store& store, std::string name, std::vector<Status>& out) -> Co<void> {
      Txn txn;
      txn.puts.push_back({std::move(name), "1"});
      txn.patient = true;
      auto result = co_await store.txn(std::move(txn));
      out.push_back(result.status());
    };
    loop_.spawn(write(*store_, key, results_));
    loop_.poll();
  }

  HandClock clock_;
  std::vector<Status> results_;
};

TEST_F(PatientStoreTest, WaitsForCompanyAndGoesWithIt) {
  putPatiently("a");
  putPatiently("b");
  EXPECT_EQ(clock_.due(), std::vector{MonoTime() + kPatience});
  EXPECT_EQ(show("a", "z"), "");
  EXPECT_EQ(put("c", "1"), 3);
  loop_.join();
  EXPECT_EQ(show("a", "z"), "a=1 b=1 c=1 ");
  EXPECT_EQ(results_, std::vector<Status>(2));
  EXPECT_TRUE(clock_.due().empty());
}

TEST_F(PatientStoreTest, GoesAloneWhenNobodyComes) {
  putPatiently("a");
  clock_.runAll();
  loop_.join();
  EXPECT_EQ(show("a", "z"), "a=1 ");
  putPatiently("b");
  EXPECT_EQ(clock_.due().size(), 1U);
}

TEST_F(PatientStoreTest, GoesBeforeTheStoreCloses) {
  putPatiently("a");
  close();
  loop_.join();
  EXPECT_EQ(results_, std::vector<Status>(1));
  open(sqliteBackend());
  EXPECT_EQ(show("a", "z"), "a=1 ");
}

TEST_F(PatientStoreTest, IsToldWhenTheStoreIsGone) {
  putPatiently("a");
  store_.reset();
  loop_.join();
  ASSERT_EQ(results_.size(), 1U);
  EXPECT_TRUE(results_[0].is(Code::kUnavailable)) << results_[0].toString();
  EXPECT_TRUE(clock_.due().empty());
}

class FaultTest : public SqliteStoreTest {
 protected:
  void SetUp() override { openWithFaults(); }
  void TearDown() override {
    if (store_) close();
  }
  void openWithFaults() {
    SqliteOptions options;
    options.vfs = vfs_.name();
    auto opened = openSqliteStore(loop_.executor(), dir_ / "store.db", options);
    ASSERT_TRUE(opened.ok()) << opened.status().toString();
    store_ = *std::move(opened);
  }
  Status tryPut(const std::string& key, const std::string& value) {
    Txn t;
    t.puts.push_back({key, value});
    return txn(std::move(t)).status();
  }

  FaultVfs vfs_{"podlab-fault"};
};

TEST_F(FaultTest, AFullDiskFailsWritesAndAppliesNothingUntilThereIsSpace) {
  put("a", "1");
  auto watcher = watch("a", "z", 1);
  for (std::int64_t space : {0, 100, 5000, 20000}) {
    vfs_.limitSpace(space);
    expectSays(tryPut("b", std::string(100'000, 'x')), Code::kExhausted, {"store.db", "full"});
    EXPECT_EQ(store_->currentRevision(), 1);
    EXPECT_EQ(show("a", "z"), "a=1 ");
  }
  vfs_.limitSpace(-1);
  EXPECT_EQ(put("c", "1"), 2);
  auto batch = next(*watcher);
  ASSERT_EQ(batch->events.size(), 1u);
  EXPECT_EQ(batch->events[0].kv.key, "c");
  close();
  openWithFaults();
  EXPECT_EQ(show("a", "z"), "a=1 c=1 ");
}

TEST_F(FaultTest, AFailedSyncFailsAllThatWaitedForIt) {
  put("a", "1");
  vfs_.failSyncs(1);
  int failed = 0;
  int succeeded = 0;
  auto write = [&](int i) -> Co<void> {
    Txn t;
    t.compares.push_back({"new" + std::to_string(i), 0});
    t.puts.push_back({"new" + std::to_string(i), "1"});
    auto result = co_await store_->txn(std::move(t));
    ++(result.ok() ? succeeded : failed);
  };
  for (int i = 0; i < 10; ++i) loop_.spawn(write(i));
  loop_.join();
  EXPECT_EQ(failed, 10);
  EXPECT_EQ(store_->currentRevision(), 1);
  EXPECT_EQ(show("new", "z"), "");
  for (int i = 0; i < 10; ++i) loop_.spawn(write(i));
  loop_.join();
  EXPECT_EQ(succeeded, 10);
  close();
  openWithFaults();
  EXPECT_EQ(store_->currentRevision(), 11);
}

TEST_F(FaultTest, WaitingWritersShareCommits) {
  put("a", "1");
  const int before = vfs_.syncs();
  auto write = [&](int i) -> Co<void> {
    Txn t;
    t.puts.push_back({"k" + std::to_string(i), "1"});
    auto result = co_await store_->txn(std::move(t));
    EXPECT_TRUE(result.ok());
  };
  for (int i = 0; i < 100; ++i) loop_.spawn(write(i));
  loop_.join();
  EXPECT_LE(vfs_.syncs() - before, 3);
  EXPECT_EQ(store_->currentRevision(), 101);
}

TEST_F(FaultTest, DestructionWithoutCloseAnswersEveryWriter) {
  int committed = 0;
  int refused = 0;
  auto write = [&](int i) -> Co<void> {
    Txn t;
    t.puts.push_back({"k" + std::to_string(i), "1"});
    auto result = co_await store_->txn(std::move(t));
    EXPECT_TRUE(result.ok() || result.status().is(Code::kUnavailable));
    ++(result.ok() ? committed : refused);
  };
  for (int i = 0; i < 10; ++i) loop_.spawn(write(i));
  loop_.poll();  // their commit begins, on its thread
  for (int i = 10; i < 20; ++i) loop_.spawn(write(i));
  loop_.poll();
  store_.reset();
  loop_.join();
  EXPECT_EQ(committed + refused, 20);
  loop_.poll();
  openWithFaults();
  EXPECT_EQ(store_->currentRevision(), committed);
}

// Power failures at random moments: what was acknowledged is there, and nothing is half there.
TEST_F(FaultTest, PowerFailuresLoseNothingAcknowledged) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const std::string context = "seed " + std::to_string(seed);
    SeededRng rng(seed);
    std::map<std::string, Revision> acknowledged;
    const auto steps = rng.below(60);
    for (std::uint64_t step = 0; step < steps; ++step) {
      Txn t;
      const std::string name = std::to_string(seed) + "/" + std::to_string(step);
      t.puts.push_back({"left/" + name, std::string(rng.below(9000), 'l')});
      t.puts.push_back({"right/" + name, t.puts[0].value});
      if (rng.chance(0.1)) vfs_.failSyncs(1);
      auto result = txn(std::move(t));
      vfs_.failSyncs(0);
      if (result) acknowledged["left/" + name] = result->revision;
    }
    TempDir after;
    vfs_.copyAfterPowerFailure(rng, after / "");
    Loop loop;
    auto survivor = openSqliteStore(loop.executor(), after / "store.db");
    ASSERT_TRUE(survivor.ok()) << context << survivor.status().toString();
    RangeRequest all;
    all.start = "left/";
    all.end = prefixEnd(all.start);
    auto left = loop.run((*survivor)->range(all));
    all.start = "right/";
    all.end = prefixEnd(all.start);
    auto right = loop.run((*survivor)->range(all));
    ASSERT_EQ(left->items.size(), right->items.size()) << context;
    std::map<std::string, Revision> found;
    for (std::size_t i = 0; i < left->items.size(); ++i) {
      EXPECT_EQ(left->items[i].modRevision, right->items[i].modRevision) << context;
      EXPECT_EQ(*left->items[i].value, *right->items[i].value) << context;
      found[left->items[i].key] = left->items[i].modRevision;
    }
    for (const auto& [key, revision] : acknowledged) {
      EXPECT_EQ(found[key], revision) << context << " " << key;
    }
    loop.run((*survivor)->close());
  }
}

}  // namespace
}  // namespace podlab::store
