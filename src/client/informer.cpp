#include "client/informer.hpp"

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include <asio.hpp>

#include "common/indexed_map.hpp"
#include "common/log.hpp"
#include "common/sync.hpp"

namespace podlab::client {
namespace {

constexpr std::int64_t kPageSize = 500;
constexpr Duration kBaseDelay = std::chrono::milliseconds(100);
constexpr Duration kMaxDelay = std::chrono::seconds(30);

std::uint64_t revisionOf(std::string_view text) {
  std::uint64_t revision = 0;
  std::from_chars(text.data(), text.data() + text.size(), revision);
  return revision;
}

/// An object stays decoded when it is looked at more often than this between its changes within
/// kWarm: not for controllers that look at it once for each change. It is packed again when nobody
/// has looked at it for as long (at most twice that).
constexpr unsigned kOften = 4;
constexpr Duration kWarm = std::chrono::seconds(15);
/// Objects of a list that are delivered in one go.
constexpr std::size_t kBatch = 16;

struct Entry {
  api::PackedPtr packed;
  api::ObjectPtr warm;  ///< decoded, while it is looked at again and again
  unsigned looks = 0;   ///< since the last change or cooling
  bool listed = false;  ///< in State::looked
};
using Cache = IndexedMap<Entry>;

}  // namespace

struct Informer::State {
  State(api::Api& a, Clock& c, Rng& r, asio::any_io_executor executor, api::ResourceId id)
      : api(a), clock(c), rng(r), collection(std::move(id)), tasks(std::move(executor)) {}

  api::Api& api;
  Clock& clock;
  Rng& rng;
  const api::ResourceId collection;
  std::string labelSelector;
  std::string fieldSelector;
  std::function<api::ObjectPtr(const api::ObjectPtr&)> transform;
  std::vector<Handlers> handlers;
  TaskGroup tasks;

  Cache cache;
  std::string version;  ///< the watch goes on after it; empty: a list is due
  bool synced = false;
  bool stopped = false;
  WaitQueue syncChanged;
  std::uint64_t seen = 0;  ///< the latest revision that the cache has been through
  WaitQueue advanced;
  unsigned failures = 0;            ///< since the last sign of life
  Clock::TimerId cooling = 0;       ///< runs while there are warm entries
  std::vector<std::string> looked;  ///< the keys of what cools next

  /// `self` keeps the state: the task may begin after the informer's end.
  Co<void> run(std::shared_ptr<State> self);
  Co<Status> relist();
  Co<Status> follow();
  Duration backOff();

  api::ObjectPtr look(std::string_view key, Entry& entry);
  void scheduleCooling();
  void cool();
  void upsert(const api::ObjectPtr& arrived);
  void erase(const std::string& key, const api::ObjectPtr& last);
  Co<void> replaceAll(std::vector<api::ListItem> objects);
  void deliver(const api::WatchEvent& event);
  void stop();
};

api::ObjectPtr Informer::State::look(std::string_view key, Entry& entry) {
  if (cooling == 0) scheduleCooling();
  ++entry.looks;
  if (!std::exchange(entry.listed, true)) looked.emplace_back(key);
  if (entry.warm) return entry.warm;
  auto object = entry.packed->decode();
  if (entry.looks > kOften) entry.warm = object;
  return object;
}

void Informer::State::scheduleCooling() {
  cooling = clock.scheduleIn(kWarm, [this] { cool(); });
}

void Informer::State::cool() {
  cooling = 0;
  for (auto& key : std::exchange(looked, {})) {
    Entry* const entry = cache.find(key);
    if (entry == nullptr || !entry->listed) continue;
    if (std::exchange(entry->looks, 0) > 0) {
      looked.push_back(std::move(key));
    } else {
      entry->warm = nullptr;
      entry->listed = false;
    }
  }
  if (!looked.empty()) scheduleCooling();
}

void Informer::State::erase(const std::string& key, const api::ObjectPtr& last) {
  if (!cache.erase(key)) return;
  for (const auto& handler : handlers) {
    if (handler.deleted) handler.deleted(last);
  }
}

void Informer::State::upsert(const api::ObjectPtr& arrived) {
  std::string key = api::keyOf(*arrived);
  api::ObjectPtr before;
  Entry* found = cache.find(key);
  if (found != nullptr) {
    before = found->packed->decode();
    const auto& now = api::meta(*arrived);
    const auto& old = api::meta(*before);
    if (now.resourceversion() == old.resourceversion()) return;
    // Deleted and made again while nobody watched: another object under the same name.
    if (now.uid() != old.uid()) {
      erase(key, before);
      before = nullptr;
      found = nullptr;
    }
  }
  Entry& entry = found != nullptr ? *found : cache[std::move(key)];
  entry.packed = api::Packed::of(arrived);
  // Who keeps it packed shares the bytes.
  const api::ObjectPtr object = entry.packed->adopt(arrived);
  entry.looks = 0;
  // Who looked at what it was looks at what it is.
  if (entry.warm) entry.warm = object;
  for (const auto& handler : handlers) {
    if (before && handler.updated) handler.updated(before, object);
    if (!before && handler.added) handler.added(object);
  }
}

Co<void> Informer::State::replaceAll(std::vector<api::ListItem> objects) {
  // None stays decoded: of each a copy is looked at.
  if (!cache.empty()) {
    std::set<std::string> present;
    for (const auto& object : objects) present.insert(api::keyOf(*api::ListItem(object)));
    std::vector<std::pair<std::string, api::PackedPtr>> gone;
    for (const auto* entry : cache.inOrder()) {
      if (!present.contains(entry->first)) gone.emplace_back(entry->first, entry->second.packed);
    }
    for (const auto& [key, last] : gone) erase(key, last->decode());
  }
  for (std::size_t i = 0; i < objects.size() && !stopped; ++i) {
    upsert(std::exchange(objects[i], {}));
    if (i % kBatch == kBatch - 1) co_await giveWay();
  }
}

void Informer::State::deliver(const api::WatchEvent& event) {
  const std::string& at = api::meta(*event.object).resourceversion();
  if (event.type == api::EventType::kDeleted) {
    erase(api::keyOf(*event.object), event.object);
  } else if (event.type != api::EventType::kBookmark) {
    upsert(transform ? transform(event.object) : event.object);
  }
  version = at;
  seen = std::max(seen, revisionOf(at));
  advanced.notifyAll();
}

Co<Status> Informer::State::relist() {
  api::ListOptions options;
  options.labelSelector = labelSelector;
  options.fieldSelector = fieldSelector;
  options.limit = kPageSize;
  std::vector<api::ListItem> objects;
  for (;;) {
    auto page = co_await api.list(collection, options);
    if (!page) {
      if (!page.status().is(Code::kExpired) || options.continueToken.empty()) {
        co_return page.status();
      }
      // The pages expired faster than they were read: all at once cannot.
      objects.clear();
      options.continueToken.clear();
      options.limit = 0;
      continue;
    }
    for (auto& item : page->items) {
      if (transform) item = api::Packed::of(transform(item));
      objects.push_back(std::move(item));
    }
    options.continueToken = page->continueToken;
    if (!options.continueToken.empty()) continue;
    if (stopped) co_return Status();
    co_await replaceAll(std::move(objects));
    if (stopped) co_return Status();
    version = page->resourceVersion;
    seen = std::max(seen, revisionOf(version));
    advanced.notifyAll();
    if (!std::exchange(synced, true)) {
      for (const auto& handler : handlers) {
        if (handler.synced) handler.synced();
      }
    }
    syncChanged.notifyAll();
    co_return Status();
  }
}

Co<Status> Informer::State::follow() {
  api::WatchOptions options;
  options.labelSelector = labelSelector;
  options.fieldSelector = fieldSelector;
  options.resourceVersion = version;
  options.bookmarks = true;
  const MonoTime begin = clock.now();
  auto watch = co_await api.watch(collection, options);
  if (!watch) co_return watch.status();
  for (;;) {
    auto event = co_await (*watch)->next();
    // A quiet collection's watch that lasted is as good a sign of life as an event.
    if (event || clock.now() - begin >= kMaxDelay) failures = 0;
    if (!event) co_return event.status();
    if (stopped) co_return Status();
    deliver(*event);
  }
}

Duration Informer::State::backOff() {
  Duration delay = kBaseDelay;
  for (unsigned i = 0; i < failures && delay < kMaxDelay; ++i) delay *= 2;
  ++failures;
  delay = std::min(delay, kMaxDelay);
  // Between half and all of it: a server that comes back is not met by all clients at once.
  return delay - Duration(static_cast<Duration::rep>(
                     rng.below(static_cast<std::uint64_t>(delay.count() / 2))));
}

Co<void> Informer::State::run(std::shared_ptr<State> /*self*/) {
  while (!stopped) {
    Status status;
    if (version.empty()) status = co_await relist();
    if (status.ok()) status = co_await follow();
    if (stopped) co_return;
    const bool alive = failures == 0;
    if (status.is(Code::kExpired)) version.clear();
    // A live watch that ended in good order, or expired, is taken up again at once.
    const bool orderly = status.is(Code::kEndOfStream) || status.is(Code::kExpired);
    const Duration delay = backOff();
    if (alive && orderly) continue;
    logWarning("informer_retry", {{"resource", collection.kind->plural},
                                  {"delay", formatDuration(delay)},
                                  {"error", status}});
    co_await clock.sleepFor(delay);
  }
}

void Informer::State::stop() {
  stopped = true;
  if (cooling != 0) clock.cancel(std::exchange(cooling, 0));
  tasks.cancel();
  syncChanged.notifyAll();
  advanced.notifyAll();
}

Informer::Informer(api::Api& api, Clock& clock, Rng& rng, asio::any_io_executor executor,
                   api::ResourceId collection, std::string labelSelector, std::string fieldSelector)
    : state_(std::make_shared<State>(api, clock, rng, std::move(executor), std::move(collection))) {
  state_->labelSelector = std::move(labelSelector);
  state_->fieldSelector = std::move(fieldSelector);
}

Informer::~Informer() {
  state_->stop();
}

void Informer::setTransform(std::function<api::ObjectPtr(const api::ObjectPtr&)> transform) {
  state_->transform = std::move(transform);
}

void Informer::addHandlers(Handlers handlers) {
  state_->handlers.push_back(std::move(handlers));
}

void Informer::start() {
  state_->tasks.spawn("informer", state_->run(state_));
}

Co<void> Informer::stop() {
  auto state = state_;
  state->stop();
  co_await state->tasks.join();
}

Co<void> Informer::waitForSync() {
  auto state = state_;
  while (!state->synced) {
    if (state->stopped) throw asio::system_error(asio::error::operation_aborted);
    co_await state->syncChanged.wait();
  }
}

Co<void> Informer::waitFor(std::string resourceVersion) {
  auto state = state_;
  const std::uint64_t wanted = revisionOf(resourceVersion);
  while (state->seen < wanted) {
    if (state->stopped) throw asio::system_error(asio::error::operation_aborted);
    co_await state->advanced.wait();
  }
}

bool Informer::synced() const {
  return state_->synced;
}

const api::ResourceId& Informer::collection() const {
  return state_->collection;
}

api::ObjectPtr Informer::get(std::string_view key) const {
  auto* const found = state_->cache.find(key);
  return found == nullptr ? nullptr : state_->look(key, *found);
}

bool Informer::contains(std::string_view key) const {
  return state_->cache.contains(key);
}

std::vector<api::ObjectPtr> Informer::list() const {
  std::vector<api::ObjectPtr> objects;
  objects.reserve(state_->cache.size());
  for (auto* entry : state_->cache.inOrder())
    objects.push_back(state_->look(entry->first, entry->second));
  return objects;
}

std::vector<std::string> Informer::keysIn(std::string_view ns) const {
  if (state_->cache.empty()) return {};
  return Cache::keysOf(state_->cache.withPrefix(std::string(ns) + "/"));
}

std::size_t Informer::size() const {
  return state_->cache.size();
}

}  // namespace podlab::client
