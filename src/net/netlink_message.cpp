#include "net/netlink_message.hpp"

#include <linux/netlink.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace podlab::net {

NetlinkMessage::NetlinkMessage(std::uint16_t type, std::uint16_t flags, std::string what)
    : what_(std::move(what)) {
  bytes_.reserve(256);
  nlmsghdr head{};
  head.nlmsg_type = type;
  head.nlmsg_flags = static_cast<std::uint16_t>(flags | NLM_F_REQUEST);
  append(&head, sizeof head);
}

// Every part is padded to four bytes; nlmsg_len counts the padding, which the kernel accepts.
void NetlinkMessage::append(const void* data, std::size_t size) {
  std::size_t start = bytes_.size();
  bytes_.resize(start + NLMSG_ALIGN(size));
  if (size > 0) std::memcpy(bytes_.data() + start, data, size);
  auto length = static_cast<std::uint32_t>(bytes_.size());
  std::memcpy(bytes_.data() + offsetof(nlmsghdr, nlmsg_len), &length, sizeof length);
}

void NetlinkMessage::closeLength(std::size_t start) {
  auto length = static_cast<std::uint16_t>(bytes_.size() - start);
  std::memcpy(bytes_.data() + start + offsetof(nlattr, nla_len), &length, sizeof length);
}

NetlinkMessage& NetlinkMessage::put(std::uint16_t type, const void* data, std::size_t size) {
  nlattr attribute{static_cast<std::uint16_t>(sizeof(nlattr) + size), type};
  append(&attribute, sizeof attribute);
  append(data, size);
  return *this;
}

NetlinkMessage& NetlinkMessage::put(std::uint16_t type, std::string_view text) {
  std::string terminated(text);
  return put(type, terminated.c_str(), terminated.size() + 1);
}

NetlinkMessage& NetlinkMessage::put(std::uint16_t type, const IpAddress& address) {
  return put(type, address.data(), address.size());
}

NetlinkMessage& NetlinkMessage::put(std::uint16_t type, const MacAddress& mac) {
  return put(type, mac.bytes.data(), mac.bytes.size());
}

NetlinkMessage& NetlinkMessage::nest(std::uint16_t type,
                                     const std::function<void(NetlinkMessage&)>& fill) {
  std::size_t start = bytes_.size();
  put(static_cast<std::uint16_t>(type | NLA_F_NESTED), nullptr, 0);
  fill(*this);
  closeLength(start);
  return *this;
}

void NetlinkMessage::setSequence(std::uint32_t sequence) {
  std::memcpy(bytes_.data() + offsetof(nlmsghdr, nlmsg_seq), &sequence, sizeof sequence);
}

void NetlinkMessage::addFlags(std::uint16_t flags) {
  std::uint16_t current = 0;
  std::memcpy(&current, bytes_.data() + offsetof(nlmsghdr, nlmsg_flags), sizeof current);
  current |= flags;
  std::memcpy(bytes_.data() + offsetof(nlmsghdr, nlmsg_flags), &current, sizeof current);
}

namespace {

struct Attribute {
  std::uint16_t type = 0;
  std::span<const std::byte> payload;
};

/// Cuts the next attribute off; nullopt at the end, and where it is malformed.
std::optional<Attribute> nextAttribute(std::span<const std::byte>& rest) {
  nlattr head;
  if (rest.size() < sizeof head) return std::nullopt;
  std::memcpy(&head, rest.data(), sizeof head);
  if (head.nla_len < sizeof head || head.nla_len > rest.size()) return std::nullopt;
  Attribute attribute{static_cast<std::uint16_t>(head.nla_type & NLA_TYPE_MASK),
                      rest.subspan(sizeof head, head.nla_len - sizeof head)};
  rest = rest.subspan(std::min<std::size_t>(NLA_ALIGN(head.nla_len), rest.size()));
  return attribute;
}

}  // namespace

std::optional<std::span<const std::byte>> NetlinkAttributes::find(std::uint16_t type) const {
  auto rest = bytes_;
  while (auto attribute = nextAttribute(rest)) {
    if (attribute->type == type) return attribute->payload;
  }
  return std::nullopt;
}

void NetlinkAttributes::forEach(
    const std::function<void(std::uint16_t, std::span<const std::byte>)>& visit) const {
  auto rest = bytes_;
  while (auto attribute = nextAttribute(rest)) visit(attribute->type, attribute->payload);
}

std::string NetlinkAttributes::text(std::uint16_t type) const {
  auto payload = find(type);
  if (!payload) return "";
  std::string out(reinterpret_cast<const char*>(payload->data()), payload->size());
  return out.substr(0, out.find('\0'));
}

std::optional<IpAddress> NetlinkAttributes::address(std::uint16_t type) const {
  auto payload = find(type);
  if (payload && payload->size() == 4) {
    return IpAddress::v4(number<std::array<std::uint8_t, 4>>(type));
  }
  if (payload && payload->size() == 16) {
    return IpAddress::v6(number<std::array<std::uint8_t, 16>>(type));
  }
  return std::nullopt;
}

std::optional<MacAddress> NetlinkAttributes::mac(std::uint16_t type) const {
  auto payload = find(type);
  if (!payload || payload->size() != 6) return std::nullopt;
  return MacAddress{number<std::array<std::uint8_t, 6>>(type)};
}

NetlinkAttributes NetlinkAttributes::nested(std::uint16_t type) const {
  return NetlinkAttributes(find(type).value_or(std::span<const std::byte>()));
}

std::optional<ReceivedMessage> nextMessage(std::span<const std::byte>& datagram) {
  nlmsghdr head;
  if (datagram.size() < sizeof head) return std::nullopt;
  std::memcpy(&head, datagram.data(), sizeof head);
  if (head.nlmsg_len < sizeof head || head.nlmsg_len > datagram.size()) return std::nullopt;
  ReceivedMessage message{head.nlmsg_type, head.nlmsg_flags, head.nlmsg_seq, head.nlmsg_pid,
                          datagram.subspan(sizeof head, head.nlmsg_len - sizeof head)};
  datagram = datagram.subspan(std::min<std::size_t>(NLMSG_ALIGN(head.nlmsg_len), datagram.size()));
  return message;
}

Status ackStatus(const ReceivedMessage& message, const std::string& what) {
  int error = 0;
  if (message.body.size() < sizeof error) return Status();
  std::memcpy(&error, message.body.data(), sizeof error);
  if (error == 0) return Status();
  constexpr int kMaxErrno = 4095;  // the kernel's (include/linux/err.h)
  Status status = errnoStatus(error < 0 && error >= -kMaxErrno ? -error : EPROTO, what);
  if (!(message.flags & NLM_F_ACK_TLVS)) return status;
  std::size_t skip = sizeof error;
  if (message.type == NLMSG_ERROR) {
    nlmsgerr failed;
    if (message.body.size() < sizeof failed) return status;
    std::memcpy(&failed, message.body.data(), sizeof failed);
    skip = sizeof failed;
    // Without NLM_F_CAPPED the whole request is repeated before the attributes.
    if (!(message.flags & NLM_F_CAPPED)) {
      if (failed.msg.nlmsg_len < sizeof(nlmsghdr)) return status;
      skip += NLMSG_ALIGN(failed.msg.nlmsg_len - sizeof(nlmsghdr));
    }
  }
  if (skip > message.body.size()) return status;
  std::string text = NetlinkAttributes(message.body.subspan(skip)).text(NLMSGERR_ATTR_MSG);
  return text.empty() ? status : Status(status.code(), status.message() + ": " + text);
}

}  // namespace podlab::net
