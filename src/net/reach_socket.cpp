#include "net/reach_socket.hpp"

#include <linux/filter.h>
#include <netinet/ip_icmp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include <netinet/icmp6.h>

#include "net/reach_packet.hpp"

namespace podlab::net {
namespace {

int domainOf(Family family) {
  return family == Family::kV4 ? AF_INET : AF_INET6;
}

/// The IP protocol number of ICMP in that family.
constexpr int icmpOf(Family family) {
  return family == Family::kV4 ? int{IPPROTO_ICMP} : int{IPPROTO_ICMPV6};
}

Status setOption(int fd, int level, int name, int value) {
  if (::setsockopt(fd, level, name, &value, sizeof value) == 0) return Status();
  return errnoStatus(errno, "set a socket option");
}

/// As a wish: hundreds of probes, or of their answers, may come at once. Only root of the host gets
/// more than net.core.rmem_max.
void widenReceiveBuffer(int fd) {
  constexpr int kBytes = 4 << 20;
  if (setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, kBytes)) return;
  (void)setOption(fd, SOL_SOCKET, SO_RCVBUF, kBytes);
}

constexpr sock_filter instruction(int code, std::uint32_t value, std::uint8_t yes = 0,
                                  std::uint8_t no = 0) {
  return {static_cast<std::uint16_t>(code), yes, no, value};
}

Status attach(int fd, std::span<const sock_filter> code) {
  sock_fprog program{static_cast<unsigned short>(code.size()),
                     const_cast<sock_filter*>(code.data())};
  if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0) {
    return Status();
  }
  return errnoStatus(errno, "filter a raw socket");
}

/// Passes first packets of probes alone. Raw IPv4 sockets see the IP header, those of IPv6 do not.
Status filterProbes(int fd, Family family, std::uint8_t protocol, std::uint32_t session) {
  constexpr std::uint32_t kHeader = 8;  // of UDP and of an echo
  constexpr std::uint32_t kTcpFlags = 13;
  constexpr std::uint32_t kSyn = 0x02;
  constexpr std::uint32_t kSynAck = 0x12;
  std::vector<sock_filter> code;
  code.push_back(family == Family::kV4 ? instruction(BPF_LDX | BPF_B | BPF_MSH, 0)
                                       : instruction(BPF_LDX | BPF_W | BPF_IMM, 0));
  const auto require = [&](int size, std::uint32_t at, std::uint32_t value) {
    code.push_back(instruction(BPF_LD | size | BPF_IND, at));
    code.push_back(instruction(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0));
    code.push_back(instruction(BPF_RET | BPF_K, 0));
  };
  if (protocol == IPPROTO_TCP) {
    code.push_back(instruction(BPF_LD | BPF_B | BPF_IND, kTcpFlags));
    code.push_back(instruction(BPF_ALU | BPF_AND | BPF_K, kSynAck));
    code.push_back(instruction(BPF_JMP | BPF_JEQ | BPF_K, kSyn, 1, 0));
    code.push_back(instruction(BPF_RET | BPF_K, 0));
  } else {
    if (protocol == IPPROTO_ICMP) {
      require(BPF_B, 0, family == Family::kV4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST);
    }
    require(BPF_W, kHeader, ReachPacket::kMagic);
    require(BPF_W, kHeader + 4, session);
    require(BPF_B, kHeader + ReachPacket::kSourceAt, 0);  // no answer, as comes to whoever asks
  }
  code.push_back(instruction(BPF_RET | BPF_K, 128));  // bytes: an IP header and a probe
  return attach(fd, code);
}

/// Passes what answers the SYNs of probes alone.
Status filterAnswers(int fd, Family family) {
  constexpr std::uint32_t kSynOrReset = 0x06;
  const auto load = family == Family::kV4 ? instruction(BPF_LDX | BPF_B | BPF_MSH, 0)
                                          : instruction(BPF_LDX | BPF_W | BPF_IMM, 0);
  const sock_filter code[] = {
      load,
      instruction(BPF_LD | BPF_H | BPF_IND, 2),  // the port that it is sent to
      instruction(BPF_JMP | BPF_JGE | BPF_K, kFirstSynPort, 0, 3),
      instruction(BPF_LD | BPF_B | BPF_IND, 13),  // the flags
      instruction(BPF_JMP | BPF_JSET | BPF_K, kSynOrReset, 0, 1),
      instruction(BPF_RET | BPF_K, 128),
      instruction(BPF_RET | BPF_K, 0),
  };
  return attach(fd, code);
}

}  // namespace

ReadBatch::ReadBatch() {
  for (std::size_t i = 0; i < kMost; ++i) {
    parts_[i] = {buffers_[i].data(), kBytes};
    auto& header = headers_[i].msg_hdr;
    header.msg_iov = &parts_[i];
    header.msg_iovlen = 1;
    header.msg_name = senders_[i].get();
  }
}

int ReadBatch::read(int fd) {
  for (auto& header : headers_) header.msg_hdr.msg_namelen = sizeof(sockaddr_storage);
  return ::recvmmsg(fd, headers_.data(), kMost, MSG_DONTWAIT, nullptr);
}

std::span<const std::byte> ReadBatch::bytes(int i) const {
  const auto at = static_cast<std::size_t>(i);
  return std::span<const std::byte>(buffers_[at]).first(headers_[at].msg_len);
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

Result<UniqueFd> openReachSocket(Family family, int type, int protocol) {
  UniqueFd fd(::socket(domainOf(family), type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
  if (!fd) return errnoStatus(errno, "open a socket");
  return fd;
}

Result<UniqueFd> openReceiver(const IpAddress& address, std::uint16_t port, int type) {
  auto fd = openReachSocket(address.family(), type, 0);
  if (!fd) return fd.status();
  // Another run of reach may be under way: each answers the other's probes.
  for (const int option : {SO_REUSEADDR, SO_REUSEPORT}) {
    if (Status status = setOption(fd->get(), SOL_SOCKET, option, 1); !status) return status;
  }
  if (type == SOCK_DGRAM) widenReceiveBuffer(fd->get());
  const SocketAddress local(address, port);
  if (::bind(fd->get(), local.get(), local.size) < 0 ||
      (type == SOCK_STREAM && ::listen(fd->get(), SOMAXCONN) < 0)) {
    return errnoStatus(errno, "listen on " + address.toString() + " port " + std::to_string(port));
  }
  return fd;
}

Result<UniqueFd> openSender(Family family, std::uint8_t protocol, bool whole) {
  const bool v4 = family == Family::kV4;
  const bool icmp = protocol == IPPROTO_ICMP;
  auto fd = icmp                      ? openReachSocket(family, SOCK_RAW, icmpOf(family))
            : protocol == IPPROTO_TCP ? openReachSocket(family, SOCK_RAW, IPPROTO_TCP)
                                      : openReachSocket(family, SOCK_DGRAM, 0);
  if (!fd) return fd.status();
  widenReceiveBuffer(fd->get());
  if (protocol == IPPROTO_TCP) {
    if (Status status = filterAnswers(fd->get(), family); !status) return status;
  }
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

Result<UniqueFd> openObserver(const IpAddress& address, std::uint8_t protocol,
                              std::uint32_t session) {
  const Family family = address.family();
  auto fd =
      openReachSocket(family, SOCK_RAW, protocol == IPPROTO_ICMP ? icmpOf(family) : int{protocol});
  if (!fd) return fd.status();
  if (Status status = filterProbes(fd->get(), family, protocol, session); !status) return status;
  widenReceiveBuffer(fd->get());
  const SocketAddress local(address, 0);
  if (::bind(fd->get(), local.get(), local.size) < 0) {
    return errnoStatus(errno, "observe " + address.toString());
  }
  return fd;
}

std::span<const std::byte> observedSegment(Family family, std::span<const std::byte> packet) {
  if (family == Family::kV6) return packet;
  if (packet.empty()) return {};
  const std::size_t header = (std::to_integer<std::size_t>(packet[0]) & 15) * 4;
  return packet.size() < header ? std::span<const std::byte>() : packet.subspan(header);
}

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

}  // namespace podlab::net
