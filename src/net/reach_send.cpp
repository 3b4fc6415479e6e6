// clang-format off
#include <ctime>  // linux/errqueue.h needs timespec
#include <linux/errqueue.h>
// clang-format on
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <numeric>

#include <asio.hpp>

#include "net/namespaces.hpp"
#include "net/reach_run.hpp"

namespace podlab::net {
namespace {

constexpr int kSendBurst = 64;  // datagrams sent before answers are looked at
constexpr int kErrorBurst = 256;
constexpr int kTransmissions = 3;  // of a probe that is to be sent once
constexpr int kIpHeader[] = {20, 40};
constexpr int kTransportHeader = 8;  // of UDP, and of an ICMP echo

struct OpenedSender {
  std::uint32_t end = 0;
  Family family = Family::kV4;
  UniqueFd icmp;
  UniqueFd udp;
  UniqueFd tcp;
  UniqueFd lookup;
  std::string problem;
};

/// The sockets of the local senders. On a pool thread.
std::vector<OpenedSender> openSenders(const std::vector<ReachEnd>& ends, bool whole) {
  std::vector<OpenedSender> all;
  for (std::uint32_t i = 0; i < ends.size(); ++i) {
    const ReachEnd& end = ends[i];
    if (!end.local || !end.sends) continue;
    for (const IpAddress& address : end.addresses) {
      OpenedSender& sender = all.emplace_back();
      sender.end = i;
      sender.family = address.family();
      const Status status = inNetworkNamespace(end.networkPath, [&]() -> Status {
        auto icmp = openSender(address.family(), IPPROTO_ICMP, whole);
        if (!icmp) return icmp.status();
        auto udp = openSender(address.family(), IPPROTO_UDP, whole);
        if (!udp) return udp.status();
        auto tcp = openSender(address.family(), IPPROTO_TCP, false);
        if (!tcp) return tcp.status();
        auto lookup = openReachSocket(address.family(), SOCK_DGRAM, 0);
        if (!lookup) return lookup.status();
        sender.tcp = std::move(*tcp);
        sender.lookup = std::move(*lookup);
        sender.icmp = std::move(*icmp);
        sender.udp = std::move(*udp);
        return Status();
      });
      if (!status) sender.problem = status.message();
    }
  }
  return all;
}

}  // namespace

void ReachRun::watch(const std::shared_ptr<Descriptor>& socket, std::uint32_t end, Family family,
                     std::uint8_t protocol) {
  std::function<void()> handle = [this, fd = socket->native_handle(), end, family, protocol] {
    read(fd, end, family, protocol);
  };
  onReadable(socket, shared_from_this(), std::move(handle));
}

/// Of pods it is theirs; a node has several.
std::optional<IpAddress> ReachRun::sourceOf(const Probe& probe, const Sender& sender) const {
  const ReachEnd& end = (*ends)[probe.outcome.key.from];
  if (end.otherSources.empty()) return addressOf(end.addresses, probe.outcome.key.family);
  // A socket that has been connected keeps its address until it is told to forget.
  const sockaddr nobody{AF_UNSPEC, {}};
  const SocketAddress target(probe.target, kReachPort);
  SocketAddress own;
  if (::connect(sender.lookup.get(), &nobody, sizeof nobody) < 0 ||
      ::connect(sender.lookup.get(), target.get(), target.size) < 0 ||
      ::getsockname(sender.lookup.get(), own.get(), &own.size) < 0) {
    return std::nullopt;
  }
  return own.address();
}

std::uint32_t ReachRun::synNumber(const Probe& probe) const {
  const auto position = static_cast<std::uint32_t>(&probe - probes.data());
  const auto packet = static_cast<std::uint32_t>(probe.sentAt.size()) & 0xff;
  return (position << 8 | packet) ^ session;
}

std::pair<ReachRun::Probe*, std::size_t> ReachRun::findSyn(std::uint32_t number) {
  number ^= session;
  const std::size_t position = number >> 8;
  if (position >= probes.size()) return {nullptr, 0};
  Probe& probe = probes[position];
  if (probe.outcome.key.protocol != IPPROTO_TCP || probe.sentAt.empty()) return {nullptr, 0};
  // The last one that ends in these bits.
  const std::size_t last = probe.sentAt.size() - 1;
  return {&probe, last - ((last - (number & 0xff)) & 0xff)};
}

/// What answers a SYN: one with an acknowledgement, or a reset.
void ReachRun::readSegment(std::uint32_t end, Family family, const SocketAddress& sender,
                           std::span<const std::byte> packet) {
  const auto segment = TcpSegment::parse(observedSegment(family, packet));
  if (!segment) return;
  const auto [probe, sequence] = findSyn(segment->acknowledgement - 1);
  if (probe == nullptr || probe->done || probe->outcome.key.from != end ||
      probe->outcome.key.port != segment->sourcePort || sender.address() != probe->target) {
    return;
  }
  if (segment->reset) {
    fail(*probe, ECONNREFUSED);
    if (options.count == 1) finish(*probe);
    return;
  }
  answered(*probe, sequence);
  if (static_cast<int>(probe->outcome.answered) >= options.count) finish(*probe);
}

void ReachRun::readAnswer(std::uint32_t end, Family family, std::uint8_t protocol,
                          const SocketAddress& sender, std::span<const std::byte> bytes) {
  if (protocol == IPPROTO_TCP) return readSegment(end, family, sender, bytes);
  if (protocol == IPPROTO_ICMP) {
    auto payload = echoReplyPayload(family, echoId(end), bytes);
    if (!payload) return;
    bytes = *payload;
  }
  // An answer by an address that was not asked leaves the probe to its time-out.
  Probe* probe = find(end, protocol, sender);
  if (probe == nullptr || probe->done) return;
  if (probe->own) {
    auto answer = ReachPacket::decode(bytes);
    if (!answer || answer->session != session || answer->from != end) return;
    check(*probe, *answer);
    answered(*probe, answer->sequence);
  } else {
    // Whatever a program has to say to it.
    answered(*probe, probe->sentAt.size() - 1);
  }
  if (static_cast<int>(probe->outcome.answered) >= options.count) finish(*probe);
}

/// Reads answers and errors of one end's socket.
void ReachRun::read(int fd, std::uint32_t end, Family family, std::uint8_t protocol, bool failed) {
  for (int i = 0; i < kReadBursts; ++i) {
    const int count = batch_.read(fd);
    if (count < 0 && errno == EAGAIN) {
      failed |= i == 0;  // why else would it have woken
      break;
    }
    if (count < 0) {  // a queued error; its details are below
      failed = true;
      continue;
    }
    for (int at = 0; at < count; ++at) {
      readAnswer(end, family, protocol, batch_.sender(at), batch_.bytes(at));
    }
    if (count < static_cast<int>(ReadBatch::kMost)) break;
  }
  if (failed) readErrors(fd, end, protocol);
}

void ReachRun::readErrors(int fd, std::uint32_t end, std::uint8_t protocol) {
  for (int i = 0; i < kErrorBurst; ++i) {
    SocketAddress target;
    std::array<std::byte, 64> payload;
    alignas(cmsghdr) std::array<std::byte, 512> control;
    iovec part{payload.data(), payload.size()};
    msghdr message{};
    message.msg_name = target.get();
    message.msg_namelen = target.size;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t size = ::recvmsg(fd, &message, MSG_ERRQUEUE);
    if (size < 0) return;
    for (cmsghdr* item = CMSG_FIRSTHDR(&message); item != nullptr;
         item = CMSG_NXTHDR(&message, item)) {
      const bool extended = (item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_RECVERR) ||
                            (item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_RECVERR);
      Probe* probe = protocol == IPPROTO_TCP
                         ? findSyn(TcpSegment::sequenceAt(std::span<const std::byte>(payload).first(
                                       static_cast<std::size_t>(size))))
                               .first
                         : find(end, protocol, target);
      if (!extended || probe == nullptr || probe->done) continue;
      sock_extended_err error;
      std::memcpy(&error, CMSG_DATA(item), sizeof error);
      SocketAddress offender;
      std::memcpy(
          &offender.storage, CMSG_DATA(item) + sizeof error,
          std::min<std::size_t>(item->cmsg_len - CMSG_LEN(sizeof error), sizeof offender.storage));
      const bool remote = error.ee_origin != SO_EE_ORIGIN_LOCAL && offender.address();
      fail(*probe, static_cast<int>(error.ee_errno),
           remote ? offender.address()->toString() : std::string());
      if (options.count == 1) finish(*probe);
    }
  }
}

void ReachRun::transmit(Probe& probe) {
  const ProbeKey& key = probe.outcome.key;
  const Sender& sender = senders_[{key.from, key.family}];
  if (!sender.problem.empty()) {
    probe.trouble = sender.problem;
    return finish(probe);
  }
  const bool udp = key.protocol == IPPROTO_UDP;
  const bool tcp = key.protocol == IPPROTO_TCP;
  const auto sequence = static_cast<std::uint16_t>(probe.sentAt.size());
  const auto bytes = ReachPacket{session, key.from, key.to, std::nullopt, sequence}.encode();
  const int headers = kIpHeader[key.family == Family::kV4 ? 0 : 1] + kTransportHeader;
  const auto size = static_cast<std::size_t>(
      std::max(options.packetSize - headers, static_cast<int>(ReachPacket::kSize)));
  std::vector<std::byte> datagram(bytes.begin(), bytes.end());
  if (tcp) {
    const auto source = sourceOf(probe, sender);
    if (!source) {
      fail(probe, ENETUNREACH);
      ++probe.outcome.sent;
      return finish(probe);
    }
    datagram = synSegment(*source, probe.target, key.port, synNumber(probe));
  } else if (udp) {
    datagram.resize(size);
  } else {
    datagram =
        echoRequest(key.family, echoId(key.from), static_cast<std::uint16_t>(key.to), bytes, size);
  }
  const SocketAddress target(probe.target, udp ? key.port : std::uint16_t{0});
  const int fd = (tcp ? sender.tcp : udp ? sender.udp : sender.icmp)->native_handle();
  probe.sentAt.push_back(clock.now());
  ++probe.outcome.sent;
  if (::sendto(fd, datagram.data(), datagram.size(), MSG_NOSIGNAL, target.get(), target.size) >=
      0) {
    return;
  }
  const int error = errno;
  // A full queue, or an earlier error of this socket that is told now: a later transmission or
  // the error queue decides.
  if (error == EAGAIN || error == ENOBUFS || error == EINTR || error == ECONNREFUSED ||
      error == EHOSTUNREACH || error == ENETUNREACH) {
    read(fd, key.from, key.family, key.protocol, /*failed=*/true);
    if (probe.done) return;
    if (error != EHOSTUNREACH && error != ENETUNREACH) return;
  }
  fail(probe, error);
  if (options.count == 1) finish(probe);
}

Co<void> ReachRun::sendRound(std::vector<std::size_t> order) {
  int burst = 0;
  for (std::size_t position : order) {
    Probe& probe = probes[position];
    if (probe.done) continue;
    transmit(probe);
    if (++burst % kSendBurst == 0) co_await asio::post(executor, asio::use_awaitable);
  }
}

Co<void> ReachRun::waitUntil(MonoTime until) {
  while (pending_ > 0 && co_await progressed_.waitUntil(clock, until)) {
  }
}

Co<void> ReachRun::send(BlockingPool& pool) {
  auto open = [ends = ends, whole = options.packetSize > 0] { return openSenders(*ends, whole); };
  auto opened = co_await pool.run(std::move(open));
  for (OpenedSender& one : opened) {
    Sender& sender = senders_[{one.end, one.family}];
    sender.problem = std::move(one.problem);
    if (!sender.problem.empty()) continue;
    sender.icmp = std::make_shared<Descriptor>(executor, one.icmp.release());
    sender.udp = std::make_shared<Descriptor>(executor, one.udp.release());
    watch(sender.icmp, one.end, one.family, IPPROTO_ICMP);
    sender.tcp = std::make_shared<Descriptor>(executor, one.tcp.release());
    sender.lookup = std::move(one.lookup);
    watch(sender.udp, one.end, one.family, IPPROTO_UDP);
    watch(sender.tcp, one.end, one.family, IPPROTO_TCP);
  }
  std::vector<std::size_t> order(probes.size());
  std::iota(order.begin(), order.end(), 0);
  pending_ = order.size();
  const MonoTime begin = clock.now();
  const int rounds = options.count == 1 ? kTransmissions : options.count;
  const Duration pause = options.count == 1 ? options.timeout / kTransmissions : options.interval;
  for (int round = 1; round <= rounds && pending_ > 0; ++round) {
    co_await sendRound(order);
    if (round == rounds) break;
    // Sending may take longer than the pause: what was sent last has its time all the same.
    co_await waitUntil(options.count == 1 ? clock.now() + pause : begin + pause * round);
  }
  co_await waitUntil(clock.now() +
                     (options.count == 1 ? options.timeout / kTransmissions : options.timeout));
  for (std::size_t position : order) finish(probes[position]);
}

}  // namespace podlab::net
