#pragma once
// Inside src/net only: one ReachSession::send().
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <asio/any_io_executor.hpp>

#include "common/blocking.hpp"
#include "common/clock.hpp"
#include "common/co.hpp"
#include "common/sync.hpp"
#include "common/unique_fd.hpp"
#include "net/reach.hpp"
#include "net/reach_packet.hpp"
#include "net/reach_socket.hpp"

namespace podlab::net {

/// The probes of a node and what waits for them. Handlers own it.
struct ReachRun : std::enable_shared_from_this<ReachRun> {
  struct Probe {
    ProbeOutcome outcome;
    IpAddress target;
    bool own = false;              // reach's receiver answers
    bool done = false;             // no more is expected of it
    std::vector<MonoTime> sentAt;  // by sequence; MonoTime::max(): answered
    std::string trouble;           // why there may be no answer
    Duration rttSum{};
  };
  /// The sockets of one end and family.
  struct Sender {
    std::shared_ptr<Descriptor> icmp;
    std::shared_ptr<Descriptor> udp;
    std::shared_ptr<Descriptor> tcp;
    UniqueFd lookup;      // asks the kernel for the source address toward a target
    std::string problem;  // why they could not be opened
  };

  ReachRun(asio::any_io_executor theExecutor, Clock& theClock, std::uint32_t theSession,
           std::shared_ptr<const std::vector<ReachEnd>> theEnds, ReachOptions theOptions);

  /// Makes the probes of the local senders, or those of them that are in `only`.
  void plan(const std::optional<std::set<ProbeKey>>& only);
  Co<void> send(BlockingPool& pool);
  /// Ends all handlers.
  void close();

  asio::any_io_executor executor;
  Clock& clock;
  const std::uint32_t session;
  const std::shared_ptr<const std::vector<ReachEnd>> ends;
  const ReachOptions options;
  std::vector<Probe> probes;

 private:
  struct Address {
    std::uint32_t from;
    std::uint8_t protocol;
    std::uint16_t port;
    IpAddress target;
    bool operator==(const Address&) const = default;
  };
  struct AddressHash {
    std::size_t operator()(const Address& address) const;
  };

  std::uint16_t echoId(std::uint32_t end) const;
  std::string noAnswer() const;
  /// Nothing more is to come.
  void finish(Probe& probe);
  void fail(Probe& probe, int error, const std::string& who = "");
  /// An answer to the probe's packet of that sequence.
  void answered(Probe& probe, std::size_t sequence);
  /// Checks what reach's own receiver says.
  void check(Probe& probe, const ReachPacket& answer) const;
  Probe* find(std::uint32_t from, std::uint8_t protocol, const SocketAddress& target);

  void watch(const std::shared_ptr<Descriptor>& socket, std::uint32_t end, Family family,
             std::uint8_t protocol);
  /// `failed`: the kernel has told an error of this socket already.
  void read(int fd, std::uint32_t end, Family family, std::uint8_t protocol, bool failed = false);
  void readAnswer(std::uint32_t end, Family family, std::uint8_t protocol,
                  const SocketAddress& sender, std::span<const std::byte> bytes);
  void readErrors(int fd, std::uint32_t end, std::uint8_t protocol);
  void transmit(Probe& probe);
  std::optional<IpAddress> sourceOf(const Probe& probe, const Sender& sender) const;
  /// The sequence number of a SYN tells the probe, and which of its packets.
  std::uint32_t synNumber(const Probe& probe) const;
  std::pair<Probe*, std::size_t> findSyn(std::uint32_t number);
  void readSegment(std::uint32_t end, Family family, const SocketAddress& sender,
                   std::span<const std::byte> packet);
  Co<void> sendRound(std::vector<std::size_t> order);
  Co<void> waitUntil(MonoTime until);

  std::map<std::pair<std::uint32_t, Family>, Sender> senders_;
  std::unordered_map<Address, std::size_t, AddressHash> byTarget_;
  ReadBatch batch_;
  std::size_t pending_ = 0;
  WaitQueue progressed_;
};

}  // namespace podlab::net
