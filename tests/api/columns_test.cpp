#include <gtest/gtest.h>

#include "api/kinds.hpp"
#include "tests/api/objects.hpp"

namespace podlab::api {
namespace {

const WallTime kNow{std::chrono::seconds(1000)};

/// The cells of a row, joined by '|'.
template <typename T>
std::string row(const T& object) {
  std::string text;
  for (const Column& column : kindFor<T>().columns) {
    text += (text.empty() ? "" : "|") + column.cell(object, kNow);
  }
  return text;
}

template <typename T>
std::string header() {
  std::string text;
  for (const Column& column : kindFor<T>().columns) {
    text += (text.empty() ? "" : "|") + std::string(column.name);
    if (column.priority > 0) text += "(w)";
  }
  return text;
}

TEST(Columns, HaveKubectlsHeaders) {
  EXPECT_EQ(header<corev1::Pod>(),
            "Name|Ready|Status|Restarts|Age|IP(w)|Node(w)|Nominated Node(w)|Readiness "
            "Gates(w)|Stand-Ins(w)");
  EXPECT_EQ(header<corev1::Node>(),
            "Name|Status|Roles|Age|Version|Internal-IP(w)|External-IP(w)|OS-Image(w)|Kernel-"
            "Version(w)|Container-Runtime(w)");
  EXPECT_EQ(header<corev1::Namespace>(), "Name|Status|Age");
  EXPECT_EQ(header<corev1::ConfigMap>(), "Name|Data|Age");
  EXPECT_EQ(header<corev1::Secret>(), "Name|Type|Data|Age");
  EXPECT_EQ(header<coordinationv1::Lease>(), "Name|Holder|Age");
  EXPECT_EQ(header<corev1::Event>(),
            "Last Seen|Type|Reason|Object|Subobject(w)|Source(w)|Message|First "
            "Seen(w)|Count(w)|Name(w)");
}

struct PodCase {
  const char* what;
  const char* more;
  const char* expected;  ///< Ready|Status|Restarts
};

TEST(Columns, OfAPodTellItsState) {
  constexpr const char* kRunning =
      R"(containerStatuses { name: "c" ready: true state { running { } } })";
  const std::string running = std::string(R"(status { phase: "Running" )") + kRunning + " }";
  const std::string deleted = running + R"(metadata { deletionTimestamp { seconds: 5 } })";
  const std::string lost = deleted + R"(status { reason: "NodeLost" })";
  const std::string finished =
      R"(status { phase: "Succeeded" containerStatuses { name: "c" state { terminated {
         exitCode: 0 reason: "Completed" } } } } metadata { deletionTimestamp { seconds: 5 } })";
  const std::string mixed = std::string(R"(spec { containers { name: "d" image: "x" } }
      status { phase: "Running" containerStatuses { name: "c" state { terminated {
      reason: "Completed" } } } containerStatuses { name: "d" ready: true state { running { } } } )");
  const std::string mixedReady = mixed + R"(conditions { type: "Ready" status: "True" } })";
  const std::string mixedUnready = mixed + "}";
  const PodCase kCases[] = {
      {"new", R"(status { phase: "Pending" })", "0/1|Pending|0"},
      {"running", running.c_str(), "1/1|Running|0"},
      {"evicted", R"(status { phase: "Failed" reason: "Evicted" })", "0/1|Evicted|0"},
      {"starting",
       R"(status { phase: "Pending" containerStatuses { name: "c" state { waiting {
          reason: "ContainerCreating" } } } })",
       "0/1|ContainerCreating|0"},
      {"crashing",
       R"(status { phase: "Running" containerStatuses { name: "c" restartCount: 3
          state { waiting { reason: "CrashLoopBackOff" } }
          lastState { terminated { exitCode: 1 finishedAt { seconds: 700 } } } } })",
       "0/1|CrashLoopBackOff|3 (5m ago)"},
      {"failed without reason",
       R"(status { phase: "Failed" containerStatuses { name: "c" state { terminated {
          exitCode: 7 } } } })",
       "0/1|ExitCode:7|0"},
      {"killed",
       R"(status { phase: "Failed" containerStatuses { name: "c" state { terminated {
          exitCode: 137 signal: 9 } } } })",
       "0/1|Signal:9|0"},
      {"finished", finished.c_str(), "0/1|Completed|0"},
      {"deleted", deleted.c_str(), "1/1|Terminating|0"},
      {"lost", lost.c_str(), "1/1|Unknown|0"},
      {"one ended, one runs, ready", mixedReady.c_str(), "1/2|Running|0"},
      {"one ended, one runs, not ready", mixedUnready.c_str(), "1/2|NotReady|0"},
      {"init waits",
       R"(spec { initContainers { name: "i" image: "x" } initContainers { name: "j" image: "x" } }
          status { phase: "Pending"
            initContainerStatuses { name: "i" state { terminated { exitCode: 0 } } }
            initContainerStatuses { name: "j" state { waiting { reason: "PodInitializing" } } } })",
       "0/1|Init:1/2|0"},
      {"init crashes",
       R"(spec { initContainers { name: "i" image: "x" } } status { phase: "Pending"
            initContainerStatuses { name: "i" restartCount: 2
              state { waiting { reason: "CrashLoopBackOff" } } } })",
       "0/1|Init:CrashLoopBackOff|2"},
      {"init failed",
       R"(spec { initContainers { name: "i" image: "x" } } status { phase: "Pending"
            initContainerStatuses { name: "i" state { terminated { exitCode: 2 } } } })",
       "0/1|Init:ExitCode:2|0"},
      {"init done",
       R"(spec { initContainers { name: "i" image: "x" } } status { phase: "Running"
            initContainerStatuses { name: "i" restartCount: 2 state { terminated { exitCode: 0 } } }
            containerStatuses { name: "c" ready: true state { running { } } } })",
       "1/1|Running|0"},
      {"sidecar",
       R"(spec { initContainers { name: "i" image: "x" restartPolicy: "Always" } }
          status { phase: "Running"
            initContainerStatuses { name: "i" ready: true started: true restartCount: 1
                                    state { running { } } }
            containerStatuses { name: "c" ready: true state { running { } } } })",
       "2/2|Running|1"},
      {"gated",
       R"(status { phase: "Pending" conditions { type: "PodScheduled" status: "False"
          reason: "SchedulingGated" } })",
       "0/1|SchedulingGated|0"},
  };
  for (const PodCase& each : kCases) {
    const corev1::Pod pod = makePod(each.more);
    const auto& columns = kindFor<corev1::Pod>().columns;
    EXPECT_EQ(columns[1].cell(pod, kNow) + "|" + columns[2].cell(pod, kNow) + "|" +
                  columns[3].cell(pod, kNow),
              each.expected)
        << each.what;
  }
  EXPECT_EQ(row(makePod(R"(metadata { creationTimestamp { seconds: 940 } } spec { nodeName: "a"
                readinessGates { conditionType: "x" } } status { phase: "Running"
                podIPs { ip: "10.0.0.2" } })")),
            "p|0/1|Running|0|60s|10.0.0.2|a|<none>|0/1|<none>");
}

TEST(Columns, OfANode) {
  EXPECT_EQ(row(fromText<corev1::Node>(R"(metadata { name: "a" })")),
            "a|Unknown|<none>|<unknown>||<none>|<none>|<unknown>|<unknown>|<unknown>");
  EXPECT_EQ(row(fromText<corev1::Node>(R"(
      metadata { name: "a" creationTimestamp { seconds: 900 }
        labels { key: "node-role.kubernetes.io/worker" value: "" }
        labels { key: "kubernetes.io/role" value: "edge" } }
      spec { unschedulable: true }
      status { conditions { type: "Ready" status: "False" }
        addresses { type: "Hostname" address: "a" }
        addresses { type: "InternalIP" address: "192.168.0.1" }
        nodeInfo { kubeletVersion: "v1" osImage: "Debian" kernelVersion: "6.1"
                   containerRuntimeVersion: "crun://1.8" } })")),
            "a|NotReady,SchedulingDisabled|edge,worker|100s|v1|192.168.0.1|<none>|Debian|6.1|"
            "crun://1.8");
}

TEST(Columns, OfTheOtherKinds) {
  EXPECT_EQ(row(fromText<corev1::ConfigMap>(
                R"(metadata { name: "c" } data { key: "a" } binaryData { key: "b" })")),
            "c|2|<unknown>");
  EXPECT_EQ(row(fromText<corev1::Secret>(R"(metadata { name: "s" } type: "Opaque")")),
            "s|Opaque|0|<unknown>");
  EXPECT_EQ(row(fromText<coordinationv1::Lease>(
                R"(metadata { name: "l" } spec { holderIdentity: "h" })")),
            "l|h|<unknown>");
  EXPECT_EQ(row(fromText<corev1::Event>(R"(metadata { name: "e" }
                involvedObject { kind: "Pod" name: "p" fieldPath: "spec" } reason: "Started"
                message: " it runs\n" type: "Normal" source { component: "agent" host: "a" }
                firstTimestamp { seconds: 900 } lastTimestamp { seconds: 990 } count: 4)")),
            "10s|Normal|Started|pod/p|spec|agent, a|it runs|100s|4|e");
  EXPECT_EQ(row(fromText<corev1::Event>(R"(metadata { name: "e" } eventTime { seconds: 900 }
                series { count: 9 lastObservedTime { seconds: 995 } }
                reportingComponent: "scheduler" reportingInstance: "s-1")")),
            "5s|||||scheduler, s-1||100s|9|e");
}

TEST(Columns, CopeWithEmptyObjects) {
  for (const Kind& kind : kinds()) {
    for (const Column& column : kind.columns) {
      EXPECT_NO_THROW(column.cell(*kind.make(), kNow)) << kind.kind << " " << column.name;
    }
  }
}

}  // namespace
}  // namespace podlab::api
