// Bugs that are put in on purpose: what the server writes is changed on its way to the disk.
#include "sim/invariants.hpp"

#include <gmock/gmock.h>

#include <functional>

#include "apps_v1.pb.h"

#include "tests/param_name.hpp"
#include "tests/sim/sim_fixture.hpp"

namespace podlab::sim {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

constexpr const char* kScenario = R"(
duration: 9m
nodes: [{name: node, count: 3, cpu: 4, memory: 8Gi}]
workloads:
- {name: web, kind: Deployment, every: 10s, limit: 2, replicas: 3, shapes: [{cpu: 500m, memory: 512Mi}]}
- {name: job, kind: Job, every: 40s, limit: 3, lifetime: 10s, shapes: [{cpu: 500m, memory: 512Mi}]}
faults: {timeline: [{kind: node-kill, nodes: node1, at: 1m, for: 1h}, {kind: server-kill, at: 8m, for: 10s}]}
)";

template <typename T>
std::function<void(store::Txn&)> changing(std::string prefix, std::function<bool(T&)> change) {
  return [prefix = std::move(prefix), change = std::move(change)](store::Txn& txn) {
    for (auto& put : txn.puts) {
      T object;
      if (!put.key.starts_with(prefix) || !object.ParseFromString(*put.value)) continue;
      if (change(object)) put.value = store::Value(object.SerializeAsString());
    }
  };
}
std::function<void(store::Txn&)> changingPods(std::function<bool(corev1::Pod&)> change) {
  return changing<corev1::Pod>("/registry/pods/", std::move(change));
}

struct Bug {
  const char* name;
  std::function<void(store::Txn&)> tamper;
  std::size_t losesAtCrash;
  const char* complaint;
};

const Bug kBugs[] = {
    {"None", nullptr, 0, nullptr},
    {"TooMuchOnANode", changingPods([](corev1::Pod& pod) {
       if (pod.spec().nodename().empty()) return false;
       (*pod.mutable_spec()->mutable_containers(0)->mutable_resources()->mutable_requests())["cpu"]
           .set_string("3");
       return true;
     }),
     0, "has too little room"},
    {"RangeTwice",
     changing<corev1::Node>("/registry/nodes/",
                            [](corev1::Node& node) {
                              if (node.spec().podcidrs().empty()) return false;
                              node.mutable_spec()->set_podcidrs(0, "10.0.7.0/24");
                              return true;
                            }),
     0, "both have the range"},
    {"RunsAgain", changingPods([done = std::make_shared<bool>()](corev1::Pod& pod) {
       if (*done || pod.status().phase() != "Succeeded") return false;
       if (!pod.metadata().finalizers().empty()) return false;
       *done = true;
       pod.mutable_status()->set_phase("Running");
       return true;
     }),
     0, "had finished, and runs again"},
    {"NeverEvicted",
     [](store::Txn& txn) {
       // Deletions of what is on the dead node are forgotten.
       std::erase_if(txn.puts, [](const store::Put& put) {
         corev1::Pod pod;
         return put.key.starts_with("/registry/pods/") && pod.ParseFromString(*put.value) &&
                pod.spec().nodename() == "node1" && pod.metadata().has_deletiontimestamp();
       });
     },
     0, "was acknowledged, and never made"},
    {"NeverReady",
     changing<corev1::Node>("/registry/nodes/",
                            [](corev1::Node& node) {
                              if (node.metadata().name() != "node2") return false;
                              for (auto& condition : *node.mutable_status()->mutable_conditions()) {
                                if (condition.type() == "Ready") condition.set_status("False");
                              }
                              return true;
                            }),
     0, "node2 does not become Ready again"},
    {"LostAtCrash", nullptr, 3, "is lost"},
    {"BoundTwice", changingPods([moved = std::make_shared<bool>()](corev1::Pod& pod) {
       if (*moved || pod.status().phase() != "Running") return false;
       pod.mutable_spec()->set_nodename(pod.spec().nodename() == "node2" ? "node3" : "node2");
       return *moved = true;
     }),
     0, "moved from node"},
    {"AddressTwice", changingPods([](corev1::Pod& pod) {
       if (pod.status().podips().empty()) return false;
       pod.mutable_status()->mutable_podips(0)->set_ip("10.0.0.9");
       return true;
     }),
     0, "both have the address"},
    {"WrittenOverAndOver",
     changing<appsv1::ReplicaSet>("/registry/apps/replicasets/",
                                  [](appsv1::ReplicaSet& set) {
                                    auto& status = *set.mutable_status();
                                    status.set_replicas(status.replicas() + 1);
                                    return true;
                                  }),
     0, "was written 600 times in"},
    {"AcknowledgedAndNotWritten",
     [count = std::make_shared<int>()](store::Txn& txn) {
       if (!txn.puts.empty() && txn.puts.front().key.starts_with("/registry/coordination") &&
           ++*count > 90)
         txn.puts.clear();
     },
     0, "was acknowledged, and never made"},
};

class InvariantsTest : public testing::TestWithParam<Bug> {};

TEST_P(InvariantsTest, FindTheBug) {
  const Bug& bug = GetParam();
  WorldOptions options;
  options.checkInvariants = true;
  options.disk.tamper = bug.tamper;
  options.disk.losesAtCrash = bug.losesAtCrash;
  const Outcome outcome = runScenario(goodScenario(kScenario), std::move(options));
  if (bug.complaint == nullptr) {
    EXPECT_THAT(outcome.violations, testing::IsEmpty());
  } else {
    EXPECT_THAT(outcome.violations, Contains(HasSubstr(bug.complaint)));
  }
}

INSTANTIATE_TEST_SUITE_P(Bugs, InvariantsTest, testing::ValuesIn(kBugs),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace podlab::sim
