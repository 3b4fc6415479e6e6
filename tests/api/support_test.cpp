#include "api/support.hpp"

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "apps_v1.pb.h"
#include "field_options.pb.h"

#include "tests/api/objects.hpp"

namespace podlab::api {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += text + "\n";
  return all;
}

TEST(Support, IsToldOfThePodsThatAWorkloadMakes) {
  const auto deployment = fromText<appsv1::Deployment>(R"(spec { template { spec {
      containers { name: "c" image: "x" ports { containerPort: 80 hostPort: 8080 } } } } })");
  EXPECT_EQ(joined(unsupportedWarnings(deployment))
                .find("spec.template.spec.containers[0].ports[0].hostPort: has no effect: "),
            0U);
}

TEST(Support, OfAPlainPodIsComplete) {
  const corev1::Pod pod = makePod(R"(spec {
      initContainers { name: "i" image: "x" }
      containers { name: "d" image: "x" command: "a" args: "b" workingDir: "/"
        ports { name: "p" containerPort: 80 } env { name: "a" value: "b" }
        env { name: "n" valueFrom { fieldRef { fieldPath: "metadata.name" } } }
        resources { requests { key: "cpu" value { string: "1" } } }
        readinessProbe { handler { httpGet { port { intVal: 80 } } } }
        volumeMounts { name: "v" mountPath: "/v" readOnly: true } }
      volumes { name: "v" volumeSource { emptyDir { medium: "Memory" } } }
      hostNetwork: true hostname: "h" shareProcessNamespace: true restartPolicy: "Never"
      terminationGracePeriodSeconds: 0 nodeName: "a" nodeSelector { key: "a" value: "b" } })");
  EXPECT_EQ(joined(unsupportedWarnings(pod)), "");
  EXPECT_TRUE(unsupportedByNode(pod).empty());
}

TEST(Support, NamesWhatHasNoEffect) {
  EXPECT_EQ(joined(unsupportedWarnings(makePod(R"(spec {
                initContainers { name: "i" image: "x" }
                containers { name: "d" image: "x" ports { containerPort: 1 hostPort: 2 } }
                setHostnameAsFQDN: true })"))),
            "spec.containers[1].ports[0].hostPort: has no effect: the scheduler keeps pods with "
            "the same host port apart, but no traffic is forwarded; with hostNetwork it is the "
            "container's own port\n"
            "spec.setHostnameAsFQDN: has no effect: there is no cluster DNS\n");
  EXPECT_EQ(joined(unsupportedWarnings(
                fromText<corev1::Node>(R"(spec { providerID: "x" podCIDR: "10.0.0.0/24" })"))),
            "spec.providerID: has no effect: it means something to cloud providers only\n");
  EXPECT_EQ(joined(unsupportedWarnings(corev1::Secret())), "");
}

TEST(Support, NamesWhatANodeRefuses) {
  const std::pair<const char*, const char*> kCases[] = {
      {R"(volumes { name: "v" volumeSource { nfs { path: "/" } } })", "spec.volumes[0].nfs"},
      {R"(volumes { name: "v" volumeSource { projected { sources {
            clusterTrustBundle { path: "t" } } } } })",
       "spec.volumes[0].projected.sources[0].clusterTrustBundle"},
      {R"(volumes { name: "v" volumeSource { emptyDir { medium: "HugePages" } } })",
       "spec.volumes[0].emptyDir.medium"},
      {R"(containers { name: "d" env { name: "a" valueFrom { fileKeyRef { key: "k" } } } })",
       "spec.containers[1].env[0].valueFrom.fileKeyRef"},
      {R"(ephemeralContainers { ephemeralContainerCommon { name: "d" volumeDevices { name: "x" } } })",
       "spec.ephemeralContainers[0].volumeDevices[0]"},
      {R"(hostUsers: false)", "spec.hostUsers"},
      {R"(os { name: "windows" })", "spec.os.name"},
  };
  for (const auto& [spec, field] : kCases) {
    const std::vector<Cause> causes =
        unsupportedByNode(makePod("spec { " + std::string(spec) + " }"));
    ASSERT_EQ(causes.size(), 1U) << spec << "\n" << lines(causes);
    EXPECT_EQ(causes[0].field, field);
    EXPECT_FALSE(causes[0].message.empty());
  }
  EXPECT_TRUE(
      unsupportedByNode(makePod(R"(spec { os { name: "linux" } hostUsers: true })")).empty());
}

/// Every path of the schema below `type` that no row covers.
void collectUncovered(const Descriptor& type, const std::string& path,
                      const std::set<std::string>& rows, std::set<std::string>& uncovered) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (field.options().GetExtension(podlab::inline_)) {
      collectUncovered(*field.message_type(), path, rows, uncovered);
      continue;
    }
    const bool message = field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field.is_map();
    const std::string name =
        field.name() == "initContainers" || field.name() == "ephemeralContainers" ? "containers"
                                                                                  : field.name();
    std::string here = path;
    here.append(".").append(name).append(message && field.is_repeated() ? "[]" : "");
    if (rows.contains(here) || rows.contains(path + ".*")) continue;
    if (message) {
      collectUncovered(*field.message_type(), here, rows, uncovered);
    } else {
      uncovered.insert(here);
    }
  }
}

TEST(Support, CoversTheWholeSchema) {
  for (const auto& [kind, spec] : {std::pair{"Pod", corev1::PodSpec::descriptor()},
                                   std::pair{"Node", corev1::NodeSpec::descriptor()}}) {
    std::set<std::string> rows;
    for (const FieldSupport& row : fieldSupport()) {
      if (row.kind != kind) continue;
      EXPECT_TRUE(rows.emplace(row.path).second) << "two rows for " << row.path;
    }
    std::set<std::string> uncovered;
    collectUncovered(*spec, "spec", rows, uncovered);
    EXPECT_EQ(joined({uncovered.begin(), uncovered.end()}), "") << kind;
  }
}

std::string tableOf(std::string_view kind, Support support) {
  std::string text;
  for (const FieldSupport& row : fieldSupport()) {
    if (row.kind != kind || row.support != support) continue;
    std::string values(row.harmless);
    for (std::size_t at = 0; (at = values.find('|', at)) != std::string::npos; at += 5) {
      values.replace(at, 1, "`, `");
    }
    text += "| `" + std::string(row.path) + "` | ";
    if (!values.empty()) text += "other than `" + values + "`: ";
    text += std::string(row.note) + " |\n";
  }
  return text;
}

TEST(Support, IsWhatTheDocumentSays) {
  std::ifstream file(PODLAB_SOURCE_DIR "/docs/fields.md");
  ASSERT_TRUE(file) << "docs/fields.md is missing";
  std::stringstream text;
  text << file.rdbuf();
  std::size_t rows = 0;
  for (const char* kind : {"Pod", "Node"}) {
    for (const Support support : {Support::kActs, Support::kIgnores, Support::kRefuses}) {
      const std::string table = tableOf(kind, support);
      rows += static_cast<std::size_t>(std::ranges::count(table, '\n'));
      EXPECT_NE(text.str().find(table), std::string::npos) << "docs/fields.md lacks the table:\n"
                                                           << table;
    }
  }
  std::size_t documented = 0;
  for (std::string line; std::getline(text, line);) documented += line.starts_with("| `spec");
  EXPECT_EQ(documented, rows) << "docs/fields.md has rows that src/api/supported_fields.cpp lacks";
}

}  // namespace
}  // namespace podlab::api
