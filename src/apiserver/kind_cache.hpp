#pragma once
#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "api/api.hpp"
#include "api/kinds.hpp"
#include "common/clock.hpp"
#include "common/indexed_map.hpp"
#include "store/store.hpp"

namespace podlab::apiserver {

/// Which objects of a kind a list or a watch wants.
struct Filter {
  std::string ns;  ///< empty: all
  /// Values that the selector demands of metadata.name and spec.nodeName: they narrow the search by
  /// index, `matches` decides.
  std::optional<std::string> name;
  std::optional<std::string> nodeName;
  std::function<bool(const google::protobuf::Message&)> matches;  ///< unset: all
};

/// The present objects of one kind, packed, the recent changes, and the watches that they feed:
/// each change is decoded once and shared by all.
class KindCache {
 public:
  using Objects = IndexedMap<api::PackedPtr>;  ///< by "namespace/name" or "name"

  KindCache(const api::Kind& kind, Clock& clock);
  /// Ends the watches with kUnavailable.
  ~KindCache();
  KindCache(const KindCache&) = delete;
  KindCache& operator=(const KindCache&) = delete;

  const api::Kind& kind() const { return kind_; }
  /// nullptr when there is none.
  api::ObjectPtr get(std::string_view key) const;
  api::PackedPtr find(std::string_view key) const;
  /// Calls `visit` for each match in the order of keys, until it returns false.
  using Visitor = std::function<bool(const std::string& key, const api::ListItem& object)>;
  void forEach(const Filter& filter, const Visitor& visit) const;

  /// Changes after `revision`, then what comes. kExpired when they are no longer kept, unless there
  /// were surely none of what the filter asks for.
  Result<std::unique_ptr<api::Watch>> watchFrom(Filter filter, store::Revision revision,
                                                const api::WatchOptions& options);
  /// Added for each present match, a bookmark with `revision` when options.sendInitialEvents, then
  /// what comes.
  std::unique_ptr<api::Watch> watchFromNow(Filter filter, store::Revision revision,
                                           const api::WatchOptions& options);

  /// Calls `observer` at each change, before any watch tells of it and before the write returns;
  /// `before` or `now` is null. Kept for the cache's life.
  using Observer = std::function<void(const api::ObjectPtr& before, const api::ObjectPtr& now)>;
  void observe(Observer observer) { observers_.push_back(std::move(observer)); }

  /// One change, not before any earlier one; `now` null: deleted. `last`: what watches are told
  /// then, if it is known; else it is made.
  void apply(const std::string& key, api::ObjectPtr now, store::Revision revision,
             api::ObjectPtr last = nullptr);
  /// Replaces all objects without history, those aside that are damaged; every watch ends with
  /// kExpired.
  void reset(Objects objects, store::Revision revision);
  /// Replaces each object by another form of the same revision; nobody is told.
  void convert(const std::function<api::ObjectPtr(const api::ObjectPtr&)>& converted);
  /// Ends all watches in good order, for clients to begin anew.
  void restartWatches();
  /// To watches that want them and would soon not be able to go on from where they are.
  void sendBookmarks(store::Revision revision);
  /// Forgets changes older than five minutes, and those beyond 4 MiB.
  void trimHistory();

 private:
  struct Change;
  struct Event;
  struct Watcher;
  class CacheWatch;
  using Watchers = std::vector<std::shared_ptr<Watcher>>;

  /// One that was asked for lately, and is decoded yet.
  struct Recent {
    api::PackedPtr packed;
    api::ObjectPtr object;
  };
  static constexpr std::size_t kRecent = 64;

  /// What is asked for by node: found at once with each change of a node's object.
  struct ByNode {
    std::set<std::string> keys;    ///< of the objects there
    store::Revision changed = -1;  ///< when one came, changed or went last, since resetAt_
    Watchers watchers;             ///< of filters for this node
  };

  const api::ObjectPtr& decoded(const api::PackedPtr& packed) const;
  bool selects(const Filter& filter, const google::protobuf::Message& object) const;
  /// The key of the one object that the filter can let through, where it names one.
  std::optional<std::string> onlyKeyOf(const Filter& filter) const;
  /// Whether surely nothing that the filter lets through has changed since the revision, be it
  /// remembered or not: of one object, or of a node's, that is known. Most watches are of these.
  bool knowsLatest(const Filter& filter, store::Revision revision) const;
  std::string nodeNameOf(const api::ObjectPtr& object) const;
  void observed(const api::ObjectPtr& before, const api::ObjectPtr& now) const;
  void offer(Watcher& watcher, Change& change) const;
  std::unique_ptr<api::Watch> subscribe(std::shared_ptr<Watcher> watcher, store::Revision told,
                                        const api::WatchOptions& options);
  Watchers& listOf(const Filter& filter);
  void unsubscribe(const std::shared_ptr<Watcher>& watcher);
  void remember(Event event);
  void forgetOldest();
  void endWatches(const Status& status);
  api::ObjectPtr bookmark(store::Revision revision, bool endOfInitialEvents) const;

  const api::Kind& kind_;
  Clock& clock_;
  /// Reads the field label spec.nodeName; null when the kind has none.
  const std::function<std::string(const google::protobuf::Message&)>* nodeNameReader_ = nullptr;
  Objects objects_;
  mutable std::array<Recent, kRecent> recent_;
  std::unordered_map<std::string, ByNode> byNode_;  ///< "": of what has none, without its keys
  std::vector<Observer> observers_;
  std::deque<Event> history_;
  std::size_t historyBytes_ = 0;
  store::Revision historyStart_ = 0;  ///< every change after this one is in history_
  store::Revision resetAt_ = 0;
  Watchers watchers_;  ///< of filters without an indexed value
  std::unordered_map<std::string, Watchers> watchersByName_;
};

/// "This revision" as API objects carry it.
void setRevision(google::protobuf::Message& object, store::Revision revision);

}  // namespace podlab::apiserver
