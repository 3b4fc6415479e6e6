// Network policies on the kernel: how long an update takes, and what policies cost packets. Needs
// root; all happens in namespaces that end with the process.
//   podlab_policy_bench [ROUNDS]   one figure a line, "name value unit"
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bench/program.hpp"
#include "lab/mounts.hpp"
#include "net/namespaces.hpp"
#include "net/node_network.hpp"
#include "net/pod_link.hpp"
#include "net/reach_packet.hpp"
#include "node/kernel_firewall.hpp"
#include "policy/rules.hpp"

namespace podlab {
namespace {

using Steady = std::chrono::steady_clock;
using Policies = std::vector<std::shared_ptr<const networkingv1::NetworkPolicy>>;

const std::string kFolder = "/run/podlab-policy-bench";
constexpr std::size_t kPods = 1000;
constexpr int kPolicies = 100;
constexpr auto kMeasure = std::chrono::milliseconds(400);

using bench::must;

double millisecondsSince(Steady::time_point begin) {
  return std::chrono::duration<double, std::milli>(Steady::now() - begin).count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

corev1::Pod podOf(std::size_t number) {
  corev1::Pod pod;
  pod.mutable_metadata()->set_uid("pod-" + std::to_string(number));
  pod.mutable_metadata()->set_namespace_("default");
  auto& labels = *pod.mutable_metadata()->mutable_labels();
  labels["app"] = "app-" + std::to_string(number % 50);
  labels["index"] = std::to_string(number % 7);
  return pod;
}

/// Policy `number` admits one app on one port, the last one the app of the measured pods on theirs.
/// `all` select every pod; else one app each.
std::shared_ptr<const networkingv1::NetworkPolicy> policyOf(int number, bool all) {
  auto policy = std::make_shared<networkingv1::NetworkPolicy>();
  policy->mutable_metadata()->set_namespace_("default");
  policy->mutable_metadata()->set_name("policy-" + std::to_string(number));
  auto& spec = *policy->mutable_spec();
  spec.mutable_podselector();
  if (!all) {
    (*spec.mutable_podselector()->mutable_matchlabels())["app"] =
        "app-" + std::to_string(number % 50);
  }
  spec.add_policytypes("Ingress");
  auto& rule = *spec.add_ingress();
  (*rule.add_from()->mutable_podselector()->mutable_matchlabels())["app"] =
      "app-" + std::to_string(number % 50);
  auto& port = *rule.add_ports();
  port.set_protocol("TCP");
  port.mutable_port()->set_type(0);
  port.mutable_port()->set_intval(number == kPolicies - 1 ? 7000 : 20000 + number);
  return policy;
}

Policies policiesOf(bool all) {
  Policies policies;
  for (int i = 0; i < kPolicies; ++i) policies.push_back(policyOf(i, all));
  return policies;
}

/// From a change that is known to its being in the kernel: compiled, compared and committed.
void updates(int rounds) {
  if (::unshare(CLONE_NEWNET) < 0) must(errnoStatus(errno, "unshare"));
  const std::map<std::string, api::Labels> namespaces{{"default", {}}};
  policy::PodIndex index;
  const net::IpAddress first = must(net::IpAddress::parse("10.244.0.2"));
  for (std::size_t i = 0; i < kPods; ++i) index.put(podOf(i), {first.plus(i)}, i < 110);
  Policies policies = policiesOf(false);
  node::KernelFirewall firewall("");
  auto begin = Steady::now();
  must(firewall.set(policy::nodeTable(index, namespaces, policies)));
  std::printf("first_table %.2f ms\n", millisecondsSince(begin));
  std::vector<double> pod;
  std::vector<double> changed;
  for (int i = 0; i < rounds * 5; ++i) {
    begin = Steady::now();
    index.put(podOf(kPods + static_cast<std::size_t>(i)),
              {first.plus(kPods + static_cast<std::size_t>(i))}, false);
    must(firewall.set(policy::nodeTable(index, namespaces, policies)));
    pod.push_back(millisecondsSince(begin));
    begin = Steady::now();
    auto copy = std::make_shared<networkingv1::NetworkPolicy>(*policies[5]);
    copy->mutable_spec()->mutable_ingress(0)->mutable_ports(0)->mutable_port()->set_intval(30000 +
                                                                                           i);
    policies[5] = copy;
    must(firewall.set(policy::nodeTable(index, namespaces, policies)));
    changed.push_back(millisecondsSince(begin));
  }
  std::printf("a_pod_more_of_1000 %.2f ms\n", median(pod));
  std::printf("a_policy_changed_of_100 %.2f ms\n", median(changed));
}

/// A node with two pods.
class Node {
 public:
  Node() {
    if (::unshare(CLONE_NEWNET | CLONE_NEWNS) < 0) must(errnoStatus(errno, "unshare"));
    must(lab::makeMountsPrivate());
    must(net::raiseLoopback());
    socket_.emplace(must(net::NetlinkSocket::open()));
    layout_.ranges = {must(net::Cidr::parse("10.244.1.0/24"))};
    layout_.underlay.mtu = 1500;
    layout_.vxlan = false;
    links_ = must(net::ensureNode(*socket_, layout_));
    must(socket_->executeAll(
        net::tableChanges(net::NodeTables(), net::planTables(layout_, links_, {}).tables)));
    pins_.emplace(must(net::NamespacePins::open(kFolder)));
    for (std::uint64_t i = 0; i < 2; ++i) {
      addresses_.push_back(layout_.ranges[0].at(2 + i));
      net::PodLink link{"pod" + std::to_string(i), {addresses_.back()}};
      net::NamespacePins::Wanted wanted;
      const auto connect = [&]() -> Status {
        UniqueFd own(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
        auto inside = must(net::NetlinkSocket::open());
        return net::ensurePodLink(*socket_, inside, own.get(), layout_, links_, link, true)
            .status();
      };
      paths_.push_back(must(pins_->create(link.podUid, wanted, connect)).network);
    }
    firewall_ = std::make_unique<node::KernelFirewall>("");
  }
  ~Node() { (void)pins_->removeAll(); }

  void enforce(const Policies& policies) {
    policy::PodIndex index;
    for (std::size_t i = 0; i < 2; ++i) {
      corev1::Pod pod = podOf(i);
      (*pod.mutable_metadata()->mutable_labels())["app"] = "app-49";
      index.put(pod, {addresses_[i]}, true);
    }
    must(firewall_->set(policy::nodeTable(index, {{"default", {}}}, policies)));
  }
  UniqueFd socket(std::size_t pod) const {
    UniqueFd fd = must(net::openSocketIn(paths_[pod], AF_INET, SOCK_STREAM, 0));
    ::fcntl(fd.get(), F_SETFL, 0);  // blocking
    return fd;
  }
  net::SocketAddress server() const { return {addresses_[1], 7000}; }

 private:
  std::optional<net::NetlinkSocket> socket_;
  net::NodeLayout layout_;
  net::NodeLinks links_;
  std::optional<net::NamespacePins> pins_;
  std::vector<net::IpAddress> addresses_;
  std::vector<std::string> paths_;
  std::unique_ptr<node::KernelFirewall> firewall_;
};

void closeHard(int fd) {
  const linger now{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

/// Accepts for the life of the object; discards what comes.
class Server {
 public:
  explicit Server(const Node& node) : listener_(node.socket(1)) {
    const int on = 1;
    ::setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const auto address = node.server();
    if (::bind(listener_.get(), address.get(), address.size) < 0 ||
        ::listen(listener_.get(), SOMAXCONN) < 0) {
      must(errnoStatus(errno, "listen"));
    }
    thread_ = std::thread([this] { run(); });
  }
  ~Server() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  std::atomic<std::uint64_t> bytes = 0;

 private:
  void run() {
    std::vector<char> buffer(1 << 18);
    for (;;) {
      const UniqueFd client(::accept(listener_.get(), nullptr, nullptr));
      if (!client) return;
      ssize_t size;
      while ((size = ::recv(client.get(), buffer.data(), buffer.size(), 0)) > 0) {
        bytes += static_cast<std::uint64_t>(size);
      }
    }
  }
  UniqueFd listener_;
  std::thread thread_;
};

double connectionsPerSecond(const Node& node) {
  const auto address = node.server();
  const auto begin = Steady::now();
  int count = 0;
  while (Steady::now() - begin < kMeasure) {
    const UniqueFd client = node.socket(0);
    if (::connect(client.get(), address.get(), address.size) < 0) {
      must(errnoStatus(errno, "connect"));
    }
    closeHard(client.get());
    ++count;
  }
  return count / (millisecondsSince(begin) / 1000);
}

double gigabitsPerSecond(const Node& node, Server& server) {
  const auto address = node.server();
  const UniqueFd client = node.socket(0);
  if (::connect(client.get(), address.get(), address.size) < 0) must(errnoStatus(errno, "connect"));
  const std::vector<char> data(1 << 17);
  const std::uint64_t before = server.bytes;
  const auto begin = Steady::now();
  while (Steady::now() - begin < kMeasure) {
    if (::send(client.get(), data.data(), data.size(), 0) < 0) must(errnoStatus(errno, "send"));
  }
  return static_cast<double>(server.bytes - before) * 8 / 1e6 / millisecondsSince(begin);
}

/// Without policies, and with 100 that select other pods, or all these pods, in turns.
void packets(int rounds) {
  Node node;
  Server server(node);
  Policies few = policiesOf(false);
  const Policies all = policiesOf(true);
  struct Case {
    const char* name;
    const Policies policies;
    std::vector<double> connections = {};
    std::vector<double> throughput = {};
  };
  Case cases[] = {{"none", {}}, {"100_policies", few}, {"100_of_each_pod", all}};
  for (int round = 0; round < rounds + 1; ++round) {
    for (Case& one : cases) {
      node.enforce(one.policies);
      const double connections = connectionsPerSecond(node);
      const double throughput = gigabitsPerSecond(node, server);
      if (round == 0) continue;  // a warm-up
      one.connections.push_back(connections);
      one.throughput.push_back(throughput);
    }
  }
  for (const Case& one : cases) {
    std::printf("connections_%s %.0f /s\n", one.name, median(one.connections));
    std::printf("throughput_%s %.2f Gbit/s\n", one.name, median(one.throughput));
  }
  for (const Case& one : {cases[1], cases[2]}) {
    std::vector<double> connections;
    std::vector<double> throughput;
    for (std::size_t i = 0; i < one.connections.size(); ++i) {
      connections.push_back(one.connections[i] / cases[0].connections[i]);
      throughput.push_back(one.throughput[i] / cases[0].throughput[i]);
    }
    std::printf("connections_ratio_%s %.3f\n", one.name, median(connections));
    std::printf("throughput_ratio_%s %.3f\n", one.name, median(throughput));
  }
}

}  // namespace
}  // namespace podlab

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 15;
  podlab::updates(rounds);
  podlab::packets(rounds);
}
