#include "node/env.hpp"

#include <gmock/gmock.h>
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

const PodEnvironment kEnvironment{"web", "192.0.2.1", {"10.244.1.2", "fd00::2"}};

TEST(FieldRef, ReadsEachPath) {
  const std::pair<const char*, const char*> cases[] = {
      {"metadata.name", "web"},
      {"metadata.namespace", "shop"},
      {"metadata.uid", "u1"},
      {"metadata.labels['app.kubernetes.io/name']", "store"},
      {"metadata.labels['absent']", ""},
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
  for (const char* path :
       {"", "metadata.labels", "metadata.labels[x]", "status.phase", "metadata.labels['x'"}) {
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
    auto program = buildProgram(makePod(), container, image, kEnvironment);
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
  auto nothing = buildProgram(makePod(), container, image, kEnvironment);
  EXPECT_THAT(nothing.status().message(), HasSubstr("set command or args of container \"main\""));

  container.add_command("true");
  auto defaults = buildProgram(makePod(), container, image, kEnvironment);
  ASSERT_TRUE(defaults.ok());
  EXPECT_EQ(defaults->workingDir, "/");
  EXPECT_THAT(defaults->env, Contains(HasSubstr("PATH=/usr/local/sbin")));

  auto& env = *container.add_env();
  env.set_name("BAD");
  env.mutable_valuefrom()->mutable_fieldref()->set_fieldpath("spec.color");
  auto bad = buildProgram(makePod(), container, image, kEnvironment);
  EXPECT_THAT(bad.status().message(), HasSubstr("env \"BAD\": fieldRef.fieldPath \"spec.color\""));
}

}  // namespace
}  // namespace podlab::node
