#include <gmock/gmock.h>

#include <set>

#include "core_v1_services.pb.h"

#include "tests/apiserver/fixture.hpp"

namespace podlab::apiserver {
namespace {

using corev1::Service;
using testing::HasSubstr;

class ServiceAllocatorTest : public ServiceTest {
 protected:
  static Service service(const std::string& name, const std::string& type = "ClusterIP") {
    Service made;
    made.mutable_metadata()->set_name(name);
    made.mutable_spec()->set_type(type);
    made.mutable_spec()->add_ports()->set_port(80);
    return made;
  }
};

TEST(ServiceRange, HasAddressesOfItsFamily) {
  const auto small = ServiceRange::parse("10.96.0.0/29");
  ASSERT_TRUE(small.ok());
  EXPECT_EQ(small->size(), 6U);
  EXPECT_EQ(small->at(0), "10.96.0.1");
  EXPECT_EQ(small->at(5), "10.96.0.6");
  EXPECT_TRUE(small->contains("10.96.0.6"));
  EXPECT_FALSE(small->contains("10.96.0.9"));
  EXPECT_FALSE(small->contains("fd00::1"));
  const auto six = ServiceRange::parse("fd00:10:96::/112");
  ASSERT_TRUE(six.ok());
  EXPECT_EQ(six->family(), "IPv6");
  EXPECT_EQ(six->at(0xfffc), "fd00:10:96::fffd");
  EXPECT_TRUE(six->contains("fd00:10:96::5"));
  for (const char* bad : {"", "10.96.0.0", "10.96.0.0/33", "10.96.0.0/31", "x/16", "fd00::/128"})
    EXPECT_FALSE(ServiceRange::parse(bad).ok()) << bad;
}

TEST_F(ServiceAllocatorTest, NoTwoServicesShareAnAddressOrPort) {
  std::set<std::string> addresses;
  std::set<int> ports;
  for (int i = 0; i < 200; ++i) {
    const auto made = create(service("s" + std::to_string(i), "NodePort"));
    ASSERT_TRUE(made.ok()) << made.status().toString();
    EXPECT_THAT(made->spec().clusterip(), testing::StartsWith("10.96."));
    EXPECT_EQ(made->spec().clusterips(0), made->spec().clusterip());
    EXPECT_EQ(made->spec().ipfamilies(0), "IPv4");
    EXPECT_EQ(made->spec().ipfamilypolicy(), "SingleStack");
    EXPECT_TRUE(addresses.insert(made->spec().clusterip()).second);
    EXPECT_TRUE(ports.insert(made->spec().ports(0).nodeport()).second);
  }
}

TEST_F(ServiceAllocatorTest, CreatesAtTheSameTimeDoNotCollide) {
  constexpr int kServices = 60;
  std::vector<std::string> failures;
  TaskGroup tasks(io_.get_executor());
  const auto createOne = [](api::Api& api, int i, std::vector<std::string>& failed) -> Co<void> {
    Service wanted = service("s" + std::to_string(i), "NodePort");
    // Every third asks for one of few ports: all but one of each are refused.
    if (i % 3 == 0) wanted.mutable_spec()->mutable_ports(0)->set_nodeport(31000 + i % 4);
    api::ResourceId target = id<Service>("");
    auto object = std::make_shared<Service>(std::move(wanted));
    const api::WriteOptions options;
    auto made = co_await api.create(std::move(target), std::move(object), options);
    if (!made) failed.push_back(made.status().message());
  };
  for (int i = 0; i < kServices; ++i) tasks.spawn("create", createOne(*admin_, i, failures));
  run(tasks.join());
  EXPECT_EQ(failures.size(), kServices / 3U - 4U);
  for (const auto& failure : failures) EXPECT_THAT(failure, HasSubstr("already allocated"));
  std::set<std::string> addresses;
  std::set<int> ports;
  for (const auto& object : list<Service>().items) {
    const auto& made = api::as<Service>(object);
    EXPECT_TRUE(addresses.insert(made.spec().clusterip()).second);
    EXPECT_TRUE(ports.insert(made.spec().ports(0).nodeport()).second);
  }
}

TEST_F(ServiceAllocatorTest, WhatIsAskedForIsGivenOrRefused) {
  Service wanted = service("a");
  wanted.mutable_spec()->set_clusterip("10.96.1.2");
  ASSERT_EQ(create(wanted)->spec().clusterip(), "10.96.1.2");
  wanted.mutable_metadata()->set_name("b");
  EXPECT_THAT(create(wanted).status().message(),
              HasSubstr("spec.clusterIPs[0]: Invalid value: \"10.96.1.2\": failed to allocate IP "
                        "10.96.1.2: provided IP is already allocated"));
  wanted.mutable_spec()->set_clusterip("10.97.1.2");
  EXPECT_THAT(create(wanted).status().message(), HasSubstr("does not match the current range"));
  wanted.mutable_spec()->set_clusterip("None");
  const auto headless = create(wanted);
  ASSERT_TRUE(headless.ok());
  EXPECT_EQ(headless->spec().clusterip(), "None");
  EXPECT_EQ(headless->spec().ipfamilies(0), "IPv4");
  Service six = service("six");
  six.mutable_spec()->add_ipfamilies("IPv6");
  EXPECT_THAT(create(six).status().message(), HasSubstr("not configured on this cluster"));
}

TEST_F(ServiceAllocatorTest, AnUpdateKeepsTheAddressAndGetsPortsWithItsType) {
  const auto made = create(service("web"));
  Service next = service("web", "NodePort");
  const auto ported = update(next);
  ASSERT_TRUE(ported.ok()) << ported.status().toString();
  EXPECT_EQ(ported->spec().clusterip(), made->spec().clusterip());
  const int port = ported->spec().ports(0).nodeport();
  EXPECT_GE(port, 30000);
  EXPECT_EQ(update(next)->spec().ports(0).nodeport(), port);
  next.mutable_spec()->set_clusterip("10.96.200.1");
  EXPECT_THAT(update(next).status().message(), HasSubstr("may not change once set"));
  EXPECT_EQ(update(service("web"))->spec().ports(0).nodeport(), 0);
  Service external = service("web", "ExternalName");
  external.mutable_spec()->set_externalname("example.com");
  EXPECT_EQ(update(external)->spec().clusterip(), "");
  EXPECT_NE(update(service("web"))->spec().clusterip(), "");
}

TEST_F(ServiceAllocatorTest, AFullRangeSaysSo) {
  admin_.reset();
  run(service_->stop());
  ApiOptions options;
  options.serviceRanges = {*ServiceRange::parse("10.96.0.0/30")};
  service_ = std::make_unique<ApiService>(*store_, clock_, rng_, io_.get_executor(), options);
  ASSERT_TRUE(run(service_->start()).ok());
  admin_ = service_->as(systemUser("admin"));
  ASSERT_TRUE(create(service("a")).ok());
  ASSERT_TRUE(create(service("b")).ok());
  EXPECT_THAT(create(service("c")).status().message(),
              HasSubstr("failed to allocate an IP: range 10.96.0.0/30 is full"));
}

}  // namespace
}  // namespace podlab::apiserver
