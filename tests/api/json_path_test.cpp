#include "api/json_path.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace podlab::api {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

const json kList = json::parse(R"({
  "kind": "List",
  "items": [
    {"kind": "Pod", "metadata": {"name": "a", "labels": {"x.io/y": "1", "tier": "front"}},
     "spec": {"containers": [{"name": "c1", "port": 80}, {"name": "c2", "port": 81}]}, "ok": true},
    {"kind": "Pod", "metadata": {"name": "b"}, "spec": {"containers": [{"name": "c3"}]}}
  ]})");

std::string print(std::string_view text, const json& object = kList) {
  auto path = JsonPath::parse(text);
  if (!path) return "parse: " + path.status().message();
  auto printed = path->print(object);
  return printed ? *printed : "find: " + printed.status().message();
}

TEST(JsonPath, Finds) {
  const std::pair<const char*, const char*> kCases[] = {
      {"{.kind}", "List"},
      {"kind is {.kind}!", "kind is List!"},
      {"{ .kind }", "List"},
      {"{$.kind}", "List"},
      {"{.items[*].metadata.name}", "a b"},
      {"{.items[0].metadata.name}", "a"},
      {"{.items[-1].metadata.name}", "b"},
      {"{.items[0:1].metadata.name}", "a"},
      {"{.items[-1:].metadata.name}", "b"},
      {"{.items[0:2:2].metadata.name}", "a"},
      {"{.items[0,1].metadata.name}", "a b"},
      {"{.items[*]['metadata.name','kind']}", "a b Pod Pod"},
      {"{.items[0].metadata.labels.x\\.io/y}", "1"},
      {"{.items[0].metadata.labels['x\\.io/y']}", "1"},
      {"{..name}", "a c1 c2 b c3"},
      {"{.items[*].spec.containers[*].name}", "c1 c2 c3"},
      {"{.items[0].metadata.labels.*}", "front 1"},
      {"{.items[0].metadata.labels}", R"({"tier":"front","x.io/y":"1"})"},
      {"{.items[0].spec.containers[0].port} {.items[0].ok}", "80 true"},
      {R"({.items[?(@.metadata.name=="b")].spec.containers[0].name})", "c3"},
      {"{.items[*].spec.containers[?(@.port>80)].name}", "c2"},
      {"{.items[*].spec.containers[?(@.port!=80)].name}", "c2"},
      {"{.items[?(@.ok)].metadata.name}", "a"},
      {"{.items[?(@.ok==true)].metadata.name}", "a"},
      {R"({range .items[*]}{.metadata.name}{"\t"}{range .spec.containers[*]}{.name},{end}{"\n"}{end}.)",
       "a\tc1,c2,\nb\tc3,\n."},
      {"{.no.such}", ""},
      {"{.items[*].no}", ""},
      {"", ""},
  };
  for (const auto& [path, found] : kCases) EXPECT_EQ(print(path), found) << path;
}

TEST(JsonPath, Errors) {
  EXPECT_THAT(print("{.items[0"), HasSubstr("unterminated array"));
  EXPECT_THAT(print("{.items"), HasSubstr("unclosed action"));
  EXPECT_THAT(print("{end}"), HasSubstr("nothing to end"));
  EXPECT_THAT(print("{hello}"), HasSubstr("unrecognized identifier hello"));
  EXPECT_THAT(print("{'x}"), HasSubstr("unterminated quoted string"));
  EXPECT_THAT(print("{.items[?(@.a]}"), HasSubstr("unterminated filter"));
  EXPECT_THAT(print("{.items[9]}"), HasSubstr("out of bounds: index 9, length 2"));
  EXPECT_THAT(print("{.kind[0]}"), HasSubstr("is not array or slice"));
  EXPECT_THAT(print("{.items[0:2:-1]}"), HasSubstr("step must be > 0"));
  std::string deep = "{.a";
  for (int i = 0; i < 1000; ++i) deep += "[?(@.a";
  EXPECT_THAT(print(deep), HasSubstr("nested too deeply"));
}

TEST(JsonPath, RelaxedForms) {
  for (const char* path : {"kind", ".kind", "{kind}", "{.kind}"}) {
    auto parsed = JsonPath::parseRelaxed(path);
    ASSERT_TRUE(parsed.ok()) << path;
    EXPECT_EQ(*parsed->print(kList), "List") << path;
  }
  for (const char* path : {"", ".", "{}", "{.a", "a}b"})
    EXPECT_FALSE(JsonPath::parseRelaxed(path).ok()) << path;
}

}  // namespace
}  // namespace podlab::api
