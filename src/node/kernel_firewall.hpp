#pragma once
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "common/status.hpp"
#include "net/netlink_socket.hpp"
#include "net/nft_table.hpp"

namespace podlab::node {

/// podlab's table of nftables in a node's network namespace: what it is to be, and the steps to
/// there. Each change is one transaction of what differs. Blocking, thread-safe.
class KernelFirewall {
 public:
  /// `networkNamespace` is a path; empty: the process's.
  explicit KernelFirewall(std::string networkNamespace);

  /// kHostUnsupported on a kernel without nftables; there is no need of one while the table is
  /// nullopt: none. At first, the kernel's table may be an earlier agent's: what is the same in it
  /// stays, and packets see it until they see the new one.
  Status set(std::optional<net::NftTable> wanted);

  /// Makes good what others have changed, if set() was ever called. Unless `certain`, only when the
  /// kernel has seen transactions since that were not ours.
  Status repair(bool certain);

  /// Of the socket that makes the changes.
  Result<std::uint32_t> portId();

 private:
  Status open();
  Status bring(const std::optional<net::NftTable>& wanted);

  const std::string networkNamespace_;
  std::mutex mutex_;
  std::optional<net::NetlinkSocket> socket_;
  std::optional<std::optional<net::NftTable>> wanted_;
  bool isThere_ = false;          ///< the kernel has wanted_, as far as we know
  std::uint32_t generation_ = 0;  ///< of the kernel's tables, when that was last known
};

}  // namespace podlab::node
