#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>

#include <asio.hpp>

#include "net/namespaces.hpp"
#include "net/reach_run.hpp"

namespace podlab::net {
namespace {

constexpr std::size_t kOpenBatch = 64;  // sockets made at once
// Connections under way that may still be answered soon: more only wait for each other.
constexpr std::size_t kFreshWindow = 192;
constexpr int kFreshPart = 8;    // of the time-out
constexpr int kConnections = 2;  // tried for a probe that is to be sent once

using Opened = std::pair<std::size_t, Result<UniqueFd>>;

/// Sockets for the probes, grouped by end, each group made in its end's namespace. On a pool
/// thread.
std::vector<Opened> openConnections(const std::vector<ReachEnd>& ends,
                                    const std::vector<std::pair<std::size_t, ProbeKey>>& batch) {
  std::vector<Opened> sockets;
  std::size_t begin = 0;
  while (begin < batch.size()) {
    const std::uint32_t from = batch[begin].second.from;
    std::size_t end = begin;
    while (end < batch.size() && batch[end].second.from == from) ++end;
    const Status entered = inNetworkNamespace(ends[from].networkPath, [&]() -> Status {
      for (std::size_t i = begin; i < end; ++i) {
        sockets.emplace_back(batch[i].first,
                             openReachSocket(batch[i].second.family, SOCK_STREAM, 0));
      }
      return Status();
    });
    for (; begin < end; ++begin) {
      if (!entered) sockets.emplace_back(batch[begin].first, entered);
    }
  }
  return sockets;
}

}  // namespace

void ReachRun::endConnection(std::size_t position, bool decided) {
  const auto found = connections_.find(position);
  if (found != connections_.end()) {
    found->second->close();
    connections_.erase(found);
  }
  Probe& probe = probes[position];
  const bool once = options.count == 1;
  const int tries = once ? kConnections : options.count;
  if ((once && decided) || static_cast<int>(probe.outcome.sent) >= tries) finish(probe);
  progressed_.notifyAll();
}

void ReachRun::connect(std::size_t position, UniqueFd fd) {
  Probe& probe = probes[position];
  const SocketAddress target(probe.target, probe.outcome.key.port);
  probe.sentAt.push_back(clock.now());
  ++probe.outcome.sent;
  if (::connect(fd.get(), target.get(), target.size) < 0 && errno != EINPROGRESS) {
    fail(probe, errno);
    return endConnection(position, true);
  }
  auto socket = std::make_shared<Descriptor>(executor, fd.release());
  connections_[position] = socket;
  await(position, std::move(socket));
}

void ReachRun::await(std::size_t position, std::shared_ptr<Descriptor> socket) {
  // Reach's receiver speaks first; of others it is enough that they have accepted.
  const auto what = probes[position].own ? Descriptor::wait_read : Descriptor::wait_write;
  auto* raw = socket.get();
  raw->async_wait(what, [self = shared_from_this(), position,
                         socket = std::move(socket)](asio::error_code error) {
    if (!error && socket->is_open()) self->connectionReady(position, socket);
  });
}

void ReachRun::connectionReady(std::size_t position, const std::shared_ptr<Descriptor>& socket) {
  Probe& probe = probes[position];
  const std::size_t sequence = probe.sentAt.size() - 1;
  if (!probe.own) {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket->native_handle(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
      fail(probe, error);
    } else {
      answered(probe, sequence);
    }
    return endConnection(position, true);
  }
  std::array<std::byte, ReachPacket::kSize> buffer;
  const ssize_t size = ::recv(socket->native_handle(), buffer.data(), buffer.size(), MSG_WAITALL);
  if (size < 0 && errno == EAGAIN) return await(position, socket);
  if (size < 0) {
    fail(probe, errno);
    return endConnection(position, true);
  }
  answered(probe, sequence);
  if (auto answer = ReachPacket::decode(std::span(buffer).first(static_cast<std::size_t>(size)))) {
    check(probe, *answer);
  } else {
    probe.outcome.error = "connected, but what answered is not a receiver of this session";
  }
  // Nothing more is to be said: a reset spares both ends the wait for it.
  const linger none{1, 0};
  ::setsockopt(socket->native_handle(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
  endConnection(position, true);
}

/// Opens a connection for each, some at once, until all have ended.
Co<void> ReachRun::connectAll(BlockingPool& pool, std::vector<std::size_t> order,
                              Duration timeout) {
  // Both in the order of time; the first are those of the second that are fresh.
  using Begun = std::pair<MonoTime, std::size_t>;
  std::deque<Begun> fresh;
  std::deque<Begun> begun;
  const auto passed = [&](std::deque<Begun>& list, Duration limit) {
    return !list.empty() && (list.front().first + limit <= clock.now() ||
                             !connections_.contains(list.front().second));
  };
  std::size_t next = 0;
  while (next < order.size() || !connections_.empty()) {
    while (passed(fresh, timeout / kFreshPart)) fresh.pop_front();
    while (passed(begun, timeout)) {
      const std::size_t position = begun.front().second;
      begun.pop_front();
      if (connections_.contains(position)) endConnection(position, false);
    }
    const std::size_t wanted = std::min(kOpenBatch, order.size() - next);
    const bool room = connections_.size() + wanted <= kReachWindow && fresh.size() < kFreshWindow;
    if (wanted == 0 || !room) {
      const bool byFresh = wanted > 0 && fresh.size() >= kFreshWindow;
      const MonoTime wake = byFresh         ? fresh.front().first + timeout / kFreshPart
                            : begun.empty() ? clock.now()
                                            : begun.front().first + timeout;
      co_await progressed_.waitUntil(clock, wake);
      continue;
    }
    std::vector<std::pair<std::size_t, ProbeKey>> batch;
    for (const std::size_t until = next + wanted; next < until; ++next) {
      batch.emplace_back(order[next], probes[order[next]].outcome.key);
    }
    auto open = [ends = ends, batch = std::move(batch)] { return openConnections(*ends, batch); };
    auto opened = co_await pool.run(std::move(open));
    for (auto& [position, socket] : opened) {
      if (socket) {
        connect(position, std::move(*socket));
      } else {
        probes[position].trouble = socket.status().message();
        ++probes[position].outcome.sent;
        endConnection(position, true);
      }
      if (!connections_.contains(position)) continue;
      fresh.emplace_back(clock.now(), position);
      begun.push_back(fresh.back());
    }
  }
}

Co<void> ReachRun::runConnections(BlockingPool& pool) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < probes.size(); ++i) {
    if (probes[i].outcome.key.protocol == IPPROTO_TCP) order.push_back(i);
  }
  pending_ = order.size();
  const MonoTime begin = clock.now();
  const bool once = options.count == 1;
  for (int round = 0; round < (once ? kConnections : options.count); ++round) {
    if (round > 0 && !once) co_await clock.sleepUntil(begin + options.interval * round);
    std::vector<std::size_t> wanted = order;
    std::erase_if(wanted, [&](std::size_t position) { return probes[position].done; });
    co_await connectAll(pool, std::move(wanted),
                        once ? options.timeout / kConnections : options.timeout);
  }
}

}  // namespace podlab::net
