#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster_config.pb.h"
#include "core_v1.pb.h"

#include "api/object.hpp"
#include "common/distribution.hpp"
#include "common/status.hpp"
#include "common/time.hpp"
#include "sim/hollow_node.hpp"
#include "sim/sim_network.hpp"

namespace podlab::sim {

/// What a pod asks for.
struct Shape {
  std::int64_t milliCpu = 0;
  std::int64_t memory = 0;  ///< bytes
  double weight = 1;
};

/// Alike nodes.
struct NodeGroup {
  std::string name;
  int count = 1;
  std::map<std::string, std::string> labels;
  std::vector<std::string> zones;
  std::vector<corev1::Taint> taints;
  std::map<std::string, std::string> capacity;
  HollowBehaviour behaviour;

  /// From 0.
  std::string nodeName(int number) const { return name + std::to_string(number + 1); }
};

/// Objects that come and go.
struct Workload {
  enum class Kind { kPod, kDeployment, kJob };
  struct TraceEntry {
    Duration arrival{};
    std::optional<Duration> lifetime;
    Shape shape;
    int replicas = 1;
  };

  std::string name;
  Kind kind = Kind::kPod;
  Distribution every;
  Distribution size = Distribution::constant(1);
  Duration start{};
  std::optional<Duration> until;
  std::optional<int> limit;
  std::optional<Distribution> lifetime;
  Distribution replicas = Distribution::constant(1);
  std::vector<Shape> shapes;
  std::optional<std::vector<TraceEntry>> trace;  ///< in the order of the arrivals
  corev1::PodSpec pod;
};

/// A scenario that has been read and found good.
struct Scenario {
  std::uint64_t seed = 1;
  Duration duration{};
  Duration sample = std::chrono::minutes(1);
  bool direct = false;  ///< agents call the server, without a network in between
  LinkConditions link;
  Duration heartbeat = std::chrono::seconds(10);
  Duration nodeGrace = std::chrono::seconds(40);
  std::vector<NodeGroup> nodes;
  std::vector<Workload> workloads;
  config::v1alpha1::Faults faults;

  int nodeCount() const;
};

/// Faults of the simulation alone, besides those of cluster files.
inline constexpr std::string_view kServerKill = "server-kill";
inline constexpr std::string_view kReset = "reset";

/// What a command line says instead of the file; what shapes are drawn depends on the seed.
struct ScenarioOverrides {
  std::optional<std::uint64_t> seed;
  std::optional<Duration> duration;
};

/// Reads a scenario file (YAML or JSON), strictly. `readFile` gives the traces that it names.
/// kInvalid with the causes by field.
Result<Scenario> parseScenario(
    std::string_view text, const ScenarioOverrides& overrides,
    const std::function<Result<std::string>(const std::string& path)>& readFile);

}  // namespace podlab::sim
