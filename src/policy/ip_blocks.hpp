#pragma once
#include <vector>

#include "net/address.hpp"

namespace podlab::policy {

/// Addresses of one family from the first to the last.
struct AddressRange {
  net::IpAddress first;
  net::IpAddress last;
  bool operator==(const AddressRange&) const = default;
};

/// An ipBlock: a range and what is cut out of it.
struct IpBlock {
  net::Cidr range;
  std::vector<net::Cidr> except;
};

/// All addresses of that family that one of the blocks has: sorted, and neither overlapping nor
/// side by side.
std::vector<AddressRange> unionOf(const std::vector<IpBlock>& blocks, net::Family family);

}  // namespace podlab::policy
