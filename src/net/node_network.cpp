#include "net/node_network.hpp"

#include <algorithm>
#include <set>
#include <tuple>

#include "net/namespaces.hpp"

namespace podlab::net {
namespace {

// Behind every route that anybody sets by hand.
constexpr std::uint32_t kUnreachableMetric = 1 << 24;

std::string exists(const std::string& name) {
  return "link " + name + " exists and is not podlab's (its alias is not \"" + kLinkMark +
         "\"): delete or rename it";
}

/// The link of that name and kind, made by `create` when there is none; one with other fixed
/// properties is replaced.
template <typename Usable>
Result<Link> ensureLink(NetlinkSocket& socket, const std::string& name, NetlinkMessage create,
                        Usable usable) {
  auto found = findLink(socket, name);
  if (!found) return found.status();
  if (*found && !hasLinkMark((*found)->alias)) return Status(Code::kConflict, exists(name));
  if (*found && usable(**found)) return **found;
  std::vector<NetlinkMessage> messages;
  if (*found) messages.push_back(deleteLink(name));
  messages.push_back(std::move(create));
  messages.push_back(setLinkAlias(name, kLinkMark));
  if (Status status = socket.executeAll(std::move(messages)); !status) return status;
  auto made = findLink(socket, name);
  if (!made) return made.status();
  if (!*made) return Status(Code::kConflict, "link " + name + " vanished while it was made");
  return **made;
}

/// Exactly these addresses (link-local ones apart).
Status ensureAddresses(NetlinkSocket& socket, int linkIndex,
                       const std::vector<LinkAddress>& desired) {
  auto actual = listAddresses(socket, linkIndex);
  if (!actual) return actual.status();
  std::vector<NetlinkMessage> messages;
  for (const LinkAddress& address : *actual) {
    if (!address.linkLocal && std::ranges::find(desired, address) == desired.end()) {
      messages.push_back(deleteAddress(address));
    }
  }
  for (const LinkAddress& address : desired) {
    if (std::ranges::find(*actual, address) == actual->end()) {
      messages.push_back(addAddress(address, false));
    }
  }
  return socket.executeAll(std::move(messages));
}

Status ensureSysctls(const NodeLayout& layout, const SysctlRecord& sysctls) {
  std::vector<std::string> links{kBridgeName};
  if (layout.vxlan) links.push_back(vxlanName(layout.vxlanId));
  std::vector<std::pair<std::string, std::string>> wanted;
  bool v4 = false;
  bool v6 = false;
  for (const Cidr& range : layout.ranges) (range.network().isV4() ? v4 : v6) = true;
  if (v4) {
    wanted.emplace_back("ipv4/ip_forward", "1");
    // Pods of one node talk through the bridge's address, in and out of the same link: no redirects
    // for that. The sender's setting is "all OR the link's"; other links keep their own.
    wanted.emplace_back("ipv4/conf/all/send_redirects", "0");
    for (const std::string& link : links) {
      wanted.emplace_back("ipv4/conf/" + link + "/forwarding", "1");
      wanted.emplace_back("ipv4/conf/" + link + "/send_redirects", "0");
      // Loose: asymmetric paths are normal. The greater of all's and the link's counts.
      wanted.emplace_back("ipv4/conf/" + link + "/rp_filter", "2");
    }
  }
  if (v6) {
    // Forwarding would make the node deaf to the routers that gave it its own default route.
    const std::string acceptRa = "ipv6/conf/" + layout.underlay.linkName + "/accept_ra";
    auto current = getSysctl(acceptRa);
    if (current && *current == "1") wanted.emplace_back(acceptRa, "2");
    wanted.emplace_back("ipv6/conf/all/forwarding", "1");
    for (const std::string& link : links) {
      wanted.emplace_back("ipv6/conf/" + link + "/forwarding", "1");
    }
  }
  for (const auto& [name, value] : wanted) {
    if (Status status = sysctls.set(name, value); !status) return status;
  }
  return Status();
}

/// The first address of that family, as the tunnel or the next hop.
Result<IpAddress> underlayOf(const OverlayPeer& peer, Family family) {
  for (const IpAddress& address : peer.underlay) {
    if (address.family() == family) return address;
  }
  return Status(Code::kInvalid, "node " + peer.node + " has no " +
                                    (family == Family::kV4 ? "IPv4" : "IPv6") +
                                    " address on the underlay, where this node needs one");
}

}  // namespace

std::string vxlanName(std::uint32_t id) {
  return "podlab." + std::to_string(id);
}

int NodeLayout::mtu() const {
  return vxlan ? underlay.mtu - vxlanOverhead(underlay.addresses.front().family()) : underlay.mtu;
}

MacAddress NodeLayout::bridgeMac() const {
  return macFromAddress(gateway(ranges.front()));
}

Result<NodeLinks> ensureNode(NetlinkSocket& socket, const NodeLayout& layout,
                             const SysctlRecord& sysctls) {
  NodeLinks links;
  LinkSettings settings;
  settings.mtu = layout.mtu();
  settings.alias = kLinkMark;
  settings.ipv6Autoconf = false;
  settings.up = true;

  auto bridge =
      ensureLink(socket, kBridgeName, newBridge(kBridgeName, layout.bridgeMac(), layout.mtu()),
                 [](const Link& link) { return link.kind == "bridge"; });
  if (!bridge) return bridge.status();
  links.bridge = bridge->index;
  LinkSettings bridgeSettings = settings;
  bridgeSettings.mac = layout.bridgeMac();
  bridgeSettings.stp = false;
  if (Status status = socket.executeAll(adjustLink(*bridge, bridgeSettings)); !status) {
    return status;
  }
  std::vector<LinkAddress> gateways;
  for (const Cidr& range : layout.ranges) {
    gateways.push_back({links.bridge, NodeLayout::gateway(range), range.prefix()});
  }
  if (Status status = ensureAddresses(socket, links.bridge, gateways); !status) return status;

  if (layout.vxlan) {
    const std::string name = vxlanName(layout.vxlanId);
    const IpAddress local = layout.underlay.addresses.front();
    const VxlanConfig config{layout.vxlanId, layout.vxlanPort, local, layout.underlay.linkIndex};
    auto usable = [&](const Link& link) { return link.vxlan == config && !link.vxlanLearning; };
    auto vxlan =
        ensureLink(socket, name, newVxlan(name, overlayMac(local), layout.mtu(), config), usable);
    if (!vxlan) return vxlan.status();
    links.vxlan = vxlan->index;
    LinkSettings vxlanSettings = settings;
    vxlanSettings.mac = overlayMac(local);
    if (Status status = socket.executeAll(adjustLink(*vxlan, vxlanSettings)); !status) {
      return status;
    }
    std::vector<LinkAddress> overlay;
    for (const Cidr& range : layout.ranges) {
      const IpAddress address = NodeLayout::overlayAddress(range);
      overlay.push_back({links.vxlan, address, address.bits()});
    }
    if (Status status = ensureAddresses(socket, links.vxlan, overlay); !status) return status;
  }

  // A VXLAN device of another id, or of a backend that is no longer used.
  auto all = listLinks(socket);
  if (!all) return all.status();
  for (const Link& link : *all) {
    if (link.kind != "vxlan" || !hasLinkMark(link.alias) || link.index == links.vxlan) continue;
    if (Status status = socket.execute(deleteLink(link.name)); !status) return status;
  }
  if (Status status = ensureSysctls(layout, sysctls); !status) return status;
  return links;
}

Status removeNode(NetlinkSocket& socket) {
  auto tables = readTables(socket, NodeLinks{});
  if (!tables) return tables.status();
  std::vector<NetlinkMessage> messages = tableChanges(*tables, NodeTables{});
  auto links = listLinks(socket);
  if (!links) return links.status();
  for (const Link& link : *links) {
    if (hasLinkMark(link.alias)) messages.push_back(deleteLink(link.name));
  }
  return socket.executeAll(std::move(messages));
}

PlannedTables planTables(const NodeLayout& layout, const NodeLinks& links,
                         const std::vector<OverlayPeer>& peers) {
  PlannedTables plan;
  auto refuse = [&](const Status& problem) {
    if (plan.problem.ok()) plan.problem = problem;
  };
  for (const Cidr& range : layout.ranges) {
    Route own;
    own.destination = range;
    own.linkIndex = links.bridge;
    plan.tables.routes.push_back(own);
  }
  for (const Cidr& range : layout.clusterRanges) {
    Route rest;
    rest.destination = range;
    rest.unreachable = true;
    rest.metric = kUnreachableMetric;
    plan.tables.routes.push_back(rest);
  }
  for (const OverlayPeer& peer : peers) {
    if (layout.vxlan) {
      auto remote = underlayOf(peer, layout.underlay.addresses.front().family());
      if (!remote) {
        refuse(remote.status());
        continue;
      }
      plan.tables.fdb.push_back({links.vxlan, peer.vxlanMac, *remote});
    }
    for (const Cidr& range : peer.ranges) {
      Route route;
      route.destination = range;
      if (layout.vxlan) {
        route.gateway = NodeLayout::overlayAddress(range);
        route.linkIndex = links.vxlan;
        plan.tables.neighbours.push_back({links.vxlan, *route.gateway, peer.vxlanMac});
      } else {
        auto hop = underlayOf(peer, range.family());
        if (!hop) {
          refuse(hop.status());
          continue;
        }
        route.gateway = *hop;
        route.linkIndex = layout.underlay.linkIndex;
      }
      plan.tables.routes.push_back(route);
    }
  }
  return plan;
}

Result<NodeTables> readTables(NetlinkSocket& socket, const NodeLinks& links) {
  NodeTables tables;
  for (Family family : {Family::kV4, Family::kV6}) {
    auto routes = listRoutes(socket, family, kRouteProtocol);
    if (!routes) return routes.status();
    tables.routes.insert(tables.routes.end(), routes->begin(), routes->end());
  }
  if (links.vxlan == 0) return tables;
  auto neighbours = listNeighbours(socket, links.vxlan);
  if (!neighbours) return neighbours.status();
  tables.neighbours = std::move(*neighbours);
  auto fdb = listVxlanFdb(socket, links.vxlan);
  if (!fdb) return fdb.status();
  tables.fdb = std::move(*fdb);
  return tables;
}

std::vector<NetlinkMessage> tableChanges(const NodeTables& actual, const NodeTables& desired) {
  auto setOf = [](const auto& items) { return std::set(items.begin(), items.end()); };
  const auto actualRoutes = setOf(actual.routes);
  const auto actualNeighbours = setOf(actual.neighbours);
  const auto actualFdb = setOf(actual.fdb);
  const auto desiredFdb = setOf(desired.fdb);
  // What names an entry in the kernel: one that only changes is replaced, without a moment in which
  // there is none.
  auto routeKey = [](const Route& r) { return std::tuple(r.destination, r.metric, r.unreachable); };
  std::set<std::tuple<Cidr, std::uint32_t, bool>> routeKeys;
  std::set<IpAddress> neighbourKeys;
  std::set<MacAddress> changedMacs;

  std::vector<NetlinkMessage> messages;
  for (const Route& route : desired.routes) routeKeys.insert(routeKey(route));
  for (const Route& route : actual.routes) {
    if (!routeKeys.contains(routeKey(route))) messages.push_back(deleteRoute(route));
  }
  for (const Neighbour& neighbour : desired.neighbours) {
    neighbourKeys.insert(neighbour.address);
    if (!actualNeighbours.contains(neighbour)) messages.push_back(replaceNeighbour(neighbour));
  }
  for (const FdbEntry& entry : desired.fdb) {
    if (actualFdb.contains(entry)) continue;
    changedMacs.insert(entry.mac);
    messages.push_back(replaceFdb(entry));
  }
  for (const Route& route : desired.routes) {
    if (actualRoutes.contains(route)) continue;
    // The gateway of an overlay route is an address that only its neighbour entry knows.
    const bool onlink = route.gateway && neighbourKeys.contains(*route.gateway);
    messages.push_back(replaceRoute(route, onlink));
  }
  for (const Neighbour& neighbour : actual.neighbours) {
    if (!neighbourKeys.contains(neighbour.address)) messages.push_back(deleteNeighbour(neighbour));
  }
  for (const FdbEntry& entry : actual.fdb) {
    // Replacing an entry of the same MAC has already removed this destination.
    if (!desiredFdb.contains(entry) && !changedMacs.contains(entry.mac)) {
      messages.push_back(deleteFdb(entry));
    }
  }
  return messages;
}

}  // namespace podlab::net
