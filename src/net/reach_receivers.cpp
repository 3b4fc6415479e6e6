#include "net/reach_receivers.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <set>
#include <utility>

#include "net/namespaces.hpp"

namespace podlab::net {
namespace {

constexpr std::size_t kTransportHeader = 8;  // of UDP, and of an ICMP echo
/// How long an observer's packets may wait for more: who sends to hundreds of pods sends little to
/// each at a time, and waking for every packet costs as much as the packet.
constexpr Duration kGather = std::chrono::milliseconds(20);

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

std::size_t ReachSession::Receivers::KeyHash::operator()(const ProbeKey& key) const {
  std::uint64_t hash = std::uint64_t{key.from} << 32 | key.to;
  hash ^= (std::uint64_t{key.port} << 16 | std::uint64_t{key.protocol} << 8 |
           static_cast<std::uint64_t>(key.family)) *
          0x9e3779b97f4a7c15;
  hash *= 0xff51afd7ed558ccd;
  return hash ^ hash >> 32;
}

ReachSession::Receivers::Receivers(Clock& clock, std::uint32_t theSession,
                                   std::shared_ptr<const std::vector<ReachEnd>> theEnds)
    : clock_(clock), session_(theSession), ends_(std::move(theEnds)) {
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
  switch (opened.role) {
    case Role::kDatagrams: {
      std::function<void()> handle = [this, fd = socket->native_handle()] { answer(fd); };
      onReadable(socket, shared_from_this(), std::move(handle));
      break;
    }
    case Role::kConnections:
      break;  // the kernel answers SYNs, and no connection comes to be
    case Role::kObserver:
      observers_.push_back({socket, opened.end, opened.family, opened.protocol});
      await(observers_.size() - 1);
      break;
  }
}

void ReachSession::Receivers::await(std::size_t observer) {
  const auto& socket = observers_[observer].socket;
  socket->async_wait(
      Descriptor::wait_read, [self = shared_from_this(), socket, observer](asio::error_code error) {
        if (error || !socket->is_open()) return;
        self->waiting_.push_back(observer);
        if (self->timer_ != 0) return;
        self->timer_ = self->clock_.scheduleIn(kGather, [self] { self->readWaiting(); });
      });
}

void ReachSession::Receivers::readWaiting() {
  timer_ = 0;
  for (const std::size_t observer : std::exchange(waiting_, {})) {
    observe(observers_[observer]);
    await(observer);
  }
}

void ReachSession::Receivers::answer(int fd) {
  for (int i = 0; i < kReadBursts; ++i) {
    const int count = batch_.read(fd);
    for (int at = 0; at < count; ++at) {
      auto packet = ReachPacket::decode(batch_.bytes(at));
      if (!packet) continue;
      const SocketAddress& sender = batch_.sender(at);
      packet->source = sender.address();
      const auto bytes = packet->encode();
      ::sendto(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL, sender.get(), sender.size);
    }
    if (count < static_cast<int>(ReadBatch::kMost)) return;
  }
}

void ReachSession::Receivers::observe(const Observer& observer) {
  int count = 0;
  do {
    count = batch_.read(observer.socket->native_handle());
    for (int at = 0; at < count; ++at) {
      const auto segment = observedSegment(observer.family, batch_.bytes(at));
      if (segment.size() < kTransportHeader) continue;
      ProbeKey key{0, observer.end, observer.family, observer.protocol, 0};
      if (observer.protocol != IPPROTO_ICMP) key.port = targetPort(segment);
      if (observer.protocol == IPPROTO_TCP) {
        const auto source = batch_.sender(at).address();
        const auto found = source ? bySource_.find(*source) : bySource_.end();
        if (found == bySource_.end()) continue;
        key.from = found->second;
      } else {
        const auto packet = ReachPacket::decode(segment.subspan(kTransportHeader));
        if (!packet || packet->to != observer.end || packet->from >= ends_->size()) continue;
        key.from = packet->from;
      }
      ++arrivals[key];
    }
  } while (count == static_cast<int>(ReadBatch::kMost));
}

void ReachSession::Receivers::readAll() {
  for (const auto& observer : observers_) observe(observer);
}

void ReachSession::Receivers::close() {
  if (timer_ != 0) clock_.cancel(std::exchange(timer_, 0));
  for (auto& socket : sockets_) socket->close();
  sockets_.clear();
  observers_.clear();
}

}  // namespace podlab::net
