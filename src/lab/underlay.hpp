#pragma once
#include <sys/types.h>

#include <string>
#include <vector>

#include "common/status.hpp"
#include "net/address.hpp"

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

  std::vector<net::IpAddress> serverAddresses() const;
  /// The node's addresses: the range's (index + 10)-th; those before are the server's.
  std::vector<net::IpAddress> nodeAddresses(int index) const;

 private:
  std::vector<net::Cidr> ranges_;
  int mtu_;
};

}  // namespace podlab::lab
