// Arbitrary bytes into all that reads packets, the kernel's messages, and addresses.
#include <linux/rtnetlink.h>

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "net/address.hpp"
#include "net/link.hpp"
#include "net/netlink_message.hpp"
#include "net/netlink_monitor.hpp"
#include "net/nft_kernel.hpp"
#include "net/nft_trace.hpp"
#include "net/reach_packet.hpp"

using namespace podlab::net;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const std::string_view text(reinterpret_cast<const char*>(data), size);

  for (auto rest = bytes; auto message = nextMessage(rest);) {
    parseLink(message->type, message->body);
    parseNetworkEvent(message->type, message->body);
    (void)ackStatus(*message, "fuzz");
    (void)isForeignNftEvent(*message, 1);
    (void)parseTraceEvent(*message);
  }
  if (auto link = parseLink(RTM_NEWLINK, bytes)) {
    LinkSettings settings;
    settings.up = !link->up;
    adjustLink(*link, settings);
  }

  if (auto packet = ReachPacket::decode(bytes)) {
    if (ReachPacket::decode(packet->encode()) != packet) std::abort();
  }
  (void)TcpSegment::parse(bytes);
  (void)TcpSegment::sequenceAt(bytes);
  for (Family family : {Family::kV4, Family::kV6}) {
    if (auto payload = echoReplyPayload(family, 0x4141, bytes)) ReachPacket::decode(*payload);
  }

  if (auto range = Cidr::parse(text)) {
    if (range->toString() != Cidr::parse(range->toString())->toString()) std::abort();
  }
  if (auto address = IpAddress::parse(text)) {
    if (*IpAddress::parse(address->toString()) != *address) std::abort();
  }
  if (auto mac = MacAddress::parse(text)) {
    if (*MacAddress::parse(mac->toString()) != *mac) std::abort();
  }
  return 0;
}
