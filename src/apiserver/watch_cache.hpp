#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <asio/any_io_executor.hpp>

#include "apiserver/kind_cache.hpp"
#include "common/sync.hpp"
#include "store/store.hpp"

namespace podlab::apiserver {

/// Where a kind's objects lie in the store: "/registry/[GROUP/]PLURAL/". An object's key adds
/// "NAMESPACE/NAME" or "NAME".
std::string storePrefix(const api::Kind& kind);

/// The caches of all kinds, fed by one watch of the store, so that they share one revision: gets,
/// lists and watches cost the store nothing. Lists the kinds of the CustomResourceDefinitions among
/// them (api/custom/custom_kinds.hpp): they are served as soon as the write that establishes them
/// returns. A writer waits for waitFor(its revision), so that
/// every later read sees the write.
class WatchCache {
 public:
  WatchCache(store::Store& store, Clock& clock, asio::any_io_executor executor);
  ~WatchCache();

  /// Loads the store's contents together with the history that it still has, so that watches go on
  /// over a restart of the server.
  Co<Status> start();
  Co<void> stop();

  KindCache& of(const api::Kind& kind) { return *caches_.at(&kind.resourceKind()); }
  /// Every change up to here is in the caches.
  store::Revision revision() const { return revision_; }
  /// Until `revision` is in the caches; kUnavailable when stopped.
  Co<Status> waitFor(store::Revision revision);
  /// The object of a stored value, which is looked at for custom kinds only: theirs becomes one of
  /// the kind's version, with its defaults.
  static api::PackedPtr pack(const api::Kind& kind, const store::KeyValue& kv);

  /// While it lives, the change that writes `value` takes `object` instead of decoding the value
  /// again, and the one that deletes it has `object` as its last state. The value is found by its
  /// address.
  class Expected {
   public:
    Expected(WatchCache& cache, std::shared_ptr<const std::string> value,
             api::MutableObjectPtr object);
    ~Expected();
    Expected(const Expected&) = delete;
    Expected& operator=(const Expected&) = delete;

   private:
    friend class WatchCache;
    WatchCache& cache_;
    std::shared_ptr<const std::string> value_;
    api::MutableObjectPtr object_;
  };

 private:
  using WatcherPtr = std::unique_ptr<store::Watcher>;
  Co<Result<WatcherPtr>> load(store::Revision revision);
  Co<void> follow(WatcherPtr watcher);
  void apply(const store::Watcher::Batch& batch);
  api::MutableObjectPtr expectedOf(const store::Value& value, store::Revision revision);
  api::ObjectPtr objectOf(const api::Kind& kind, const store::KeyValue& kv);
  KindCache* cacheOf(std::string_view key, std::string_view& prefix) const;
  KindCache& add(const api::Kind& kind);
  Co<Result<store::Revision>> loadDefinitions(store::Revision revision);
  /// A definition is as it says now, or gone (null).
  void define(const std::string& name, const api::ObjectPtr& now, store::Revision revision);
  void scheduleTick();

  store::Store& store_;
  Clock& clock_;
  std::unordered_map<const api::Kind*, std::unique_ptr<KindCache>> caches_;
  std::map<std::string, KindCache*, std::less<>> byPrefix_;
  std::unordered_map<const std::string*, Expected*> expected_;  ///< by the value's address
  /// What of each definition makes its kinds.
  std::map<std::string, std::string> definitions_;
  store::Revision revision_ = 0;
  bool stopped_ = false;
  WaitQueue advanced_;
  Clock::TimerId tick_ = 0;
  TaskGroup tasks_;
};

}  // namespace podlab::apiserver
