#include "scheduler/pod_info.hpp"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

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

std::string withTag(const std::string& image) {
  const auto slash = image.rfind('/');
  const bool tagged =
      image.find_first_of(":@", slash == std::string::npos ? 0 : slash) != std::string::npos;
  return tagged ? image : image + ":latest";
}

std::string PodShape::keyOf(const corev1::Pod& pod,
                            const std::optional<api::LabelSelector>& defaultSelector) {
  corev1::Pod part;
  part.mutable_metadata()->set_namespace_(pod.metadata().namespace_());
  *part.mutable_metadata()->mutable_labels() = pod.metadata().labels();
  const auto& from = pod.spec();
  auto& to = *part.mutable_spec();
  const auto copy = [](const corev1::Container& container, corev1::Container& copied) {
    copied.set_image(container.image());
    *copied.mutable_resources() = container.resources();
    for (const auto& port : container.ports()) {
      if (port.hostport() > 0) *copied.add_ports() = port;
    }
    if (container.has_restartpolicy()) copied.set_restartpolicy(container.restartpolicy());
  };
  for (const auto& container : from.containers()) copy(container, *to.add_containers());
  for (const auto& container : from.initcontainers()) copy(container, *to.add_initcontainers());
  // A pod that was assigned still stands for its template.
  *to.mutable_nodeselector() = from.nodeselector();
  if (from.has_affinity()) *to.mutable_affinity() = from.affinity();
  *to.mutable_tolerations() = from.tolerations();
  *to.mutable_overhead() = from.overhead();
  *to.mutable_topologyspreadconstraints() = from.topologyspreadconstraints();
  if (from.has_resources()) *to.mutable_resources() = from.resources();

  std::string key;
  {
    google::protobuf::io::StringOutputStream stream(&key);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    part.SerializePartialToCodedStream(&coded);
  }
  if (defaultSelector) key += '\0' + defaultSelector->toString();
  return key;
}

PodShape::PodShape(const corev1::Pod& pod, const std::optional<api::LabelSelector>& defaultSelector)
    : key(keyOf(pod, std::nullopt)),
      ns(pod.metadata().namespace_()),
      labels(pod.metadata().labels()),
      terms(readTerms(pod, defaultSelector)) {
  const auto& from = pod.spec();
  *spec.mutable_nodeselector() = from.nodeselector();
  if (from.affinity().has_nodeaffinity())
    *spec.mutable_affinity()->mutable_nodeaffinity() = from.affinity().nodeaffinity();
  *spec.mutable_tolerations() = from.tolerations();
  for (const auto& [name, quantity] : api::podRequests(pod)) {
    if (name == "cpu") {
      requests.cpuMilli = quantity.milliValue();
    } else if (name == "memory") {
      requests.memoryBytes = quantity.value();
    } else if (!quantity.isZero()) {
      requests.others[name] = quantity.value();
    }
  }
  requestsNothing = requests == Resources();
  scoredCpuMilli = scoredRequest(from, "cpu", true, kDefaultCpuMilli);
  scoredMemoryBytes = scoredRequest(from, "memory", false, kDefaultMemoryBytes);
  const auto addPorts = [this](const corev1::Container& container) {
    for (const auto& port : container.ports()) {
      if (port.hostport() > 0)
        hostPorts.push_back(
            {port.hostip(), port.protocol().empty() ? "TCP" : port.protocol(), port.hostport()});
    }
  };
  for (const auto& container : from.containers()) {
    addPorts(container);
    images.push_back(withTag(container.image()));
  }
  for (const auto& container : from.initcontainers()) {
    if (container.restartpolicy() == "Always") addPorts(container);
    images.push_back(withTag(container.image()));
  }
}

std::shared_ptr<const PodShape> PodShapes::of(
    const corev1::Pod& pod, const std::optional<api::LabelSelector>& defaultSelector) {
  auto& known = shapes_[PodShape::keyOf(pod, defaultSelector)];
  auto shape = known.lock();
  if (shape) return shape;
  shape = std::make_shared<const PodShape>(pod, defaultSelector);
  known = shape;
  if (shapes_.size() >= sweepAt_) {
    std::erase_if(shapes_, [](const auto& entry) { return entry.second.expired(); });
    sweepAt_ = std::max<std::size_t>(1024, 2 * shapes_.size());
  }
  return shape;
}

PodInfo::PodInfo(PodPtr source, VolumeNeeds needs, PodShapes* shapes,
                 const std::optional<api::LabelSelector>& defaultSelector)
    : pod(std::move(source)),
      key(api::keyOf(*pod)),
      shape(shapes != nullptr ? shapes->of(*pod, defaultSelector)
                              : std::make_shared<const PodShape>(*pod, defaultSelector)),
      priority(pod->spec().priority()),
      preempts(pod->spec().preemptionpolicy() != "Never"),
      isTerminating(pod->metadata().has_deletiontimestamp()),
      volumes(std::move(needs)) {
  if (pod->status().has_starttime()) startedAt = pod->status().starttime().seconds();
  for (const auto& claim : api::claimsOf(*pod))
    claims.push_back(pod->metadata().namespace_() + "/" + claim);
}

}  // namespace podlab::scheduler
