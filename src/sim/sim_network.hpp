#pragma once
#include <cstdint>
#include <memory>
#include <set>
#include <string>

#include "common/clock.hpp"
#include "common/rng.hpp"
#include "transport/byte_stream.hpp"

namespace podlab::sim {

/// How packets fare on their way, in each direction.
struct LinkConditions {
  Duration delay = std::chrono::microseconds(200);
  Duration jitter{};  ///< up to so much more
  double loss = 0;  ///< share of the packets; what is lost is sent again, after 200 ms, 400 ms, ...
};

/// A network of named hosts between whom byte streams run as over TCP: late, stalled by loss and
/// partitions, broken when a packet was sent again in vain. A stream that breaks leaves open what
/// of the last that was written has arrived: a request whose answer was lost is carried out twice
/// when it is sent again. Dialers, listeners and streams stay valid after the network is gone, and
/// fail. All chance comes from the given stream of it.
class SimNetwork {
 public:
  SimNetwork(Clock& clock, Rng& rng);
  ~SimNetwork();

  /// One listener a host; kAlreadyExists when it has one. The accepted streams' peer() is the
  /// dialling host.
  Result<std::unique_ptr<Listener>> listen(std::string host);
  /// Dials hosts by name; kUnavailable when nobody listens, or nothing comes back in 10 s.
  std::unique_ptr<Dialer> dialer(std::string host);

  /// Of every path but those that have conditions of their own.
  void setConditions(LinkConditions conditions);
  /// Of all that goes to a host or comes from it, instead.
  void setConditions(const std::string& host, LinkConditions conditions);
  void clearConditions(const std::string& host);

  /// Nothing passes between a host of `one` and a host of `other` until heal(); with `oneWay`
  /// nothing from `one` to `other`. What is sent meanwhile arrives after it, in streams that last.
  using PartitionId = std::uint64_t;
  PartitionId partition(std::set<std::string> one, std::set<std::string> other,
                        bool oneWay = false);
  void heal(PartitionId partition);

  /// The host's processes die: its streams end, and their peers hear of it.
  void crash(const std::string& host);
  /// The whole host is gone: nobody hears of anything, until it has booted and answers what comes
  /// for streams that it does not know.
  void powerOff(const std::string& host);
  void powerOn(const std::string& host);
  /// All streams of the host break.
  void reset(const std::string& host);

  struct Counters {
    std::uint64_t dials = 0;
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
    std::uint64_t lost = 0;  ///< packets that were sent again
    std::uint64_t broken = 0;
  };
  Counters counters() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace podlab::sim
