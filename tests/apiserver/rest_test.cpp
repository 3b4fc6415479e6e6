#include <gmock/gmock.h>

#include "runtime.pb.h"

#include "tests/apiserver/rest_fixture.hpp"

namespace podlab::apiserver {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST_F(RestTest, TellsWhatItServes) {
  EXPECT_EQ(ask("GET", "/healthz").body, "ok");
  EXPECT_EQ(ask("GET", "/version").json()["major"], "1");
  EXPECT_EQ(ask("GET", "/api").json()["versions"], Json::array({"v1"}));
  const Json groups = ask("GET", "/apis").json()["groups"];
  EXPECT_TRUE(std::ranges::any_of(groups, [](const Json& group) {
    return group["name"] == "coordination.k8s.io" &&
           group["preferredVersion"]["groupVersion"] == "coordination.k8s.io/v1";
  }));
  const Json resources = ask("GET", "/api/v1").json()["resources"];
  const auto find = [&](const char* name) {
    const auto found =
        std::ranges::find_if(resources, [&](const Json& one) { return one["name"] == name; });
    return found == resources.end() ? Json() : *found;
  };
  EXPECT_EQ(find("pods")["shortNames"], Json::array({"po"}));
  EXPECT_EQ(find("pods/eviction")["group"], "policy");
  EXPECT_EQ(find("nodes")["namespaced"], false);
  EXPECT_TRUE(find("bindings").is_null());
  EXPECT_EQ(ask("GET", "/apis/coordination.k8s.io").json()["kind"], "APIGroup");
  const Answer aggregated =
      ask("GET", "/apis", "", "",
          "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json");
  EXPECT_THAT(aggregated.head, HasSubstr("v=v2;as=APIGroupDiscoveryList"));
  EXPECT_EQ(aggregated.json()["kind"], "APIGroupDiscoveryList");
  EXPECT_EQ(aggregated.json()["items"][0]["versions"][0]["freshness"], "Current");
  EXPECT_THAT(ask("GET", "/openapi/v2").head, HasSubstr("proto-openapi"));
}

TEST_F(RestTest, WritesAndReadsObjects) {
  Answer made = ask("POST", kMaps, R"({"metadata":{"name":"a"},"data":{"k":"v"}})");
  ASSERT_EQ(made.code, 201) << made.body;
  EXPECT_EQ(made.json()["kind"], "ConfigMap");
  EXPECT_EQ(made.json()["apiVersion"], "v1");
  EXPECT_THAT(made.head, HasSubstr("Content-Type: application/json\r\n"));
  EXPECT_EQ(ask("POST", kMaps, R"({"metadata":{"name":"a"}})").json()["message"],
            "configmaps \"a\" already exists");
  const Answer yaml =
      ask("POST", kMaps, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: from-yaml}\n",
          "application/yaml");
  EXPECT_EQ(yaml.code, 201) << yaml.body;
  const std::string one = std::string(kMaps) + "/a";
  EXPECT_EQ(ask("GET", one).json()["data"]["k"], "v");
  Json changed = ask("GET", one).json();
  changed["data"]["k"] = "w";
  EXPECT_EQ(ask("PUT", one, changed.dump(), "").json()["data"]["k"], "w");
  EXPECT_EQ(ask("PUT", one, changed.dump()).code, 409);  // the version is the old one
  EXPECT_EQ(ask("PATCH", one, R"({"data":{"k":null,"l":"x"}})", "application/merge-patch+json")
                .json()["data"],
            Json({{"l", "x"}}));
  EXPECT_EQ(ask("PATCH", one, R"([{"op":"remove","path":"/data"}])", "application/json-patch+json")
                .json()
                .contains("data"),
            false);
  const Answer dry = ask("DELETE", one + "?dryRun=All");
  EXPECT_EQ(dry.code, 200) << dry.body;
  const Answer gone = ask("DELETE", one, R"({"propagationPolicy":"Background"})");
  EXPECT_EQ(gone.json()["status"], "Success") << gone.body;
  EXPECT_EQ(gone.json()["details"]["name"], "a");
  EXPECT_EQ(ask("GET", one).json()["reason"], "NotFound");
  EXPECT_EQ(ask("DELETE", kMaps).json()["items"].size(), 1U);
  EXPECT_EQ(ask("GET", kMaps).json()["items"], Json::array());
}

TEST_F(RestTest, TakesWhatGoClientsEncode) {
  // As kubectl 1.32 and later create things: every field is written, set or not.
  corev1::ConfigMap map;
  map.mutable_metadata()->set_name("p");
  map.mutable_metadata()->set_generatename("");
  map.mutable_metadata()->set_namespace_("");
  map.mutable_metadata()->set_generation(0);
  map.mutable_metadata()->mutable_creationtimestamp();
  (*map.mutable_data())["k"] = "v";
  k8s::io::apimachinery::pkg::runtime::Unknown envelope;
  envelope.mutable_typemeta()->set_apiversion("v1");
  envelope.mutable_typemeta()->set_kind("ConfigMap");
  envelope.set_raw(map.SerializeAsString());
  const std::string body = std::string("k8s\0", 4) + envelope.SerializeAsString();
  const Answer made = ask("POST", kMaps, body, "application/vnd.kubernetes.protobuf",
                          "application/vnd.kubernetes.protobuf,application/json");
  ASSERT_EQ(made.code, 201) << made.body;
  EXPECT_EQ(made.json()["data"]["k"], "v");
  EXPECT_FALSE(made.json()["metadata"].contains("generateName"));
  for (const std::string& bad : {std::string("k8s"), body.substr(0, 20), std::string("nonsense")})
    EXPECT_EQ(ask("POST", kMaps, bad, "application/vnd.kubernetes.protobuf").code, 400);
}

TEST_F(RestTest, ValidatesFieldsAsTheClientAsks) {
  const std::string body = R"({"metadata":{"name":"v"},"dato":{},"data":{}})";
  const Answer strict = ask("POST", std::string(kMaps) + "?fieldValidation=Strict", body);
  EXPECT_EQ(strict.code, 400);
  EXPECT_EQ(strict.json()["message"],
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: "
            "unknown field \"dato\"");
  const Answer warned = ask("POST", std::string(kMaps) + "?dryRun=All", body);
  EXPECT_EQ(warned.code, 201);
  EXPECT_THAT(warned.head, HasSubstr("Warning: 299 - \"unknown field \\\"dato\\\"\"\r\n"));
  const Answer ignored = ask("POST", std::string(kMaps) + "?fieldValidation=Ignore", body);
  EXPECT_EQ(ignored.code, 201);
  EXPECT_THAT(ignored.head, Not(HasSubstr("Warning:")));
  EXPECT_EQ(ask("POST", std::string(kMaps) + "?fieldValidation=Maybe", body).code, 400);
  const Answer invalid = ask("POST", kPods, R"({"metadata":{"name":"p"},"spec":{}})");
  EXPECT_EQ(invalid.code, 422);
  EXPECT_EQ(invalid.json()["details"]["causes"][0]["field"], "spec.containers");
}

TEST_F(RestTest, ShowsTables) {
  ASSERT_TRUE(create(pod("a")).ok());
  ASSERT_TRUE(create(pod("b")).ok());
  const std::string table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
  const Json list = ask("GET", "/api/v1/pods?limit=500", "", "", table).json();
  EXPECT_EQ(list["kind"], "Table");
  EXPECT_EQ(list["columnDefinitions"][0]["name"], "Name");
  ASSERT_EQ(list["rows"].size(), 2U);
  EXPECT_EQ(list["rows"][0]["cells"].size(), list["columnDefinitions"].size());
  EXPECT_EQ(list["rows"][0]["cells"][0], "a");
  EXPECT_EQ(list["rows"][0]["object"]["kind"], "PartialObjectMetadata");
  EXPECT_EQ(list["rows"][0]["object"]["metadata"]["namespace"], "default");
  const std::string one = std::string(kPods) + "/b";
  EXPECT_EQ(
      ask("GET", one + "?includeObject=Object", "", "", table).json()["rows"][0]["object"]["kind"],
      "Pod");
  EXPECT_FALSE(
      ask("GET", one + "?includeObject=None", "", "", table).json()["rows"][0].contains("object"));
  const Answer unknown = ask("GET", one + "?includeObject=Some", "", "", table);
  EXPECT_EQ(unknown.code, 400);
  EXPECT_THAT(unknown.body, HasSubstr("must be 'Metadata', 'Object', 'None', or empty"));
  const Json partial =
      ask("GET", kPods, "", "", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")
          .json();
  EXPECT_EQ(partial["kind"], "PartialObjectMetadataList");
  EXPECT_FALSE(partial["items"][0].contains("spec"));
  const Json chunk = ask("GET", std::string(kPods) + "?limit=1").json();
  EXPECT_EQ(chunk["items"].size(), 1U);
  const std::string token = chunk["metadata"]["continue"];
  EXPECT_EQ(ask("GET", std::string(kPods) + "?limit=1&continue=" + token)
                .json()["items"][0]["metadata"]["name"],
            "b");
}

TEST_F(RestTest, Watches) {
  ASSERT_TRUE(create(configMap("a")).ok());
  const std::string target = std::string(kMaps) + "?watch=true&timeoutSeconds=5";
  const Answer all = ask("GET", target);
  EXPECT_THAT(all.head, HasSubstr("Transfer-Encoding: chunked"));
  const Json first = Json::parse(all.body.substr(0, all.body.find('\n')));
  EXPECT_EQ(first["type"], "ADDED");
  EXPECT_EQ(first["object"]["kind"], "ConfigMap");
  const Answer initial =
      ask("GET",
          target +
              "&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan");
  EXPECT_THAT(initial.body, HasSubstr("\"type\":\"BOOKMARK\""));
  EXPECT_THAT(initial.body, HasSubstr("\"k8s.io/initial-events-end\":\"true\""));
  const Answer table = ask("GET", target, "", "", "application/json;as=Table;v=v1;g=meta.k8s.io");
  EXPECT_THAT(table.body, HasSubstr("\"kind\":\"Table\""));
  const Answer future = ask("GET", target + "&resourceVersion=1");
  EXPECT_EQ(future.code, 200) << future.body;
}

TEST_F(RestTest, EvictsAndEndsPodsGracefully) {
  ASSERT_TRUE(create(pod("a", "node-1")).ok());
  const std::string one = std::string(kPods) + "/a";
  const Answer deleted = ask("DELETE", one + "?gracePeriodSeconds=7");
  EXPECT_EQ(deleted.json()["kind"], "Pod") << deleted.body;
  EXPECT_EQ(deleted.json()["metadata"]["deletionGracePeriodSeconds"], 7);
  ASSERT_TRUE(create(pod("b")).ok());
  const Answer evicted = ask(
      "POST", std::string(kPods) + "/b/eviction",
      R"({"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"b"},"deleteOptions":{"gracePeriodSeconds":0}})");
  EXPECT_EQ(evicted.code, 201) << evicted.body;
  EXPECT_EQ(evicted.json()["status"], "Success");
  EXPECT_EQ(ask("GET", std::string(kPods) + "/b").code, 404);
  EXPECT_EQ(ask("POST", std::string(kPods) + "/b/eviction", "{").code, 400);
  const std::string old = R"({"apiVersion":"policy/v1beta1","kind":"Eviction","metadata":)";
  ASSERT_TRUE(create(pod("c")).ok());
  const Answer other = ask("POST", std::string(kPods) + "/c/eviction", old + R"({"name":"d"}})");
  EXPECT_EQ(other.json()["message"], "name in URL does not match name in Eviction object");
  EXPECT_EQ(ask("POST", std::string(kPods) + "/c/eviction", old + R"({"name":"c"}})").code, 201);
  EXPECT_EQ(ask("GET", std::string(kPods) + "/c").code, 404);
}

TEST_F(RestTest, RefusesInTheWordsOfKubernetes) {
  struct Case {
    const char* method;
    const char* target;
    const char* body;
    const char* type;
    const char* accept;
    int code;
  };
  const Case kCases[] = {
      {"GET", "/", "", "", "", 404},
      {"GET", "/api/v2/pods", "", "", "", 404},
      {"GET", "/apis/nope/v1", "", "", "", 404},
      {"GET", "/api/v1/gadgets", "", "", "", 404},
      {"GET", "/api/v1/pods/a", "", "", "", 404},  // a namespaced kind needs one
      {"GET", "/api/v1/namespaces/default/nodes", "", "", "", 404},
      {"GET", "/api/v1/namespaces/default/pods/..", "", "", "", 404},
      {"GET", "/api/v1/namespaces/default/pods/%2e%2e", "", "", "", 404},
      {"GET", "/api/v1/namespaces/default/pods/a%2fb", "", "", "", 404},
      {"GET", "/api/v1/namespaces/default/pods/%ff", "", "", "", 404},
      {"GET", "/api/v1/namespaces/default/pods/a%00", "", "", "", 404},
      {"GET", "/api/v1//pods", "", "", "", 404},
      {"GET", "/api/v1/pods?limit=x", "", "", "", 400},
      {"GET", "/api/v1/pods?labelSelector=%zz", "", "", "", 400},
      {"GET", "/api/v1/pods?labelSelector=%28", "", "", "", 400},
      {"GET", "/api/v1/pods", "", "", "image/png", 406},
      {"POST", "/api/v1/pods", "{}", "application/json", "", 405},
      {"POST", "/api/v1/namespaces/default/pods", "x", "text/csv", "", 415},
      {"POST", "/api/v1/namespaces/default/pods", "{", "application/json", "", 400},
      {"POST", "/api/v1/namespaces/default/pods", "\xff", "application/json", "", 400},
      {"POST", "/api/v1/namespaces/default/pods", R"({"kind":"Node"})", "application/json", "",
       400},
      {"POST", "/api/v1/namespaces/default/pods", R"({"metadata":{"namespace":"other"}})",
       "application/json", "", 400},
      {"PATCH", "/api/v1/namespaces/default/pods/a", "{}", "application/json", "", 415},
      {"PUT", "/api/v1/namespaces/default/pods", "{}", "application/json", "", 405},
      {"BREW", "/api/v1/namespaces/default/pods/a", "", "", "", 405},
      {"POST", "/version", "{}", "application/json", "", 405},
      {"GET", "/api/v1/namespaces/default/pods/a/log?tailLines=x", "", "", "", 400},
      {"GET", "/api/v1/namespaces/default/pods/a/log?sinceTime=noon", "", "", "", 400},
      {"GET", "/api/v1/namespaces/default/pods/a/log", "", "", "", 404},
      {"GET", "/api/v1/namespaces/default/pods/a/exec?stdout=true&command=true", "", "", "", 404},
      {"GET", "/api/v1/namespaces/default/configmaps/a/log", "", "", "", 404},
      {"GET", "/api/v1/namespaces/default/configmaps/a/exec?stdout=true", "", "", "", 404},
      {"POST", "/api/v1/namespaces/default/configmaps/a/eviction", "{}", "application/json", "",
       404},
  };
  for (const auto& each : kCases) {
    const Answer answer = ask(each.method, each.target, each.body, each.type, each.accept);
    EXPECT_EQ(answer.code, each.code) << each.method << " " << each.target << ": " << answer.body;
  }
  EXPECT_EQ(ask("GET", std::string(kPods) + "/x").json()["message"], "pods \"x\" not found");
  EXPECT_EQ(ask("HEAD", kPods).body, "");
}

TEST_F(RestTest, ProgramsNeedAWebSocket) {
  ASSERT_TRUE(create(pod("a")).ok());
  const std::string exec = std::string(kPods) + "/a/exec?command=true";
  EXPECT_THAT(ask("GET", exec + "&stdout=true").body, HasSubstr("Upgrade request required"));
  EXPECT_THAT(ask("POST", exec + "&stdout=true").body, HasSubstr("Upgrade request required"));
  EXPECT_THAT(ask("GET", exec).body, HasSubstr("at least 1 of stdin, stdout, stderr"));
  EXPECT_THAT(ask("GET", exec + "&stdout=true&container=nope").body,
              HasSubstr("container nope is not valid for pod a"));
  const std::string refused = send(
      "GET " + exec +
      "&stdout=true HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
      "Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n");
  EXPECT_THAT(refused, HasSubstr("pod a does not have a host assigned"));
}

TEST_F(RestTest, KnowsWhoAsks) {
  identity_ = {};
  EXPECT_EQ(ask("GET", kPods).code, 403);
  EXPECT_THAT(ask("GET", "/api").json()["message"],
              "forbidden: User \"system:anonymous\" cannot get path \"/api\"");
  EXPECT_EQ(ask("GET", "/version").code, 200);
  EXPECT_EQ(ask("GET", "/livez").code, 200);
  identity_ = {"eve", {}};
  const Answer refused = ask("GET", kPods);
  EXPECT_EQ(refused.code, 403);
  EXPECT_THAT(refused.json()["message"].get<std::string>(), HasSubstr("User \"eve\" cannot list"));
}

TEST_F(RestTest, ServesOneRequestAfterTheOther) {
  const std::string get = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::string last = "GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  const std::string all = send(get + get + last);
  EXPECT_EQ(std::ranges::count(all, '\n') > 0, true);
  EXPECT_NE(all.find("ok", all.find("ok") + 1), std::string::npos);
  EXPECT_THAT(all, HasSubstr("gitVersion"));
  EXPECT_THAT(send("nonsense\r\n\r\n"), StartsWith("HTTP/1.1 400 Bad Request"));
}

TEST_F(RestTest, ASlowClientIsGivenUp) {
  // Virtual time: the silence costs nothing.
  EXPECT_THAT(send("GET /healthz HTTP/1.1\r\nHost:"), StartsWith("HTTP/1.1 408"));
  EXPECT_EQ(send(""), "");
}

TEST_F(RestTest, AScaleIsAViewOfItsObject) {
  constexpr const char* kDeployments = "/apis/apps/v1/namespaces/default/deployments";
  constexpr const char* kScale = "/apis/apps/v1/namespaces/default/deployments/web/scale";
  ASSERT_EQ(ask("POST", kDeployments,
                R"({"metadata":{"name":"web"},"spec":{"replicas":2,
                    "selector":{"matchLabels":{"app":"web"}},
                    "template":{"metadata":{"labels":{"app":"web"}},
                                "spec":{"containers":[{"name":"c","image":"i"}]}}}})")
                .code,
            201);
  const Json scale = ask("GET", kScale).json();
  EXPECT_EQ(scale["kind"], "Scale");
  EXPECT_EQ(scale["apiVersion"], "autoscaling/v1");
  EXPECT_EQ(scale["metadata"]["name"], "web");
  EXPECT_EQ(scale["spec"]["replicas"], 2);
  EXPECT_EQ(scale["status"], Json::parse(R"({"replicas":0,"selector":"app=web"})"));

  // kubectl scale --current-replicas: no Content-Type; then a merge patch.
  Json wanted = scale;
  wanted["spec"]["replicas"] = 5;
  EXPECT_EQ(ask("PUT", kScale, wanted.dump(), "").json()["spec"]["replicas"], 5);
  const Answer stale = ask("PUT", kScale, wanted.dump(), "");
  EXPECT_EQ(stale.code, 409);
  EXPECT_EQ(stale.json()["message"],
            "Operation cannot be fulfilled on deployments.apps \"web\": the object has been "
            "modified; please apply your changes to the latest version and try again");
  EXPECT_EQ(ask("PATCH", kScale, R"({"spec":{"replicas":3}})", "application/merge-patch+json")
                .json()["spec"]["replicas"],
            3);
  const Json object = ask("GET", std::string(kDeployments) + "/web").json();
  EXPECT_EQ(object["spec"]["replicas"], 3);
  EXPECT_EQ(object["metadata"]["generation"], 3);

  const Answer negative =
      ask("PATCH", kScale, R"({"spec":{"replicas":-1}})", "application/merge-patch+json");
  EXPECT_EQ(negative.code, 422);
  EXPECT_EQ(negative.json()["message"],
            "Scale.autoscaling \"web\" is invalid: spec.replicas: Invalid value: -1: must be "
            "greater than or equal to 0");
  // Nothing wanted is not written by Go's clients.
  EXPECT_EQ(ask("PUT", kScale, R"({"metadata":{"name":"web"},"spec":{}})").code, 200);
  EXPECT_EQ(ask("GET", std::string(kDeployments) + "/web").json()["spec"]["replicas"], 0);
  EXPECT_EQ(ask("GET", "/apis/apps/v1/namespaces/default/deployments/none/scale").code, 404);

  const Json table =
      ask("GET", kScale, "", "", "application/json;as=Table;v=v1;g=meta.k8s.io").json();
  EXPECT_EQ(table["rows"][0]["cells"][0], "web");
  EXPECT_EQ(table["columnDefinitions"][1]["name"], "Desired");
  EXPECT_THAT(ask("GET", "/apis/apps/v1").body,
              HasSubstr(R"({"name":"deployments/scale","singularName":"","namespaced":true,)"
                        R"("group":"autoscaling","version":"v1","kind":"Scale",)"));
}

}  // namespace
}  // namespace podlab::apiserver
