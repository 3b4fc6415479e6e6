#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <asio/any_io_executor.hpp>

#include "common/co.hpp"
#include "common/status.hpp"
#include "net/netlink_events.hpp"

namespace podlab::net {

/// Something changed in a network namespace.
struct NetworkEvent {
  enum class Table { kLink, kAddress, kRoute, kNeighbour, kSetting };
  Table table = Table::kLink;
  static constexpr int kAllLinks = -1;
  bool removed = false;
  int linkIndex = 0;  ///< 0 for routes without one link; of settings kAllLinks for all
  std::optional<int>
      namespaceId;  ///< of another namespace that has an id here; nullopt: the monitor's own
};

/// What one message of rtnetlink's groups says; nullopt when it is of another kind or cut short.
std::optional<NetworkEvent> parseNetworkEvent(std::uint16_t type, std::span<const std::byte> body);

/// Changes of links, addresses, routes, forwarding settings and neighbours (bridge and VXLAN
/// forwarding entries too) of one network namespace, and of all namespaces that it has an id for,
/// so that one socket watches a node and its pods.
class NetlinkMonitor {
 public:
  /// In the namespace of `networkPath`; empty: the calling thread's.
  static Result<std::unique_ptr<NetlinkMonitor>> open(const asio::any_io_executor& executor,
                                                      const std::string& networkPath);

  struct Batch {
    std::vector<NetworkEvent> events;
    bool lost = false;  ///< more came than the socket could hold: anything may have changed
  };
  /// What has come since the last call, at least one event. Throws operation_aborted when
  /// cancelled.
  Co<Result<Batch>> next();

 private:
  explicit NetlinkMonitor(std::unique_ptr<NetlinkEvents> events);
  std::unique_ptr<NetlinkEvents> events_;
};

}  // namespace podlab::net
