#include "net/netlink_socket.hpp"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <utility>

namespace podlab::net {
namespace {

// The window: acknowledgements of this many requests fit the receive buffer with room to spare.
constexpr std::size_t kWindowMessages = 128;
constexpr std::size_t kWindowBytes = 64 << 10;
// The kernel builds dumps in messages of at most 32 KiB.
constexpr std::size_t kReceiveBytes = 64 << 10;
constexpr int kDumpAttempts = 20;
constexpr int kTransactionBytes = 16 << 20;
// Only a lost answer, which would be a kernel fault, lets this pass.
constexpr timeval kReceiveTimeout{30, 0};

}  // namespace

NetlinkSocket::NetlinkSocket(UniqueFd fd) : fd_(std::move(fd)), buffer_(kReceiveBytes) {}

Result<NetlinkSocket> NetlinkSocket::open(Protocol protocol) {
  const bool netfilter = protocol == Protocol::kNetfilter;
  UniqueFd fd(
      ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, netfilter ? NETLINK_NETFILTER : NETLINK_ROUTE));
  if (!fd) return errnoStatus(errno, "open a netlink socket");
  const int on = 1;
  for (int option : {NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK}) {
    if (::setsockopt(fd.get(), SOL_NETLINK, option, &on, sizeof on) < 0) {
      return errnoStatus(
          errno, "set netlink option " + std::to_string(option) + " (Linux 5.0 or later has it)");
    }
  }
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kReceiveTimeout, sizeof kReceiveTimeout) <
      0) {
    return errnoStatus(errno, "set the netlink socket's timeout");
  }
  // A transaction is one datagram. Only root of the host may go beyond net.core.wmem_max.
  if (netfilter && ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, &kTransactionBytes,
                                sizeof kTransactionBytes) < 0) {
    ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &kTransactionBytes, sizeof kTransactionBytes);
  }
  sockaddr_nl own{};
  own.nl_family = AF_NETLINK;
  socklen_t size = sizeof own;
  int sendBuffer = 0;
  socklen_t optionSize = sizeof sendBuffer;
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) < 0 ||
      ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&own), &size) < 0 ||
      ::getsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &sendBuffer, &optionSize) < 0) {
    return errnoStatus(errno, "bind a netlink socket");
  }
  NetlinkSocket socket(std::move(fd));
  socket.portId_ = own.nl_pid;
  // The kernel refuses what leaves less than this (netlink_sendmsg).
  socket.sendLimit_ = static_cast<std::size_t>(sendBuffer) - 32;
  return socket;
}

Status NetlinkSocket::send(std::span<const std::byte> bytes, const std::string& what) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  ssize_t sent;
  do {
    sent = ::sendto(fd_.get(), bytes.data(), bytes.size(), 0,
                    reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? errnoStatus(errno, what) : Status();
}

Result<std::span<const std::byte>> NetlinkSocket::receive(const std::string& what) {
  ssize_t size;
  do {
    size = ::recv(fd_.get(), buffer_.data(), buffer_.size(), MSG_TRUNC);
  } while (size < 0 && errno == EINTR);
  if (size < 0) {
    if (errno == EAGAIN) return Status(Code::kTimeout, what + ": no answer from the kernel");
    return errnoStatus(errno, what);
  }
  if (static_cast<std::size_t>(size) > buffer_.size()) {
    return Status(Code::kInternal, what + ": an answer of " + std::to_string(size) + " bytes");
  }
  return std::span<const std::byte>(buffer_.data(), static_cast<std::size_t>(size));
}

Status NetlinkSocket::execute(NetlinkMessage message) {
  std::vector<NetlinkMessage> one;
  one.push_back(std::move(message));
  return executeAll(std::move(one));
}

Status NetlinkSocket::executeAll(std::vector<NetlinkMessage> messages) {
  for (Status& status : executeEach(std::move(messages))) {
    if (!status) return std::move(status);
  }
  return Status();
}

std::vector<Status> NetlinkSocket::executeEach(std::vector<NetlinkMessage> messages) {
  std::vector<Status> statuses(messages.size());
  std::size_t begin = 0;
  while (begin < messages.size()) {
    std::vector<std::byte> window;
    const std::uint32_t firstSequence = sequence_ + 1;
    std::size_t end = begin;
    while (end < messages.size() && end - begin < kWindowMessages &&
           window.size() + messages[end].bytes().size() <= kWindowBytes) {
      messages[end].setSequence(++sequence_);
      // Failures are told anyway, and in order: with the last one's answer all are known.
      const bool last =
          end + 1 == messages.size() || end + 1 - begin == kWindowMessages ||
          window.size() + messages[end].bytes().size() + messages[end + 1].bytes().size() >
              kWindowBytes;
      if (last) messages[end].addFlags(NLM_F_ACK);
      auto bytes = messages[end].bytes();
      window.insert(window.end(), bytes.begin(), bytes.end());
      ++end;
    }
    if (Status sent = send(window, messages[begin].what()); !sent) {
      for (; begin < messages.size(); ++begin) statuses[begin] = sent;
      return statuses;
    }
    const std::size_t count = end - begin;
    for (bool known = false; !known;) {
      auto datagram = receive(messages[begin].what());
      if (!datagram) {
        for (; begin < messages.size(); ++begin) statuses[begin] = datagram.status();
        return statuses;
      }
      auto rest = *datagram;
      while (auto received = nextMessage(rest)) {
        std::uint32_t index = received->sequence - firstSequence;
        if (received->type != NLMSG_ERROR || index >= count) continue;
        statuses[begin + index] = ackStatus(*received, messages[begin + index].what());
        known |= index + 1 == count;
      }
    }
    begin = end;
  }
  return statuses;
}

Status NetlinkSocket::executeTransaction(std::vector<NetlinkMessage> messages) {
  if (messages.size() < 3) return Status();
  std::vector<std::byte> all;
  const std::uint32_t first = sequence_ + 1;
  const std::size_t last = messages.size() - 2;  // the last that is acknowledged on every kernel
  messages[last].addFlags(NLM_F_ACK);
  for (NetlinkMessage& message : messages) {
    message.setSequence(++sequence_);
    all.insert(all.end(), message.bytes().begin(), message.bytes().end());
  }
  if (Status sent = send(all, messages[last].what()); !sent) return sent;
  Status failure;
  for (;;) {
    auto datagram = receive(messages[last].what());
    if (!datagram) return datagram.status();
    auto rest = *datagram;
    while (auto received = nextMessage(rest)) {
      const std::uint32_t index = received->sequence - first;
      if (received->type != NLMSG_ERROR || index >= messages.size()) continue;
      // The transaction's own failure has its first message's number, and comes before the others.
      Status status = ackStatus(*received, messages[index == 0 ? last : index].what());
      if (failure.ok()) failure = std::move(status);
      if (index == last || (index == 0 && !failure.ok())) return failure;
    }
  }
}

Status NetlinkSocket::dump(const NetlinkMessage& request, const std::function<void()>& restart,
                           const Receiver& receiver) {
  for (int attempt = 0; attempt < kDumpAttempts; ++attempt) {
    restart();
    NetlinkMessage message = request;
    message.setSequence(++sequence_);
    message.addFlags(NLM_F_DUMP);
    if (Status sent = send(message.bytes(), message.what()); !sent) return sent;
    bool interrupted = false;
    bool done = false;
    while (!done) {
      auto datagram = receive(message.what());
      if (!datagram) return datagram.status();
      auto rest = *datagram;
      while (auto received = nextMessage(rest)) {
        if (received->sequence != sequence_) continue;
        interrupted |= (received->flags & NLM_F_DUMP_INTR) != 0;
        if (received->type == NLMSG_DONE || received->type == NLMSG_ERROR) {
          if (Status status = ackStatus(*received, message.what()); !status) return status;
          done = true;
          break;
        }
        receiver(received->type, received->body);
      }
    }
    if (!interrupted) return Status();
  }
  return Status(Code::kUnavailable, request.what() + ": the table changes faster than it is read");
}

Status NetlinkSocket::query(NetlinkMessage request, const Receiver& receiver) {
  request.setSequence(++sequence_);
  request.addFlags(NLM_F_ACK);
  if (Status sent = send(request.bytes(), request.what()); !sent) return sent;
  while (true) {
    auto datagram = receive(request.what());
    if (!datagram) return datagram.status();
    auto rest = *datagram;
    while (auto received = nextMessage(rest)) {
      if (received->sequence != sequence_) continue;
      if (received->type == NLMSG_ERROR) return ackStatus(*received, request.what());
      receiver(received->type, received->body);
    }
  }
}

}  // namespace podlab::net
