#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <asio/any_io_executor.hpp>

#include "common/co.hpp"
#include "common/status.hpp"
#include "net/netlink_message.hpp"

namespace podlab::net {

/// The kernel's messages to the groups of a netlink protocol.
class NetlinkEvents {
 public:
  /// In the namespace of `networkPath`; empty: the calling thread's. With `otherNamespaces` also of
  /// those that it has an id for.
  static Result<std::unique_ptr<NetlinkEvents>> open(const asio::any_io_executor& executor,
                                                     const std::string& networkPath, int protocol,
                                                     std::span<const int> groups,
                                                     bool otherNamespaces);
  ~NetlinkEvents();

  /// Called for each message; `namespaceId` is of another namespace.
  using Handler =
      std::function<void(const ReceivedMessage& message, std::optional<int> namespaceId)>;
  /// Hands over all that waits, without blocking. True when more came than the socket could hold.
  Result<bool> drain(const Handler& handle);
  /// Until something has come. Throws operation_aborted when cancelled.
  Co<void> wait();

 private:
  struct State;
  explicit NetlinkEvents(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace podlab::net
