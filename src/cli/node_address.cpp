#include "cli/node_address.hpp"

#include <algorithm>

#include <asio.hpp>

#include "net/link.hpp"
#include "net/routing.hpp"
#include "net/underlay.hpp"
#include "transport/tcp.hpp"

namespace podlab::cli {
namespace {

using asio::ip::udp;

/// No packet is sent: connecting chooses the route.
Co<Result<net::IpAddress>> sourceTowards(const std::string& server) {
  const auto executor = co_await asio::this_coro::executor;
  auto place = transport::splitHostPort(server);
  if (!place) co_return place.status();
  asio::error_code error;
  udp::resolver resolver(executor);
  const auto found = co_await resolver.async_resolve(
      place->host, std::to_string(place->port), asio::redirect_error(asio::use_awaitable, error));
  if (error)
    co_return Status(Code::kUnavailable, "cannot resolve " + place->host + ": " + error.message());
  for (const auto& entry : found) {
    udp::socket socket(executor);
    socket.connect(entry.endpoint(), error);
    if (error) continue;
    const auto local = socket.local_endpoint(error);
    if (error) continue;
    auto address = net::IpAddress::parse(local.address().to_string());
    if (address) co_return address;
  }
  co_return Status(Code::kUnavailable, "there is no route to " + server + ": " + error.message());
}

Result<net::IpAddress> addressOn(const std::string& name, net::Family family) {
  auto socket = net::NetlinkSocket::open();
  if (!socket) return socket.status();
  auto link = net::findLink(*socket, name);
  if (!link) return link.status();
  if (!*link) return Status(Code::kInvalid, "--underlay: this machine has no link " + name);
  auto addresses = net::listAddresses(*socket, (*link)->index);
  if (!addresses) return addresses.status();
  for (const auto& address : *addresses) {
    if (!address.linkLocal && address.address.family() == family) return address.address;
  }
  return Status(Code::kInvalid, "--underlay: link " + name + " has no " +
                                    (family == net::Family::kV4 ? "IPv4" : "IPv6") +
                                    " address, the family by which the server is reached");
}

}  // namespace

Co<Result<net::IpAddress>> nodeAddress(std::string server, std::string underlay) {
  auto source = co_await sourceTowards(server);
  if (!underlay.empty())
    co_return addressOn(underlay, source ? source->family() : net::Family::kV4);
  if (!source || source->toString() != (source->isV4() ? "127.0.0.1" : "::1")) co_return source;
  // The server is on this machine, and was named by its loopback address.
  auto socket = net::NetlinkSocket::open();
  if (!socket) co_return socket.status();
  auto link = net::findUnderlay(*socket, std::nullopt);
  if (!link) co_return link.status();
  co_return link->addresses.front();
}

Result<std::vector<net::IpAddress>> ownAddresses() {
  auto socket = net::NetlinkSocket::open();
  if (!socket) return socket.status();
  auto addresses = net::listAddresses(*socket);
  if (!addresses) return addresses.status();
  auto links = net::listLinks(*socket);
  if (!links) return links.status();
  std::vector<net::IpAddress> own;
  for (const auto& address : *addresses) {
    for (const auto& link : *links) {
      if (link.index == address.linkIndex && !link.loopback && !address.linkLocal &&
          !net::hasLinkMark(link.alias))
        own.push_back(address.address);
    }
  }
  return own;
}

Status checkPodRanges(const std::vector<net::Cidr>& podRanges) {
  auto socket = net::NetlinkSocket::open();
  if (!socket) return socket.status();
  auto links = net::listLinks(*socket);
  if (!links) return links.status();
  const auto linkOf = [&links](int index) {
    const auto found = std::ranges::find(*links, index, &net::Link::index);
    return found == links->end() ? nullptr : &*found;
  };
  const auto judge = [&](const net::Cidr& network, int linkIndex) -> Status {
    const net::Link* link = linkOf(linkIndex);
    if (link != nullptr && net::hasLinkMark(link->alias)) return {};
    for (const auto& range : podRanges) {
      if (!range.overlaps(network)) continue;
      return Status(Code::kConflict, "the cluster's pods have addresses in " + range.toString() +
                                         ", which overlaps " + network.toString() + " of link " +
                                         (link == nullptr ? "?" : link->name) +
                                         " of this machine; give the cluster another range, by " +
                                         "networking.podCIDRs in the server's cluster file");
    }
    return {};
  };
  auto addresses = net::listAddresses(*socket);
  if (!addresses) return addresses.status();
  for (const auto& address : *addresses) {
    Status status = judge(net::Cidr(address.address, address.prefix), address.linkIndex);
    if (!status) return status;
  }
  for (const auto family : {net::Family::kV4, net::Family::kV6}) {
    auto routes = net::listRoutes(*socket, family);
    if (!routes) return routes.status();
    for (const auto& route : *routes) {
      if (route.destination.prefix() == 0 || route.protocol == net::kRouteProtocol) continue;
      if (Status status = judge(route.destination, route.linkIndex); !status) return status;
    }
  }
  return {};
}

}  // namespace podlab::cli
