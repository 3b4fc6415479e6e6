#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <asio.hpp>

#include "common/blocking.hpp"
#include "common/clock.hpp"
#include "common/co.hpp"
#include "net/link.hpp"
#include "net/namespaces.hpp"
#include "net/netlink_socket.hpp"
#include "net/reach.hpp"
#include "net/routing.hpp"
#include "node/kernel_dataplane.hpp"

namespace podlab::test {

enum class Privilege { kRoot, kUserNamespace };

/// Why this host cannot run a test of that kind; empty when it can.
std::string unsupported(Privilege privilege);

/// Runs `body`, with its expectations, in a child process that has mount, network, IPC and UTS
/// namespaces of its own, as root or as an ordinary user in a user namespace. When it ends the
/// kernel takes all that it made.
void isolated(Privilege privilege, const std::function<void()>& body);

/// An io_context with real clock and pool that coroutines run on to their end.
class Loop {
 public:
  Loop();
  ~Loop();
  template <typename T>
  T run(Co<T> task) {
    std::optional<T> result;
    auto wrapped = store(std::move(task), result);
    drive(std::move(wrapped));
    return std::move(*result);
  }
  void run(Co<void> task) { drive(std::move(task)); }
  /// Looks again and again, for 20 s at most.
  bool eventually(const std::function<bool()>& condition);

  asio::io_context io;
  std::unique_ptr<Clock> clock;
  std::unique_ptr<BlockingPool> pool;

 private:
  template <typename T>
  static Co<void> store(Co<T> task, std::optional<T>& result) {
    result.emplace(co_await std::move(task));
  }
  void drive(Co<void> task);
};

/// A pod of a test.
struct TestPod {
  std::string uid;
  std::vector<net::IpAddress> addresses;
  node::SandboxNamespaces namespaces;
};

/// A node: a network namespace with one link, eth0, on the underlay bridge, and a dataplane.
struct TestNode {
  std::string name;
  std::string networkPath;
  std::string pinFolder;
  std::vector<net::Cidr> ranges;
  std::unique_ptr<node::KernelDataplane> dataplane;
  std::vector<TestPod> pods;

  net::NetlinkSocket socket() const;
  node::KernelDataplaneOptions options() const;
};

struct TestNetworkOptions {
  std::size_t nodes = 3;
  bool v4 = true;
  bool v6 = false;
  bool underlayV6 = false;  ///< IPv6 addresses alone on the underlay
  std::string backend = "vxlan";
  int underlayMtu = 1500;
};

/// Several nodes on one underlay bridge. For use inside isolated().
class TestNetwork {
 public:
  TestNetwork(Loop& loop, TestNetworkOptions options);
  ~TestNetwork();

  std::vector<TestNode>& nodes() { return nodes_; }
  /// Tells each dataplane its ranges and all others' addresses, as their discover() gives them.
  void configure();
  void makePods(std::size_t perNode);
  TestPod makePod(TestNode& node, std::string uid, std::vector<net::IpAddress> addresses);
  /// A fresh dataplane object for a node, as after a restart of the agent.
  void restart(TestNode& node);
  /// The n-th address of each of the node's ranges.
  static std::vector<net::IpAddress> addressesAt(const TestNode& node, std::uint64_t n);
  /// Every pod to every pod; the outcomes of all nodes, and what arrived.
  std::vector<net::ProbeOutcome> reach(net::ReachOptions options,
                                       std::vector<net::ProbeArrivals>* arrivals = nullptr);
  /// Expects each probe of reach() to arrive and succeed with the sender's own address, and as many
  /// as there should be.
  void expectFlat();

 private:
  void makeNode(std::size_t number);

  Loop& loop_;
  TestNetworkOptions options_;
  std::string folder_;
  std::optional<net::NamespacePins> namespaces_;
  std::vector<TestNode> nodes_;
  std::uint32_t session_ = 0;
};

/// The value of a Result that must have one.
template <typename T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.status().toString());
  return std::move(*result);
}
void must(const Status& status);

}  // namespace podlab::test
