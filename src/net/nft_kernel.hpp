#pragma once
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
#include "net/netlink_socket.hpp"
#include "net/nft_table.hpp"

namespace podlab::net {

/// podlab's table as the kernel has it, but for the rules of its chains, which are not read:
/// unknown. nullopt when there is none. `socket` is of Protocol::kNetfilter, here and below.
Result<std::optional<NftTable>> readTable(NetlinkSocket& socket);

/// Carries the groups out in as few transactions as the socket's limit allows: one, but for very
/// large changes of a rootless lab (net.core.wmem_max).
Status applyChanges(NetlinkSocket& socket, std::vector<NftGroup> groups);

/// Which state of all the namespace's tables this is: each transaction adds one.
Result<std::uint32_t> nftGeneration(NetlinkSocket& socket);

/// Whether a message of NFNLGRP_NFTABLES tells of a change of podlab's table by another socket than
/// `portId`.
bool isForeignNftEvent(const ReceivedMessage& message, std::uint32_t portId);

/// Tells of changes of podlab's table that others make.
class NftMonitor {
 public:
  /// In the namespace of `networkPath`; empty: the calling thread's. `portId` is of the socket by
  /// which podlab makes its own changes.
  static Result<std::unique_ptr<NftMonitor>> open(const asio::any_io_executor& executor,
                                                  const std::string& networkPath,
                                                  std::uint32_t portId);

  enum class Change { kForeign, kLost };  ///< kLost: more came than could be kept
  /// Until there is one. Throws operation_aborted when cancelled.
  Co<Result<Change>> next();

 private:
  NftMonitor(std::unique_ptr<NetlinkEvents> events, std::uint32_t portId);
  std::unique_ptr<NetlinkEvents> events_;
  std::uint32_t portId_;
};

}  // namespace podlab::net
