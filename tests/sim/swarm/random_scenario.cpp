#include "tests/sim/swarm/random_scenario.hpp"

#include <string>
#include <vector>

#include "common/rng.hpp"

namespace podlab::sim {
namespace {

class Maker {
 public:
  explicit Maker(std::uint64_t seed) : rng_(seed, "scenario"), seed_(seed) {}

  std::string make() {
    minutes_ = between(6, 25);
    add("apiVersion: podlab.io/v1alpha1\nkind: Scenario\n");
    add("seed: " + std::to_string(seed_) + "\n");
    add("duration: " + std::to_string(minutes_) + "m\n");
    network();
    nodes();
    add("workloads:\n");
    const int workloads = between(1, 3);
    for (int i = 1; i <= workloads; ++i) workload("w" + std::to_string(i));
    faults();
    return text_;
  }

 private:
  void add(const std::string& text) { text_ += text; }
  int between(int least, int most) {
    return least + static_cast<int>(rng_.below(static_cast<std::uint64_t>(most - least + 1)));
  }
  template <std::size_t N>
  std::string oneOf(const char* const (&words)[N]) {
    return words[rng_.below(N)];
  }

  void network() {
    add("network: {delay: " + std::to_string(between(1, 20)) + "ms");
    if (rng_.chance(0.5)) add(", jitter: " + std::to_string(between(1, 50)) + "ms");
    if (rng_.chance(0.3)) add(", loss: " + oneOf({"0.1%", "1%", "5%"}));
    add("}\n");
  }

  void nodes() {
    add("nodes:\n");
    const int groups = between(1, 2);
    for (int group = 1; group <= groups; ++group) {
      const int count = between(1, 4);
      const std::string name = group == 1 ? "a" : "b";
      for (int i = 1; i <= count; ++i) names_.push_back(name + std::to_string(i));
      add("- name: " + name + "\n  count: " + std::to_string(count) + "\n");
      add("  cpu: " + std::to_string(between(2, 8)) + "\n");
      add("  memory: " + std::to_string(between(4, 16)) + "Gi\n");
      if (rng_.chance(0.3)) add("  maxPods: " + std::to_string(between(4, 20)) + "\n");
      if (rng_.chance(0.5)) add("  zones: [east, west]\n");
      if (rng_.chance(0.7)) {
        add("  behaviour:\n    startDelay: {exponential: " + std::to_string(between(1, 3000)) +
            "ms}\n    stopDelay: {exponential: " + std::to_string(between(1, 3000)) + "ms}\n");
        if (rng_.chance(0.3)) add("    startFailures: 10%\n");
      }
    }
  }

  void workload(const std::string& name) {
    const std::string kind = oneOf({"Pod", "Deployment", "Job"});
    add("- name: " + name + "\n  kind: " + kind + "\n");
    add("  every: {exponential: " + std::to_string(between(5, 60)) + "s}\n");
    add("  limit: " + std::to_string(kind == "Pod" ? between(5, 60) : between(1, 6)) + "\n");
    if (kind != "Pod") add("  replicas: {uniform: [1, " + std::to_string(between(2, 6)) + "]}\n");
    if (kind != "Deployment" || rng_.chance(0.5))
      add("  lifetime: {lognormal: {median: " + std::to_string(between(5, 300)) +
          "s, sigma: 1}}\n");
    add("  shapes:\n");
    const int shapes = between(1, 3);
    for (int i = 0; i < shapes; ++i)
      add("  - {cpu: " + oneOf({"50m", "100m", "250m", "500m", "1", "2"}) +
          ", memory: " + oneOf({"64Mi", "256Mi", "1Gi", "2Gi"}) + "}\n");
  }

  std::string someNodes() {
    if (rng_.chance(0.2)) return "\"*\"";
    std::string list;
    for (const auto& name : names_) {
      if (rng_.chance(0.4)) list += (list.empty() ? "" : ",") + name;
    }
    return "\"" + (list.empty() ? names_.front() : list) + "\"";
  }

  void faults() {
    add("faults:\n  timeline:\n");
    const int count = between(1, 8);
    for (int i = 0; i < count; ++i) {
      const std::string kind = oneOf({"server-kill", "node-kill", "agent-kill", "partition", "loss",
                                      "delay", "link-down", "reset"});
      add("  - {kind: " + kind + ", at: " + std::to_string(between(10, minutes_ * 60)) + "s");
      if (kind != "server-kill") add(", nodes: " + someNodes());
      if (kind != "agent-kill" && kind != "reset")
        add(", for: " + std::to_string(rng_.chance(0.3) ? between(200, 900) : between(1, 120)) +
            "s");
      if (kind == "loss") add(", loss: " + oneOf({"10%", "50%", "90%"}));
      if (kind == "delay") add(", delay: " + oneOf({"50ms", "500ms", "5s"}));
      if (kind == "partition" && rng_.chance(0.3)) add(", oneWay: true");
      if (rng_.chance(0.3)) add(", every: " + std::to_string(between(20, 400)) + "s, times: 3");
      add("}\n");
    }
  }

  SeededRng rng_;
  std::uint64_t seed_;
  std::string text_;
  int minutes_ = 0;
  std::vector<std::string> names_;
};

}  // namespace

std::string randomScenario(std::uint64_t seed) {
  return Maker(seed).make();
}

}  // namespace podlab::sim
