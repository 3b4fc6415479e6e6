#include "controllers/deployment_sizes.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <tuple>

#include "api/int_or_percent.hpp"
#include "controllers/deployment_revisions.hpp"

namespace podlab::controllers {
namespace {

using appsv1::Deployment;
using appsv1::ReplicaSet;

/// maxSurge and maxUnavailable in pods (ResolveFenceposts).
std::pair<std::int64_t, std::int64_t> fenceposts(const Deployment& deployment) {
  const auto& rolling = deployment.spec().strategy().rollingupdate();
  const std::int64_t surge =
      api::scaledValue(rolling.maxsurge(), deployment.spec().replicas(), true).valueOr(0);
  std::int64_t unavailable =
      api::scaledValue(rolling.maxunavailable(), deployment.spec().replicas(), false).valueOr(0);
  // Both may round to nothing, and nothing would ever move.
  if (surge == 0 && unavailable == 0) unavailable = 1;
  return {surge, unavailable};
}

template <typename Read>
std::int64_t sum(const ReplicaSets& sets, Read read) {
  std::int64_t total = 0;
  for (const auto& set : sets) total += read(*set);
  return total;
}

std::int32_t size(std::int64_t count) {
  return static_cast<std::int32_t>(
      std::clamp<std::int64_t>(count, 0, std::numeric_limits<std::int32_t>::max()));
}

auto ageOf(const ReplicaSetPtr& set) {
  return std::tuple(set->metadata().creationtimestamp().seconds(), set->metadata().name());
}

/// The older first among equals when `olderFirst`, else the newer.
void sortBySize(ReplicaSets& sets, bool olderFirst) {
  std::ranges::sort(sets, [&](const ReplicaSetPtr& a, const ReplicaSetPtr& b) {
    if (a->spec().replicas() != b->spec().replicas())
      return a->spec().replicas() > b->spec().replicas();
    return olderFirst ? ageOf(a) < ageOf(b) : ageOf(b) < ageOf(a);
  });
}

/// Whether the newest set alone is what is wanted, with all of its pods available.
bool isSaturated(const Deployment& deployment, const ReplicaSetPtr& newest) {
  const std::int64_t replicas = deployment.spec().replicas();
  return newest && newest->spec().replicas() == replicas && desiredReplicas(*newest) == replicas &&
         newest->status().availablereplicas() == replicas;
}

/// How much of a change belongs to the set by its size before the change.
std::int64_t shareOf(const Deployment& deployment, const ReplicaSet& set) {
  const std::int64_t present = set.spec().replicas();
  if (deployment.spec().replicas() == 0) return -present;
  const auto all = static_cast<double>(deployment.spec().replicas() + maxSurge(deployment));
  double before = maxReplicas(set).value_or(0);
  if (before == 0) before = deployment.status().replicas();
  if (before == 0) return 0;
  return std::llround(static_cast<double>(present) * all / before) - present;
}

}  // namespace

bool isRolling(const Deployment& deployment) {
  return deployment.spec().strategy().type() == "RollingUpdate";
}

std::int64_t maxSurge(const Deployment& deployment) {
  return isRolling(deployment) ? fenceposts(deployment).first : 0;
}

std::int64_t maxUnavailable(const Deployment& deployment) {
  if (!isRolling(deployment) || deployment.spec().replicas() == 0) return 0;
  return std::min<std::int64_t>(fenceposts(deployment).second, deployment.spec().replicas());
}

std::int64_t wantedOf(const ReplicaSets& sets) {
  return sum(sets, [](const ReplicaSet& set) { return set.spec().replicas(); });
}
std::int64_t presentOf(const ReplicaSets& sets) {
  return sum(sets, [](const ReplicaSet& set) { return set.status().replicas(); });
}
std::int64_t readyOf(const ReplicaSets& sets) {
  return sum(sets, [](const ReplicaSet& set) { return set.status().readyreplicas(); });
}
std::int64_t availableOf(const ReplicaSets& sets) {
  return sum(sets, [](const ReplicaSet& set) { return set.status().availablereplicas(); });
}

ReplicaSets active(const ReplicaSets& sets) {
  ReplicaSets found;
  std::ranges::copy_if(sets, std::back_inserter(found),
                       [](const ReplicaSetPtr& set) { return set->spec().replicas() > 0; });
  return found;
}

void sortByAge(ReplicaSets& sets) {
  std::ranges::sort(sets, {}, ageOf);
}

std::int32_t sizeOfNewest(const Deployment& deployment, const ReplicaSets& all,
                          std::int32_t present) {
  const std::int32_t replicas = deployment.spec().replicas();
  if (!isRolling(deployment) || present > replicas) return replicas;
  const std::int64_t room = replicas + maxSurge(deployment) - wantedOf(all);
  return size(present + std::clamp<std::int64_t>(room, 0, replicas - present));
}

Sizes shrinkOlder(const Deployment& deployment, const ReplicaSet& newest, ReplicaSets older) {
  Sizes sizes;
  older = active(older);
  if (older.empty()) return sizes;
  sortByAge(older);
  const std::int64_t least = deployment.spec().replicas() - maxUnavailable(deployment);
  const std::int64_t notYet = newest.spec().replicas() - newest.status().availablereplicas();
  const std::int64_t atMost = wantedOf(older) + newest.spec().replicas() - least - notYet;
  if (atMost <= 0) return sizes;
  std::vector<std::int64_t> left;
  for (const auto& set : older) left.push_back(set->spec().replicas());
  const auto take = [&](std::size_t i, std::int64_t count) {
    left[i] -= count;
    sizes.emplace_back(older[i], size(left[i]));
  };
  // Sick pods go first: they may never come up.
  std::int64_t budget = atMost;
  for (std::size_t i = 0; i < older.size() && budget > 0; ++i) {
    const std::int64_t sick = left[i] - older[i]->status().availablereplicas();
    const std::int64_t count = std::min(budget, sick);
    if (count <= 0) continue;
    take(i, count);
    budget -= count;
  }
  std::int64_t excess = newest.status().availablereplicas() + availableOf(older) - least;
  for (std::size_t i = 0; i < older.size() && excess > 0; ++i) {
    const std::int64_t count = std::min(excess, left[i]);
    if (count == 0) continue;
    take(i, count);
    excess -= count;
  }
  return sizes;
}

Sizes scaleAll(const Deployment& deployment, const ReplicaSetPtr& newest,
               const ReplicaSets& older) {
  Sizes sizes;
  const std::int64_t replicas = deployment.spec().replicas();
  ReplicaSets all = older;
  if (newest) all.push_back(newest);
  if (all.empty()) return sizes;
  ReplicaSets running = active(all);
  if (running.size() < 2) {
    ReplicaSets byAge = older;
    sortByAge(byAge);
    const ReplicaSetPtr only = !running.empty() ? running.front() : newest ? newest : byAge.back();
    sizes.emplace_back(only, size(replicas));
    return sizes;
  }
  if (isSaturated(deployment, newest)) {
    for (const auto& set : active(older)) sizes.emplace_back(set, 0);
    return sizes;
  }
  if (!isRolling(deployment)) {
    // Recreate brings them down; that they know of the number lets it go on.
    for (const auto& set : running) sizes.emplace_back(set, set->spec().replicas());
    return sizes;
  }
  const std::int64_t allowed = replicas > 0 ? replicas + maxSurge(deployment) : 0;
  const std::int64_t toAdd = allowed - wantedOf(running);
  sortBySize(running, toAdd < 0);
  std::int64_t added = 0;
  for (const auto& set : running) {
    std::int64_t share = 0;
    if (toAdd != added) {
      share = shareOf(deployment, *set);
      share = toAdd > 0 ? std::min(share, toAdd - added) : std::max(share, toAdd - added);
    }
    if (toAdd == 0) share = 0;
    added += share;
    sizes.emplace_back(set, size(set->spec().replicas() + share));
  }
  if (toAdd != 0) sizes.front().second = size(sizes.front().second + toAdd - added);
  return sizes;
}

}  // namespace podlab::controllers
