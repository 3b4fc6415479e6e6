#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps_v1.pb.h"

#include "api/object.hpp"
#include "controllers/job_pods.hpp"

/// Which nodes a DaemonSet is for, and which of its pods are to go: pure (upstream:
/// pkg/controller/daemon).
namespace podlab::controllers {

using DaemonSetPtr = std::shared_ptr<const appsv1::DaemonSet>;

/// The pod for a node, with the tolerations that daemons have and the node in its affinity: the
/// scheduler binds it there.
corev1::Pod daemonPod(const appsv1::DaemonSet& set, const std::string& node,
                      const std::string& hash);

struct Eligibility {
  bool run = false;        ///< there should be a pod
  bool continues = false;  ///< a pod that is there may stay
};
Eligibility eligibility(const corev1::Pod& daemon, const corev1::Node& node);

/// The node that the pod is on or for; "" when it says none.
std::string nodeFor(const corev1::Pod& pod);

/// What is to be done.
struct DaemonChanges {
  std::vector<PodPtr> remove;
  std::vector<std::string> nodes;  ///< that get a pod
};

/// The pods of each node, oldest first.
using DaemonsByNode = std::map<std::string, std::vector<PodPtr>>;

struct DaemonRollout {
  std::string hash;
  std::int32_t maxUnavailable = 0;
  std::int32_t maxSurge = 0;
  std::int32_t minReadySeconds = 0;
  WallTime now;

  bool isAvailable(const corev1::Pod& pod) const;
  bool isUpdated(const corev1::Pod& pod) const;
};
/// The next step of a rolling update. Nodes that should have a pod and have none are in `pods`.
DaemonChanges rollDaemons(const DaemonRollout& rollout, const DaemonsByNode& pods);
/// Of several running pods of one node, those too many. With surge an old pod stays beside a new
/// one until that is available.
std::vector<PodPtr> excessDaemons(const DaemonRollout& rollout, std::vector<PodPtr> running);

}  // namespace podlab::controllers
