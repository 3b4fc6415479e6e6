#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/object.hpp"
#include "common/status.hpp"
#include "common/time.hpp"

/// Which pods a drain removes, and what it says of them (kubectl/pkg/drain/filters.go).
namespace podlab::cli {

struct DrainRules {
  bool force = false;               ///< also pods that nobody will make again
  bool ignoreDaemonSets = false;    ///< leave their pods
  bool deleteEmptyDirData = false;  ///< also pods with local storage
  int skipWaitSeconds = 0;          ///< leave pods that have been terminating for longer
};

struct PodVerdict {
  bool removes = true;
  std::string warning;
  std::string error;  ///< why the node cannot be drained
};

/// `daemonSet` tells whether the pod's controller is there, when that is a DaemonSet.
PodVerdict judgePod(const corev1::Pod& pod, const DrainRules& rules, const Status& daemonSet,
                    WallTime now);
/// Whether the pod's controller is a DaemonSet.
bool isOfDaemonSet(const corev1::Pod& pod);

/// The pods of a node, judged.
struct DrainPlan {
  std::vector<std::shared_ptr<const corev1::Pod>> pods;      ///< to be removed
  std::map<std::string, std::vector<std::string>> warnings;  ///< "namespace/name"s by text
  std::map<std::string, std::vector<std::string>> errors;    ///< likewise

  void add(std::shared_ptr<const corev1::Pod> pod, const PodVerdict& verdict);
  /// "" when there is none.
  std::string warning() const;
  std::vector<std::string> problems() const;
};

}  // namespace podlab::cli
