#include "net/netlink_monitor.hpp"

#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <span>

#include <asio.hpp>

#include "net/namespaces.hpp"
#include "net/netlink_message.hpp"

namespace podlab::net {
namespace {

constexpr int kReceiveBuffer = 1 << 20;

template <typename Header>
std::optional<Header> headerOf(std::span<const std::byte> body) {
  Header head;
  if (body.size() < sizeof head) return std::nullopt;
  std::memcpy(&head, body.data(), sizeof head);
  return head;
}

}  // namespace

std::optional<NetworkEvent> parseNetworkEvent(std::uint16_t type, std::span<const std::byte> body) {
  using Table = NetworkEvent::Table;
  NetworkEvent event;
  switch (type) {
    case RTM_NEWLINK:
    case RTM_DELLINK: {
      auto head = headerOf<ifinfomsg>(body);
      if (!head) return std::nullopt;
      event.table = Table::kLink;
      event.removed = type == RTM_DELLINK;
      event.linkIndex = head->ifi_index;
      return event;
    }
    case RTM_NEWADDR:
    case RTM_DELADDR: {
      auto head = headerOf<ifaddrmsg>(body);
      if (!head) return std::nullopt;
      event.table = Table::kAddress;
      event.removed = type == RTM_DELADDR;
      event.linkIndex = static_cast<int>(head->ifa_index);
      return event;
    }
    case RTM_NEWROUTE:
    case RTM_DELROUTE: {
      if (body.size() < NLMSG_ALIGN(sizeof(rtmsg))) return std::nullopt;
      event.table = Table::kRoute;
      event.removed = type == RTM_DELROUTE;
      event.linkIndex =
          NetlinkAttributes(body.subspan(NLMSG_ALIGN(sizeof(rtmsg)))).number<std::int32_t>(RTA_OIF);
      return event;
    }
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH: {
      auto head = headerOf<ndmsg>(body);
      if (!head) return std::nullopt;
      event.table = Table::kNeighbour;
      event.removed = type == RTM_DELNEIGH;
      event.linkIndex = head->ndm_ifindex;
      return event;
    }
    default:
      return std::nullopt;
  }
}

struct NetlinkMonitor::State {
  explicit State(const asio::any_io_executor& executor) : descriptor(executor) {}
  asio::posix::stream_descriptor descriptor;
  std::vector<std::byte> buffer = std::vector<std::byte>(64 << 10);

  /// Reads all that waits, without blocking.
  Result<Batch> drain();
};

NetlinkMonitor::NetlinkMonitor(std::unique_ptr<State> state) : state_(std::move(state)) {}
NetlinkMonitor::~NetlinkMonitor() = default;

Result<std::unique_ptr<NetlinkMonitor>> NetlinkMonitor::open(asio::any_io_executor executor,
                                                             const std::string& networkPath) {
  auto fd = openSocketIn(networkPath, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  if (!fd) return fd.status();
  // The buffer's size is a wish; an overflow is reported as `lost`.
  ::setsockopt(fd->get(), SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof kReceiveBuffer);
  const int on = 1;
  if (::setsockopt(fd->get(), SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, &on, sizeof on) < 0) {
    return errnoStatus(errno, "listen to other namespaces' network changes");
  }
  // Without an address of its own the socket counts as the kernel's, which gets no copies;
  // and bind() would drop memberships that it is not told.
  sockaddr_nl own{};
  own.nl_family = AF_NETLINK;
  if (::bind(fd->get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) < 0) {
    return errnoStatus(errno, "bind the socket for network changes");
  }
  for (int group : {RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE,
                    RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE}) {
    if (::setsockopt(fd->get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0) {
      return errnoStatus(errno, "subscribe to rtnetlink group " + std::to_string(group));
    }
  }
  auto state = std::make_unique<State>(std::move(executor));
  state->descriptor.assign(fd->release());
  return std::unique_ptr<NetlinkMonitor>(new NetlinkMonitor(std::move(state)));
}

Result<NetlinkMonitor::Batch> NetlinkMonitor::State::drain() {
  Batch batch;
  while (true) {
    iovec part{buffer.data(), buffer.size()};
    alignas(cmsghdr) std::array<char, 64> control;
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ssize_t size = ::recvmsg(descriptor.native_handle(), &message, MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == ENOBUFS) {
      batch.lost = true;
      continue;
    }
    if (size < 0 && errno == EAGAIN) return batch;
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
    while (auto received = nextMessage(rest)) {
      auto event = parseNetworkEvent(received->type, received->body);
      if (!event) continue;
      event->namespaceId = namespaceId;
      batch.events.push_back(*event);
    }
  }
}

Co<Result<NetlinkMonitor::Batch>> NetlinkMonitor::next() {
  while (true) {
    auto batch = state_->drain();
    if (!batch || batch->lost || !batch->events.empty()) co_return batch;
    co_await state_->descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                                           asio::use_awaitable);
  }
}

}  // namespace podlab::net
