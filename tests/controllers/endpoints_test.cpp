#include <gmock/gmock.h>

#include <map>
#include <set>

#include "core_v1_services.pb.h"
#include "discovery_v1.pb.h"

#include "api/services.hpp"
#include "controllers/service_endpoints.hpp"
#include "tests/controllers/cluster_fixture.hpp"

namespace podlab::controllers {
namespace {

using corev1::Endpoints;
using corev1::Pod;
using corev1::Service;
using discoveryv1::EndpointSlice;
using testing::ElementsAre;

class EndpointsTest : public ClusterTest {
 protected:
  static Service service(const std::string& name, const std::string& app) {
    Service made;
    made.mutable_metadata()->set_name(name);
    (*made.mutable_spec()->mutable_selector())["app"] = app;
    made.mutable_spec()->add_ports()->set_port(80);
    return made;
  }
  void addBackend(const std::string& name, const std::string& app, const std::string& address,
                  bool ready = true) {
    Pod made = pod(name, "n1");
    (*made.mutable_metadata()->mutable_labels())["app"] = app;
    ASSERT_TRUE(create(made).ok());
    setBackend(name, address, ready);
  }
  void setBackend(const std::string& name, const std::string& address, bool ready) {
    auto made = *get<Pod>(name);
    made.mutable_status()->set_phase("Running");
    made.mutable_status()->clear_podips();
    made.mutable_status()->set_podip(address);
    made.mutable_status()->add_podips()->set_ip(address);
    const api::ConditionState state{"Ready", ready ? "True" : "False", "", ""};
    api::setCondition(*made.mutable_status(), state, clock_.wallNow());
    ASSERT_TRUE(update(made, "status").ok());
  }
  void settle() { clock_.advance(std::chrono::seconds(2)); }

  std::vector<EndpointSlice> slicesOf(const std::string& name) {
    std::vector<EndpointSlice> made;
    for (const auto& object :
         list<EndpointSlice>(apiserver::selecting(std::string(api::kServiceNameLabel) + "=" + name))
             .items)
      made.push_back(api::as<EndpointSlice>(object));
    return made;
  }
  /// "address ready" of all slices, sorted.
  std::vector<std::string> backends(const std::string& name) {
    std::vector<std::string> made;
    for (const auto& slice : slicesOf(name)) {
      for (const auto& endpoint : slice.endpoints())
        made.push_back(endpoint.addresses(0) + (endpoint.conditions().ready() ? " ready" : ""));
    }
    std::ranges::sort(made);
    return made;
  }
  std::string endpointsCell(const std::string& name) {
    const auto found = get<Endpoints>(name);
    return found ? api::kindFor<Endpoints>().columns[1].cell(*found, clock_.wallNow()) : "";
  }
};

TEST_F(EndpointsTest, FollowThePodsThatTheSelectorNames) {
  startManager();
  addNode("n1");
  ASSERT_TRUE(create(service("web", "web")).ok());
  settle();
  ASSERT_EQ(slicesOf("web").size(), 1U) << "an empty slice says that there is none";
  EXPECT_EQ(endpointsCell("web"), "<none>");

  addBackend("a", "web", "10.244.0.2");
  addBackend("b", "web", "10.244.0.3", false);
  addBackend("other", "else", "10.244.0.4");
  settle();
  EXPECT_THAT(backends("web"), ElementsAre("10.244.0.2 ready", "10.244.0.3"));
  EXPECT_EQ(endpointsCell("web"), "10.244.0.2:80");
  const auto slice = slicesOf("web")[0];
  EXPECT_EQ(slice.metadata().ownerreferences(0).name(), "web");
  EXPECT_EQ(slice.endpoints(0).nodename(), "n1");
  EXPECT_EQ(slice.endpoints(0).targetref().kind(), "Pod");
  EXPECT_EQ(slice.ports(0).port(), 80);
  EXPECT_EQ(get<Endpoints>("web")->subsets(0).notreadyaddresses(0).ip(), "10.244.0.3");

  setBackend("b", "10.244.0.3", true);
  ASSERT_TRUE(remove<Pod>("a").ok());
  settle();
  EXPECT_THAT(backends("web"), ElementsAre("10.244.0.2", "10.244.0.3 ready")) << "a terminates";
  EXPECT_TRUE(slicesOf("web")[0].endpoints(0).conditions().terminating() ||
              slicesOf("web")[0].endpoints(1).conditions().terminating());
  EXPECT_EQ(endpointsCell("web"), "10.244.0.3:80");
  api::DeleteOptions now;
  now.set_graceperiodseconds(0);
  ASSERT_TRUE(remove<Pod>("a", now).ok());
  settle();
  EXPECT_THAT(backends("web"), ElementsAre("10.244.0.3 ready"));

  ASSERT_TRUE(remove<Service>("web").ok());
  settle();
  EXPECT_EQ(get<Endpoints>("web").status().code(), Code::kNotFound);
}

TEST_F(EndpointsTest, OneThatSomebodyElseKeepsStays) {
  startManager();
  Service manual = service("db", "db");
  manual.mutable_spec()->clear_selector();
  ASSERT_TRUE(create(manual).ok());
  Endpoints outside;
  outside.mutable_metadata()->set_name("db");
  outside.add_subsets()->add_addresses()->set_ip("192.0.2.1");
  ASSERT_TRUE(create(outside).ok());
  settle();
  EXPECT_EQ(endpointsCell("db"), "192.0.2.1");
  EXPECT_TRUE(slicesOf("db").empty());
}

TEST_F(EndpointsTest, NamedPortsAreThoseOfEachPod) {
  startManager();
  addNode("n1");
  Service named = service("web", "web");
  named.mutable_spec()->mutable_ports(0)->mutable_targetport()->set_type(1);
  named.mutable_spec()->mutable_ports(0)->mutable_targetport()->set_strval("http");
  ASSERT_TRUE(create(named).ok());
  for (const auto& [name, port] : {std::pair{"a", 8080}, {"b", 9090}, {"c", 0}}) {
    Pod made = pod(name, "n1");
    (*made.mutable_metadata()->mutable_labels())["app"] = "web";
    if (port != 0) {
      auto& declared = *made.mutable_spec()->mutable_containers(0)->add_ports();
      declared.set_name("http");
      declared.set_containerport(port);
    }
    ASSERT_TRUE(create(made).ok());
  }
  setBackend("a", "10.244.0.2", true);
  setBackend("b", "10.244.0.3", true);
  setBackend("c", "10.244.0.4", true);
  settle();
  std::map<std::string, std::string> ports;
  for (const auto& slice : slicesOf("web")) {
    const std::string port = slice.ports().empty() ? "" : std::to_string(slice.ports(0).port());
    ports[port] += slice.endpoints(0).addresses(0);
  }
  EXPECT_THAT(ports,
              ElementsAre(testing::Pair("", "10.244.0.4"), testing::Pair("8080", "10.244.0.2"),
                          testing::Pair("9090", "10.244.0.3")));
}

TEST(PlanSlices, KeepsEndpointsWhereTheyAre) {
  Service service;
  service.mutable_metadata()->set_name("web");
  service.mutable_spec()->add_ports()->set_port(80);
  const auto endpoint = [&](int i) {
    PodEndpoint made;
    made.endpoint.add_addresses("10.0." + std::to_string(i / 256) + "." + std::to_string(i % 256));
    made.endpoint.mutable_targetref()->set_uid(std::to_string(i));
    made.ports.emplace_back().set_port(80);
    return made;
  };
  std::vector<PodEndpoint> many;
  for (int i = 0; i < 250; ++i) many.push_back(endpoint(i));
  auto first = planSlices(service, "IPv4", many, {});
  ASSERT_EQ(first.create.size(), 3U);
  for (const auto& slice : first.create) EXPECT_LE(slice.endpoints_size(), kMaxEndpointsPerSlice);

  // One goes: one slice changes. One comes: the slice with room takes it.
  many.erase(many.begin());
  const auto second = planSlices(service, "IPv4", many, first.create);
  EXPECT_TRUE(second.create.empty());
  EXPECT_EQ(second.update.size(), 1U);
  EXPECT_TRUE(second.remove.empty());
  const auto none = planSlices(service, "IPv4", {}, first.create);
  EXPECT_EQ(none.remove.size(), 2U);
  ASSERT_EQ(none.update.size(), 1U);
  EXPECT_TRUE(none.update[0].endpoints().empty());
}

/// Random changes of pods and services, with the control plane started anew now and then: in the
/// end each service's slices name exactly the pods that it selects, in one slice.
TEST_F(EndpointsTest, ConvergeUnderRandomChanges) {
  const std::uint64_t seed = 20261125;
  SCOPED_TRACE("seed " + std::to_string(seed));
  SeededRng chance(seed);
  startManager();
  addNode("n1");
  const std::vector<std::string> apps = {"x", "y", "z"};
  std::set<std::string> names;
  int next = 0;
  for (int step = 0; step < 400; ++step) {
    const std::string app = apps[chance.below(apps.size())];
    switch (chance.below(7)) {
      case 0:
      case 1: {
        const std::string name = "p" + std::to_string(next++);
        addBackend(name, app, "10.244.1." + std::to_string(next % 250 + 1), chance.chance(0.7));
        names.insert(name);
        break;
      }
      case 2:
      case 3:
        if (!names.empty()) {
          const std::string name =
              *std::next(names.begin(), static_cast<std::ptrdiff_t>(chance.below(names.size())));
          if (chance.chance(0.5)) {
            api::DeleteOptions now;
            now.set_graceperiodseconds(0);
            ASSERT_TRUE(remove<Pod>(name, now).ok());
            names.erase(name);
          } else {
            auto changed = *get<Pod>(name);
            (*changed.mutable_metadata()->mutable_labels())["app"] = app;
            ASSERT_TRUE(update(changed).ok());
          }
        }
        break;
      case 4:
        if (get<Service>("s" + app).ok()) {
          auto changed = *get<Service>("s" + app);
          (*changed.mutable_spec()->mutable_selector())["app"] = apps[chance.below(apps.size())];
          ASSERT_TRUE(update(changed).ok());
        } else {
          ASSERT_TRUE(create(service("s" + app, app)).ok());
        }
        break;
      case 5:
        clock_.runUntilIdle();
        break;
      default:
        if (chance.chance(0.1)) {
          stopManager();
          startManager();
        }
    }
  }
  settle();
  for (const auto& object : list<Service>().items) {
    const auto& each = api::as<Service>(object);
    std::set<std::string> expected;
    for (const auto& item : list<Pod>().items) {
      const auto& candidate = api::as<Pod>(item);
      if (candidate.metadata().labels().at("app") == each.spec().selector().at("app"))
        expected.insert(candidate.metadata().name());
    }
    std::set<std::string> got;
    for (const auto& slice : slicesOf(each.metadata().name())) {
      for (const auto& endpoint : slice.endpoints()) {
        EXPECT_TRUE(got.insert(endpoint.targetref().name()).second) << "named twice";
        const auto target = get<Pod>(endpoint.targetref().name());
        ASSERT_TRUE(target.ok());
        EXPECT_EQ(endpoint.addresses(0), target->status().podip());
        EXPECT_EQ(endpoint.conditions().ready(), api::isTrue(target->status(), "Ready"));
      }
    }
    EXPECT_EQ(got, expected) << each.metadata().name();
    EXPECT_EQ(slicesOf(each.metadata().name()).size(), 1U);
  }
}

}  // namespace
}  // namespace podlab::controllers
