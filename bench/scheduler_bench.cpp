// Decisions of the scheduler's index a second of CPU time, each with its pod's placing, over the
// workloads of kube-scheduler's own benchmark (test/integration/scheduler_perf) under their names,
// and over more and less uniform pods.
//   podlab_scheduler_bench [NAME [NODES]]   one workload a line; all of them, at 5,000 and 10,000
//                                           nodes, without arguments
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/rng.hpp"
#include "scheduler/naive.hpp"
#include "scheduler/node_index.hpp"

namespace podlab::scheduler {
namespace {

using Steady = std::chrono::steady_clock;

/// CPU time of this thread, in seconds: what others do on the machine does not count.
double cpuSeconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// Pods of a workload: the n-th one, without its name.
using MakePod = std::function<corev1::Pod(std::size_t, Rng&)>;

struct Workload {
  const char* name;
  std::size_t initial;   ///< pods placed before
  std::size_t measured;  ///< pods
  bool churns;           ///< each pod placed is followed by the removal of another
  std::size_t zones;
  MakePod make;
};

corev1::Pod plainPod(const std::string& cpu = "100m", const std::string& memory = "500Mi") {
  corev1::Pod pod;
  pod.mutable_metadata()->set_namespace_("sched-1");
  auto& container = *pod.mutable_spec()->add_containers();
  container.set_name("pause");
  container.set_image("registry.k8s.io/pause:3.10");
  auto& requests = *container.mutable_resources()->mutable_requests();
  requests["cpu"].set_string(cpu);
  requests["memory"].set_string(memory);
  return pod;
}

corev1::Pod colouredPod(const char* colour) {
  corev1::Pod pod = plainPod();
  (*pod.mutable_metadata()->mutable_labels())["color"] = colour;
  return pod;
}

void select(metav1::LabelSelector& selector, const char* colour) {
  (*selector.mutable_matchlabels())["color"] = colour;
}

corev1::Pod spreadPod(const char* otherwise) {
  corev1::Pod pod = colouredPod("blue");
  auto& constraint = *pod.mutable_spec()->add_topologyspreadconstraints();
  constraint.set_maxskew(5);
  constraint.set_topologykey("topology.kubernetes.io/zone");
  constraint.set_whenunsatisfiable(otherwise);
  select(*constraint.mutable_labelselector(), "blue");
  return pod;
}

void fillTerm(corev1::PodAffinityTerm& term, const char* key, const char* colour) {
  term.set_topologykey(key);
  select(*term.mutable_labelselector(), colour);
  term.add_namespaces("sched-0");
  term.add_namespaces("sched-1");
}

corev1::Pod antiAffinityPod(bool preferred) {
  corev1::Pod pod = colouredPod(preferred ? "yellow" : "green");
  auto& rules = *pod.mutable_spec()->mutable_affinity()->mutable_podantiaffinity();
  if (preferred) {
    auto& weighted = *rules.add_preferredduringschedulingignoredduringexecution();
    weighted.set_weight(1);
    fillTerm(*weighted.mutable_podaffinityterm(), "kubernetes.io/hostname", "yellow");
  } else {
    fillTerm(*rules.add_requiredduringschedulingignoredduringexecution(), "kubernetes.io/hostname",
             "green");
  }
  return pod;
}

corev1::Pod affinityPod() {
  corev1::Pod pod = colouredPod("blue");
  fillTerm(*pod.mutable_spec()
                ->mutable_affinity()
                ->mutable_podaffinity()
                ->add_requiredduringschedulingignoredduringexecution(),
           "topology.kubernetes.io/zone", "blue");
  return pod;
}

corev1::Pod nodeAffinityPod() {
  corev1::Pod pod = plainPod();
  auto& expression = *pod.mutable_spec()
                          ->mutable_affinity()
                          ->mutable_nodeaffinity()
                          ->mutable_requiredduringschedulingignoredduringexecution()
                          ->add_nodeselectorterms()
                          ->add_matchexpressions();
  expression.set_key("topology.kubernetes.io/zone");
  expression.set_operator_("In");
  expression.add_values("zone-0");
  expression.add_values("zone-1");
  return pod;
}

/// The size of a shape, around what fills 40 pods into a node.
corev1::Pod sizedPod(std::size_t shape) {
  SeededRng size(shape + 1, "shape");
  return plainPod(std::to_string(20 + 5 * size.below(32)) + "m",
                  std::to_string(100 + 10 * size.below(80)) + "Mi");
}

corev1::Pod shapedPod(std::size_t shapes, Rng& rng) {
  return sizedPod(rng.below(shapes));
}

/// Of one of `owners` Deployments, which spread by default.
corev1::Pod ownedPod(std::size_t owners, Rng& rng) {
  const std::size_t owner = rng.below(owners);
  corev1::Pod pod = sizedPod(owner);
  (*pod.mutable_metadata()->mutable_labels())["app"] = std::to_string(owner);
  return pod;
}

std::vector<Workload> workloads() {
  return {
      {"SchedulingBasic", 1000, 100'000, false, 0, [](auto, Rng&) { return plainPod(); }},
      {"TopologySpreading", 5000, 50'000, false, 3,
       [](std::size_t n, Rng&) { return n < 5000 ? plainPod() : spreadPod("DoNotSchedule"); }},
      {"PreferredTopologySpreading", 5000, 50'000, false, 3,
       [](std::size_t n, Rng&) { return n < 5000 ? plainPod() : spreadPod("ScheduleAnyway"); }},
      {"SchedulingPodAntiAffinity", 1000, 3500, false, 0,
       [](auto, Rng&) { return antiAffinityPod(false); }},
      {"SchedulingPreferredPodAntiAffinity", 1000, 50'000, false, 0,
       [](auto, Rng&) { return antiAffinityPod(true); }},
      {"SchedulingPodAffinity", 5000, 50'000, false, 1, [](auto, Rng&) { return affinityPod(); }},
      {"SchedulingNodeAffinity", 1000, 50'000, false, 3,
       [](auto, Rng&) { return nodeAffinityPod(); }},
      {"Shapes10", 50'000, 100'000, false, 0, [](auto, Rng& rng) { return shapedPod(10, rng); }},
      {"Shapes10Churn", 130'000, 200'000, true, 3,
       [](auto, Rng& rng) { return shapedPod(10, rng); }},
      {"Shapes1000", 50'000, 100'000, false, 0,
       [](auto, Rng& rng) { return shapedPod(1000, rng); }},
      {"Shapes1000Churn", 130'000, 200'000, true, 3,
       [](auto, Rng& rng) { return shapedPod(1000, rng); }},
      {"Deployments10", 50'000, 50'000, true, 3, [](auto, Rng& rng) { return ownedPod(10, rng); }},
      {"Deployments1000", 50'000, 50'000, true, 3,
       [](auto, Rng& rng) { return ownedPod(1000, rng); }},
  };
}

NodePtr makeNode(std::size_t i, std::size_t zones) {
  auto node = std::make_shared<corev1::Node>();
  const std::string name = "scheduler-perf-" + std::to_string(i);
  node->mutable_metadata()->set_name(name);
  auto& labels = *node->mutable_metadata()->mutable_labels();
  labels["kubernetes.io/hostname"] = name;
  if (zones > 0) labels["topology.kubernetes.io/zone"] = "zone-" + std::to_string(i % zones);
  auto& allocatable = *node->mutable_status()->mutable_allocatable();
  allocatable["cpu"].set_string("4");
  allocatable["memory"].set_string("32Gi");
  allocatable["pods"].set_string("110");
  return node;
}

class Run {
 public:
  Run(const Workload& workload, std::size_t nodes) : workload_(workload), nodes_(nodes) {
    for (std::size_t i = 0; i < nodes; ++i) {
      const auto slot = snapshot_.slotOf("scheduler-perf-" + std::to_string(i));
      snapshot_.setNode(slot, makeNode(i, workload.zones));
      index_.nodeChanged(slot);
    }
    const std::size_t all = workload.initial + workload.measured;
    pods_.reserve(all);
    for (std::size_t i = 0; i < all; ++i) {
      auto pod = std::make_shared<corev1::Pod>(workload.make(i, rng_));
      pod->mutable_metadata()->set_name("pod-" + std::to_string(i));
      std::optional<api::LabelSelector> owner;
      if (const auto app = pod->metadata().labels().find("app");
          app != pod->metadata().labels().end())
        owner = *api::LabelSelector::parse("app=" + app->second);
      auto info = std::make_shared<PodInfo>(pod, VolumeNeeds{}, &shapes_, owner);
      info->pod = nullptr;
      pods_.push_back(std::move(info));
    }
  }

  void measure() {
    std::size_t i = 0;
    for (; i < workload_.initial; ++i) decide(i);
    std::vector<float> nanoseconds;
    nanoseconds.reserve(workload_.measured);
    const std::size_t before = placed_.size();
    const double begin = cpuSeconds();
    for (; i < pods_.size(); ++i) {
      const auto start = Steady::now();
      const auto found = index_.choose(*pods_[i], cursor_);
      nanoseconds.push_back(std::chrono::duration<float, std::nano>(Steady::now() - start).count());
      place(i, found->slot);
      if (workload_.churns) removeOne();
    }
    const double seconds = cpuSeconds() - begin;
    std::ranges::sort(nanoseconds);
    const auto at = [&](double part) {
      return nanoseconds[static_cast<std::size_t>(part *
                                                  static_cast<double>(nanoseconds.size() - 1))];
    };
    std::printf(
        "%-35s %6zu nodes %9.0f decisions/s  p50 %7.0f ns  p99 %8.0f ns  %zu of %zu placed\n",
        workload_.name, nodes_, static_cast<double>(workload_.measured) / seconds, at(0.5),
        at(0.99), workload_.churns ? workload_.measured - refused_ : placed_.size() - before,
        workload_.measured);
  }

 private:
  void decide(std::size_t i) { place(i, index_.choose(*pods_[i], cursor_)->slot); }
  void place(std::size_t i, Snapshot::Slot slot) {
    if (slot == Snapshot::kNoSlot) {
      ++refused_;
      return;
    }
    snapshot_.at(slot).add(pods_[i]);
    index_.podAdded(slot, *pods_[i]);
    cursor_ = slot + 1;
    placed_.emplace_back(i, slot);
  }
  void removeOne() {
    auto& chosen = placed_[rng_.below(placed_.size())];
    std::swap(chosen, placed_.back());
    const auto [i, slot] = placed_.back();
    placed_.pop_back();
    snapshot_.at(slot).remove(pods_[i]->key);
    index_.podRemoved(slot, *pods_[i]);
  }

  const Workload& workload_;
  std::size_t nodes_;
  SeededRng rng_{1};
  Snapshot snapshot_;
  PodShapes shapes_;
  NodeIndex index_{snapshot_};
  Snapshot::Slot cursor_ = 0;
  std::vector<std::shared_ptr<PodInfo>> pods_;
  std::vector<std::pair<std::size_t, Snapshot::Slot>> placed_;
  std::size_t refused_ = 0;
};

int run(int argc, char** argv) {
  bool known = false;
  for (const auto& workload : workloads()) {
    if (argc > 1 && std::string_view(argv[1]) != workload.name) continue;
    known = true;
    std::vector<std::size_t> sizes{5000, 10000};
    if (argc > 2) sizes = {std::strtoul(argv[2], nullptr, 10)};
    for (const auto nodes : sizes) Run(workload, nodes).measure();
  }
  if (known) return 0;
  std::fprintf(stderr, "scheduler_bench: no workload \"%s\"; known:", argv[1]);
  for (const auto& workload : workloads()) std::fprintf(stderr, " %s", workload.name);
  std::fprintf(stderr, "\n");
  return 2;
}

}  // namespace
}  // namespace podlab::scheduler

int main(int argc, char** argv) {
  return podlab::scheduler::run(argc, argv);
}
