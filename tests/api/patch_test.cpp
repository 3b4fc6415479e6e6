#include "api/patch.hpp"

#include <gtest/gtest.h>

#include "tests/api/objects.hpp"

namespace podlab::api {
namespace {

TEST(JsonPatch, DoesTheOperationsOfTheRfc) {
  struct Case {
    const char* document;
    const char* patch;
    const char* expected;
  };
  const Case kCases[] = {
      {R"({"a":1})", "[]", R"({"a":1})"},
      {R"({"a":1})", R"([{"op":"add","path":"/b","value":[2]}])", R"({"a":1,"b":[2]})"},
      {R"({"a":[1,3]})", R"([{"op":"add","path":"/a/1","value":2}])", R"({"a":[1,2,3]})"},
      {R"({"a":[1]})", R"([{"op":"add","path":"/a/-","value":null}])", R"({"a":[1,null]})"},
      {R"({"a":1,"b":2})", R"([{"op":"remove","path":"/a"}])", R"({"b":2})"},
      {R"({"a":1})", R"([{"op":"replace","path":"/a","value":{"x":1}}])", R"({"a":{"x":1}})"},
      {R"({"a":{"b":1},"c":{}})", R"([{"op":"move","from":"/a/b","path":"/c/d"}])",
       R"({"a":{},"c":{"d":1}})"},
      {R"({"a":[1,2,3]})", R"([{"op":"move","from":"/a/0","path":"/a/2"}])", R"({"a":[2,3,1]})"},
      {R"({"a":{"b":1}})", R"([{"op":"copy","from":"/a","path":"/c"}])",
       R"({"a":{"b":1},"c":{"b":1}})"},
      {R"({"a":1})", R"([{"op":"test","path":"/a","value":1},{"op":"remove","path":"/a"}])", "{}"},
      {R"({"a/b":1,"m~n":2})",
       R"([{"op":"remove","path":"/a~1b"},{"op":"replace","path":"/m~0n","value":3}])",
       R"({"m~n":3})"},
      {R"({"a":1})", R"([{"op":"add","path":"","value":{"b":1}}])", R"({"b":1})"},
      {R"({"n":9007199254740993})", "[]", R"({"n":9007199254740993})"},
  };
  for (const Case& each : kCases) {
    const auto patched = jsonPatch(each.document, each.patch);
    ASSERT_TRUE(patched) << each.patch << ": " << patched.status().toString();
    EXPECT_EQ(*patched, each.expected) << each.patch;
  }
}

TEST(JsonPatch, SaysWhatDoesNotFit) {
  struct Case {
    const char* patch;
    Code code;
    const char* field;  ///< of the cause
  };
  const Case kCases[] = {
      {"", Code::kBadRequest, ""},
      {"[", Code::kBadRequest, ""},
      {"{}", Code::kBadRequest, ""},
      {"[1]", Code::kBadRequest, ""},
      {R"([{"path":"/a"}])", Code::kBadRequest, ""},
      {R"([{"op":"add","value":1}])", Code::kBadRequest, ""},
      {R"([{"op":"add","path":"/b"}])", Code::kBadRequest, ""},
      {R"([{"op":"jump","path":"/a"}])", Code::kBadRequest, ""},
      {R"([{"op":"add","path":"a","value":1}])", Code::kBadRequest, ""},
      {R"([{"op":"add","path":"/~2","value":1}])", Code::kBadRequest, ""},
      {R"([{"op":"copy","path":"/b"}])", Code::kBadRequest, ""},
      {R"([{"op":"remove","path":"/none"}])", Code::kInvalid, "/none"},
      {R"([{"op":"replace","path":"/none","value":1}])", Code::kInvalid, "/none"},
      {R"([{"op":"add","path":"/none/x","value":1}])", Code::kInvalid, "/none/x"},
      {R"([{"op":"add","path":"/s/x","value":1}])", Code::kInvalid, "/s/x"},
      {R"([{"op":"add","path":"/s/x/y","value":1}])", Code::kInvalid, "/s/x/y"},
      {R"([{"op":"remove","path":"/s/x"}])", Code::kInvalid, "/s/x"},
      {R"([{"op":"add","path":"/l/9","value":1}])", Code::kInvalid, "/l/9"},
      {R"([{"op":"remove","path":"/l/2"}])", Code::kInvalid, "/l/2"},
      {R"([{"op":"remove","path":""}])", Code::kInvalid, ""},
      {R"([{"op":"test","path":"/s","value":"other"}])", Code::kInvalid, "/s"},
      {R"([{"op":"test","path":"/none","value":1}])", Code::kInvalid, "/none"},
      {R"([{"op":"move","from":"/none","path":"/x"}])", Code::kInvalid, "/none"},
      {R"([{"op":"move","from":"/l","path":"/l/0"}])", Code::kInvalid, "/l/0"},
      {R"([{"op":"move","from":"/l/0","path":"/l/0/x"}])", Code::kInvalid, "/l/0/x"},
      // After the removal /l/0 is the string: nothing can be put into it.
      {R"([{"op":"move","from":"/l/0","path":"/l/1/x"}])", Code::kInvalid, "/l/1/x"},
  };
  for (const Case& each : kCases) {
    const auto patched = jsonPatch(R"({"s":"text","l":[{},"text"]})", each.patch);
    ASSERT_FALSE(patched) << each.patch << " gives " << *patched;
    EXPECT_EQ(patched.status().code(), each.code)
        << each.patch << ": " << patched.status().toString();
    if (each.code == Code::kInvalid) {
      EXPECT_EQ(patched.status().message(),
                "the server rejected our request due to an error in our request");
      ASSERT_EQ(patched.status().causes().size(), 1U);
      EXPECT_EQ(patched.status().causes()[0].field, each.field) << each.patch;
    }
  }
}

TEST(JsonPatch, CannotGrowADocumentWithoutBound) {
  std::string doubling = R"([{"op":"add","path":"/a","value":")" + std::string(1000, 'x') + R"("})";
  for (int i = 0; i < 40; ++i) {
    doubling += R"(,{"op":"copy","from":"","path":"/c)" + std::to_string(i) + "\"}";
  }
  EXPECT_TRUE(jsonPatch("{}", doubling + "]").status().is(Code::kTooLarge));
  std::string many = "[";
  for (int i = 0; i < 10001; ++i) {
    many += (i == 0 ? "" : ",") + std::string(R"({"op":"test","path":"","value":{}})");
  }
  EXPECT_TRUE(jsonPatch("{}", many + "]").status().is(Code::kTooLarge));
}

TEST(MergePatch, FollowsTheTableOfTheRfc) {
  // RFC 7386, appendix A, as far as it patches objects.
  const char* const kCases[][3] = {
      {R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
      {R"({"a":"b"})", R"({"a":null})", R"({})"},
      {R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
      {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"c"})", R"({"a":["b"]})", R"({"a":["b"]})"},
      {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
      {R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
      {R"({"e":null})", R"({"a":1})", R"({"a":1,"e":null})"},
      {R"({})", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"},
  };
  for (const auto& [document, patch, expected] : kCases) {
    const auto patched = mergePatch(document, patch);
    ASSERT_TRUE(patched) << patch;
    EXPECT_EQ(*patched, expected) << document << " " << patch;
  }
  for (const char* patch : {"", "[]", "null", "{", R"({"a":1} x)"}) {
    EXPECT_TRUE(mergePatch("{}", patch).status().is(Code::kBadRequest)) << patch;
  }
  EXPECT_FALSE(mergePatch("{}", std::string(200, '[') + std::string(200, ']')));
}

corev1::Pod patchedPod(PatchType type, const char* body) {
  auto patched = applyPatch(makePod(R"(metadata { labels { key: "a" value: "b" } })"), type, body,
                            FieldValidation::kStrict);
  EXPECT_TRUE(patched) << patched.status().toString();
  return patched ? static_cast<const corev1::Pod&>(*patched->object) : corev1::Pod();
}

TEST(ApplyPatch, ChangesAnObject) {
  const corev1::Pod merged = patchedPod(
      PatchType::kMerge, R"({"metadata":{"labels":{"a":null,"c":"d"}},"spec":{"nodeName":"n"}})");
  EXPECT_EQ(merged.metadata().labels_size(), 1U);
  EXPECT_EQ(merged.metadata().labels().at("c"), "d");
  EXPECT_EQ(merged.spec().nodename(), "n");
  EXPECT_EQ(merged.spec().containers(0).image(), "busybox:1");

  const corev1::Pod replaced = patchedPod(
      PatchType::kJson, R"([{"op":"replace","path":"/spec/containers/0/image","value":"x:2"}])");
  EXPECT_EQ(replaced.spec().containers(0).image(), "x:2");
  EXPECT_EQ(patchedPod(PatchType::kMerge, "{}").DebugString(),
            makePod(R"(metadata { labels { key: "a" value: "b" } })").DebugString());
}

TEST(ApplyPatch, RefusesWhatIsNoSuchObject) {
  const corev1::Pod pod = makePod();
  const auto code = [&](PatchType type, const char* body) {
    return applyPatch(pod, type, body, FieldValidation::kStrict).status().code();
  };
  EXPECT_EQ(code(PatchType::kMerge, R"({"spec":{"nope":1}})"), Code::kBadRequest);
  EXPECT_EQ(code(PatchType::kMerge, R"({"spec":{"nodeName":1}})"), Code::kBadRequest);
  EXPECT_EQ(code(PatchType::kMerge, R"({"kind":"Node"})"), Code::kBadRequest);
  EXPECT_EQ(code(PatchType::kJson, R"([{"op":"add","path":"","value":[]}])"), Code::kBadRequest);
  EXPECT_EQ(code(PatchType::kApply, "{}"), Code::kUnsupportedMediaType);

  const auto warned =
      applyPatch(pod, PatchType::kMerge, R"({"spec":{"nope":1}})", FieldValidation::kWarn);
  ASSERT_TRUE(warned);
  EXPECT_EQ(warned->warnings, std::vector<std::string>{"unknown field \"spec.nope\""});
  EXPECT_TRUE(applyPatch(pod, PatchType::kMerge, R"({"spec":{"nope":1}})", FieldValidation::kIgnore)
                  ->warnings.empty());
}

}  // namespace
}  // namespace podlab::api
