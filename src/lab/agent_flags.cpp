#include "lab/agent_flags.hpp"

#include <map>

namespace podlab::lab {
namespace {

/// A map of the message in an order that is always the same.
std::map<std::string, std::string> sorted(
    const google::protobuf::Map<std::string, std::string>& entries) {
  return {entries.begin(), entries.end()};
}

}  // namespace

std::vector<std::string> agentFlags(const config::v1alpha1::Node& node) {
  std::vector<std::string> flags;
  const auto add = [&flags](const char* flag, const std::string& value) {
    flags.emplace_back(flag);
    flags.push_back(value);
  };
  for (const auto& [key, value] : sorted(node.labels())) add("--label", key + "=" + value);
  for (const auto& taint : node.taints())
    add("--taint", taint.key() + "=" + taint.value() + ":" + taint.effect());
  if (node.has_cpu()) add("--cpu", node.cpu().string());
  if (node.has_memory()) add("--memory", node.memory().string());
  if (node.has_containerlogmaxsize())
    add("--container-log-max-size", node.containerlogmaxsize().string());
  if (node.has_containerlogmaxfiles())
    add("--container-log-max-files", std::to_string(node.containerlogmaxfiles()));
  if (node.has_maxpods()) add("--max-pods", std::to_string(node.maxpods()));
  std::string thresholds;
  for (const auto& [signal, amount] : sorted(node.evictionhard()))
    thresholds += (thresholds.empty() ? "" : ",") + signal + "<" + amount;
  if (!thresholds.empty()) add("--eviction-hard", thresholds);
  if (node.has_podpidslimit()) add("--pod-pids-limit", std::to_string(node.podpidslimit()));
  return flags;
}

}  // namespace podlab::lab
