#pragma once
#include <memory>
#include <string_view>
#include <vector>

#include "networking_v1.pb.h"

#include "cli/reach_cells.hpp"
#include "cli/reach_ends.hpp"
#include "common/status.hpp"
#include "policy/model.hpp"

namespace podlab::cli {

/// A file of what should be reached. A line is "allow FROM -> TO [PORTS...]" or "deny ...", with
/// the words of ReachPattern and ReachPorts; without ports it is about all. The first line that
/// fits a cell decides. # begins a comment.
class ReachExpectation {
 public:
  /// kBadRequest names the line and the remedy.
  static Result<ReachExpectation> parse(std::string_view text);
  /// Sets what is expected of the cells that a line fits; the others stay.
  void apply(const std::vector<ReachEnd>& ends, std::vector<ReachCell>& cells) const;
  std::size_t size() const { return lines_.size(); }

 private:
  struct Line {
    std::size_t number = 0;
    bool allow = true;
    ReachPattern from;
    ReachPattern to;
    std::vector<ReachPorts> ports;
  };
  std::vector<Line> lines_;
};

/// Sets what NetworkPolicies make of the cells.
void expectPolicies(const policy::Model& model, const std::vector<ReachEnd>& ends,
                    std::vector<ReachCell>& cells);

}  // namespace podlab::cli
