#include <gtest/gtest.h>

#include "apps_v1.pb.h"
#include "batch_v1.pb.h"

#include "tests/api/objects.hpp"

namespace podlab::api {
namespace {

using appsv1::ControllerRevision;
using appsv1::DaemonSet;
using appsv1::StatefulSet;

template <typename T>
T make(const std::string& more) {
  auto made = fromText<T>(R"(
      metadata { name: "x" namespace: "n" }
      spec { selector { matchLabels { key: "a" value: "b" } }
             template { metadata { labels { key: "a" value: "b" } }
                        spec { containers { name: "c" image: "i:1" } } } })");
  made.MergeFrom(fromText<T>(more));
  kindFor<T>().strategy.applyDefaults(made);
  return made;
}

template <typename T>
std::string faults(const std::string& more) {
  return lines(kindFor<T>().strategy.validate(make<T>(more)));
}

template <typename T>
std::string faultsOfChange(const std::string& before, const std::string& now) {
  return lines(kindFor<T>().strategy.validateUpdate(make<T>(now), make<T>(before)));
}

template <typename T>
std::string row(const T& object) {
  std::string text;
  for (const Column& column : kindFor<T>().columns) {
    if (column.name == "Age") continue;
    text += (text.empty() ? "" : "|") + column.cell(object, WallTime(std::chrono::seconds(1000)));
  }
  return text;
}

TEST(DaemonSetKind, HasDefaultsAndNamesWhatIsWrong) {
  const auto set = make<DaemonSet>("");
  EXPECT_EQ(set.spec().updatestrategy().type(), "RollingUpdate");
  EXPECT_EQ(set.spec().updatestrategy().rollingupdate().maxunavailable().intval(), 1);
  EXPECT_EQ(set.spec().revisionhistorylimit(), 10);
  EXPECT_EQ(faults<DaemonSet>(""), "");
  EXPECT_EQ(faults<DaemonSet>("spec { updateStrategy { type: 'Sometimes' } }"),
            "spec.updateStrategy.type: Unsupported value: \"Sometimes\": supported values: "
            "\"OnDelete\", \"RollingUpdate\"\n");
  EXPECT_EQ(faults<DaemonSet>("spec { updateStrategy { rollingUpdate { maxUnavailable { intVal: 1 "
                              "} maxSurge { type: 1 strVal: '10%' } } } }"),
            "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: \"10%\": may not be set "
            "when maxUnavailable is non-zero\n");
  EXPECT_EQ(faults<DaemonSet>("spec { updateStrategy { rollingUpdate { maxUnavailable { intVal: 0 "
                              "} } } }"),
            "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when "
            "maxSurge is 0\n");
  EXPECT_EQ(faultsOfChange<DaemonSet>(
                "",
                "spec { selector { matchLabels { key: 'a' value: 'c' } } template { metadata { "
                "labels { key: 'a' value: 'c' } } } }"),
            "spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"c\"}}: field is immutable\n");
  EXPECT_EQ(row(make<DaemonSet>("status { desiredNumberScheduled: 3 currentNumberScheduled: 3 "
                                "numberReady: 2 updatedNumberScheduled: 1 numberAvailable: 2 }")),
            "x|3|3|2|1|2|<none>|c|i:1|a=b");
}

TEST(StatefulSetKind, HasDefaultsAndNamesWhatIsWrong) {
  const auto set = make<StatefulSet>("spec { volumeClaimTemplates { metadata { name: 'd' } } }");
  EXPECT_EQ(set.spec().replicas(), 1);
  EXPECT_EQ(set.spec().podmanagementpolicy(), "OrderedReady");
  EXPECT_EQ(set.spec().updatestrategy().type(), "RollingUpdate");
  EXPECT_TRUE(set.spec().updatestrategy().rollingupdate().has_partition());
  EXPECT_EQ(set.spec().persistentvolumeclaimretentionpolicy().whendeleted(), "Retain");
  EXPECT_EQ(set.spec().volumeclaimtemplates(0).spec().volumemode(), "Filesystem");
  EXPECT_EQ(faults<StatefulSet>(""), "");
  EXPECT_EQ(faults<StatefulSet>("spec { volumeClaimTemplates { metadata { name: 'd' } } template { "
                                "spec { initContainers { name: 'i' image: 'i:1' volumeMounts { "
                                "name: 'd' mountPath: '/d' } volumeMounts { name: 'e' mountPath: "
                                "'/e' } } } } }"),
            "spec.template.spec.initContainers[0].volumeMounts[1].name: Not found: \"e\"\n");
  EXPECT_EQ(faults<StatefulSet>("spec { podManagementPolicy: 'Random' replicas: -1 "
                                "updateStrategy { type: 'Never' } }"),
            "spec.podManagementPolicy: Invalid value: \"Random\": must be 'OrderedReady' or "
            "'Parallel'\n"
            "spec.updateStrategy: Invalid value: {\"type\":\"Never\"}: must be 'RollingUpdate' or "
            "'OnDelete'\n"
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0\n");
  EXPECT_EQ(faultsOfChange<StatefulSet>("",
                                        "spec { replicas: 5 minReadySeconds: 3 template { spec "
                                        "{ hostname: 'h' } } }"),
            "");
  EXPECT_EQ(faultsOfChange<StatefulSet>("", "spec { serviceName: 'other' }"),
            "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', "
            "'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', "
            "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden\n");
  EXPECT_EQ(row(make<StatefulSet>("spec { replicas: 3 } status { readyReplicas: 2 }")),
            "x|2/3|c|i:1");
}

TEST(ControllerRevisionKind, NeverChangesItsData) {
  auto revision = fromText<ControllerRevision>(R"(metadata { name: "x-1" namespace: "n"
      ownerReferences { apiVersion: "apps/v1" kind: "DaemonSet" name: "x" controller: true } }
      data { raw: "{}" } revision: 3)");
  const auto& strategy = kindFor<ControllerRevision>().strategy;
  EXPECT_EQ(lines(strategy.validate(revision)), "");
  EXPECT_EQ(row(revision), "x-1|daemonset.apps/x|3");
  auto other = revision;
  other.set_revision(4);
  EXPECT_EQ(lines(strategy.validateUpdate(other, revision)), "");
  other.mutable_data()->set_raw("{\"a\":1}");
  EXPECT_EQ(lines(strategy.validateUpdate(other, revision)),
            "data: Invalid value: {\"a\":1}: field is immutable\n");
}

TEST(JobColumns, ShowWhereItStands) {
  const auto job = [](const std::string& text) {
    return row(fromText<batchv1::Job>("metadata { name: 'j' } " + text));
  };
  EXPECT_EQ(job("spec { completions: 3 } status { succeeded: 1 startTime { seconds: 940 } }"),
            "j|Running|1/3|60s|||<none>");
  EXPECT_EQ(job("spec { parallelism: 4 } status { conditions { type: 'Complete' status: 'True' } "
                "startTime { seconds: 100 } completionTime { seconds: 175 } }"),
            "j|Complete|0/1 of 4|75s|||<none>");
  EXPECT_EQ(job("spec { completions: 1 } status { conditions { type: 'Suspended' status: 'True' } "
                "}"),
            "j|Suspended|0/1||||<none>");
}

}  // namespace
}  // namespace podlab::api
