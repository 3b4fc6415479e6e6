#pragma once
#include <array>
#include <cstdint>

#include "common/rng.hpp"
#include "net/address.hpp"

namespace podlab::net {

/// Any address of either family; many zero bytes, as real ones have.
inline IpAddress randomAddress(Rng& rng) {
  std::array<std::uint8_t, 16> bytes{};
  for (auto& byte : bytes) {
    if (rng.chance(0.6)) byte = static_cast<std::uint8_t>(rng.next());
  }
  if (rng.chance(0.5)) return IpAddress::v4({bytes[0], bytes[1], bytes[2], bytes[3]});
  return IpAddress::v6(bytes);
}

inline Cidr randomRange(Rng& rng) {
  const IpAddress address = randomAddress(rng);
  return {address, static_cast<int>(rng.below(static_cast<std::uint64_t>(address.bits()) + 1))};
}

}  // namespace podlab::net
