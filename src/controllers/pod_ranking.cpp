#include "controllers/pod_ranking.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <compare>

#include "api/conditions.hpp"
#include "api/times.hpp"

namespace podlab::controllers {
namespace {

constexpr const char* kDeletionCost = "controller.kubernetes.io/pod-deletion-cost";

/// A malformed cost counts as none.
std::int32_t costOf(const corev1::Pod& pod) {
  const auto found = pod.metadata().annotations().find(kDeletionCost);
  if (found == pod.metadata().annotations().end()) return 0;
  const std::string& text = found->second;
  std::int32_t cost = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), cost);
  return error == std::errc() && end == text.data() + text.size() ? cost : 0;
}

int phaseOf(const corev1::Pod& pod) {
  const std::string& phase = pod.status().phase();
  return phase == "Pending" ? 0 : phase == "Unknown" ? 1 : 2;
}

std::int32_t restartsOf(const corev1::Pod& pod) {
  std::int32_t most = 0;
  for (const auto& status : pod.status().containerstatuses())
    most = std::max(most, status.restartcount());
  return most;
}

/// What decides, in this order; the least goes first.
struct Rank {
  bool hasNode;
  int phase;
  bool ready;
  std::int32_t cost;
  int fewerOnNode;
  int readyFor;  ///< log2 of nanoseconds; -1: for no time
  std::int32_t fewerRestarts;
  int age;  ///< likewise
  std::string uid;

  auto operator<=>(const Rank&) const = default;
};

int magnitudeOf(Duration duration) {
  if (duration <= Duration::zero()) return -1;
  return static_cast<int>(std::bit_width(static_cast<std::uint64_t>(duration.count()))) - 1;
}

Rank rankOf(const corev1::Pod& pod, const std::map<std::string, int>& onNode, WallTime now) {
  const std::string& node = pod.spec().nodename();
  const auto others = onNode.find(node);
  const auto* ready = api::findCondition(pod.status(), "Ready");
  const bool isReady = ready != nullptr && ready->status() == "True";
  return {
      .hasNode = !node.empty(),
      .phase = phaseOf(pod),
      .ready = isReady,
      .cost = costOf(pod),
      .fewerOnNode = others == onNode.end() ? 0 : -others->second,
      .readyFor = isReady ? magnitudeOf(now - api::toWallTime(ready->lasttransitiontime())) : -1,
      .fewerRestarts = -restartsOf(pod),
      .age = magnitudeOf(now - api::toWallTime(pod.metadata().creationtimestamp())),
      .uid = pod.metadata().uid()};
}

}  // namespace

std::vector<api::ObjectPtr> podsToDelete(std::vector<api::ObjectPtr> pods,
                                         const std::map<std::string, int>& onNode,
                                         std::size_t count, WallTime now) {
  std::vector<std::pair<Rank, api::ObjectPtr>> ranked;
  ranked.reserve(pods.size());
  for (auto& pod : pods)
    ranked.emplace_back(rankOf(api::as<corev1::Pod>(pod), onNode, now), std::move(pod));
  std::ranges::sort(ranked, {}, &std::pair<Rank, api::ObjectPtr>::first);
  std::vector<api::ObjectPtr> chosen;
  for (std::size_t i = 0; i < std::min(count, ranked.size()); ++i)
    chosen.push_back(std::move(ranked[i].second));
  return chosen;
}

}  // namespace podlab::controllers
