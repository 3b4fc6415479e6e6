#include "api/field_set.hpp"

#include <gtest/gtest.h>

namespace podlab::api {
namespace {

FieldSet setOf(const char* text) {
  auto set = FieldSet::parse(text);
  EXPECT_TRUE(set.ok()) << set.status().toString();
  return set ? *set : FieldSet();
}

TEST(FieldSet, ReadsAndWritesFieldsV1) {
  const char* const texts[] = {
      R"({})",
      R"({"f:data":{".":{},"f:a":{}}})",
      R"({"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{".":{},"f:image":{}}}}})",
      R"({"f:metadata":{"f:finalizers":{".":{},"v:\"x/y\"":{}}}})",
      R"({"f:list":{"i:3":{}}})",
  };
  for (const char* text : texts) EXPECT_EQ(setOf(text).toFieldsV1(), text);
  // Keys in any order and spacing are the same element; other sorts of elements are left out.
  EXPECT_EQ(setOf(R"({"k:{ \"b\": 1, \"a\":\"x\"}":{}, "z:9":{}, "f:c":{"x":{}}})").toFieldsV1(),
            R"({"f:c":{},"k:{\"a\":\"x\",\"b\":1}":{}})");
}

TEST(FieldSet, RefusesWhatIsNoSet) {
  for (const char* text : {"", "[]", "null", R"({"f:a":1})", R"({"f:a":{})", "{} {}"})
    EXPECT_EQ(FieldSet::parse(text).status().code(), Code::kBadRequest) << text;
}

TEST(FieldSet, IsAnAlgebraOfSets) {
  const FieldSet all = setOf(R"({"f:a":{".":{},"f:b":{},"f:c":{}},"f:d":{}})");
  const FieldSet some = setOf(R"({"f:a":{"f:b":{}},"f:e":{}})");
  FieldSet both = all;
  both.unite(some);
  EXPECT_EQ(both.toFieldsV1(), R"({"f:a":{".":{},"f:b":{},"f:c":{}},"f:d":{},"f:e":{}})");
  FieldSet rest = all;
  rest.subtract(some);
  EXPECT_EQ(rest.toFieldsV1(), R"({"f:a":{".":{},"f:c":{}},"f:d":{}})");
  FieldSet common = all;
  common.intersect(some);
  EXPECT_EQ(common.toFieldsV1(), R"({"f:a":{"f:b":{}}})");
  rest.subtract(all);
  EXPECT_TRUE(rest.empty());
}

TEST(FieldSet, NamesPathsAsErrorsDo) {
  const FieldSet set = setOf(
      R"({"f:spec":{"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{}}}},"f:x":{"v:\"y\"":{}}})");
  const std::vector<std::string> expected{R"(.spec.ports[containerPort=80,protocol="TCP"])",
                                          R"(.spec.ports[containerPort=80,protocol="TCP"].name)",
                                          R"(.x[="y"])"};
  EXPECT_EQ(set.paths(), expected);
}

}  // namespace
}  // namespace podlab::api
