#pragma once
#include <string>
#include <vector>

#include "lab_control.pb.h"

#include "cli/reach_cells.hpp"
#include "lab/fault_effects.hpp"

namespace podlab::cli {

/// Declared faults of a lab, as causes of what reach does not reach.
class ReachFaults {
 public:
  ReachFaults() = default;
  /// `nodes` are the lab's.
  ReachFaults(const google::protobuf::RepeatedPtrField<lab::FaultInForce>& inForce,
              const lab::NodeLabels& nodes);

  struct Cause {
    std::string text;   ///< "fault f1, partition node1|node2 until 2026-01-01T00:00:00Z"; or empty
    bool full = false;  ///< nothing passes meanwhile
  };
  /// The first fault that comes between two ends, or keeps one of them from answering; of a cell
  /// that was not measured, between the sender's node and the server, too.
  Cause causeOf(const ReachEnd& from, const ReachEnd& to, bool measured) const;

 private:
  struct Declared {
    std::string text;
    lab::Fault fault;
    std::vector<lab::FaultEffects::Loss> losses;
  };
  std::vector<Declared> faults_;
};

}  // namespace podlab::cli
