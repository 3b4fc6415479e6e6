#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/status.hpp"

namespace podlab::net {

enum class Family : std::uint8_t { kV4 = 4, kV6 = 6 };

/// An IPv4 or IPv6 address.
class IpAddress {
 public:
  IpAddress() = default;
  static IpAddress v4(std::array<std::uint8_t, 4> bytes);
  static IpAddress v6(std::array<std::uint8_t, 16> bytes);
  static Result<IpAddress> parse(std::string_view text);

  Family family() const { return family_; }
  bool isV4() const { return family_ == Family::kV4; }
  const std::uint8_t* data() const { return bytes_.data(); }
  std::size_t size() const { return isV4() ? 4 : 16; }
  int bits() const { return isV4() ? 32 : 128; }
  std::string toString() const;  ///< RFC 5952 for IPv6
  /// This address plus `n`, wrapping in the family's space.
  IpAddress plus(std::uint64_t n) const;
  auto operator<=>(const IpAddress&) const = default;

 private:
  Family family_ = Family::kV4;
  std::array<std::uint8_t, 16> bytes_{};  // v4 in the first four
};

/// A range of addresses: network address (host bits zero) and prefix length.
class Cidr {
 public:
  Cidr() = default;
  /// Host bits are cleared.
  Cidr(IpAddress address, int prefix);
  /// "10.244.0.0/16"; host bits set or a missing prefix are errors that say what would be right.
  static Result<Cidr> parse(std::string_view text);

  const IpAddress& network() const { return network_; }
  int prefix() const { return prefix_; }
  Family family() const { return network_.family(); }
  bool contains(const IpAddress& address) const;
  bool overlaps(const Cidr& other) const;
  /// Number of addresses, saturated at 2^64 - 1.
  std::uint64_t size() const;
  IpAddress at(std::uint64_t n) const { return network_.plus(n); }
  /// How many subranges of `prefix` bits fit, saturated; and the n-th of them.
  std::uint64_t subnetCount(int prefix) const;
  Cidr subnet(int prefix, std::uint64_t n) const;
  std::string toString() const;
  auto operator<=>(const Cidr&) const = default;

 private:
  IpAddress network_;
  int prefix_ = 0;
};

struct MacAddress {
  std::array<std::uint8_t, 6> bytes{};
  static Result<MacAddress> parse(std::string_view text);
  std::string toString() const;
  auto operator<=>(const MacAddress&) const = default;
};

/// The locally administered MAC of the pod (or bridge) that has `address`: 0a:58 and the address's
/// last four bytes (IPv4: all of it), so that a reused address keeps its MAC and nobody's neighbour
/// entry goes stale. IPv6 addresses of one node differ in their last four bytes because Ipam never
/// hands out more than 2^32 of a range.
MacAddress macFromAddress(const IpAddress& address);

}  // namespace podlab::net
