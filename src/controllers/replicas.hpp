#pragma once
#include <map>
#include <string>
#include <vector>

#include "api/selectors.hpp"
#include "controllers/context.hpp"
#include "controllers/owned_pods.hpp"
#include "controllers/pod_owners.hpp"
#include "controllers/reconciler.hpp"

namespace podlab::controllers {

/// What is read of a ReplicaSet or ReplicationController.
struct ReplicaSpec {
  std::size_t replicas = 0;
  std::int32_t minReadySeconds = 0;
  api::LabelSelector selector;
  const corev1::PodTemplateSpec* pod = nullptr;  ///< of the object
};

/// What is written into its status.
struct ReplicaStatus {
  std::int32_t replicas = 0;
  std::int32_t fullyLabeled = 0;
  std::int32_t ready = 0;
  std::int32_t available = 0;
  std::string
      failure;  ///< FailedCreate or FailedDelete, the reason of the condition ReplicaFailure
  std::string message;
};

/// How a kind of replicas is read and written; the functions below make it.
struct ReplicaKind {
  const api::Kind* kind;
  ReplicaSpec (*specOf)(const google::protobuf::Message&);
  /// Whether the status differs now.
  bool (*setStatus)(google::protobuf::Message&, const ReplicaStatus&, std::int64_t generation,
                    WallTime now);
};
ReplicaKind ofReplicaSets();
ReplicaKind ofReplicationControllers();

/// Keeps as many pods as a ReplicaSet or ReplicationController wants: makes, deletes, adopts and
/// releases pods, and tells of them in the status (upstream: pkg/controller/replicaset).
class ReplicaController {
 public:
  /// `objects` is the kind's cache.
  ReplicaController(Context& context, client::EventRecorder& events, ReplicaKind kind,
                    client::Informer& objects);
  void start();
  Co<void> stop() { co_await reconciler_.stop(); }

 private:
  Co<Status> reconcile(std::string key);
  /// Whether no pod is to be made, deleted, adopted or released.
  bool isSettled(const google::protobuf::Message& object, const ReplicaSpec& spec) const;
  Co<Status> manage(api::ObjectPtr object, std::size_t wanted, std::vector<api::ObjectPtr> pods);
  Co<Status> writeStatus(api::ObjectPtr object, ReplicaStatus status);
  /// Counts pods, and comes back when the next of them becomes available.
  void count(const std::string& key, const ReplicaSpec& spec, const std::string& uid,
             ReplicaStatus& status);
  /// Active pods by node, of the object and of all that have the same controller.
  std::map<std::string, int> relativesByNode(const api::ObjectPtr& object) const;

  Context& context_;
  client::EventRecorder& events_;
  const ReplicaKind kind_;
  client::Informer& objects_;
  ObjectIndex byOwner_;
  Reconciler reconciler_;
  PodOwners owners_;
};

}  // namespace podlab::controllers
