#include "net/address.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>

namespace podlab::net {
namespace {

std::string quoted(std::string_view text) {
  return "\"" + std::string(text) + "\"";
}

void appendNumber(std::string& out, unsigned value, int base) {
  char digits[8];
  auto end = std::to_chars(digits, digits + sizeof digits, value, base).ptr;
  out.append(digits, end);
}

std::string formatV4(const std::uint8_t* bytes) {
  std::string out;
  for (int i = 0; i < 4; ++i) {
    if (i > 0) out += '.';
    appendNumber(out, bytes[i], 10);
  }
  return out;
}

// RFC 5952: lower case, no leading zeros, the first longest run of at least two zero groups as
// "::", and IPv4-mapped addresses in mixed notation.
std::string formatV6(const std::uint8_t* bytes) {
  static constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::memcmp(bytes, kMapped, sizeof kMapped) == 0) return "::ffff:" + formatV4(bytes + 12);
  unsigned groups[8];
  for (std::size_t i = 0; i < 8; ++i) groups[i] = bytes[2 * i] << 8 | bytes[2 * i + 1];
  int runStart = -1;
  int runLength = 1;
  for (int i = 0; i < 8; ++i) {
    int end = i;
    while (end < 8 && groups[end] == 0) ++end;
    if (end - i > runLength) {
      runStart = i;
      runLength = end - i;
    }
    i = std::max(i, end - 1);
  }
  std::string out;
  for (int i = 0; i < 8; ++i) {
    if (i == runStart) {
      out += "::";
      i += runLength - 1;
      continue;
    }
    if (!out.empty() && out.back() != ':') out += ':';
    appendNumber(out, groups[i], 16);
  }
  return out;
}

}  // namespace

IpAddress IpAddress::v4(std::array<std::uint8_t, 4> bytes) {
  IpAddress address;
  std::copy(bytes.begin(), bytes.end(), address.bytes_.begin());
  return address;
}

IpAddress IpAddress::v6(std::array<std::uint8_t, 16> bytes) {
  IpAddress address;
  address.family_ = Family::kV6;
  address.bytes_ = bytes;
  return address;
}

Result<IpAddress> IpAddress::parse(std::string_view text) {
  std::string copy(text);
  std::array<std::uint8_t, 4> four;
  std::array<std::uint8_t, 16> sixteen;
  // An embedded NUL would end the C string early and hide what follows it.
  if (copy.find('\0') == std::string::npos) {
    if (inet_pton(AF_INET, copy.c_str(), four.data()) == 1) return v4(four);
    if (inet_pton(AF_INET6, copy.c_str(), sixteen.data()) == 1) return v6(sixteen);
  }
  return Status(Code::kInvalid, quoted(text) +
                                    " is not an IP address (\"10.244.1.2\" or \"fd00:244::2\" "
                                    "would be; no prefix, no zone, no leading zeros)");
}

std::string IpAddress::toString() const {
  return isV4() ? formatV4(data()) : formatV6(data());
}

IpAddress IpAddress::plus(std::uint64_t n) const {
  IpAddress sum = *this;
  std::uint64_t carry = 0;
  for (std::size_t i = size(); i-- > 0;) {
    std::uint64_t digit = sum.bytes_[i] + (n & 0xff) + carry;
    sum.bytes_[i] = static_cast<std::uint8_t>(digit);
    carry = digit >> 8;
    n >>= 8;
  }
  return sum;
}

Cidr::Cidr(IpAddress address, int prefix) : prefix_(std::clamp(prefix, 0, address.bits())) {
  std::array<std::uint8_t, 16> bytes{};
  std::copy_n(address.data(), address.size(), bytes.begin());
  for (int bit = prefix_; bit < address.bits(); ++bit) {
    bytes[bit / 8] &= static_cast<std::uint8_t>(~(0x80 >> bit % 8));
  }
  network_ = address.isV4() ? IpAddress::v4({bytes[0], bytes[1], bytes[2], bytes[3]})
                            : IpAddress::v6(bytes);
}

Result<Cidr> Cidr::parse(std::string_view text) {
  auto slash = text.find('/');
  auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) {
    return Status(Code::kInvalid,
                  quoted(text) + " is not an address range (\"10.244.0.0/16\" would be)");
  }
  std::string bits = std::to_string(address->bits());
  if (slash == std::string_view::npos) {
    return Status(Code::kInvalid, quoted(text) + " has no prefix length (\"" + std::string(text) +
                                      "/" + bits + "\" would be this one address)");
  }
  std::string_view digits = text.substr(slash + 1);
  int prefix = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
  if (error != std::errc() || end != digits.data() + digits.size() || digits[0] == '-' ||
      (digits[0] == '0' && digits.size() > 1) || prefix > address->bits()) {
    return Status(Code::kInvalid, quoted(text) + " has the prefix length " + quoted(digits) +
                                      ", which must be a number from 0 to " + bits);
  }
  Cidr range(*address, prefix);
  if (range.network() != *address) {
    return Status(Code::kInvalid, quoted(text) + " has bits set after its first " +
                                      std::to_string(prefix) + "; did you mean \"" +
                                      range.toString() + "\"?");
  }
  return range;
}

bool Cidr::contains(const IpAddress& address) const {
  return address.family() == family() && Cidr(address, prefix_).network() == network_;
}

bool Cidr::overlaps(const Cidr& other) const {
  return prefix_ <= other.prefix_ ? contains(other.network_) : other.contains(network_);
}

std::uint64_t Cidr::size() const {
  return subnetCount(network_.bits());
}

std::uint64_t Cidr::subnetCount(int prefix) const {
  if (prefix < prefix_ || prefix > network_.bits()) return 0;
  int bits = prefix - prefix_;
  return bits >= 64 ? std::numeric_limits<std::uint64_t>::max() : std::uint64_t{1} << bits;
}

Cidr Cidr::subnet(int prefix, std::uint64_t n) const {
  // n shifted by the subnet's host bits may not fit 64 bits: add it byte by byte from the bit where
  // subnets count.
  int hostBits = network_.bits() - prefix;
  IpAddress base = network_;
  std::array<std::uint8_t, 16> offset{};
  for (int bit = 0; bit < 64; ++bit) {
    int position = hostBits + bit;
    if ((n >> bit & 1) && position < network_.bits()) {
      offset[network_.size() - 1 - position / 8] |= static_cast<std::uint8_t>(1 << position % 8);
    }
  }
  std::array<std::uint8_t, 16> sum{};
  unsigned carry = 0;
  for (std::size_t i = network_.size(); i-- > 0;) {
    unsigned digit = base.data()[i] + offset[i] + carry;
    sum[i] = static_cast<std::uint8_t>(digit);
    carry = digit >> 8;
  }
  IpAddress address =
      network_.isV4() ? IpAddress::v4({sum[0], sum[1], sum[2], sum[3]}) : IpAddress::v6(sum);
  return Cidr(address, prefix);
}

std::string Cidr::toString() const {
  return network_.toString() + "/" + std::to_string(prefix_);
}

Result<MacAddress> MacAddress::parse(std::string_view text) {
  MacAddress mac;
  bool valid = text.size() == 17;
  for (std::size_t i = 0; valid && i < 6; ++i) {
    const char* start = text.data() + 3 * i;
    auto [end, error] = std::from_chars(start, start + 2, mac.bytes[i], 16);
    valid = error == std::errc() && end == start + 2 && (i == 5 || start[2] == ':');
  }
  if (valid) return mac;
  return Status(Code::kInvalid,
                quoted(text) + " is not a MAC address (\"0a:58:0a:f4:01:02\" would be)");
}

std::string MacAddress::toString() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (std::uint8_t byte : bytes) {
    if (!out.empty()) out += ':';
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

MacAddress macFromAddress(const IpAddress& address) {
  MacAddress mac{{0x0a, 0x58}};
  std::copy_n(address.data() + address.size() - 4, 4, mac.bytes.begin() + 2);
  return mac;
}

}  // namespace podlab::net
