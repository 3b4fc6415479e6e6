#include "api/strategic_merge.hpp"

#include <gtest/gtest.h>

#include "tests/api/objects.hpp"

namespace podlab::api {
namespace {

Result<std::string> patchPod(const std::string& document, const std::string& patch) {
  return strategicMergePatch(document, patch, corev1::Pod::descriptor());
}

TEST(StrategicMerge, FollowsTheRulesOfTheFields) {
  struct Case {
    const char* what;
    const char* document;
    const char* patch;
    const char* expected;
  };
  const Case kCases[] = {
      {"objects merge, null removes", R"({"metadata":{"labels":{"a":"1","b":"2"}}})",
       R"({"metadata":{"labels":{"b":null,"c":"3"}}})",
       R"({"metadata":{"labels":{"a":"1","c":"3"}}})"},
      {"containers merge by name",
       R"({"spec":{"containers":[{"image":"i1","name":"a","tty":true},{"name":"b"}]}})",
       R"({"spec":{"containers":[{"image":"i2","name":"a"},{"name":"c"}]}})",
       R"({"spec":{"containers":[{"image":"i2","name":"a","tty":true},{"name":"b"},{"name":"c"}]}})"},
      {"an element is deleted by its key", R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]}})",
       R"({"spec":{"containers":[{"$patch":"delete","name":"a"}]}})",
       R"({"spec":{"containers":[{"name":"b"}]}})"},
      {"a list is replaced by directive", R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]}})",
       R"({"spec":{"containers":[{"$patch":"replace"},{"name":"c"}]}})",
       R"({"spec":{"containers":[{"name":"c"}]}})"},
      {"what apply sends",
       R"({"spec":{"containers":[{"env":[{"name":"A","value":"1"},{"name":"B","value":"2"}],"image":"x","name":"main"}]}})",
       R"({"spec":{"$setElementOrder/containers":[{"name":"main"}],"containers":[{"$setElementOrder/env":[{"name":"C"},{"name":"B"}],"env":[{"name":"C","value":"3"},{"$patch":"delete","name":"A"}],"image":"y","name":"main"}]}})",
       R"({"spec":{"containers":[{"env":[{"name":"C","value":"3"},{"name":"B","value":"2"}],"image":"y","name":"main"}]}})"},
      {"ports merge by containerPort, as numbers",
       R"({"spec":{"containers":[{"name":"a","ports":[{"containerPort":80,"name":"http"}]}]}})",
       R"({"spec":{"containers":[{"name":"a","ports":[{"containerPort":80,"protocol":"TCP"},{"containerPort":81}]}]}})",
       R"({"spec":{"containers":[{"name":"a","ports":[{"containerPort":80,"name":"http","protocol":"TCP"},{"containerPort":81}]}]}})"},
      {"tolerations are one value", R"({"spec":{"tolerations":[{"key":"a"},{"key":"b"}]}})",
       R"({"spec":{"tolerations":[{"key":"c"}]}})", R"({"spec":{"tolerations":[{"key":"c"}]}})"},
      {"finalizers are a set", R"({"metadata":{"finalizers":["a","b"]}})",
       R"({"metadata":{"$deleteFromPrimitiveList/finalizers":["a"],"finalizers":["b","c"]}})",
       R"({"metadata":{"finalizers":["b","c"]}})"},
      {"volumes retain the keys of the patch",
       R"({"spec":{"volumes":[{"emptyDir":{},"name":"v"}]}})",
       R"({"spec":{"volumes":[{"$retainKeys":["hostPath","name"],"hostPath":{"path":"/x"},"name":"v"}]}})",
       R"({"spec":{"volumes":[{"hostPath":{"path":"/x"},"name":"v"}]}})"},
      {"an object is replaced by directive",
       R"({"spec":{"securityContext":{"fsGroup":1,"runAsUser":2}}})",
       R"({"spec":{"securityContext":{"$patch":"replace","runAsUser":3}}})",
       R"({"spec":{"securityContext":{"runAsUser":3}}})"},
      {"no directive is kept in what is new", R"({"spec":{}})",
       R"({"spec":{"containers":[{"$setElementOrder/env":[{"name":"A"}],"env":[{"name":"A"}],"name":"x"},{"$patch":"delete","name":"gone"}]}})",
       R"({"spec":{"containers":[{"env":[{"name":"A"}],"name":"x"}]}})"},
      {"maps have no rules", R"({"spec":{"nodeSelector":{"containers":"x"}}})",
       R"({"spec":{"nodeSelector":{"volumes":"y"}}})",
       R"({"spec":{"nodeSelector":{"containers":"x","volumes":"y"}}})"},
  };
  for (const auto& each : kCases) {
    const auto patched = patchPod(each.document, each.patch);
    ASSERT_TRUE(patched) << each.what << ": " << patched.status().toString();
    EXPECT_EQ(*patched, each.expected) << each.what;
  }
}

TEST(StrategicMerge, SaysWhatIsWrong) {
  struct Case {
    const char* patch;
    Code code;
    const char* message;
  };
  const Case kCases[] = {
      {"", Code::kBadRequest, "error decoding patch"},
      {"[]", Code::kBadRequest, "is an object"},
      {R"({"spec":{"containers":[{"image":"x"}]}})", Code::kInvalid,
       R"(map: {"image":"x"} does not contain declared merge key: name)"},
      {R"({"spec":{"$patch":"explode"}})", Code::kBadRequest, "unknown $patch type: \"explode\""},
      {R"({"spec":{"$retainKeys":1}})", Code::kBadRequest, "$retainKeys is a list of names"},
      {R"({"metadata":{"$deleteFromPrimitiveList/finalizers":"a"}})", Code::kBadRequest,
       "$deleteFromPrimitiveList/finalizers is a list"},
  };
  for (const auto& each : kCases) {
    const auto patched =
        patchPod(R"({"metadata":{},"spec":{"containers":[{"name":"a"}]}})", each.patch);
    ASSERT_FALSE(patched) << each.patch;
    EXPECT_EQ(patched.status().code(), each.code) << each.patch;
    EXPECT_NE(patched.status().message().find(each.message), std::string::npos)
        << patched.status().message();
  }
}

}  // namespace
}  // namespace podlab::api
