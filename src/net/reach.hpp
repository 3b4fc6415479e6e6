#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <asio/any_io_executor.hpp>

#include "common/blocking.hpp"
#include "common/clock.hpp"
#include "common/co.hpp"
#include "common/status.hpp"
#include "net/address.hpp"

namespace podlab::net {

/// Where receivers listen unless the session chooses another port: below the ports that clients are
/// given (32768 on).
inline constexpr std::uint16_t kReachPort = 28462;

/// A pod of this node that sends and receives.
struct ReachPod {
  std::uint32_t index = 0;  ///< of this pod in the session's list of all pods
  std::string networkPath;  ///< its network namespace
  std::vector<IpAddress> addresses;
};

/// A pod of the cluster to be reached.
struct ReachTarget {
  std::uint32_t index = 0;
  std::vector<IpAddress> addresses;
};

struct ReachOptions {
  Duration timeout{};
  /// Size in bytes of the whole IP packet that ICMP and UDP send, not to be fragmented; 0: small
  /// ones.
  int packetSize = 0;
};

/// What became of one probe.
struct ProbeOutcome {
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  Family family = Family::kV4;
  std::uint8_t protocol = 0;  ///< IP protocol number: 1 or 58, 6, 17
  bool ok = false;
  std::string error;                        ///< why not, and who said so
  std::optional<IpAddress> observedSource;  ///< the sender as the receiver saw it (UDP, TCP)
  Duration rtt{};
};

/// Real packets from inside each local pod to every pod, by ICMP echo, UDP and TCP, all at once.
/// Receivers answer with the source address that they saw, so that address translation on the way
/// shows. Needs CAP_NET_RAW and CAP_SYS_ADMIN in the pods' user namespace. Runs on `executor`'s
/// thread; destroying it closes the receivers.
class ReachSession {
 public:
  /// `session` tags the packets, so that those of other sessions are not answered.
  ReachSession(asio::any_io_executor executor, Clock& clock, BlockingPool& pool,
               std::uint32_t session);
  ~ReachSession();

  /// Opens the receivers of this node's pods. Goes on after a failure, which names the pod's
  /// address, and returns the first.
  Co<Status> listen(std::vector<ReachPod> pods, std::uint16_t port);
  /// Sends from the pods of listen(), once every node listens. One outcome for each local pod,
  /// target, family that both have, and protocol.
  Co<std::vector<ProbeOutcome>> send(std::vector<ReachTarget> targets, ReachOptions options);

 private:
  struct Receivers;
  asio::any_io_executor executor_;
  Clock& clock_;
  BlockingPool& pool_;
  std::uint32_t session_;
  std::uint16_t port_ = kReachPort;
  std::vector<ReachPod> pods_;
  std::shared_ptr<Receivers> receivers_;
};

}  // namespace podlab::net
