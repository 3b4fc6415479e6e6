#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "api/object.hpp"
#include "common/time.hpp"
#include "sim/scenario.hpp"

namespace podlab::sim {

/// The cluster at one time, and what happened since the sample before.
struct Sample {
  Duration at{};
  int nodes = 0;
  int nodesReady = 0;
  int pending = 0;  ///< pods without a node
  int bound = 0;    ///< pods with one that have not finished
  int running = 0;
  double cpu = 0;  ///< share of what all nodes have that bound pods request
  double memory = 0;
  /// Share of the free CPU on which no further pod of the workloads' largest shape can be.
  double fragmentation = 0;
  int created = 0;
  int started = 0;
  int finished = 0;
  int evicted = 0;
  double startP50 = 0;  ///< seconds from a pod's creation to its start; 0 when none started
  double startP99 = 0;
};

struct Totals {
  std::uint64_t created = 0;
  std::uint64_t bound = 0;
  std::uint64_t started = 0;
  std::uint64_t succeeded = 0;
  std::uint64_t failed = 0;
  std::uint64_t evicted = 0;
  std::uint64_t deleted = 0;
  int mostPending = 0;
  double startP50 = 0;  ///< seconds
  double startP90 = 0;
  double startP99 = 0;
  double startMax = 0;
  double meanCpu = 0;
  double meanMemory = 0;
};

/// Counts what pods and nodes do.
class Observer {
 public:
  explicit Observer(const Scenario& scenario);

  /// An object as it is now; or as it was last.
  void seePod(const corev1::Pod& pod, Duration now);
  void losePod(const corev1::Pod& pod);
  void seeNode(const corev1::Node& node);
  void loseNode(const corev1::Node& node);

  void sample(Duration now);
  const std::vector<Sample>& samples() const { return samples_; }
  Totals totals() const;
  /// Of all placements: when, which pod, on which node.
  std::uint64_t placementHash() const { return placementHash_; }

 private:
  struct Node {
    std::int64_t milliCpu = 0, memory = 0, pods = 0;
    std::int64_t usedCpu = 0, usedMemory = 0, usedPods = 0;
    bool known = false;
    bool ready = false;
  };
  struct Pod {
    std::string node;  ///< on which it takes up room
    std::int64_t milliCpu = 0, memory = 0;
    Duration created{};
    bool pending = true, started = false, running = false, finished = false, evicted = false;
  };
  void release(Pod& pod);
  double fragmentation() const;

  Shape largest_;
  std::map<std::string, Node> nodes_;
  std::unordered_map<std::string, Pod> pods_;  ///< by uid
  int pending_ = 0, bound_ = 0, running_ = 0;
  Totals totals_;
  Sample since_;
  std::vector<float> latencies_;      ///< of all starts, in seconds
  std::size_t sampledLatencies_ = 0;  ///< those of earlier samples
  std::vector<Sample> samples_;
  std::uint64_t placementHash_;
};

}  // namespace podlab::sim
