#include "net/link.hpp"

#include <arpa/inet.h>
#include <linux/if.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sys/socket.h>

namespace podlab::net {
namespace {

// RTEXT_FILTER_SKIP_STATS: counters are most of a link's message.
constexpr std::uint32_t kSkipStatistics = 1 << 3;

ifinfomsg linkHeader(int index = 0) {
  ifinfomsg head{};
  head.ifi_family = AF_UNSPEC;
  head.ifi_index = index;
  return head;
}

NetlinkMessage linkRequest(std::uint16_t type, std::uint16_t flags, std::string what,
                           int index = 0) {
  NetlinkMessage message(type, flags, std::move(what));
  message.header(linkHeader(index));
  return message;
}

NetlinkMessage newLink(const std::string& name, const char* kind) {
  NetlinkMessage message = linkRequest(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL,
                                       std::string("create ") + kind + " " + name);
  message.put(IFLA_IFNAME, name);
  return message;
}

VxlanConfig parseVxlan(const NetlinkAttributes& data) {
  VxlanConfig config;
  config.id = data.number<std::uint32_t>(IFLA_VXLAN_ID);
  config.port = ntohs(data.number<std::uint16_t>(IFLA_VXLAN_PORT));
  config.underlayIndex = data.number<std::int32_t>(IFLA_VXLAN_LINK);
  auto local = data.address(IFLA_VXLAN_LOCAL);
  if (!local) local = data.address(IFLA_VXLAN_LOCAL6);
  if (local) config.local = *local;
  return config;
}

void putQueues(NetlinkMessage& message) {
  message.put(IFLA_NUM_TX_QUEUES, std::uint32_t{1}).put(IFLA_NUM_RX_QUEUES, std::uint32_t{1});
}

}  // namespace

std::optional<Link> parseLink(std::uint16_t type, std::span<const std::byte> body) {
  ifinfomsg head;
  if (type != RTM_NEWLINK || body.size() < sizeof head) return std::nullopt;
  std::memcpy(&head, body.data(), sizeof head);
  NetlinkAttributes attributes(body.subspan(NLMSG_ALIGN(sizeof head)));
  Link link;
  link.index = head.ifi_index;
  link.name = attributes.text(IFLA_IFNAME);
  link.alias = attributes.text(IFLA_IFALIAS);
  link.up = head.ifi_flags & IFF_UP;
  link.carrier = head.ifi_flags & IFF_LOWER_UP;
  link.loopback = head.ifi_flags & IFF_LOOPBACK;
  link.mtu = static_cast<int>(attributes.number<std::uint32_t>(IFLA_MTU));
  link.mac = attributes.mac(IFLA_ADDRESS).value_or(MacAddress{});
  link.master = attributes.number<std::int32_t>(IFLA_MASTER);
  if (attributes.find(IFLA_LINK_NETNSID)) {
    link.peerNamespaceId = attributes.number<std::int32_t>(IFLA_LINK_NETNSID);
  }
  auto inet6 = attributes.nested(IFLA_AF_SPEC).nested(AF_INET6);
  link.ipv6Autoconf = inet6.number<std::uint8_t>(IFLA_INET6_ADDR_GEN_MODE,
                                                 IN6_ADDR_GEN_MODE_NONE) != IN6_ADDR_GEN_MODE_NONE;
  auto info = attributes.nested(IFLA_LINKINFO);
  link.kind = info.text(IFLA_INFO_KIND);
  auto data = info.nested(IFLA_INFO_DATA);
  if (link.kind == "vxlan") {
    link.vxlan = parseVxlan(data);
    link.vxlanLearning = data.number<std::uint8_t>(IFLA_VXLAN_LEARNING) != 0;
  }
  if (link.kind == "bridge") link.stp = data.number<std::uint32_t>(IFLA_BR_STP_STATE) != 0;
  if (info.text(IFLA_INFO_SLAVE_KIND) == "bridge") {
    const auto port = info.nested(IFLA_INFO_SLAVE_DATA);
    link.hairpin = port.number<std::uint8_t>(IFLA_BRPORT_MODE) != 0;
    link.isolated = port.number<std::uint8_t>(IFLA_BRPORT_ISOLATED) != 0;
  }
  return link;
}

Result<std::vector<Link>> listLinks(NetlinkSocket& socket) {
  NetlinkMessage request = linkRequest(RTM_GETLINK, 0, "list links");
  request.put(IFLA_EXT_MASK, kSkipStatistics);
  std::vector<Link> links;
  auto receive = [&](std::uint16_t type, std::span<const std::byte> body) {
    if (auto link = parseLink(type, body)) links.push_back(std::move(*link));
  };
  Status status = socket.dump(request, [&] { links.clear(); }, receive);
  if (!status) return status;
  return links;
}

Result<std::optional<Link>> findLink(NetlinkSocket& socket, const std::string& name) {
  NetlinkMessage request = linkRequest(RTM_GETLINK, 0, "find link " + name);
  request.put(IFLA_IFNAME, name).put(IFLA_EXT_MASK, kSkipStatistics);
  std::optional<Link> found;
  auto receive = [&](std::uint16_t type, std::span<const std::byte> body) {
    found = parseLink(type, body);
  };
  Status status = socket.query(std::move(request), receive);
  if (!status && !status.is(Code::kNotFound)) return status;
  return found;
}

NetlinkMessage newVeth(const VethEnd& near, const VethEnd& far, int master) {
  NetlinkMessage message = newLink(near.name, "veth");
  message.put(IFLA_MTU, static_cast<std::uint32_t>(near.mtu));
  if (near.mac) message.put(IFLA_ADDRESS, *near.mac);
  if (near.namespaceFd >= 0) message.put(IFLA_NET_NS_FD, near.namespaceFd);
  if (master != 0) message.put(IFLA_MASTER, master);
  putQueues(message);
  auto peer = [&](NetlinkMessage& inner) {
    inner.header(linkHeader())
        .put(IFLA_IFNAME, far.name)
        .put(IFLA_MTU, static_cast<std::uint32_t>(far.mtu));
    if (far.mac) inner.put(IFLA_ADDRESS, *far.mac);
    if (far.namespaceFd >= 0) inner.put(IFLA_NET_NS_FD, far.namespaceFd);
    putQueues(inner);
  };
  message.nest(IFLA_LINKINFO, [&](NetlinkMessage& info) {
    info.put(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, [&](NetlinkMessage& data) {
      data.nest(VETH_INFO_PEER, peer);
    });
  });
  return message;
}

NetlinkMessage newBridge(const std::string& name, const MacAddress& mac, int mtu) {
  NetlinkMessage message = newLink(name, "bridge");
  message.put(IFLA_ADDRESS, mac).put(IFLA_MTU, static_cast<std::uint32_t>(mtu));
  message.nest(IFLA_LINKINFO, [](NetlinkMessage& info) {
    info.put(IFLA_INFO_KIND, "bridge").nest(IFLA_INFO_DATA, [](NetlinkMessage& data) {
      // A port that another's spanning tree held back carries packets after 4 s, not 30.
      data.put(IFLA_BR_FORWARD_DELAY, std::uint32_t{0})
          .put(IFLA_BR_STP_STATE, std::uint32_t{0})
          .put(IFLA_BR_MCAST_SNOOPING, std::uint8_t{0});
    });
  });
  return message;
}

NetlinkMessage newVxlan(const std::string& name, const MacAddress& mac, int mtu,
                        const VxlanConfig& config) {
  NetlinkMessage message = newLink(name, "vxlan");
  message.put(IFLA_ADDRESS, mac).put(IFLA_MTU, static_cast<std::uint32_t>(mtu));
  message.nest(IFLA_LINKINFO, [&](NetlinkMessage& info) {
    info.put(IFLA_INFO_KIND, "vxlan").nest(IFLA_INFO_DATA, [&](NetlinkMessage& data) {
      data.put(IFLA_VXLAN_ID, config.id)
          .put(IFLA_VXLAN_LINK, static_cast<std::uint32_t>(config.underlayIndex))
          .put(config.local.isV4() ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6, config.local)
          .put(IFLA_VXLAN_LEARNING, std::uint8_t{0})
          .put(IFLA_VXLAN_PORT, htons(config.port));
    });
  });
  return message;
}

NetlinkMessage deleteLink(const std::string& name) {
  NetlinkMessage message = linkRequest(RTM_DELLINK, 0, "delete link " + name);
  message.put(IFLA_IFNAME, name);
  return message;
}

NetlinkMessage setLinkAlias(const std::string& name, const std::string& alias) {
  NetlinkMessage message = linkRequest(RTM_SETLINK, 0, "mark link " + name);
  message.put(IFLA_IFNAME, name).put(IFLA_IFALIAS, alias);
  return message;
}

std::vector<NetlinkMessage> adjustLink(const Link& actual, const LinkSettings& desired) {
  std::vector<NetlinkMessage> messages;
  const std::string what = "set link " + actual.name;
  auto differs = [](const auto& wanted, const auto& is) { return wanted && *wanted != is; };

  NetlinkMessage settings = linkRequest(RTM_SETLINK, 0, what, actual.index);
  const std::size_t empty = settings.bytes().size();
  if (differs(desired.mtu, actual.mtu)) {
    settings.put(IFLA_MTU, static_cast<std::uint32_t>(*desired.mtu));
  }
  if (differs(desired.mac, actual.mac)) settings.put(IFLA_ADDRESS, *desired.mac);
  if (differs(desired.master, actual.master)) settings.put(IFLA_MASTER, *desired.master);
  if (differs(desired.alias, actual.alias)) settings.put(IFLA_IFALIAS, *desired.alias);
  if (differs(desired.ipv6Autoconf, actual.ipv6Autoconf)) {
    const std::uint8_t mode =
        *desired.ipv6Autoconf ? IN6_ADDR_GEN_MODE_EUI64 : IN6_ADDR_GEN_MODE_NONE;
    settings.nest(IFLA_AF_SPEC, [&](NetlinkMessage& families) {
      families.nest(AF_INET6,
                    [&](NetlinkMessage& inet6) { inet6.put(IFLA_INET6_ADDR_GEN_MODE, mode); });
    });
  }
  if (settings.bytes().size() > empty) messages.push_back(std::move(settings));

  // Only RTM_NEWLINK changes a kind's own data; and a port's only once it is enslaved.
  const bool port =
      differs(desired.hairpin, actual.hairpin) || differs(desired.isolated, actual.isolated);
  if (port || differs(desired.stp, actual.stp)) {
    NetlinkMessage kind = linkRequest(RTM_NEWLINK, 0, what, actual.index);
    kind.nest(IFLA_LINKINFO, [&](NetlinkMessage& info) {
      if (desired.stp) {
        const std::uint32_t stp = *desired.stp ? 1 : 0;
        info.put(IFLA_INFO_KIND, "bridge").nest(IFLA_INFO_DATA, [&](NetlinkMessage& data) {
          data.put(IFLA_BR_STP_STATE, stp);
        });
      }
      if (port) {
        info.put(IFLA_INFO_SLAVE_KIND, "bridge")
            .nest(IFLA_INFO_SLAVE_DATA, [&](NetlinkMessage& data) {
              if (desired.hairpin) {
                data.put(IFLA_BRPORT_MODE, static_cast<std::uint8_t>(*desired.hairpin));
              }
              if (desired.isolated) {
                data.put(IFLA_BRPORT_ISOLATED, static_cast<std::uint8_t>(*desired.isolated));
              }
            });
      }
    });
    messages.push_back(std::move(kind));
  }

  // Last and by itself: the kernel raises a link before it reads the address generation mode of the
  // same request.
  if (differs(desired.up, actual.up)) {
    NetlinkMessage flags(RTM_SETLINK, 0, what);
    ifinfomsg head = linkHeader(actual.index);
    head.ifi_flags = *desired.up ? IFF_UP : 0;
    head.ifi_change = IFF_UP;
    flags.header(head);
    messages.push_back(std::move(flags));
  }
  return messages;
}

Result<int> namespaceId(NetlinkSocket& socket, int namespaceFd) {
  const auto fd = static_cast<std::uint32_t>(namespaceFd);
  auto message = [&](std::uint16_t type, std::string what) {
    NetlinkMessage request(type, 0, std::move(what));
    request.header(rtgenmsg{}).put(NETNSA_FD, fd);
    return request;
  };
  int id = NETNSA_NSID_NOT_ASSIGNED;
  auto receive = [&](std::uint16_t, std::span<const std::byte> body) {
    if (body.size() < NLMSG_ALIGN(sizeof(rtgenmsg))) return;
    NetlinkAttributes attributes(body.subspan(NLMSG_ALIGN(sizeof(rtgenmsg))));
    id = attributes.number<std::int32_t>(NETNSA_NSID, NETNSA_NSID_NOT_ASSIGNED);
  };
  for (bool assigned : {false, true}) {
    if (Status status = socket.query(message(RTM_GETNSID, "get a namespace's id"), receive);
        !status) {
      return status;
    }
    if (id != NETNSA_NSID_NOT_ASSIGNED) return id;
    if (assigned) break;
    NetlinkMessage assign = message(RTM_NEWNSID, "give a namespace an id");
    assign.put(NETNSA_NSID, std::int32_t{-1});
    Status status = socket.execute(std::move(assign));
    if (!status && !status.is(Code::kAlreadyExists)) return status;
  }
  return Status(Code::kInternal, "the kernel gave a namespace no id");
}

}  // namespace podlab::net
