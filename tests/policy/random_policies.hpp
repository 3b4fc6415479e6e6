#pragma once
#include <memory>
#include <string>
#include <vector>

#include "common/rng.hpp"
#include "policy/model.hpp"

namespace podlab::policy {

/// A small cluster, by its objects.
struct Cluster {
  std::vector<std::shared_ptr<const corev1::Pod>> pods;
  std::vector<std::shared_ptr<const corev1::Namespace>> namespaces;
  std::vector<std::shared_ptr<const networkingv1::NetworkPolicy>> policies;

  Model model() const { return {pods, namespaces, policies}; }
};

struct ClusterShape {
  std::size_t nodes = 3;
  std::size_t podsPerNode = 4;
  bool v4 = true;
  bool v6 = true;
  std::size_t policies = 6;  ///< at most
};

/// The ports that policies of randomCluster() speak of, and some that they do not.
inline constexpr std::uint16_t kTestPorts[] = {80, 81, 443, 8080, 9999};

/// Pods "ns/pod-N-M" on the nodes "node1" and on, with the addresses 10.244.N.(M+2) and
/// fd00:244:0:N::(M+2); few labels and values, so that selectors meet.
Cluster randomCluster(Rng& rng, const ClusterShape& shape);
std::vector<std::shared_ptr<const networkingv1::NetworkPolicy>> randomPolicies(
    Rng& rng, const ClusterShape& shape);

}  // namespace podlab::policy
