#pragma once
#include <functional>
#include <memory>
#include <string>

#include <asio/any_io_executor.hpp>

#include "api/api.hpp"
#include "apiserver/api_service.hpp"
#include "common/clock.hpp"
#include "common/rng.hpp"
#include "controllers/controller_manager.hpp"
#include "sim/sim_disk.hpp"
#include "sim/sim_network.hpp"

namespace podlab::sim {

/// The control plane as `podlab server` runs it (API over RPC, controllers, scheduler), on a disk
/// and a network that are simulated; it can die and come back. Clients' certificates are the names
/// of their hosts: a host NAME is the node NAME.
class SimServer {
 public:
  /// Its host's name in the network.
  static constexpr const char* kHost = "server";
  /// Who connects from this host may do anything.
  static constexpr const char* kAdminHost = "admin";

  /// All references outlive the server and its Apis.
  SimServer(const asio::any_io_executor& executor, Clock& clock, Rng& rng, SimDisk& disk,
            SimNetwork& network, controllers::ManagerOptions options);
  ~SimServer();

  /// Until the API and all controllers are at work. `opened` runs when the disk is open, and
  /// nothing has been written to it yet.
  Co<Status> start(std::function<Co<void>()> opened = nullptr);
  /// Dies as by SIGKILL. Nothing that it does from now on has an effect.
  Co<void> crash();
  /// Ends in good order.
  Co<void> stop();
  bool running() const;

  /// The API in the server's own process, over all its lives, without a network in between:
  /// kUnavailable while it is down. As one who may do anything; and as a node.
  std::unique_ptr<api::Api> asAdmin();
  std::unique_ptr<api::Api> asNode(const std::string& name);

 private:
  struct Life;
  struct State;
  class DirectApi;
  Co<void> end(std::shared_ptr<Life> life);
  std::shared_ptr<State> state_;
};

}  // namespace podlab::sim
