#pragma once
// Inside src/net only: the receiving side of ReachSession.
#include <cstdint>
#include <map>
#include <memory>
#include <tuple>
#include <unordered_map>
#include <vector>

#include <asio/any_io_executor.hpp>

#include "common/clock.hpp"
#include "common/unique_fd.hpp"
#include "net/reach.hpp"
#include "net/reach_packet.hpp"
#include "net/reach_socket.hpp"

namespace podlab::net {

/// Reach's own receivers, which answer, and the observers, which count. Handlers own it.
struct ReachSession::Receivers : std::enable_shared_from_this<Receivers> {
  enum class Role : std::uint8_t { kDatagrams, kConnections, kObserver };
  /// A socket that was opened for an end.
  struct Opened {
    UniqueFd fd;
    Role role = Role::kObserver;
    std::uint32_t end = 0;
    Family family = Family::kV4;
    std::uint8_t protocol = 0;
  };
  /// Opens what the local receivers of `ends` need; the first failure. On a pool thread.
  static Status open(const std::vector<ReachEnd>& ends, std::uint32_t session,
                     std::vector<Opened>& opened);

  Receivers(Clock& clock, std::uint32_t theSession,
            std::shared_ptr<const std::vector<ReachEnd>> theEnds);
  void add(const asio::any_io_executor& executor, Opened opened);
  /// Takes in what observers have not read yet.
  void readAll();
  void close();

  struct KeyHash {
    std::size_t operator()(const ProbeKey& key) const;
  };
  std::unordered_map<ProbeKey, std::uint32_t, KeyHash> arrivals;

 private:
  struct Observer {
    std::shared_ptr<Descriptor> socket;
    std::uint32_t end = 0;
    Family family = Family::kV4;
    std::uint8_t protocol = 0;
  };
  void answer(int fd);
  void await(std::size_t observer);
  void readWaiting();
  void observe(const Observer& observer);

  Clock& clock_;
  const std::uint32_t session_;
  const std::shared_ptr<const std::vector<ReachEnd>> ends_;
  std::map<IpAddress, std::uint32_t> bySource_;
  std::vector<std::shared_ptr<Descriptor>> sockets_;
  std::vector<Observer> observers_;
  std::vector<std::size_t> waiting_;  ///< observers that have something to read
  Clock::TimerId timer_ = 0;          ///< that ends the wait
  ReadBatch batch_;
};

}  // namespace podlab::net
