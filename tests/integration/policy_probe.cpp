#include "tests/integration/policy_probe.hpp"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <optional>

#include <netinet/icmp6.h>

#include "net/namespaces.hpp"

namespace podlab::test {
namespace {

using net::Family;
using net::SocketAddress;
using policy::Protocol;
using SteadyClock = std::chrono::steady_clock;

constexpr auto kGiveUp = std::chrono::seconds(8);
constexpr auto kSendAgain = std::chrono::milliseconds(300);
/// What should not pass has as long as this after all that should.
constexpr auto kGrace = std::chrono::milliseconds(15);

int domainOf(Family family) {
  return family == Family::kV4 ? AF_INET : AF_INET6;
}

UniqueFd socketIn(const TestPod& pod, int domain, int type, int protocol = 0) {
  return must(net::openSocketIn(pod.namespaces.network, domain, type, protocol));
}

std::optional<net::IpAddress> addressOf(const TestPod& pod, Family family) {
  for (const auto& address : pod.addresses) {
    if (address.family() == family) return address;
  }
  return std::nullopt;
}

void closeHard(int fd) {
  const linger now{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

}  // namespace

void beginConnect(const UniqueFd& socket, const SocketAddress& address) {
  if (::connect(socket.get(), address.get(), address.size) < 0 && errno != EINPROGRESS) {
    must(errnoStatus(errno, "connect"));
  }
}

struct PolicyProbe::Pod {
  TestPod pod;
  std::map<Family, UniqueFd> client;  // of datagrams
  std::map<Family, UniqueFd> raw;     // of echos
  std::vector<UniqueFd> servers;
};

struct PolicyProbe::Round {
  const std::set<Cell>& expected;
  std::set<Cell> answered;
  std::size_t missing;
  std::map<int, std::pair<UniqueFd, Cell>> connecting;

  void answer(const Cell& cell) {
    if (answered.insert(cell).second && expected.contains(cell)) --missing;
  }
};

PolicyProbe::PolicyProbe(const std::vector<TestPod>& pods, std::vector<std::uint16_t> ports)
    : ports_(std::move(ports)), poll_(::epoll_create1(EPOLL_CLOEXEC)) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  for (std::size_t i = 0; i < pods.size(); ++i) {
    pods_.push_back(std::make_unique<Pod>(Pod{pods[i], {}, {}, {}}));
    open(*pods_.back(), i);
  }
  for (std::size_t from = 0; from < pods.size(); ++from) {
    for (std::size_t to = 0; to < pods.size(); ++to) {
      if (from == to) continue;
      for (const Family family : {Family::kV4, Family::kV6}) {
        if (!addressOf(pods[from], family) || !addressOf(pods[to], family)) continue;
        cells_.push_back({from, to, family, Protocol::kIcmp, 0});
        for (const auto port : ports_) {
          cells_.push_back({from, to, family, Protocol::kTcp, port});
          cells_.push_back({from, to, family, Protocol::kUdp, port});
        }
      }
    }
  }
}

PolicyProbe::~PolicyProbe() = default;

void PolicyProbe::open(Pod& pod, std::size_t index) {
  const auto watch = [&](int fd, std::function<void()> read) {
    epoll_event event{EPOLLIN, {.fd = fd}};
    ::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, fd, &event);
    readers_[fd] = std::move(read);
  };
  const int on = 1;
  for (const Family family : {Family::kV4, Family::kV6}) {
    const auto address = addressOf(pod.pod, family);
    if (!address) continue;
    for (const auto port : ports_) {
      for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
        UniqueFd server = socketIn(pod.pod, domainOf(family), type);
        ::setsockopt(server.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        const SocketAddress local(*address, port);
        if (::bind(server.get(), local.get(), local.size) < 0 ||
            (type == SOCK_STREAM && ::listen(server.get(), SOMAXCONN) < 0)) {
          must(errnoStatus(errno, "listen"));
        }
        const int fd = server.get();
        if (type == SOCK_STREAM) {
          watch(fd, [fd] { acceptAll(fd); });
        } else {
          watch(fd, [this, fd] { answerDatagram(fd); });
        }
        pod.servers.push_back(std::move(server));
      }
    }
    UniqueFd client = socketIn(pod.pod, domainOf(family), SOCK_DGRAM);
    const int fd = client.get();
    watch(fd, [this, fd, family] {
      std::array<std::byte, 128> buffer;
      ssize_t size;
      while ((size = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT)) >= 0 ||
             errno == ECONNREFUSED) {
        if (size < 0) continue;
        const auto packet =
            net::ReachPacket::decode(std::span(buffer).first(static_cast<std::size_t>(size)));
        if (!packet || current_ == nullptr || packet->session >> 16 != round_) continue;
        current_->answer({packet->from, packet->to, family, Protocol::kUdp,
                          static_cast<std::uint16_t>(packet->session)});
      }
    });
    pod.client[family] = std::move(client);
    const bool v4 = family == Family::kV4;
    UniqueFd raw =
        socketIn(pod.pod, domainOf(family), SOCK_RAW, v4 ? int{IPPROTO_ICMP} : int{IPPROTO_ICMPV6});
    const int rawFd = raw.get();
    watch(rawFd, [this, rawFd, family, index] {
      std::array<std::byte, 512> buffer;
      ssize_t size;
      while ((size = ::recv(rawFd, buffer.data(), buffer.size(), MSG_DONTWAIT)) >= 0) {
        const auto payload =
            net::echoReplyPayload(family, static_cast<std::uint16_t>(index + 1),
                                  std::span(buffer).first(static_cast<std::size_t>(size)));
        const auto packet = payload ? net::ReachPacket::decode(*payload) : std::nullopt;
        if (!packet || current_ == nullptr || packet->session >> 16 != round_) continue;
        current_->answer({packet->from, packet->to, family, Protocol::kIcmp, 0});
      }
    });
    pod.raw[family] = std::move(raw);
  }
}

void PolicyProbe::acceptAll(int fd) {
  for (;;) {
    const UniqueFd accepted(::accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!accepted) return;
    closeHard(accepted.get());
  }
}

void PolicyProbe::answerDatagram(int fd) {
  std::array<std::byte, 128> buffer;
  for (;;) {
    SocketAddress peer;
    const ssize_t size =
        ::recvfrom(fd, buffer.data(), buffer.size(), MSG_DONTWAIT, peer.get(), &peer.size);
    if (size < 0 && errno == ECONNREFUSED) continue;
    if (size < 0) return;
    ::sendto(fd, buffer.data(), static_cast<std::size_t>(size), 0, peer.get(), peer.size);
  }
}

std::set<Cell> PolicyProbe::ask(const std::set<Cell>& expected) {
  ++round_;
  Round round{expected, {}, expected.size(), {}};
  current_ = &round;
  const auto send = [&](const Cell& cell) {
    Pod& from = *pods_[cell.from];
    const net::IpAddress target = *addressOf(pods_[cell.to]->pod, cell.family);
    net::ReachPacket packet;
    packet.session = round_ << 16 | cell.port;
    packet.from = static_cast<std::uint32_t>(cell.from);
    packet.to = static_cast<std::uint32_t>(cell.to);
    const auto bytes = packet.encode();
    if (cell.protocol == Protocol::kUdp) {
      const SocketAddress to(target, cell.port);
      ::sendto(from.client[cell.family].get(), bytes.data(), bytes.size(), 0, to.get(), to.size);
    } else if (cell.protocol == Protocol::kIcmp) {
      const SocketAddress to(target, 0);
      const auto echo = net::echoRequest(cell.family, static_cast<std::uint16_t>(cell.from + 1), 1,
                                         bytes, bytes.size());
      ::sendto(from.raw[cell.family].get(), echo.data(), echo.size(), 0, to.get(), to.size);
    } else {
      UniqueFd client = socketIn(from.pod, domainOf(cell.family), SOCK_STREAM);
      const SocketAddress to(target, cell.port);
      beginConnect(client, to);
      closeHard(client.get());
      epoll_event event{EPOLLOUT, {.fd = client.get()}};
      ::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, client.get(), &event);
      const int fd = client.get();
      round.connecting.emplace(fd, std::pair(std::move(client), cell));
    }
  };
  const auto look = [&](int milliseconds) {
    std::array<epoll_event, 256> events;
    const int count =
        ::epoll_wait(poll_.get(), events.data(), static_cast<int>(events.size()), milliseconds);
    for (int i = 0; i < count; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (const auto reader = readers_.find(fd); reader != readers_.end()) {
        reader->second();
        continue;
      }
      const auto connecting = round.connecting.find(fd);
      if (connecting == round.connecting.end()) continue;
      int error = 0;
      socklen_t size = sizeof error;
      ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
      // The other end closes what it has accepted, at once.
      if (error == 0 || error == ECONNRESET) round.answer(connecting->second.second);
      round.connecting.erase(connecting);
    }
    return count;
  };
  int sent = 0;
  for (const Cell& cell : cells_) {
    send(cell);
    // Nobody's buffer is to overflow.
    if (++sent % 64 == 0) {
      while (look(0) > 0) {
      }
    }
  }
  const auto end = SteadyClock::now() + kGiveUp;
  auto again = SteadyClock::now() + kSendAgain;
  while (round.missing > 0 && SteadyClock::now() < end) {
    look(10);
    if (SteadyClock::now() < again) continue;
    again = SteadyClock::now() + kSendAgain;
    for (const Cell& cell : expected) {
      if (cell.protocol != Protocol::kTcp && !round.answered.contains(cell)) send(cell);
    }
  }
  const auto grace = SteadyClock::now() + kGrace;
  while (SteadyClock::now() < grace) look(2);
  current_ = nullptr;
  return round.answered;
}

}  // namespace podlab::test
