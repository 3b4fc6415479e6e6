#include "scheduler/pod_info.hpp"

#include <algorithm>

#include "api/persistent_volumes.hpp"
#include "api/pod_resources.hpp"

namespace podlab::scheduler {
namespace {

constexpr std::int64_t kDefaultCpuMilli = 100;
constexpr std::int64_t kDefaultMemoryBytes = 200 << 20;

std::int64_t requestOf(const corev1::Container& container, const char* resource, bool milli,
                       std::int64_t fallback) {
  const auto& requests = container.resources().requests();
  const auto it = requests.find(resource);
  if (it == requests.end()) return fallback;
  const auto quantity = api::Quantity::read(it->second);
  return milli ? quantity.milliValue() : quantity.value();
}

/// As podRequests: the larger of the containers together and each init container, restartable ones
/// added up.
std::int64_t scoredRequest(const corev1::PodSpec& spec, const char* resource, bool milli,
                           std::int64_t fallback) {
  std::int64_t together = 0;
  for (const auto& container : spec.containers())
    together += requestOf(container, resource, milli, fallback);
  std::int64_t restartable = 0, largestInit = 0;
  for (const auto& container : spec.initcontainers()) {
    const std::int64_t request = requestOf(container, resource, milli, fallback);
    if (container.restartpolicy() == "Always") restartable += request;
    largestInit =
        std::max(largestInit, restartable + (container.restartpolicy() == "Always" ? 0 : request));
  }
  std::int64_t total = std::max(together + restartable, largestInit);
  const auto overhead = spec.overhead().find(resource);
  if (overhead != spec.overhead().end()) {
    const auto quantity = api::Quantity::read(overhead->second);
    total += milli ? quantity.milliValue() : quantity.value();
  }
  return total;
}

}  // namespace

Resources& Resources::operator+=(const Resources& other) {
  cpuMilli += other.cpuMilli;
  memoryBytes += other.memoryBytes;
  for (const auto& [name, amount] : other.others) others[name] += amount;
  return *this;
}

Resources& Resources::operator-=(const Resources& other) {
  cpuMilli -= other.cpuMilli;
  memoryBytes -= other.memoryBytes;
  for (const auto& [name, amount] : other.others) {
    auto& left = others[name];
    left -= amount;
    if (left == 0) others.erase(name);
  }
  return *this;
}

bool HostPort::conflictsWith(const HostPort& other) const {
  const auto any = [](const std::string& ip) {
    return ip.empty() || ip == "0.0.0.0" || ip == "::";
  };
  return port == other.port && protocol == other.protocol &&
         (any(hostIp) || any(other.hostIp) || hostIp == other.hostIp);
}

PodInfo::PodInfo(PodPtr source, VolumeNeeds needs)
    : pod(std::move(source)), key(api::keyOf(*pod)), volumes(std::move(needs)) {
  for (const auto& [name, quantity] : api::podRequests(*pod)) {
    if (name == "cpu") {
      requests.cpuMilli = quantity.milliValue();
    } else if (name == "memory") {
      requests.memoryBytes = quantity.value();
    } else if (!quantity.isZero()) {
      requests.others[name] = quantity.value();
    }
  }
  scoredCpuMilli = scoredRequest(pod->spec(), "cpu", true, kDefaultCpuMilli);
  scoredMemoryBytes = scoredRequest(pod->spec(), "memory", false, kDefaultMemoryBytes);
  for (const auto& claim : api::claimsOf(*pod))
    claims.push_back(pod->metadata().namespace_() + "/" + claim);
  const auto addPorts = [this](const corev1::Container& container) {
    for (const auto& port : container.ports()) {
      if (port.hostport() > 0)
        hostPorts.push_back(
            {port.hostip(), port.protocol().empty() ? "TCP" : port.protocol(), port.hostport()});
    }
  };
  for (const auto& container : pod->spec().containers()) addPorts(container);
  for (const auto& container : pod->spec().initcontainers()) {
    if (container.restartpolicy() == "Always") addPorts(container);
  }
}

}  // namespace podlab::scheduler
