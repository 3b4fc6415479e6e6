#include "node/env.hpp"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

namespace podlab::node {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Expand, FollowsKubernetes) {
  const Variables variables{{"A", "1"}, {"B", "$(A)"}, {"EMPTY", ""}};
  struct Case {
    const char* text;
    const char* expanded;
  };
  const Case cases[] = {
      {"", ""},
      {"plain", "plain"},
      {"$(A)", "1"},
      {"x$(A)y$(A)", "x1y1"},
      {"$(B)", "$(A)"},  // values are not expanded again
      {"[$(EMPTY)]", "[]"},
      {"$(UNKNOWN)", "$(UNKNOWN)"},
      {"$$(A)", "$(A)"},
      {"$$$(A)", "$1"},
      {"$$", "$"},
      {"$", "$"},
      {"$A", "$A"},
      {"$(A", "$(A"},
      {"$()", "$()"},
      {"100$", "100$"},
  };
  for (const auto& [text, expanded] : cases) EXPECT_EQ(expand(text, variables), expanded) << text;
}

corev1::Pod makePod() {
  corev1::Pod pod;
  auto& metadata = *pod.mutable_metadata();
  metadata.set_name("web");
  metadata.set_namespace_("shop");
  metadata.set_uid("u1");
  (*metadata.mutable_labels())["app.kubernetes.io/name"] = "store";
  (*metadata.mutable_annotations())["note"] = "it's";
  pod.mutable_spec()->set_nodename("node-1");
  pod.mutable_spec()->set_serviceaccountname("default");
  return pod;
}

const PodEnvironment kEnvironment{
    "web",
    {"192.0.2.1", "2001:db8::1"},
    {"10.244.1.2", "fd00::2"},
    {{"cpu", api::Quantity::of(4)}, {"memory", *api::Quantity::parse("8Gi")}}};

/// The objects of the pod's namespace: ConfigMap "settings" and Secret "keys".
Result<api::ObjectPtr> lookUp(const api::Kind& kind, const std::string& name) {
  if (name == "settings") {
    auto map = std::make_shared<corev1::ConfigMap>();
    (*map->mutable_data())["color"] = "blue";
    (*map->mutable_data())["size.max"] = "$(color)";
    (*map->mutable_binarydata())["blob"] = "x";
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

TEST(FieldRef, ReadsEachPath) {
  const std::pair<const char*, const char*> cases[] = {
      {"metadata.name", "web"},
      {"metadata.namespace", "shop"},
      {"metadata.uid", "u1"},
      {"metadata.labels['app.kubernetes.io/name']", "store"},
      {"metadata.labels['absent']", ""},
      {"metadata.labels", "app.kubernetes.io/name=\"store\""},
      {"metadata.annotations", "note=\"it's\""},
      {"status.hostIPs", "192.0.2.1,2001:db8::1"},
      {"metadata.annotations['note']", "it's"},
      {"spec.nodeName", "node-1"},
      {"spec.serviceAccountName", "default"},
      {"status.podIP", "10.244.1.2"},
      {"status.podIPs", "10.244.1.2,fd00::2"},
      {"status.hostIP", "192.0.2.1"},
  };
  for (const auto& [path, value] : cases) {
    auto read = fieldRefValue(makePod(), path, kEnvironment);
    ASSERT_TRUE(read.ok()) << path;
    EXPECT_EQ(*read, value) << path;
  }
  for (const char* path : {"", "metadata.labels[x]", "status.phase", "metadata.labels['x'"}) {
    auto read = fieldRefValue(makePod(), path, kEnvironment);
    EXPECT_TRUE(read.status().is(Code::kInvalid)) << path;
    EXPECT_THAT(read.status().message(), HasSubstr("metadata.name")) << path;
  }
}

TEST(BuildProgram, CombinesImageAndContainer) {
  Image image;
  image.reference = "app:1";
  image.entrypoint = {"/entry", "$(NAME)"};
  image.command = {"serve"};
  image.env = {"PATH=/app/bin", "MODE=image", "KEEP=1"};
  image.workingDir = "/app";

  struct Case {
    std::vector<std::string> command;
    std::vector<std::string> args;
    std::vector<std::string> argv;
  };
  const Case cases[] = {
      {{}, {}, {"/entry", "$(NAME)", "serve"}},
      {{}, {"$(NAME)"}, {"/entry", "$(NAME)", "web"}},
      {{"sh", "-c"}, {}, {"sh", "-c"}},
      {{"echo"}, {"$(NAME)-$(MODE)-$(KEEP)"}, {"echo", "web-pod-web-$(KEEP)"}},
  };
  for (const auto& one : cases) {
    corev1::Container container;
    for (const auto& word : one.command) container.add_command(word);
    for (const auto& word : one.args) container.add_args(word);
    auto& name = *container.add_env();
    name.set_name("NAME");
    name.mutable_valuefrom()->mutable_fieldref()->set_fieldpath("metadata.name");
    auto& mode = *container.add_env();
    mode.set_name("MODE");
    mode.set_value("pod-$(NAME)");
    auto program = buildProgram(makePod(), container, image, kEnvironment, lookUp);
    ASSERT_TRUE(program.ok()) << program.status().toString();
    EXPECT_EQ(program->argv, one.argv);
    EXPECT_THAT(program->env,
                ElementsAre("HOSTNAME=web", "KEEP=1", "MODE=pod-web", "NAME=web", "PATH=/app/bin"));
    EXPECT_EQ(program->workingDir, "/app");
  }
}

TEST(BuildProgram, FaultsNameTheirRemedy) {
  corev1::Container container;
  container.set_name("main");
  Image image;
  image.reference = "host";
  auto nothing = buildProgram(makePod(), container, image, kEnvironment, lookUp);
  EXPECT_THAT(nothing.status().message(), HasSubstr("set command or args of container \"main\""));

  container.add_command("true");
  auto defaults = buildProgram(makePod(), container, image, kEnvironment, lookUp);
  ASSERT_TRUE(defaults.ok());
  EXPECT_EQ(defaults->workingDir, "/");
  EXPECT_THAT(defaults->env, Contains(HasSubstr("PATH=/usr/local/sbin")));

  auto& env = *container.add_env();
  env.set_name("BAD");
  env.mutable_valuefrom()->mutable_fieldref()->set_fieldpath("spec.color");
  auto bad = buildProgram(makePod(), container, image, kEnvironment, lookUp);
  EXPECT_THAT(bad.status().message(), HasSubstr("env \"BAD\": fieldRef.fieldPath \"spec.color\""));
}

/// `program.env` of a container with these fields, or the failure's text.
std::string environmentOf(const std::string& fields) {
  corev1::Container container;
  container.set_name("main");
  container.add_command("true");
  EXPECT_TRUE(google::protobuf::TextFormat::MergeFromString(fields, &container)) << fields;
  corev1::Pod pod = makePod();
  *pod.mutable_spec()->add_containers() = container;
  Image image;
  image.env = {"PATH=/bin"};
  auto program = buildProgram(pod, container, image, kEnvironment, lookUp);
  if (!program.ok()) return program.status().message();
  std::string text;
  for (const auto& entry : program->env) {
    if (entry != "HOSTNAME=web" && entry != "PATH=/bin") text += entry + "\n";
  }
  return text;
}

TEST(BuildProgram, TellsWhereTheApiIs) {
  corev1::Container container;
  container.add_command("$(KUBERNETES_SERVICE_HOST)");
  auto& own = *container.add_env();
  own.set_name("KUBERNETES_SERVICE_PORT");
  own.set_value("1");
  PodEnvironment environment = kEnvironment;
  for (const auto& [address, host] :
       {std::pair{"192.0.2.1:443", "192.0.2.1"}, std::pair{"[fd00::1]:443", "fd00::1"}}) {
    environment.apiServer = address;
    const auto program = buildProgram(makePod(), container, Image(), environment, lookUp);
    ASSERT_TRUE(program.ok());
    EXPECT_EQ(program->argv.front(), host);
    EXPECT_THAT(program->env, Contains("KUBERNETES_SERVICE_PORT_HTTPS=443"));
    EXPECT_THAT(program->env, Contains("KUBERNETES_SERVICE_PORT=1")) << "the pod's own wins";
  }
}

TEST(BuildProgram, TakesVariablesFromConfigMapsAndSecrets) {
  EXPECT_EQ(environmentOf(R"(envFrom { configMapRef { localObjectReference { name: "settings" } } }
                             envFrom { prefix: "K_" secretRef { localObjectReference { name: "keys" } } })"),
            "K_token=t0\ncolor=blue\nsize.max=$(color)\n")
      << "values from objects are not expanded, and binary data is left out";
  EXPECT_EQ(environmentOf(R"x(envFrom { configMapRef { localObjectReference { name: "settings" } } }
                             env { name: "color" value: "red" }
                             env { name: "BOTH" value: "$(color) $(size.max)" })x"),
            "BOTH=red $(color)\ncolor=red\nsize.max=$(color)\n")
      << "env wins over envFrom";
  EXPECT_EQ(environmentOf(R"x(env { name: "C" valueFrom { configMapKeyRef { key: "color"
                               localObjectReference { name: "settings" } } } }
                             env { name: "T" valueFrom { secretKeyRef { key: "token"
                               localObjectReference { name: "keys" } } } }
                             env { name: "X" value: "$(C)-$(T)" })x"),
            "C=blue\nT=t0\nX=blue-t0\n");
}

TEST(BuildProgram, MissingObjectsAndKeysFailInKubeletsWordsUnlessOptional) {
  const auto from = [](const std::string& optional) {
    return R"(envFrom { configMapRef { localObjectReference { name: "none" } )" + optional + "} }";
  };
  const auto key = [](const std::string& map, const std::string& optional) {
    return R"(env { name: "A" valueFrom { secretKeyRef { key: "k" localObjectReference { name: ")" +
           map + "\" } " + optional + "} } }";
  };
  EXPECT_EQ(environmentOf(from("")), "configmap \"none\" not found");
  EXPECT_EQ(environmentOf(from("optional: true")), "");
  EXPECT_EQ(environmentOf(key("none", "")), "secret \"none\" not found");
  EXPECT_EQ(environmentOf(key("none", "optional: true")), "");
  EXPECT_EQ(environmentOf(key("keys", "")), "couldn't find key k in Secret shop/keys");
  EXPECT_EQ(environmentOf(key("keys", "optional: true")), "");
  EXPECT_EQ(environmentOf(R"(env { name: "A" valueFrom { configMapKeyRef { key: "k"
                               localObjectReference { name: "settings" } } } })"),
            "couldn't find key k in ConfigMap shop/settings");
  EXPECT_EQ(environmentOf(key("late", "optional: true")), "not known yet")
      << "what is not known may be there";
}

TEST(BuildProgram, TakesResources) {
  const auto resource = [](const std::string& name, const std::string& more) {
    return environmentOf(R"(resources { requests { key: "cpu" value { string: "250m" } }
                                        limits { key: "memory" value { string: "100Mi" } } }
        env { name: "R" valueFrom { resourceFieldRef { resource: ")" +
                         name + "\" " + more + "} } }");
  };
  EXPECT_EQ(resource("requests.cpu", ""), "R=1\n") << "rounded up";
  EXPECT_EQ(resource("requests.cpu", R"(divisor { string: "1m" })"), "R=250\n");
  EXPECT_EQ(resource("requests.memory", ""), "R=0\n");
  EXPECT_EQ(resource("limits.memory", R"(divisor { string: "1Mi" })"), "R=100\n");
  EXPECT_EQ(resource("limits.memory", R"(divisor { string: "1M" })"), "R=105\n");
  EXPECT_EQ(resource("limits.cpu", ""), "R=4\n") << "the node's";
  EXPECT_EQ(resource("limits.cpu", R"(containerName: "other")"),
            "env \"R\": container other not found");
}

}  // namespace
}  // namespace podlab::node
