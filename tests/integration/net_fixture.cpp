#include "tests/integration/net_fixture.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>

#include "common/log.hpp"
#include "common/real_clock.hpp"
#include "tests/integration/sanitizer.hpp"

namespace podlab::test {
namespace {

constexpr uid_t kOrdinaryUser = 65534;
constexpr char kUnderlayBridge[] = "underlay0";

void writeText(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text << std::flush;
  if (!file) throw std::runtime_error("cannot write " + path);
}

void check(int result, const char* what) {
  if (result < 0) must(errnoStatus(errno, what));
}

/// In the child: leaves the host's namespaces.
void enterNamespaces(Privilege privilege) {
  int flags = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
  if (privilege == Privilege::kUserNamespace) {
    if (geteuid() == 0) {
      check(setresgid(kOrdinaryUser, kOrdinaryUser, kOrdinaryUser), "setresgid");
      check(setresuid(kOrdinaryUser, kOrdinaryUser, kOrdinaryUser), "setresuid");
    }
    check(prctl(PR_SET_DUMPABLE, 1), "prctl");
    const std::string uid = std::to_string(geteuid());
    const std::string gid = std::to_string(getegid());
    check(unshare(CLONE_NEWUSER | flags), "unshare");
    writeText("/proc/self/setgroups", "deny");
    writeText("/proc/self/uid_map", "0 " + uid + " 1");
    writeText("/proc/self/gid_map", "0 " + gid + " 1");
  } else {
    check(unshare(flags), "unshare");
  }
  check(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "make mounts private");
  check(mount("test", "/tmp", "tmpfs", 0, "mode=0755"), "mount a tmpfs");
}

/// The exit code of `body` in a child that has entered its namespaces; 99 when it could not.
int inChild(Privilege privilege, const std::function<void()>& body) {
  std::fflush(nullptr);
  pid_t child = fork();
  if (child == 0) {
    int code = 0;
    try {
      enterNamespaces(privilege);
    } catch (const std::exception& error) {
      std::cerr << error.what() << "\n";
      std::fflush(nullptr);
      _exit(99);
    }
    try {
      body();
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
    code = testing::Test::HasFailure() ? 1 : 0;
    std::fflush(nullptr);
    _exit(code);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) < 0) return 98;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

net::IpAddress ip(const std::string& text) {
  return must(net::IpAddress::parse(text));
}

}  // namespace

void must(const Status& status) {
  if (!status) throw std::runtime_error(status.toString());
}

std::string unsupported(Privilege privilege) {
  if (privilege == Privilege::kRoot && geteuid() != 0) return "needs root";
  if (privilege == Privilege::kUserNamespace && kNoUserNamespace != nullptr)
    return kNoUserNamespace;
  if (inChild(privilege, [] {}) == 0) return "";
  return privilege == Privilege::kRoot ? "this host allows no new namespaces"
                                       : "this host allows ordinary users no user namespaces";
}

void isolated(Privilege privilege, const std::function<void()>& body) {
  std::string reason = unsupported(privilege);
  if (!reason.empty()) GTEST_SKIP() << reason;
  EXPECT_EQ(inChild(privilege, body), 0) << "failed in the child process, see above";
}

Loop::Loop() : clock(makeRealClock(io.get_executor())), pool(makeThreadPool(2)) {}
Loop::~Loop() = default;

void Loop::drive(Co<void> task) {
  bool done = false;
  std::exception_ptr thrown;
  asio::co_spawn(io, std::move(task), [&](std::exception_ptr error) {
    thrown = error;
    done = true;
  });
  while (!done) {
    io.restart();
    io.run_one();
  }
  if (thrown) std::rethrow_exception(thrown);
}

bool Loop::eventually(const std::function<bool()>& condition) {
  const MonoTime end = clock->now() + std::chrono::seconds(20);
  while (!condition()) {
    if (clock->now() > end) return false;
    run(clock->sleepFor(std::chrono::milliseconds(20)));
  }
  return true;
}

net::NetlinkSocket TestNode::socket() const {
  return must(net::inNetworkNamespace(networkPath, [] { return net::NetlinkSocket::open(); }));
}

node::KernelDataplaneOptions TestNode::options() const {
  node::KernelDataplaneOptions options;
  options.pinFolder = pinFolder;
  options.networkNamespace = networkPath;
  return options;
}

TestNetwork::TestNetwork(Loop& loop, TestNetworkOptions options)
    : loop_(loop), options_(std::move(options)), folder_("/tmp/network") {
  must(net::raiseLoopback());
  namespaces_ = must(net::NamespacePins::open(folder_ + "/nodes"));
  auto socket = must(net::NetlinkSocket::open());
  must(socket.execute(net::newBridge(kUnderlayBridge, net::macFromAddress(ip("192.0.2.254")),
                                     options_.underlayMtu)));
  auto bridge = must(net::findLink(socket, kUnderlayBridge));
  net::LinkSettings up;
  up.up = true;
  must(socket.executeAll(net::adjustLink(*bridge, up)));
  for (std::size_t number = 1; number <= options_.nodes; ++number) makeNode(number);
}

TestNetwork::~TestNetwork() {
  for (TestNode& node : nodes_) loop_.run(node.dataplane->stop());
}

void TestNetwork::makeNode(std::size_t number) {
  const std::string n = std::to_string(number);
  TestNode node;
  node.name = "node" + n;
  node.pinFolder = folder_ + "/pods" + n;
  net::NamespacePins::Wanted wanted;
  wanted.ipc = wanted.uts = false;
  node.networkPath = must(namespaces_->create(node.name, wanted, net::raiseLoopback)).network;
  auto socket = must(net::NetlinkSocket::open());
  auto bridge = must(net::findLink(socket, kUnderlayBridge));
  UniqueFd network(open(node.networkPath.c_str(), O_RDONLY | O_CLOEXEC));
  net::VethEnd near;
  near.name = "port" + n;
  near.mtu = options_.underlayMtu;
  net::VethEnd far = near;
  far.name = "eth0";
  far.namespaceFd = network.get();
  must(socket.execute(net::newVeth(near, far, bridge->index)));
  net::LinkSettings up;
  up.up = true;
  auto port = must(net::findLink(socket, near.name));
  must(socket.executeAll(net::adjustLink(*port, up)));
  auto inside = node.socket();
  auto link = must(net::findLink(inside, "eth0"));
  must(inside.executeAll(net::adjustLink(*link, up)));
  if (!options_.underlayV6) {
    must(inside.execute(
        net::addAddress({link->index, ip("192.0.2." + n), 24}, /*prefixRoute=*/true)));
  }
  if (options_.v6 || options_.underlayV6) {
    must(inside.execute(
        net::addAddress({link->index, ip("2001:db8::" + n), 64}, /*prefixRoute=*/true)));
  }
  if (options_.v4) node.ranges.push_back(must(net::Cidr::parse("10.244." + n + ".0/24")));
  if (options_.v6) node.ranges.push_back(must(net::Cidr::parse("fd00:244:0:" + n + "::/64")));
  nodes_.push_back(std::move(node));
  restart(nodes_.back());
}

void TestNetwork::restart(TestNode& node) {
  if (node.dataplane) loop_.run(node.dataplane->stop());
  node.dataplane = std::make_unique<node::KernelDataplane>(node.options(), *loop_.pool,
                                                           *loop_.clock, loop_.io.get_executor());
  must(loop_.run(node.dataplane->start()));
}

void TestNetwork::configure() {
  std::vector<node::Peer> all;
  for (TestNode& node : nodes_) {
    auto info = must(loop_.run(node.dataplane->discover()));
    all.push_back({node.name, node.ranges, info.underlay, *info.vxlanMac});
    node::NodeNetwork network;
    network.podRanges = node.ranges;
    network.backend = options_.backend;
    if (options_.v4) network.clusterRanges.push_back(must(net::Cidr::parse("10.244.0.0/16")));
    if (options_.v6) network.clusterRanges.push_back(must(net::Cidr::parse("fd00:244::/48")));
    must(loop_.run(node.dataplane->configureNode(network)));
  }
  for (TestNode& node : nodes_) {
    auto peers = all;
    std::erase_if(peers, [&](const node::Peer& peer) { return peer.node == node.name; });
    must(loop_.run(node.dataplane->setPeers(peers)));
  }
}

std::vector<net::IpAddress> TestNetwork::addressesAt(const TestNode& node, std::uint64_t n) {
  std::vector<net::IpAddress> addresses;
  for (const net::Cidr& range : node.ranges) addresses.push_back(range.at(n));
  return addresses;
}

TestPod TestNetwork::makePod(TestNode& node, std::string uid,
                             std::vector<net::IpAddress> addresses) {
  node::SandboxSpec spec;
  spec.podUid = uid;
  spec.hostname = uid;
  spec.addresses = addresses;
  TestPod pod{std::move(uid), std::move(addresses),
              must(loop_.run(node.dataplane->createSandbox(spec)))};
  node.pods.push_back(pod);
  return pod;
}

void TestNetwork::makePods(std::size_t perNode) {
  for (TestNode& node : nodes_) {
    for (std::size_t i = 0; i < perNode; ++i) {
      makePod(node, node.name + "-pod" + std::to_string(i), addressesAt(node, 2 + i));
    }
  }
}

std::vector<net::ProbeOutcome> TestNetwork::reach(net::ReachOptions options,
                                                  std::vector<net::ProbeArrivals>* arrivals) {
  ++session_;
  std::vector<std::unique_ptr<net::ReachSession>> sessions;
  for (const TestNode& here : nodes_) {
    std::vector<net::ReachEnd> ends;
    for (const TestNode& node : nodes_) {
      for (const TestPod& pod : node.pods) {
        ends.push_back({&node == &here,
                        pod.namespaces.network,
                        true,
                        true,
                        pod.addresses,
                        {},
                        {{IPPROTO_ICMP, 0},
                         {IPPROTO_UDP, net::kReachPort, true},
                         {IPPROTO_TCP, net::kReachPort, true}}});
      }
    }
    sessions.push_back(std::make_unique<net::ReachSession>(loop_.io.get_executor(), *loop_.clock,
                                                           *loop_.pool, session_, std::move(ends)));
    must(loop_.run(sessions.back()->listen()));
  }
  std::vector<net::ProbeOutcome> all;
  for (auto& session : sessions) {
    auto outcomes = loop_.run(session->send(options));
    all.insert(all.end(), outcomes.begin(), outcomes.end());
  }
  for (auto& session : sessions) {
    if (arrivals == nullptr) break;
    auto seen = session->arrivals();
    arrivals->insert(arrivals->end(), seen.begin(), seen.end());
  }
  return all;
}

void TestNetwork::expectFlat() {
  net::ReachOptions options;
  options.timeout = std::chrono::seconds(5);
  std::vector<net::ProbeArrivals> arrivals;
  auto outcomes = reach(options, &arrivals);
  std::vector<const TestPod*> pods;
  for (const TestNode& node : nodes_) {
    for (const TestPod& pod : node.pods) pods.push_back(&pod);
  }
  const std::size_t families = nodes_.front().ranges.size();
  EXPECT_EQ(outcomes.size(), pods.size() * pods.size() * families * 3);
  EXPECT_EQ(arrivals.size(), outcomes.size());
  for (const net::ProbeOutcome& outcome : outcomes) {
    EXPECT_TRUE(outcome.ok()) << pods[outcome.key.from]->uid << " to " << pods[outcome.key.to]->uid
                              << " protocol " << int{outcome.key.protocol} << ": " << outcome.error;
  }
}

}  // namespace podlab::test
