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
// Only a lost answer, which would be a kernel fault, lets this pass.
constexpr timeval kReceiveTimeout{30, 0};

}  // namespace

NetlinkSocket::NetlinkSocket(UniqueFd fd) : fd_(std::move(fd)), buffer_(kReceiveBytes) {}

Result<NetlinkSocket> NetlinkSocket::open() {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
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
  return NetlinkSocket(std::move(fd));
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
      messages[end].addFlags(NLM_F_ACK);
      auto bytes = messages[end].bytes();
      window.insert(window.end(), bytes.begin(), bytes.end());
      ++end;
    }
    if (Status sent = send(window, messages[begin].what()); !sent) {
      for (; begin < messages.size(); ++begin) statuses[begin] = sent;
      return statuses;
    }
    std::size_t missing = end - begin;
    while (missing > 0) {
      auto datagram = receive(messages[begin].what());
      if (!datagram) {
        for (; begin < messages.size(); ++begin) statuses[begin] = datagram.status();
        return statuses;
      }
      auto rest = *datagram;
      while (auto received = nextMessage(rest)) {
        std::uint32_t index = received->sequence - firstSequence;
        if (received->type != NLMSG_ERROR || index >= end - begin) continue;
        statuses[begin + index] = ackStatus(*received, messages[begin + index].what());
        --missing;
      }
    }
    begin = end;
  }
  return statuses;
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
