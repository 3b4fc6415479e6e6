#pragma once
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "net/address.hpp"

namespace podlab::controllers {

/// A range of the cluster and the size of the part that each node gets.
struct ClusterRange {
  net::Cidr range;
  int nodePrefix = 24;
};

/// Hands out equal parts of one range, none twice and none that overlaps what is taken. Parts
/// rotate: one that came free is used again only after all others.
class RangeAllocator {
 public:
  explicit RangeAllocator(ClusterRange range);

  /// nullopt when the range is used up.
  std::optional<net::Cidr> allocate();
  /// Any range counts, also one that is no part of this one; it may be taken several times.
  void take(const net::Cidr& range);
  void release(const net::Cidr& range);
  const ClusterRange& range() const { return range_; }

 private:
  bool overlapsTaken(const net::Cidr& candidate) const;

  const ClusterRange range_;
  const std::uint64_t parts_;
  std::uint64_t cursor_ = 0;
  std::multiset<net::Cidr> taken_;
  std::map<int, std::size_t> takenByPrefix_;
};

}  // namespace podlab::controllers
