#include "sim/sim_disk.hpp"

#include <algorithm>
#include <utility>

#include "common/sync.hpp"
#include "store/memory_store.hpp"

namespace podlab::sim {

struct SimDisk::State {
  State(Clock& c, Rng& r, Options o) : clock(c), rng(r), options(std::move(o)) {}

  Clock& clock;
  Rng& rng;
  Options options;
  std::shared_ptr<store::Store> contents = store::makeMemoryStore();
  std::uint64_t server = 0;  ///< the number of the one that runs
  bool running = false;
  bool keepsAcknowledged = false;
  std::unordered_map<std::string, store::Revision> acknowledged;
  std::vector<store::Txn> log;  ///< all that was written, when some of it is to be lost

  void acknowledge(const store::Txn& txn, store::Revision revision) {
    for (const auto& put : txn.puts) acknowledged[put.key] = revision;
    for (const auto& key : txn.deletes) acknowledged.erase(key);
  }
};

class SimDisk::Handle final : public store::Store {
 public:
  Handle(std::shared_ptr<State> state, std::uint64_t server)
      : state_(std::move(state)), contents_(state_->contents), server_(server) {}

  Co<Result<store::TxnResult>> txn(store::Txn txn) override {
    const auto state = state_;
    const auto contents = contents_;
    if (state->options.commit > Duration(0)) {
      if (!alive()) co_return dead();
      co_await state->clock.sleepFor(state->options.commit);
      // On its way to the disk when the server died: it has come there, or has not.
      if (!alive()) {
        if (state->running || !state->rng.chance(0.5)) co_return dead();
        (void)co_await contents->txn(std::move(txn));
        co_return dead();
      }
    }
    if (!alive()) co_return dead();
    if (!state->keepsAcknowledged) co_return co_await contents->txn(std::move(txn));
    const store::Txn copy = txn;
    if (state->options.tamper) state->options.tamper(txn);
    auto result = co_await contents->txn(std::move(txn));
    if (!result || !result->succeeded) co_return result;
    if (state->options.losesAtCrash > 0) state->log.push_back(copy);
    state->acknowledge(copy, result->revision);
    co_return result;
  }
  Co<Result<store::RangeResult>> range(store::RangeRequest request) override {
    if (!alive()) co_return dead();
    co_return co_await contents_->range(std::move(request));
  }
  Co<Result<std::unique_ptr<store::Watcher>>> watch(std::string start, std::string end,
                                                    store::Revision after) override {
    if (!alive()) co_return dead();
    co_return co_await contents_->watch(std::move(start), std::move(end), after);
  }
  Co<Status> compact(store::Revision revision) override {
    if (!alive()) co_return dead();
    co_return co_await contents_->compact(revision);
  }
  store::Revision currentRevision() const override { return contents_->currentRevision(); }
  store::Revision compactedRevision() const override { return contents_->compactedRevision(); }
  Co<void> close() override { co_return; }

 private:
  bool alive() const { return state_->running && state_->server == server_; }
  static Status dead() { return {Code::kUnavailable, "the server has died"}; }

  std::shared_ptr<State> state_;
  std::shared_ptr<store::Store> contents_;
  std::uint64_t server_;
};

SimDisk::SimDisk(Clock& clock, Rng& rng, Options options)
    : state_(std::make_shared<State>(clock, rng, std::move(options))) {}

SimDisk::~SimDisk() = default;

Co<std::unique_ptr<store::Store>> SimDisk::open() {
  const auto state = state_;
  if (state->server > 0 && state->options.losesAtCrash > 0) {
    auto& log = state->log;
    log.resize(log.size() - std::min(log.size(), state->options.losesAtCrash));
    state->contents = store::makeMemoryStore();
    for (store::Txn txn : log) (void)co_await state->contents->txn(std::move(txn));
  }
  state->running = true;
  std::unique_ptr<store::Store> handle = std::make_unique<Handle>(state, ++state->server);
  co_return std::move(handle);
}

void SimDisk::crash() {
  state_->running = false;
}

store::Store& SimDisk::contents() {
  return *state_->contents;
}

const std::unordered_map<std::string, store::Revision>& SimDisk::acknowledged() const {
  return state_->acknowledged;
}

void SimDisk::keepAcknowledged() {
  state_->keepsAcknowledged = true;
}

}  // namespace podlab::sim
