// Durable writes/s of 1 KB values with 1 and with 64 concurrent writers, against two yardsticks: a
// bare loop of appends to a file, each followed by fdatasync, and a bare loop of SQLite commits
// with the store's settings. On real files below TMPDIR (or /tmp): interleaved runs, and the ratios
// of their medians at the end.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <asio.hpp>
#include <sqlite3.h>

#include "bench/temp_dir.hpp"
#include "common/unique_fd.hpp"
#include "store/sqlite_store.hpp"

namespace podlab::store {
namespace {

constexpr int kKeysPerWriter = 100;
constexpr int kWritesPerIteration = 512;

const std::string& value() {
  static const std::string kValue(1024, 'v');
  return kValue;
}

Co<void> writeMany(Store& store, std::string name, int count) {
  for (int i = 0; i < count; ++i) {
    Txn txn;
    txn.puts.push_back({name + std::to_string(i % kKeysPerWriter), value()});
    auto done = co_await store.txn(std::move(txn));
    if (!done) throw std::runtime_error(done.status().toString());
  }
}

void rethrow(std::exception_ptr error) {
  if (error) std::rethrow_exception(error);
}

void storeWrites(benchmark::State& state) {
  const int writers = static_cast<int>(state.range(0));
  TempDir dir;
  asio::io_context io;
  auto store = openSqliteStore(io.get_executor(), dir.file());
  if (!store) throw std::runtime_error(store.status().toString());
  for (auto _ : state) {
    for (int i = 0; i < writers; ++i) {
      std::string name = "/registry/pods/default/pod-" + std::to_string(i) + "-";
      asio::co_spawn(io, writeMany(**store, std::move(name), kWritesPerIteration / writers),
                     rethrow);
    }
    io.restart();
    io.run();
  }
  state.SetItemsProcessed(state.iterations() * kWritesPerIteration);
}

void bareFsync(benchmark::State& state) {
  TempDir dir;
  UniqueFd file(::open(dir.file().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  for (auto _ : state) {
    for (int i = 0; i < kWritesPerIteration; ++i) {
      if (::write(file.get(), value().data(), value().size()) < 0 || ::fdatasync(file.get()) < 0)
        throw std::runtime_error("write " + dir.file());
    }
  }
  state.SetItemsProcessed(state.iterations() * kWritesPerIteration);
}

void check(int code, sqlite3* db) {
  if (code != SQLITE_OK && code != SQLITE_DONE) throw std::runtime_error(sqlite3_errmsg(db));
}

void bareSqlite(benchmark::State& state) {
  TempDir dir;
  sqlite3* db = nullptr;
  check(sqlite3_open(dir.file().c_str(), &db), db);
  auto run = [&](const char* sql) { check(sqlite3_exec(db, sql, nullptr, nullptr, nullptr), db); };
  run("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
      "CREATE TABLE kv (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID");
  sqlite3_stmt* put = nullptr;
  check(sqlite3_prepare_v2(db, "INSERT OR REPLACE INTO kv VALUES (?, ?)", -1, &put, nullptr), db);
  for (auto _ : state) {
    for (int i = 0; i < kWritesPerIteration; ++i) {
      const std::string key = "/registry/pods/default/pod-" + std::to_string(i % kKeysPerWriter);
      sqlite3_bind_text(put, 1, key.data(), static_cast<int>(key.size()), SQLITE_STATIC);
      sqlite3_bind_blob(put, 2, value().data(), static_cast<int>(value().size()), SQLITE_STATIC);
      check(sqlite3_step(put), db);
      check(sqlite3_reset(put), db);
    }
  }
  sqlite3_finalize(put);
  sqlite3_close(db);
  state.SetItemsProcessed(state.iterations() * kWritesPerIteration);
}

BENCHMARK(bareFsync)->UseRealTime()->Repetitions(5);
BENCHMARK(bareSqlite)->UseRealTime()->Repetitions(5);
BENCHMARK(storeWrites)->ArgName("writers")->Arg(1)->Arg(64)->UseRealTime()->Repetitions(5);

/// Also keeps the rates, for the ratios.
class RateReporter final : public benchmark::ConsoleReporter {
 public:
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const auto& run : runs) {
      if (run.run_type != Run::RT_Iteration) continue;
      const std::string name = run.run_name.function_name + run.run_name.args;
      rates_[name].push_back(run.counters.at("items_per_second"));
    }
    ConsoleReporter::ReportRuns(runs);
  }
  double median(const std::string& name) {
    auto& rates = rates_[name];
    if (rates.empty()) return 0;
    std::ranges::sort(rates);
    return rates[rates.size() / 2];
  }

 private:
  std::map<std::string, std::vector<double>> rates_;
};

}  // namespace
}  // namespace podlab::store

int main(int argc, char** argv) {
  std::string interleave = "--benchmark_enable_random_interleaving=true";
  std::vector<char*> arguments(argv, argv + argc);
  arguments.insert(arguments.begin() + 1, interleave.data());
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 1;
  podlab::store::RateReporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  const double fsync = reporter.median("bareFsync");
  const double sqlite = reporter.median("bareSqlite");
  const double one = reporter.median("storeWriteswriters:1");
  const double many = reporter.median("storeWriteswriters:64");
  if (fsync > 0 && sqlite > 0 && one > 0 && many > 0) {
    std::printf("durable writes/s of 1 KB: bare fdatasync %.0f, bare SQLite %.0f\n", fsync, sqlite);
    for (const auto& [writers, rate] : {std::pair{1, one}, std::pair{64, many}}) {
      std::printf("%d writer%s: %.0f (%.2f of bare fdatasync, %.2f of bare SQLite)\n", writers,
                  writers == 1 ? "" : "s", rate, rate / fsync, rate / sqlite);
    }
  }
  return 0;
}
