#include <gmock/gmock.h>

#include "core_v1_services.pb.h"
#include "discovery_v1.pb.h"

#include "tests/controllers/cluster_fixture.hpp"

namespace podlab::controllers {
namespace {

using corev1::Endpoints;
using corev1::Service;
using discoveryv1::EndpointSlice;

class ApiEndpointsTest : public ClusterTest {
 protected:
  void start(const std::string& address) {
    auto chosen = options();
    chosen.apiAddress = address;
    startManager(std::move(chosen));
  }
  /// "service / endpoints / slice", each "address port" or what is wrong.
  std::string said() {
    const auto service = get<Service>("kubernetes");
    const auto endpoints = get<Endpoints>("kubernetes");
    const auto slice = get<EndpointSlice>("kubernetes");
    if (!service || !endpoints || !slice) return "missing";
    const auto& port = service->spec().ports(0);
    const auto& subset = endpoints->subsets(0);
    return service->spec().clusterip() + " " + std::to_string(port.port()) + "->" +
           std::to_string(port.targetport().intval()) + " / " + subset.addresses(0).ip() + " " +
           std::to_string(subset.ports(0).port()) + " / " + slice->addresstype() + " " +
           slice->endpoints(0).addresses(0) + " " + std::to_string(slice->ports(0).port());
  }
};

TEST_F(ApiEndpointsTest, SaysWhereTheApiIs) {
  start("172.20.0.1:443");
  EXPECT_EQ(said(), "None 443->443 / 172.20.0.1 443 / IPv4 172.20.0.1 443");
  EXPECT_EQ(get<Service>("kubernetes")->metadata().labels().at("component"), "apiserver");
  EXPECT_EQ(get<EndpointSlice>("kubernetes")->metadata().labels().at("kubernetes.io/service-name"),
            "kubernetes");
}

TEST_F(ApiEndpointsTest, ComesBackAndIsSetRight) {
  start("172.20.0.1:443");
  const std::string right = said();
  ASSERT_TRUE(remove<Service>("kubernetes").ok());
  clock_.runUntilIdle();
  EXPECT_EQ(said(), right);
  ASSERT_TRUE(remove<Endpoints>("kubernetes").ok());
  ASSERT_TRUE(remove<EndpointSlice>("kubernetes").ok());
  clock_.runUntilIdle();
  EXPECT_EQ(said(), right);

  auto service = *get<Service>("kubernetes");
  service.mutable_spec()->mutable_ports(0)->set_port(80);
  (*service.mutable_spec()->mutable_selector())["app"] = "web";
  (*service.mutable_metadata()->mutable_labels())["mine"] = "stays";
  ASSERT_TRUE(update(service).ok());
  auto endpoints = *get<Endpoints>("kubernetes");
  endpoints.clear_subsets();
  ASSERT_TRUE(update(endpoints).ok());
  auto slice = *get<EndpointSlice>("kubernetes");
  slice.mutable_endpoints(0)->set_addresses(0, "10.0.0.1");
  ASSERT_TRUE(update(slice).ok());
  clock_.advance(std::chrono::seconds(30));
  EXPECT_EQ(said(), right);
  EXPECT_EQ(get<Service>("kubernetes")->metadata().labels().at("mine"), "stays");
  EXPECT_TRUE(get<Service>("kubernetes")->spec().selector().empty());
}

TEST_F(ApiEndpointsTest, FollowsTheAddress) {
  start("172.20.0.1:443");
  stopManager();
  start("172.21.0.1:6443");
  EXPECT_EQ(said(), "None 443->6443 / 172.21.0.1 6443 / IPv4 172.21.0.1 6443");
  stopManager();
  start("[fd00::1]:443");
  EXPECT_EQ(said(), "None 443->443 / fd00::1 443 / IPv6 fd00::1 443");
  // Nothing is written when all is well.
  stopManager();
  const auto revision = get<Service>("kubernetes")->metadata().resourceversion() +
                        get<Endpoints>("kubernetes")->metadata().resourceversion() +
                        get<EndpointSlice>("kubernetes")->metadata().resourceversion();
  start("[fd00::1]:443");
  EXPECT_EQ(get<Service>("kubernetes")->metadata().resourceversion() +
                get<Endpoints>("kubernetes")->metadata().resourceversion() +
                get<EndpointSlice>("kubernetes")->metadata().resourceversion(),
            revision);
}

}  // namespace
}  // namespace podlab::controllers
