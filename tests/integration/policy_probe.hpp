#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/unique_fd.hpp"
#include "net/address.hpp"
#include "net/reach_packet.hpp"
#include "policy/protocol.hpp"
#include "tests/integration/net_fixture.hpp"

namespace podlab::test {

/// The connection is there when the socket can be written to.
void beginConnect(const UniqueFd& socket, const net::SocketAddress& address);

/// One question that a policy answers: may this pod open that to the other?
struct Cell {
  std::size_t from = 0;
  std::size_t to = 0;
  net::Family family = net::Family::kV4;
  policy::Protocol protocol = policy::Protocol::kTcp;
  std::uint16_t port = 0;  ///< 0 of ICMP
  auto operator<=>(const Cell&) const = default;
};

/// Sends real packets between pods, all cells at once: connects, datagrams and echos, each with its
/// answer. Servers listen in every pod on each of the ports.
class PolicyProbe {
 public:
  PolicyProbe(const std::vector<TestPod>& pods, std::vector<std::uint16_t> ports);
  ~PolicyProbe();

  /// Every cell but of a pod to itself.
  const std::vector<Cell>& cells() const { return cells_; }
  /// The cells that were answered. Returns soon after all of `expected` were, or after some
  /// seconds.
  std::set<Cell> ask(const std::set<Cell>& expected);

 private:
  struct Pod;
  struct Round;
  void open(Pod& pod, std::size_t index);
  void answerDatagram(int fd);
  static void acceptAll(int fd);

  std::vector<std::uint16_t> ports_;
  std::vector<std::unique_ptr<Pod>> pods_;
  std::vector<Cell> cells_;
  UniqueFd poll_;
  std::map<int, std::function<void()>> readers_;
  std::uint32_t round_ = 0;
  Round* current_ = nullptr;
};

}  // namespace podlab::test
