#include "apiserver/kind_cache.hpp"

#include <algorithm>
#include <utility>

#include "api/arena_object.hpp"
#include "api/status_conversion.hpp"
#include "common/log.hpp"
#include "common/sync.hpp"

namespace podlab::apiserver {
namespace {

constexpr std::string_view kNodeNameLabel = "spec.nodeName";
constexpr std::string_view kInitialEventsEnd = "k8s.io/initial-events-end";
constexpr Duration kHistoryAge = std::chrono::minutes(5);
constexpr std::size_t kMaxHistory = 4UL << 20;  // bytes
/// Of an event in the history, less the objects and the name.
constexpr std::size_t kEventSize = 320;
/// A watch whose reader lags by more, besides what there was at first, ends; the reader goes on
/// from the last revision it saw.
constexpr std::size_t kMaxQueued = 1 << 13;
/// So many of the events that wait are kept decoded, for all watches to share; what lies farther
/// ahead of a reader that lags is packed.
constexpr std::size_t kDecodedAhead = 256;
/// A watch that was told of nothing since a change of this age gets a bookmark: well before the
/// history forgets the change. Of thousands of watches most are quiet.
constexpr Duration kBookmarkAge = std::chrono::minutes(3);
/// Room for so many events stays with a watch that waits.
constexpr std::size_t kKeptQueue = 32;

}  // namespace

/// What becomes of an object, as watches are told.
struct KindCache::Change {
  store::Revision revision = 0;
  api::ObjectPtr before;
  api::ObjectPtr now;
  api::ObjectPtr last = nullptr;  ///< `before` with this revision, made when a watch needs it
};

/// A change in the history.
struct KindCache::Event {
  store::Revision revision = 0;
  MonoTime at;
  std::string key;
  api::PackedPtr before;
  api::PackedPtr now;
  std::string from = {};  ///< the node before; of kinds that have one
  std::string to = {};    ///< the node now

  /// Whether the filter's indexed values let it through, by which most are told apart without a
  /// look at the objects: after a restart thousands of watches come, each for one node.
  bool mayConcern(const Filter& filter) const {
    if (filter.name && std::string_view(key).substr(key.find('/') + 1) != *filter.name)
      return false;
    return !filter.nodeName || from == *filter.nodeName || to == *filter.nodeName;
  }

  /// In memory, but for what is the present state.
  std::size_t size() const { return kEventSize + key.size() + (before ? before->size() : 0); }
};

struct KindCache::Watcher {
  KindCache* cache = nullptr;  ///< null once the watch or the cache is gone
  Filter filter;
  bool bookmarks = false;
  store::Revision told = 0;  ///< the last that it was told of
  struct Queued {
    api::EventType type;
    api::ListItem object;  ///< what was there at first is decoded when it is its turn
  };
  std::vector<Queued> queue;
  std::size_t taken = 0;      ///< of the queue, by the reader
  std::size_t most = 0;       ///< that may wait
  std::optional<Status> end;  ///< after the queue
  WaitQueue ready;

  std::size_t waiting() const { return queue.size() - taken; }
  void push(api::EventType type, api::ListItem object) {
    queue.push_back({type, std::move(object)});
    if (waiting() == 1) ready.notifyOne();
  }
  std::optional<api::WatchEvent> take() {
    if (waiting() == 0) return std::nullopt;
    const Queued queued = std::move(queue[taken++]);
    api::WatchEvent event{queued.type, queued.object};
    if (waiting() > 0) return event;
    taken = 0;
    if (queue.capacity() > kKeptQueue) queue = {};
    queue.clear();
    return event;
  }
  void finish(Status status) {
    if (!end) end = std::move(status);
    ready.notifyOne();
  }
};

class KindCache::CacheWatch final : public api::Watch {
 public:
  CacheWatch(std::shared_ptr<Watcher> watcher, Clock& clock, std::optional<Duration> timeout)
      : watcher_(std::move(watcher)), clock_(clock) {
    if (!timeout) return;
    auto timeUp = [weak = std::weak_ptr(watcher_)] {
      if (auto alive = weak.lock()) alive->finish({Code::kEndOfStream, "watch timed out"});
    };
    timer_ = clock_.scheduleIn(*timeout, std::move(timeUp));
  }
  ~CacheWatch() override {
    if (timer_ != 0) clock_.cancel(timer_);
    if (watcher_->cache != nullptr) watcher_->cache->unsubscribe(watcher_);
  }

  Co<Result<api::WatchEvent>> next() override {
    auto watcher = watcher_;
    while (true) {
      if (auto event = watcher->take()) co_return std::move(*event);
      if (const auto& end = watcher->end) co_return *end;
      co_await watcher->ready.wait();
    }
  }
  std::optional<api::WatchEvent> poll() override { return watcher_->take(); }

 private:
  std::shared_ptr<Watcher> watcher_;
  Clock& clock_;
  Clock::TimerId timer_ = 0;
};

void setRevision(google::protobuf::Message& object, store::Revision revision) {
  api::mutableMeta(object).set_resourceversion(std::to_string(revision));
}

KindCache::KindCache(const api::Kind& kind, Clock& clock) : kind_(kind), clock_(clock) {
  // A custom kind changes, and has no nodes.
  for (const auto& [label, read] : kind.strategy.fieldLabels) {
    if (!kind.custom && label == kNodeNameLabel) nodeNameReader_ = &read;
  }
}

KindCache::~KindCache() {
  endWatches({Code::kUnavailable, "the server is stopping"});
}

const api::ObjectPtr& KindCache::decoded(const api::PackedPtr& packed) const {
  Recent& recent =
      recent_[std::hash<api::PackedPtr>()(packed) / alignof(std::max_align_t) % kRecent];
  if (recent.packed != packed) recent = {packed, packed->decode()};
  return recent.object;
}

api::PackedPtr KindCache::find(std::string_view key) const {
  const auto* found = objects_.find(key);
  return found == nullptr ? nullptr : *found;
}

api::ObjectPtr KindCache::get(std::string_view key) const {
  const auto packed = find(key);
  return packed ? decoded(packed) : nullptr;
}

bool KindCache::selects(const Filter& filter, const google::protobuf::Message& object) const {
  if (!filter.ns.empty() && api::meta(object).namespace_() != filter.ns) return false;
  return !filter.matches || filter.matches(object);
}

std::string KindCache::nodeNameOf(const api::ObjectPtr& object) const {
  return nodeNameReader_ != nullptr && object ? (*nodeNameReader_)(*object) : std::string();
}

std::optional<std::string> KindCache::onlyKeyOf(const Filter& filter) const {
  if (!filter.name || (filter.ns.empty() && kind_.namespaced())) return std::nullopt;
  return filter.ns.empty() ? *filter.name : filter.ns + "/" + *filter.name;
}

bool KindCache::knowsLatest(const Filter& filter, store::Revision revision) const {
  if (const auto key = onlyKeyOf(filter)) {
    const auto object = find(*key);
    return object && object->revision() != 0 && object->revision() <= revision;
  }
  if (filter.name) return false;
  if (!filter.nodeName || filter.nodeName->empty() || nodeNameReader_ == nullptr) return false;
  const auto node = byNode_.find(*filter.nodeName);
  return revision >= (node == byNode_.end() ? resetAt_ : std::max(resetAt_, node->second.changed));
}

void KindCache::forEach(const Filter& filter, const Visitor& visit) const {
  const std::string prefix = filter.ns.empty() ? "" : filter.ns + "/";
  const auto matches = [&](const api::ListItem& object) {
    return !filter.matches || filter.matches(*object);
  };
  if (const auto key = onlyKeyOf(filter)) {
    const api::ListItem object = find(*key);
    if (object.packed() && matches(object)) visit(*key, object);
    return;
  }
  if (filter.nodeName && nodeNameReader_ != nullptr && !filter.nodeName->empty()) {
    const auto node = byNode_.find(*filter.nodeName);
    if (node == byNode_.end()) return;
    for (const auto& key : node->second.keys) {
      if (!key.starts_with(prefix)) continue;
      const api::ListItem object = find(key);
      if (matches(object) && !visit(key, object)) return;
    }
    return;
  }
  for (const auto* entry : objects_.withPrefix(prefix)) {
    const api::ListItem object = entry->second;
    if (matches(object) && !visit(entry->first, object)) return;
  }
}

KindCache::Watchers& KindCache::listOf(const Filter& filter) {
  if (filter.name) return watchersByName_[*filter.name];
  if (filter.nodeName && nodeNameReader_ != nullptr) return byNode_[*filter.nodeName].watchers;
  return watchers_;
}

std::unique_ptr<api::Watch> KindCache::subscribe(std::shared_ptr<Watcher> watcher,
                                                 store::Revision told,
                                                 const api::WatchOptions& options) {
  watcher->cache = this;
  watcher->told = std::max(watcher->told, told);
  watcher->bookmarks = options.bookmarks;
  watcher->most = watcher->waiting() + kMaxQueued;
  listOf(watcher->filter).push_back(watcher);
  return std::make_unique<CacheWatch>(std::move(watcher), clock_, options.timeout);
}

void KindCache::unsubscribe(const std::shared_ptr<Watcher>& watcher) {
  watcher->cache = nullptr;
  auto& list = listOf(watcher->filter);
  std::erase(list, watcher);
  if (!list.empty() || &list == &watchers_) return;
  if (const auto& name = watcher->filter.name) {
    watchersByName_.erase(*name);
  } else if (const auto node = byNode_.find(*watcher->filter.nodeName);
             node->second.keys.empty() && node->second.changed < 0) {
    byNode_.erase(node);
  }
}

Result<std::unique_ptr<api::Watch>> KindCache::watchFrom(Filter filter, store::Revision revision,
                                                         const api::WatchOptions& options) {
  if (revision < historyStart_ && !knowsLatest(filter, revision)) {
    return api::expired(std::to_string(revision), std::to_string(historyStart_));
  }
  auto watcher = std::make_shared<Watcher>();
  watcher->filter = std::move(filter);
  auto first = std::ranges::upper_bound(history_, revision, {}, &Event::revision);
  Filter& wanted = watcher->filter;
  if (nodeNameReader_ == nullptr) wanted.nodeName.reset();
  for (; first != history_.end(); ++first) {
    if (!first->mayConcern(wanted)) continue;
    Change change{first->revision, first->before ? first->before->decode() : nullptr,
                  first->now ? first->now->decode() : nullptr};
    offer(*watcher, change);
  }
  return subscribe(std::move(watcher), revision, options);
}

std::unique_ptr<api::Watch> KindCache::watchFromNow(Filter filter, store::Revision revision,
                                                    const api::WatchOptions& options) {
  auto watcher = std::make_shared<Watcher>();
  watcher->filter = std::move(filter);
  forEach(watcher->filter, [&](const std::string&, const api::ListItem& object) {
    watcher->push(api::EventType::kAdded, object.packed());
    return true;
  });
  if (options.sendInitialEvents) {
    watcher->push(api::EventType::kBookmark, bookmark(revision, true));
  }
  return subscribe(std::move(watcher), revision, options);
}

void KindCache::offer(Watcher& watcher, Change& change) const {
  if (watcher.end) return;
  const bool was = change.before && selects(watcher.filter, *change.before);
  const bool is = change.now && selects(watcher.filter, *change.now);
  if (!was && !is) return;
  watcher.told = change.revision;
  if (is) {
    const auto type = was ? api::EventType::kModified : api::EventType::kAdded;
    if (watcher.waiting() < kDecodedAhead) {
      watcher.push(type, change.now);
    } else {
      watcher.push(type, api::Packed::of(change.now));
    }
  } else {
    if (!change.last) {
      auto last = api::copyOf(*change.before);
      setRevision(*last, change.revision);
      change.last = std::move(last);
    }
    watcher.push(api::EventType::kDeleted, change.last);
  }
}

void KindCache::observed(const api::ObjectPtr& before, const api::ObjectPtr& now) const {
  for (const auto& observer : observers_) observer(before, now);
}

void KindCache::apply(const std::string& key, api::ObjectPtr now, store::Revision revision,
                      api::ObjectPtr last) {
  auto* const found = objects_.find(key);
  if (!now && found == nullptr) return;
  Event event{revision, clock_.now(), key, nullptr, now ? api::Packed::of(now) : nullptr};
  if (found == nullptr) {
    objects_.try_emplace(key, event.now);
  } else {
    event.before = std::exchange(*found, event.now);
    if (!now) objects_.erase(key);
  }
  Change change{revision, event.before ? decoded(event.before) : nullptr, std::move(now),
                std::move(last)};
  event.from = nodeNameOf(change.before);
  event.to = nodeNameOf(change.now);
  observed(change.before, change.now);
  ByNode* const to = nodeNameReader_ != nullptr ? &byNode_[event.to] : nullptr;
  ByNode* const from = event.from != event.to ? &byNode_[event.from] : to;
  if (from != to) from->keys.erase(key);
  if (from != to && !event.to.empty()) to->keys.insert(key);
  for (ByNode* node : {from, to}) {
    if (node != nullptr) node->changed = revision;
  }
  auto offerAll = [&](const Watchers& list) {
    for (const auto& watcher : list) {
      if (watcher->waiting() >= watcher->most && !watcher->end) {
        watcher->finish({Code::kEndOfStream, "the watch's reader is too slow"});
      }
      offer(*watcher, change);
    }
  };
  offerAll(watchers_);
  if (!watchersByName_.empty()) {
    const auto named = watchersByName_.find(key.substr(key.find('/') + 1));
    if (named != watchersByName_.end()) offerAll(named->second);
  }
  if (to != nullptr) offerAll(to->watchers);
  if (from != to) offerAll(from->watchers);
  remember(std::move(event));
}

void KindCache::remember(Event event) {
  historyBytes_ += event.size();
  history_.push_back(std::move(event));
  while (historyBytes_ > kMaxHistory) forgetOldest();
}

void KindCache::forgetOldest() {
  const Event& oldest = history_.front();
  historyStart_ = oldest.revision;
  historyBytes_ -= oldest.size();
  history_.pop_front();
}

void KindCache::reset(Objects objects, store::Revision revision) {
  endWatches({Code::kExpired, "too old resource version: the server has read its store anew"});
  for (const auto* entry : objects_.inOrder()) observed(entry->second->decode(), nullptr);
  byNode_.clear();  // of which no watch is left
  objects_ = std::move(objects);
  // One message for all that nobody observes: a third of the time.
  const std::shared_ptr<google::protobuf::Message> scratch(kind_.prototype->New());
  std::vector<std::string> damaged;
  for (const auto* entry : objects_.inOrder()) {
    const auto& [key, packed] = *entry;
    const auto object = !observers_.empty()          ? packed->decode()
                        : packed->decodeTo(*scratch) ? scratch
                                                     : nullptr;
    if (object) {
      observed(nullptr, object);
      const std::string node = nodeNameOf(object);
      if (!node.empty()) byNode_[node].keys.insert(key);
    } else {
      logError("object_unreadable", {{"resource", kind_.plural}, {"key", key}});
      damaged.push_back(key);
    }
  }
  for (const auto& key : damaged) objects_.erase(key);
  history_.clear();
  historyBytes_ = 0;
  historyStart_ = resetAt_ = revision;
}

void KindCache::convert(const std::function<api::ObjectPtr(const api::ObjectPtr&)>& converted) {
  for (auto& [key, packed] : objects_.entries())
    packed = api::Packed::of(converted(packed->decode()));
}

void KindCache::restartWatches() {
  endWatches({Code::kEndOfStream, "the definition of the resource has changed"});
}

void KindCache::endWatches(const Status& status) {
  const auto endAll = [&](const Watchers& list) {
    for (const auto& watcher : list) {
      watcher->cache = nullptr;
      watcher->finish(status);
    }
  };
  endAll(watchers_);
  for (const auto& [name, list] : watchersByName_) endAll(list);
  for (auto& [name, node] : byNode_) {
    endAll(node.watchers);
    node.watchers.clear();
  }
  watchers_.clear();
  watchersByName_.clear();
}

api::ObjectPtr KindCache::bookmark(store::Revision revision, bool endOfInitialEvents) const {
  auto object = kind_.make();
  setRevision(*object, revision);
  if (endOfInitialEvents) {
    (*api::mutableMeta(*object).mutable_annotations())[std::string(kInitialEventsEnd)] = "true";
  }
  return object;
}

void KindCache::sendBookmarks(store::Revision revision) {
  const MonoTime old = clock_.now() - kBookmarkAge;
  const auto young = std::ranges::upper_bound(history_, old, {}, &Event::at);
  auto forgottenNext = static_cast<std::size_t>(young - history_.begin());
  if (historyBytes_ > kMaxHistory / 2) forgottenNext = std::max(forgottenNext, history_.size() / 2);
  if (forgottenNext == 0) return;
  const store::Revision due = history_[forgottenNext - 1].revision;
  api::ObjectPtr object;
  // Those by name and by node are many, and can mostly go on from where they are: knowsLatest().
  for (const auto& watcher : watchers_) {
    if (!watcher->bookmarks || watcher->end || watcher->told >= due) continue;
    watcher->told = revision;
    if (!object) object = bookmark(revision, false);
    watcher->push(api::EventType::kBookmark, object);
  }
}

void KindCache::trimHistory() {
  const MonoTime oldest = clock_.now() - kHistoryAge;
  while (!history_.empty() && history_.front().at < oldest) forgetOldest();
}

}  // namespace podlab::apiserver
