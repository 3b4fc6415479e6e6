#include "node/node_status.hpp"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <iomanip>
#include <sstream>
#include <string_view>
#include <tuple>
#include <utility>

#include "api/arena_object.hpp"
#include "api/conditions.hpp"
#include "api/node_labels.hpp"
#include "api/persistent_volumes.hpp"
#include "api/taints.hpp"
#include "api/times.hpp"
#include "common/hash.hpp"
#include "common/log.hpp"

namespace podlab::node {
namespace {

std::string firstLine(Filesystem& files, const std::string& path) {
  std::string text = files.readFile(path).valueOr("");
  return text.substr(0, text.find('\n'));
}

/// The value of KEY="value" in os-release(5).
std::string osRelease(const std::string& text, std::string_view key) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != '=') continue;
    std::string value = line.substr(key.size() + 1);
    std::erase(value, '"');
    return value;
  }
  return {};
}

std::string goArchitecture(std::string_view machine) {
  if (machine == "x86_64") return "amd64";
  if (machine == "aarch64") return "arm64";
  return std::string(machine);
}

/// 16 hexadecimal digits.
std::string hashOf(std::string_view text) {
  std::ostringstream out;
  out << std::hex << std::setw(16) << std::setfill('0') << fnv1a(text);
  return out.str();
}

std::map<std::string, std::string> labelsOf(const NodeFacts& facts) {
  auto labels = facts.labels;
  labels[api::kHostnameLabel] = facts.name;
  labels["kubernetes.io/os"] = facts.system.operatingsystem();
  labels["kubernetes.io/arch"] = facts.system.architecture();
  if (!facts.volumesFolder.empty())
    labels[api::kVolumesLabel] =
        hashOf((facts.system.machineid().empty() ? facts.name : facts.system.machineid()) +
               facts.volumesFolder);
  return labels;
}

std::map<std::string, std::string> annotationsOf(const NodeFacts& facts) {
  std::map<std::string, std::string> annotations{
      {kPodMtuAnnotation, std::to_string(facts.network.mtu)}};
  if (const auto& mac = facts.network.vxlanMac) annotations[kVxlanMacAnnotation] = mac->toString();
  if (!facts.volumesFolder.empty())
    annotations[api::kVolumesFolderAnnotation] = facts.volumesFolder;
  return annotations;
}

template <typename Map>
bool setAll(Map& map, const std::map<std::string, std::string>& wanted) {
  bool changed = false;
  for (const auto& [key, value] : wanted) {
    auto [it, fresh] = map.insert({key, value});
    if (!fresh && it->second == value) continue;
    it->second = value;
    changed = true;
  }
  return changed;
}

void addAddress(corev1::NodeStatus& status, const char* type, std::string address) {
  auto& added = *status.add_addresses();
  added.set_type(type);
  added.set_address(std::move(address));
}

}  // namespace

corev1::NodeSystemInfo readSystemInfo(Filesystem& files) {
  corev1::NodeSystemInfo info;
  utsname uts{};
  ::uname(&uts);
  info.set_kernelversion(uts.release);
  info.set_architecture(goArchitecture(uts.machine));
  info.set_operatingsystem("linux");
  info.set_osimage(osRelease(files.readFile("/etc/os-release").valueOr(""), "PRETTY_NAME"));
  info.set_machineid(firstLine(files, "/etc/machine-id"));
  info.set_systemuuid(firstLine(files, "/sys/class/dmi/id/product_uuid"));
  info.set_bootid(firstLine(files, "/proc/sys/kernel/random/boot_id"));
  return info;
}

std::map<std::string, std::string> readCapacity(Filesystem& files) {
  std::map<std::string, std::string> capacity;
  capacity["cpu"] = std::to_string(::sysconf(_SC_NPROCESSORS_ONLN));
  // proc_meminfo(5): "MemTotal:       24629344 kB"
  std::istringstream lines(files.readFile("/proc/meminfo").valueOr(""));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string key, amount;
    if (fields >> key >> amount && key == "MemTotal:") capacity["memory"] = amount + "Ki";
  }
  return capacity;
}

corev1::Node makeNode(const NodeFacts& facts) {
  corev1::Node node;
  node.mutable_metadata()->set_name(facts.name);
  updateMetadata(node, facts);
  auto& notReady = *node.mutable_spec()->add_taints();
  notReady.set_key(std::string(api::kTaintNotReady));
  notReady.set_effect(std::string(api::kNoSchedule));
  for (const auto& taint : facts.taints) *node.mutable_spec()->add_taints() = taint;
  return node;
}

bool updateMetadata(corev1::Node& node, const NodeFacts& facts) {
  bool labels = setAll(*node.mutable_metadata()->mutable_labels(), labelsOf(facts));
  return setAll(*node.mutable_metadata()->mutable_annotations(), annotationsOf(facts)) || labels;
}

std::vector<corev1::ContainerImage> imagesForStatus(std::vector<ListedImage> images) {
  constexpr std::size_t kMaxImages = 50;
  std::ranges::sort(images, [](const ListedImage& one, const ListedImage& other) {
    return std::tie(other.size, one.names) < std::tie(one.size, other.names);
  });
  if (images.size() > kMaxImages) images.resize(kMaxImages);
  std::vector<corev1::ContainerImage> listed(images.size());
  for (std::size_t i = 0; i < images.size(); ++i) {
    listed[i].mutable_names()->Assign(images[i].names.begin(), images[i].names.end());
    listed[i].set_sizebytes(static_cast<std::int64_t>(images[i].size));
  }
  return listed;
}

bool updateStatus(corev1::NodeStatus& status, const NodeFacts& facts,
                  const NodeReadiness& readiness, const NodePressure& pressure, bool heartbeat,
                  WallTime now, const std::optional<PeerHealth>& peers) {
  const std::string before = heartbeat ? "" : api::bytesOf(status);
  status.clear_capacity();
  status.clear_allocatable();
  for (const auto& [resource, quantity] : facts.capacity) {
    (*status.mutable_capacity())[resource].set_string(quantity);
    (*status.mutable_allocatable())[resource].set_string(quantity);
  }
  status.clear_addresses();
  for (const auto& address : facts.network.underlay)
    addAddress(status, "InternalIP", address.toString());
  addAddress(status, "Hostname", facts.name);
  *status.mutable_nodeinfo() = facts.system;
  status.mutable_images()->Assign(facts.images.begin(), facts.images.end());

  bool changed = heartbeat || before != api::bytesOf(status);
  const api::ConditionState conditions[] = {
      pressure.memory
          ? api::ConditionState{"MemoryPressure", "True", "KubeletHasInsufficientMemory",
                                "kubelet has insufficient memory available"}
          : api::ConditionState{"MemoryPressure", "False", "KubeletHasSufficientMemory",
                                "kubelet has sufficient memory available"},
      pressure.disk ? api::ConditionState{"DiskPressure", "True", "KubeletHasDiskPressure",
                                          "kubelet has disk pressure"}
                    : api::ConditionState{"DiskPressure", "False", "KubeletHasNoDiskPressure",
                                          "kubelet has no disk pressure"},
      pressure.pids ? api::ConditionState{"PIDPressure", "True", "KubeletHasInsufficientPID",
                                          "kubelet has insufficient PID available"}
                    : api::ConditionState{"PIDPressure", "False", "KubeletHasSufficientPID",
                                          "kubelet has sufficient PID available"},
      {"Ready", readiness.ready ? "True" : "False", readiness.ready ? "NodeReady" : "NodeNotReady",
       readiness.ready ? "the network is up and the container runtime answers" : readiness.message},
  };
  for (const auto& condition : conditions)
    changed = api::setCondition(status, condition, now) || changed;
  // Nodes without trouble write nothing of it: there may be thousands.
  if (peers && (peers->problem || api::findCondition(status, kPeerCondition) != nullptr)) {
    const api::ConditionState state{kPeerCondition, peers->problem ? "True" : "False",
                                    peers->reason, peers->message};
    changed = api::setCondition(status, state, now) || changed;
  }
  return changed;
}

std::vector<Peer> peersOf(const std::vector<std::shared_ptr<const corev1::Node>>& nodes,
                          const std::string& self) {
  std::vector<Peer> peers;
  for (const auto& node : nodes) {
    if (node->metadata().name() == self) continue;
    Peer peer;
    peer.node = node->metadata().name();
    for (const auto& text : node->spec().podcidrs()) {
      auto range = net::Cidr::parse(text);
      if (range.ok()) peer.podRanges.push_back(*range);
    }
    for (const auto& address : node->status().addresses()) {
      auto parsed = net::IpAddress::parse(address.address());
      if (address.type() == "InternalIP" && parsed.ok()) peer.underlay.push_back(*parsed);
    }
    auto annotation = node->metadata().annotations().find(kVxlanMacAnnotation);
    if (annotation == node->metadata().annotations().end()) continue;
    auto mac = net::MacAddress::parse(annotation->second);
    if (peer.podRanges.empty() || peer.underlay.empty() || !mac.ok()) continue;
    peer.vxlanMac = *mac;
    peers.push_back(std::move(peer));
  }
  std::ranges::sort(peers, {}, &Peer::node);
  return peers;
}

}  // namespace podlab::node
