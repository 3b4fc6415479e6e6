#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/api.hpp"
#include "api/kinds.hpp"
#include "apiserver/companion.hpp"
#include "apiserver/service_allocator.hpp"
#include "apiserver/watch_cache.hpp"
#include "common/clock.hpp"
#include "common/rng.hpp"
#include "store/store.hpp"

namespace podlab::apiserver {

/// The verbs of the API over the store, for every row of the kinds table and without regard to who
/// asks. Reads come from the cache; writes are compare-and-swap transactions, and have reached the
/// cache when they return.
class Registry {
 public:
  /// Judges what is to be stored, by who asks; `before` is null for a new object.
  using Guard = std::function<Status(const google::protobuf::Message& next,
                                     const google::protobuf::Message* before)>;
  /// What an update is to make of the present state, before the rules of updates are applied.
  /// Called again when another writer was faster.
  using Desired = std::function<Result<api::ObjectPtr>(const google::protobuf::Message& current)>;

  Registry(store::Store& store, WatchCache& cache, Clock& clock, Rng& rng,
           std::vector<ServiceRange> serviceRanges)
      : store_(store),
        cache_(cache),
        clock_(clock),
        rng_(rng),
        services_(cache, rng, std::move(serviceRanges)) {}

  /// From now on pods need a ServiceAccount.
  void requireAccounts() { accountsRequired_ = true; }

  /// nullptr when there is none.
  api::ObjectPtr find(const api::Kind& kind, const std::string& ns, const std::string& name) const;

  Result<api::ObjectPtr> get(const api::ResourceId& id) const;
  Co<Result<api::ListResult>> list(api::ResourceId collection, api::ListOptions options);
  Result<std::unique_ptr<api::Watch>> watch(const api::ResourceId& collection,
                                            const api::WatchOptions& options);
  Co<Result<api::WriteResult>> create(api::ResourceId id, api::ObjectPtr object,
                                      api::WriteOptions options, Guard guard = nullptr);
  Co<Result<api::WriteResult>> update(api::ResourceId id, api::ObjectPtr object,
                                      api::WriteOptions options, Guard guard = nullptr);
  Co<Result<api::WriteResult>> patch(api::ResourceId id, api::PatchType type, std::string body,
                                     api::WriteOptions options, Guard guard = nullptr);
  /// An update or a patch of any kind: what `desired` makes of the present state.
  Co<Result<api::WriteResult>> rewrite(api::ResourceId id, Desired desired,
                                       api::WriteOptions options, Guard guard = nullptr);
  Co<Result<api::ObjectPtr>> remove(api::ResourceId id, api::DeleteOptions options);

 private:
  /// What is to become of an object.
  struct Change {
    api::MutableObjectPtr next;  ///< when removed: its last state
    bool remove = false;
    std::shared_ptr<void> hold = {};  ///< what is reserved for it until it is written
    std::vector<Companion> companions = {};
  };
  /// Decides a change from the present state. Called again when another writer was faster.
  using Decide = std::function<Result<Change>(const google::protobuf::Message& current)>;
  /// Settles the managedFields of `next`, which is to follow `current` (null: it is made), as the
  /// writer of the metadata `wanted` has it.
  using Track =
      std::function<void(const google::protobuf::Message* current, const metav1::ObjectMeta& wanted,
                         google::protobuf::Message& next)>;

  /// Completes a removal that has been decided from the present state.
  using Adjust = std::function<Status(const google::protobuf::Message& current, Change& change)>;

  Co<Result<api::ListResult>> listPage(api::ResourceId collection, Filter filter,
                                       api::ListOptions options);
  Co<Result<api::ObjectPtr>> change(api::ResourceId id, bool dryRun, Decide decide);
  Co<Result<api::ObjectPtr>> bind(api::ResourceId id, api::ObjectPtr binding, bool dryRun);
  Co<Result<api::ObjectPtr>> evict(api::ResourceId id, api::ObjectPtr eviction, bool dryRun);
  Co<Result<api::ObjectPtr>> removeWith(api::ResourceId id, api::DeleteOptions options,
                                        Adjust adjust);
  Co<Result<api::WriteResult>> write(api::ResourceId id, Desired desired, Track track, bool dryRun,
                                     Guard guard);
  Co<Result<api::WriteResult>> make(api::ResourceId id, api::ObjectPtr object, Track track,
                                    bool dryRun, Guard guard);
  Co<Result<api::WriteResult>> apply(api::ResourceId id, std::string configuration,
                                     api::WriteOptions options, Guard guard);
  Track trackerOf(const api::ResourceId& id, const api::WriteOptions& options) const;
  /// May take `wanted` over: it is null then.
  Result<Change> decideUpdate(const api::ResourceId& id, const google::protobuf::Message& current,
                              api::ObjectPtr& wanted);
  Result<Change> decideRemoval(const api::ResourceId& id, const google::protobuf::Message& current,
                               const api::DeleteOptions& options) const;
  Result<Change> decideBinding(const google::protobuf::Message& current,
                               const corev1::Binding& binding) const;
  Result<Change> prepareCreate(const api::ResourceId& id, api::MutableObjectPtr made,
                               const Track& track);
  /// Gives an object what is the cluster's to give; `before` is null for a new one.
  Result<std::shared_ptr<void>> allocate(const api::Kind& kind, google::protobuf::Message& next,
                                         const google::protobuf::Message* before);
  /// The account "default" comes a moment after its namespace: a pod may wait for it.
  Co<void> waitForAccount(std::string ns, const google::protobuf::Message& pod);
  Co<Result<api::ObjectPtr>> insert(const api::Kind& kind, api::MutableObjectPtr object,
                                    bool dryRun);
  /// What has been written, sharing its bytes with the cache while that has it.
  api::ObjectPtr asCached(const api::Kind& kind, const std::string& key, api::ObjectPtr written,
                          store::Revision revision) const;
  /// The namespace's store key and revision, for a create in it to depend on; kNotFound or
  /// kForbidden when nothing can be created there.
  Result<store::Compare> requireActiveNamespace(const api::Kind& kind, const std::string& ns,
                                                const std::string& name) const;

  /// The same of the definition of a custom kind.
  Result<store::Compare> requireDefinition(const api::Kind& kind) const;

  store::Store& store_;
  WatchCache& cache_;
  Clock& clock_;
  Rng& rng_;
  ServiceAllocator services_;
  bool accountsRequired_ = false;
};

}  // namespace podlab::apiserver
