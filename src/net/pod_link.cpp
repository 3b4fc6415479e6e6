#include "net/pod_link.hpp"

#include <algorithm>
#include <cerrno>

#include "net/link.hpp"
#include "net/namespaces.hpp"
#include "net/routing.hpp"

namespace podlab::net {
namespace {

constexpr char kPodInterface[] = "eth0";
constexpr char kPodAliasPrefix[] = "podlab pod ";

bool hasV6(const NodeLayout& layout) {
  return std::ranges::any_of(layout.ranges,
                             [](const Cidr& range) { return range.family() == Family::kV6; });
}

NetlinkMessage createMessage(const NodeLayout& layout, const NodeLinks& links, const PodLink& link,
                             int podNamespaceFd) {
  VethEnd node;
  node.name = podLinkName(link.podUid);
  node.mtu = layout.mtu();
  VethEnd pod;
  pod.name = kPodInterface;
  pod.mac = macFromAddress(link.addresses.front());
  pod.mtu = layout.mtu();
  pod.namespaceFd = podNamespaceFd;
  return newVeth(node, pod, links.bridge);
}

/// The node's end, made when absent or when it leads elsewhere than into the pod.
Result<Link> ensureNodeEnd(NetlinkSocket& node, int podNamespaceFd, const NodeLayout& layout,
                           const NodeLinks& links, const PodLink& link) {
  const std::string name = podLinkName(link.podUid);
  auto found = findLink(node, name);
  if (!found) return found.status();
  if (*found) {
    auto id = namespaceId(node, podNamespaceFd);
    if (!id) return id.status();
    if ((*found)->kind == "veth" && (*found)->peerNamespaceId == *id) return **found;
  }
  std::vector<NetlinkMessage> messages;
  if (*found) messages.push_back(deleteLink(name));
  messages.push_back(createMessage(layout, links, link, podNamespaceFd));
  messages.push_back(setLinkAlias(name, kPodAliasPrefix + link.podUid));
  if (Status status = node.executeAll(std::move(messages)); !status) {
    if (status.message().find("(EXFULL)") == std::string::npos) return status;
    return Status(Code::kExhausted, status.message() +
                                        ": a bridge has at most 1,023 ports, so "
                                        "this node can hold no more pods");
  }
  auto made = findLink(node, name);
  if (!made) return made.status();
  if (!*made) return Status(Code::kConflict, "link " + name + " vanished while it was made");
  return **made;
}

Status ensurePodEnd(NetlinkSocket& pod, const NodeLayout& layout, const PodLink& link,
                    bool exactAddresses) {
  auto links = listLinks(pod);
  if (!links) return links.status();
  std::vector<NetlinkMessage> messages;
  auto append = [&](std::vector<NetlinkMessage> more) {
    std::ranges::move(more, std::back_inserter(messages));
  };
  int index = 0;
  for (const Link& one : *links) {
    LinkSettings settings;
    settings.up = true;
    if (one.name == kPodInterface) {
      index = one.index;
      settings.mtu = layout.mtu();
      settings.mac = macFromAddress(link.addresses.front());
      settings.ipv6Autoconf = hasV6(layout);
    } else if (!one.loopback) {
      continue;
    }
    append(adjustLink(one, settings));
  }
  if (index == 0) {
    return Status(Code::kConflict, std::string("link ") + kPodInterface + " is not in the pod");
  }

  auto addresses = listAddresses(pod, index);
  if (!addresses) return addresses.status();
  for (const LinkAddress& address : *addresses) {
    bool own = std::ranges::find(link.addresses, address.address) != link.addresses.end();
    if (exactAddresses && !own && !address.linkLocal) messages.push_back(deleteAddress(address));
  }
  for (const IpAddress& address : link.addresses) {
    LinkAddress wanted{index, address, address.bits()};
    if (std::ranges::find(*addresses, wanted) == addresses->end()) {
      messages.push_back(addAddress(wanted, false));
    }
  }

  for (const Cidr& range : layout.ranges) {
    const IpAddress gateway = NodeLayout::gateway(range);
    auto routes = listRoutes(pod, range.family(), kRouteProtocol);
    if (!routes) return routes.status();
    Route defaultRoute;
    defaultRoute.destination = Cidr(gateway, 0);
    defaultRoute.gateway = gateway;
    defaultRoute.linkIndex = index;
    messages.push_back(replaceNeighbour({index, gateway, layout.bridgeMac()}));
    if (std::ranges::find(*routes, defaultRoute) == routes->end()) {
      messages.push_back(replaceRoute(defaultRoute, /*onlink=*/true));
    }
  }
  return pod.executeAll(std::move(messages));
}

}  // namespace

std::string podLinkName(const std::string& podUid) {
  std::uint64_t hash = 14695981039346656037u;
  for (unsigned char c : podUid) hash = (hash ^ c) * 1099511628211u;
  static constexpr char kAlphabet[] = "0123456789abcdefghijklmnopqrstuv";
  std::string name = "pl";
  for (int i = 0; i < 13; ++i, hash >>= 5) name += kAlphabet[hash & 31];
  return name;
}

std::string podUidOfAlias(const std::string& alias) {
  return alias.starts_with(kPodAliasPrefix) ? alias.substr(sizeof kPodAliasPrefix - 1) : "";
}

Result<int> ensurePodLink(NetlinkSocket& node, NetlinkSocket& pod, int podNamespaceFd,
                          const NodeLayout& layout, const NodeLinks& links, const PodLink& link,
                          bool exactAddresses) {
  auto port = ensureNodeEnd(node, podNamespaceFd, layout, links, link);
  if (!port) return port.status();
  LinkSettings settings;
  settings.mtu = layout.mtu();
  settings.master = links.bridge;
  settings.alias = kPodAliasPrefix + link.podUid;
  settings.ipv6Autoconf = false;
  settings.hairpin = true;
  settings.isolated = true;
  settings.up = true;
  std::vector<NetlinkMessage> messages = adjustLink(*port, settings);
  const MacAddress mac = macFromAddress(link.addresses.front());
  messages.push_back(replaceFdb({port->index, mac, std::nullopt}));
  for (const IpAddress& address : link.addresses) {
    messages.push_back(replaceNeighbour({links.bridge, address, mac}));
  }
  if (Status status = node.executeAll(std::move(messages)); !status) return status;
  if (Status status = ensurePodEnd(pod, layout, link, exactAddresses); !status) return status;
  return port->index;
}

Status removePodLink(NetlinkSocket& node, const std::string& podUid) {
  Status status = node.execute(deleteLink(podLinkName(podUid)));
  return status.is(Code::kNotFound) ? Status() : status;
}

Status preparePodNamespace(const NodeLayout& layout) {
  if (!hasV6(layout)) return Status();
  for (const char* name : {"ipv6/conf/default/accept_ra", "ipv6/conf/default/accept_dad"}) {
    if (Status status = setSysctl(name, "0"); !status) return status;
  }
  return Status();
}

}  // namespace podlab::net
