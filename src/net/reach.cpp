#include "net/reach.hpp"

#include <linux/errqueue.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <functional>
#include <map>
#include <utility>

#include <asio.hpp>
#include <netinet/icmp6.h>

#include "common/sync.hpp"
#include "common/time.hpp"
#include "common/unique_fd.hpp"
#include "net/namespaces.hpp"
#include "net/reach_packet.hpp"

namespace podlab::net {
namespace {

using Descriptor = asio::posix::stream_descriptor;

constexpr int kTcpBatch = 512;     // connections open at once
constexpr int kSendBurst = 64;     // datagrams sent before answers are looked at
constexpr int kReadBurst = 256;    // datagrams read before others have their turn
constexpr int kTransmissions = 3;  // of a datagram: a full receive buffer is not a broken network
constexpr int kIpHeader[] = {20, 40};
constexpr int kTransportHeader = 8;  // of UDP, and of an ICMP echo

std::uint8_t icmpOf(Family family) {
  return family == Family::kV4 ? std::uint8_t{IPPROTO_ICMP} : std::uint8_t{IPPROTO_ICMPV6};
}

int domainOf(Family family) {
  return family == Family::kV4 ? AF_INET : AF_INET6;
}

std::optional<IpAddress> addressOf(const std::vector<IpAddress>& addresses, Family family) {
  for (const IpAddress& address : addresses) {
    if (address.family() == family) return address;
  }
  return std::nullopt;
}

std::string errorText(int error) {
  const char* text = strerrordesc_np(error);
  std::string lower(text != nullptr ? text : "error " + std::to_string(error));
  if (!lower.empty()) lower[0] = static_cast<char>(std::tolower(lower[0]));
  return lower;
}

/// In the thread's present network namespace.
Result<UniqueFd> openSocket(int domain, int type, int protocol) {
  UniqueFd fd(::socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
  if (!fd) return errnoStatus(errno, "open a socket");
  return fd;
}

Status setOption(int fd, int level, int name, int value) {
  if (::setsockopt(fd, level, name, &value, sizeof value) == 0) return Status();
  return errnoStatus(errno, "set a socket option");
}

Result<UniqueFd> openReceiver(const IpAddress& address, std::uint16_t port, int type) {
  auto fd = openSocket(domainOf(address.family()), type, 0);
  if (!fd) return fd.status();
  if (Status status = setOption(fd->get(), SOL_SOCKET, SO_REUSEADDR, 1); !status) return status;
  const SocketAddress local(address, port);
  if (::bind(fd->get(), local.get(), local.size) < 0 ||
      (type == SOCK_STREAM && ::listen(fd->get(), SOMAXCONN) < 0)) {
    return errnoStatus(errno, "listen on " + address.toString() + " port " + std::to_string(port));
  }
  return fd;
}

/// A socket for the probes of one pod: errors on the way are queued with their origin, and with
/// `whole` nothing is fragmented.
Result<UniqueFd> openSender(Family family, bool icmp, bool whole) {
  const bool v4 = family == Family::kV4;
  auto fd = icmp ? openSocket(domainOf(family), SOCK_RAW, icmpOf(family))
                 : openSocket(domainOf(family), SOCK_DGRAM, 0);
  if (!fd) return fd.status();
  const int level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
  Status status = setOption(fd->get(), level, v4 ? IP_RECVERR : IPV6_RECVERR, 1);
  if (status && whole) {
    status = setOption(fd->get(), level, v4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER,
                       IP_PMTUDISC_DO);  // IPV6_PMTUDISC_DO is the same
  }
  if (status && whole && !v4) status = setOption(fd->get(), level, IPV6_DONTFRAG, 1);
  if (status && icmp && v4) {
    constexpr int kIcmpFilter = 1;  // ICMP_FILTER of linux/icmp.h: a mask of types not wanted
    status = setOption(fd->get(), SOL_RAW, kIcmpFilter, ~(1 << 0));
  }
  if (status && icmp && !v4) {
    icmp6_filter filter;
    ICMP6_FILTER_SETBLOCKALL(&filter);
    ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
    if (::setsockopt(fd->get(), IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter) < 0) {
      status = errnoStatus(errno, "set a socket option");
    }
  }
  if (!status) return status;
  return fd;
}

/// Calls `handle` whenever the descriptor may be read or has an error, until it is closed. `owner`
/// keeps what `handle` uses alive.
void onReadable(const std::shared_ptr<Descriptor>& descriptor, std::shared_ptr<void> owner,
                std::function<void()> handle) {
  descriptor->async_wait(Descriptor::wait_read,
                         [descriptor, owner = std::move(owner),
                          handle = std::move(handle)](asio::error_code error) mutable {
                           if (error || !descriptor->is_open()) return;
                           handle();
                           if (descriptor->is_open())
                             onReadable(descriptor, std::move(owner), std::move(handle));
                         });
}

}  // namespace

// ------------------------------------------------------------------------------------------------
// receivers

struct ReachSession::Receivers : std::enable_shared_from_this<Receivers> {
  std::uint32_t session = 0;
  std::vector<std::shared_ptr<Descriptor>> sockets;

  void add(const asio::any_io_executor& executor, UniqueFd fd, std::uint32_t index, bool tcp) {
    auto socket = std::make_shared<Descriptor>(executor, fd.release());
    sockets.push_back(socket);
    const int native = socket->native_handle();
    std::function<void()> handle = [this, native, index, tcp] {
      tcp ? accept(native, index) : answer(native);
    };
    onReadable(socket, shared_from_this(), std::move(handle));
  }

  void answer(int fd) const {
    std::array<std::byte, ReachPacket::kSize> buffer;
    for (int i = 0; i < kReadBurst; ++i) {
      SocketAddress sender;
      ssize_t size = ::recvfrom(fd, buffer.data(), buffer.size(), 0, sender.get(), &sender.size);
      if (size < 0) return;
      auto packet = ReachPacket::decode(std::span(buffer).first(static_cast<std::size_t>(size)));
      if (!packet || packet->session != session) continue;
      packet->source = sender.address();
      const auto bytes = packet->encode();
      ::sendto(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL, sender.get(), sender.size);
    }
  }

  void accept(int listener, std::uint32_t index) const {
    for (int i = 0; i < kReadBurst; ++i) {
      SocketAddress sender;
      UniqueFd fd(::accept4(listener, sender.get(), &sender.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!fd) return;
      ReachPacket packet{session, 0, index, sender.address()};
      const auto bytes = packet.encode();
      // An empty send buffer holds the answer, and closing delivers it.
      ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    }
  }

  void close() {
    for (auto& socket : sockets) socket->close();
    sockets.clear();
  }
};

// ------------------------------------------------------------------------------------------------
// sending

namespace {

struct Probe {
  ProbeOutcome outcome;
  IpAddress source;
  IpAddress target;
  std::uint32_t pod = 0;  // position in the session's local pods
  MonoTime sentAt{};
  bool done = false;
};

/// The sockets of one pod and family.
struct Sender {
  UniqueFd icmpFd;
  UniqueFd udpFd;
  std::shared_ptr<Descriptor> icmp;
  std::shared_ptr<Descriptor> udp;
  std::string problem;  // why they could not be opened
};

/// One send(): the probes and what waits for them. Handlers own it.
struct Run : std::enable_shared_from_this<Run> {
  Run(asio::any_io_executor theExecutor, Clock& theClock)
      : executor(std::move(theExecutor)), clock(theClock) {}

  asio::any_io_executor executor;
  Clock& clock;
  std::uint32_t session = 0;
  std::uint16_t port = 0;
  ReachOptions options;
  std::vector<ReachPod> pods;
  std::vector<Probe> probes;
  std::map<std::pair<std::uint32_t, Family>, Sender> senders;
  // Where a pod's probe of a family and protocol to a target is.
  std::map<std::tuple<std::uint32_t, std::uint8_t, Family, IpAddress>, std::size_t> byTarget;
  std::vector<std::shared_ptr<Descriptor>> connections;
  std::size_t pending = 0;
  WaitQueue finished;

  std::uint16_t echoId(std::uint32_t pod) const {
    return static_cast<std::uint16_t>(session * 31 + pods[pod].index);
  }

  void finish(Probe& probe, std::string error) {
    if (probe.done) return;
    probe.done = true;
    probe.outcome.ok = error.empty();
    probe.outcome.error = std::move(error);
    probe.outcome.rtt = clock.now() - probe.sentAt;
    if (--pending == 0) finished.notifyAll();
  }

  void finishWithAnswer(Probe& probe, const ReachPacket& answer) {
    probe.outcome.observedSource = answer.source;
    std::string error;
    if (answer.session != session || answer.to != probe.outcome.to) {
      error = "another receiver answered";
    } else if (answer.source && *answer.source != probe.source) {
      error = "source seen as " + answer.source->toString() + ", not " + probe.source.toString();
    }
    finish(probe, std::move(error));
  }

  Probe* find(std::uint32_t pod, std::uint8_t protocol, const std::optional<IpAddress>& target) {
    if (!target) return nullptr;
    auto found = byTarget.find({pod, protocol, target->family(), *target});
    return found == byTarget.end() ? nullptr : &probes[found->second];
  }

  /// Reads answers and errors of one pod's datagram socket.
  void read(int fd, std::uint32_t pod, Family family, std::uint8_t protocol) {
    std::array<std::byte, 512> buffer;
    for (int i = 0; i < kReadBurst; ++i) {
      SocketAddress sender;
      ssize_t size = ::recvfrom(fd, buffer.data(), buffer.size(), 0, sender.get(), &sender.size);
      if (size < 0 && errno == EAGAIN) break;
      if (size < 0) continue;  // a queued error; its details are below
      auto bytes = std::span<const std::byte>(buffer).first(static_cast<std::size_t>(size));
      if (protocol != IPPROTO_UDP) {
        auto payload = echoReplyPayload(family, echoId(pod), bytes);
        if (!payload) continue;
        bytes = *payload;
      }
      auto answer = ReachPacket::decode(bytes);
      if (!answer || answer->session != session || answer->from != pods[pod].index) continue;
      // An answer by an address that was not asked leaves the probe to its time-out.
      if (Probe* probe = find(pod, protocol, sender.address())) finishWithAnswer(*probe, *answer);
    }
    readErrors(fd, pod, protocol);
  }

  void readErrors(int fd, std::uint32_t pod, std::uint8_t protocol) {
    for (int i = 0; i < kReadBurst; ++i) {
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
      if (::recvmsg(fd, &message, MSG_ERRQUEUE) < 0) return;
      for (cmsghdr* item = CMSG_FIRSTHDR(&message); item != nullptr;
           item = CMSG_NXTHDR(&message, item)) {
        const bool extended = (item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_RECVERR) ||
                              (item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_RECVERR);
        Probe* probe = find(pod, protocol, target.address());
        if (!extended || probe == nullptr) continue;
        sock_extended_err error;
        std::memcpy(&error, CMSG_DATA(item), sizeof error);
        SocketAddress offender;
        std::memcpy(&offender.storage, CMSG_DATA(item) + sizeof error,
                    std::min<std::size_t>(item->cmsg_len - CMSG_LEN(sizeof error),
                                          sizeof offender.storage));
        std::string text = errorText(static_cast<int>(error.ee_errno));
        if (error.ee_origin != SO_EE_ORIGIN_LOCAL && offender.address()) {
          text += ", says " + offender.address()->toString();
        }
        finish(*probe, std::move(text));
      }
    }
  }

  void transmit(Probe& probe) {
    Sender& sender = senders[{probe.pod, probe.outcome.family}];
    if (!sender.problem.empty()) return finish(probe, sender.problem);
    const bool udp = probe.outcome.protocol == IPPROTO_UDP;
    const ReachPacket packet{session, probe.outcome.from, probe.outcome.to, std::nullopt};
    const auto bytes = packet.encode();
    const int headers = kIpHeader[probe.outcome.family == Family::kV4 ? 0 : 1] + kTransportHeader;
    const auto size = static_cast<std::size_t>(
        std::max(options.packetSize - headers, static_cast<int>(ReachPacket::kSize)));
    std::vector<std::byte> datagram(bytes.begin(), bytes.end());
    if (udp) {
      datagram.resize(size);
    } else {
      datagram = echoRequest(probe.outcome.family, echoId(probe.pod),
                             static_cast<std::uint16_t>(probe.outcome.to), bytes, size);
    }
    const SocketAddress target(probe.target, udp ? port : 0);
    const int fd = (udp ? sender.udp : sender.icmp)->native_handle();
    probe.sentAt = clock.now();
    if (::sendto(fd, datagram.data(), datagram.size(), MSG_NOSIGNAL, target.get(), target.size) >=
        0) {
      return;
    }
    const int error = errno;
    // A full queue, or an earlier error of this socket that is told now: a later transmission or
    // the error queue decides.
    if (error == EAGAIN || error == ENOBUFS || error == EINTR || error == ECONNREFUSED ||
        error == EHOSTUNREACH) {
      return;
    }
    std::string text = errorText(error);
    if (error == EMSGSIZE) text += " (" + std::to_string(options.packetSize) + " bytes)";
    finish(probe, std::move(text));
  }

  void connect(Probe& probe, UniqueFd fd) {
    const SocketAddress target(probe.target, port);
    probe.sentAt = clock.now();
    if (::connect(fd.get(), target.get(), target.size) < 0 && errno != EINPROGRESS) {
      return finish(probe, errorText(errno));
    }
    auto socket = std::make_shared<Descriptor>(executor, fd.release());
    connections.push_back(socket);
    // Its address stays: probes do not change while they are under way.
    auto* raw = socket.get();
    std::function<void()> handle = [this, raw, &probe] {
      std::array<std::byte, ReachPacket::kSize> buffer;
      const ssize_t size = ::recv(raw->native_handle(), buffer.data(), buffer.size(), MSG_WAITALL);
      if (size < 0 && errno == EAGAIN) return;
      const int error = errno;
      raw->close();
      if (size < 0) return finish(probe, errorText(error));
      auto answer = ReachPacket::decode(std::span(buffer).first(static_cast<std::size_t>(size)));
      if (answer) return finishWithAnswer(probe, *answer);
      finish(probe, "connected, but what answered is not a receiver of this session");
    };
    onReadable(socket, shared_from_this(), std::move(handle));
  }

  void closeConnections() {
    for (auto& socket : connections) socket->close();
    connections.clear();
  }

  void close() {
    closeConnections();
    for (auto& [key, sender] : senders) {
      if (sender.icmp) sender.icmp->close();
      if (sender.udp) sender.udp->close();
    }
  }

  std::string noAnswer() const { return "no answer within " + formatDuration(options.timeout); }
};

void watch(const std::shared_ptr<Run>& run, const std::shared_ptr<Descriptor>& socket,
           std::uint32_t pod, Family family, std::uint8_t protocol) {
  std::function<void()> handle = [raw = run.get(), fd = socket->native_handle(), pod, family,
                                  protocol] { raw->read(fd, pod, family, protocol); };
  onReadable(socket, run, std::move(handle));
}

/// Opens the datagram sockets of one pod. On a pool thread.
std::map<Family, Sender> openSenders(const ReachPod& pod, bool whole) {
  std::map<Family, Sender> senders;
  for (const IpAddress& address : pod.addresses) {
    Sender& sender = senders[address.family()];
    Status status = inNetworkNamespace(pod.networkPath, [&]() -> Status {
      auto icmp = openSender(address.family(), true, whole);
      if (!icmp) return icmp.status();
      auto udp = openSender(address.family(), false, whole);
      if (!udp) return udp.status();
      sender.icmpFd = std::move(*icmp);
      sender.udpFd = std::move(*udp);
      return Status();
    });
    if (!status) sender.problem = status.message();
  }
  return senders;
}

/// Sends all datagrams and waits for the answers; what got none is sent again, and fails in the
/// end.
Co<void> runDatagrams(std::shared_ptr<Run> run, std::vector<std::size_t> order) {
  run->pending = order.size();
  const MonoTime begin = run->clock.now();
  for (int round = 1; round <= kTransmissions && run->pending > 0; ++round) {
    int burst = 0;
    for (std::size_t position : order) {
      Probe& probe = run->probes[position];
      if (probe.done) continue;
      run->transmit(probe);
      if (++burst % kSendBurst == 0) co_await asio::post(run->executor, asio::use_awaitable);
    }
    const MonoTime until = round == kTransmissions
                               ? run->clock.now() + run->options.timeout / kTransmissions
                               : begin + run->options.timeout * round / kTransmissions;
    while (run->pending > 0 && co_await run->finished.waitUntil(run->clock, until)) {
    }
  }
  for (std::size_t position : order) run->finish(run->probes[position], run->noAnswer());
}

/// Opens sockets for the probes, grouped by pod, each group in its pod's namespace. On a pool
/// thread.
std::vector<Result<UniqueFd>> openConnections(const std::shared_ptr<Run>& run,
                                              const std::vector<std::size_t>& batch) {
  std::vector<Result<UniqueFd>> sockets;
  std::size_t begin = 0;
  while (begin < batch.size()) {
    const std::uint32_t pod = run->probes[batch[begin]].pod;
    std::size_t end = begin;
    while (end < batch.size() && run->probes[batch[end]].pod == pod) ++end;
    Status entered = inNetworkNamespace(run->pods[pod].networkPath, [&]() -> Status {
      for (std::size_t i = begin; i < end; ++i) {
        sockets.push_back(
            openSocket(domainOf(run->probes[batch[i]].outcome.family), SOCK_STREAM, 0));
      }
      return Status();
    });
    for (; begin < end; ++begin) {
      if (!entered) sockets.emplace_back(entered);
    }
  }
  return sockets;
}

Co<void> runConnections(std::shared_ptr<Run> run, BlockingPool& pool,
                        std::vector<std::size_t> order) {
  for (std::size_t begin = 0; begin < order.size(); begin += kTcpBatch) {
    const std::size_t end = std::min(begin + kTcpBatch, order.size());
    const std::vector<std::size_t> batch(order.begin() + static_cast<std::ptrdiff_t>(begin),
                                         order.begin() + static_cast<std::ptrdiff_t>(end));
    run->pending = batch.size();
    auto open = [run, batch] { return openConnections(run, batch); };
    auto sockets = co_await pool.run(std::move(open));
    const MonoTime until = run->clock.now() + run->options.timeout;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      Probe& probe = run->probes[batch[i]];
      if (sockets[i]) {
        run->connect(probe, std::move(*sockets[i]));
      } else {
        run->finish(probe, sockets[i].status().message());
      }
      if (i % kSendBurst == kSendBurst - 1) {
        co_await asio::post(run->executor, asio::use_awaitable);
      }
    }
    while (run->pending > 0 && co_await run->finished.waitUntil(run->clock, until)) {
    }
    for (std::size_t position : batch) run->finish(run->probes[position], run->noAnswer());
    run->closeConnections();
  }
}

}  // namespace

ReachSession::ReachSession(asio::any_io_executor executor, Clock& clock, BlockingPool& pool,
                           std::uint32_t session)
    : executor_(std::move(executor)),
      clock_(clock),
      pool_(pool),
      session_(session),
      receivers_(std::make_shared<Receivers>()) {
  receivers_->session = session;
}

ReachSession::~ReachSession() {
  receivers_->close();
}

Co<Status> ReachSession::listen(std::vector<ReachPod> pods, std::uint16_t port) {
  pods_ = std::move(pods);
  port_ = port;
  struct Opened {
    std::vector<std::tuple<UniqueFd, std::uint32_t, bool>> sockets;
    Status first;
  };
  auto open = [local = pods_, port] {
    Opened opened;
    for (const ReachPod& pod : local) {
      Status status = inNetworkNamespace(pod.networkPath, [&]() -> Status {
        for (const IpAddress& address : pod.addresses) {
          for (bool tcp : {false, true}) {
            auto fd = openReceiver(address, port, tcp ? SOCK_STREAM : SOCK_DGRAM);
            if (!fd) return fd.status();
            opened.sockets.emplace_back(std::move(*fd), pod.index, tcp);
          }
        }
        return Status();
      });
      if (opened.first.ok()) opened.first = status;
    }
    return opened;
  };
  Opened opened = co_await pool_.run(std::move(open));
  for (auto& [fd, index, tcp] : opened.sockets) {
    receivers_->add(executor_, std::move(fd), index, tcp);
  }
  co_return opened.first;
}

Co<std::vector<ProbeOutcome>> ReachSession::send(std::vector<ReachTarget> targets,
                                                 ReachOptions options) {
  auto run = std::make_shared<Run>(executor_, clock_);
  run->session = session_;
  run->port = port_;
  run->options = options;
  run->pods = pods_;
  // Closes the sockets, and so ends the handlers, also when this coroutine is cancelled.
  struct Closer {
    std::shared_ptr<Run> run;
    ~Closer() { run->close(); }
  } closer{run};

  auto openAll = [run] {
    std::vector<std::map<Family, Sender>> opened;
    for (const ReachPod& pod : run->pods) {
      opened.push_back(openSenders(pod, run->options.packetSize > 0));
    }
    return opened;
  };
  auto opened = co_await pool_.run(std::move(openAll));
  std::vector<std::size_t> datagrams;
  std::vector<std::size_t> connections;
  for (std::uint32_t pod = 0; pod < run->pods.size(); ++pod) {
    for (auto& [family, sender] : opened[pod]) {
      const std::uint8_t icmp = icmpOf(family);
      if (sender.problem.empty()) {
        sender.icmp = std::make_shared<Descriptor>(executor_, sender.icmpFd.release());
        sender.udp = std::make_shared<Descriptor>(executor_, sender.udpFd.release());
        watch(run, sender.icmp, pod, family, icmp);
        watch(run, sender.udp, pod, family, IPPROTO_UDP);
      }
      run->senders[{pod, family}] = std::move(sender);
      // Each pod begins elsewhere, lest all of them talk to the same receiver at once.
      for (std::size_t i = 0; i < targets.size(); ++i) {
        const ReachTarget& target = targets[(i + pod) % targets.size()];
        const auto source = addressOf(run->pods[pod].addresses, family);
        const auto address = addressOf(target.addresses, family);
        if (!source || !address) continue;
        for (std::uint8_t protocol : {icmp, std::uint8_t{IPPROTO_UDP}, std::uint8_t{IPPROTO_TCP}}) {
          const std::size_t position = run->probes.size();
          Probe probe;
          probe.outcome.from = run->pods[pod].index;
          probe.outcome.to = target.index;
          probe.outcome.family = family;
          probe.outcome.protocol = protocol;
          probe.source = *source;
          probe.target = *address;
          probe.pod = pod;
          run->probes.push_back(std::move(probe));
          run->byTarget[{pod, protocol, family, *address}] = position;
          (protocol == IPPROTO_TCP ? connections : datagrams).push_back(position);
        }
      }
    }
  }
  co_await runDatagrams(run, std::move(datagrams));
  co_await runConnections(run, pool_, std::move(connections));
  std::vector<ProbeOutcome> outcomes;
  outcomes.reserve(run->probes.size());
  for (Probe& probe : run->probes) outcomes.push_back(std::move(probe.outcome));
  co_return outcomes;
}

}  // namespace podlab::net
