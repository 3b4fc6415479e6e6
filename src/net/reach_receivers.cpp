#include "net/reach_receivers.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <set>

#include "net/namespaces.hpp"

namespace podlab::net {
namespace {

constexpr std::size_t kTransportHeader = 8;  // of UDP, and of an ICMP echo

std::uint16_t targetPort(std::span<const std::byte> segment) {
  return static_cast<std::uint16_t>(std::to_integer<int>(segment[2]) << 8 |
                                    std::to_integer<int>(segment[3]));
}

}  // namespace

Status ReachSession::Receivers::open(const std::vector<ReachEnd>& ends, std::uint32_t session,
                                     std::vector<Opened>& opened) {
  Status first;
  for (std::uint32_t i = 0; i < ends.size(); ++i) {
    const ReachEnd& end = ends[i];
    if (!end.local || !end.receives) continue;
    const auto openOne = [&](const IpAddress& address) -> Status {
      std::set<std::uint8_t> observed;
      for (const ReachPort& port : end.ports) {
        if (port.own) {
          const bool tcp = port.protocol == IPPROTO_TCP;
          auto fd = openReceiver(address, port.port, tcp ? SOCK_STREAM : SOCK_DGRAM);
          if (!fd) return fd.status();
          opened.push_back({std::move(*fd), tcp ? Role::kConnections : Role::kDatagrams, i,
                            address.family(), port.protocol});
        }
        if (!observed.insert(port.protocol).second) continue;
        auto fd = openObserver(address, port.protocol, session);
        if (!fd) return fd.status();
        opened.push_back({std::move(*fd), Role::kObserver, i, address.family(), port.protocol});
      }
      return Status();
    };
    const Status status = inNetworkNamespace(end.networkPath, [&]() -> Status {
      Status all;
      for (const IpAddress& address : end.addresses) {
        if (Status one = openOne(address); all.ok()) all = one;
      }
      return all;
    });
    if (first.ok()) first = status;
  }
  return first;
}

ReachSession::Receivers::Receivers(std::uint32_t theSession,
                                   std::shared_ptr<const std::vector<ReachEnd>> theEnds)
    : session_(theSession), ends_(std::move(theEnds)) {
  for (std::uint32_t i = 0; i < ends_->size(); ++i) {
    const ReachEnd& end = (*ends_)[i];
    if (!end.sends) continue;
    for (const IpAddress& address : end.addresses) bySource_.emplace(address, i);
    for (const IpAddress& address : end.otherSources) bySource_.emplace(address, i);
  }
}

void ReachSession::Receivers::add(const asio::any_io_executor& executor, Opened opened) {
  auto socket = std::make_shared<Descriptor>(executor, opened.fd.release());
  sockets_.push_back(socket);
  const int fd = socket->native_handle();
  std::function<void()> handle;
  switch (opened.role) {
    case Role::kDatagrams:
      handle = [this, fd] { answer(fd); };
      break;
    case Role::kConnections:
      return;  // the kernel answers SYNs, and no connection comes to be
    case Role::kObserver:
      handle = [this, fd, end = opened.end, family = opened.family, protocol = opened.protocol] {
        observe(fd, end, family, protocol);
      };
      observers_.push_back(handle);
      break;
  }
  onReadable(socket, shared_from_this(), std::move(handle));
}

void ReachSession::Receivers::answer(int fd) const {
  std::array<std::byte, ReachPacket::kSize> buffer;
  for (int i = 0; i < kReadBurst; ++i) {
    SocketAddress sender;
    ssize_t size = ::recvfrom(fd, buffer.data(), buffer.size(), 0, sender.get(), &sender.size);
    if (size < 0) return;
    auto packet = ReachPacket::decode(std::span(buffer).first(static_cast<std::size_t>(size)));
    if (!packet) continue;
    packet->source = sender.address();
    const auto bytes = packet->encode();
    ::sendto(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL, sender.get(), sender.size);
  }
}

void ReachSession::Receivers::observe(int fd, std::uint32_t end, Family family,
                                      std::uint8_t protocol) {
  std::array<std::byte, 128> buffer;
  for (int i = 0; i < kReadBurst; ++i) {
    SocketAddress sender;
    ssize_t size = ::recvfrom(fd, buffer.data(), buffer.size(), 0, sender.get(), &sender.size);
    if (size < 0) return;
    const auto segment = observedSegment(
        family, std::span<const std::byte>(buffer).first(static_cast<std::size_t>(size)));
    if (segment.size() < kTransportHeader) continue;
    ProbeKey key{0, end, family, protocol, 0};
    if (protocol != IPPROTO_ICMP) key.port = targetPort(segment);
    if (protocol == IPPROTO_TCP) {
      const auto source = sender.address();
      const auto found = source ? bySource_.find(*source) : bySource_.end();
      if (found == bySource_.end()) continue;
      key.from = found->second;
    } else {
      const auto packet = ReachPacket::decode(segment.subspan(kTransportHeader));
      // Answers come by here, too, where the end itself sends.
      if (!packet || packet->source || packet->to != end || packet->from >= ends_->size()) continue;
      key.from = packet->from;
    }
    ++arrivals[key];
  }
}

void ReachSession::Receivers::readAll() {
  for (const auto& observe : observers_) observe();
}

void ReachSession::Receivers::close() {
  for (auto& socket : sockets_) socket->close();
  sockets_.clear();
  observers_.clear();
}

}  // namespace podlab::net
