#include "net/netlink_events.hpp"

#include <linux/netlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include <asio.hpp>

#include "net/namespaces.hpp"

namespace podlab::net {
namespace {

constexpr int kReceiveBuffer = 1 << 20;

}  // namespace

struct NetlinkEvents::State {
  explicit State(const asio::any_io_executor& executor) : descriptor(executor) {}
  asio::posix::stream_descriptor descriptor;
  std::vector<std::byte> buffer = std::vector<std::byte>(64 << 10);
};

NetlinkEvents::NetlinkEvents(std::unique_ptr<State> state) : state_(std::move(state)) {}
NetlinkEvents::~NetlinkEvents() = default;

Result<std::unique_ptr<NetlinkEvents>> NetlinkEvents::open(const asio::any_io_executor& executor,
                                                           const std::string& networkPath,
                                                           int protocol,
                                                           std::span<const int> groups,
                                                           bool otherNamespaces) {
  auto fd = openSocketIn(networkPath, AF_NETLINK, SOCK_RAW, protocol);
  if (!fd) return fd.status();
  // The buffer's size is a wish; an overflow is reported.
  ::setsockopt(fd->get(), SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof kReceiveBuffer);
  const int on = 1;
  if (otherNamespaces &&
      ::setsockopt(fd->get(), SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, &on, sizeof on) < 0) {
    return errnoStatus(errno, "listen to other namespaces' network changes");
  }
  // Without an address of its own the socket counts as the kernel's, which gets no copies;
  // and bind() would drop memberships that it is not told.
  sockaddr_nl own{};
  own.nl_family = AF_NETLINK;
  if (::bind(fd->get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) < 0) {
    return errnoStatus(errno, "bind the socket for network changes");
  }
  for (const int group : groups) {
    if (::setsockopt(fd->get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0) {
      return errnoStatus(errno, "subscribe to netlink group " + std::to_string(group));
    }
  }
  auto state = std::make_unique<State>(executor);
  state->descriptor.assign(fd->release());
  return std::unique_ptr<NetlinkEvents>(new NetlinkEvents(std::move(state)));
}

Result<bool> NetlinkEvents::drain(const Handler& handle) {
  bool lost = false;
  auto& buffer = state_->buffer;
  while (true) {
    iovec part{buffer.data(), buffer.size()};
    alignas(cmsghdr) std::array<char, 64> control;
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ssize_t size = ::recvmsg(state_->descriptor.native_handle(), &message, MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == ENOBUFS) {
      lost = true;
      continue;
    }
    if (size < 0 && errno == EAGAIN) return lost;
    if (size < 0) return errnoStatus(errno, "receive network changes");
    std::optional<int> namespaceId;
    for (cmsghdr* item = CMSG_FIRSTHDR(&message); item != nullptr;
         item = CMSG_NXTHDR(&message, item)) {
      if (item->cmsg_level != SOL_NETLINK || item->cmsg_type != NETLINK_LISTEN_ALL_NSID) continue;
      int id = 0;
      std::memcpy(&id, CMSG_DATA(item), sizeof id);
      namespaceId = id;
    }
    std::span<const std::byte> rest(buffer.data(), static_cast<std::size_t>(size));
    while (auto received = nextMessage(rest)) handle(*received, namespaceId);
  }
}

Co<void> NetlinkEvents::wait() {
  co_await state_->descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                                         asio::use_awaitable);
}

}  // namespace podlab::net
