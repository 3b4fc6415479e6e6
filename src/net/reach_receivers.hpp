#pragma once
// Inside src/net only: the receiving side of ReachSession.
#include <cstdint>
#include <map>
#include <memory>
#include <tuple>
#include <unordered_map>
#include <vector>

#include <asio/any_io_executor.hpp>

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

  Receivers(std::uint32_t theSession, std::shared_ptr<const std::vector<ReachEnd>> theEnds);
  void add(const asio::any_io_executor& executor, Opened opened);
  /// Takes in what observers have not read yet.
  void readAll();
  void close();

  std::map<ProbeKey, std::uint32_t> arrivals;

 private:
  void answer(int fd) const;
  void observe(int fd, std::uint32_t end, Family family, std::uint8_t protocol);

  const std::uint32_t session_;
  const std::shared_ptr<const std::vector<ReachEnd>> ends_;
  std::map<IpAddress, std::uint32_t> bySource_;
  std::vector<std::shared_ptr<Descriptor>> sockets_;
  std::vector<std::function<void()>> observers_;
};

}  // namespace podlab::net
