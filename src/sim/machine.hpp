#pragma once
#include <memory>
#include <optional>
#include <string>

#include <asio/any_io_executor.hpp>

#include "client/connection.hpp"
#include "client/remote_api.hpp"
#include "common/rng.hpp"
#include "sim/hollow_node.hpp"
#include "sim/sim_network.hpp"
#include "sim/sim_server.hpp"

namespace podlab::sim {

/// A host with a hollow node, and its way to the server: over the network, or directly.
class Machine {
 public:
  /// All references outlive the machine.
  Machine(const asio::any_io_executor& executor, Clock& clock, std::uint64_t seed,
          SimNetwork& network, SimServer& server, bool direct, HollowNodeOptions options);
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  /// Of all that follows one at a time; what does not fit the machine's state is left out.
  bool busy() const { return busy_; }
  bool up() const { return up_; }
  /// Boots a machine that is off, or starts its agent.
  void start();
  /// The agent dies.
  Co<void> crashAgent();
  /// The power fails.
  Co<void> powerOff();
  /// The agent ends in good order.
  Co<void> stop();

  const std::string& name() const { return node_->name(); }
  HollowNode& node() { return *node_; }

 private:
  Co<void> hangUp();

  asio::any_io_executor executor_;
  Clock& clock_;
  SimNetwork& network_;
  SeededRng rng_;
  std::unique_ptr<Dialer> dialer_;
  /// Those of one agent's life.
  std::optional<client::ReconnectingConnection> connection_;
  std::optional<client::RemoteApi> remote_;
  std::unique_ptr<api::Api> api_;
  std::unique_ptr<HollowNode> node_;
  bool up_ = false;
  bool busy_ = false;
};

}  // namespace podlab::sim
