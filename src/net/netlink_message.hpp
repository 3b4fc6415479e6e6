#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "common/status.hpp"
#include "net/address.hpp"

namespace podlab::net {

/// One netlink request under construction: header, family header, attributes. `what` names it in
/// errors ("add route 10.244.2.0/24"). Sequence number and flags for the acknowledgement are set by
/// NetlinkSocket.
class NetlinkMessage {
 public:
  NetlinkMessage(std::uint16_t type, std::uint16_t flags, std::string what);

  /// Appends the family's fixed header (ifinfomsg, rtmsg, ...).
  template <typename Header>
    requires std::is_trivially_copyable_v<Header>
  NetlinkMessage& header(const Header& value) {
    append(&value, sizeof value);
    return *this;
  }
  NetlinkMessage& put(std::uint16_t type, const void* data, std::size_t size);
  template <typename T>
    requires std::is_arithmetic_v<T>
  NetlinkMessage& put(std::uint16_t type, T value) {
    return put(type, &value, sizeof value);
  }
  NetlinkMessage& put(std::uint16_t type, std::string_view text);  ///< with its NUL
  NetlinkMessage& put(std::uint16_t type, const IpAddress& address);
  NetlinkMessage& put(std::uint16_t type, const MacAddress& mac);
  /// An attribute that holds what `fill` puts.
  NetlinkMessage& nest(std::uint16_t type, const std::function<void(NetlinkMessage&)>& fill);

  const std::string& what() const { return what_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  void setSequence(std::uint32_t sequence);
  void addFlags(std::uint16_t flags);

 private:
  void append(const void* data, std::size_t size);
  void closeLength(std::size_t start);

  std::string what_;
  std::vector<std::byte> bytes_;
};

/// The attributes of a received message: a view, valid while the buffer is. Malformed tails are
/// ignored.
class NetlinkAttributes {
 public:
  explicit NetlinkAttributes(std::span<const std::byte> bytes) : bytes_(bytes) {}

  /// The payload of the first attribute of this type.
  std::optional<std::span<const std::byte>> find(std::uint16_t type) const;
  /// The number, or `fallback` when absent or too short.
  template <typename T>
  T number(std::uint16_t type, T fallback = {}) const {
    auto payload = find(type);
    if (payload && payload->size() >= sizeof(T)) {
      std::memcpy(&fallback, payload->data(), sizeof(T));
    }
    return fallback;
  }
  std::string text(std::uint16_t type) const;
  std::optional<IpAddress> address(std::uint16_t type) const;
  std::optional<MacAddress> mac(std::uint16_t type) const;
  /// Calls `visit` with the type and payload of each.
  void forEach(const std::function<void(std::uint16_t, std::span<const std::byte>)>& visit) const;
  /// The nested attributes; empty when absent.
  NetlinkAttributes nested(std::uint16_t type) const;

 private:
  std::span<const std::byte> bytes_;
};

/// One message of a received datagram.
struct ReceivedMessage {
  std::uint16_t type = 0;
  std::uint16_t flags = 0;
  std::uint32_t sequence = 0;
  std::uint32_t portId = 0;  ///< of an event: whose request made the change
  std::span<const std::byte> body;
};
/// Cuts the next message off `datagram`; nullopt at its end, and where it is malformed.
std::optional<ReceivedMessage> nextMessage(std::span<const std::byte>& datagram);

/// The outcome that an acknowledgement (NLMSG_ERROR, or NLMSG_DONE after a dump) tells of the
/// request `what`: OK, or the errno with the kernel's own words where it has some.
Status ackStatus(const ReceivedMessage& message, const std::string& what);

}  // namespace podlab::net
