#include "net/ranges.hpp"

#include <algorithm>
#include <map>

#include "net/link.hpp"
#include "net/routing.hpp"
#include "net/underlay.hpp"

namespace podlab::net {
namespace {

Status clash(const NamedRange& wanted, const NamedRange& other) {
  return Status(Code::kInvalid, wanted.name + " " + wanted.range.toString() + " overlaps " +
                                    other.name + " " + other.range.toString() +
                                    ": choose another range");
}

std::vector<Cidr> candidates(Family family) {
  std::vector<Cidr> ranges;
  if (family == Family::kV4) {
    for (std::uint8_t second = 244; second <= 254; ++second) {
      ranges.emplace_back(IpAddress::v4({10, second, 0, 0}), 16);
    }
    ranges.emplace_back(IpAddress::v4({172, 30, 0, 0}), 16);
    return ranges;
  }
  // Unique local addresses (RFC 4193).
  for (std::uint8_t low = 0x44; low <= 0x4f; ++low) {
    ranges.emplace_back(IpAddress::v6({0xfd, 0x00, 0x02, low}), 48);
  }
  return ranges;
}

}  // namespace

Status validateRanges(const std::vector<NamedRange>& wanted, const std::vector<NamedRange>& taken) {
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (wanted[i].range.overlaps(wanted[j].range)) return clash(wanted[i], wanted[j]);
    }
    for (const NamedRange& other : taken) {
      if (wanted[i].range.overlaps(other.range)) return clash(wanted[i], other);
    }
  }
  return Status();
}

Result<std::vector<NamedRange>> hostRanges(NetlinkSocket& socket) {
  auto links = listLinks(socket);
  if (!links) return links.status();
  std::map<int, const Link*> byIndex;
  for (const Link& link : *links) {
    if (!link.loopback && !hasLinkMark(link.alias)) byIndex[link.index] = &link;
  }
  std::vector<NamedRange> ranges;
  for (Family family : {Family::kV4, Family::kV6}) {
    auto routes = listRoutes(socket, family);
    if (!routes) return routes.status();
    for (const Route& route : *routes) {
      auto link = byIndex.find(route.linkIndex);
      if (route.protocol == kRouteProtocol || route.destination.prefix() == 0 ||
          link == byIndex.end()) {
        continue;
      }
      ranges.push_back({"the host's route on " + link->second->name, route.destination});
    }
  }
  auto addresses = listAddresses(socket);
  if (!addresses) return addresses.status();
  for (const LinkAddress& address : *addresses) {
    auto link = byIndex.find(address.linkIndex);
    if (link == byIndex.end() || address.linkLocal) continue;
    ranges.push_back({"the host's address on " + link->second->name,
                      Cidr(address.address, address.address.bits())});
  }
  return ranges;
}

Result<std::vector<Cidr>> chooseClusterRanges(const std::vector<Family>& families,
                                              const std::vector<NamedRange>& taken) {
  std::vector<Cidr> chosen;
  for (Family family : families) {
    auto free = candidates(family);
    std::erase_if(free, [&](const Cidr& range) {
      return std::ranges::any_of(
          taken, [&](const NamedRange& other) { return other.range.overlaps(range); });
    });
    if (free.empty()) {
      return Status(Code::kExhausted,
                    "every default pod range overlaps a network of this host: "
                    "give a free range for pods");
    }
    chosen.push_back(free.front());
  }
  return chosen;
}

}  // namespace podlab::net
