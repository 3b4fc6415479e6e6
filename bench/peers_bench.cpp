// 1,000 other nodes programmed into the kernel of one, to the same requests sent raw, in batches
// as large as netlink takes. Needs root; all happens in a network namespace of its own.
//   podlab_peers_bench [ROUNDS]   one figure a line, "name value unit"
#include <linux/netlink.h>
#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "bench/program.hpp"
#include "lab/mounts.hpp"
#include "net/link.hpp"
#include "net/namespaces.hpp"
#include "net/netlink_socket.hpp"
#include "net/node_network.hpp"
#include "node/kernel_dataplane_node.hpp"

namespace podlab {
namespace {

using Steady = std::chrono::steady_clock;
using bench::must;

constexpr std::uint64_t kPeers = 1000;
constexpr std::size_t kBatch = 64 << 10;  // bytes

double millisecondsSince(Steady::time_point begin) {
  return std::chrono::duration<double, std::milli>(Steady::now() - begin).count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

/// A link with an address, as of a machine.
void makeUnderlay(net::NetlinkSocket& socket, const net::IpAddress& address) {
  must(net::raiseLoopback());
  must(socket.execute(net::newBridge("eth0", net::overlayMac(address), 1500)));
  const auto link = must(net::findLink(socket, "eth0"));
  net::LinkAddress own;
  own.linkIndex = link->index;
  own.address = address;
  own.prefix = 16;
  must(socket.execute(net::addAddress(own, true)));
  net::LinkSettings settings;
  settings.up = true;
  must(socket.executeAll(net::adjustLink(*link, settings)));
}

std::vector<node::Peer> peers(const net::Cidr& underlay, const net::Cidr& pods) {
  std::vector<node::Peer> all;
  for (std::uint64_t i = 0; i < kPeers; ++i) {
    node::Peer peer;
    peer.node = "node-" + std::to_string(i);
    peer.underlay = {underlay.at(1000 + i)};
    peer.podRanges = {pods.subnet(24, i + 1)};
    peer.vxlanMac = net::overlayMac(peer.underlay.front());
    all.push_back(std::move(peer));
  }
  return all;
}

/// Requests as they go over the wire, some in a batch, of which the last is acknowledged.
std::vector<std::vector<std::byte>> batchesOf(std::vector<net::NetlinkMessage> messages) {
  std::vector<std::vector<std::byte>> batches(1);
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const std::size_t next = i + 1 < messages.size() ? messages[i + 1].bytes().size() : kBatch;
    const bool last = batches.back().size() + messages[i].bytes().size() + next > kBatch;
    messages[i].setSequence(static_cast<std::uint32_t>(i + 1));
    if (last) messages[i].addFlags(NLM_F_ACK);
    const auto bytes = messages[i].bytes();
    batches.back().insert(batches.back().end(), bytes.begin(), bytes.end());
    if (last && i + 1 < messages.size()) batches.emplace_back();
  }
  return batches;
}

void sendRaw(int fd, const std::vector<std::vector<std::byte>>& batches) {
  std::vector<std::byte> answer(1 << 16);
  for (const auto& batch : batches) {
    if (::send(fd, batch.data(), batch.size(), 0) < 0) must(errnoStatus(errno, "send"));
    const ssize_t size = ::recv(fd, answer.data(), answer.size(), 0);
    if (size < 0) must(errnoStatus(errno, "recv"));
    auto rest = std::span<const std::byte>(answer).first(static_cast<std::size_t>(size));
    while (const auto received = net::nextMessage(rest)) must(net::ackStatus(*received, "raw"));
  }
}

void measure(int rounds) {
  if (::unshare(CLONE_NEWNET | CLONE_NEWNS) < 0) must(errnoStatus(errno, "unshare"));
  must(lab::makeMountsPrivate());
  const net::Cidr underlay = must(net::Cidr::parse("10.0.0.0/16"));
  const net::Cidr pods = must(net::Cidr::parse("10.128.0.0/9"));
  auto socket = must(net::NetlinkSocket::open());
  makeUnderlay(socket, underlay.at(1));

  node::KernelDataplaneOptions options;
  options.nodeIp = underlay.at(1);
  options.pinFolder = "/run/podlab-peers-bench";
  node::KernelDataplaneNode node(options);
  node::NodeNetwork network;
  network.podRanges = {pods.subnet(24, 0)};
  network.clusterRanges = {pods};
  must(node.configure(network));
  const auto all = peers(underlay, pods);

  // The same requests as podlab's: what the tables lack without the peers.
  net::NodeLayout layout;
  layout.ranges = network.podRanges;
  layout.clusterRanges = network.clusterRanges;
  layout.underlay = must(net::findUnderlay(socket, options.nodeIp));
  const net::NodeLinks links = must(net::ensureNode(socket, layout));
  std::vector<net::OverlayPeer> overlay;
  for (const auto& peer : all) {
    overlay.push_back({peer.node, peer.podRanges, peer.underlay, peer.vxlanMac});
  }
  const auto planned = net::planTables(layout, links, overlay);
  must(planned.problem);
  auto requests = net::tableChanges(must(net::readTables(socket, links)), planned.tables);
  std::printf("requests %zu\n", requests.size());
  const auto batches = batchesOf(std::move(requests));
  const UniqueFd raw(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!raw) must(errnoStatus(errno, "socket"));
  const int buffer = 1 << 20;
  ::setsockopt(raw.get(), SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);

  std::vector<double> ours, theirs, ratios;
  const auto one = [&](bool own) {
    const auto begin = Steady::now();
    if (own) {
      must(node.setPeers(all));
    } else {
      sendRaw(raw.get(), batches);
    }
    const double took = millisecondsSince(begin);
    const auto tables = must(net::readTables(socket, links));
    if (tables.routes.size() < kPeers || tables.fdb.size() != kPeers)
      bench::die("entries are missing");
    must(node.setPeers({}));
    return took;
  };
  for (int round = 0; round < rounds + 1; ++round) {
    // Each is as often the first as the second.
    const bool first = round % 2 == 0;
    const double a = one(first), b = one(!first);
    if (round == 0) continue;  // a warm-up
    ours.push_back(first ? a : b);
    theirs.push_back(first ? b : a);
    ratios.push_back(ours.back() / theirs.back());
  }
  std::printf("peers_%d %.2f ms\n", static_cast<int>(kPeers), median(ours));
  std::printf("raw_batches %.2f ms\n", median(theirs));
  std::printf("ratio %.3f\n", median(ratios));
  // A node that comes to a cluster of a thousand.
  std::vector<double> more;
  auto fewer = all;
  fewer.pop_back();
  for (int round = 0; round < rounds; ++round) {
    must(node.setPeers(fewer));
    const auto begin = Steady::now();
    must(node.setPeers(all));
    more.push_back(millisecondsSince(begin));
  }
  std::printf("a_peer_more %.2f ms\n", median(more));
  must(node.removeAll());
}

}  // namespace
}  // namespace podlab

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  podlab::measure(argc > 1 ? std::atoi(argv[1]) : 20);
}
