#include <gtest/gtest.h>

#include "cli/port_forward_command.hpp"

namespace podlab::cli {
namespace {

corev1::Pod podWithPorts() {
  corev1::Pod pod;
  pod.mutable_metadata()->set_name("web");
  auto& port = *pod.mutable_spec()->add_containers()->add_ports();
  port.set_name("http");
  port.set_containerport(8000);
  return pod;
}

TEST(PortPairs, AreReadAsKubectlDoes) {
  struct Case {
    const char* text;
    int local;
    int remote;
  };
  for (const auto& one :
       {Case{"80", 80, 80}, Case{"8080:80", 8080, 80}, Case{":80", 0, 80}, Case{"http", 8000, 8000},
        Case{"9000:http", 9000, 8000}, Case{":http", 0, 8000}, Case{"65535:1", 65535, 1}}) {
    auto pair = parsePortPair(one.text, podWithPorts());
    ASSERT_TRUE(pair.ok()) << one.text << ": " << pair.status().toString();
    EXPECT_EQ(pair->local, one.local) << one.text;
    EXPECT_EQ(pair->remote, one.remote) << one.text;
  }
}

TEST(PortPairs, FaultsAreNamed) {
  const auto why = [](const char* text) {
    return parsePortPair(text, podWithPorts()).status().message();
  };
  EXPECT_EQ(why("https"), "Pod 'web' does not have a named port 'https'");
  for (const char* text : {"", ":", "0", "65536", "-1", "80:", "1:2:3"})
    EXPECT_NE(why(text), "") << text;
  EXPECT_EQ(why("0:80"), "\"0:80\": \"0\" is not a local port from 1 to 65535");
  EXPECT_EQ(why("x:80"), "\"x:80\": \"x\" is not a local port from 1 to 65535");
}

}  // namespace
}  // namespace podlab::cli
