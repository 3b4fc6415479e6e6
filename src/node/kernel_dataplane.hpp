#pragma once
#include <memory>
#include <string>
#include <vector>

#include <asio/any_io_executor.hpp>

#include "common/blocking.hpp"
#include "common/clock.hpp"
#include "common/co.hpp"
#include "common/status.hpp"
#include "node/dataplane.hpp"
#include "node/kernel_dataplane_node.hpp"

namespace podlab::node {

/// The node's network on the Linux kernel. Sandboxes are made on the pool's threads, several at
/// once. What others delete or change is repaired within moments, by the kernel's events, and by a
/// whole comparison every 30 s.
class KernelDataplane final : public Dataplane {
 public:
  /// `pool` and `clock` must outlive it. Runs on `executor`'s thread.
  KernelDataplane(KernelDataplaneOptions options, BlockingPool& pool, Clock& clock,
                  asio::any_io_executor executor);
  ~KernelDataplane() override;

  /// Begins to watch and repair. Without it the calls below work, but nothing is repaired between
  /// them.
  Co<Status> start();
  /// Ends that; the network stays as it is. Required after start(), before destruction.
  Co<void> stop();

  Co<Result<NodeNetworkInfo>> discover() override;
  Co<Status> configureNode(NodeNetwork network) override;
  Co<Status> setPeers(std::vector<Peer> peers) override;
  Co<Result<std::vector<PeerFinding>>> probePeers(std::vector<Peer> peers,
                                                  std::uint16_t session) override;
  Co<Status> setFirewall(std::optional<net::NftTable> table) override;
  Co<Result<SandboxNamespaces>> createSandbox(SandboxSpec spec) override;
  Co<Status> removeSandbox(std::string podUid) override;
  Co<Result<std::vector<std::string>>> listSandboxes() override;
  /// Removes sandboxes, links, routes and pins: all that it ever made here.
  Co<Status> removeAll();

 private:
  struct Watch;
  std::shared_ptr<KernelDataplaneNode> node_;
  BlockingPool& pool_;
  std::unique_ptr<Watch> watch_;
};

}  // namespace podlab::node
