#include "apiserver/service_allocator.hpp"

#include <algorithm>

#include <asio/ip/network_v4.hpp>
#include <asio/ip/network_v6.hpp>

#include "api/field_errors.hpp"
#include "api/kinds.hpp"
#include "api/services.hpp"
#include "api/status_conversion.hpp"

namespace podlab::apiserver {
namespace {

using corev1::Service;

constexpr int kMaxHostBits = 16;
constexpr std::uint32_t kPorts = api::kLastNodePort - api::kFirstNodePort + 1;

bool isV6(const std::string& address) {
  return address.find(':') != std::string::npos;
}

/// Any free one of `size`, from a random one on; nullopt when all are taken.
template <typename IsFree>
std::optional<std::uint32_t> chooseFree(Rng& rng, std::uint32_t size, IsFree isFree) {
  const auto start = static_cast<std::uint32_t>(rng.below(size));
  for (std::uint32_t i = 0; i < size; ++i) {
    const std::uint32_t index = (start + i) % size;
    if (isFree(index)) return index;
  }
  return std::nullopt;
}

}  // namespace

Result<ServiceRange> ServiceRange::parse(std::string_view text) {
  ServiceRange range;
  range.text_ = text;
  asio::error_code bad;
  int hostBits = 0;
  if (isV6(range.text_)) {
    const auto network = asio::ip::make_network_v6(range.text_, bad);
    if (!bad) range.network_ = network.network().to_string();
    range.v6_ = true;
    range.prefix_ = network.prefix_length();
    hostBits = 128 - range.prefix_;
  } else {
    const auto network = asio::ip::make_network_v4(range.text_, bad);
    if (!bad) range.network_ = network.network().to_string();
    range.prefix_ = network.prefix_length();
    hostBits = 32 - range.prefix_;
  }
  if (bad || hostBits < 2) {
    return Status(Code::kInvalid,
                  "\"" + range.text_ + "\" is no range of addresses, like 10.96.0.0/16");
  }
  // Neither the network's address nor the last one.
  range.size_ = (1U << std::min(hostBits, kMaxHostBits)) - 2;
  return range;
}

bool ServiceRange::contains(const std::string& address) const {
  asio::error_code bad;
  if (isV6(address) != v6_) return false;
  if (v6_) {
    const auto parsed = asio::ip::make_address_v6(address, bad);
    return !bad && asio::ip::network_v6(parsed, static_cast<unsigned short>(prefix_))
                           .network()
                           .to_string() == network_;
  }
  const auto parsed = asio::ip::make_address_v4(address, bad);
  return !bad &&
         asio::ip::network_v4(parsed, static_cast<unsigned short>(prefix_)).network().to_string() ==
             network_;
}

std::string ServiceRange::at(std::uint32_t index) const {
  const std::uint32_t host = index + 1;
  if (!v6_) {
    const auto network = asio::ip::make_address_v4(network_);
    return asio::ip::address_v4(network.to_uint() + host).to_string();
  }
  auto bytes = asio::ip::make_address_v6(network_).to_bytes();
  bytes[14] = static_cast<unsigned char>(bytes[14] | (host >> 8));
  bytes[15] = static_cast<unsigned char>(bytes[15] | (host & 0xff));
  return asio::ip::address_v6(bytes).to_string();
}

const ServiceRange* ServiceAllocator::rangeOf(std::string_view family) const {
  const auto found = std::ranges::find(ranges_, family, &ServiceRange::family);
  return found == ranges_.end() ? nullptr : &*found;
}

void ServiceAllocator::Taken::merge(Taken other) {
  addresses.merge(other.addresses);
  ports.merge(other.ports);
}

ServiceAllocator::Taken ServiceAllocator::usedBy(const Service& service) {
  Taken used;
  if (!api::isHeadless(service)) {
    used.addresses.insert(service.spec().clusterips().begin(), service.spec().clusterips().end());
  }
  for (const auto& port : service.spec().ports()) {
    if (port.nodeport() != 0) used.ports.insert({port.nodeport(), port.protocol()});
  }
  return used;
}

ServiceAllocator::Taken ServiceAllocator::takenByOthers(const Service& service) const {
  Taken taken = held_;
  cache_.of(api::kindFor<Service>())
      .forEach({}, [&](const std::string&, const api::ObjectPtr& object) {
        const auto& other = api::as<Service>(object);
        const bool same = other.metadata().uid() == service.metadata().uid();
        if (same) return true;
        taken.merge(usedBy(other));
        return true;
      });
  return taken;
}

void ServiceAllocator::chooseFamilies(Service& service, std::vector<Cause>& causes) const {
  auto& spec = *service.mutable_spec();
  api::FieldErrors errors;
  if (!spec.has_ipfamilypolicy())
    spec.set_ipfamilypolicy(spec.ipfamilies_size() > 1 || spec.clusterips_size() > 1
                                ? "RequireDualStack"
                                : "SingleStack");
  const bool dual = ranges_.size() > 1;
  if (spec.ipfamilypolicy() == "RequireDualStack" && !dual) {
    errors.invalid(api::FieldPath("spec.ipFamilyPolicy"), spec.ipfamilypolicy(),
                   "this cluster is not configured for dual-stack services");
  }
  for (int i = 0; i < spec.ipfamilies_size(); ++i) {
    if (rangeOf(spec.ipfamilies(i)) == nullptr) {
      errors.invalid(api::FieldPath("spec.ipFamilies").index(static_cast<std::size_t>(i)),
                     spec.ipfamilies(i), "not configured on this cluster");
    }
  }
  if (spec.ipfamilies().empty() && !api::isHeadless(service)) {
    for (const auto& address : spec.clusterips())
      spec.add_ipfamilies(isV6(address) ? "IPv6" : "IPv4");
  }
  if (spec.ipfamilies().empty()) spec.add_ipfamilies(std::string(ranges_[0].family()));
  if (spec.ipfamilypolicy() != "SingleStack" && dual && spec.ipfamilies_size() < 2)
    spec.add_ipfamilies(spec.ipfamilies(0) == "IPv4" ? "IPv6" : "IPv4");
  auto found = errors.take();
  causes.insert(causes.end(), found.begin(), found.end());
}

void ServiceAllocator::completeAddresses(Service& service, const Taken& taken,
                                         std::vector<Cause>& causes) {
  auto& spec = *service.mutable_spec();
  api::FieldErrors errors;
  const api::FieldPath path("spec.clusterIPs");
  for (int i = 0; i < spec.ipfamilies_size(); ++i) {
    const ServiceRange* range = rangeOf(spec.ipfamilies(i));
    if (range == nullptr) continue;
    const api::FieldPath at = path.index(static_cast<std::size_t>(i));
    if (i < spec.clusterips_size()) {
      const std::string& address = spec.clusterips(i);
      if (!range->contains(address)) {
        errors.invalid(at, address,
                       "failed to allocate IP " + address +
                           ": the provided network does not match "
                           "the current range " +
                           range->text());
      } else if (taken.addresses.contains(address)) {
        errors.invalid(at, address,
                       "failed to allocate IP " + address + ": provided IP is already allocated");
      }
      continue;
    }
    const auto free = chooseFree(rng_, range->size(), [&](std::uint32_t index) {
      return !taken.addresses.contains(range->at(index));
    });
    if (free) {
      spec.add_clusterips(range->at(*free));
    } else {
      errors.invalid(at, "", "failed to allocate an IP: range " + range->text() + " is full");
      break;
    }
  }
  if (!spec.clusterips().empty()) spec.set_clusterip(spec.clusterips(0));
  auto found = errors.take();
  causes.insert(causes.end(), found.begin(), found.end());
}

void ServiceAllocator::completePorts(Service& service, const Taken& taken,
                                     std::vector<Cause>& causes) {
  std::set<std::pair<std::int32_t, std::string>> own;
  for (const auto& port : service.spec().ports()) {
    if (port.nodeport() != 0) own.insert({port.nodeport(), port.protocol()});
  }
  api::FieldErrors errors;
  std::size_t i = 0;
  for (auto& port : *service.mutable_spec()->mutable_ports()) {
    const api::FieldPath at = api::FieldPath("spec.ports").index(i++).child("nodePort");
    if (port.nodeport() != 0) {
      if (taken.ports.contains({port.nodeport(), port.protocol()}))
        errors.invalid(at, port.nodeport(), "provided port is already allocated");
      continue;
    }
    const auto free = chooseFree(rng_, kPorts, [&](std::uint32_t index) {
      const std::pair candidate{api::kFirstNodePort + static_cast<std::int32_t>(index),
                                port.protocol()};
      return !taken.ports.contains(candidate) && !own.contains(candidate);
    });
    if (!free) {
      errors.invalid(at, "", "failed to allocate a nodePort: range is full");
      break;
    }
    port.set_nodeport(api::kFirstNodePort + static_cast<std::int32_t>(*free));
    own.insert({port.nodeport(), port.protocol()});
  }
  auto found = errors.take();
  causes.insert(causes.end(), found.begin(), found.end());
}

Result<ServiceAllocator::Hold> ServiceAllocator::complete(Service& service, const Service* before) {
  if (!api::hasClusterIp(service)) return Hold();
  std::vector<Cause> causes;
  const Taken taken = takenByOthers(before != nullptr ? *before : service);
  chooseFamilies(service, causes);
  if (!api::isHeadless(service)) completeAddresses(service, taken, causes);
  if (api::hasNodePorts(service)) completePorts(service, taken, causes);
  if (!causes.empty()) {
    return api::invalid(api::kindFor<Service>(), service.metadata().name(), std::move(causes));
  }
  Taken mine = usedBy(service);
  if (before != nullptr) {
    const Taken had = usedBy(*before);
    std::erase_if(mine.addresses, [&](const auto& each) { return had.addresses.contains(each); });
    std::erase_if(mine.ports, [&](const auto& each) { return had.ports.contains(each); });
  }
  held_.addresses.insert(mine.addresses.begin(), mine.addresses.end());
  held_.ports.insert(mine.ports.begin(), mine.ports.end());
  return Hold(nullptr, [this, mine = std::move(mine)](void*) {
    for (const auto& address : mine.addresses) held_.addresses.erase(address);
    for (const auto& port : mine.ports) held_.ports.erase(port);
  });
}

}  // namespace podlab::apiserver
