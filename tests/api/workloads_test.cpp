#include <gtest/gtest.h>

#include "apps_v1.pb.h"
#include "core_v1_workloads.pb.h"

#include "api/int_or_percent.hpp"
#include "tests/api/objects.hpp"

namespace podlab::api {
namespace {

using appsv1::Deployment;
using appsv1::ReplicaSet;
using corev1::ReplicationController;

constexpr const char* kTemplate = R"(
  template {
    metadata { labels { key: "app" value: "web" } }
    spec { containers { name: "c" image: "nginx:1" } containers { name: "d" image: "e" } }
  })";

/// With defaults, and `more` merged into the spec first.
template <typename T>
T made(const std::string& selector, const std::string& more = "") {
  T object;
  object.mutable_metadata()->set_name("web");
  object.mutable_metadata()->set_namespace_("n");
  *object.mutable_spec() =
      fromText<std::decay_t<decltype(object.spec())>>(std::string(kTemplate) + selector + more);
  kindFor<T>().strategy.applyDefaults(object);
  return object;
}
Deployment deployment(const std::string& more = "") {
  return made<Deployment>(R"(selector { matchLabels { key: "app" value: "web" } })", more);
}
template <typename T>
std::string faults(const T& object) {
  return lines(kindFor<T>().strategy.validate(object));
}
template <typename T>
std::vector<std::string> cells(const T& object) {
  std::vector<std::string> all;
  for (const auto& column : kindFor<T>().columns) all.push_back(column.cell(object, WallTime()));
  return all;
}

TEST(Workloads, DefaultsOfADeployment) {
  const auto spec = deployment().spec();
  EXPECT_EQ(spec.replicas(), 1);
  EXPECT_EQ(spec.strategy().type(), "RollingUpdate");
  EXPECT_EQ(spec.strategy().rollingupdate().maxsurge().strval(), "25%");
  EXPECT_EQ(spec.strategy().rollingupdate().maxunavailable().strval(), "25%");
  EXPECT_EQ(spec.revisionhistorylimit(), 10);
  EXPECT_EQ(spec.progressdeadlineseconds(), 600);
  EXPECT_EQ(spec.template_().spec().restartpolicy(), "Always");
  EXPECT_EQ(faults(deployment()), "");
  const auto recreate = deployment(R"(strategy { type: "Recreate" } replicas: 0)");
  EXPECT_FALSE(recreate.spec().strategy().has_rollingupdate());
  EXPECT_EQ(recreate.spec().replicas(), 0);
  EXPECT_EQ(faults(recreate), "");
}

TEST(Workloads, FaultsOfADeployment) {
  EXPECT_EQ(faults(made<Deployment>("")),
            "spec.selector: Required value\n"
            "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not "
            "match template `labels`\n");
  EXPECT_EQ(faults(made<Deployment>("selector {}")),
            "spec.selector: Invalid value: {}: empty selector is invalid for deployment\n");
  EXPECT_EQ(faults(made<Deployment>(R"(selector { matchLabels { key: "app" value: "x" } })")),
            "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not "
            "match template `labels`\n");
  EXPECT_EQ(faults(deployment("replicas: -1 minReadySeconds: -1 revisionHistoryLimit: -1")),
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0\n"
            "spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0\n"
            "spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal to 0\n");
  EXPECT_EQ(faults(deployment("progressDeadlineSeconds: 5 minReadySeconds: 5")),
            "spec.progressDeadlineSeconds: Invalid value: 5: must be greater than "
            "minReadySeconds\n");
  EXPECT_EQ(faults(deployment(R"(strategy { type: "Recreate" rollingUpdate {} })")),
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is "
            "'Recreate'\n");
  EXPECT_EQ(faults(deployment(R"(strategy { type: "Sudden" })")),
            "spec.strategy.type: Unsupported value: \"Sudden\": supported values: \"Recreate\", "
            "\"RollingUpdate\"\n");
  EXPECT_EQ(faults(deployment(R"(strategy { rollingUpdate {
                                   maxSurge { intVal: 0 } maxUnavailable { intVal: 0 } } })")),
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when "
            "`maxSurge` is 0\n");
  EXPECT_EQ(faults(deployment(R"(strategy { rollingUpdate { maxUnavailable {
                                   type: 1 strVal: "101%" } maxSurge { intVal: -1 } } })")),
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"101%\": must not be "
            "greater than 100%\n"
            "spec.strategy.rollingUpdate.maxSurge: Invalid value: -1: must be greater than or "
            "equal to 0\n");
  EXPECT_EQ(faults(deployment(R"(template { spec { restartPolicy: "Never"
                                            activeDeadlineSeconds: 3 } })")),
            "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: "
            "\"Always\"\n"
            "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in "
            "ReplicaSet is not Supported\n");
}

TEST(Workloads, SelectorsNeverChange) {
  auto changed = deployment();
  (*changed.mutable_spec()->mutable_selector()->mutable_matchlabels())["app"] = "b";
  EXPECT_EQ(
      lines(kindFor<Deployment>().strategy.validateUpdate(changed, deployment())),
      "spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"b\"}}: field is immutable\n");
  EXPECT_EQ(lines(kindFor<Deployment>().strategy.validateUpdate(deployment(), deployment())), "");
}

TEST(Workloads, AReplicationControllerTakesItsSelectorFromItsTemplate) {
  const auto controller = made<ReplicationController>("");
  EXPECT_EQ(controller.spec().selector().at("app"), "web");
  EXPECT_EQ(controller.metadata().labels().at("app"), "web");
  EXPECT_EQ(controller.spec().replicas(), 1);
  EXPECT_EQ(faults(controller), "");
  EXPECT_EQ(faults(made<ReplicationController>(R"(selector { key: "app" value: "x" })")),
            "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not "
            "match template `labels`\n");
}

TEST(Workloads, Columns) {
  auto object = deployment("replicas: 3");
  object.mutable_status()->set_readyreplicas(2);
  object.mutable_status()->set_updatedreplicas(1);
  EXPECT_EQ(cells(object), (std::vector<std::string>{"web", "2/3", "1", "0", "<unknown>", "c,d",
                                                     "nginx:1,e", "app=web"}));
  auto set = made<ReplicaSet>(R"(selector { matchLabels { key: "app" value: "web" } })");
  set.mutable_status()->set_replicas(4);
  EXPECT_EQ(cells(set), (std::vector<std::string>{"web", "1", "4", "0", "<unknown>", "c,d",
                                                  "nginx:1,e", "app=web"}));
}

TEST(Workloads, StatusesThatCannotBeAreRefused) {
  auto set = made<ReplicaSet>(R"(selector { matchLabels { key: "app" value: "web" } })");
  set.mutable_status()->set_replicas(1);
  set.mutable_status()->set_readyreplicas(2);
  EXPECT_EQ(lines(kindFor<ReplicaSet>().strategy.validateStatusUpdate(set, set)),
            "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas\n");
}

TEST(Workloads, KindsWithReplicasHaveAScale) {
  for (const Kind& kind : kinds()) {
    if (!kind.strategy.scaling) continue;
    SCOPED_TRACE(kind.kind);
    const MutableObjectPtr object = kind.make();
    kind.strategy.scaling->setWanted(*object, 7);
    EXPECT_EQ(kind.strategy.scaling->wanted(*object), 7);
    EXPECT_EQ(kind.strategy.scaling->present(*object), 0);
    EXPECT_EQ(kind.seenThrough("scale").kind, "Scale");
    EXPECT_EQ(&kind.seenThrough("status"), &kind);
  }
  EXPECT_EQ(kindFor<Deployment>().strategy.scaling->selector(deployment()), "app=web");
  EXPECT_EQ(kindFor<corev1::Pod>().seenThrough("scale").kind, "Pod");
}

TEST(IntOrPercent, ScalesAndRounds) {
  const auto scaled = [](const std::string& text, std::int32_t total, bool up) {
    return *scaledValue(fromText<intstr::IntOrString>(text), total, up);
  };
  EXPECT_EQ(scaled("intVal: 3", 10, true), 3);
  EXPECT_EQ(scaled(R"(type: 1 strVal: "25%")", 10, true), 3);
  EXPECT_EQ(scaled(R"(type: 1 strVal: "25%")", 10, false), 2);
  EXPECT_EQ(scaled(R"(type: 1 strVal: "100%")", 7, false), 7);
  EXPECT_EQ(scaled(R"(type: 1 strVal: "2147483647%")", 2147483647, true), 2147483647);
  for (const char* bad : {"", "%", "3", "-1%", "1.5%", "2147483648%", "1%%"}) {
    intstr::IntOrString value;
    value.set_type(1);
    value.set_strval(bad);
    EXPECT_FALSE(scaledValue(value, 1, true).ok()) << bad;
  }
}

}  // namespace
}  // namespace podlab::api
