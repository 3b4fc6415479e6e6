#include "api/selectors.hpp"

#include <gtest/gtest.h>

#include "api/taints.hpp"
#include "tests/api/objects.hpp"

namespace podlab::api {
namespace {

Labels labels(std::initializer_list<std::pair<const char*, const char*>> entries) {
  Labels made;
  for (const auto& [key, value] : entries) made[key] = value;
  return made;
}

TEST(LabelSelector, MatchesAsKubectlDoes) {
  const Labels have = labels({{"app", "web"}, {"tier", "1"}, {"empty", ""}, {"x.io/y", "z"}});
  const std::pair<const char*, bool> kCases[] = {
      {"", true},
      {"app=web", true},
      {"app==web", true},
      {"app = web , tier=1", true},
      {"app=db", false},
      {"none=web", false},
      {"app!=db", true},
      {"app!=web", false},
      {"none!=web", true},
      {"app in (web, db)", true},
      {"app in(db)", false},
      {"none in (web)", false},
      {"app notin (db,x)", true},
      {"app notin (web)", false},
      {"none notin (web)", true},
      {"app", true},
      {"none", false},
      {"!none", true},
      {"!app", false},
      {"empty=", true},
      {"app=", false},
      {"empty in (,a)", true},
      {"tier>0", true},
      {"tier>1", false},
      {"tier<2", true},
      {"app>0", false},
      {"x.io/y=z", true},
      {"app=web,!none,tier in (1,2)", true},
  };
  for (const auto& [text, expected] : kCases) {
    const auto selector = LabelSelector::parse(text);
    ASSERT_TRUE(selector) << text << ": " << selector.status().toString();
    EXPECT_EQ(selector->matches(have), expected) << text;
    const auto again = LabelSelector::parse(selector->toString());
    ASSERT_TRUE(again) << selector->toString();
    EXPECT_EQ(again->toString(), selector->toString());
  }
}

TEST(LabelSelector, NamesWhatItCannotParse) {
  for (const char* text : {"a b", "a in", "a in (", "a in (b", "a=b,", "=b", "a=b c", "!", "a!b",
                           "a in (b))", "a>x", "a/b/c=d", "a=b@", ",", "a=(b)"}) {
    const auto selector = LabelSelector::parse(text);
    EXPECT_FALSE(selector) << text;
    if (!selector) EXPECT_TRUE(selector.status().is(Code::kBadRequest)) << text;
  }
}

TEST(LabelSelector, ConvertsTheObject) {
  const auto of = [](const std::string& text) {
    return LabelSelector::of(fromText<metav1::LabelSelector>(text));
  };
  const auto selector = of(R"(
      matchLabels { key: "b" value: "1" }
      matchExpressions { key: "a" operator: "In" values: "y" values: "x" }
      matchExpressions { key: "c" operator: "DoesNotExist" })");
  ASSERT_TRUE(selector);
  EXPECT_EQ(selector->toString(), "a in (x,y),b=1,!c");
  EXPECT_TRUE(of("")->matches(labels({{"any", "thing"}})));
  EXPECT_TRUE(of(R"(matchExpressions { key: "a" operator: "Near" })").status().is(Code::kInvalid));
  EXPECT_FALSE(of(R"(matchExpressions { key: "a" operator: "In" })"));
  EXPECT_FALSE(of(R"(matchExpressions { key: "a" operator: "Exists" values: "b" })"));
}

TEST(FieldSelector, MatchesFieldsOfTheKind) {
  corev1::Pod pod = makePod(R"(spec { nodeName: "a" } status { phase: "Running" })");
  const Kind& kind = kindFor<corev1::Pod>();
  const std::pair<const char*, bool> kCases[] = {
      {"", true},
      {"metadata.name=p", true},
      {"metadata.name==p", true},
      {"metadata.namespace=x", false},
      {"spec.nodeName=a,status.phase!=Succeeded,status.phase!=Failed", true},
      {"spec.nodeName=b", false},
      {"spec.nodeName=", false},
      {"status.podIP=", true},
      {"spec.hostNetwork=false", true},
      {"status.nominatedNodeName!=", false},
  };
  for (const auto& [text, expected] : kCases) {
    const auto selector = FieldSelector::parse(kind, text);
    ASSERT_TRUE(selector) << text << ": " << selector.status().toString();
    EXPECT_EQ(selector->matches(pod), expected) << text;
  }
  const auto named = FieldSelector::parse(kind, "metadata.name=p,spec.nodeName!=x");
  ASSERT_NE(named->requiredValue("metadata.name"), nullptr);
  EXPECT_EQ(*named->requiredValue("metadata.name"), "p");
  EXPECT_EQ(named->requiredValue("spec.nodeName"), nullptr);
}

TEST(FieldSelector, EscapesAndRefuses) {
  const Kind& kind = kindFor<corev1::Pod>();
  const auto escaped = FieldSelector::parse(kind, "metadata.name=a\\,b\\=c");
  ASSERT_TRUE(escaped);
  EXPECT_EQ(escaped->requirements().at(0).value, "a,b=c");
  EXPECT_EQ(FieldSelector::parse(kind, "x=1").status(),
            Status(Code::kBadRequest,
                   "Unable to find \"/v1, Resource=pods\" that match label selector \"\", field "
                   "selector \"x=1\": field label not supported: x"));
  EXPECT_FALSE(FieldSelector::parse(kind, "metadata.name"));
  EXPECT_FALSE(FieldSelector::parse(kindFor<corev1::Node>(), "metadata.namespace=x"));
}

TEST(FieldSelector, EveryKindReadsItsFieldsFromAnEmptyObject) {
  for (const Kind& kind : kinds()) {
    for (const auto& [name, read] : kind.strategy.fieldLabels) {
      EXPECT_NO_THROW(read(*kind.make())) << kind.kind << " " << name;
    }
  }
}

TEST(NodeSelector, TermsAreOredAndExpressionsAnded) {
  const auto node = fromText<corev1::Node>(R"(metadata {
      name: "a" labels { key: "zone" value: "z1" } labels { key: "cores" value: "8" } })");
  const auto matches = [&](const std::string& text) {
    return matchesNodeSelectorTerm(fromText<corev1::NodeSelectorTerm>(text), node);
  };
  EXPECT_FALSE(matches(""));
  EXPECT_TRUE(
      matches(R"(matchExpressions { key: "zone" operator: "In" values: "z1" values: "z2" })"));
  EXPECT_FALSE(matches(R"(matchExpressions { key: "zone" operator: "NotIn" values: "z1" })"));
  EXPECT_TRUE(matches(R"(matchExpressions { key: "none" operator: "NotIn" values: "z1" })"));
  EXPECT_TRUE(matches(R"(matchExpressions { key: "cores" operator: "Gt" values: "7" })"));
  EXPECT_FALSE(matches(R"(matchExpressions { key: "cores" operator: "Gt" values: "8" })"));
  EXPECT_TRUE(matches(R"(matchExpressions { key: "cores" operator: "Lt" values: "9" })"));
  EXPECT_FALSE(matches(R"(matchExpressions { key: "zone" operator: "Gt" values: "1" })"));
  EXPECT_TRUE(matches(R"(matchExpressions { key: "none" operator: "DoesNotExist" })"));
  EXPECT_FALSE(matches(R"(matchExpressions { key: "zone" operator: "Unknown" })"));
  EXPECT_TRUE(matches(R"(matchFields { key: "metadata.name" operator: "In" values: "a" })"));
  EXPECT_FALSE(matches(R"(matchFields { key: "metadata.name" operator: "NotIn" values: "a" })"));
  EXPECT_FALSE(matches(R"(matchExpressions { key: "zone" operator: "Exists" }
                          matchFields { key: "metadata.name" operator: "In" values: "b" })"));

  const auto allows = [&](const std::string& spec) {
    return podAllowsNode(fromText<corev1::PodSpec>(spec), node);
  };
  EXPECT_TRUE(allows(""));
  EXPECT_TRUE(allows(R"(nodeSelector { key: "zone" value: "z1" })"));
  EXPECT_FALSE(allows(R"(nodeSelector { key: "zone" value: "z1" }
                         nodeSelector { key: "cores" value: "4" })"));
  const std::string affinity = R"(affinity { nodeAffinity {
      requiredDuringSchedulingIgnoredDuringExecution {
        nodeSelectorTerms { matchExpressions { key: "none" operator: "Exists" } }
        nodeSelectorTerms { matchExpressions { key: "zone" operator: "Exists" } } } } })";
  EXPECT_TRUE(allows(affinity));
  EXPECT_FALSE(allows(affinity + R"(nodeSelector { key: "zone" value: "other" })"));
}

TEST(Taints, AreToleratedByKeyValueAndEffect) {
  struct Case {
    const char* toleration;
    bool expected;
  };
  const auto taint = fromText<corev1::Taint>(R"(key: "k" value: "v" effect: "NoSchedule")");
  const Case kCases[] = {
      {R"(key: "k" value: "v" effect: "NoSchedule")", true},
      {R"(key: "k" operator: "Equal" value: "v")", true},
      {R"(key: "k" value: "w")", false},
      {R"(key: "k")", false},
      {R"(key: "k" operator: "Exists")", true},
      {R"(key: "j" operator: "Exists")", false},
      {R"(operator: "Exists")", true},
      {R"(operator: "Exists" effect: "NoExecute")", false},
      {R"(key: "k" operator: "Exists" effect: "NoSchedule")", true},
      {R"(key: "k" operator: "Like" value: "v")", false},
  };
  for (const Case& each : kCases) {
    EXPECT_EQ(tolerates(fromText<corev1::Toleration>(each.toleration), taint), each.expected)
        << each.toleration;
  }
}

TEST(Taints, OnlyTheAskedEffectsKeepPodsAway) {
  const auto node = fromText<corev1::Node>(R"(spec {
      taints { key: "a" effect: "PreferNoSchedule" }
      taints { key: "b" effect: "NoSchedule" }
      taints { key: "c" effect: "NoExecute" } })");
  const auto pod = fromText<corev1::PodSpec>(R"(tolerations { key: "b" operator: "Exists" })");
  const corev1::Taint* first =
      firstUntolerated(node.spec().taints(), pod.tolerations(), kNoSchedule, kNoExecute);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->key(), "c");
  EXPECT_EQ(firstUntolerated(node.spec().taints(), pod.tolerations(), kNoSchedule, kNoSchedule),
            nullptr);
  EXPECT_NE(findTaint(node, "b", kNoSchedule), nullptr);
  EXPECT_EQ(findTaint(node, "b", kNoExecute), nullptr);
}

}  // namespace
}  // namespace podlab::api
