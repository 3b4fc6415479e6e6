#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "api/codec.hpp"

namespace podlab::api {
namespace {

using testing::ElementsAre;

const google::protobuf::Message* prototypeOf(const TypeMeta& type) {
  if (type == TypeMeta{"v1", "Pod"}) return &corev1::Pod::default_instance();
  if (type == TypeMeta{"v1", "ConfigMap"}) return &corev1::ConfigMap::default_instance();
  return nullptr;
}

/// Each object as "kind name line", or the error.
std::vector<std::string> decode(std::string_view text, DecodeOptions options = {}) {
  const auto objects = decodeManifest(text, prototypeOf, options);
  if (!objects) return {objects.status().message()};
  std::vector<std::string> seen;
  for (const auto& object : *objects) {
    seen.push_back(object.type.kind + " " + meta(*object.object).name() + " " +
                   std::to_string(object.line));
  }
  return seen;
}

TEST(Manifest, ReadsYamlDocuments) {
  EXPECT_THAT(decode("# first\napiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n---\n---\nkind: "
                     "ConfigMap\napiVersion: v1\nmetadata: {name: b}\n"),
              ElementsAre("Pod a 2", "ConfigMap b 8"));
  EXPECT_THAT(decode(""), ElementsAre());
  EXPECT_THAT(decode("# nothing\n---\n"), ElementsAre());
}

TEST(Manifest, ReadsJsonDocuments) {
  EXPECT_THAT(decode("{\"apiVersion\":\"v1\",\"kind\":\"Pod\"}\n{\"kind\":\"ConfigMap\","
                     "\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"b\"}}\n"),
              ElementsAre("Pod  1", "ConfigMap b 2"));
  EXPECT_THAT(decode("{apiVersion: v1, kind: Pod, metadata: {name: flow}}"),
              ElementsAre("Pod flow 1"));
  EXPECT_THAT(decode("{\"apiVersion\":\"v1\",\n\"kind\" \"Pod\"}"),
              ElementsAre("line 2, column 8: expected ':' after the member name"));
}

TEST(Manifest, OpensLists) {
  EXPECT_THAT(decode("apiVersion: v1\nkind: List\nmetadata: {}\nitems:\n- {apiVersion: v1, kind: "
                     "Pod, metadata: {name: a}}\n"
                     "- apiVersion: v1\n  kind: List\n  items:\n  - {apiVersion: v1, kind: "
                     "ConfigMap, metadata: {name: b}}\n"),
              ElementsAre("Pod a 1", "ConfigMap b 1"));
  EXPECT_THAT(decode("apiVersion: v1\nkind: PodList\nitems:\n- {metadata: {name: a}}\n- {metadata: "
                     "{name: b}, kind: Pod}\n"),
              ElementsAre("Pod a 1", "Pod b 1"));
  EXPECT_THAT(decode("apiVersion: v1\nkind: List\nitems:"), ElementsAre());
  EXPECT_THAT(
      decode("apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod}\n- {kind: Pod}\n"),
      ElementsAre("document 1 (line 1): items[1]: apiVersion: Required value: every object names "
                  "it, e.g. apiVersion: v1, kind: Pod"));
}

TEST(Manifest, NamesTheDocumentOfFaults) {
  EXPECT_THAT(decode("apiVersion: v1\nkind: Pod\n---\napiVersion: v1\nkind: Pod\nmetadata:\n  "
                     "labels:\n    version: 1\n"),
              ElementsAre("document 2 (line 4): Pod: metadata.labels.version: Invalid value: 1: "
                          "expected a string: put the number in quotes"));
  EXPECT_THAT(decode("apiVersion: v2\nkind: Pod\n"),
              ElementsAre("document 1 (line 1): no matches for kind \"Pod\" in version \"v2\""));
  EXPECT_THAT(decode("kind: Pod\n"),
              ElementsAre("document 1 (line 1): apiVersion: Required value: every object names it, "
                          "e.g. apiVersion: v1, kind: Pod"));
  EXPECT_THAT(decode("apiVersion: v1\n"),
              ElementsAre("document 1 (line 1): kind: Required value: every object names it, e.g. "
                          "apiVersion: v1, kind: Pod"));
  EXPECT_THAT(decode("- a\n"),
              ElementsAre("document 1 (line 1): line 1, column 1: expected an object"));
  EXPECT_THAT(decode("a:\n\tb: 1\n"),
              ElementsAre("line 2, column 1: found character that cannot start any token while "
                          "scanning for the next "
                          "token; YAML is indented by spaces, and this line begins with a tab"));
}

TEST(Manifest, FindsUnknownAndDuplicateFields) {
  constexpr std::string_view kYaml =
      "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - {name: a, imagee: b, name: c}\n";
  EXPECT_THAT(decode(kYaml, {.strict = true}),
              ElementsAre("document 1 (line 1): Pod: strict decoding error: unknown field "
                          "\"spec.containers[0].imagee\", "
                          "duplicate field \"spec.containers[0].name\""));
  const auto objects = decodeManifest(kYaml, prototypeOf);
  ASSERT_TRUE(objects);
  EXPECT_THAT(
      objects->front().problems,
      ElementsAre(
          FieldProblem{"spec.containers[0].imagee", "unknown field \"spec.containers[0].imagee\""},
          FieldProblem{"spec.containers[0].name", "duplicate field \"spec.containers[0].name\""}));
}

}  // namespace
}  // namespace podlab::api
