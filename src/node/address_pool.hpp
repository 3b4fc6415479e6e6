#pragma once
#include <memory>
#include <string>
#include <vector>

#include "common/blocking.hpp"
#include "common/co.hpp"
#include "common/filesystem.hpp"
#include "net/ipam.hpp"

namespace podlab::node {

/// The addresses of this node's pods, by pod uid, from the ranges that the server has given to the
/// node.
class AddressPool {
 public:
  /// `path` is the file that keeps them.
  AddressPool(Filesystem& files, BlockingPool& blocking, std::string path);

  /// Takes (other) ranges into use.
  Status setRanges(std::vector<net::Cidr> ranges);
  /// The pod's addresses, one a range: those that it already has, or new ones. kExhausted when none
  /// is free, kUnavailable while the node has no range.
  Co<Result<std::vector<net::IpAddress>>> allocate(std::string podUid);
  Co<Status> release(std::string podUid);
  /// Pods that have addresses.
  std::vector<std::string> owners() const;

 private:
  Filesystem& files_;
  BlockingPool& blocking_;
  std::string path_;
  std::shared_ptr<net::Ipam> ipam_;
};

}  // namespace podlab::node
