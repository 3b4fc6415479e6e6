// Kinds that are served in several forms: events of both groups, autoscalers of both versions.
#include <gmock/gmock.h>

#include "autoscaling_v1.pb.h"
#include "autoscaling_v2.pb.h"
#include "events_v1.pb.h"

#include "tests/apiserver/rest_fixture.hpp"

namespace podlab::apiserver {
namespace {

using testing::HasSubstr;
using testing::Not;

class KindFormsTest : public RestTest {
 protected:
  static constexpr const char* kCoreEvents = "/api/v1/namespaces/default/events";
  static constexpr const char* kEvents = "/apis/events.k8s.io/v1/namespaces/default/events";
  static constexpr const char* kV1 =
      "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers";
  static constexpr const char* kV2 =
      "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";
  static constexpr const char* kMerge = "application/merge-patch+json";
  static constexpr const char* kApply = "application/apply-patch+yaml";
  static constexpr const char* kTable = "application/json;as=Table;v=v1;g=meta.k8s.io";

  static Json event() {
    return Json::parse(R"({"metadata":{"name":"e"},"eventTime":"2026-01-02T03:04:05.000006Z",
        "reportingController":"example.com/c","reportingInstance":"i","action":"Do","reason":"Done",
        "regarding":{"kind":"Pod","namespace":"default","name":"p"},"note":"it is","type":"Normal"})");
  }
  Answer make(const Json& event) { return ask("POST", kEvents, event.dump()); }
  static std::string named(const char* collection, const char* name) {
    return std::string(collection) + "/" + name;
  }
};

TEST_F(KindFormsTest, EventsAreTheSameInBothGroups) {
  const Answer made = make(event());
  ASSERT_EQ(made.code, 201) << made.body;
  EXPECT_EQ(made.json()["apiVersion"], "events.k8s.io/v1");
  EXPECT_EQ(made.json()["note"], "it is");
  const Json core = ask("GET", named(kCoreEvents, "e")).json();
  EXPECT_EQ(core["apiVersion"], "v1");
  EXPECT_EQ(core["message"], "it is");
  EXPECT_EQ(core["involvedObject"]["name"], "p");
  EXPECT_EQ(core["reportingComponent"], "example.com/c");
  EXPECT_EQ(core["metadata"]["uid"], made.json()["metadata"]["uid"]);

  ASSERT_EQ(
      ask("POST", kCoreEvents,
          R"({"metadata":{"name":"old"},"involvedObject":{"kind":"Pod","namespace":"default","name":"q"},
                    "message":"was","count":3,"source":{"component":"kubelet","host":"n"},
                    "firstTimestamp":"2026-01-02T03:04:05Z","lastTimestamp":"2026-01-02T03:05:05Z"})")
          .code,
      201);
  const Json seen = ask("GET", named(kEvents, "old")).json();
  EXPECT_EQ(seen["note"], "was");
  EXPECT_EQ(seen["regarding"]["name"], "q");
  EXPECT_EQ(seen["deprecatedCount"], 3);
  EXPECT_EQ(seen["deprecatedSource"], Json({{"component", "kubelet"}, {"host", "n"}}));
  EXPECT_EQ(seen["deprecatedFirstTimestamp"], "2026-01-02T03:04:05Z");
  EXPECT_EQ(seen["deprecatedLastTimestamp"], "2026-01-02T03:05:05Z");
  EXPECT_TRUE(seen["eventTime"].is_null());

  const auto names = [&](const std::string& query) {
    const Json list = ask("GET", kEvents + query).json();
    EXPECT_EQ(list["kind"], "EventList") << list.dump();
    std::vector<std::string> all;
    for (const Json& item : list["items"]) all.push_back(item["metadata"]["name"]);
    return all;
  };
  EXPECT_THAT(names(""), testing::ElementsAre("e", "old"));
  EXPECT_THAT(names("?fieldSelector=regarding.name%3Dq"), testing::ElementsAre("old"));
  EXPECT_THAT(names("?fieldSelector=reportingController!%3Dexample.com/c"),
              testing::ElementsAre("old"));
  EXPECT_THAT(ask("GET", std::string(kEvents) + "?fieldSelector=involvedObject.name%3Dq").body,
              HasSubstr("field label not supported: involvedObject.name"));

  const Json table = ask("GET", kEvents, "", "", kTable).json();
  EXPECT_EQ(table["columnDefinitions"][0]["name"], "Last Seen");
  EXPECT_EQ(table["rows"][0]["cells"][3], "pod/p");
  const Answer watched = ask("GET", std::string(kEvents) + "?watch=true&timeoutSeconds=5");
  EXPECT_EQ(Json::parse(watched.body.substr(0, watched.body.find('\n')))["object"]["note"],
            "it is");
  EXPECT_THAT(ask("GET", kCoreEvents + std::string("?watch=true&timeoutSeconds=5")).body,
              HasSubstr(R"("message":"it is")"));

  EXPECT_EQ(ask("DELETE", named(kEvents, "old")).code, 200);
  EXPECT_EQ(ask("GET", named(kCoreEvents, "old")).code, 404);
  EXPECT_EQ(ask("DELETE", kEvents).json()["items"].size(), 1U);
  EXPECT_EQ(ask("GET", kCoreEvents).json()["items"].size(), 0U);
}

TEST_F(KindFormsTest, EventsOfTheNewGroupAreStrict) {
  const auto faults = [](const Answer& answer) {
    EXPECT_EQ(answer.code, 422) << answer.body;
    std::vector<std::string> fields;
    const Json body = answer.json();
    for (const Json& cause : body["details"]["causes"]) fields.push_back(cause["field"]);
    return fields;
  };
  Json wrong = event();
  wrong["eventTime"] = nullptr;
  wrong["type"] = "Nice";
  wrong["deprecatedCount"] = 1;
  wrong["deprecatedSource"] = {{"component", "c"}};
  wrong["series"] = {{"count", 1}};
  EXPECT_THAT(faults(make(wrong)), testing::ElementsAre("series.count", "series.lastObservedTime",
                                                        "eventTime", "type", "count", "source"));
  ASSERT_EQ(make(event()).code, 201);
  const std::string one = named(kEvents, "e");
  // As client-go's recorder counts repetitions.
  const Answer series = ask(
      "PATCH", one, R"({"series":{"count":2,"lastObservedTime":"2026-01-02T03:04:06.000000Z"}})",
      "application/strategic-merge-patch+json");
  ASSERT_EQ(series.code, 200) << series.body;
  EXPECT_EQ(ask("GET", named(kCoreEvents, "e")).json()["series"]["count"], 2);
  EXPECT_THAT(faults(ask("PATCH", one, R"({"note":"new","reason":"Other"})", kMerge)),
              testing::ElementsAre("reason", "message"));
  Json whole = ask("GET", one).json();
  whole["metadata"]["labels"] = {{"a", "b"}};
  EXPECT_EQ(ask("PUT", one, whole.dump()).json()["metadata"]["labels"]["a"], "b");
  EXPECT_EQ(ask("PUT", one, whole.dump()).code, 409);  // the version is the old one
  // The older group takes all of these.
  EXPECT_EQ(ask("PATCH", named(kCoreEvents, "e"), R"({"message":"new"})", kMerge).code, 200);
  EXPECT_EQ(ask("GET", one).json()["note"], "new");
  EXPECT_EQ(make(event()).json()["message"], "events \"e\" already exists");
}

TEST_F(KindFormsTest, AutoscalersOfVersionOneKeepTheRestInAnnotations) {
  const Answer made = ask(
      "POST", kV1,
      R"({"metadata":{"name":"a"},"spec":{"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"d"},
          "maxReplicas":5,"targetCPUUtilizationPercentage":60}})");
  ASSERT_EQ(made.code, 201) << made.body;
  EXPECT_EQ(made.json()["apiVersion"], "autoscaling/v1");
  EXPECT_EQ(made.json()["spec"]["minReplicas"], 1);
  const Json spec = ask("GET", named(kV2, "a")).json()["spec"];
  EXPECT_EQ(spec["metrics"], Json::parse(R"([{"type":"Resource","resource":{"name":"cpu",
      "target":{"type":"Utilization","averageUtilization":60}}}])"));

  const char* metrics = R"({"spec":{"metrics":[
      {"type":"Resource","resource":{"name":"memory","target":{"type":"AverageValue","averageValue":"1Gi"}}},
      {"type":"Object","object":{"describedObject":{"kind":"Service","name":"s"},"metric":{"name":"m"},
                                 "target":{"type":"Value","value":"10"}}},
      {"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":70}}}],
      "behavior":{"scaleDown":{"stabilizationWindowSeconds":7}}}})";
  const Answer changed = ask("PATCH", named(kV2, "a"), metrics, kMerge);
  ASSERT_EQ(changed.code, 200) << changed.body;
  const Json seen = ask("GET", named(kV1, "a")).json();
  EXPECT_EQ(seen["spec"]["targetCPUUtilizationPercentage"], 70);
  const Json& annotations = seen["metadata"]["annotations"];
  EXPECT_EQ(Json::parse(annotations["autoscaling.alpha.kubernetes.io/metrics"].get<std::string>()),
            Json::parse(
                R"([{"type":"Resource","resource":{"name":"memory","targetAverageValue":"1Gi"}},
              {"type":"Object","object":{"target":{"kind":"Service","name":"s"},"metricName":"m","targetValue":"10"}}])"));
  EXPECT_THAT(annotations["autoscaling.alpha.kubernetes.io/behavior"].get<std::string>(),
              HasSubstr(R"("stabilizationWindowSeconds":7)"));

  // What is written back loses nothing.
  const Json before = ask("GET", named(kV2, "a")).json()["spec"];
  Json next = seen;
  next["spec"]["maxReplicas"] = 6;
  ASSERT_EQ(ask("PUT", named(kV1, "a"), next.dump()).code, 200);
  Json after = ask("GET", named(kV2, "a")).json();
  EXPECT_EQ(after["spec"]["maxReplicas"], 6);
  after["spec"]["maxReplicas"] = 5;
  EXPECT_FALSE(after["metadata"].contains("annotations"));
  // The utilization of the cpu comes last.
  EXPECT_EQ(after["spec"], before);

  // Annotations that are nonsense say nothing.
  for (const char* nonsense : {"[", "{}", "[1]", R"([{"type":{}}])"}) {
    Json patch;
    patch["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/metrics"] = nonsense;
    const Answer patched = ask("PATCH", named(kV1, "a"), patch.dump(), kMerge);
    EXPECT_EQ(patched.code, 200) << patched.body;
    EXPECT_EQ(ask("GET", named(kV2, "a")).json()["spec"]["metrics"].size(), 1U) << nonsense;
  }
  EXPECT_EQ(ask("GET", kV1, "", "", kTable).json()["rows"][0]["cells"][1], "Deployment/d");
}

TEST_F(KindFormsTest, AStatusIsSeenAndWrittenInBothVersions) {
  ASSERT_EQ(
      ask("POST", kV2,
          R"({"metadata":{"name":"a"},"spec":{"scaleTargetRef":{"kind":"Deployment","name":"d"},"maxReplicas":5}})")
          .code,
      201);
  const char* status = R"({"status":{"desiredReplicas":2,"currentReplicas":1,
      "currentMetrics":[{"type":"Resource","resource":{"name":"cpu","current":{"averageUtilization":9,"averageValue":"3m"}}}],
      "conditions":[{"type":"AbleToScale","status":"True"}]}})";
  ASSERT_EQ(ask("PATCH", named(kV2, "a") + "/status", status, kMerge).code, 200);
  const Json seen = ask("GET", named(kV1, "a")).json();
  EXPECT_EQ(seen["status"]["currentCPUUtilizationPercentage"], 9);
  EXPECT_EQ(seen["status"]["desiredReplicas"], 2);
  EXPECT_EQ(
      Json::parse(seen["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/current-metrics"]
                      .get<std::string>()),
      Json::parse(R"([{"type":"Resource","resource":{"name":"cpu",
                "currentAverageUtilization":9,"currentAverageValue":"3m"}}])"));
  const Answer written =
      ask("PATCH", named(kV1, "a") + "/status", R"({"status":{"desiredReplicas":3}})", kMerge);
  ASSERT_EQ(written.code, 200) << written.body;
  const Json now = ask("GET", named(kV2, "a")).json()["status"];
  EXPECT_EQ(now["desiredReplicas"], 3);
  EXPECT_EQ(now["conditions"][0]["type"], "AbleToScale");
  EXPECT_EQ(now["currentMetrics"][0]["resource"]["current"]["averageValue"], "3m");
}

TEST_F(KindFormsTest, AppliesInAnyForm) {
  const std::string target = named(kV1, "a") + "?fieldManager=m";
  const std::string head =
      "apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\n"
      "metadata: {name: a}\nspec:\n  maxReplicas: 3\n"
      "  scaleTargetRef: {kind: Deployment, name: d}\n";
  const Answer made = ask("PATCH", target, head + "  targetCPUUtilizationPercentage: 50\n", kApply);
  ASSERT_EQ(made.code, 201) << made.body;
  EXPECT_EQ(made.json()["spec"]["targetCPUUtilizationPercentage"], 50);
  EXPECT_EQ(made.json()["metadata"]["managedFields"][0]["apiVersion"], "autoscaling/v2");
  const Answer other = ask("PATCH", named(kV2, "a") + "?fieldManager=other",
                           "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\n"
                           "metadata: {name: a}\nspec: {maxReplicas: 4}\n",
                           kApply);
  EXPECT_THAT(other.body, HasSubstr("conflict with \\\"m\\\": .spec.maxReplicas"));
  const Answer unknown = ask("PATCH", target, head + "  metrics: []\n", kApply);
  EXPECT_THAT(unknown.body, HasSubstr(".spec.metrics: field not declared in schema"));
  const Answer wrong = ask("PATCH", target, "apiVersion: autoscaling/v2\nkind: x\n", kApply);
  EXPECT_THAT(wrong.body, HasSubstr("Incorrect version specified in apply patch"));
}

TEST_F(KindFormsTest, DiscoveryPrefersTheStoredVersion) {
  const Json group = ask("GET", "/apis/autoscaling").json();
  EXPECT_EQ(group["preferredVersion"]["version"], "v2");
  EXPECT_EQ(group["versions"].size(), 2U);
  EXPECT_THAT(ask("GET", "/apis/autoscaling/v1").body,
              HasSubstr("horizontalpodautoscalers/status"));
  EXPECT_THAT(ask("GET", "/apis/events.k8s.io/v1").body, HasSubstr("\"kind\":\"Event\""));
  EXPECT_THAT(ask("GET", "/openapi/v3/apis/autoscaling/v1").body,
              HasSubstr("targetCPUUtilizationPercentage"));
  EXPECT_EQ(ask("GET", "/apis/autoscaling/v3/namespaces/default/horizontalpodautoscalers").code,
            404);
  EXPECT_EQ(ask("GET", "/apis/events.k8s.io/v1/namespaces/default/pods").code, 404);
}

TEST_F(KindFormsTest, AScaleIsApplied) {
  constexpr const char* kDeployments = "/apis/apps/v1/namespaces/default/deployments";
  const std::string scale = std::string(kDeployments) + "/web/scale?fieldManager=";
  const auto apply = [&](const std::string& manager, const std::string& spec) {
    return ask("PATCH", scale + manager,
               "apiVersion: autoscaling/v1\nkind: Scale\nmetadata: {name: web}\nspec: " + spec,
               kApply);
  };
  EXPECT_EQ(apply("m", "{replicas: 3}").code, 404);
  ASSERT_EQ(ask("POST", std::string(kDeployments) + "?fieldManager=maker",
                R"({"metadata":{"name":"web"},"spec":{"replicas":2,
                    "selector":{"matchLabels":{"app":"web"}},
                    "template":{"metadata":{"labels":{"app":"web"}},
                                "spec":{"containers":[{"name":"c","image":"i"}]}}}})")
                .code,
            201);
  const Answer refused = apply("m", "{replicas: 3}");
  EXPECT_EQ(refused.code, 409);
  EXPECT_THAT(refused.body, HasSubstr("conflict with \\\"maker\\\" using apps/v1: .spec.replicas"));
  const Answer forced = apply("m&force=true", "{replicas: 3}");
  ASSERT_EQ(forced.code, 200) << forced.body;
  EXPECT_EQ(forced.json()["kind"], "Scale");
  EXPECT_EQ(forced.json()["spec"]["replicas"], 3);
  Json entry;
  const Json object = ask("GET", std::string(kDeployments) + "/web").json();
  for (const Json& each : object["metadata"]["managedFields"]) {
    if (each["manager"] == "m") entry = each;
  }
  EXPECT_EQ(entry["subresource"], "scale");
  EXPECT_EQ(entry["operation"], "Apply");
  EXPECT_EQ(entry["apiVersion"], "apps/v1");
  EXPECT_EQ(entry["fieldsV1"].dump(), R"({"f:spec":{"f:replicas":{}}})");
  EXPECT_EQ(apply("m", "{replicas: 3}").code, 200);
  EXPECT_EQ(apply("m", "{replicas: -1}").code, 422);
  EXPECT_THAT(apply("m", "{replica: 1}").body, HasSubstr("field not declared in schema"));
  EXPECT_THAT(ask("PATCH", scale + "m", "apiVersion: apps/v1\nkind: Deployment\n", kApply).body,
              HasSubstr("Incorrect version specified in apply patch"));
  EXPECT_EQ(ask("GET", std::string(kDeployments) + "/web").json()["spec"]["replicas"], 3);
}

}  // namespace
}  // namespace podlab::apiserver
