#include "net/underlay.hpp"

#include <algorithm>

#include "net/link.hpp"
#include "net/routing.hpp"

namespace podlab::net {
namespace {

/// The index of the link of the default route with the least metric, IPv4 before IPv6; 0 when there
/// is none.
Result<int> defaultRouteLink(NetlinkSocket& socket, const std::vector<Link>& candidates) {
  for (Family family : {Family::kV4, Family::kV6}) {
    auto routes = listRoutes(socket, family);
    if (!routes) return routes.status();
    const Route* best = nullptr;
    for (const Route& route : *routes) {
      bool usable = route.destination.prefix() == 0 && !route.unreachable &&
                    std::ranges::any_of(candidates, [&](const Link& link) {
                      return link.index == route.linkIndex;
                    });
      if (usable && (best == nullptr || route.metric < best->metric)) best = &route;
    }
    if (best != nullptr) return best->linkIndex;
  }
  return 0;
}

std::string candidateList(const std::vector<Link>& links,
                          const std::vector<LinkAddress>& addresses) {
  std::string text;
  for (const LinkAddress& address : addresses) {
    for (const Link& link : links) {
      if (link.index != address.linkIndex) continue;
      text += (text.empty() ? "" : ", ") + address.address.toString() + " on " + link.name;
    }
  }
  return text.empty() ? "none" : text;
}

}  // namespace

bool hasLinkMark(const std::string& alias) {
  return alias == kLinkMark || alias.starts_with(std::string(kLinkMark) + " ");
}

Result<Underlay> findUnderlay(NetlinkSocket& socket, const std::optional<IpAddress>& nodeIp) {
  auto links = listLinks(socket);
  if (!links) return links.status();
  auto addresses = listAddresses(socket);
  if (!addresses) return addresses.status();
  std::erase_if(*links, [](const Link& link) { return link.loopback || hasLinkMark(link.alias); });
  std::erase_if(*addresses, [&](const LinkAddress& address) {
    return address.linkLocal || std::ranges::none_of(*links, [&](const Link& link) {
             return link.index == address.linkIndex;
           });
  });

  int index = 0;
  if (nodeIp) {
    for (const LinkAddress& address : *addresses) {
      if (address.address == *nodeIp) index = address.linkIndex;
    }
    if (index == 0) {
      return Status(Code::kNotFound, "no link has the node address " + nodeIp->toString() +
                                         " (there are: " + candidateList(*links, *addresses) + ")");
    }
  } else {
    auto byRoute = defaultRouteLink(socket, *links);
    if (!byRoute) return byRoute.status();
    index = *byRoute;
    for (const LinkAddress& address : *addresses) {
      if (*byRoute != 0) break;
      if (index != 0 && index != address.linkIndex) {
        return Status(Code::kInvalid,
                      "no default route, and several links have an address; choose the node "
                      "address (--node-ip) from: " +
                          candidateList(*links, *addresses));
      }
      index = address.linkIndex;
    }
    if (index == 0) {
      return Status(Code::kNotFound,
                    "no link of this node has an address and is not loopback: other nodes cannot "
                    "reach it; give a link an address");
    }
  }

  auto link = std::ranges::find(*links, index, &Link::index);
  Underlay underlay{index, link->name, link->mtu, {}};
  for (Family family : {Family::kV4, Family::kV6}) {
    const LinkAddress* chosen = nullptr;
    for (const LinkAddress& address : *addresses) {
      if (address.linkIndex != index || address.address.family() != family) continue;
      if (chosen == nullptr || address.address == nodeIp) chosen = &address;
    }
    if (chosen != nullptr) underlay.addresses.push_back(chosen->address);
  }
  if (underlay.addresses.empty()) {
    return Status(Code::kNotFound,
                  "link " + link->name + " of the default route has no global address");
  }
  return underlay;
}

int vxlanOverhead(Family underlay) {
  return underlay == Family::kV4 ? 50 : 70;
}

MacAddress overlayMac(const IpAddress& underlay) {
  MacAddress mac{{0x0e, 0x58}};
  if (underlay.isV4()) {
    std::copy_n(underlay.data(), 4, mac.bytes.begin() + 2);
    return mac;
  }
  std::uint32_t hash = 2166136261u;
  for (std::size_t i = 0; i < underlay.size(); ++i) hash = (hash ^ underlay.data()[i]) * 16777619u;
  for (int i = 0; i < 4; ++i) mac.bytes[2 + i] = static_cast<std::uint8_t>(hash >> (24 - 8 * i));
  return mac;
}

}  // namespace podlab::net
