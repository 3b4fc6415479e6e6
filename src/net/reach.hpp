#pragma once
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <asio/any_io_executor.hpp>

#include "common/blocking.hpp"
#include "common/clock.hpp"
#include "common/co.hpp"
#include "common/status.hpp"
#include "net/address.hpp"

namespace podlab::net {

/// Where reach's own receivers listen: below the ports that clients are given (32768 on).
inline constexpr std::uint16_t kReachPort = 28462;

/// What an end is probed at.
struct ReachPort {
  std::uint8_t protocol = 0;  ///< IPPROTO_ICMP (echo, of either family), IPPROTO_TCP, IPPROTO_UDP
  std::uint16_t port = 0;     ///< 0 of ICMP
  bool own = false;           ///< reach's own receiver listens there; else whoever does, if any
  auto operator<=>(const ReachPort&) const = default;
};

/// A pod, a node, or an address outside of the cluster.
struct ReachEnd {
  bool local = false;       ///< of this node: what follows is done only by local ends
  std::string networkPath;  ///< its network namespace; empty: the process's
  bool sends = false;
  bool receives = false;
  std::vector<IpAddress> addresses;     ///< by which it is probed, at most one a family
  std::vector<IpAddress> otherSources;  ///< besides them, from which it sends
  std::vector<ReachPort> ports;         ///< at which it is probed
};

struct ReachOptions {
  Duration timeout{};
  /// Size in bytes of the whole IP packet that ICMP and UDP send, not to be fragmented; 0: small
  /// ones.
  int packetSize = 0;
  /// How often each probe is sent. Of one, what gets no answer is sent again twice within the
  /// time-out: a full queue is not a broken network.
  int count = 1;
  Duration interval{};  ///< from one sending of a probe to the next
};

/// Which probe: indices of ends.
struct ProbeKey {
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  Family family = Family::kV4;
  std::uint8_t protocol = 0;  ///< as in ReachPort
  std::uint16_t port = 0;
  auto operator<=>(const ProbeKey&) const = default;
};

/// What the sender knows of one probe.
struct ProbeOutcome {
  ProbeKey key;
  std::uint32_t sent = 0;  ///< packets
  std::uint32_t answered = 0;
  bool refused = false;  ///< the target answered that nobody listens there
  /// Why no good answer came, and who said so. An answer that shows a fault (another source
  /// address) counts as one, too.
  std::string error;
  Duration rttMin{};  ///< of those answered
  Duration rttMean{};
  Duration rttMax{};
  bool ok() const { return answered > 0 && error.empty(); }
};

/// How many packets of a probe its receiver saw.
struct ProbeArrivals {
  ProbeKey key;
  std::uint32_t count = 0;
};

/// Real packets from each local sender to every receiver, by ICMP echo, UDP and TCP, all at once.
/// Of TCP it is a SYN: who listens answers, the sender's kernel, which knows of no connection,
/// resets it, and the program that listens is not disturbed. Reach's own receivers answer with the
/// source address that they saw, so that address translation on the way shows; and each local
/// receiver's network is observed, so that a probe that arrived and whose answer was lost is told
/// from one that was lost itself. Needs CAP_NET_RAW and CAP_SYS_ADMIN in the pods' user namespace.
/// Runs on `executor`'s thread; destroying it closes the receivers.
class ReachSession {
 public:
  /// `session` tags the packets. Receivers of sessions at the same time answer all of them.
  ReachSession(asio::any_io_executor executor, Clock& clock, BlockingPool& pool,
               std::uint32_t session, std::vector<ReachEnd> ends);
  ~ReachSession();

  /// Opens receivers and observers of the local ends. Goes on after a failure, which names the
  /// address, and returns the first.
  Co<Status> listen();
  /// Sends, once every node listens. One outcome for each local sender, receiver, family that both
  /// have, and port of the receiver; or of those in `only`.
  Co<std::vector<ProbeOutcome>> send(ReachOptions options,
                                     std::optional<std::set<ProbeKey>> only = {});
  /// What arrived at local receivers since listen(). TCP is told apart by the sender's address
  /// alone.
  std::vector<ProbeArrivals> arrivals() const;

 private:
  struct Receivers;
  asio::any_io_executor executor_;
  Clock& clock_;
  BlockingPool& pool_;
  std::uint32_t session_;
  std::shared_ptr<const std::vector<ReachEnd>> ends_;
  std::shared_ptr<Receivers> receivers_;
};

}  // namespace podlab::net
