#include "node/volume_payload.hpp"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

namespace podlab::node {
namespace {

Result<api::ObjectPtr> lookUp(const api::Kind& kind, const std::string& name) {
  if (name == "settings") {
    auto map = std::make_shared<corev1::ConfigMap>();
    (*map->mutable_data())["color"] = "blue";
    (*map->mutable_binarydata())["blob"] = std::string("\0\xff", 2);
    return api::ObjectPtr(map);
  }
  if (name == "keys") {
    auto secret = std::make_shared<corev1::Secret>();
    (*secret->mutable_data())["token"] = "t0";
    return api::ObjectPtr(secret);
  }
  if (name == "late") return Status(Code::kUnavailable, "not known yet");
  return Status(Code::kNotFound, std::string(kind.singular) + " \"" + name + "\" not found");
}

/// "PATH MODE CONTENT" of each file, one a line, or the failure's text.
std::string payloadOf(const std::string& source) {
  corev1::VolumeSource message;
  EXPECT_TRUE(google::protobuf::TextFormat::MergeFromString(source, &message)) << source;
  DownwardValues values;
  values.field = [](const std::string& path) { return Result<std::string>("field " + path); };
  values.resource = [](const corev1::ResourceFieldSelector& reference) {
    return Result<std::string>(reference.containername() + " " + reference.resource());
  };
  values.token = [](const corev1::ServiceAccountTokenProjection& wanted) -> Result<std::string> {
    if (wanted.audience() == "late") return Status(Code::kUnavailable, "not known yet");
    return "token for " + wanted.audience();
  };
  auto payload = buildPayload(message, lookUp, values);
  if (!payload.ok()) return payload.status().message();
  std::string text;
  for (const auto& [path, file] : *payload) {
    char mode[8];
    std::snprintf(mode, sizeof mode, "%o", file.mode);
    text += path + " " + mode + " " + file.content + "\n";
  }
  return text;
}

TEST(VolumePayload, HoldsAllKeysOrTheItems) {
  const std::string blob("\0\xff", 2);
  EXPECT_EQ(payloadOf(R"(configMap { localObjectReference { name: "settings" } })"),
            "blob 644 " + blob + "\ncolor 644 blue\n");
  EXPECT_EQ(payloadOf(R"(configMap { localObjectReference { name: "settings" } defaultMode: 256
                           items { key: "color" path: "a/b" } items { key: "color" path: "c" mode: 511 } })"),
            "a/b 400 blue\nc 777 blue\n");
  EXPECT_EQ(payloadOf(R"(secret { secretName: "keys" defaultMode: 256 })"), "token 400 t0\n");
  EXPECT_EQ(payloadOf(R"(downwardAPI { items { path: "l" fieldRef { fieldPath: "metadata.labels" } }
                           items { path: "c" mode: 292
                             resourceFieldRef { containerName: "main" resource: "limits.cpu" } } })"),
            "c 444 main limits.cpu\nl 644 field metadata.labels\n");
  EXPECT_EQ(payloadOf(R"(projected { defaultMode: 288
                           sources { configMap { localObjectReference { name: "settings" }
                             items { key: "color" path: "color" } } }
                           sources { secret { localObjectReference { name: "keys" } } }
                           sources { downwardAPI { items { path: "n" mode: 256
                             fieldRef { fieldPath: "metadata.name" } } } } })"),
            "color 440 blue\nn 400 field metadata.name\ntoken 440 t0\n");
}

TEST(VolumePayload, WhatIsMissingFailsInKubeletsWordsUnlessOptional) {
  EXPECT_EQ(payloadOf(R"(configMap { localObjectReference { name: "none" } })"),
            "configmap \"none\" not found");
  EXPECT_EQ(payloadOf(R"(configMap { localObjectReference { name: "none" } optional: true })"), "");
  EXPECT_EQ(payloadOf(R"(configMap { localObjectReference { name: "settings" }
                           items { key: "k" path: "p" } })"),
            "configmap references non-existent config key: k");
  EXPECT_EQ(payloadOf(R"(configMap { localObjectReference { name: "settings" } optional: true
                           items { key: "k" path: "p" } items { key: "color" path: "c" } })"),
            "c 644 blue\n");
  EXPECT_EQ(payloadOf(R"(secret { secretName: "none" })"), "secret \"none\" not found");
  EXPECT_EQ(payloadOf(R"(secret { secretName: "keys" items { key: "k" path: "p" } })"),
            "references non-existent secret key: k");
  EXPECT_EQ(payloadOf(R"(secret { secretName: "late" optional: true })"), "not known yet");
  EXPECT_EQ(
      payloadOf(R"(projected { sources { secret { localObjectReference { name: "none" } } } })"),
      "secret \"none\" not found");
}

}  // namespace
}  // namespace podlab::node
