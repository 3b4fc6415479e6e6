#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/status.hpp"
#include "net/address.hpp"
#include "net/netlink_socket.hpp"

namespace podlab::net {

/// What a VXLAN device cannot change after its creation.
struct VxlanConfig {
  std::uint32_t id = 1;
  std::uint16_t port = 8472;
  IpAddress local;  ///< this node's underlay address; its family is the tunnel's
  int underlayIndex = 0;
  bool operator==(const VxlanConfig&) const = default;
};

/// A network device as the kernel describes it.
struct Link {
  int index = 0;
  std::string name;
  std::string kind;  ///< "bridge", "veth", "vxlan", ...; empty for hardware and loopback
  std::string alias;
  bool up = false;
  bool carrier = false;  ///< what it hangs on works: the other end of a veth, a cable
  bool loopback = false;
  int mtu = 0;
  MacAddress mac;
  int master = 0;                      ///< index of the bridge that it is a port of
  std::optional<int> peerNamespaceId;  ///< of a veth whose other end is elsewhere
  bool ipv6Autoconf = false;           ///< makes itself a link-local address
  bool hairpin = false;                ///< bridge port
  bool isolated = false;               ///< bridge port: no frame to another such port
  bool stp = false;                    ///< bridge
  std::optional<VxlanConfig> vxlan;
  bool vxlanLearning = false;
};

/// A link's description in a message; nullopt when it is another kind of message or cut short.
std::optional<Link> parseLink(std::uint16_t type, std::span<const std::byte> body);
Result<std::vector<Link>> listLinks(NetlinkSocket& socket);
/// nullopt when there is none of that name.
Result<std::optional<Link>> findLink(NetlinkSocket& socket, const std::string& name);

/// One end of a veth pair. Queues are one each: more cost creation time and a pod has no use for
/// them.
struct VethEnd {
  std::string name;
  std::optional<MacAddress> mac;  ///< random when absent
  int mtu = 1500;
  int namespaceFd = -1;  ///< where it is made; -1: in the socket's namespace
};
/// Both ends in one request; the near one as a port of the bridge `master` (0: none). Both are
/// down.
NetlinkMessage newVeth(const VethEnd& near, const VethEnd& far, int master = 0);
/// Without spanning tree, multicast snooping or learned MAC.
NetlinkMessage newBridge(const std::string& name, const MacAddress& mac, int mtu);
/// Without learning and without a default destination: it sends only by static entries.
NetlinkMessage newVxlan(const std::string& name, const MacAddress& mac, int mtu,
                        const VxlanConfig& config);
NetlinkMessage deleteLink(const std::string& name);
/// Marks a link by name, so that it can travel in the same batch as the link's creation.
NetlinkMessage setLinkAlias(const std::string& name, const std::string& alias);

/// Settings that can be changed on an existing link; what is absent is left alone.
struct LinkSettings {
  std::optional<int> mtu;
  std::optional<MacAddress> mac;
  std::optional<int> master;
  std::optional<std::string> alias;
  std::optional<bool> ipv6Autoconf;
  std::optional<bool> hairpin;
  std::optional<bool> isolated;
  std::optional<bool> stp;
  std::optional<bool> up;
};
/// The requests that bring `actual` to `desired`, in the order that they need; none when nothing
/// differs.
std::vector<NetlinkMessage> adjustLink(const Link& actual, const LinkSettings& desired);

/// The id by which the socket's namespace knows another one, assigned when there is none yet.
/// Events and veths tell namespaces by it.
Result<int> namespaceId(NetlinkSocket& socket, int namespaceFd);

}  // namespace podlab::net
