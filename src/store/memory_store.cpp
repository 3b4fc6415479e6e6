#include "store/memory_store.hpp"

#include <utility>

#include "store/mvcc.hpp"

namespace podlab::store {
namespace {

class MemoryStore final : public Store {
 public:
  explicit MemoryStore(std::size_t historyBytes)
      : index_(std::make_shared<MvccIndex>(historyBytes)) {}
  ~MemoryStore() override { index_->close(); }

  Co<Result<TxnResult>> txn(Txn txn) override {
    if (index_->closed()) co_return closedStatus();
    PendingBatch batch(*index_);
    auto result = batch.add(std::move(txn));
    index_->apply(batch.takeRecords());
    index_->clearGarbage(index_->garbage().size());
    co_return result;
  }

  Co<Result<RangeResult>> range(RangeRequest request) override {
    if (index_->closed()) co_return closedStatus();
    co_return index_->range(request);
  }

  Co<Result<std::unique_ptr<Watcher>>> watch(std::string start, std::string end,
                                             Revision after) override {
    co_return makeWatcher(index_, std::move(start), std::move(end), after);
  }

  Co<Status> compact(Revision revision) override {
    if (index_->closed()) co_return closedStatus();
    Status status = index_->compact(revision);
    index_->clearGarbage(index_->garbage().size());
    co_return status;
  }

  Revision currentRevision() const override { return index_->current(); }
  Revision compactedRevision() const override { return index_->compacted(); }

  Co<void> close() override {
    index_->close();
    co_return;
  }

 private:
  std::shared_ptr<MvccIndex> index_;
};

}  // namespace

std::unique_ptr<Store> makeMemoryStore(std::size_t historyBytes) {
  return std::make_unique<MemoryStore>(historyBytes);
}

}  // namespace podlab::store
