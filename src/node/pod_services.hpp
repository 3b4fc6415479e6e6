#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <asio/any_io_executor.hpp>

#include "api/api.hpp"
#include "client/event_recorder.hpp"
#include "common/clock.hpp"
#include "common/filesystem.hpp"
#include "node/address_pool.hpp"
#include "node/checkpoint.hpp"
#include "node/container_runtime.hpp"
#include "node/dataplane.hpp"
#include "node/env.hpp"
#include "node/hosts_file.hpp"
#include "node/image_store.hpp"
#include "node/network_policies.hpp"
#include "node/pod_volumes.hpp"
#include "node/prober.hpp"
#include "node/referenced_objects.hpp"
#include "node/shared_limits.hpp"
#include "node/status_writer.hpp"

namespace podlab::node {

/// What all pods of a node share. The references outlive the workers.
struct PodServices {
  asio::any_io_executor executor;
  Clock& clock;
  api::Api& api;
  Dataplane& dataplane;
  ContainerRuntime& runtime;
  ImageStore& images;
  PodVolumes& volumes;
  Prober& prober;
  Filesystem& files;
  AddressPool& addresses;
  StatusWriter& statuses;
  client::EventRecorder& events;
  CheckpointStore& checkpoints;
  ReferencedObjects& objects;
  NetworkPolicies& policies;

  api::ResourceList allocatable;  ///< the node's
  corev1::Node node;              ///< as it registers itself
  std::string nodeName;
  std::string stateFolder;
  std::vector<std::string> hostIps;  ///< the node's, filled before pods start
  std::string runtimeName;           ///< scheme of container IDs: "crun"
  ClusterDns dns;
  std::int64_t nodeMemory = 0;               ///< bytes of capacity
  std::optional<std::int64_t> podPidsLimit;  ///< processes and threads of one pod
  bool keepsRecords = true;                  ///< of its pods, for a later agent
  bool parksPods = false;                    ///< those that have nothing to do have no worker
  std::shared_ptr<SharedLimits> limits;      ///< null: none
  std::string limitsMissing;                 ///< why limits are not enforced here; empty: they are
  std::string apiServer = {};                ///< "host:port" where pods find the API
  std::string standInProgram;                ///< podlab's own file, for stand-ins
  bool networkUp = false;                    ///< sandboxes can be made
  /// Called when a pod gives its addresses back.
  std::function<void()> addressFreed{};
  /// Whether another pod than this one uses a claim of its namespace here.
  std::function<bool(const corev1::Pod& pod, const std::string& claim)> claimIsUsed{};
  /// Called when an instance of a container has ended, or its pod is gone.
  std::function<void()> instanceEnded{};
};

}  // namespace podlab::node
