#include "net/qdisc.hpp"

#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <limits>
#include <string>

namespace podlab::net {
namespace {

using std::chrono::milliseconds;

// As Mininet has it: the bucket is the root, and what it holds back is delayed in it.
constexpr std::uint32_t kTbfHandle = 0x10000;  // 1:
constexpr std::uint32_t kInsideTbf = 0x10001;  // 1:1
constexpr std::uint32_t kNetemHandle = 0x100000;
/// Packets in flight: 100 ms at 1 Gbit/s.
constexpr std::uint32_t kNetemLimit = 10'000;
/// What netem's and tbf's older fields count time in (PSCHED_SHIFT of pkt_sched.h).
constexpr std::int64_t kTickNanos = 64;
constexpr std::uint32_t kLinkHeader = 22;  // Ethernet's, with two VLAN tags
/// Of the bucket and of the queue before it.
constexpr Duration kBurst = milliseconds(5);
constexpr Duration kQueue = milliseconds(100);

NetlinkMessage qdisc(std::uint16_t type, std::uint16_t flags, const char* what, int linkIndex,
                     std::uint32_t parent, std::uint32_t handle) {
  NetlinkMessage message(type, flags, what);
  tcmsg header{};
  header.tcm_family = AF_UNSPEC;
  header.tcm_ifindex = linkIndex;
  header.tcm_parent = parent;
  header.tcm_handle = handle;
  message.header(header);
  return message;
}

std::uint32_t ticks(Duration duration) {
  constexpr std::int64_t kMost = std::numeric_limits<std::uint32_t>::max();
  return static_cast<std::uint32_t>(std::min(duration.count() / kTickNanos, kMost));
}

std::uint32_t bytesIn(Duration time, std::uint64_t bytesPerSecond, std::uint32_t least) {
  const double bytes =
      static_cast<double>(bytesPerSecond) * std::chrono::duration<double>(time).count();
  constexpr double kMost = 1U << 30;
  return std::max(least, static_cast<std::uint32_t>(std::min(bytes, kMost)));
}

NetlinkMessage newTbf(int linkIndex, int mtu, std::uint64_t bitsPerSecond) {
  const std::uint64_t rate = std::max<std::uint64_t>(bitsPerSecond / 8, 1);
  const std::uint32_t frame = static_cast<std::uint32_t>(mtu) + kLinkHeader;
  const std::uint32_t burst = bytesIn(kBurst, rate, 2 * frame);
  tc_tbf_qopt options{};
  options.rate.linklayer = TC_LINKLAYER_ETHERNET;
  options.rate.rate = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(rate, std::numeric_limits<std::uint32_t>::max()));
  options.limit = burst + bytesIn(kQueue, rate, 10 * frame);
  auto message =
      qdisc(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, "tbf", linkIndex, TC_H_ROOT, kTbfHandle);
  message.put(TCA_KIND, std::string_view("tbf"));
  message.nest(TCA_OPTIONS, [&](NetlinkMessage& nested) {
    nested.put(TCA_TBF_PARMS, &options, sizeof options)
        .put(TCA_TBF_BURST, burst)
        .put(TCA_TBF_RATE64, rate);
  });
  return message;
}

NetlinkMessage newNetem(int linkIndex, std::uint32_t parent, const LinkShape& shape) {
  tc_netem_qopt options{};
  options.latency = ticks(shape.delay);
  options.jitter = ticks(shape.jitter);
  options.limit = kNetemLimit;
  auto message =
      qdisc(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, "netem", linkIndex, parent, kNetemHandle);
  message.put(TCA_KIND, std::string_view("netem"));
  message.nest(TCA_OPTIONS, [&](NetlinkMessage& nested) {
    nested.header(options)
        .put(TCA_NETEM_LATENCY64, std::int64_t{shape.delay.count()})
        .put(TCA_NETEM_JITTER64, std::int64_t{shape.jitter.count()});
  });
  return message;
}

}  // namespace

std::vector<NetlinkMessage> shapeLink(int linkIndex, int mtu, const LinkShape& shape) {
  std::vector<NetlinkMessage> requests;
  const bool limited = shape.bitsPerSecond > 0;
  if (limited) requests.push_back(newTbf(linkIndex, mtu, shape.bitsPerSecond));
  if (shape.delay > Duration(0))
    requests.push_back(newNetem(linkIndex, limited ? kInsideTbf : TC_H_ROOT, shape));
  return requests;
}

NetlinkMessage unshapeLink(int linkIndex) {
  return qdisc(RTM_DELQDISC, 0, "delete the root qdisc", linkIndex, TC_H_ROOT, 0);
}

Status setLinkShape(NetlinkSocket& socket, int linkIndex, int mtu, const LinkShape& shape) {
  bool any = false;
  for (auto& request : shapeLink(linkIndex, mtu, shape)) {
    const std::string kind = request.what();
    Status done = socket.execute(std::move(request));
    if (done.ok()) {
      any = true;
      continue;
    }
    if (any) (void)socket.execute(unshapeLink(linkIndex));
    // ENOENT: of a kind of qdisc that the kernel does not have.
    if (!done.is(Code::kNotFound)) return done;
    std::string option = "CONFIG_NET_SCH_" + kind;
    std::ranges::transform(option, option.begin(), [](char c) {
      return static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    });
    return Status(Code::kHostUnsupported, "not on this kernel: sch_" + kind +
                                              " is missing; remedy: as root, modprobe sch_" + kind +
                                              ", or a kernel with " + option);
  }
  return {};
}

}  // namespace podlab::net
