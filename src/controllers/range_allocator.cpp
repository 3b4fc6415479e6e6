#include "controllers/range_allocator.hpp"

namespace podlab::controllers {

RangeAllocator::RangeAllocator(ClusterRange range)
    : range_(range), parts_(range.range.subnetCount(range.nodePrefix)) {}

std::optional<net::Cidr> RangeAllocator::allocate() {
  for (std::uint64_t tried = 0; tried < parts_; ++tried) {
    const net::Cidr candidate = range_.range.subnet(range_.nodePrefix, cursor_);
    cursor_ = (cursor_ + 1) % parts_;
    if (overlapsTaken(candidate)) continue;
    take(candidate);
    return candidate;
  }
  return std::nullopt;
}

void RangeAllocator::take(const net::Cidr& range) {
  taken_.insert(range);
  ++takenByPrefix_[range.prefix()];
}

void RangeAllocator::release(const net::Cidr& range) {
  const auto found = taken_.find(range);
  if (found == taken_.end()) return;
  taken_.erase(found);
  const auto count = takenByPrefix_.find(range.prefix());
  if (--count->second == 0) takenByPrefix_.erase(count);
}

// Two ranges overlap only when one contains the other, and taken_ is sorted by first address.
bool RangeAllocator::overlapsTaken(const net::Cidr& candidate) const {
  for (const auto& [prefix, count] : takenByPrefix_) {
    if (prefix > candidate.prefix()) break;
    if (taken_.contains(net::Cidr(candidate.network(), prefix))) return true;
  }
  const auto next = taken_.lower_bound(candidate);
  return next != taken_.end() && next->overlaps(candidate);
}

}  // namespace podlab::controllers
