#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core_v1.pb.h"
#include "networking_v1.pb.h"

#include "api/object.hpp"
#include "net/address.hpp"

namespace podlab::policy {

/// What policies tell apart, by IP protocol number. kIcmp is ICMP or ICMPv6: only rules without
/// ports admit it.
enum class Protocol : std::uint8_t { kIcmp = 1, kTcp = 6, kUdp = 17, kSctp = 132 };
constexpr Protocol kProtocols[] = {Protocol::kIcmp, Protocol::kTcp, Protocol::kUdp,
                                   Protocol::kSctp};

/// "TCP" and so on, as in manifests.
std::string_view protocolName(Protocol protocol);
/// Of a manifest; TCP when empty.
Protocol protocolOf(std::string_view name);

enum class Direction : std::uint8_t { kIngress, kEgress };
/// "ingress" and "egress", as in manifests.
std::string_view directionName(Direction direction);

/// Whether the policy has to do with that direction at all (spec.policyTypes).
bool concerns(const networkingv1::NetworkPolicy& policy, Direction direction);

/// A pod that has an address of its own, which policies select: neither on the node's network nor
/// finished.
bool isSelectable(const corev1::Pod& pod);
/// status.podIPs.
std::vector<net::IpAddress> addressesOf(const corev1::Pod& pod);

/// Of an ipBlock: host bits may be set, as upstream's validation allows. nullopt when it is none.
std::optional<net::Cidr> cidrOf(const std::string& text);

/// The declared ports of a pod's containers and sidecars.
std::vector<const corev1::ContainerPort*> portsOf(const corev1::Pod& pod);

}  // namespace podlab::policy
