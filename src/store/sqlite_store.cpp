#include "store/sqlite_store.hpp"

#include <optional>
#include <utility>
#include <vector>

#include <asio.hpp>

#include "common/blocking.hpp"
#include "common/sync.hpp"
#include "store/mvcc.hpp"
#include "store/sqlite_log.hpp"

namespace podlab::store {
namespace {

/// A transaction that waits for its commit.
struct Request {
  Txn txn;
  std::optional<Result<TxnResult>> result;
  WaitQueue done;
};

/// Shared with the writer coroutine, which may outlive the store.
struct State {
  State(asio::any_io_executor ex, const SqliteOptions& options, std::shared_ptr<SqliteLog> l)
      : executor(std::move(ex)),
        clock(options.clock),
        index(std::make_shared<MvccIndex>(options.historyBytes)),
        log(std::move(l)),
        thread(makeThreadPool(1)) {}

  asio::any_io_executor executor;
  Clock* clock;
  Clock::TimerId patience = 0;  ///< runs while only patient transactions wait
  std::shared_ptr<MvccIndex> index;
  std::shared_ptr<SqliteLog> log;
  std::unique_ptr<BlockingPool> thread;  ///< null once the store is destroyed
  std::vector<std::shared_ptr<Request>> waiting;
  bool writing = false;
  bool closing = false;
  WaitQueue idle;
  Revision compactedOnDisk = 0;
};

/// Evaluates the requests in their order on top of what is durable, commits what they change at
/// once, and only then shows it to readers and watchers. When the commit fails, all of them fail,
/// also those that would have changed nothing: they may have seen what now never was.
Co<void> writeTogether(std::shared_ptr<State> state,
                       std::vector<std::shared_ptr<Request>> requests) {
  MvccIndex& index = *state->index;
  PendingBatch batch(index);
  std::vector<Result<TxnResult>> results;
  results.reserve(requests.size());
  for (auto& request : requests) results.push_back(batch.add(std::move(request->txn)));

  auto records = std::make_shared<std::vector<Record>>(batch.takeRecords());
  Status status;
  const Revision compacted = index.compacted();
  if (!records->empty() || compacted != state->compactedOnDisk) {
    auto garbage = index.garbage();
    const std::size_t deleted = garbage.size();
    auto job = [log = state->log, records, garbage = std::move(garbage), compacted] {
      return log->commit(*records, garbage, compacted);
    };
    status = co_await state->thread->run(std::move(job));
    if (status.ok()) {
      state->compactedOnDisk = compacted;
      // compact() may have added garbage meanwhile.
      index.clearGarbage(deleted);
      index.apply(std::move(*records));
    }
  }
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i]->result = status.ok() ? std::move(results[i]) : Result<TxnResult>(status);
    requests[i]->done.notifyAll();
  }
}

/// Runs while requests wait.
Co<void> writeAll(std::shared_ptr<State> state) {
  while (!state->waiting.empty()) {
    // All that is ready to run now can still join: above all the writers of the last commit.
    co_await asio::post(asio::use_awaitable);
    auto requests = std::exchange(state->waiting, {});
    if (state->thread) {
      co_await writeTogether(state, std::move(requests));
      continue;
    }
    for (auto& request : requests) {
      request->result = closedStatus();
      request->done.notifyAll();
    }
  }
  state->writing = false;
  state->idle.notifyAll();
}

void beginWriting(const std::shared_ptr<State>& state) {
  if (state->patience != 0) state->clock->cancel(std::exchange(state->patience, 0));
  if (std::exchange(state->writing, true)) return;
  asio::co_spawn(state->executor, writeAll(state), [](const std::exception_ptr& error) {
    if (error) std::rethrow_exception(error);
  });
}

Co<Result<TxnResult>> submit(std::shared_ptr<State> state, Txn txn) {
  auto request = std::make_shared<Request>();
  const bool patient = txn.patient && state->clock != nullptr;
  request->txn = std::move(txn);
  state->waiting.push_back(request);
  if (!patient) {
    beginWriting(state);
  } else if (!state->writing && state->patience == 0) {
    state->patience = state->clock->scheduleIn(kPatience, [weak = std::weak_ptr(state)] {
      if (const auto alive = weak.lock()) beginWriting(alive);
    });
  }
  while (!request->result) co_await request->done.wait();
  co_return std::move(*request->result);
}

class SqliteStore final : public Store {
 public:
  explicit SqliteStore(std::shared_ptr<State> state) : state_(std::move(state)) {}

  ~SqliteStore() override {
    state_->closing = true;
    state_->index->close();
    state_->thread.reset();  // a commit that has begun ends here
    if (state_->patience != 0) beginWriting(state_);
  }

  Co<Result<TxnResult>> txn(Txn txn) override {
    if (state_->closing) co_return closedStatus();
    co_return co_await submit(state_, std::move(txn));
  }

  Co<Result<RangeResult>> range(RangeRequest request) override {
    if (state_->closing) co_return closedStatus();
    co_return state_->index->range(request);
  }

  Co<Result<std::unique_ptr<Watcher>>> watch(std::string start, std::string end,
                                             Revision after) override {
    if (state_->closing) co_return closedStatus();
    co_return makeWatcher(state_->index, std::move(start), std::move(end), after);
  }

  Co<Status> compact(Revision revision) override {
    if (state_->closing) co_return closedStatus();
    if (auto status = state_->index->compact(revision); !status.ok()) co_return status;
    // An empty transaction takes the deletion of what is unreachable now to the disk.
    auto flushed = co_await submit(state_, {});
    co_return flushed.status();
  }

  Revision currentRevision() const override { return state_->index->current(); }
  Revision compactedRevision() const override { return state_->index->compacted(); }

  Co<void> close() override {
    auto state = state_;
    if (std::exchange(state->closing, true)) co_return;
    if (state->patience != 0) beginWriting(state);
    while (state->writing) co_await state->idle.wait();
    auto job = [log = state->log] { log->close(); };
    co_await state->thread->runVoid(std::move(job));
    state->index->close();
  }

 private:
  std::shared_ptr<State> state_;
};

}  // namespace

Result<std::unique_ptr<Store>> openSqliteStore(asio::any_io_executor executor,
                                               const std::string& path,
                                               const SqliteOptions& options) {
  auto log = SqliteLog::open(path, options.vfs);
  if (!log) return log.status();
  auto compacted = (*log)->readCompacted();
  if (!compacted) return compacted.status();
  auto state = std::make_shared<State>(std::move(executor), options,
                                       std::shared_ptr<SqliteLog>(*std::move(log)));
  state->index->restoreCompacted(*compacted);
  state->compactedOnDisk = *compacted;
  auto visit = [&](std::string key, Version version) {
    state->index->restore(std::move(key), std::move(version));
  };
  if (auto status = state->log->readRecords(visit); !status.ok()) return status;
  std::unique_ptr<Store> store = std::make_unique<SqliteStore>(std::move(state));
  return store;
}

}  // namespace podlab::store
