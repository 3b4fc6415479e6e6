#pragma once
#include <map>
#include <set>
#include <string>

#include <asio/any_io_executor.hpp>

#include "api/api.hpp"
#include "client/event_recorder.hpp"
#include "client/informer.hpp"
#include "common/clock.hpp"
#include "common/rng.hpp"

namespace podlab::controllers {

/// Which pods of a cache are bound to which node.
class PodsByNode {
 public:
  /// Before the handlers of those who read it.
  explicit PodsByNode(client::Informer& pods);
  PodsByNode(const PodsByNode&) = delete;
  PodsByNode& operator=(const PodsByNode&) = delete;

  /// Keys, in order.
  const std::set<std::string>& of(const std::string& node) const;

 private:
  void move(const std::string& key, const std::string& from, const std::string& to);
  std::map<std::string, std::set<std::string>> keys_;
};

/// Which pods of a cache use which claim.
class PodsByClaim {
 public:
  /// Before the handlers of those who read it.
  explicit PodsByClaim(client::Informer& pods);
  PodsByClaim(const PodsByClaim&) = delete;
  PodsByClaim& operator=(const PodsByClaim&) = delete;

  /// Keys, in order, of the pods that use the claim of this key.
  const std::set<std::string>& of(const std::string& claim) const;

 private:
  std::map<std::string, std::set<std::string>> keys_;
};

/// What all controllers share; outlives them.
struct Context {
  api::Api& api;
  Clock& clock;
  Rng& rng;
  asio::any_io_executor executor;
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
  client::EventRecorder& events;
  const PodsByNode& podsByNode;
  const PodsByClaim& podsByClaim;

  Co<void> waitForSync() const;
};

/// Deletes the pod when it is still the one with this uid; one that is gone is OK. `grace` < 0: the
/// pod's own grace period.
Co<Status> deletePod(api::Api& api, const corev1::Pod& pod, std::int64_t grace);

/// A reference to a node for Events: uid is the node's name, by convention.
corev1::ObjectReference referenceToNode(const std::string& name);

}  // namespace podlab::controllers
