#include "api/codec.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "runtime.pb.h"

namespace podlab::api {
namespace {

template <typename T>
T decoded(std::string_view json) {
  T message;
  const Status status = fromJson(json, message);
  EXPECT_TRUE(status.ok()) << json << "\n" << status.message();
  return message;
}

template <typename T>
std::string again(std::string_view json) {
  return toJson(decoded<T>(json));
}

/// The error of decoding, and that nothing of the object was left.
template <typename T>
std::string fault(std::string_view json, DecodeOptions options = {}) {
  T message;
  const Status status = fromJson(json, message, options);
  EXPECT_TRUE(status.ok() || status.is(Code::kBadRequest));
  EXPECT_EQ(message.ByteSizeLong() == 0, !status.ok());
  return status.message();
}

std::string testData(const std::string& name) {
  std::ifstream file(PODLAB_SOURCE_DIR "/tests/data/codec/" + name);
  EXPECT_TRUE(file) << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Codec, WritesAPodAsKubectlPrintsIt) {
  const std::string text = testData("pod.json");
  const auto pod = decoded<corev1::Pod>(text);
  EXPECT_EQ(toJson(pod, {.type = {"v1", "Pod"}, .indent = 4}) + "\n", text);
  EXPECT_EQ(pod.spec().containers(0).readinessprobe().handler().httpget().port().strval(), "http");
  EXPECT_EQ(pod.spec().volumes(1).volumesource().emptydir().sizelimit().string(), "64Mi");
  EXPECT_EQ(pod.metadata().labels().at("app.kubernetes.io/name"), "web");
  EXPECT_EQ(pod.metadata().creationtimestamp().seconds(), 1772600767);
}

TEST(Codec, PlacesTheTypeInOrder) {
  corev1::ConfigMap map;
  (*map.mutable_data())["k"] = "v";
  EXPECT_EQ(toJson(map, {.type = {"v1", "ConfigMap"}}),
            R"({"apiVersion":"v1","data":{"k":"v"},"kind":"ConfigMap"})");
  EXPECT_EQ(toJson(map, {.type = {"v1", ""}}), R"({"apiVersion":"v1","data":{"k":"v"}})");
  EXPECT_EQ(toJson(corev1::NamespaceSpec(), {.type = {"v1", "X"}}),
            R"({"apiVersion":"v1","kind":"X"})");
}

TEST(Codec, OmitsZeroValuesAsGo) {
  // A protobuf client in Go sets every field that is no pointer.
  corev1::Pod pod;
  pod.mutable_metadata()->set_name("a");
  pod.mutable_metadata()->set_generatename("");
  pod.mutable_metadata()->set_generation(0);
  pod.mutable_metadata()->mutable_creationtimestamp();
  pod.mutable_spec()->set_hostnetwork(false);
  pod.mutable_spec()->set_priority(0);
  EXPECT_EQ(toJson(pod), R"({"metadata":{"name":"a"},"spec":{"containers":[],"priority":0}})");

  const auto spec = decoded<corev1::PodSpec>(
      R"({"hostNetwork":false,"restartPolicy":"","priority":0,"runtimeClassName":""})");
  EXPECT_FALSE(spec.has_hostnetwork());
  EXPECT_FALSE(spec.has_restartpolicy());
  EXPECT_TRUE(spec.has_priority());
  EXPECT_TRUE(spec.has_runtimeclassname());
}

TEST(Codec, WritesFieldsThatAreNeverOmitted) {
  EXPECT_EQ(toJson(corev1::ContainerStatus()),
            R"({"image":"","imageID":"","name":"","ready":false,"restartCount":0})");
  EXPECT_EQ(toJson(corev1::PodList()), R"({"items":[]})");
  EXPECT_EQ(toJson(corev1::HTTPGetAction()), R"({"port":0})");
  EXPECT_EQ(toJson(corev1::Binding()), R"({"target":{}})");
  EXPECT_EQ(toJson(metav1::Condition()),
            R"({"lastTransitionTime":null,"message":"","reason":"","status":"","type":""})");
  EXPECT_EQ(toJson(corev1::TypedLocalObjectReference()),
            R"({"apiGroup":null,"kind":"","name":""})");
}

TEST(Codec, ReadsNullAsAbsent) {
  EXPECT_EQ(
      again<corev1::Pod>(
          R"({"metadata":{"creationTimestamp":null,"labels":null},"spec":null,"status":null})"),
      R"({"metadata":{}})");
  EXPECT_EQ(again<corev1::Pod>(R"({"apiVersion":null,"kind":null})"), "{}");
  // Inside lists and maps a null is a zero value, as in Go.
  EXPECT_EQ(again<corev1::ConfigMap>(R"({"data":{"a":null}})"), R"({"data":{"a":""}})");
  EXPECT_EQ(again<corev1::ExecAction>(R"({"command":[null,"x"]})"), R"({"command":["","x"]})");
  EXPECT_EQ(again<corev1::ResourceRequirements>(R"({"limits":{"cpu":null}})"),
            R"({"limits":{"cpu":"0"}})");
  EXPECT_EQ(again<corev1::NodeSelector>(R"({"nodeSelectorTerms":[null]})"),
            R"({"nodeSelectorTerms":[{}]})");
}

TEST(Codec, ReadsScalarForms) {
  const struct {
    std::string_view json;
    std::string_view written;
  } quantities[] = {{"\"250m\"", "\"250m\""},
                    {"2", "\"2\""},
                    {"0.5", "\"500m\""},
                    {"\"1024Mi\"", "\"1Gi\""},
                    {"1e3", "\"1e3\""}};
  for (const auto& [json, written] : quantities) {
    EXPECT_EQ(
        again<corev1::ResourceRequirements>("{\"limits\":{\"cpu\":" + std::string(json) + "}}"),
        "{\"limits\":{\"cpu\":" + std::string(written) + "}}");
  }
  for (const std::string_view json :
       {R"({"port":80})", R"({"port":"http"})", R"({"port":0})", R"({"port":"80"})"}) {
    EXPECT_EQ(again<corev1::TCPSocketAction>(json), json);
  }
  EXPECT_EQ(again<metav1::ObjectMeta>(R"({"creationTimestamp":"2026-01-02T03:04:05.678+01:00"})"),
            R"({"creationTimestamp":"2026-01-02T02:04:05Z"})");
  EXPECT_EQ(again<metav1::ObjectMeta>(R"({"creationTimestamp":"1970-01-01T00:00:00Z"})"),
            R"({"creationTimestamp":"1970-01-01T00:00:00Z"})");
  EXPECT_EQ(again<coordinationv1::LeaseSpec>(R"({"renewTime":"2026-01-02T03:04:05Z"})"),
            R"({"renewTime":"2026-01-02T03:04:05.000000Z"})");
  EXPECT_EQ(again<coordinationv1::LeaseSpec>(R"({"renewTime":"2026-01-02T03:04:05.123456Z"})"),
            R"({"renewTime":"2026-01-02T03:04:05.123456Z"})");
  EXPECT_EQ(
      again<metav1::ManagedFieldsEntry>(R"({"fieldsV1": {"f:metadata" : {"f:labels":[ 1.50 ]}}})"),
      R"({"fieldsV1":{"f:metadata":{"f:labels":[1.50]}}})");
  EXPECT_EQ(again<metav1::WatchEvent>(R"({"object":[true],"type":"ADDED"})"),
            R"({"object":[true],"type":"ADDED"})");
  EXPECT_EQ(again<corev1::SleepAction>(R"({"seconds":-9223372036854775808})"),
            R"({"seconds":-9223372036854775808})");
}

TEST(Codec, ReadsBytesAsBase64) {
  const struct {
    std::string_view bytes;
    std::string_view text;
  } cases[] = {{"", ""},        {"f", "Zg=="},        {"fo", "Zm8="},
               {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"\xFF\xFE\xFD", "//79"}};
  for (const auto& [bytes, text] : cases) {
    const std::string json = "{\"data\":{\"k\":\"" + std::string(text) + "\"}}";
    EXPECT_EQ(decoded<corev1::Secret>(json).data().at("k"), bytes);
    EXPECT_EQ(again<corev1::Secret>(json), json);
  }
  EXPECT_EQ(decoded<corev1::Secret>(R"({"data":{"k":"Zm9v\nYg==\r\n"}})").data().at("k"), "foob");
  for (const std::string_view bad : {"Zg", "Zg=", "Z===", "Zg==Zg==", "====", "Z g=", "Zm9-"}) {
    EXPECT_EQ(fault<corev1::Secret>("{\"data\":{\"k\":\"" + std::string(bad) + "\"}}"),
              "data.k: Invalid value: \"" + std::string(bad) +
                  "\": expected base64 (for plain text in a Secret use stringData)");
  }
}

TEST(Codec, WritesEmbeddedBytesThatAreNoJsonAsNull) {
  metav1::WatchEvent event;
  event.mutable_object()->set_raw("k8s\0 protobuf");
  EXPECT_EQ(toJson(event), R"({"object":null,"type":""})");
  event.mutable_object()->set_raw("{\"a\":\n1}");
  EXPECT_EQ(toJson(event), R"({"object":{"a":1},"type":""})");
  metav1::ObjectMeta meta;
  meta.mutable_creationtimestamp()->set_seconds(std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(toJson(meta), R"({"creationTimestamp":null})");
}

TEST(Codec, NamesPathValueAndRemedyOfWrongTypes) {
  const struct {
    std::string_view json;
    std::string_view error;
  } cases[] = {
      {R"({"metadata":{"labels":{"version":1}}})",
       "metadata.labels.version: Invalid value: 1: expected a string: put the number in quotes"},
      {R"({"metadata":{"labels":{"on":true}}})",
       "metadata.labels.on: Invalid value: true: expected a string: put it in quotes (unquoted "
       "true, yes, on, false, "
       "no and off are booleans)"},
      {R"({"metadata":{"name":["x"]}})",
       R"(metadata.name: Invalid value: ["x"]: expected a string)"},
      {R"({"spec":{"containers":[{"name":"a"},{"ports":[{"containerPort":"80"}]}]}})",
       R"(spec.containers[1].ports[0].containerPort: Invalid value: "80": expected an integer, without quotes)"},
      {R"({"spec":{"priority":2147483648}})",
       "spec.priority: Invalid value: 2147483648: expected an integer from -2147483648 to "
       "2147483647"},
      {R"({"spec":{"priority":1.0}})",
       "spec.priority: Invalid value: 1.0: expected an integer, without fraction or exponent"},
      {R"({"spec":{"activeDeadlineSeconds":9223372036854775808}})",
       "spec.activeDeadlineSeconds: Invalid value: 9223372036854775808: expected an integer from "
       "-9223372036854775808 to "
       "9223372036854775807"},
      {R"({"spec":{"hostNetwork":"true"}})",
       R"(spec.hostNetwork: Invalid value: "true": expected true or false, without quotes)"},
      {R"({"spec":{"hostNetwork":1}})",
       "spec.hostNetwork: Invalid value: 1: expected true or false"},
      {R"({"spec":{"containers":{"name":"a"}}})",
       R"(spec.containers: Invalid value: {"name":"a"}: expected a list)"},
      {R"({"spec":{"containers":["a"]}})",
       R"(spec.containers[0]: Invalid value: "a": expected an object)"},
      {R"({"spec":{"nodeSelector":[]}})",
       "spec.nodeSelector: Invalid value: []: expected an object"},
      {R"({"spec":[]})", "spec: Invalid value: []: expected an object"},
      {R"({"spec":{"overhead":{"cpu":"1 core"}}})",
       R"(spec.overhead.cpu: Invalid value: "1 core": expected a quantity, e.g. 500m, 2 or 64Mi)"},
      {R"({"spec":{"overhead":{"cpu":true}}})",
       "spec.overhead.cpu: Invalid value: true: expected a quantity, e.g. 500m, 2 or 64Mi"},
      {R"({"metadata":{"creationTimestamp":"yesterday"}})",
       R"(metadata.creationTimestamp: Invalid value: "yesterday": expected a time as in RFC 3339, e.g. "2026-01-02T03:04:05Z")"},
      {R"({"spec":{"containers":[{"livenessProbe":{"tcpSocket":{"port":8e1}}}]}})",
       "spec.containers[0].livenessProbe.tcpSocket.port: Invalid value: 8e1: expected an integer, "
       "without fraction or exponent"},
      {R"({"spec":{"containers":[{"livenessProbe":{"tcpSocket":{"port":true}}}]}})",
       "spec.containers[0].livenessProbe.tcpSocket.port: Invalid value: true: expected an integer "
       "or a string"},
      {R"({"kind":1})", "kind: Invalid value: 1: expected a string: put the number in quotes"},
      {"[]", "line 1, column 1: expected an object"},
      {"", "line 1, column 1: unexpected end of the document: expected a value"},
      {"{} x", "line 1, column 4: unexpected text after the value"},
      {R"({"spec":{"containers":[}})", "line 1, column 24: expected a value"},
  };
  for (const auto& [json, error] : cases) EXPECT_EQ(fault<corev1::Pod>(json), error) << json;

  corev1::Pod pod;
  const Status status = fromJson(R"({"spec":{"hostNetwork":1}})", pod);
  ASSERT_EQ(status.causes().size(), 1U);
  EXPECT_EQ(status.causes()[0].field, "spec.hostNetwork");
  EXPECT_EQ(status.causes()[0].message, "Invalid value: 1: expected true or false");
}

TEST(Codec, ShortensLongValuesBetweenCharacters) {
  std::string text = "x";
  for (int i = 0; i < 60; ++i) text += "é";
  const std::string error = fault<corev1::Pod>("{\"spec\":\"" + text + "\"}");
  EXPECT_EQ(error, "spec: Invalid value: \"x" + text.substr(1, 62) + "...: expected an object");
}

TEST(Codec, NamesUnknownAndDuplicateFields) {
  constexpr std::string_view kJson = R"({"apiVersion":"v1","kind":"Pod","kind":"Pod","colour":1,
      "metadata":{"labels":{"a":"1","a":"2"},"name":"x","name":"y"},
      "spec":{"kind":"x","containers":[{"imagee":{"a":[1]},"Image":"b","image":"c"}],"volumes":[{"emptyDir":{},"emptyDir":null,"volumeSource":{}}]}})";
  corev1::Pod pod;
  std::vector<FieldProblem> problems;
  ASSERT_TRUE(fromJson(kJson, pod, {}, &problems));
  std::vector<std::string> messages;
  for (const auto& problem : problems) messages.push_back(problem.message);
  EXPECT_EQ(messages,
            (std::vector<std::string>{
                R"(duplicate field "kind")", R"(unknown field "colour")",
                R"(duplicate field "metadata.labels.a")", R"(duplicate field "metadata.name")",
                R"(unknown field "spec.kind")", R"(unknown field "spec.containers[0].imagee")",
                R"(unknown field "spec.containers[0].Image")",
                R"(duplicate field "spec.volumes[0].emptyDir")",
                R"(unknown field "spec.volumes[0].volumeSource")"}));
  EXPECT_EQ(problems[5].path, "spec.containers[0].imagee");
  // The last one counts.
  EXPECT_EQ(
      toJson(pod),
      R"({"metadata":{"labels":{"a":"2"},"name":"y"},"spec":{"containers":[{"image":"c","name":""}],"volumes":[{"name":""}]}})");

  EXPECT_EQ(fault<corev1::Pod>(R"({"spec":{"imagee":1},"spec":{}})", {.strict = true}),
            R"(strict decoding error: unknown field "spec.imagee", duplicate field "spec")");
}

TEST(Codec, DuplicatesReplaceWhatWasThere) {
  EXPECT_EQ(
      again<corev1::PodSpec>(
          R"({"containers":[{"name":"a"}],"containers":[],"os":{"name":"x"},"os":{},"priority":1,"priority":null})"),
      R"({"containers":[],"os":{"name":""}})");
  EXPECT_EQ(again<corev1::PodSpec>(R"({"containers":[],"hostname":"a","hostname":""})"),
            R"({"containers":[]})");
  EXPECT_EQ(again<corev1::ResourceRequirements>(R"({"limits":{"cpu":"1","cpu":null}})"),
            R"({"limits":{"cpu":"0"}})");
}

TEST(Codec, AcceptsTypesInListItemsOnly) {
  std::vector<FieldProblem> problems;
  corev1::PodList list;
  ASSERT_TRUE(fromJson(
      R"({"apiVersion":"v1","kind":"PodList","items":[{"apiVersion":"v1","kind":"Pod","spec":{"apiVersion":"v1"}}]})",
      list, {}, &problems));
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].path, "items[0].spec.apiVersion");
}

TEST(Codec, ReadsTheTypeWithoutTheRest) {
  EXPECT_EQ(
      readTypeMeta(R"({"spec":{"kind":"no"},"kind":"Pod","apiVersion":"v1", nonsense)").valueOr({}),
      (TypeMeta{"v1", "Pod"}));
  EXPECT_EQ(readTypeMeta(R"({"kind":null})").valueOr({"x", "y"}), TypeMeta{});
  EXPECT_EQ(readTypeMeta(R"({"kind":{}})").status().message(),
            "kind: Invalid value: {}: expected a string");
  EXPECT_EQ(readTypeMeta("[]").status().message(), "line 1, column 1: expected an object");
  EXPECT_EQ(readTypeMeta("{\"a\"").status().message(),
            "line 1, column 5: unexpected end of the document: expected ':' after the member name");
}

TEST(Codec, WritesYaml) {
  corev1::ConfigMap map;
  map.mutable_metadata()->set_name("a");
  map.mutable_metadata()->mutable_creationtimestamp()->set_seconds(0);
  (*map.mutable_data())["port"] = "80";
  (*map.mutable_data())["run.sh"] = "#!/bin/sh\nexit\n";
  EXPECT_EQ(toYaml(map, {"v1", "ConfigMap"}),
            "apiVersion: v1\ndata:\n  port: \"80\"\n  run.sh: |\n    #!/bin/sh\n    exit\nkind: "
            "ConfigMap\nmetadata:\n"
            "  creationTimestamp: \"1970-01-01T00:00:00Z\"\n  name: a\n");
}

TEST(Codec, DescribesMessagesBySchema) {
  const auto schema = nlohmann::json::parse(jsonSchema(corev1::Pod::descriptor()));
  EXPECT_EQ(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
  EXPECT_EQ(schema["$ref"], "#/$defs/k8s.io.api.core.v1.Pod");
  const auto& definitions = schema["$defs"];
  const auto& pod = definitions["k8s.io.api.core.v1.Pod"];
  EXPECT_EQ(pod["properties"]["kind"]["type"], "string");
  EXPECT_EQ(pod["additionalProperties"], false);
  const auto& volume = definitions["k8s.io.api.core.v1.Volume"]["properties"];
  EXPECT_EQ(volume["emptyDir"]["$ref"], "#/$defs/k8s.io.api.core.v1.EmptyDirVolumeSource");
  EXPECT_FALSE(volume.contains("volumeSource"));
  EXPECT_FALSE(volume.contains("kind"));
  const auto& container = definitions["k8s.io.api.core.v1.Container"]["properties"];
  EXPECT_EQ(container["ports"]["items"]["$ref"], "#/$defs/k8s.io.api.core.v1.ContainerPort");
  const auto& resources = definitions["k8s.io.api.core.v1.ResourceRequirements"]["properties"];
  EXPECT_EQ(resources["limits"]["additionalProperties"]["type"],
            (std::vector<std::string>{"string", "number"}));
  // Each reference has its definition.
  for (const auto& [name, definition] : definitions.items()) {
    for (const auto& [member, value] : definition["properties"].items()) {
      const auto& at = value.contains("items") ? value["items"] : value;
      if (!at.contains("$ref")) continue;
      EXPECT_TRUE(definitions.contains(at["$ref"].get<std::string>().substr(8)))
          << name << "." << member;
    }
  }
}

TEST(Codec, SharesObjectsAndTablesAmongThreads) {
  const std::string text = testData("pod.json");
  const auto pod = decoded<corev1::Pod>(text);
  std::vector<std::string> written(4);
  {
    std::vector<std::jthread> threads;
    for (std::string& out : written) {
      threads.emplace_back([&pod, &out] {
        corev1::NodeStatus unrelated;  // its table is first made here
        if (fromJson(R"({"capacity":{"cpu":"2"}})", unrelated).ok()) out = toJson(unrelated);
        out += toJson(pod);
      });
    }
  }
  for (const std::string& out : written)
    EXPECT_EQ(out, R"({"capacity":{"cpu":"2"}})" + toJson(pod));
}

}  // namespace
}  // namespace podlab::api
