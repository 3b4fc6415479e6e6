#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "common/status.hpp"
#include "common/unique_fd.hpp"
#include "net/netlink_message.hpp"

namespace podlab::net {

/// A blocking netlink socket. It belongs to the network namespace in which its thread was when it
/// was opened, and stays there. The kernel answers requests of these protocols inside the send, so
/// no call waits for anybody else. One thread at a time.
class NetlinkSocket {
 public:
  enum class Protocol { kRoute, kNetfilter };
  static Result<NetlinkSocket> open(Protocol protocol = Protocol::kRoute);

  /// Sends a request and waits for its acknowledgement. The kernel's own explanation (extended ack)
  /// is in the message.
  Status execute(NetlinkMessage message);
  /// Sends many requests, a window of them in flight; the kernel runs them in order and goes on
  /// after a failure. One status each.
  std::vector<Status> executeEach(std::vector<NetlinkMessage> messages);
  /// The same: the first failure, or OK.
  Status executeAll(std::vector<NetlinkMessage> messages);

  /// Sends a transaction of nfnetlink, from its first message (NFNL_MSG_BATCH_BEGIN) to its last
  /// (NFNL_MSG_BATCH_END), as one datagram of at most sendLimit() bytes: the kernel carries out all
  /// of it or nothing. The first failure, or OK.
  Status executeTransaction(std::vector<NetlinkMessage> messages);
  std::size_t sendLimit() const { return sendLimit_; }
  /// By which the kernel's events name who made a change.
  std::uint32_t portId() const { return portId_; }

  /// Called for each message of an answer with its type and what follows the nlmsghdr.
  using Receiver = std::function<void(std::uint16_t type, std::span<const std::byte> body)>;
  /// A table. When the kernel says that it changed meanwhile (NLM_F_DUMP_INTR) the dump is
  /// repeated: `restart` is called, and what was received before is void.
  Status dump(const NetlinkMessage& request, const std::function<void()>& restart,
              const Receiver& receive);
  /// One object; kNotFound (or the kernel's error) when there is none.
  Status query(NetlinkMessage request, const Receiver& receive);

 private:
  explicit NetlinkSocket(UniqueFd fd);
  Status send(std::span<const std::byte> bytes, const std::string& what);
  Result<std::span<const std::byte>> receive(const std::string& what);

  UniqueFd fd_;
  std::uint32_t portId_ = 0;
  std::size_t sendLimit_ = 0;
  std::uint32_t sequence_ = 0;
  std::vector<std::byte> buffer_;
};

}  // namespace podlab::net
