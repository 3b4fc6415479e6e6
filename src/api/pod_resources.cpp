#include "api/pod_resources.hpp"

#include <string_view>

namespace podlab::api {
namespace {

void add(ResourceList& sum, const ResourceList& more) {
  for (const auto& [name, amount] : more) sum[name] += amount;
}

void raiseTo(ResourceList& floor, const ResourceList& least) {
  for (const auto& [name, amount] : least) {
    Quantity& current = floor[name];
    if (current < amount) current = amount;
  }
}

using Amounts = const ResourceMap& (corev1::ResourceRequirements::*)() const;

/// The larger of what the containers have together and what each init container has while it runs.
ResourceList sumOver(const corev1::Pod& pod, Amounts amounts) {
  const auto of = [amounts](const corev1::Container& container) {
    return toResourceList((container.resources().*amounts)());
  };
  ResourceList running;
  for (const corev1::Container& container : pod.spec().containers()) add(running, of(container));
  ResourceList restartable;
  ResourceList starting;
  for (const corev1::Container& container : pod.spec().initcontainers()) {
    ResourceList own = of(container);
    if (container.restartpolicy() == "Always") {
      add(running, own);
      add(restartable, own);
      own = restartable;
    } else {
      add(own, restartable);
    }
    raiseTo(starting, own);
  }
  raiseTo(running, starting);
  return running;
}

}  // namespace

ResourceList toResourceList(const ResourceMap& resources) {
  ResourceList made;
  for (const auto& [name, amount] : resources) made.emplace(name, Quantity::read(amount));
  return made;
}

ResourceList podRequests(const corev1::Pod& pod) {
  ResourceList running = sumOver(pod, &corev1::ResourceRequirements::requests);
  add(running, toResourceList(pod.spec().overhead()));
  return running;
}

ResourceList podLimits(const corev1::Pod& pod) {
  ResourceList running = sumOver(pod, &corev1::ResourceRequirements::limits);
  for (const auto& [name, amount] : toResourceList(pod.spec().overhead())) {
    if (const auto limit = running.find(name); limit != running.end()) limit->second += amount;
  }
  return running;
}

std::string qosClass(const corev1::Pod& pod) {
  bool guaranteed = true;
  bool bestEffort = true;
  const auto visit = [&](const corev1::Container& container) {
    const ResourceList requests = toResourceList(container.resources().requests());
    const ResourceList limits = toResourceList(container.resources().limits());
    for (const char* name : {"cpu", "memory"}) {
      const auto request = requests.find(name);
      const auto limit = limits.find(name);
      const bool requested = request != requests.end() && !request->second.isZero();
      const bool limited = limit != limits.end() && !limit->second.isZero();
      if (requested || limited) bestEffort = false;
      if (!requested || !limited || request->second != limit->second) guaranteed = false;
    }
  };
  for (const corev1::Container& container : pod.spec().initcontainers()) visit(container);
  for (const corev1::Container& container : pod.spec().containers()) visit(container);
  if (bestEffort) return "BestEffort";
  return guaranteed ? "Guaranteed" : "Burstable";
}

}  // namespace podlab::api
