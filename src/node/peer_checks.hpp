#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/clock.hpp"
#include "common/rng.hpp"
#include "common/sync.hpp"
#include "node/dataplane.hpp"

namespace podlab::node {

/// How a node reaches its peers, as its condition PeerNetworkProblem and events say.
struct PeerHealth {
  std::string reason;   ///< one word
  std::string message;  ///< peers, problems and remedies
  bool problem = false;
  bool operator==(const PeerHealth&) const = default;
};

/// Looks whether a node reaches its peers when they come or change, by Dataplane::probePeers(). Of
/// many peers it looks at kSample, which differ from node to node: what is sent grows with the
/// number of nodes, not with that of pairs. Trouble counts when it is there twice in a row, for
/// peers learn of a new node by and by; from then on it is looked at again, ever more seldom, until
/// it is over.
class PeerChecks {
 public:
  static constexpr std::size_t kSample = 16;
  /// Told whenever it differs from the last time.
  using Tell = std::function<void(const PeerHealth&)>;

  PeerChecks(Dataplane& dataplane, Clock& clock, Rng& rng, asio::any_io_executor executor,
             std::string self, Tell tell);
  void start();
  Co<void> stop();

  /// The peers that should answer: those that are Ready.
  void setPeers(std::vector<Peer> peers);

 private:
  struct Checked {
    Peer peer;
    MonoTime due;  ///< when to look
    int troubles = 0;
    bool looked = false;
    net::PeerVerdict verdict;  ///< the first problem of its ranges
  };
  Co<void> keep();
  Co<void> look();
  void take(Checked& checked, const std::vector<PeerFinding>& findings);
  void tellAll();
  MonoTime nextDue() const;
  Duration untilFirstLook();

  Dataplane& dataplane_;
  Clock& clock_;
  Rng& rng_;
  const std::string self_;
  const Tell tell_;
  std::map<std::string, Checked> checked_;
  PeerHealth told_;
  bool begun_ = false;  ///< setPeers() was called
  WaitQueue changed_;
  TaskGroup tasks_;
};

}  // namespace podlab::node
