#pragma once
#include <optional>
#include <string>

#include "client/informer.hpp"
#include "net/routing.hpp"

namespace podlab::cli {

/// The server's way to pods: in its network namespace, a route to each node's pods by the node's
/// address, so that pods reach the server by their own addresses. Nothing is removed at the end:
/// the next server goes on with what is there.
class PodRoutes {
 public:
  /// Before the informer starts. A host that forbids it is told of in the log, once.
  explicit PodRoutes(client::Informer& nodes);
  PodRoutes(const PodRoutes&) = delete;
  PodRoutes& operator=(const PodRoutes&) = delete;

 private:
  void follow(const api::ObjectPtr& node, bool present);
  void removeOthers(client::Informer& nodes);
  void run(net::NetlinkMessage change);

  std::optional<net::NetlinkSocket> socket_;
};

}  // namespace podlab::cli
