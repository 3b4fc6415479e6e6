#pragma once
#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "api/object.hpp"
#include "common/time.hpp"

namespace podlab::controllers {

/// The `count` of the pods that are to go first: those without a node before those with one,
/// Pending before Unknown before Running, not ready before ready, the cheaper by the annotation
/// controller.kubernetes.io/pod-deletion-cost, those on nodes with more pods of the kind, those
/// ready for a shorter time (in powers of two), with more restarts, and younger (upstream:
/// controller_utils.go, ActivePodsWithRanks). `onNode`: active pods of the owner and its relatives.
std::vector<api::ObjectPtr> podsToDelete(std::vector<api::ObjectPtr> pods,
                                         const std::map<std::string, int>& onNode,
                                         std::size_t count, WallTime now);

}  // namespace podlab::controllers
