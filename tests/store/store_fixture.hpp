#pragma once
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstddef>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <asio.hpp>

#include "store/memory_store.hpp"
#include "store/sqlite_store.hpp"
#include "store/store.hpp"

namespace podlab::store {

/// A folder that goes away with its owner.
class TempDir {
 public:
  TempDir() {
    // In memory where there is such a folder: fsync on a busy disk would only slow the tests down.
    std::filesystem::path base = "/dev/shm";
    if (::access(base.c_str(), W_OK) != 0) base = std::filesystem::temp_directory_path();
    std::string pattern = base / "podlab-store-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp " + pattern);
    path_ = pattern;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// Runs coroutines that may wait for a store's thread.
class Loop {
 public:
  asio::any_io_executor executor() { return io_.get_executor(); }

  template <typename T>
  T run(Co<T> task) {
    std::optional<T> result;
    auto body = [](Co<T> inner, std::optional<T>& out) -> Co<void> {
      out.emplace(co_await std::move(inner));
    };
    run(body(std::move(task), result));
    return std::move(*result);
  }
  void run(Co<void> task) {
    std::exception_ptr error;
    bool done = false;
    asio::co_spawn(io_, std::move(task), [&](std::exception_ptr e) {
      done = true;
      error = std::move(e);
    });
    while (!done) runOne();
    if (error) std::rethrow_exception(error);
  }
  /// Starts a coroutine that goes on during later calls.
  void spawn(Co<void> task) {
    ++spawned_;
    asio::co_spawn(io_, std::move(task), [this](std::exception_ptr error) {
      --spawned_;
      if (error) std::rethrow_exception(error);
    });
  }
  /// Until all spawned coroutines have ended.
  void join() {
    while (spawned_ > 0) runOne();
  }
  /// Until nothing is ready.
  void poll() {
    io_.restart();
    io_.poll();
  }

 private:
  void runOne() {
    io_.restart();
    io_.run_one();
  }

  asio::io_context io_;
  int spawned_ = 0;
};

struct Backend {
  std::string name;
  bool durable = false;
  std::function<Result<std::unique_ptr<Store>>(asio::any_io_executor, const std::string& path,
                                               std::size_t historyBytes)>
      open;
};

inline Backend memoryBackend() {
  return {"Memory", false,
          [](asio::any_io_executor, const std::string&, std::size_t historyBytes)
              -> Result<std::unique_ptr<Store>> { return makeMemoryStore(historyBytes); }};
}

inline Backend sqliteBackend() {
  return {"Sqlite", true,
          [](asio::any_io_executor executor, const std::string& path, std::size_t historyBytes) {
            SqliteOptions options;
            options.historyBytes = historyBytes;
            return openSqliteStore(executor, path, options);
          }};
}

/// Short forms for tests; each fails the test when the store fails.
class StoreFixture : public testing::Test {
 protected:
  void open(const Backend& backend, std::size_t historyBytes = kDefaultHistoryBytes) {
    auto opened = backend.open(loop_.executor(), dir_ / "store.db", historyBytes);
    ASSERT_TRUE(opened.ok()) << opened.status().toString();
    store_ = *std::move(opened);
  }
  void close() {
    loop_.run(store_->close());
    store_.reset();
  }
  Result<TxnResult> txn(Txn txn) { return loop_.run(store_->txn(std::move(txn))); }
  Revision put(const std::string& key, const std::string& value) {
    Txn t;
    t.puts.push_back({key, value});
    return committed(std::move(t));
  }
  Revision erase(const std::string& key) {
    Txn t;
    t.deletes.push_back(key);
    return committed(std::move(t));
  }
  Revision committed(Txn t) {
    auto result = txn(std::move(t));
    EXPECT_TRUE(result.ok()) << result.status().toString();
    if (!result) return -1;
    EXPECT_TRUE(result->succeeded);
    return result->revision;
  }
  Result<RangeResult> range(const std::string& start, const std::string& end = "",
                            Revision revision = 0, std::int64_t limit = 0) {
    RangeRequest request;
    request.start = start;
    request.end = end;
    request.revision = revision;
    request.limit = limit;
    return loop_.run(store_->range(request));
  }
  /// "key=value" of each item.
  std::string show(const std::string& start, const std::string& end = "", Revision revision = 0) {
    auto result = range(start, end, revision);
    if (!result) return result.status().toString();
    std::string text;
    for (const auto& kv : result->items) text += kv.key + "=" + *kv.value + " ";
    return text;
  }
  std::unique_ptr<Watcher> watch(const std::string& start, const std::string& end, Revision after) {
    auto result = loop_.run(store_->watch(start, end, after));
    EXPECT_TRUE(result.ok()) << result.status().toString();
    return result ? *std::move(result) : nullptr;
  }
  Result<Watcher::Batch> next(Watcher& watcher) { return loop_.run(watcher.next()); }

  TempDir dir_;
  Loop loop_;
  std::unique_ptr<Store> store_;
};

}  // namespace podlab::store
