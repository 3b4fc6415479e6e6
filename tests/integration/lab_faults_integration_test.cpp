// What faults do to the real kernel: a lab's switch with nodes, packets by UDP.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <set>

#include "common/cgroups.hpp"
#include "common/rng.hpp"
#include "lab/node_freezer.hpp"
#include "lab/underlay.hpp"
#include "tests/integration/net_fixture.hpp"

namespace podlab::test {
namespace {

using lab::FaultEffects;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr std::uint16_t kPort = 9000;
const std::string kServer(lab::kServerMember);

/// A process with a network namespace of its own, as a node's first one.
class NodeProcess {
 public:
  NodeProcess() {
    int ends[2];
    if (::pipe(ends) < 0) throw std::runtime_error("pipe");
    pid_ = ::fork();
    if (pid_ == 0) {
      const char done = ::unshare(CLONE_NEWNET) == 0 ? 'y' : 'n';
      if (::write(ends[1], &done, 1) != 1) ::_exit(1);
      ::pause();
      ::_exit(0);
    }
    char done = 'n';
    if (::read(ends[0], &done, 1) != 1 || done != 'y') throw std::runtime_error("unshare");
    ::close(ends[0]);
    ::close(ends[1]);
  }
  ~NodeProcess() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  NodeProcess(const NodeProcess&) = delete;
  NodeProcess& operator=(const NodeProcess&) = delete;
  pid_t pid() const { return pid_; }
  std::string networkPath() const { return "/proc/" + std::to_string(pid_) + "/ns/net"; }

 private:
  pid_t pid_ = 0;
};

sockaddr_storage storageOf(const net::IpAddress& address, socklen_t& size) {
  sockaddr_storage storage{};
  if (address.isV4()) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(kPort);
    std::memcpy(&v4.sin_addr, address.data(), 4);
    size = sizeof v4;
  } else {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(kPort);
    std::memcpy(&v6.sin6_addr, address.data(), 16);
    size = sizeof v6;
  }
  return storage;
}

/// A datagram from one member to another over one family.
struct Flow {
  std::string from;
  std::string to;
  int family = 0;  ///< an index of the underlay's ranges
  auto operator<=>(const Flow&) const = default;
};

/// The switch, its server and nodes node1, node2, ...
class World {
 public:
  explicit World(int nodes) : underlay_(ranges(), 1500) {
    must(underlay_.create());
    addSockets(kServer, "", underlay_.serverAddresses());
    for (int index = 1; index <= nodes; ++index) {
      const std::string name = "node" + std::to_string(index);
      indices_[name] = index;
      start(name);
    }
  }

  lab::Underlay& underlay() { return underlay_; }
  Loop& loop() { return loop_; }
  const std::map<std::string, int>& indices() const { return indices_; }
  lab::NodeLabels nodes() const {
    lab::NodeLabels nodes;
    for (const auto& [name, index] : indices_) nodes[name];
    return nodes;
  }
  void enforce(const FaultEffects& effects) { must(underlay_.enforce(effects, indices_)); }

  /// With a network of its own, as after a power failure.
  void start(const std::string& name) {
    const int index = indices_.at(name);
    underlay_.disconnect(index);
    processes_[name] = std::make_unique<NodeProcess>();
    must(underlay_.connect(processes_[name]->pid(), index));
    addSockets(name, processes_[name]->networkPath(), underlay_.nodeAddresses(index));
  }

  std::vector<Flow> flows() const {
    std::vector<Flow> all;
    for (const auto& [from, own] : members_) {
      for (const auto& [to, others] : members_) {
        for (int family = 0; from != to && family < 2; ++family) all.push_back({from, to, family});
      }
    }
    return all;
  }

  void send(const Flow& flow, std::size_t bytes = 40) {
    std::string payload = flow.from + "\n";
    payload.resize(std::max(bytes, payload.size()), '.');
    const auto& sender = members_.at(flow.from);
    const auto& receiver = members_.at(flow.to);
    socklen_t size = 0;
    const auto to = storageOf(receiver.addresses.at(flow.family), size);
    // What is lost on the way out is an error to nobody.
    (void)::sendto(sender.sockets.at(flow.family).get(), payload.data(), payload.size(), 0,
                   reinterpret_cast<const sockaddr*>(&to), size);
  }

  /// How many of each flow have come since the last call.
  std::map<Flow, int> received() {
    std::map<Flow, int> arrived;
    for (const auto& [to, member] : members_) {
      for (int family = 0; family < 2; ++family) {
        std::array<char, 2048> buffer;
        ssize_t n = 0;
        while ((n = ::recv(member.sockets.at(family).get(), buffer.data(), buffer.size(), 0)) > 0) {
          const std::string text(buffer.data(), static_cast<std::size_t>(n));
          ++arrived[{text.substr(0, text.find('\n')), to, family}];
        }
      }
    }
    return arrived;
  }

  /// Expects these flows to arrive, if only at the second try, and no others.
  void expectToArrive(const std::set<Flow>& expected) {
    (void)received();
    std::set<Flow> arrived;
    const auto look = [&] {
      for (const auto& [flow, count] : received()) arrived.insert(flow);
    };
    for (const Flow& flow : flows()) send(flow);
    const bool all = loop_.eventually([&] {
      look();
      for (const Flow& flow : expected) {
        if (!arrived.contains(flow)) send(flow);
      }
      return std::ranges::includes(arrived, expected);
    });
    EXPECT_TRUE(all);
    for (const Flow& flow : flows()) {
      EXPECT_EQ(arrived.contains(flow), expected.contains(flow))
          << (flow.from.empty() ? "server" : flow.from) << " to "
          << (flow.to.empty() ? "server" : flow.to) << " over IPv" << (flow.family == 0 ? 4 : 6);
    }
  }
  void expectFlat() {
    const auto all = flows();
    expectToArrive({all.begin(), all.end()});
  }

 private:
  struct Member {
    std::vector<net::IpAddress> addresses;
    std::vector<UniqueFd> sockets;
  };

  static std::vector<net::Cidr> ranges() {
    return {must(net::Cidr::parse("172.29.0.0/16")), must(net::Cidr::parse("fd00:172:29::/64"))};
  }

  void addSockets(const std::string& name, const std::string& path,
                  std::vector<net::IpAddress> addresses) {
    Member member;
    for (const auto& address : addresses) {
      auto socket = must(net::openSocketIn(path, address.isV4() ? AF_INET : AF_INET6,
                                           SOCK_DGRAM | SOCK_NONBLOCK, 0));
      const int large = 4 << 20;
      (void)::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &large, sizeof large);
      socklen_t size = 0;
      const auto own = storageOf(address, size);
      if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&own), size) < 0)
        throw std::runtime_error("bind to " + address.toString());
      member.sockets.push_back(std::move(socket));
    }
    member.addresses = std::move(addresses);
    members_[name] = std::move(member);
  }

  Loop loop_;
  lab::Underlay underlay_;
  std::map<std::string, int> indices_;
  std::map<std::string, std::unique_ptr<NodeProcess>> processes_;
  std::map<std::string, Member> members_;
};

FaultEffects cutting(std::set<std::string> from, std::set<std::string> to) {
  FaultEffects effects;
  effects.losses.push_back({"f1", std::move(from), std::move(to), 1});
  return effects;
}

class LabFaults : public ::testing::TestWithParam<Privilege> {};

TEST_P(LabFaults, APartitionCutsWhatItShouldAndNothingElse) {
  isolated(GetParam(), [] {
    constexpr std::uint64_t kSeed = 7;
    SCOPED_TRACE("seed " + std::to_string(kSeed));
    SeededRng rng(kSeed);
    World world(4);
    world.expectFlat();
    std::vector<std::string> all{kServer};
    for (const auto& [name, index] : world.indices()) all.push_back(name);
    for (int round = 0; round < 12; ++round) {
      SCOPED_TRACE("round " + std::to_string(round));
      std::map<std::string, lab::Fault> faults;
      for (std::uint64_t i = 0; i <= rng.below(2); ++i) {
        lab::Fault fault;
        fault.oneWay = rng.chance(0.5);
        fault.groups.resize(1 + rng.below(2));
        for (const auto& name : all) {
          const auto group = rng.below(fault.groups.size() + 1);
          if (group < fault.groups.size()) fault.groups[group].insert(name);
        }
        faults["f" + std::to_string(i)] = fault;
      }
      const auto effects = lab::effectsOf(faults, world.nodes());
      world.enforce(effects);
      std::set<Flow> expected;
      for (const Flow& flow : world.flows()) {
        const bool cut = std::ranges::any_of(effects.losses, [&](const auto& loss) {
          return loss.from.contains(flow.from) && loss.to.contains(flow.to);
        });
        if (!cut) expected.insert(flow);
      }
      world.expectToArrive(expected);
    }
    world.enforce({});
    world.expectFlat();
  });
}

TEST_P(LabFaults, ANodeThatComesBackIsStillCutOff) {
  isolated(GetParam(), [] {
    World world(2);
    world.enforce(cutting({"node1"}, {"node2"}));
    world.start("node1");
    world.enforce(cutting({"node1"}, {"node2"}));
    auto all = world.flows();
    std::erase_if(all, [](const Flow& flow) { return flow.from == "node1" && flow.to == "node2"; });
    world.expectToArrive({all.begin(), all.end()});
  });
}

TEST_P(LabFaults, ALossIsAShareOfThePackets) {
  isolated(GetParam(), [] {
    constexpr int kPackets = 2000;
    World world(2);
    world.expectFlat();
    FaultEffects effects = cutting({"node1"}, {"node2"});
    effects.losses.front().share = 0.3;
    world.enforce(effects);
    const Flow flow{"node1", "node2", 0};
    int arrived = 0;
    for (int i = 0; i < kPackets; ++i) {
      world.send(flow);
      if (i % 100 == 99) arrived += world.received()[flow];
    }
    // Seven standard deviations to each side.
    EXPECT_NEAR(arrived, kPackets * 0.7, 145);
  });
}

TEST_P(LabFaults, APulledCableCarriesNothing) {
  isolated(GetParam(), [] {
    World world(2);
    world.expectFlat();
    FaultEffects effects;
    effects.links["node1"].down = true;
    world.enforce(effects);
    std::set<Flow> rest;
    for (const Flow& flow : world.flows()) {
      if (flow.from != "node1" && flow.to != "node1") rest.insert(flow);
    }
    world.expectToArrive(rest);
    world.enforce({});
    world.expectFlat();
  });
}

TEST_P(LabFaults, ARateHoldsInBothDirections) {
  isolated(GetParam(), [] {
    if (Status status = lab::Underlay({}, 1500).supports(lab::FaultKind::kRate); !status.ok())
      GTEST_SKIP() << status.message();
    constexpr int kPackets = 100;
    constexpr std::size_t kBytes = 1400;
    World world(3);
    world.expectFlat();
    FaultEffects effects;
    effects.links["node1"].bitsPerSecond = 8'000;  // 140 s for all of them
    world.enforce(effects);
    const auto flood = [&](const Flow& flow) {
      (void)world.received();
      for (int i = 0; i < kPackets; ++i) world.send(flow, kBytes);
      return world.received()[flow];
    };
    EXPECT_LT(flood({"node1", "node2", 0}), kPackets / 2);
    EXPECT_LT(flood({"node2", "node1", 1}), kPackets / 2);
    EXPECT_EQ(flood({"node2", "node3", 0}), kPackets);
    world.enforce({});
    world.expectFlat();
    EXPECT_EQ(flood({"node1", "node2", 0}), kPackets);
    EXPECT_EQ(flood({"node2", "node1", 1}), kPackets);
  });
}

TEST_P(LabFaults, ADelayNeedsNetem) {
  isolated(GetParam(), [] {
    World world(2);
    world.expectFlat();
    const Status supported = world.underlay().supports(lab::FaultKind::kDelay);
    FaultEffects effects;
    auto& link = effects.links["node1"];
    link.delay = seconds(60);  // for longer than a test waits
    for (const std::uint64_t rate : {0U, 1'000'000'000U}) {
      link.bitsPerSecond = rate;
      const Status status = world.underlay().enforce(effects, world.indices());
      EXPECT_EQ(status.code(), supported.code()) << status.toString();
      if (status.ok()) {
        std::set<Flow> quick;
        for (const Flow& flow : world.flows()) {
          if (flow.from != "node1") quick.insert(flow);
        }
        world.expectToArrive(quick);
      } else {
        EXPECT_TRUE(status.is(Code::kHostUnsupported)) << status.toString();
        EXPECT_THAT(status.message(), HasSubstr("not on this kernel: sch_netem is missing"));
      }
    }
    // Whatever has come of it: it can be taken away, and other faults can come.
    link.delay = {};
    world.enforce(effects);
    world.expectFlat();
    world.enforce({});
    world.expectFlat();
    link.delay = milliseconds(20);
    link.jitter = milliseconds(10);
    if (world.underlay().enforce(effects, world.indices()).ok()) world.expectFlat();
  });
}

TEST_P(LabFaults, WhatIsTriedLeavesNothing) {
  isolated(GetParam(), [] {
    World world(1);
    for (const auto kind : {lab::FaultKind::kPartition, lab::FaultKind::kLoss,
                            lab::FaultKind::kDelay, lab::FaultKind::kRate}) {
      (void)world.underlay().supports(kind);
    }
    auto socket = must(net::NetlinkSocket::open());
    std::set<std::string> names;
    for (const auto& link : must(net::listLinks(socket))) names.insert(link.name);
    EXPECT_EQ(names, (std::set<std::string>{"lo", "node1", "underlay"}));
    world.expectFlat();
  });
}

/// A process that counts, and another one that it has started.
class Counters {
 public:
  Counters() {
    void* memory =
        ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("mmap");
    counts_ = static_cast<std::atomic<int>*>(memory);
    pid_ = ::fork();
    if (pid_ != 0) return;
    while (counts_[2] == 0) ::usleep(1000);
    std::atomic<int>& own = ::fork() == 0 ? counts_[1] : counts_[0];
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;; ::usleep(1000)) ++own;
  }
  ~Counters() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    ::munmap(counts_, kBytes);
  }
  Counters(const Counters&) = delete;
  Counters& operator=(const Counters&) = delete;

  pid_t pid() const { return pid_; }
  /// Only then it has children.
  void begin() { counts_[2] = 1; }
  /// Whether each of them counts on.
  bool goOn() const {
    const std::array before{counts_[0].load(), counts_[1].load()};
    ::usleep(100'000);
    return counts_[0] != before[0] && counts_[1] != before[1];
  }
  bool stand() const {
    const std::array before{counts_[0].load(), counts_[1].load()};
    ::usleep(100'000);
    return counts_[0] == before[0] && counts_[1] == before[1];
  }

 private:
  static constexpr std::size_t kBytes = 4096;
  std::atomic<int>* counts_ = nullptr;
  pid_t pid_ = 0;
};

void freezeAndThaw(const Cgroups& cgroups) {
  const std::string lab = "podlab/freezer-test-" + std::to_string(::getpid());
  const lab::NodeFreezer freezer(cgroups, lab);
  Loop loop;
  {
    Counters counters;
    must(freezer.adopt("node1", counters.pid()));
    counters.begin();
    EXPECT_TRUE(loop.eventually([&] { return counters.goOn(); }));
    must(freezer.set("node1", true));
    EXPECT_TRUE(loop.eventually([&] { return counters.stand(); }));
    must(freezer.set("node2", true));  // one that has no processes
    must(freezer.set("node1", false));
    EXPECT_TRUE(loop.eventually([&] { return counters.goOn(); }));
    // As a lab that was killed leaves it.
    must(freezer.set("node1", true));
    thawCgroups(cgroups.of("freezer")->base + "/" + lab);
    EXPECT_TRUE(loop.eventually([&] { return counters.goOn(); }));
  }
  EXPECT_TRUE(
      loop.eventually([&] { return removeCgroup(cgroups.of("freezer")->base + "/" + lab).ok(); }));
  ::rmdir((cgroups.of("freezer")->base + "/podlab").c_str());
}

TEST(NodeFreezer, HoldsAllProcessesOfANode) {
  const Cgroups cgroups = Cgroups::find();
  const Status supported = lab::NodeFreezer(cgroups, "x").supported();
  if (!supported.ok()) GTEST_SKIP() << supported.message();
  freezeAndThaw(cgroups);
}

TEST(NodeFreezer, HoldsThemByTheUnifiedHierarchyOfAHybridHost) {
  const std::string base = "/sys/fs/cgroup/unified";
  if (::access((base + "/cgroup.procs").c_str(), W_OK) != 0)
    GTEST_SKIP() << "no writable cgroup2 at " << base;
  freezeAndThaw(Cgroups({{base, {}, true}}, ""));
}

TEST(NodeFreezer, SaysWhyThereIsNone) {
  const Cgroups none({}, "memory: run as root");
  const lab::NodeFreezer freezer(none, "x");
  EXPECT_TRUE(freezer.adopt("node1", ::getpid()).ok());
  const Status status = freezer.set("node1", true);
  EXPECT_TRUE(status.is(Code::kHostUnsupported));
  EXPECT_THAT(status.message(), HasSubstr("memory: run as root"));
}

INSTANTIATE_TEST_SUITE_P(All, LabFaults,
                         ::testing::Values(Privilege::kRoot, Privilege::kUserNamespace),
                         [](const auto& info) {
                           return info.param == Privilege::kRoot ? "Root" : "Rootless";
                         });

}  // namespace
}  // namespace podlab::test
