#include "cli/drain_pods.hpp"

#include <algorithm>

#include "api/conditions.hpp"
#include "api/owners.hpp"
#include "api/times.hpp"
#include "cli/describe_layout.hpp"

namespace podlab::cli {
namespace {

bool hasLocalStorage(const corev1::Pod& pod) {
  return std::ranges::any_of(pod.spec().volumes(), [](const auto& volume) {
    return volume.volumesource().has_emptydir();
  });
}

bool terminatesLonger(const corev1::Pod& pod, int seconds, WallTime now) {
  return seconds > 0 && pod.metadata().has_deletiontimestamp() &&
         now - api::toWallTime(pod.metadata().deletiontimestamp()) > std::chrono::seconds(seconds);
}

}  // namespace

bool isOfDaemonSet(const corev1::Pod& pod) {
  const auto* owner = api::controllerOf(pod.metadata());
  return owner != nullptr && owner->kind() == "DaemonSet";
}

namespace {

PodVerdict leave(std::string warning = "") {
  PodVerdict verdict;
  verdict.removes = false;
  verdict.warning = std::move(warning);
  return verdict;
}

PodVerdict refuse(std::string error) {
  PodVerdict verdict;
  verdict.removes = false;
  verdict.error = std::move(error);
  return verdict;
}

PodVerdict removeWith(std::string warning) {
  PodVerdict verdict;
  verdict.warning = std::move(warning);
  return verdict;
}

}  // namespace

PodVerdict judgePod(const corev1::Pod& pod, const DrainRules& rules, const Status& daemonSet,
                    WallTime now) {
  if (terminatesLonger(pod, rules.skipWaitSeconds, now)) return leave();
  const bool finished = api::isFinished(pod);
  const bool orphaned = daemonSet.is(Code::kNotFound) && rules.force;
  if (isOfDaemonSet(pod) && !finished && !orphaned) {
    if (!daemonSet.ok()) return refuse(daemonSet.message());
    if (rules.ignoreDaemonSets) return leave("ignoring DaemonSet-managed Pods");
    return refuse("DaemonSet-managed Pods (use --ignore-daemonsets to ignore)");
  }
  if (pod.metadata().annotations().contains("kubernetes.io/config.mirror")) return leave();
  if (finished) return {};
  if (hasLocalStorage(pod) && !rules.deleteEmptyDirData)
    return refuse("Pods with local storage (use --delete-emptydir-data to override)");
  if (api::controllerOf(pod.metadata()) != nullptr) return {};
  if (rules.force) return removeWith("deleting Pods that declare no controller");
  return refuse("cannot delete Pods that declare no controller (use --force to override)");
}

void DrainPlan::add(std::shared_ptr<const corev1::Pod> pod, const PodVerdict& verdict) {
  const std::string name = pod->metadata().namespace_() + "/" + pod->metadata().name();
  if (!verdict.warning.empty()) warnings[verdict.warning].push_back(name);
  if (!verdict.error.empty()) errors[verdict.error].push_back(name);
  if (verdict.removes) pods.push_back(std::move(pod));
}

std::string DrainPlan::warning() const {
  std::vector<std::string> parts;
  for (const auto& [text, names] : warnings) parts.push_back(text + ": " + joined(names, ", "));
  return joined(parts, "; ");
}

std::vector<std::string> DrainPlan::problems() const {
  std::vector<std::string> parts;
  for (const auto& [text, names] : errors)
    parts.push_back("cannot delete " + text + ": " + joined(names, ", "));
  return parts;
}

}  // namespace podlab::cli
