#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/reach_ends.hpp"
#include "common/time.hpp"
#include "net/reach.hpp"

namespace podlab::cli {

/// One probe: what was expected of it, what became of it, and why.
struct ReachCell {
  net::ProbeKey key;  ///< indices of ReachMeasurement::ends
  bool own = false;   ///< reach's own receiver answers, not a program
  bool measured = false;
  std::uint32_t sent = 0;
  std::optional<std::uint32_t> arrived;  ///< nullopt: nobody could look
  std::uint32_t answered = 0;
  bool refused = false;
  std::string error;
  Duration rttMin{};
  Duration rttMean{};
  Duration rttMax{};

  bool allowed = true;      ///< what is expected
  std::string expectation;  ///< and who says so
  std::string denial;       ///< what NetworkPolicies say against it
  std::string reason;       ///< why it is not as expected

  /// Whether the target was reached: it answered; a program is also reached by datagrams that it
  /// does not answer.
  bool reached() const;
  /// It got there, whatever became of the answer.
  bool gotThrough() const { return answered > 0 || arrived.value_or(0) > 0; }
  /// Sent and arrived, and the answer was lost.
  bool oneWay() const { return !reached() && !refused && answered == 0 && arrived.value_or(0) > 0; }
  bool asExpected() const { return measured && (allowed ? reached() : !gotThrough()); }
  /// What became of it, in words.
  std::string outcome() const;
};

/// What the agents found on the way of a probe that failed.
struct ReachFinding {
  std::string leaving;   ///< at the sender's node (of the answer, where that is lost)
  std::string arriving;  ///< at the receiver's
  bool inspected = false;
  bool passes = false;  ///< it has been answered when it was sent again
};

struct ReachMeasurement {
  std::vector<ReachEnd> ends;
  std::vector<ReachCell> cells;                 ///< sorted by key
  std::map<std::string, std::string> failures;  ///< of nodes that could not measure, or not all
  std::map<net::ProbeKey, ReachFinding> findings;
  std::vector<std::string> missing;  ///< pods that went before they could be probed
  Duration took{};

  std::size_t unexpected() const;  ///< cells that were measured and are not as expected
  std::size_t unmeasured() const;
  bool ok() const { return unexpected() == 0 && unmeasured() == 0 && failures.empty(); }
};

/// Cells of the ends, which nobody has measured yet.
std::vector<ReachCell> planReachCells(const std::vector<ReachEnd>& ends);
/// Of the key; nullptr when there is none.
ReachCell* findReachCell(std::vector<ReachCell>& cells, const net::ProbeKey& key);

/// How all cells from one end to another look together.
enum class ReachSymbol : char {
  kReached = '+',
  kDenied = '-',   ///< not reached, as expected
  kSome = '=',     ///< as expected, some reached and some not
  kNone = 'x',     ///< none is reached that should be
  kMixed = '~',    ///< some are as expected
  kOneWay = '<',   ///< what fails arrives; the answers are lost
  kTooMuch = '!',  ///< what differs should not be reached
  kNotMeasured = '?',
};
struct ReachPair {
  std::size_t cells = 0;
  std::size_t unmeasured = 0;
  std::size_t reached = 0;
  std::size_t oneWay = 0;
  std::size_t tooMuch = 0;
  std::size_t asExpected = 0;

  void add(const ReachCell& cell);
  ReachSymbol symbol() const;
};
using ReachMatrix = std::map<std::pair<std::uint32_t, std::uint32_t>, ReachPair>;
ReachMatrix matrixOf(const std::vector<ReachCell>& cells);

}  // namespace podlab::cli
