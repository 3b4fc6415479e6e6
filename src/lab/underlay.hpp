#pragma once
#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/status.hpp"
#include "lab/fault_effects.hpp"
#include "net/address.hpp"
#include "net/netlink_socket.hpp"
#include "net/nft_table.hpp"
#include "net/qdisc.hpp"

namespace podlab::lab {

/// The switch between a lab's nodes, in the lab's network namespace: a bridge with the first
/// address of each underlay range (the server's), and a veth pair to each node's namespace, where
/// its end is eth0.
class Underlay {
 public:
  Underlay(std::vector<net::Cidr> ranges, int mtu) : ranges_(std::move(ranges)), mtu_(mtu) {}

  /// The bridge, with loopback up.
  Status create();
  /// Connects the namespace of process `pid` as the node with this index (from 1); its loopback
  /// comes up too.
  Status connect(pid_t pid, int index);
  /// The node's processes have ended.
  void disconnect(int index) { ports_.erase(index); }

  /// Makes switch and links be as these effects say, and no other. `indices` are those of the
  /// nodes, connected or not.
  Status enforce(const FaultEffects& effects, const std::map<std::string, int>& indices);
  /// Why faults of this kind are not to be had on this kernel; OK when they are.
  Status supports(FaultKind kind);

  std::vector<net::IpAddress> serverAddresses() const;
  /// The node's addresses: the range's (index + 10)-th; those before are the server's.
  std::vector<net::IpAddress> nodeAddresses(int index) const;

 private:
  /// A node's link, with what faults have made of it.
  struct Port {
    pid_t pid = 0;
    bool down = false;
    net::LinkShape toNode;
    net::LinkShape fromNode;
  };

  Status enforceTable(std::optional<net::NftTable> wanted);
  Status enforceLink(net::NetlinkSocket& socket, int index, Port& port,
                     const FaultEffects::Link& wanted);
  Status shape(net::NetlinkSocket& socket, const std::string& link, net::LinkShape& actual,
               const net::LinkShape& wanted);

  std::vector<net::Cidr> ranges_;
  int mtu_;
  std::map<int, Port> ports_;  ///< by the node's index
  std::optional<net::NftTable> table_;
};

}  // namespace podlab::lab
