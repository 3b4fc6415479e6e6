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

constexpr std::size_t kOpenBatch = 256;  // sockets made at once

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

void ReachRun::endConnection(std::size_t position) {
  const auto found = connections_.find(position);
  if (found != connections_.end()) {
    found->second->close();
    connections_.erase(found);
  }
  Probe& probe = probes[position];
  if (static_cast<int>(probe.outcome.sent) >= options.count) finish(probe);
  progressed_.notifyAll();
}

void ReachRun::connect(std::size_t position, UniqueFd fd) {
  Probe& probe = probes[position];
  const SocketAddress target(probe.target, probe.outcome.key.port);
  probe.sentAt.push_back(clock.now());
  ++probe.outcome.sent;
  if (::connect(fd.get(), target.get(), target.size) < 0 && errno != EINPROGRESS) {
    fail(probe, errno);
    return endConnection(position);
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
    return endConnection(position);
  }
  std::array<std::byte, ReachPacket::kSize> buffer;
  const ssize_t size = ::recv(socket->native_handle(), buffer.data(), buffer.size(), MSG_WAITALL);
  if (size < 0 && errno == EAGAIN) return await(position, socket);
  if (size < 0) {
    fail(probe, errno);
    return endConnection(position);
  }
  answered(probe, sequence);
  if (auto answer = ReachPacket::decode(std::span(buffer).first(static_cast<std::size_t>(size)))) {
    check(probe, *answer);
  } else {
    probe.outcome.error = "connected, but what answered is not a receiver of this session";
  }
  endConnection(position);
}

/// Opens a connection for each, some at once, until all have ended.
Co<void> ReachRun::connectAll(BlockingPool& pool, std::vector<std::size_t> order) {
  std::deque<std::pair<MonoTime, std::size_t>> deadlines;  // in the order of time
  std::size_t next = 0;
  while (next < order.size() || !connections_.empty()) {
    const std::size_t wanted = std::min(kOpenBatch, order.size() - next);
    if (wanted > 0 && connections_.size() + wanted <= kReachWindow) {
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
          endConnection(position);
        }
        deadlines.emplace_back(clock.now() + options.timeout, position);
      }
      continue;
    }
    while (!deadlines.empty() && (deadlines.front().first <= clock.now() ||
                                  !connections_.contains(deadlines.front().second))) {
      const std::size_t position = deadlines.front().second;
      deadlines.pop_front();
      if (connections_.contains(position)) endConnection(position);
    }
    if (!deadlines.empty()) co_await progressed_.waitUntil(clock, deadlines.front().first);
  }
}

Co<void> ReachRun::runConnections(BlockingPool& pool) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < probes.size(); ++i) {
    if (probes[i].outcome.key.protocol == IPPROTO_TCP) order.push_back(i);
  }
  pending_ = order.size();
  const MonoTime begin = clock.now();
  for (int round = 0; round < options.count; ++round) {
    if (round > 0) co_await clock.sleepUntil(begin + options.interval * round);
    co_await connectAll(pool, order);
  }
}

}  // namespace podlab::net
