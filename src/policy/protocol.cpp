#include "policy/protocol.hpp"

#include <algorithm>
#include <charconv>

namespace podlab::policy {

std::string_view protocolName(Protocol protocol) {
  switch (protocol) {
    case Protocol::kIcmp:
      return "ICMP";
    case Protocol::kTcp:
      return "TCP";
    case Protocol::kUdp:
      return "UDP";
    case Protocol::kSctp:
      return "SCTP";
  }
  return "";
}

Protocol protocolOf(std::string_view name) {
  if (name == "UDP") return Protocol::kUdp;
  if (name == "SCTP") return Protocol::kSctp;
  return Protocol::kTcp;
}

std::string_view directionName(Direction direction) {
  return direction == Direction::kIngress ? "ingress" : "egress";
}

bool concerns(const networkingv1::NetworkPolicy& policy, Direction direction) {
  const std::string_view type = direction == Direction::kIngress ? "Ingress" : "Egress";
  return std::ranges::find(policy.spec().policytypes(), type) != policy.spec().policytypes().end();
}

bool isSelectable(const corev1::Pod& pod) {
  const auto& phase = pod.status().phase();
  return !pod.spec().hostnetwork() && phase != "Succeeded" && phase != "Failed";
}

std::vector<net::IpAddress> addressesOf(const corev1::Pod& pod) {
  std::vector<net::IpAddress> addresses;
  for (const auto& ip : pod.status().podips()) {
    if (auto address = net::IpAddress::parse(ip.ip())) addresses.push_back(*address);
  }
  return addresses;
}

std::optional<net::Cidr> cidrOf(const std::string& text) {
  const auto slash = text.find('/');
  auto address = net::IpAddress::parse(text.substr(0, slash));
  if (slash == std::string::npos || !address) return std::nullopt;
  int prefix = -1;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data() + slash + 1, end, prefix);
  if (read.ptr != end || prefix < 0 || prefix > address->bits()) return std::nullopt;
  return net::Cidr(*address, prefix);
}

std::vector<const corev1::ContainerPort*> portsOf(const corev1::Pod& pod) {
  std::vector<const corev1::ContainerPort*> ports;
  for (const auto& container : pod.spec().initcontainers()) {
    if (container.restartpolicy() != "Always") continue;
    for (const auto& port : container.ports()) ports.push_back(&port);
  }
  for (const auto& container : pod.spec().containers()) {
    for (const auto& port : container.ports()) ports.push_back(&port);
  }
  return ports;
}

}  // namespace podlab::policy
