#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lab/fault.hpp"

namespace podlab::lab {

using FaultsConfig = config::v1alpha1::Faults;

/// What is wrong with a timeline in a cluster of these nodes.
std::vector<Cause> faultsOfTimeline(const FaultsConfig& config, const NodeLabels& nodes);

/// The same of one entry; `path` goes before the fields' names.
std::vector<Cause> faultsOfEntry(const FaultConfig& entry, const NodeLabels& nodes,
                                 const std::string& path);

/// A valid timeline: a function of the cluster file, the seed in it, and nothing else. Its entries
/// are numbered from 0, and so are the occurrences of each.
class FaultTimeline {
 public:
  explicit FaultTimeline(FaultsConfig config) : config_(std::move(config)) {}

  int entries() const { return config_.timeline_size(); }
  /// When the entry's n-th occurrence is, from when the lab is up; nullopt: it has fewer.
  std::optional<Duration> timeOf(int entry, std::uint64_t n) const;
  /// The fault of that occurrence, with the nodes that were picked for it; kInvalid when nodes that
  /// it names are gone.
  Result<FaultConfig> faultOf(int entry, std::uint64_t n, const NodeLabels& nodes) const;

 private:
  FaultsConfig config_;
};

}  // namespace podlab::lab
