#include "policy/ip_blocks.hpp"

#include <algorithm>
#include <array>

namespace podlab::policy {
namespace {

using net::IpAddress;

IpAddress withHostBits(const net::Cidr& range) {
  std::array<std::uint8_t, 16> bytes{};
  const IpAddress& network = range.network();
  std::copy_n(network.data(), network.size(), bytes.begin());
  for (int bit = range.prefix(); bit < network.bits(); ++bit) {
    bytes[static_cast<std::size_t>(bit / 8)] |= static_cast<std::uint8_t>(0x80 >> bit % 8);
  }
  if (!network.isV4()) return IpAddress::v6(bytes);
  return IpAddress::v4({bytes[0], bytes[1], bytes[2], bytes[3]});
}

IpAddress before(const IpAddress& address) {
  std::array<std::uint8_t, 16> bytes{};
  std::copy_n(address.data(), address.size(), bytes.begin());
  for (std::size_t i = address.size(); i-- > 0;) {
    if (bytes[i]-- != 0) break;
  }
  if (!address.isV4()) return IpAddress::v6(bytes);
  return IpAddress::v4({bytes[0], bytes[1], bytes[2], bytes[3]});
}

AddressRange rangeOf(const net::Cidr& range) {
  return {range.network(), withHostBits(range)};
}

std::vector<AddressRange> cutOut(const std::vector<AddressRange>& ranges,
                                 const AddressRange& hole) {
  std::vector<AddressRange> rest;
  for (const AddressRange& range : ranges) {
    if (hole.last < range.first || range.last < hole.first) {
      rest.push_back(range);
      continue;
    }
    if (range.first < hole.first) rest.push_back({range.first, before(hole.first)});
    if (hole.last < range.last) rest.push_back({hole.last.plus(1), range.last});
  }
  return rest;
}

}  // namespace

std::vector<AddressRange> unionOf(const std::vector<IpBlock>& blocks, net::Family family) {
  std::vector<AddressRange> all;
  for (const IpBlock& block : blocks) {
    if (block.range.family() != family) continue;
    std::vector<AddressRange> own{rangeOf(block.range)};
    for (const net::Cidr& except : block.except) {
      if (except.family() == family) own = cutOut(own, rangeOf(except));
    }
    all.insert(all.end(), own.begin(), own.end());
  }
  std::ranges::sort(all, {}, &AddressRange::first);
  std::vector<AddressRange> merged;
  for (const AddressRange& range : all) {
    const bool touches = !merged.empty() && (range.first <= merged.back().last ||
                                             before(range.first) == merged.back().last);
    if (touches) {
      merged.back().last = std::max(merged.back().last, range.last);
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

}  // namespace podlab::policy
