#include "sim/observer.hpp"

#include <algorithm>
#include <utility>

#include "api/conditions.hpp"
#include "api/pod_resources.hpp"
#include "common/hash.hpp"

namespace podlab::sim {
namespace {

double share(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

/// Of numbers in order.
double quantile(const std::vector<float>& sorted, double q) {
  if (sorted.empty()) return 0;
  const auto at = static_cast<std::size_t>(q * static_cast<double>(sorted.size() - 1) + 0.5);
  return sorted[at];
}

std::int64_t amount(const api::ResourceMap& resources, const char* name, bool milli) {
  const auto it = resources.find(name);
  if (it == resources.end()) return 0;
  const auto quantity = api::Quantity::read(it->second);
  return milli ? quantity.milliValue() : quantity.value();
}

}  // namespace

Observer::Observer(const Scenario& scenario) : placementHash_(fnv1a("")) {
  const auto enlarge = [this](const Shape& shape) {
    if (std::pair(shape.milliCpu, shape.memory) > std::pair(largest_.milliCpu, largest_.memory))
      largest_ = shape;
  };
  for (const auto& workload : scenario.workloads) {
    std::ranges::for_each(workload.shapes, enlarge);
    if (!workload.trace) continue;
    for (const auto& entry : *workload.trace) enlarge(entry.shape);
  }
}

void Observer::release(Pod& pod) {
  if (pod.running) --running_;
  pod.running = false;
  if (std::exchange(pod.pending, false)) --pending_;
  if (pod.node.empty()) return;
  --bound_;
  Node& node = nodes_[pod.node];
  node.usedCpu -= pod.milliCpu;
  node.usedMemory -= pod.memory;
  --node.usedPods;
  pod.node.clear();
}

void Observer::seePod(const corev1::Pod& pod, Duration now) {
  auto [it, isNew] = pods_.try_emplace(pod.metadata().uid());
  Pod& known = it->second;
  if (isNew) {
    const auto requests = api::podRequests(pod);
    if (const auto cpu = requests.find("cpu"); cpu != requests.end())
      known.milliCpu = cpu->second.milliValue();
    if (const auto memory = requests.find("memory"); memory != requests.end())
      known.memory = memory->second.value();
    known.created = now;
    ++pending_;
    ++totals_.created;
    ++since_.created;
  }
  if (known.finished) return;
  if (known.pending && !pod.spec().nodename().empty()) {
    known.pending = false;
    known.node = pod.spec().nodename();
    --pending_;
    ++bound_;
    ++totals_.bound;
    Node& node = nodes_[known.node];
    node.usedCpu += known.milliCpu;
    node.usedMemory += known.memory;
    ++node.usedPods;
    placementHash_ = fnv1a(std::to_string(now.count()) + " " + pod.metadata().namespace_() + "/" +
                               pod.metadata().name() + " " + known.node + "\n",
                           placementHash_);
  }
  totals_.mostPending = std::max(totals_.mostPending, pending_);
  const std::string& phase = pod.status().phase();
  const bool running = phase == "Running";
  if (running != known.running) running_ += running ? 1 : -1;
  known.running = running;
  const bool finished = api::isFinished(pod);
  if (!known.started && (running || phase == "Succeeded")) {
    known.started = true;
    ++totals_.started;
    ++since_.started;
    latencies_.push_back(std::chrono::duration<float>(now - known.created).count());
  }
  if (!known.evicted && api::isTrue(pod.status(), "DisruptionTarget")) {
    known.evicted = true;
    ++totals_.evicted;
    ++since_.evicted;
  }
  if (!finished) return;
  known.finished = true;
  ++since_.finished;
  ++(phase == "Succeeded" ? totals_.succeeded : totals_.failed);
  release(known);
}

void Observer::losePod(const corev1::Pod& pod) {
  const auto it = pods_.find(pod.metadata().uid());
  if (it == pods_.end()) return;
  ++totals_.deleted;
  release(it->second);
  pods_.erase(it);
}

void Observer::seeNode(const corev1::Node& node) {
  Node& known = nodes_[node.metadata().name()];
  known.known = true;
  known.ready = api::isTrue(node.status(), "Ready");
  const auto& resources = node.status().allocatable();
  known.milliCpu = amount(resources, "cpu", true);
  known.memory = amount(resources, "memory", false);
  known.pods = amount(resources, "pods", false);
}

void Observer::loseNode(const corev1::Node& node) {
  Node& known = nodes_[node.metadata().name()];
  known.known = known.ready = false;
}

double Observer::fragmentation() const {
  std::int64_t free = 0, usable = 0;
  for (const auto& [name, node] : nodes_) {
    if (!node.ready) continue;
    const std::int64_t cpu = std::max<std::int64_t>(node.milliCpu - node.usedCpu, 0);
    free += cpu;
    std::int64_t fits = node.pods - node.usedPods;
    if (largest_.milliCpu > 0) fits = std::min(fits, cpu / largest_.milliCpu);
    if (largest_.memory > 0)
      fits = std::min(fits, (node.memory - node.usedMemory) / largest_.memory);
    usable += std::max<std::int64_t>(fits, 0) * largest_.milliCpu;
  }
  return free == 0 ? 0 : 1 - share(usable, free);
}

void Observer::sample(Duration now) {
  Sample sample = std::exchange(since_, Sample());
  sample.at = now;
  std::int64_t cpu = 0, usedCpu = 0, memory = 0, usedMemory = 0;
  for (const auto& [name, node] : nodes_) {
    if (node.known) ++sample.nodes;
    if (node.ready) ++sample.nodesReady;
    cpu += node.milliCpu;
    memory += node.memory;
    usedCpu += node.usedCpu;
    usedMemory += node.usedMemory;
  }
  sample.pending = pending_;
  sample.bound = bound_;
  sample.running = running_;
  sample.cpu = share(usedCpu, cpu);
  sample.memory = share(usedMemory, memory);
  sample.fragmentation = fragmentation();
  std::vector<float> starts(latencies_.begin() + static_cast<std::ptrdiff_t>(sampledLatencies_),
                            latencies_.end());
  sampledLatencies_ = latencies_.size();
  std::ranges::sort(starts);
  sample.startP50 = quantile(starts, 0.5);
  sample.startP99 = quantile(starts, 0.99);
  samples_.push_back(sample);
}

Totals Observer::totals() const {
  Totals totals = totals_;
  std::vector<float> starts = latencies_;
  std::ranges::sort(starts);
  totals.startP50 = quantile(starts, 0.5);
  totals.startP90 = quantile(starts, 0.9);
  totals.startP99 = quantile(starts, 0.99);
  totals.startMax = starts.empty() ? 0 : starts.back();
  for (const Sample& sample : samples_) {
    totals.meanCpu += sample.cpu / static_cast<double>(samples_.size());
    totals.meanMemory += sample.memory / static_cast<double>(samples_.size());
  }
  return totals;
}

}  // namespace podlab::sim
