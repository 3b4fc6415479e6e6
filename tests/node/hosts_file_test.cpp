#include "node/hosts_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace podlab::node {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

corev1::Pod makePod(const std::string& name = "web") {
  corev1::Pod pod;
  pod.mutable_metadata()->set_name(name);
  pod.mutable_metadata()->set_namespace_("shop");
  return pod;
}

TEST(PodHostname, IsShortEnoughForLinux) {
  EXPECT_EQ(podHostname(makePod(), "node-1"), "web");
  EXPECT_EQ(podHostname(makePod(std::string(62, 'a') + "-b"), "node-1"), std::string(62, 'a'));
  auto named = makePod();
  named.mutable_spec()->set_hostname("db-0");
  EXPECT_EQ(podHostname(named, "node-1"), "db-0");
  named.mutable_spec()->set_hostnetwork(true);
  EXPECT_EQ(podHostname(named, "node-1"), "node-1");
}

TEST(HostsFile, NamesThePod) {
  auto pod = makePod();
  auto plain = hostsFile(pod, "web", {"10.0.0.2", "fd00::2"}, "", "cluster.local");
  EXPECT_THAT(plain, HasSubstr("127.0.0.1\tlocalhost\n"));
  EXPECT_THAT(plain, EndsWith("10.0.0.2\tweb\nfd00::2\tweb\n"));
  pod.mutable_spec()->set_subdomain("nodes");
  auto& alias = *pod.mutable_spec()->add_hostaliases();
  alias.set_ip("192.0.2.7");
  alias.add_hostnames("a");
  alias.add_hostnames("b");
  auto full = hostsFile(pod, "web", {"10.0.0.2"}, "", "cluster.local");
  EXPECT_THAT(full, HasSubstr("10.0.0.2\tweb.nodes.shop.svc.cluster.local\tweb\n"));
  EXPECT_THAT(full, EndsWith("192.0.2.7\ta\tb\n"));
  pod.mutable_spec()->set_hostnetwork(true);
  auto host = hostsFile(pod, "node-1", {"192.0.2.1"}, "127.0.0.1 me", "cluster.local");
  EXPECT_THAT(host, HasSubstr("127.0.0.1 me\n"));
  EXPECT_THAT(host, Not(HasSubstr("ip6-localnet")));
}

TEST(ResolvConf, FollowsThePolicy) {
  const std::string host = "# comment\nnameserver 192.0.2.53\nsearch example.org\noptions rotate\n";
  const ClusterDns none;
  const ClusterDns dns{{"10.96.0.10"}, "cluster.local"};
  const std::string cluster =
      "nameserver 10.96.0.10\nsearch shop.svc.cluster.local svc.cluster.local cluster.local "
      "example.org\n"
      "options ndots:5\n";
  const std::string own = "nameserver 192.0.2.53\nsearch example.org\noptions rotate\n";
  struct Case {
    const char* policy;
    bool hostNetwork;
    const ClusterDns& dns;
    const std::string& expected;
  };
  const std::string empty;
  const Case cases[] = {
      {"ClusterFirst", false, dns, cluster}, {"ClusterFirst", false, none, own},
      {"ClusterFirst", true, dns, own},      {"ClusterFirstWithHostNet", true, dns, cluster},
      {"Default", false, dns, own},          {"None", false, dns, empty},
  };
  for (const auto& one : cases) {
    auto pod = makePod();
    pod.mutable_spec()->set_dnspolicy(one.policy);
    pod.mutable_spec()->set_hostnetwork(one.hostNetwork);
    EXPECT_EQ(resolvConf(pod, one.dns, host), one.expected) << one.policy << one.hostNetwork;
  }
  auto pod = makePod();
  pod.mutable_spec()->set_dnspolicy("ClusterFirst");
  auto& config = *pod.mutable_spec()->mutable_dnsconfig();
  config.add_nameservers("192.0.2.99");
  config.add_searches("more.example");
  auto& option = *config.add_options();
  option.set_name("ndots");
  option.set_value("2");
  EXPECT_EQ(resolvConf(pod, dns, ""),
            "nameserver 10.96.0.10\nnameserver 192.0.2.99\n"
            "search shop.svc.cluster.local svc.cluster.local cluster.local more.example\noptions "
            "ndots:2\n");
}

}  // namespace
}  // namespace podlab::node
