#include "lab/hollow_config.hpp"

#include <algorithm>
#include <set>
#include <string_view>

#include "api/names.hpp"
#include "api/node_labels.hpp"
#include "lab/fault.hpp"
#include "lab/node_checks.hpp"

namespace podlab::lab {
namespace {

using Config = config::v1alpha1::HollowBehaviour;
using Group = config::v1alpha1::HollowNodes;

constexpr int kMaxHollow = 20'000;
/// The ranges that are set aside for benchmarks (RFC 2544, RFC 5180): no machine is there.
constexpr std::string_view kAddressesV4 = "198.18.0.0/15";
constexpr std::string_view kAddressesV6 = "2001:2::/48";

struct Times {
  const char* name;
  bool (Config::*has)() const;
  const k8s::io::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSON& (
      Config::*get)() const;
};
constexpr Times kTimes[] = {
    {"startDelay", &Config::has_startdelay, &Config::startdelay},
    {"stopDelay", &Config::has_stopdelay, &Config::stopdelay},
    {"crashAfter", &Config::has_crashafter, &Config::crashafter},
    {"lifetime", &Config::has_lifetime, &Config::lifetime},
};

Distribution read(const std::string& json) {
  return Distribution::parse(json, Distribution::Unit::kDuration).valueOr({});
}

std::optional<Distribution> readTimes(std::string_view name, const Config& config) {
  const auto* times = std::ranges::find(kTimes, name, &Times::name);
  if (!(config.*times->has)()) return std::nullopt;
  return read((config.*times->get)().raw());
}

void checkGroup(const Group& group, const std::string& path, std::vector<Cause>& causes) {
  if (group.count() < 1 || group.count() > kMaxHollow) {
    causes.push_back(invalidField(path + ".count", std::to_string(group.count()),
                                  "must be between 1 and " + std::to_string(kMaxHollow)));
  }
  for (const auto& why : api::faultsOfDns1123Label(group.name() + std::to_string(group.count())))
    causes.push_back(invalidField(path + ".name", group.name(), why));
  checkQuantity(path + ".cpu", group.cpu().string(), causes);
  checkQuantity(path + ".memory", group.memory().string(), causes);
  checkMaxPods(group.maxpods(), path, causes);
  checkLabels(group.labels(), path, causes);
  checkTaints(group.taints(), path, causes);
  for (int i = 0; i < group.zones_size(); ++i) {
    const std::string field = path + ".zones[" + std::to_string(i) + "]";
    if (group.zones(i).empty())
      causes.push_back({"FieldValueRequired", field, "Required value: a zone has a name"});
    for (const auto& why : api::faultsOfLabelValue(group.zones(i)))
      causes.push_back(invalidField(field, group.zones(i), why));
  }
  checkBehaviour(group.behaviour(), path + ".behaviour", causes);
}

/// Whether a group's nodes may be called so.
bool couldName(const Group& group, std::string_view name) {
  return name.size() > group.name().size() && name.starts_with(group.name()) &&
         name.find_first_not_of("0123456789", group.name().size()) == std::string_view::npos;
}

}  // namespace

void checkBehaviour(const Config& config, const std::string& path, std::vector<Cause>& causes) {
  for (const auto& times : kTimes) {
    if (!(config.*times.has)()) continue;
    const auto parsed =
        Distribution::parse((config.*times.get)().raw(), Distribution::Unit::kDuration);
    if (!parsed)
      causes.push_back({"FieldValueInvalid", path + "." + times.name,
                        "Invalid value: " + parsed.status().message()});
  }
  const auto checkShare = [&](const char* name, const std::string& text) {
    if (!parseShare(text))
      causes.push_back(invalidField(path + "." + name, text,
                                    "must be a share such as 5%, above 0% and at most 100%"));
  };
  if (config.has_startfailures()) checkShare("startFailures", config.startfailures());
  if (config.has_crashes()) checkShare("crashes", config.crashes());
  if (config.has_crashes() != config.has_crashafter()) {
    const char* missing = config.has_crashes() ? "crashAfter" : "crashes";
    causes.push_back({"FieldValueRequired", path + "." + missing,
                      "Required value: crashes says how many containers crash, crashAfter when"});
  }
}

HollowBehaviour readBehaviour(const Config& config) {
  HollowBehaviour behaviour;
  behaviour.startDelay = readTimes("startDelay", config).value_or(Distribution());
  behaviour.stopDelay = readTimes("stopDelay", config).value_or(Distribution());
  behaviour.startFailures = parseShare(config.startfailures()).value_or(0);
  behaviour.crashes = parseShare(config.crashes()).value_or(0);
  behaviour.crashAfter = readTimes("crashAfter", config).value_or(Distribution());
  behaviour.lifetime = readTimes("lifetime", config);
  return behaviour;
}

std::vector<HollowMember> hollowNodes(const Cluster& cluster) {
  const auto& family = cluster.networking().ipfamily();
  std::vector<HollowMember> members;
  for (const auto& group : cluster.hollow()) {
    for (int i = 0; i < group.count(); ++i) {
      HollowMember member;
      member.name = group.name() + std::to_string(i + 1);
      member.labels = {group.labels().begin(), group.labels().end()};
      if (!group.zones().empty())
        member.labels[api::kZoneLabel] = group.zones(i % group.zones_size());
      const std::uint64_t number = members.size() + 1;
      if (family != "ipv6") member.addresses.push_back(net::Cidr::parse(kAddressesV4)->at(number));
      if (family != "ipv4") member.addresses.push_back(net::Cidr::parse(kAddressesV6)->at(number));
      member.group = &group;
      members.push_back(std::move(member));
    }
  }
  return members;
}

int hollowCount(const Cluster& cluster) {
  std::int64_t count = 0;
  for (const auto& group : cluster.hollow()) count += group.count();
  return static_cast<int>(std::clamp<std::int64_t>(count, 0, kMaxHollow + 1));
}

void applyHollowDefaults(Cluster& cluster) {
  for (auto& group : *cluster.mutable_hollow()) {
    if (!group.has_name()) group.set_name("hollow");
    if (!group.has_count()) group.set_count(1);
    if (!group.has_cpu()) group.mutable_cpu()->set_string("8");
    if (!group.has_memory()) group.mutable_memory()->set_string("32Gi");
    if (!group.has_maxpods()) group.set_maxpods(110);
  }
}

void checkHollow(const Cluster& cluster, std::vector<Cause>& causes) {
  if (cluster.hollow().empty()) return;
  if (hasHosts(cluster)) {
    causes.push_back({"FieldValueForbidden", "hollow",
                      "Forbidden: hollow nodes are for the lab of one host; leave out the nodes' "
                      "host"});
  }
  if (hollowCount(cluster) > kMaxHollow) {
    causes.push_back(invalidField("hollow", std::to_string(hollowCount(cluster)) + " nodes",
                                  "at most " + std::to_string(kMaxHollow) + " in all"));
  }
  std::set<std::string> names;
  for (int i = 0; i < cluster.hollow_size(); ++i) {
    const auto& group = cluster.hollow(i);
    const std::string path = "hollow[" + std::to_string(i) + "]";
    checkGroup(group, path, causes);
    if (!names.insert(group.name()).second) {
      causes.push_back(
          {"FieldValueDuplicate", path + ".name", "Duplicate value: \"" + group.name() + "\""});
    }
    for (const auto& other : cluster.hollow()) {
      if (couldName(other, group.name()))
        causes.push_back(invalidField(path + ".name", group.name(),
                                      "a node of the group \"" + other.name() +
                                          "\" could have the same name; end it with a letter"));
    }
    for (int n = 0; n < cluster.nodes_size(); ++n) {
      if (couldName(group, cluster.nodes(n).name()))
        causes.push_back(
            invalidField("nodes[" + std::to_string(n) + "].name", cluster.nodes(n).name(),
                         "nodes of such names are hollow, by " + path + "; choose another name"));
    }
  }
}

}  // namespace podlab::lab
