#include "apiserver/watch_cache.hpp"

#include <algorithm>
#include <utility>

#include "apiextensions_v1.pb.h"
#include "custom_object.pb.h"

#include "api/arena_object.hpp"
#include "api/conditions.hpp"
#include "api/custom/custom_kinds.hpp"
#include "api/custom/custom_object.hpp"
#include "apiserver/object_fields.hpp"
#include "common/log.hpp"

namespace podlab::apiserver {
namespace {

using Crd = apiextensionsv1::CustomResourceDefinition;

constexpr std::string_view kRegistry = "/registry/";
constexpr Duration kTick = std::chrono::minutes(1);
constexpr Duration kRetryDelay = std::chrono::seconds(1);
constexpr std::int64_t kPageSize = 5000;
/// How many revisions of history a starting server reads again: watches that were open go on.
constexpr store::Revision kReplayedRevisions = 2000;

/// As the store has it, with its revision.
api::PackedPtr stored(const api::Kind& kind, const store::KeyValue& kv) {
  return std::make_shared<const api::Packed>(*kind.prototype, kv.value.share(), kv.modRevision);
}

}  // namespace

std::string storePrefix(const api::Kind& kind) {
  std::string prefix(kRegistry);
  if (!kind.group.empty()) prefix.append(kind.group).append("/");
  return prefix.append(kind.plural).append("/");
}

WatchCache::Expected::Expected(WatchCache& cache, std::shared_ptr<const std::string> value,
                               api::MutableObjectPtr object)
    : cache_(cache), value_(std::move(value)), object_(std::move(object)) {
  cache_.expected_.try_emplace(value_.get(), this);
}

WatchCache::Expected::~Expected() {
  const auto found = cache_.expected_.find(value_.get());
  if (found != cache_.expected_.end() && found->second == this) cache_.expected_.erase(found);
}

WatchCache::WatchCache(store::Store& store, Clock& clock, asio::any_io_executor executor)
    : store_(store), clock_(clock), tasks_(std::move(executor)) {
  for (const api::Kind& kind : api::kinds()) {
    if (!kind.custom) add(kind);
  }
}

WatchCache::~WatchCache() {
  api::unlistCustomKinds(this);
  if (tick_ != 0) clock_.cancel(tick_);
}

Co<Status> WatchCache::start() {
  const store::Revision current = store_.currentRevision();
  const store::Revision earliest =
      std::max(store_.compactedRevision(), current - kReplayedRevisions);
  auto loaded = co_await load(std::max<store::Revision>(earliest, 1));
  if (!loaded) loaded = co_await load(0);
  if (!loaded) co_return loaded.status().withContext("cannot read the store");
  tasks_.spawn("watch_cache", follow(std::move(*loaded)));
  scheduleTick();
  co_return co_await waitFor(current);
}

Co<void> WatchCache::stop() {
  stopped_ = true;
  advanced_.notifyAll();
  co_await tasks_.cancelAndJoin();
}

Co<Status> WatchCache::waitFor(store::Revision revision) {
  while (revision_ < revision) {
    if (stopped_) co_return Status(Code::kUnavailable, "the server is stopping");
    co_await advanced_.wait();
  }
  co_return Status();
}

KindCache& WatchCache::add(const api::Kind& kind) {
  auto& cache = caches_[&kind] = std::make_unique<KindCache>(kind, clock_);
  byPrefix_[storePrefix(kind)] = cache.get();
  return *cache;
}

void WatchCache::define(const std::string& name, const api::ObjectPtr& now,
                        store::Revision revision) {
  if (now == nullptr) {
    definitions_.erase(name);
    if (const auto* kind = api::customResource(name)) of(*kind).restartWatches();
    return api::unlistCustomKinds(name, this);
  }
  const auto& definition = api::as<Crd>(now);
  // The rest of the status changes more often, and says nothing of the kinds.
  std::string relevant =
      api::bytesOf(definition.spec()) + api::bytesOf(definition.status().acceptednames());
  relevant += api::isTrue(definition.status(), "Established") ? "+" : "-";
  if (std::exchange(definitions_[name], relevant) == relevant) return;
  const api::Kind* kind = api::listCustomKinds(definition, this);
  if (kind == nullptr) return;
  const auto known = caches_.find(kind);
  if (known == caches_.end()) return add(*kind).reset({}, revision);
  known->second->convert([&](const api::ObjectPtr& object) {
    auto copy = std::make_shared<CustomObject>(api::as<CustomObject>(object));
    api::adoptCustomObject(*copy, *kind);
    return copy;
  });
  known->second->restartWatches();
}

void WatchCache::scheduleTick() {
  tick_ = clock_.scheduleIn(kTick, [this] {
    for (const auto& [prefix, cache] : byPrefix_) {
      cache->sendBookmarks(revision_);
      cache->trimHistory();
    }
    scheduleTick();
  });
}

KindCache* WatchCache::cacheOf(std::string_view key, std::string_view& prefix) const {
  auto next = byPrefix_.upper_bound(key);
  if (next == byPrefix_.begin()) return nullptr;
  --next;
  if (!key.starts_with(next->first)) return nullptr;
  prefix = next->first;
  return next->second;
}

api::PackedPtr WatchCache::pack(const api::Kind& kind, const store::KeyValue& kv) {
  CustomObject object;
  if (!kind.custom || !object.ParseFromString(*kv.value)) return stored(kind, kv);
  api::adoptCustomObject(object, kind);
  return stored(kind, {kv.key, api::bytesOf(object), kv.createRevision, kv.modRevision});
}

/// The object of a value that is written, or deleted, at this revision; nullptr when nobody has it.
api::MutableObjectPtr WatchCache::expectedOf(const store::Value& value, store::Revision revision) {
  const auto found = expected_.find(value.share().get());
  if (found == expected_.end() || found->second->object_ == nullptr) return nullptr;
  api::MutableObjectPtr object = std::move(found->second->object_);
  setRevision(*object, revision);
  return object;
}

api::ObjectPtr WatchCache::objectOf(const api::Kind& kind, const store::KeyValue& kv) {
  if (auto expected = expectedOf(kv.value, kv.modRevision))
    return stored(kind, kv)->adopt(std::move(expected));
  auto object = pack(kind, kv)->decode();
  if (!object) logError("object_unreadable", {{"key", kv.key}});
  return object;
}

// The kinds of what follows. The revision is that of the snapshot.
Co<Result<store::Revision>> WatchCache::loadDefinitions(store::Revision revision) {
  const api::Kind& kind = api::kindFor<Crd>();
  const std::string prefix = storePrefix(kind);
  store::RangeRequest all{prefix, store::prefixEnd(prefix), 0, revision};
  auto result = co_await store_.range(all);
  if (!result) co_return result.status();
  definitions_.clear();
  api::unlistCustomKinds(this);
  for (const auto& kv : result->items) {
    auto definition = objectOf(kind, kv);
    if (definition) define(kv.key.substr(prefix.size()), definition, result->revision);
  }
  co_return result->revision;
}

// Reads everything as of `revision` (0: now) into the caches; the watcher goes on from there.
Co<Result<WatchCache::WatcherPtr>> WatchCache::load(store::Revision revision) {
  std::map<KindCache*, KindCache::Objects> objects;
  const auto defined = co_await loadDefinitions(revision);
  if (!defined) co_return defined.status();
  store::RangeRequest page{std::string(kRegistry), store::prefixEnd(kRegistry), kPageSize,
                           *defined};
  for (bool more = true; more;) {
    auto result = co_await store_.range(page);
    if (!result) co_return result.status();
    for (const auto& kv : result->items) {
      std::string_view prefix;
      KindCache* cache = cacheOf(kv.key, prefix);
      if (cache == nullptr) continue;
      objects[cache].try_emplace(kv.key.substr(prefix.size()), pack(cache->kind(), kv));
    }
    page.revision = result->revision;
    more = result->remaining > 0;
    if (more) page.start = result->items.back().key + '\0';
  }
  auto watcher = co_await store_.watch(std::string(kRegistry), page.end, page.revision);
  if (!watcher) co_return watcher.status();
  // In an order that does not depend on addresses: the same run gives the same events.
  for (const auto& [prefix, cache] : byPrefix_)
    cache->reset(std::move(objects[cache]), page.revision);
  revision_ = page.revision;
  advanced_.notifyAll();
  co_return std::move(*watcher);
}

Co<void> WatchCache::follow(WatcherPtr watcher) {
  while (true) {
    auto batch = co_await watcher->next();
    if (batch) {
      apply(*batch);
      continue;
    }
    logWarning("store_watch_lost", {{"error", batch.status()}});
    auto loaded = co_await load(0);
    while (!loaded) {
      co_await clock_.sleepFor(kRetryDelay);
      loaded = co_await load(0);
    }
    watcher = std::move(*loaded);
  }
}

void WatchCache::apply(const store::Watcher::Batch& batch) {
  for (const auto& event : batch.events) {
    std::string_view prefix;
    KindCache* cache = cacheOf(event.kv.key, prefix);
    if (cache == nullptr) continue;
    const std::string key = event.kv.key.substr(prefix.size());
    api::ObjectPtr now;
    api::ObjectPtr last;
    if (event.type == store::Event::Type::kPut) {
      now = objectOf(cache->kind(), event.kv);
    } else {
      last = expectedOf(event.previous, event.kv.modRevision);
    }
    const bool defines = &cache->kind() == &api::kindFor<Crd>();
    cache->apply(key, now, event.kv.modRevision, std::move(last));
    if (defines) define(key, now, event.kv.modRevision);
  }
  revision_ = std::max(revision_, batch.revision);
  advanced_.notifyAll();
}

}  // namespace podlab::apiserver
