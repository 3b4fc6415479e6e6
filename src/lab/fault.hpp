#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cluster_config.pb.h"

#include "common/status.hpp"
#include "common/time.hpp"

namespace podlab::lab {

using FaultConfig = config::v1alpha1::Fault;

enum class FaultKind {
  kPartition,
  kLoss,
  kDelay,
  kRate,
  kLinkDown,
  kNodeKill,
  kNodeFreeze,
  kAgentKill,  ///< an event: it has no end to wait for
};

/// In a group of nodes: the server. No node has such a name.
inline constexpr std::string_view kServerMember;

/// The nodes of a lab with their labels.
using NodeLabels = std::map<std::string, std::map<std::string, std::string>>;

/// A fault, read and resolved.
struct Fault {
  FaultKind kind = FaultKind::kPartition;
  /// Disjoint, none empty. A single one of kPartition and kLoss is against everybody else.
  std::vector<std::set<std::string>> groups;
  bool oneWay = false;
  double loss = 1;  ///< share of the packets
  Duration delay{};
  Duration jitter{};
  std::uint64_t bitsPerSecond = 0;
  Duration lease{};
};

/// What ends by itself without a word about when.
inline constexpr Duration kDefaultLease = std::chrono::minutes(1);
inline constexpr Duration kLongestLease = std::chrono::hours(8760);

/// All that is wrong with a fault of a lab with these nodes; `path` goes before the fields' names,
/// e.g. "faults.timeline[0].". Fields of timelines are left to faultsOfTimeline().
std::vector<Cause> faultsOfFault(const FaultConfig& config, const NodeLabels& nodes,
                                 const std::string& path = "");
/// kInvalid with faultsOfFault().
Result<Fault> readFault(const FaultConfig& config, const NodeLabels& nodes);

/// Those of a list of names, patterns with '*' and labels KEY=VALUE, comma-separated; kInvalid says
/// which member means none.
Result<std::set<std::string>> nodesOf(const std::string& list, const NodeLabels& nodes);

/// The fault in a few words, without its kind and lease: "node1,node2|node3, one way".
std::string wordsFor(const FaultConfig& config);

/// A share of "30%" or "0.5%": above 0, at most 1.
std::optional<double> parseShare(std::string_view text);
/// Bits a second of "10Mbit", "1.5Gbit", "500k".
std::optional<std::uint64_t> parseBitRate(std::string_view text);
/// Positive, and at most `most`.
std::optional<Duration> parseSpan(std::string_view text, Duration most = kLongestLease);

/// A cause FieldValueInvalid.
Cause invalidField(std::string field, std::string_view value, std::string_view why);

}  // namespace podlab::lab
