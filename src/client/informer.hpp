#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "api/api.hpp"
#include "api/kinds.hpp"
#include "common/clock.hpp"
#include "common/rng.hpp"
#include "common/sync.hpp"

namespace podlab::client {

/// A cache of one collection, kept by list and watch, that never stops trying: lost watches are
/// resumed from the last revision, expired ones start again with a list and deliver the difference.
/// Objects that nobody has looked at for some seconds are kept packed. Handlers run on the
/// executor, in the order of revisions by object. All use is from one thread.
class Informer {
 public:
  struct Handlers {
    std::function<void(const api::ObjectPtr& object)> added;
    std::function<void(const api::ObjectPtr& before, const api::ObjectPtr& now)> updated;
    std::function<void(const api::ObjectPtr& last)> deleted;
    std::function<void()> synced = {};  ///< after the first list and its `added`
  };

  /// `collection.ns` empty: all namespaces. The selectors narrow the cache.
  Informer(api::Api& api, Clock& clock, Rng& rng, asio::any_io_executor executor,
           api::ResourceId collection, std::string labelSelector = "",
           std::string fieldSelector = "");
  ~Informer();

  /// Before start(). What `transform` makes of an object is kept in its place: less, under the same
  /// metadata.
  void setTransform(std::function<api::ObjectPtr(const api::ObjectPtr&)> transform);
  /// Before start().
  void addHandlers(Handlers handlers);
  void start();
  Co<void> stop();
  /// Until the first list has been delivered.
  Co<void> waitForSync();
  bool synced() const;
  /// Until the cache shows the write that had this resourceVersion, which must be one of the
  /// collection: who waits for its own writes decides the next on all of them.
  Co<void> waitFor(std::string resourceVersion);
  const api::ResourceId& collection() const;

  /// By key "namespace/name" or "name"; nullptr when absent.
  api::ObjectPtr get(std::string_view key) const;
  bool contains(std::string_view key) const;
  std::vector<api::ObjectPtr> list() const;
  /// The keys of a namespace's objects, in order.
  std::vector<std::string> keysIn(std::string_view ns) const;
  std::size_t size() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace podlab::client
