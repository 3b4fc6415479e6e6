#include "lab/node_host.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/param_name.hpp"

namespace podlab::lab {
namespace {

struct Good {
  const char* text;
  NodeHost host;
};
class GoodHosts : public testing::TestWithParam<Good> {};

TEST_P(GoodHosts, AreTakenApart) {
  const auto host = parseNodeHost(GetParam().text);
  ASSERT_TRUE(host.ok()) << host.status().toString();
  EXPECT_EQ(host->user, GetParam().host.user);
  EXPECT_EQ(host->name, GetParam().host.name);
  EXPECT_EQ(host->port, GetParam().host.port);
}

INSTANTIATE_TEST_SUITE_P(All, GoodHosts,
                         testing::Values(Good{"m1", {"", "m1", 0}},
                                         Good{"192.168.56.11", {"", "192.168.56.11", 0}},
                                         Good{"root@m2.example:2222", {"root", "m2.example", 2222}},
                                         Good{"a@domain@m2", {"a@domain", "m2", 0}},
                                         Good{"DOMAIN\\me@m2", {"DOMAIN\\me", "m2", 0}},
                                         Good{"ssh://me@m2:22/", {"me", "m2", 22}},
                                         Good{"fd00::1", {"", "fd00::1", 0}},
                                         Good{"root@[fd00::1]:2222", {"root", "fd00::1", 2222}},
                                         Good{"[fe80::1%eth0]", {"", "fe80::1%eth0", 0}}),
                         [](const auto& info) { return paramName(info.param.text, info.index); });

class BadHosts : public testing::TestWithParam<const char*> {};

TEST_P(BadHosts, AreRefused) {
  const auto host = parseNodeHost(GetParam());
  ASSERT_FALSE(host.ok());
  EXPECT_TRUE(host.status().is(Code::kInvalid));
  EXPECT_THAT(host.status().message(), testing::HasSubstr("[USER@]HOST[:PORT]"));
}

INSTANTIATE_TEST_SUITE_P(All, BadHosts,
                         testing::Values("", "@m1", "-oProxyCommand=reboot", "me@-oX", "-l@m1",
                                         "m1;reboot", "m1 m2", "$(reboot)@m1", "a'b@m1", "m1\n",
                                         "m1:", "m1:0", "m1:65536", "m1:22x", "m1:-1", "[fd00::1",
                                         "[fd00::1]x", "ssh://", "ssh://m1/x", "a\\@m1", "m1/x"),
                         [](const auto& info) { return paramName(info.param, info.index); });

TEST(NodeHosts, OfOneMachineHaveOneNameAndPort) {
  const auto same = [](const char* one, const char* other) {
    return isSameMachine(*parseNodeHost(one), *parseNodeHost(other));
  };
  EXPECT_TRUE(same("root@M1.example", "me@m1.Example:22"));
  EXPECT_FALSE(same("m1:2222", "m1:2200"));
  EXPECT_FALSE(same("m1", "m2"));
}

}  // namespace
}  // namespace podlab::lab
