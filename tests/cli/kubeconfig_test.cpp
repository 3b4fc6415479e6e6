#include "cli/kubeconfig.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace podlab::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

const KubeconfigEntry kLab{"podlab-a", "https://127.0.0.1:1", "CA", "CERT", "KEY"};

constexpr const char* kOther = R"(apiVersion: v1
kind: Config
clusters:
- name: other
  cluster: {server: https://other, x-custom: 1}
contexts:
- name: other
  context: {cluster: other, user: other, namespace: mine}
current-context: other
preferences: {}
users:
- name: other
  user: {token: "123"}
)";

TEST(Kubeconfig, OfNothingIsTheLabsAlone) {
  EXPECT_EQ(*addToKubeconfig("", kLab),
            "apiVersion: v1\n"
            "kind: Config\n"
            "clusters:\n"
            "- name: podlab-a\n"
            "  cluster:\n"
            "    server: https://127.0.0.1:1\n"
            "    certificate-authority-data: Q0E=\n"
            "contexts:\n"
            "- name: podlab-a\n"
            "  context:\n"
            "    cluster: podlab-a\n"
            "    user: podlab-a\n"
            "current-context: podlab-a\n"
            "users:\n"
            "- name: podlab-a\n"
            "  user:\n"
            "    client-certificate-data: Q0VSVA==\n"
            "    client-key-data: S0VZ\n");
}

TEST(Kubeconfig, KeepsOthersAsTheyAre) {
  const std::string both = *addToKubeconfig(kOther, kLab);
  for (const char* text : {"server: https://other", "x-custom: 1", "namespace: mine",
                           "token: \"123\"", "preferences: {}", "current-context: podlab-a"})
    EXPECT_THAT(both, HasSubstr(text));
  // Once more, with another port: instead of the first.
  KubeconfigEntry moved = kLab;
  moved.server = "https://127.0.0.1:2";
  const std::string again = *addToKubeconfig(both, moved);
  EXPECT_THAT(again, Not(HasSubstr("127.0.0.1:1")));
  EXPECT_EQ(again.size(), both.size());
  const std::string without = *removeFromKubeconfig(again, kLab.name);
  EXPECT_THAT(without, Not(HasSubstr("podlab-a")));
  EXPECT_THAT(without, HasSubstr("current-context: \"\""));
  EXPECT_THAT(without, HasSubstr("token: \"123\""));
  // Where the lab is not, nothing changes: not even the form.
  EXPECT_EQ(*removeFromKubeconfig(kOther, kLab.name), kOther);
  EXPECT_EQ(*removeFromKubeconfig("", kLab.name), "");
}

TEST(Kubeconfig, WhatIsNoneIsRefused) {
  for (const char* text : {"- a\n", "clusters: x\n", "a: [\n", "a: 1\n---\nb: 2\n", "text"}) {
    EXPECT_EQ(addToKubeconfig(text, kLab).status().code(), Code::kBadRequest) << text;
    EXPECT_EQ(removeFromKubeconfig(text, "x").status().code(), Code::kBadRequest) << text;
  }
  EXPECT_TRUE(addToKubeconfig("clusters:\ncontexts: null\nusers: []\n", kLab).ok());
}

class KubeconfigFileTest : public testing::Test {
 protected:
  KubeconfigFileTest() {
    char name[] = "/tmp/podlab-kubeconfig-XXXXXX";
    folder_ = ::mkdtemp(name);
  }
  ~KubeconfigFileTest() override { std::filesystem::remove_all(folder_); }
  static std::string read(const std::string& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static Status write(const std::string& path, const std::string& text) {
    return changeKubeconfig(path, [&](std::string_view) { return Result<std::string>(text); });
  }
  std::string folder_;
};

TEST_F(KubeconfigFileTest, IsMadeWithItsFolderForItsOwnerAlone) {
  const std::string path = folder_ + "/.kube/config";
  ASSERT_TRUE(write(path, "a: 1\n").ok());
  EXPECT_EQ(read(path), "a: 1\n");
  struct ::stat info{};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_FALSE(std::filesystem::exists(path + ".lock"));
}

TEST_F(KubeconfigFileTest, StaysALinkAndKeepsItsMode) {
  const std::string target = folder_ + "/target";
  std::ofstream(target) << "a: 1\n";
  ::chmod(target.c_str(), 0640);
  const std::string link = folder_ + "/link";
  std::filesystem::create_symlink(target, link);
  ASSERT_TRUE(write(link, "a: 2\n").ok());
  EXPECT_EQ(read(target), "a: 2\n");
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  struct ::stat info{};
  ASSERT_EQ(::stat(target.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640U);
}

TEST_F(KubeconfigFileTest, IsLeftAloneWhenLockedOrBroken) {
  const std::string path = folder_ + "/config";
  std::ofstream(path) << "- broken\n";
  const auto add = [](std::string_view yaml) { return addToKubeconfig(yaml, kLab); };
  const Status broken = changeKubeconfig(path, add);
  EXPECT_EQ(broken.code(), Code::kBadRequest);
  EXPECT_THAT(broken.message(), HasSubstr(path));
  EXPECT_FALSE(std::filesystem::exists(path + ".lock"));
  std::ofstream(path + ".lock") << "";
  const Status locked = write(path, "a: 1\n");
  EXPECT_EQ(locked.code(), Code::kConflict);
  EXPECT_THAT(locked.message(), HasSubstr(".lock exists"));
  EXPECT_EQ(read(path), "- broken\n");
}

TEST_F(KubeconfigFileTest, IsTheFirstOfTheListThatExists) {
  const char* before = std::getenv("KUBECONFIG");
  const std::string saved = before == nullptr ? "" : before;
  const std::string second = folder_ + "/second";
  ::setenv("KUBECONFIG", (folder_ + "/first:" + second + ":").c_str(), 1);
  EXPECT_EQ(*kubeconfigPath(""), second);  // none exists: the last
  std::ofstream(folder_ + "/first") << "";
  EXPECT_EQ(*kubeconfigPath(""), folder_ + "/first");
  EXPECT_EQ(*kubeconfigPath("/given"), "/given");
  ::unsetenv("KUBECONFIG");
  EXPECT_THAT(*kubeconfigPath(""), testing::EndsWith("/.kube/config"));
  if (before != nullptr) ::setenv("KUBECONFIG", saved.c_str(), 1);
}

}  // namespace
}  // namespace podlab::cli
