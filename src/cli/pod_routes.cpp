#include "cli/pod_routes.hpp"

#include <set>

#include "common/log.hpp"
#include "node/node_status.hpp"

namespace podlab::cli {
namespace {

/// To each of the node's ranges by its address of the same family; none to a hollow node.
std::vector<net::Route> routesTo(const corev1::Node& node) {
  std::vector<net::Route> routes;
  if (!node.metadata().annotations().contains(node::kVxlanMacAnnotation)) return routes;
  for (const auto& text : node.spec().podcidrs()) {
    const auto range = net::Cidr::parse(text);
    if (!range) continue;
    for (const auto& address : node.status().addresses()) {
      const auto gateway = net::IpAddress::parse(address.address());
      if (address.type() != "InternalIP" || !gateway || gateway->family() != range->family())
        continue;
      net::Route route;
      route.destination = *range;
      route.gateway = *gateway;
      routes.push_back(route);
      break;
    }
  }
  return routes;
}

}  // namespace

PodRoutes::PodRoutes(client::Informer& nodes) {
  auto socket = net::NetlinkSocket::open();
  if (!socket) {
    logWarning("pod_routes_failed", {{"error", socket.status()}});
    return;
  }
  socket_.emplace(std::move(*socket));
  client::Informer::Handlers handlers;
  handlers.added = [this](const api::ObjectPtr& node) { follow(node, true); };
  handlers.updated = [this](const api::ObjectPtr& before, const api::ObjectPtr& now) {
    const auto old = routesTo(api::as<corev1::Node>(before));
    if (old == routesTo(api::as<corev1::Node>(now))) return;
    follow(before, false);
    follow(now, true);
  };
  handlers.deleted = [this](const api::ObjectPtr& last) { follow(last, false); };
  handlers.synced = [this, &nodes] { removeOthers(nodes); };
  nodes.addHandlers(std::move(handlers));
}

void PodRoutes::follow(const api::ObjectPtr& node, bool present) {
  for (auto& route : routesTo(api::as<corev1::Node>(node)))
    run(present ? net::replaceRoute(route) : net::deleteRoute(route));
}

/// Those of nodes that went while no server ran.
void PodRoutes::removeOthers(client::Informer& nodes) {
  std::set<net::Cidr> wanted;
  for (const auto& node : nodes.list()) {
    for (const auto& route : routesTo(api::as<corev1::Node>(node)))
      wanted.insert(route.destination);
  }
  for (const auto family : {net::Family::kV4, net::Family::kV6}) {
    for (const auto& route : net::listRoutes(*socket_, family, net::kRouteProtocol).valueOr({})) {
      if (!wanted.contains(route.destination)) run(net::deleteRoute(route));
    }
  }
}

void PodRoutes::run(net::NetlinkMessage change) {
  const Status status = socket_->execute(std::move(change));
  if (!status.ok() && !status.is(Code::kNotFound))
    logWarning("pod_route_failed", {{"error", status}});
}

}  // namespace podlab::cli
