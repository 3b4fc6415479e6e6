#include "net/peer_probe.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

#include "common/unique_fd.hpp"
#include "net/reach_packet.hpp"

namespace podlab::net {
namespace {

constexpr int kRounds = 4;
constexpr std::size_t kEchoHeader = 8;
enum Kind : std::uint32_t { kUnderlay, kOverlay, kFull, kKinds };

bool& answerOf(PeerAnswers& answers, std::uint32_t kind) {
  return kind == kUnderlay ? answers.underlay : kind == kOverlay ? answers.overlay : answers.full;
}

/// A raw socket that never fragments what it sends, nor believes a path MTU that it has learned.
Result<UniqueFd> openSocket(Family family) {
  const bool v4 = family == Family::kV4;
  UniqueFd fd(::socket(v4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
                       v4 ? static_cast<int>(IPPROTO_ICMP) : static_cast<int>(IPPROTO_ICMPV6)));
  if (!fd) return errnoStatus(errno, "cannot open a socket for echo requests");
  static_assert(IP_PMTUDISC_PROBE == IPV6_PMTUDISC_PROBE);
  const int probe = IP_PMTUDISC_PROBE;
  if (::setsockopt(fd.get(), v4 ? IPPROTO_IP : IPPROTO_IPV6,
                   v4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER, &probe, sizeof probe) < 0)
    return errnoStatus(errno, "cannot forbid fragments");
  return fd;
}

class Prober {
 public:
  Prober(const std::vector<PeerTarget>& targets, int mtu, std::uint16_t session)
      : targets_(targets), answers_(targets.size()), mtu_(mtu), session_(session) {}

  Status open() {
    for (std::size_t i = 0; i < sockets_.size(); ++i) {
      const Family family = i == 0 ? Family::kV4 : Family::kV6;
      const bool wanted = std::ranges::any_of(targets_, [&](const PeerTarget& target) {
        return target.underlay.family() == family || target.gateway.family() == family;
      });
      if (!wanted) continue;
      auto socket = openSocket(family);
      if (!socket) return socket.status();
      sockets_[i] = std::move(*socket);
    }
    return {};
  }

  void sendMissing() {
    for (std::size_t i = 0; i < targets_.size(); ++i) {
      for (std::uint32_t kind = 0; kind < kKinds; ++kind) {
        if (!answerOf(answers_[i], kind)) send(i, kind);
      }
    }
  }

  /// Takes answers for so long, or until there are all.
  void listen(Duration patience) {
    std::array<pollfd, 2> polled{};
    for (std::size_t i = 0; i < 2; ++i) polled[i] = {sockets_[i].get(), POLLIN, 0};
    const int step = 10;
    for (auto left = std::chrono::ceil<std::chrono::milliseconds>(patience).count();
         left > 0 && !complete(); left -= step) {
      // A wait that answers cut short costs patience, too: these are few.
      if (::poll(polled.data(), polled.size(), step) <= 0) continue;
      for (std::size_t i = 0; i < 2; ++i) {
        if ((polled[i].revents & POLLIN) != 0) takeAll(i);
      }
    }
  }

  bool complete() const {
    return std::ranges::all_of(
        answers_, [](const PeerAnswers& one) { return one.underlay && one.overlay && one.full; });
  }
  const std::vector<PeerAnswers>& answers() const { return answers_; }

 private:
  void send(std::size_t index, std::uint32_t kind) {
    const IpAddress& to = kind == kUnderlay ? targets_[index].underlay : targets_[index].gateway;
    const bool v4 = to.isV4();
    const std::size_t headers = (v4 ? 20 : 40) + kEchoHeader;
    ReachPacket packet;
    packet.session = session_;
    packet.from = kind;
    packet.to = static_cast<std::uint32_t>(index);
    const auto bytes = packet.encode();
    const std::size_t size =
        kind == kFull ? static_cast<std::size_t>(mtu_) - headers : ReachPacket::kSize;
    const auto message = echoRequest(to.family(), session_, 1, bytes, size);
    const SocketAddress address(to, 0);
    // What cannot be sent has no answer.
    (void)::sendto(sockets_[v4 ? 0 : 1].get(), message.data(), message.size(), 0, address.get(),
                   address.size);
  }

  void takeAll(std::size_t which) {
    std::array<std::byte, 65536> buffer;
    for (;;) {
      const ssize_t size = ::recv(sockets_[which].get(), buffer.data(), buffer.size(), 0);
      if (size < 0) return;
      const auto payload =
          echoReplyPayload(which == 0 ? Family::kV4 : Family::kV6, session_,
                           std::span(buffer.data(), static_cast<std::size_t>(size)));
      const auto packet = payload ? ReachPacket::decode(*payload) : std::nullopt;
      if (packet && packet->session == session_ && packet->to < answers_.size() &&
          packet->from < kKinds)
        answerOf(answers_[packet->to], packet->from) = true;
    }
  }

  const std::vector<PeerTarget>& targets_;
  std::vector<PeerAnswers> answers_;
  const int mtu_;
  const std::uint16_t session_;
  std::array<UniqueFd, 2> sockets_;  ///< IPv4, IPv6
};

}  // namespace

Result<std::vector<PeerAnswers>> probePeers(const std::vector<PeerTarget>& targets, int mtu,
                                            std::uint16_t session, Duration patience) {
  Prober prober(targets, mtu, session);
  if (Status opened = prober.open(); !opened) return opened;
  for (int round = 0; round < kRounds && !prober.complete(); ++round) {
    prober.sendMissing();
    prober.listen(patience / kRounds);
  }
  return prober.answers();
}

PeerVerdict judgePeer(const PeerTarget& target, const PeerAnswers& answers, const PeerPath& path) {
  const std::string port = std::to_string(path.vxlanPort);
  const std::string mtu = std::to_string(path.podMtu);
  const std::string there = target.underlay.toString();
  if (answers.full) return {};
  if (answers.overlay) {
    return {"packets of " + mtu + " bytes, which pods may send, are lost on the way to " + there +
                ", smaller ones are not: the path's MTU is less than that of the link",
            "give the links by which the nodes are connected the path's MTU on every machine (ip "
            "link set dev LINK mtu N); pods follow",
            "PathMTUTooSmall"};
  }
  if (answers.underlay && path.vxlan) {
    return {there + " answers, but not through the overlay: UDP port " + port +
                " is closed between the two machines, or its packets are spoilt on the way",
            "let UDP port " + port +
                " pass on both machines and between them; where it does, turn checksum offload "
                "off on the link (ethtool -K LINK tx off)",
            "OverlayBlocked"};
  }
  if (answers.underlay) {
    return {there + " answers, but its pods' bridge does not",
            "backend host-gw needs nodes that share a link, which lets their pods' packets pass; "
            "else use vxlan (networking.backend)",
            "PodBridgeSilent"};
  }
  return {there + " does not answer",
          "see whether the machine is up, and what drops packets between the two: routes, "
          "firewalls, VLANs",
          "PeerUnreachable"};
}

}  // namespace podlab::net
