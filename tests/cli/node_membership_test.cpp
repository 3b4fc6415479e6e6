#include "cli/node_membership.hpp"

#include <gtest/gtest.h>

namespace podlab::cli {
namespace {

TEST(NodeMembership, TheServersUrlMayLackThePort) {
  struct Case {
    std::string url;
    std::string server;
  };
  for (const auto& [url, server] : std::vector<Case>{
           {"https://10.0.0.1", "10.0.0.1:6443"},
           {"https://10.0.0.1:443/", "10.0.0.1:443"},
           {"https://server.example", "server.example:6443"},
           {"https://[fd00::1]", "[fd00::1]:6443"},
           {"https://[fd00::1]:1", "[fd00::1]:1"},
       }) {
    auto parsed = serverOfUrl(url);
    ASSERT_TRUE(parsed.ok()) << url << parsed.status().toString();
    EXPECT_EQ(*parsed, server);
  }
}

TEST(NodeMembership, WhatIsNoUrlIsRefusedByItsFlag) {
  for (const char* url : {"", "10.0.0.1:6443", "http://10.0.0.1", "https://", "https:///",
                          "https://a/b", "https://a:b", "https://a:0", "https://a:70000",
                          "https://:6443", "https://u@a", "https://fd00::1", "https://[fd00::1"}) {
    const auto parsed = serverOfUrl(url);
    ASSERT_FALSE(parsed.ok()) << url;
    EXPECT_EQ(parsed.status().message().rfind("--join: ", 0), 0u) << url;
  }
}

TEST(NodeMembership, AFolderWithoutCertificateIsOfNoMember) {
  auto files = makeRealFilesystem();
  auto none = readMembership(*files, "/nonexistent/podlab");
  ASSERT_TRUE(none.ok()) << none.status().toString();
  EXPECT_FALSE(none->has_value());
}

}  // namespace
}  // namespace podlab::cli
