#include "scheduler/pod_info.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include "api/arena_object.hpp"
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

/// Writes values one after the other, so that different ones give different bytes.
class KeyWriter {
 public:
  void number(std::int64_t value) { key_.append(std::to_string(value)).append(":"); }
  void text(std::string_view value) {
    number(std::ssize(value));
    key_.append(value);
  }
  void message(const google::protobuf::Message& value) {
    // Most are empty.
    text(value.ByteSizeLong() == 0 ? std::string() : api::bytesOf(value));
  }
  void messages(const auto& values) {
    number(values.size());
    for (const auto& value : values) message(value);
  }
  /// In the order of the names.
  void map(const auto& values, const auto& write) {
    std::vector<const std::string*> names;
    for (const auto& [name, value] : values) names.push_back(&name);
    std::ranges::sort(names, {}, [](const auto* name) -> const std::string& { return *name; });
    number(std::ssize(names));
    for (const auto* name : names) {
      text(*name);
      write(values.at(*name));
    }
  }
  std::string take() { return std::move(key_); }

 private:
  std::string key_;
};

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
  const corev1::PodSpec& spec = pod.spec();
  KeyWriter key;
  key.text(pod.metadata().namespace_());
  key.map(pod.metadata().labels(), [&](const std::string& value) { key.text(value); });
  for (const auto* containers : {&spec.containers(), &spec.initcontainers()}) {
    key.number(containers->size());
    for (const corev1::Container& container : *containers) {
      key.text(container.image());
      key.message(container.resources());
      key.text(container.restartpolicy());
      for (const auto& port : container.ports()) {
        if (port.hostport() > 0) key.message(port);
      }
      key.text("");  // the end of the ports: none is empty
    }
  }
  // A pod that was assigned still stands for its template.
  key.map(spec.nodeselector(), [&](const std::string& value) { key.text(value); });
  key.message(spec.affinity());
  key.messages(spec.tolerations());
  key.map(spec.overhead(), [&](const auto& quantity) { key.message(quantity); });
  key.messages(spec.topologyspreadconstraints());
  key.message(spec.resources());
  if (defaultSelector) key.text(defaultSelector->toString());
  return key.take();
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

std::int64_t startOf(const corev1::Pod& pod) {
  return pod.status().has_starttime() ? pod.status().starttime().seconds()
                                      : std::numeric_limits<std::int64_t>::max();
}

PodInfo::PodInfo(PodPtr source, VolumeNeeds needs, PodShapes* shapes,
                 const std::optional<api::LabelSelector>& defaultSelector)
    : pod(std::move(source)),
      key(api::keyOf(*pod)),
      shape(shapes != nullptr ? shapes->of(*pod, defaultSelector)
                              : std::make_shared<const PodShape>(*pod, defaultSelector)),
      priority(pod->spec().priority()),
      preempts(pod->spec().preemptionpolicy() != "Never"),
      generation(pod->metadata().generation()),
      isTerminating(pod->metadata().has_deletiontimestamp()),
      startedAt(startOf(*pod)),
      volumes(std::move(needs)) {
  for (const auto& claim : api::claimsOf(*pod))
    claims.push_back(pod->metadata().namespace_() + "/" + claim);
}

}  // namespace podlab::scheduler
