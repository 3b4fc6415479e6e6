#include "lab/cluster_config.hpp"

#include <algorithm>
#include <set>

#include "api/codec.hpp"
#include "api/names.hpp"
#include "api/quantity.hpp"
#include "lab/fault_timeline.hpp"
#include "lab/hollow_config.hpp"
#include "lab/node_checks.hpp"
#include "lab/node_host.hpp"

namespace podlab::lab {
namespace {

constexpr std::string_view kDefaultPodV4 = "10.244.0.0/16";
/// Of clusters with more nodes than it has ranges of the default size.
constexpr std::string_view kLargePodV4 = "100.64.0.0/10";
constexpr std::string_view kDefaultPodV6 = "fd00:10:244::/48";
constexpr std::string_view kDefaultUnderlayV4 = "172.29.0.0/16";
constexpr std::string_view kDefaultUnderlayV6 = "fd00:172:29::/64";
constexpr int kMaxNodes = 250;
constexpr int kRangesByDefault = 256;

void addRanges(google::protobuf::RepeatedPtrField<std::string>& ranges, std::string_view family,
               std::string_view v4, std::string_view v6) {
  if (!ranges.empty()) return;
  if (family != "ipv6") ranges.Add(std::string(v4));
  if (family != "ipv4") ranges.Add(std::string(v6));
}

/// Parses the ranges of one field; each family that ipFamily asks for exactly once.
std::vector<net::Cidr> checkRanges(const google::protobuf::RepeatedPtrField<std::string>& ranges,
                                   const std::string& field, std::string_view family,
                                   std::vector<Cause>& causes) {
  std::vector<net::Cidr> parsed;
  int v4 = 0, v6 = 0;
  for (int i = 0; i < ranges.size(); ++i) {
    const std::string path = field + "[" + std::to_string(i) + "]";
    auto range = net::Cidr::parse(ranges[i]);
    if (!range) {
      causes.push_back(invalidField(path, ranges[i], range.status().message()));
      continue;
    }
    int& count = range->family() == net::Family::kV4 ? v4 : v6;
    if (++count > 1)
      causes.push_back(
          invalidField(path, ranges[i], "a second range of the same IP family; give one a family"));
    parsed.push_back(*range);
  }
  const bool wantV4 = family != "ipv6", wantV6 = family != "ipv4";
  if (causes.empty() && (wantV4 != (v4 > 0) || wantV6 != (v6 > 0))) {
    causes.push_back(invalidField(field, ranges.empty() ? "" : ranges[0],
                                  "does not fit networking.ipFamily: " + std::string(family)));
  }
  return parsed;
}

void checkNodePrefix(int prefix, int bits, const net::Cidr& range, const std::string& field,
                     int nodes, std::vector<Cause>& causes) {
  const int smallest = bits == 32 ? 29 : 125;
  if (prefix <= range.prefix() || prefix > smallest) {
    causes.push_back(invalidField(field, std::to_string(prefix),
                                  "must be longer than the prefix of " + range.toString() +
                                      " and at most " + std::to_string(smallest)));
  } else if (range.subnetCount(prefix) < static_cast<std::uint64_t>(nodes)) {
    causes.push_back(
        invalidField(field, std::to_string(prefix),
                     range.toString() + " has only " + std::to_string(range.subnetCount(prefix)) +
                         " ranges of this size for " + std::to_string(nodes) + " nodes"));
  }
}

void checkNode(const config::v1alpha1::Node& node, const std::string& path,
               std::vector<Cause>& causes) {
  if (node.has_count() && node.has_host()) {
    causes.push_back(invalidField(path + ".host", node.host(),
                                  "is one machine, and so one node: leave out count, and list each "
                                  "node with its host"));
    return;
  }
  if (node.has_count()) {
    causes.push_back(invalidField(path + ".count", std::to_string(node.count()),
                                  "must be at least 1; leave the group out for no nodes"));
    return;
  }
  for (const auto& why : api::faultsOfDns1123Label(node.name()))
    causes.push_back(invalidField(path + ".name", node.name(), why));
  if (node.has_cpu()) checkQuantity(path + ".cpu", node.cpu().string(), causes);
  if (node.has_memory()) checkQuantity(path + ".memory", node.memory().string(), causes);
  for (const auto& [signal, amount] : node.evictionhard()) {
    constexpr std::string_view kSignals[] = {"imagefs.available", "imagefs.inodesFree",
                                             "memory.available",  "nodefs.available",
                                             "nodefs.inodesFree", "pid.available"};
    const std::string at = path + ".evictionHard[" + signal + "]";
    if (std::find(std::begin(kSignals), std::end(kSignals), signal) == std::end(kSignals))
      causes.push_back(invalidField(at, signal,
                                    "must be one of imagefs.available, imagefs.inodesFree, "
                                    "memory.available, nodefs.available, nodefs.inodesFree, "
                                    "pid.available"));
    const auto least = api::Quantity::parse(
        amount.ends_with('%') ? std::string_view(amount).substr(0, amount.size() - 1) : amount);
    if (!least || least->isNegative())
      causes.push_back(
          invalidField(at, amount, "must be an amount such as 100Mi, or a share such as 10%"));
  }
  if (node.has_podpidslimit() && node.podpidslimit() < 1) {
    causes.push_back(invalidField(path + ".podPidsLimit", std::to_string(node.podpidslimit()),
                                  "must be greater than 0"));
  }
  if (node.has_containerlogmaxsize())
    checkQuantity(path + ".containerLogMaxSize", node.containerlogmaxsize().string(), causes);
  if (node.has_containerlogmaxfiles() && node.containerlogmaxfiles() < 2) {
    causes.push_back(invalidField(path + ".containerLogMaxFiles",
                                  std::to_string(node.containerlogmaxfiles()),
                                  "must be at least 2"));
  }
  if (node.has_maxpods()) checkMaxPods(node.maxpods(), path, causes);
  checkLabels(node.labels(), path, causes);
  checkTaints(node.taints(), path, causes);
}

/// Either all nodes are machines of their own, or none is.
void checkHosts(const Cluster& cluster, std::vector<Cause>& causes) {
  std::vector<std::pair<NodeHost, std::string>> seen;
  for (int i = 0; i < cluster.nodes_size(); ++i) {
    const auto& node = cluster.nodes(i);
    const std::string path = "nodes[" + std::to_string(i) + "].host";
    if (node.has_count()) continue;  // named already
    if (!node.has_host()) {
      causes.push_back({"FieldValueRequired", path,
                        "Required value: other nodes of the file have a host; either all have one, "
                        "or none has"});
      continue;
    }
    auto host = parseNodeHost(node.host());
    if (!host) {
      causes.push_back(invalidField(path, node.host(), host.status().message()));
      continue;
    }
    for (const auto& [other, name] : seen) {
      if (!isSameMachine(*host, other)) continue;
      causes.push_back({"FieldValueDuplicate", path,
                        "Duplicate value: \"" + node.host() + "\": node \"" + name +
                            "\" is on this host already"});
      break;
    }
    seen.emplace_back(std::move(*host), node.name());
  }
}

void checkChoice(const std::string& field, const std::string& value,
                 std::initializer_list<const char*> choices, std::vector<Cause>& causes) {
  std::string supported;
  for (const char* choice : choices) {
    if (value == choice) return;
    supported += std::string(supported.empty() ? "" : ", ") + "\"" + choice + "\"";
  }
  causes.push_back({"FieldValueNotSupported", field,
                    "Unsupported value: \"" + value + "\": supported values: " + supported});
}

void checkProfiles(const config::v1alpha1::Scheduler& scheduler, std::vector<Cause>& causes) {
  std::set<std::string> names;
  for (int i = 0; i < scheduler.profiles_size(); ++i) {
    const auto& profile = scheduler.profiles(i);
    const std::string path = "scheduler.profiles[" + std::to_string(i) + "]";
    for (const auto& why : api::faultsOfDns1123Subdomain(profile.name()))
      causes.push_back(invalidField(path + ".name", profile.name(), why));
    if (!names.insert(profile.name()).second)
      causes.push_back(
          invalidField(path + ".name", profile.name(), "is the name of an earlier profile"));
    checkChoice(path + ".scoring", profile.scoring(), {"LeastAllocated", "MostAllocated"}, causes);
  }
}

}  // namespace

Result<Cluster> parseCluster(std::string_view text) {
  bool isCluster = false;
  const auto lookup = [&isCluster](const api::TypeMeta& type) -> const google::protobuf::Message* {
    isCluster = type.kind == "Cluster" && type.apiVersion == kClusterApiVersion;
    return isCluster ? &Cluster::default_instance() : nullptr;
  };
  api::DecodeOptions options;
  options.strict = true;
  auto objects = api::decodeManifest(text, lookup, options);
  if (!objects && !isCluster) {
    return Status(objects.status().code(), objects.status().message() +
                                               "; a cluster file has apiVersion: " +
                                               std::string(kClusterApiVersion) + ", kind: Cluster");
  }
  if (!objects) return objects.status();
  if (objects->size() != 1) {
    return Status(Code::kBadRequest,
                  "a cluster file has exactly one document of kind Cluster (apiVersion " +
                      std::string(kClusterApiVersion) + "), not " +
                      std::to_string(objects->size()));
  }
  return static_cast<Cluster&>(*objects->front().object);
}

void applyClusterDefaults(Cluster& cluster) {
  if (!cluster.has_name()) cluster.set_name("default");
  if (cluster.nodes().empty() && cluster.hollow().empty()) cluster.add_nodes()->set_count(3);
  google::protobuf::RepeatedPtrField<config::v1alpha1::Node> nodes;
  for (const auto& group : cluster.nodes()) {
    const std::string prefix = group.has_name() ? group.name() : "node";
    const bool single = group.has_name() && !group.has_count();
    const int count = std::min(group.has_count() ? group.count() : 1, kMaxNodes + 1);
    // Left as it is, for validateCluster() to name.
    if (count < 1 || (count > 1 && group.has_host())) {
      *nodes.Add() = group;
      continue;
    }
    for (int i = 0; i < count; ++i) {
      auto* node = nodes.Add();
      *node = group;
      node->clear_count();
      // Unnamed groups share one numbering.
      const int number = group.has_name() ? i + 1 : nodes.size();
      node->set_name(single ? prefix : prefix + std::to_string(number));
    }
  }
  *cluster.mutable_nodes() = std::move(nodes);

  applyHollowDefaults(cluster);
  const bool large = cluster.nodes_size() + hollowCount(cluster) > kRangesByDefault;

  auto& network = *cluster.mutable_networking();
  if (!network.has_ipfamily()) network.set_ipfamily("ipv4");
  addRanges(*network.mutable_podcidrs(), network.ipfamily(), large ? kLargePodV4 : kDefaultPodV4,
            kDefaultPodV6);
  addRanges(*network.mutable_underlaycidrs(), network.ipfamily(), kDefaultUnderlayV4,
            kDefaultUnderlayV6);
  if (!network.has_nodeprefixipv4()) network.set_nodeprefixipv4(24);
  if (!network.has_nodeprefixipv6()) network.set_nodeprefixipv6(64);
  if (!network.has_backend()) network.set_backend("vxlan");
  if (!network.has_vxlanid()) network.set_vxlanid(1);
  if (!network.has_vxlanport()) network.set_vxlanport(8472);
  if (!network.has_mtu()) network.set_mtu(1500);
  if (!cluster.images().has_missing()) cluster.mutable_images()->set_missing("error");
  if (cluster.has_scheduler()) {
    for (auto& profile : *cluster.mutable_scheduler()->mutable_profiles()) {
      if (!profile.has_scoring()) profile.set_scoring("LeastAllocated");
    }
  }
}

bool hasHosts(const Cluster& cluster) {
  return std::ranges::any_of(cluster.nodes(), [](const auto& node) { return node.has_host(); });
}

Cluster serverPart(Cluster cluster) {
  cluster.clear_nodes();
  cluster.clear_hollow();
  cluster.clear_faults();
  cluster.mutable_networking()->clear_underlaycidrs();
  return cluster;
}

std::vector<Cause> validateCluster(const Cluster& cluster,
                                   const std::vector<HostNetwork>& hostNetworks) {
  std::vector<Cause> causes;
  for (const auto& why : api::faultsOfDns1123Label(cluster.name()))
    causes.push_back(invalidField("name", cluster.name(), why));
  if (cluster.nodes_size() > kMaxNodes && !hasHosts(cluster)) {
    causes.push_back(invalidField("nodes", std::to_string(cluster.nodes_size()),
                                  "at most 250 nodes on one host"));
  }
  std::set<std::string> names;
  for (int i = 0; i < cluster.nodes_size(); ++i) {
    const std::string path = "nodes[" + std::to_string(i) + "]";
    checkNode(cluster.nodes(i), path, causes);
    if (!names.insert(cluster.nodes(i).name()).second) {
      causes.push_back({"FieldValueDuplicate", path + ".name",
                        "Duplicate value: \"" + cluster.nodes(i).name() + "\""});
    }
  }
  if (hasHosts(cluster)) checkHosts(cluster, causes);
  checkHollow(cluster, causes);

  const auto faults = faultsOfTimeline(cluster.faults(), nodeLabels(cluster));
  causes.insert(causes.end(), faults.begin(), faults.end());

  const auto& network = cluster.networking();
  checkChoice("networking.ipFamily", network.ipfamily(), {"ipv4", "ipv6", "dual"}, causes);
  checkChoice("networking.backend", network.backend(), {"vxlan", "host-gw"}, causes);
  checkChoice("images.missing", cluster.images().missing(), {"error", "stand-in"}, causes);
  checkProfiles(cluster.scheduler(), causes);
  if (network.vxlanid() < 1 || network.vxlanid() > 0xffffff) {
    causes.push_back(invalidField("networking.vxlanID", std::to_string(network.vxlanid()),
                                  "must be between 1 and 16777215"));
  }
  if (network.vxlanport() < 1 || network.vxlanport() > 65535) {
    causes.push_back(invalidField("networking.vxlanPort", std::to_string(network.vxlanport()),
                                  "must be between 1 and 65535"));
  }
  // 1280 is the least that IPv6 asks of a link (RFC 8200, section 5), here of the pods' links
  // behind the overlay's 70 bytes.
  if (network.mtu() < 1350 || network.mtu() > 65535) {
    causes.push_back(invalidField("networking.mtu", std::to_string(network.mtu()),
                                  "must be between 1350 and 65535"));
  }
  if (!causes.empty()) return causes;

  const auto pods =
      checkRanges(network.podcidrs(), "networking.podCIDRs", network.ipfamily(), causes);
  const auto underlay =
      checkRanges(network.underlaycidrs(), "networking.underlayCIDRs", network.ipfamily(), causes);
  if (!causes.empty()) return causes;
  for (const auto& range : pods) {
    const bool v4 = range.family() == net::Family::kV4;
    checkNodePrefix(v4 ? network.nodeprefixipv4() : network.nodeprefixipv6(), v4 ? 32 : 128, range,
                    v4 ? "networking.nodePrefixIPv4" : "networking.nodePrefixIPv6",
                    cluster.nodes_size() + hollowCount(cluster), causes);
    for (const auto& other : underlay) {
      if (range.overlaps(other)) {
        causes.push_back(invalidField("networking.podCIDRs", range.toString(),
                                      "overlaps networking.underlayCIDRs " + other.toString()));
      }
    }
    for (const auto& host : hostNetworks) {
      if (range.overlaps(host.range)) {
        causes.push_back(invalidField("networking.podCIDRs", range.toString(),
                                      "overlaps " + host.range.toString() + " of this host (" +
                                          host.origin + "); choose another range"));
      }
    }
  }
  for (const auto& range : underlay) {
    if (range.size() < static_cast<std::uint64_t>(kMaxNodes) + 10) {
      causes.push_back(invalidField("networking.underlayCIDRs", range.toString(),
                                    "is too small; at least 260 addresses are needed"));
    }
  }
  return causes;
}

std::string schedulerProfiles(const Cluster& cluster) {
  std::string text;
  for (const auto& profile : cluster.scheduler().profiles()) {
    text += (text.empty() ? "" : ",") + profile.name() + "=" + profile.scoring();
    if (profile.sampled()) text += ":sampled";
  }
  return text;
}

NodeLabels nodeLabels(const Cluster& cluster) {
  NodeLabels nodes;
  for (const auto& node : cluster.nodes())
    nodes[node.name()] = {node.labels().begin(), node.labels().end()};
  return nodes;
}

void dropBrokenFaults(Cluster& cluster) {
  if (!cluster.has_faults()) return;
  const NodeLabels nodes = nodeLabels(cluster);
  auto& timeline = *cluster.mutable_faults()->mutable_timeline();
  timeline.erase(std::remove_if(timeline.begin(), timeline.end(),
                                [&](const FaultConfig& fault) {
                                  return !faultsOfEntry(fault, nodes, "").empty();
                                }),
                 timeline.end());
}

std::string formatCluster(const Cluster& cluster) {
  const api::TypeMeta type{std::string(kClusterApiVersion), "Cluster"};
  return api::toYaml(cluster, type);
}

}  // namespace podlab::lab
