#include <gtest/gtest.h>

#include "api/kinds.hpp"
#include "api/validation.hpp"
#include "tests/api/objects.hpp"

namespace podlab::api {
namespace {

template <typename T>
T defaulted(const std::string& text) {
  T object = fromText<T>(text);
  const Strategy& strategy = kindFor<T>().strategy;
  if (strategy.applyDefaults) strategy.applyDefaults(object);
  return object;
}

template <typename T>
std::string createErrors(const std::string& text) {
  return lines(validateCreate(defaulted<T>(text)).causes());
}

template <typename T>
std::string updateErrors(const std::string& before, const std::string& now) {
  return lines(validateUpdate(defaulted<T>(now), defaulted<T>(before)).causes());
}

TEST(Node, SharesOutRangesTaintsAndCapacity) {
  const auto node =
      defaulted<corev1::Node>(R"(metadata { name: "a" } spec { podCIDR: "10.1.0.0/24" }
      status { capacity { key: "memory" value { string: "1024Mi" } } })");
  EXPECT_EQ(node.spec().podcidrs(0), "10.1.0.0/24");
  EXPECT_EQ(node.status().allocatable().at("memory").string(), "1Gi");
  EXPECT_TRUE(validateCreate(node));

  EXPECT_EQ(createErrors<corev1::Node>(R"(metadata { name: "a" namespace: "n" } spec {
                podCIDRs: "10.1.0.0/24" podCIDRs: "10.2.0.0/33"
                taints { key: "k" effect: "NoSchedule" } taints { key: "k" effect: "NoSchedule" }
                taints { key: "l" } }
              status { capacity { key: "cpu" value { string: "x" } }
                       allocatable { key: "pods" value { string: "1.5" } } })"),
            "metadata.namespace: Forbidden: not allowed on this type\n"
            "spec.taints[1]: Duplicate value: \"k:NoSchedule\"\n"
            "spec.taints[2].effect: Required value\n"
            "spec.podCIDRs[1]: Invalid value: \"10.2.0.0/33\": must be a valid CIDR value, (e.g. "
            "10.9.8.0/24 or 2001:db8::/64)\n"
            "status.capacity[cpu]: Invalid value: \"x\": quantities must match the regular "
            "expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'\n"
            "status.allocatable[pods]: Invalid value: \"1500m\": must be an integer\n");
  EXPECT_EQ(
      createErrors<corev1::Node>(
          R"(metadata { name: "a" } spec { podCIDRs: "10.1.0.0/24" podCIDRs: "10.2.0.0/24" })"),
      "spec.podCIDRs: Invalid value: \"10.1.0.0/24,10.2.0.0/24\": may specify no more than "
      "one CIDR for each IP family\n");
}

TEST(Node, KeepsItsRange) {
  const std::string none = R"(metadata { name: "a" })";
  const std::string one = none + R"(spec { podCIDRs: "10.1.0.0/24" })";
  const std::string other = none + R"(spec { podCIDRs: "10.2.0.0/24" })";
  EXPECT_EQ(updateErrors<corev1::Node>(none, one), "");
  EXPECT_EQ(updateErrors<corev1::Node>(one, one + "spec { unschedulable: true }"), "");
  const char* error =
      "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid\n";
  EXPECT_EQ(updateErrors<corev1::Node>(one, other), error);
  EXPECT_EQ(updateErrors<corev1::Node>(one, none), error);
}

TEST(Namespace, IsALabelWithFinalizerAndPhase) {
  auto object = defaulted<corev1::Namespace>(R"(metadata { name: "n" })");
  kindFor<corev1::Namespace>().strategy.prepareForCreate(object);
  EXPECT_EQ(object.metadata().labels().at("kubernetes.io/metadata.name"), "n");
  EXPECT_EQ(object.spec().finalizers(0), "kubernetes");
  EXPECT_EQ(object.status().phase(), "Active");
  EXPECT_TRUE(validateCreate(object));
  EXPECT_EQ(createErrors<corev1::Namespace>(R"(metadata { name: "a.b" })"),
            "metadata.name: Invalid value: \"a.b\": must not contain dots\n");
}

TEST(ConfigMap, HasKeysSizesAndMayBeImmutable) {
  const std::string meta = R"(metadata { name: "c" namespace: "n" })";
  EXPECT_EQ(createErrors<corev1::ConfigMap>(meta + R"(data { key: "a.b-C_1" value: "x" })"), "");
  EXPECT_EQ(createErrors<corev1::ConfigMap>(meta + R"(data { key: "a" value: "x" }
                binaryData { key: "a" value: "y" } binaryData { key: "b/c" value: "y" })"),
            "data[a]: Invalid value: \"a\": duplicate of key present in binaryData\n"
            "binaryData[b/c]: Invalid value: \"b/c\": a valid config key must consist of "
            "alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
            "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')\n");
  const std::string big(1 << 20, 'x');
  EXPECT_EQ(createErrors<corev1::ConfigMap>(meta + R"(data { key: "a" value: ")" + big + "\" }"),
            "");
  EXPECT_EQ(createErrors<corev1::ConfigMap>(meta + R"(data { key: "a" value: "x)" + big + "\" }"),
            "[]: Too long: may not be more than 1048576 bytes\n");
  const std::string frozen = meta + R"(immutable: true data { key: "a" value: "x" })";
  EXPECT_EQ(updateErrors<corev1::ConfigMap>(frozen, frozen), "");
  EXPECT_EQ(updateErrors<corev1::ConfigMap>(frozen, meta),
            "immutable: Forbidden: field is immutable when `immutable` is set\n"
            "data: Forbidden: field is immutable when `immutable` is set\n");
  EXPECT_EQ(updateErrors<corev1::ConfigMap>(meta, frozen), "");
}

TEST(Secret, TakesStringsAndChecksItsType) {
  const std::string meta = R"(metadata { name: "c" namespace: "n" })";
  const auto secret = defaulted<corev1::Secret>(meta + R"(data { key: "a" value: "old" }
      stringData { key: "a" value: "new" })");
  EXPECT_EQ(secret.type(), "Opaque");
  EXPECT_EQ(secret.data().at("a"), "new");
  EXPECT_TRUE(secret.stringdata().empty());
  EXPECT_EQ(createErrors<corev1::Secret>(meta + R"(type: "kubernetes.io/tls")"),
            "data[tls.crt]: Required value\ndata[tls.key]: Required value\n");
  EXPECT_EQ(updateErrors<corev1::Secret>(meta, meta + R"(type: "x")"),
            "type: Invalid value: \"x\": field is immutable\n");
}

TEST(Event, BelongsToTheNamespaceOfItsObject) {
  const auto errors = [](const std::string& own, const std::string& involved) {
    return createErrors<corev1::Event>(R"(metadata { name: "e" namespace: ")" + own +
                                       R"(" } involvedObject { namespace: ")" + involved + "\" }");
  };
  EXPECT_EQ(errors("n", "n"), "");
  EXPECT_EQ(errors("default", ""), "");
  EXPECT_EQ(errors("n", ""),
            "involvedObject.namespace: Invalid value: \"\": does not match event.namespace\n");
  EXPECT_NE(errors("n", "m"), "");
}

TEST(Lease, LastsAWhile) {
  EXPECT_EQ(createErrors<coordinationv1::Lease>(R"(metadata { name: "l" namespace: "n" }
                spec { leaseDurationSeconds: 0 leaseTransitions: -1 })"),
            "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0\n"
            "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0\n");
}

TEST(Binding, NamesANode) {
  const auto errors = [](const std::string& text) {
    return lines(findKind("v1", "Binding")->strategy.validate(fromText<corev1::Binding>(text)));
  };
  EXPECT_EQ(errors(R"(target { kind: "Node" name: "a" })"), "");
  EXPECT_EQ(errors(R"(target { kind: "Pod" })"),
            "target.kind: Unsupported value: \"Pod\": supported values: \"Node\", \"<empty>\"\n"
            "target.name: Required value\n");
}

TEST(Metadata, IsCheckedForEveryKind) {
  for (const Kind& kind : kinds()) {
    metav1::ObjectMeta metadata;
    const std::string errors = lines(validateMetadata(kind, metadata));
    EXPECT_EQ(errors, std::string("metadata.name: Required value: name or generateName is "
                                  "required\n") +
                          (kind.namespaced() ? "metadata.namespace: Required value\n" : ""))
        << kind.kind;
  }
  const Kind& kind = kindFor<corev1::ConfigMap>();
  const auto errors = [&](const std::string& text) {
    return lines(validateMetadata(
        kind, fromText<metav1::ObjectMeta>(R"(name: "a" namespace: "n" )" + text)));
  };
  EXPECT_EQ(errors(R"(generateName: "a-")"), "");
  EXPECT_NE(errors(R"(generateName: "-a")"), "");
  EXPECT_EQ(errors(R"(annotations { key: "a" value: ")" + std::string(256 << 10, 'x') + "\" }"),
            "metadata.annotations: Too long: may not be more than 262144 bytes\n");
  EXPECT_TRUE(errors(R"(labels { key: "a/b/c" value: "" })")
                  .starts_with("metadata.labels: Invalid value: \"a/b/c\": a qualified name must"));
  EXPECT_EQ(errors(R"(finalizers: "orphan" finalizers: "foregroundDeletion")"),
            "metadata.finalizers: Invalid value: \"orphan\": finalizer orphan and "
            "foregroundDeletion cannot be both set\n");
  const std::string owner =
      R"(ownerReferences { apiVersion: "v1" kind: "Node" name: "x" uid: "1" controller: true })";
  EXPECT_EQ(errors(owner), "");
  EXPECT_EQ(errors(owner + owner),
            "metadata.ownerReferences: Invalid value: \"x\": Only one reference can have "
            "Controller set to true. Found \"true\" in references for x and x\n");
}

}  // namespace
}  // namespace podlab::api
