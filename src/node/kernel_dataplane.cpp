#include "node/kernel_dataplane.hpp"

#include <chrono>
#include <utility>

#include "common/log.hpp"
#include "common/sync.hpp"
#include "net/netlink_monitor.hpp"
#include "net/nft_kernel.hpp"

namespace podlab::node {
namespace {

// Changes come in bursts: one repair for all of them.
constexpr Duration kSettle = std::chrono::milliseconds(100);
constexpr Duration kFullInterval = std::chrono::seconds(30);

}  // namespace

/// Coroutines: some turn the kernel's events into what is dirty, one repairs it.
struct KernelDataplane::Watch {
  Watch(std::shared_ptr<KernelDataplaneNode> theNode, BlockingPool& thePool, Clock& theClock,
        asio::any_io_executor executor)
      : node(std::move(theNode)), pool(thePool), clock(theClock), tasks(std::move(executor)) {}

  Co<void> listen() {
    while (true) {
      auto batch = co_await monitor->next();
      if (!batch) {
        logError("network_events_failed", {{"error", batch.status()}});
        co_return;
      }
      for (const net::NetworkEvent& event : batch->events) node->classify(event, dirty);
      if (batch->lost) dirty.node = dirty.allPods = true;
      if (dirty.any()) wake.notifyAll();
    }
  }

  Co<void> listenToNftables() {
    while (true) {
      auto change = co_await nftables->next();
      if (!change) {
        logError("nftables_events_failed", {{"error", change.status()}});
        co_return;
      }
      const bool certain = *change == net::NftMonitor::Change::kForeign;
      (certain ? dirty.firewall : dirty.firewallPerhaps) = true;
      wake.notifyAll();
    }
  }

  Co<void> repair() {
    MonoTime nextFull = clock.now() + kFullInterval;
    while (true) {
      if (!dirty.any()) co_await wake.waitUntil(clock, nextFull);
      if (dirty.any()) co_await clock.sleepFor(kSettle);
      DirtyParts parts = std::exchange(dirty, {});
      if (clock.now() >= nextFull) {
        parts.node = parts.allPods = parts.firewallPerhaps = true;
        nextFull = clock.now() + kFullInterval;
      }
      auto job = [owner = node, parts = std::move(parts)] { return owner->reconcile(parts); };
      Status status = co_await pool.run(std::move(job));
      if (!status) logWarning("network_repair_failed", {{"error", status}});
    }
  }

  std::shared_ptr<KernelDataplaneNode> node;
  BlockingPool& pool;
  Clock& clock;
  std::unique_ptr<net::NetlinkMonitor> monitor;
  std::unique_ptr<net::NftMonitor> nftables;  // where the kernel has it
  DirtyParts dirty;
  WaitQueue wake;
  TaskGroup tasks;
};

KernelDataplane::KernelDataplane(KernelDataplaneOptions options, BlockingPool& pool, Clock& clock,
                                 asio::any_io_executor executor)
    : node_(std::make_shared<KernelDataplaneNode>(std::move(options))),
      pool_(pool),
      watch_(std::make_unique<Watch>(node_, pool, clock, std::move(executor))) {}

KernelDataplane::~KernelDataplane() = default;

Co<Status> KernelDataplane::start() {
  auto monitor =
      net::NetlinkMonitor::open(watch_->tasks.executor(), node_->options().networkNamespace);
  if (!monitor) co_return monitor.status();
  watch_->monitor = std::move(*monitor);
  watch_->tasks.spawn("network events", watch_->listen());
  auto ask = [node = node_] { return node->firewall().portId(); };
  auto port = co_await pool_.run(std::move(ask));
  if (port) {
    auto nftables =
        net::NftMonitor::open(watch_->tasks.executor(), node_->options().networkNamespace, *port);
    if (!nftables) co_return nftables.status();
    watch_->nftables = std::move(*nftables);
    watch_->tasks.spawn("nftables events", watch_->listenToNftables());
  } else {
    logInfo("nftables_missing", {{"error", port.status()}});
  }
  watch_->tasks.spawn("network repair", watch_->repair());
  co_return Status();
}

Co<void> KernelDataplane::stop() {
  co_await watch_->tasks.cancelAndJoin();
}

Co<Result<NodeNetworkInfo>> KernelDataplane::discover() {
  auto job = [node = node_] { return node->discover(); };
  co_return co_await pool_.run(std::move(job));
}

Co<Status> KernelDataplane::configureNode(NodeNetwork network) {
  auto job = [node = node_, network = std::move(network)] { return node->configure(network); };
  co_return co_await pool_.run(std::move(job));
}

Co<Status> KernelDataplane::setPeers(std::vector<Peer> peers) {
  auto job = [node = node_, peers = std::move(peers)] { return node->setPeers(peers); };
  co_return co_await pool_.run(std::move(job));
}

Co<Result<std::vector<PeerFinding>>> KernelDataplane::probePeers(std::vector<Peer> peers,
                                                                 std::uint16_t session) {
  auto job = [node = node_, peers = std::move(peers), session] {
    return node->probePeers(peers, session);
  };
  co_return co_await pool_.run(std::move(job));
}

Co<Status> KernelDataplane::setFirewall(std::optional<net::NftTable> table) {
  auto job = [node = node_, table = std::move(table)]() mutable {
    return node->firewall().set(std::move(table));
  };
  co_return co_await pool_.run(std::move(job));
}

Co<Result<SandboxNamespaces>> KernelDataplane::createSandbox(SandboxSpec spec) {
  auto job = [node = node_, spec = std::move(spec)] { return node->createSandbox(spec); };
  co_return co_await pool_.run(std::move(job));
}

Co<Status> KernelDataplane::removeSandbox(std::string podUid) {
  auto job = [node = node_, podUid = std::move(podUid)] { return node->removeSandbox(podUid); };
  co_return co_await pool_.run(std::move(job));
}

Co<Result<std::vector<std::string>>> KernelDataplane::listSandboxes() {
  auto job = [node = node_] { return node->listSandboxes(); };
  co_return co_await pool_.run(std::move(job));
}

Co<Status> KernelDataplane::removeAll() {
  auto job = [node = node_] { return node->removeAll(); };
  co_return co_await pool_.run(std::move(job));
}

}  // namespace podlab::node
