#include "node/kernel_firewall.hpp"

#include <utility>

#include "common/log.hpp"
#include "net/namespaces.hpp"
#include "net/nft_kernel.hpp"

namespace podlab::node {

KernelFirewall::KernelFirewall(std::string networkNamespace)
    : networkNamespace_(std::move(networkNamespace)) {}

Status KernelFirewall::open() {
  if (socket_) return Status();
  auto opened = net::inNetworkNamespace(networkNamespace_, [] {
    return net::NetlinkSocket::open(net::NetlinkSocket::Protocol::kNetfilter);
  });
  Status status = opened.status();
  if (status) status = net::nftGeneration(*opened).status();
  if (!status) {
    return Status(Code::kHostUnsupported,
                  "nodes enforce network policies by nftables, which this "
                  "kernel has not (module nf_tables): " +
                      status.message());
  }
  socket_ = std::move(*opened);
  return Status();
}

Result<std::uint32_t> KernelFirewall::portId() {
  std::scoped_lock lock(mutex_);
  if (Status opened = open(); !opened) return opened;
  return socket_->portId();
}

Status KernelFirewall::set(std::optional<net::NftTable> wanted) {
  std::scoped_lock lock(mutex_);
  if (Status opened = open(); !opened) return wanted ? opened : Status();
  Status status = bring(wanted);
  wanted_ = std::move(wanted);
  isThere_ = status.ok();
  return status;
}

Status KernelFirewall::repair(bool certain) {
  std::scoped_lock lock(mutex_);
  if (!wanted_ || !socket_) return Status();
  if (isThere_ && !certain) {
    auto now = net::nftGeneration(*socket_);
    if (!now) return now.status();
    if (*now == generation_) return Status();
  }
  if (certain) logInfo("firewall_changed_by_others", {{"table", net::kNftTableName}});
  isThere_ = false;
  Status status = bring(*wanted_);
  isThere_ = status.ok();
  return status;
}

/// From wanted_, or from what is read when that is not sure.
Status KernelFirewall::bring(const std::optional<net::NftTable>& wanted) {
  std::optional<net::NftTable> read;
  if (!isThere_) {
    auto found = net::readTable(*socket_);
    if (!found) return found.status();
    read = std::move(*found);
  }
  auto changes = net::tableChanges(isThere_ ? *wanted_ : read, wanted);
  if (Status applied = net::applyChanges(*socket_, std::move(changes)); !applied) return applied;
  auto now = net::nftGeneration(*socket_);
  if (!now) return now.status();
  generation_ = *now;
  return Status();
}

}  // namespace podlab::node
