#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <asio/any_io_executor.hpp>

#include "api/api.hpp"
#include "client/event_recorder.hpp"
#include "client/informer.hpp"
#include "common/clock.hpp"
#include "common/rng.hpp"
#include "controllers/object_index.hpp"
#include "controllers/pod_facts.hpp"

namespace podlab::controllers {

/// The caches that controllers share, one a collection.
class Caches {
 public:
  Caches(api::Api& api, Clock& clock, Rng& rng, asio::any_io_executor executor)
      : api_(api), clock_(clock), rng_(rng), executor_(std::move(executor)) {}

  /// Before start().
  client::Informer& add(api::ResourceId collection);
  /// A cache of each stored kind whose objects may own or be owned: for those who deal with objects
  /// of any kind. In the server their objects are the API's own, not copies. After the other
  /// add()s.
  void addKinds();
  /// Adds the cache of a kind that a definition has added since, once; it starts by itself.
  void addKind(const api::Kind& kind);
  /// Calls `visitor` with each of these caches, and with each that is added, before it starts.
  using Visitor = std::function<void(client::Informer&)>;
  void forEachKind(Visitor visitor);
  /// These caches; and that of one kind, nullptr when there is none.
  const std::vector<client::Informer*>& kinds() const { return kinds_; }
  client::Informer* of(const api::Kind& kind) const;
  void start();
  /// Until every cache has its first contents.
  Co<void> waitForSync() const;
  Co<void> stop();

 private:
  api::Api& api_;
  Clock& clock_;
  Rng& rng_;
  asio::any_io_executor executor_;
  std::vector<std::unique_ptr<client::Informer>> informers_;
  std::vector<client::Informer*> kinds_;
  std::vector<Visitor> visitors_;
};

/// What all controllers share; outlives them.
struct Context {
  api::Api& api;
  Clock& clock;
  Rng& rng;
  asio::any_io_executor executor;
  Caches& caches;
  client::Informer& nodes;
  client::Informer& pods;
  client::Informer& leases;
  client::Informer& namespaces;
  client::Informer& claims;
  client::Informer& volumes;
  client::Informer& classes;
  client::Informer& services;
  client::Informer& endpointSlices;
  client::Informer& endpoints;
  client::Informer& replicationControllers;
  client::Informer& replicaSets;
  client::Informer& deployments;
  client::Informer& daemonSets;
  client::Informer& statefulSets;
  client::Informer& revisions;
  client::Informer& jobs;
  client::Informer& cronJobs;
  client::EventRecorder& events;
  const ObjectIndex& podsByNode;
  const ObjectIndex& podsByClaim;
  const ObjectIndex& podsByOwner;  ///< ownerOf()
  const PodFactsIndex& podFacts;
  const ObjectIndex& replicaSetsByOwner;  ///< ownerOf()
  const ObjectIndex& revisionsByOwner;    ///< ownerOf()
  const ObjectIndex& jobsByOwner;         ///< ownerOf()

  Co<void> waitForSync() const { return caches.waitForSync(); }
};

/// Deletes the pod when it is still the one with this uid; one that is gone is OK. `grace` < 0: the
/// pod's own grace period.
Co<Status> deletePod(api::Api& api, const corev1::Pod& pod, std::int64_t grace);

/// Runs task(0) to task(count - 1), up to 64 at once: the store commits together what comes
/// together. `name` is the tasks' in logs.
Co<void> forEachAtOnce(asio::any_io_executor executor, std::string name, std::size_t count,
                       std::function<Co<void>(std::size_t)> task);

/// OK for an object that is not there: what was to be done to it needs no doing.
Status unlessGone(const Status& status);

using client::referenceToNode;

}  // namespace podlab::controllers
