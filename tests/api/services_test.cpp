#include <gtest/gtest.h>

#include "core_v1_services.pb.h"
#include "discovery_v1.pb.h"
#include "networking_v1.pb.h"

#include "api/kinds.hpp"
#include "api/validation.hpp"
#include "tests/api/objects.hpp"

namespace podlab::api {
namespace {

using corev1::Service;

template <typename T>
T defaulted(const std::string& text) {
  T object = fromText<T>(text);
  kindFor<T>().strategy.applyDefaults(object);
  return object;
}

template <typename T>
std::string faults(const std::string& text) {
  T object = fromText<T>(text);
  object.mutable_metadata()->set_name("web");
  object.mutable_metadata()->set_namespace_("default");
  const auto& strategy = kindFor<T>().strategy;
  if (strategy.applyDefaults) strategy.applyDefaults(object);
  return validateCreate(object).message();
}

template <typename T>
std::string cells(const T& object) {
  std::string text;
  for (const Column& column : kindFor<T>().columns)
    text += (text.empty() ? "" : "|") + column.cell(object, WallTime(std::chrono::seconds(1000)));
  return text;
}

TEST(Services, HaveDefaults) {
  const auto service = defaulted<Service>(R"(spec { ports { port: 80 } })");
  EXPECT_EQ(service.spec().type(), "ClusterIP");
  EXPECT_EQ(service.spec().sessionaffinity(), "None");
  EXPECT_EQ(service.spec().internaltrafficpolicy(), "Cluster");
  EXPECT_EQ(service.spec().ports(0).protocol(), "TCP");
  EXPECT_EQ(service.spec().ports(0).targetport().intval(), 80);
  EXPECT_TRUE(service.status().has_loadbalancer());

  const auto balanced =
      defaulted<Service>(R"(spec { type: "LoadBalancer" sessionAffinity: "ClientIP"
                            ports { port: 80 targetPort { type: 1 strVal: "http" } } })");
  EXPECT_EQ(balanced.spec().externaltrafficpolicy(), "Cluster");
  EXPECT_TRUE(balanced.spec().allocateloadbalancernodeports());
  EXPECT_EQ(balanced.spec().sessionaffinityconfig().clientip().timeoutseconds(), 10800);
  EXPECT_EQ(balanced.spec().ports(0).targetport().strval(), "http");
}

TEST(Services, NameWhatIsWrong) {
  const std::pair<const char*, const char*> kCases[] = {
      {"", "spec.ports: Required value"},
      {R"(ports { port: 0 })", "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535"},
      {R"(ports { port: 1 } ports { port: 2 })", "spec.ports[0].name: Required value"},
      {R"(ports { name: "a" port: 1 } ports { name: "a" port: 2 })",
       "spec.ports[1].name: Duplicate value: \"a\""},
      {R"(ports { port: 1 nodePort: 30000 })",
       "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"},
      {R"(type: "NodePort" ports { port: 1 nodePort: 80 })",
       "The range of valid ports is 30000-32767"},
      {R"(type: "NodePort" clusterIP: "None" ports { port: 1 })",
       "may not be set to 'None' for NodePort services"},
      {R"(type: "Odd" ports { port: 1 })", "spec.type: Unsupported value: \"Odd\""},
      {R"(type: "ExternalName")", "spec.externalName: Required value"},
      {R"(clusterIP: "1.2.3" ports { port: 1 })", "must be a valid IP address"},
  };
  for (const auto& [spec, expected] : kCases) {
    EXPECT_NE(faults<Service>("spec { " + std::string(spec) + " }").find(expected),
              std::string::npos)
        << spec << ": " << faults<Service>("spec { " + std::string(spec) + " }");
  }
  EXPECT_EQ(faults<Service>(R"(spec { clusterIP: "None" })"), "") << "headless needs no port";
}

TEST(Services, AreShownAsKubectlDoes) {
  auto service = defaulted<Service>(R"(
      metadata { name: "web" creationTimestamp { seconds: 990 } }
      spec { type: "NodePort" clusterIP: "10.96.0.7" selector { key: "b" value: "2" }
             selector { key: "a" value: "1" }
             ports { name: "x" port: 80 nodePort: 30001 } ports { name: "y" port: 53 protocol: "UDP" } })");
  EXPECT_EQ(cells(service), "web|NodePort|10.96.0.7|<none>|80:30001/TCP,53/UDP|10s|a=1,b=2");
  service.mutable_spec()->set_type("LoadBalancer");
  EXPECT_NE(cells(service).find("|<pending>|"), std::string::npos);
}

TEST(Services, KeepAddressesThatAnUpdateLeavesOut) {
  const auto before = defaulted<Service>(R"(spec { type: "NodePort" clusterIP: "10.96.0.7"
      ipFamilies: "IPv4" ipFamilyPolicy: "SingleStack" ports { port: 80 nodePort: 30001 } })");
  const auto& prepare = kindFor<Service>().strategy.prepareForUpdate;
  auto same = fromText<Service>(R"(spec { type: "NodePort" ports { port: 80 } })");
  prepare(same, before);
  EXPECT_EQ(same.spec().clusterip(), "10.96.0.7");
  EXPECT_EQ(same.spec().ports(0).nodeport(), 30001);
  EXPECT_EQ(same.spec().ipfamilypolicy(), "SingleStack");
  auto other = before;
  other.mutable_spec()->set_type("ClusterIP");
  prepare(other, before);
  EXPECT_EQ(other.spec().ports(0).nodeport(), 0);
  EXPECT_EQ(other.spec().externaltrafficpolicy(), "");
  auto external = before;
  external.mutable_spec()->set_type("ExternalName");
  prepare(external, before);
  EXPECT_EQ(external.spec().clusterip(), "");
  EXPECT_TRUE(external.spec().clusterips().empty());
}

TEST(NetworkPolicies, NameWhatIsWrong) {
  using networkingv1::NetworkPolicy;
  const std::pair<const char*, const char*> kCases[] = {
      {R"(ingress { from { } })", "spec.ingress[0].from[0]: Required value: must specify a peer"},
      {R"(ingress { from { ipBlock { cidr: "10.0.0.0/8" except: "11.0.0.0/16" } } })",
       "spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: \"11.0.0.0/16\": must be a "
       "strict "
       "subset of `cidr`"},
      {R"(egress { ports { port { type: 0 intVal: 80 } endPort: 79 } })",
       "must be greater than or equal to `port`"},
      {R"(policyTypes: "Sideways")", "spec.policyTypes[0]: Unsupported value"},
  };
  for (const auto& [spec, expected] : kCases) {
    const std::string got = faults<NetworkPolicy>("spec { " + std::string(spec) + " }");
    EXPECT_NE(got.find(expected), std::string::npos) << spec << ": " << got;
  }
  EXPECT_EQ(
      faults<NetworkPolicy>(
          R"(spec { ingress { from { ipBlock { cidr: "10.0.0.0/8" except: "10.1.0.0/16" } } } })"),
      "");
  const auto both = defaulted<NetworkPolicy>(R"(spec { egress { } })");
  EXPECT_EQ(both.spec().policytypes_size(), 2);
}

TEST(Ingresses, NameWhatIsWrong) {
  using networkingv1::Ingress;
  EXPECT_NE(faults<Ingress>("spec { }").find("either `defaultBackend` or `rules`"),
            std::string::npos);
  const std::string bad = faults<Ingress>(
      R"(spec { rules { host: "a_b" ingressRuleValue { http { paths { path: "x" pathType: "Prefix"
         backend { service { name: "web" } } } } } } })");
  for (const char* part :
       {"spec.rules[0].host", "must be an absolute path", "backend.service.port: Required value"}) {
    EXPECT_NE(bad.find(part), std::string::npos) << part << ": " << bad;
  }
}

TEST(EndpointSlices, AreShownAsKubectlDoes) {
  using discoveryv1::EndpointSlice;
  const auto slice = defaulted<EndpointSlice>(R"(
      metadata { name: "web-x" creationTimestamp { seconds: 990 } } addressType: "IPv4"
      ports { port: 80 } endpoints { addresses: "1.1.1.1" } endpoints { addresses: "1.1.1.2" }
      endpoints { addresses: "1.1.1.3" } endpoints { addresses: "1.1.1.4" })");
  EXPECT_EQ(cells(slice), "web-x|IPv4|80|1.1.1.1,1.1.1.2,1.1.1.3 + 1 more...|10s");
  EXPECT_EQ(cells(defaulted<EndpointSlice>(R"(metadata { name: "a" } addressType: "IPv6")"))
                .substr(0, 25),
            "a|IPv6|<unset>|<unset>|<u");
}

}  // namespace
}  // namespace podlab::api
