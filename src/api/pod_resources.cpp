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

}  // namespace

ResourceList toResourceList(const ResourceMap& resources) {
  ResourceList made;
  for (const auto& [name, amount] : resources) made.emplace(name, Quantity::read(amount));
  return made;
}

ResourceList podRequests(const corev1::Pod& pod) {
  ResourceList running;
  for (const corev1::Container& container : pod.spec().containers()) {
    add(running, toResourceList(container.resources().requests()));
  }
  ResourceList restartable;
  ResourceList starting;
  for (const corev1::Container& container : pod.spec().initcontainers()) {
    ResourceList requests = toResourceList(container.resources().requests());
    if (container.restartpolicy() == "Always") {
      add(running, requests);
      add(restartable, requests);
      requests = restartable;
    } else {
      add(requests, restartable);
    }
    raiseTo(starting, requests);
  }
  raiseTo(running, starting);
  add(running, toResourceList(pod.spec().overhead()));
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
