#include "store/mvcc.hpp"

#include <algorithm>
#include <map>
#include <unordered_set>
#include <utility>

namespace podlab::store {
namespace {

/// However large the records are, this many are kept: watchers that keep up must not expire because
/// of one big transaction.
constexpr std::size_t kMinHistory = 128;
/// Events after which a watcher's batch ends (with its revision).
constexpr std::size_t kBatch = 1000;

const Version kAbsent;

/// What a record keeps in memory beyond the present values.
std::size_t costOf(const Record& record) {
  return sizeof(Record) + record.key.size() +
         (record.before.present() ? record.before.value->size() : 0);
}

KeyValue toKeyValue(const std::string& key, const Version& version) {
  return {key, version.value, version.created, version.modified};
}

bool inRange(const std::string& key, const std::string& start, const std::string& end) {
  return end.empty() ? key == start : start <= key && key < end;
}

bool orderByRevision(Revision revision, const Record& record) {
  return revision < record.now.modified;
}

Status expired(Revision asked, Revision compacted) {
  return {Code::kExpired, "revision " + std::to_string(asked) +
                              " is too old: the history begins at " + std::to_string(compacted)};
}

std::string ahead(Revision asked, Revision current) {
  return "revision " + std::to_string(asked) + " lies in the future: the store is at " +
         std::to_string(current);
}

class IndexWatcher final : public Watcher {
 public:
  IndexWatcher(std::shared_ptr<MvccIndex> index, std::string start, std::string end, Revision after)
      : index_(std::move(index)), start_(std::move(start)), end_(std::move(end)), after_(after) {}

  Co<Result<Batch>> next() override {
    while (index_->current() == after_ && !index_->closed()) co_await index_->changed().wait();
    if (index_->closed()) co_return closedStatus();
    auto batch = index_->changes(start_, end_, after_);
    if (batch) after_ = batch->revision;
    co_return batch;
  }

 private:
  std::shared_ptr<MvccIndex> index_;
  std::string start_;
  std::string end_;
  Revision after_;
};

}  // namespace

const Version& MvccIndex::find(const std::string& key) const {
  const Version* found = present_.find(key);
  return found == nullptr ? kAbsent : *found;
}

Result<RangeResult> MvccIndex::range(const RangeRequest& request) const {
  const Revision revision = request.revision == 0 ? current_ : request.revision;
  if (revision < compacted_) return expired(revision, compacted_);
  if (revision > current_) return Status(Code::kInvalid, ahead(revision, current_));

  // Of the keys that changed since `revision`: what each was before its first change.
  std::map<std::string_view, const Version*> then;
  auto record = std::upper_bound(history_.begin(), history_.end(), revision, orderByRevision);
  for (; record != history_.end(); ++record) {
    if (inRange(record->key, request.start, request.end)) {
      then.try_emplace(record->key, &record->before);
    }
  }

  RangeResult result;
  result.revision = revision;
  auto emit = [&](const std::string& key, const Version& version) {
    if (!version.present()) return;
    if (request.limit > 0 && std::ssize(result.items) >= request.limit) {
      ++result.remaining;
    } else {
      result.items.push_back(toKeyValue(key, version));
    }
  };
  const auto present = request.end.empty() ? present_.between(request.start, request.start + '\0')
                                           : present_.between(request.start, request.end);
  auto now = present.begin();
  auto old = then.begin();
  while (now != present.end() || old != then.end()) {
    if (old == then.end() || (now != present.end() && (*now)->first < old->first)) {
      emit((*now)->first, (*now)->second);
      ++now;
      continue;
    }
    emit(std::string(old->first), *old->second);
    if (now != present.end() && (*now)->first == old->first) ++now;
    ++old;
  }
  return result;
}

void MvccIndex::push(Record record) {
  current_ = record.now.modified;
  lastRow_ = record.now.row;
  if (record.now.present()) {
    present_[record.key] = record.now;
  } else {
    present_.erase(record.key);
  }
  historyBytes_ += costOf(record);
  history_.push_back(std::move(record));
}

void MvccIndex::apply(std::vector<Record> records) {
  for (auto& record : records) push(std::move(record));
  trim();
  changed_.notifyAll();
}

void MvccIndex::restoreCompacted(Revision revision) {
  compacted_ = current_ = revision;
}

void MvccIndex::restore(std::string key, Version version) {
  if (version.modified <= compacted_) {
    lastRow_ = version.row;
    present_[std::move(key)] = std::move(version);
    return;
  }
  Version before = find(key);
  push({std::move(key), std::move(version), std::move(before)});
  trim();
}

void MvccIndex::trim() {
  while (historyBytes_ > historyLimit_ && history_.size() > kMinHistory) {
    compactTo(history_.front().now.modified);
  }
}

void MvccIndex::compactTo(Revision revision) {
  while (!history_.empty() && history_.front().now.modified <= revision) {
    const Record& record = history_.front();
    if (record.before.present()) garbage_.push_back(record.before.row);
    if (!record.now.present()) garbage_.push_back(record.now.row);
    historyBytes_ -= costOf(record);
    history_.pop_front();
  }
  compacted_ = revision;
}

Status MvccIndex::compact(Revision revision) {
  if (revision > current_) return {Code::kInvalid, ahead(revision, current_)};
  if (revision > compacted_) compactTo(revision);
  return {};
}

void MvccIndex::clearGarbage(std::size_t count) {
  garbage_.erase(garbage_.begin(), garbage_.begin() + static_cast<std::ptrdiff_t>(count));
  if (garbage_.empty()) garbage_.shrink_to_fit();
}

Result<Watcher::Batch> MvccIndex::changes(const std::string& start, const std::string& end,
                                          Revision after) const {
  if (after < compacted_) return expired(after, compacted_);
  Watcher::Batch batch;
  batch.revision = current_;
  auto record = std::upper_bound(history_.begin(), history_.end(), after, orderByRevision);
  batch.events.reserve(std::min<std::size_t>(kBatch, history_.end() - record));
  for (; record != history_.end(); ++record) {
    if (batch.events.size() >= kBatch && record->now.modified != batch.revision) break;
    batch.revision = record->now.modified;
    if (!inRange(record->key, start, end)) continue;
    const auto type = record->now.present() ? Event::Type::kPut : Event::Type::kDelete;
    batch.events.push_back({type, toKeyValue(record->key, record->now), record->before.value});
  }
  return batch;
}

void MvccIndex::close() {
  closed_ = true;
  changed_.notifyAll();
}

const Version& PendingBatch::latest(const std::string& key) const {
  auto it = newest_.find(key);
  return it == newest_.end() ? index_.find(key) : records_[it->second].now;
}

void PendingBatch::append(std::string key, Version now) {
  Version before = latest(key);
  if (now.present()) now.created = before.present() ? before.created : revision_;
  now.modified = revision_;
  now.row = ++row_;
  newest_[key] = records_.size();
  records_.push_back({std::move(key), std::move(now), std::move(before)});
}

Result<TxnResult> PendingBatch::add(Txn txn) {
  std::unordered_set<std::string_view> written;
  const bool writesMore = txn.puts.size() + txn.deletes.size() > 1;
  auto check = [&](const std::string& key) -> Status {
    if (key.empty()) return {Code::kInvalid, "key: must not be empty"};
    if (!writesMore || written.insert(key).second) return {};
    return {Code::kInvalid, "key \"" + key + "\": is written twice in one transaction"};
  };
  for (const auto& put : txn.puts) {
    if (auto status = check(put.key); !status.ok()) return status;
  }
  for (const auto& key : txn.deletes) {
    if (auto status = check(key); !status.ok()) return status;
  }

  TxnResult result;
  auto holds = [&](const Compare& compare) {
    const Version& version = latest(compare.key);
    return (version.present() ? version.modified : 0) == compare.modRevision;
  };
  result.succeeded = std::ranges::all_of(txn.compares, holds);
  if (result.succeeded) {
    std::erase_if(txn.deletes, [&](const std::string& key) { return !latest(key).present(); });
    if (!txn.puts.empty() || !txn.deletes.empty()) ++revision_;
    for (auto& put : txn.puts) {
      Version now;
      now.value = std::move(put.value);
      append(std::move(put.key), std::move(now));
    }
    for (auto& key : txn.deletes) append(std::move(key), {});
  } else {
    for (const auto& compare : txn.compares) {
      const Version& version = latest(compare.key);
      if (version.present()) result.current.push_back(toKeyValue(compare.key, version));
    }
  }
  result.revision = revision_;
  return result;
}

Result<std::unique_ptr<Watcher>> makeWatcher(std::shared_ptr<MvccIndex> index, std::string start,
                                             std::string end, Revision after) {
  if (index->closed()) return closedStatus();
  if (after < index->compacted()) return expired(after, index->compacted());
  // Whoever has seen a later revision has seen another database: to list anew is the remedy.
  if (after > index->current()) return Status(Code::kExpired, ahead(after, index->current()));
  std::unique_ptr<Watcher> watcher =
      std::make_unique<IndexWatcher>(std::move(index), std::move(start), std::move(end), after);
  return watcher;
}

Status closedStatus() {
  return {Code::kUnavailable, "the store is closed"};
}

}  // namespace podlab::store
