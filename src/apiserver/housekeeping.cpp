#include "apiserver/housekeeping.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "api/bootstrap_tokens.hpp"
#include "api/times.hpp"
#include "common/log.hpp"

namespace podlab::apiserver {
namespace {

constexpr Duration kPeriod = std::chrono::minutes(1);
constexpr Duration kHistory = std::chrono::minutes(5);
constexpr Duration kEventLife = std::chrono::hours(1);
constexpr int kMinutesBetweenSweeps = 5;
constexpr std::size_t kDeletesInOneTxn = 500;

WallTime lastHappened(const corev1::Event& event) {
  WallTime last = api::toWallTime(event.metadata().creationtimestamp());
  if (event.has_lasttimestamp()) last = std::max(last, api::toWallTime(event.lasttimestamp()));
  if (event.has_eventtime()) last = std::max(last, api::toWallTime(event.eventtime()));
  if (event.series().has_lastobservedtime()) {
    last = std::max(last, api::toWallTime(event.series().lastobservedtime()));
  }
  return last;
}

}  // namespace

Housekeeping::Housekeeping(store::Store& store, WatchCache& cache, Clock& clock,
                           asio::any_io_executor executor)
    : store_(store), cache_(cache), clock_(clock), tasks_(std::move(executor)) {}

void Housekeeping::start() {
  tasks_.spawn("housekeeping", run());
}

Co<void> Housekeeping::run() {
  for (int minute = 1;; ++minute) {
    revisions_.emplace_back(clock_.now(), store_.currentRevision());
    co_await clock_.sleepFor(kPeriod);
    co_await compact();
    if (minute % kMinutesBetweenSweeps == 0) co_await removeOldEvents();
    co_await removeExpiredTokens();
  }
}

Co<void> Housekeeping::compact() {
  const auto later = std::ranges::upper_bound(revisions_, clock_.now() - kHistory, {},
                                              &std::pair<MonoTime, store::Revision>::first);
  if (later == revisions_.begin()) co_return;
  const store::Revision target = std::prev(later)->second;
  if (target <= store_.compactedRevision()) co_return;
  const Status status = co_await store_.compact(target);
  if (!status) logWarning("compaction_failed", {{"error", status}});
}

Co<void> Housekeeping::removeOldEvents() {
  const api::Kind& kind = api::kindFor<corev1::Event>();
  const WallTime oldest = clock_.wallNow() - kEventLife;
  while (revisions_.size() > 1 && revisions_[1].first <= clock_.now() - kEventLife)
    revisions_.pop_front();
  // What was written later lives: it need not be decoded to know that. What this server found when
  // it started may be of any age.
  const store::Revision latest = revisions_.front().second;
  std::vector<std::string> keys;
  cache_.of(kind).forEach({}, [&](const std::string& key, const api::ListItem& item) {
    if (item.packed()->revision() > latest) return true;
    if (lastHappened(api::as<corev1::Event>(item.object())) < oldest)
      keys.push_back(storePrefix(kind) + key);
    return true;
  });
  co_await removeKeys(std::move(keys));
}

/// As upstream's token cleaner (controller/bootstrap/tokencleaner.go).
Co<void> Housekeeping::removeExpiredTokens() {
  const api::Kind& kind = api::kindFor<corev1::Secret>();
  const WallTime now = clock_.wallNow();
  std::vector<std::string> keys;
  Filter tokens;
  tokens.ns = api::kBootstrapTokenNamespace;
  cache_.of(kind).forEach(tokens, [&](const std::string& key, const api::ObjectPtr& object) {
    if (api::isExpiredToken(api::as<corev1::Secret>(object), now)) {
      logInfo("bootstrap_token_expired", {{"secret", api::meta(*object).name()}});
      keys.push_back(storePrefix(kind) + key);
    }
    return true;
  });
  co_await removeKeys(std::move(keys));
}

Co<void> Housekeeping::removeKeys(std::vector<std::string> keys) {
  for (std::size_t begin = 0; begin < keys.size(); begin += kDeletesInOneTxn) {
    store::Txn txn;
    const std::size_t end = std::min(keys.size(), begin + kDeletesInOneTxn);
    for (std::size_t i = begin; i < end; ++i) txn.deletes.push_back(std::move(keys[i]));
    auto result = co_await store_.txn(std::move(txn));
    if (!result) {
      logWarning("expiry_failed", {{"error", result.status()}});
      co_return;
    }
  }
}

}  // namespace podlab::apiserver
