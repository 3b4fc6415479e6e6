#include <gmock/gmock.h>

#include "core_v1_persistent_volumes.pb.h"
#include "core_v1_policies.pb.h"

#include "api/pod_resources.hpp"
#include "tests/controllers/cluster_fixture.hpp"

namespace podlab::controllers {
namespace {

using corev1::LimitRange;
using corev1::ResourceQuota;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

using Amounts = std::map<std::string, std::string>;

void set(api::ResourceMap& resources, const Amounts& amounts) {
  for (const auto& [name, amount] : amounts) resources[name].set_string(amount);
}

class QuotaTest : public ClusterTest {
 protected:
  ~QuotaTest() override { stopManager(); }

  void addQuota(const Amounts& hard, const std::vector<std::string>& scopes = {},
                const std::string& name = "q") {
    ResourceQuota made;
    made.mutable_metadata()->set_name(name);
    set(*made.mutable_spec()->mutable_hard(), hard);
    for (const auto& scope : scopes) made.mutable_spec()->add_scopes(scope);
    const auto done = create(made);
    ASSERT_TRUE(done.ok()) << done.status().toString();
    clock_.runUntilIdle();
  }
  std::string used(const std::string& resource, const std::string& name = "q") {
    const auto quota = get<ResourceQuota>(name);
    const auto found = quota->status().used().find(resource);
    return found == quota->status().used().end() ? "" : found->second.string();
  }
  corev1::Pod podWith(const std::string& name, const Amounts& requests,
                      const Amounts& limits = {}) {
    auto made = pod(name);
    auto& resources = *made.mutable_spec()->mutable_containers(0)->mutable_resources();
    set(*resources.mutable_requests(), requests);
    set(*resources.mutable_limits(), limits);
    return made;
  }
  std::string refusal(const corev1::Pod& object) {
    const auto made = create(object);
    return made ? "" : made.status().message();
  }
};

TEST_F(QuotaTest, PodsAreChargedAtOnceAndCreditedWhenTheyGo) {
  startManager();
  addQuota({{"pods", "3"}, {"requests.cpu", "1"}, {"limits.memory", "1Gi"}});
  EXPECT_EQ(used("pods"), "0");
  ASSERT_EQ(refusal(podWith("a", {{"cpu", "600m"}}, {{"memory", "512Mi"}})), "");
  EXPECT_EQ(used("requests.cpu"), "600m");
  EXPECT_EQ(used("limits.memory"), "512Mi");
  EXPECT_EQ(refusal(podWith("b", {{"cpu", "600m"}}, {{"memory", "1Gi"}})),
            "pods \"b\" is forbidden: exceeded quota: q, requested: limits.memory=1Gi,"
            "requests.cpu=600m, used: limits.memory=512Mi,requests.cpu=600m, limited: "
            "limits.memory=1Gi,requests.cpu=1");
  EXPECT_EQ(refusal(pod("c")),
            "pods \"c\" is forbidden: failed quota: q: must specify limits.memory for: main; "
            "requests.cpu for: main");
  const auto dry = create(podWith("d", {{"cpu", "1m"}}, {{"memory", "1Mi"}}), apiserver::dryRun());
  EXPECT_TRUE(dry.ok());
  EXPECT_EQ(used("pods"), "1");
  ASSERT_TRUE(remove<corev1::Pod>("a").ok());
  clock_.runUntilIdle();
  EXPECT_EQ(used("pods"), "0");
  EXPECT_EQ(used("requests.cpu"), "0");
}

TEST_F(QuotaTest, FinishedPodsAreCountedNoMore) {
  startManager();
  addQuota({{"pods", "1"}, {"count/pods", "2"}});
  ASSERT_EQ(refusal(pod("a")), "");
  EXPECT_THAT(refusal(pod("b")), HasSubstr("exceeded quota: q, requested: pods=1, used: pods=1"));
  auto done = get<corev1::Pod>("a");
  done->mutable_status()->set_phase("Succeeded");
  ASSERT_TRUE(update(*done, "status").ok());
  clock_.runUntilIdle();
  EXPECT_EQ(used("pods"), "0");
  EXPECT_EQ(used("count/pods"), "1");
  ASSERT_EQ(refusal(pod("b")), "");
}

TEST_F(QuotaTest, ConcurrentCreatesShareWhatThereIs) {
  startManager();
  addQuota({{"configmaps", "7"}});
  int made = 0;
  int refused = 0;
  auto createOne = [](api::Api& api, api::ResourceId id, api::ObjectPtr object, int& yes,
                      int& no) -> Co<void> {
    api::WriteOptions options;
    auto answer = co_await api.create(std::move(id), std::move(object), std::move(options));
    ++(answer ? yes : no);
  };
  TaskGroup group(io_.get_executor());
  for (int i = 0; i < 25; ++i) {
    auto object = std::make_shared<corev1::ConfigMap>(configMap("c" + std::to_string(i)));
    group.spawn("create", createOne(*admin_, id<corev1::ConfigMap>(""), object, made, refused));
  }
  clock_.runUntilIdle();
  EXPECT_EQ(made, 7);
  EXPECT_EQ(refused, 18);
  EXPECT_EQ(used("configmaps"), "7");
  EXPECT_EQ(list<corev1::ConfigMap>().items.size(), 7U);
}

TEST_F(QuotaTest, CountsWhatWasThereBefore) {
  for (const char* name : {"x", "y"}) ASSERT_TRUE(create(configMap(name)).ok());
  addQuota({{"count/configmaps", "2"}});
  const auto early = create(configMap("z"));
  EXPECT_THAT(early.status().message(),
              HasSubstr("status unknown for quota: q, resources: count/configmaps"));
  startManager();
  EXPECT_EQ(used("count/configmaps"), "2");
  EXPECT_THAT(create(configMap("z")).status().message(), HasSubstr("exceeded quota"));
  auto larger = *get<ResourceQuota>("q");
  set(*larger.mutable_spec()->mutable_hard(), {{"count/configmaps", "3"}, {"secrets", "0"}});
  ASSERT_TRUE(update(larger).ok());
  clock_.runUntilIdle();
  EXPECT_TRUE(create(configMap("z")).ok());
  EXPECT_EQ(used("secrets"), "0");
}

TEST_F(QuotaTest, ScopesChooseThePods) {
  startManager();
  addQuota({{"pods", "1"}}, {"BestEffort"}, "best");
  addQuota({{"pods", "1"}}, {"NotBestEffort", "NotTerminating"}, "rest");
  ASSERT_EQ(refusal(pod("a")), "");
  EXPECT_THAT(refusal(pod("b")), HasSubstr("exceeded quota: best"));
  ASSERT_EQ(refusal(podWith("c", {{"cpu", "1m"}})), "");
  EXPECT_THAT(refusal(podWith("d", {{"cpu", "1m"}})), HasSubstr("exceeded quota: rest"));
  auto limited = podWith("e", {{"cpu", "1m"}});
  limited.mutable_spec()->set_activedeadlineseconds(10);
  ASSERT_EQ(refusal(limited), "");
  EXPECT_EQ(used("pods", "best"), "1");
  EXPECT_EQ(used("pods", "rest"), "1");
}

TEST_F(QuotaTest, ASelectorChoosesByPriorityClass) {
  startManager();
  ResourceQuota made;
  made.mutable_metadata()->set_name("q");
  set(*made.mutable_spec()->mutable_hard(), {{"pods", "0"}});
  auto& wanted = *made.mutable_spec()->mutable_scopeselector()->add_matchexpressions();
  wanted.set_scopename("PriorityClass");
  wanted.set_operator_("In");
  wanted.add_values("system-node-critical");
  ASSERT_TRUE(create(made).ok());
  clock_.runUntilIdle();
  ASSERT_EQ(refusal(pod("a")), "");
  auto critical = pod("b");
  critical.mutable_spec()->set_priorityclassname("system-node-critical");
  EXPECT_THAT(refusal(critical), HasSubstr("exceeded quota: q"));
}

TEST_F(QuotaTest, ClaimsTakeStorage) {
  startManager();
  addQuota({{"requests.storage", "5Gi"},
            {"fast.storageclass.storage.k8s.io/persistentvolumeclaims", "1"}});
  const auto claim = [&](const std::string& name, const std::string& size) {
    corev1::PersistentVolumeClaim made;
    made.mutable_metadata()->set_name(name);
    made.mutable_spec()->add_accessmodes("ReadWriteOnce");
    made.mutable_spec()->set_storageclassname("fast");
    set(*made.mutable_spec()->mutable_resources()->mutable_requests(), {{"storage", size}});
    return create(made).status().message();
  };
  EXPECT_EQ(claim("a", "3Gi"), "");
  EXPECT_THAT(claim("b", "3Gi"), HasSubstr("requested: fast.storageclass.storage.k8s.io/"
                                           "persistentvolumeclaims=1,requests.storage=3Gi"));
}

TEST_F(QuotaTest, LimitRangesCompleteAndCheckPods) {
  startManager();
  addQuota({{"limits.cpu", "1"}});
  LimitRange range;
  range.mutable_metadata()->set_name("limits");
  auto& containers = *range.mutable_spec()->add_limits();
  containers.set_type("Container");
  set(*containers.mutable_default_(), {{"cpu", "500m"}});
  set(*containers.mutable_defaultrequest(), {{"cpu", "100m"}});
  set(*containers.mutable_max(), {{"cpu", "800m"}});
  set(*containers.mutable_min(), {{"cpu", "50m"}});
  set(*containers.mutable_maxlimitrequestratio(), {{"cpu", "6"}});
  const auto made = create(range);
  ASSERT_TRUE(made.ok()) << made.status().toString();
  ASSERT_EQ(refusal(pod("a")), "");
  const auto found = get<corev1::Pod>("a");
  const auto& resources = found->spec().containers(0).resources();
  EXPECT_EQ(resources.requests().at("cpu").string(), "100m");
  EXPECT_EQ(resources.limits().at("cpu").string(), "500m");
  EXPECT_EQ(found->metadata().annotations().at("kubernetes.io/limit-ranger"),
            "LimitRanger plugin set: cpu request for container main; cpu limit for container main");
  EXPECT_EQ(found->status().qosclass(), "Burstable");
  EXPECT_EQ(used("limits.cpu"), "500m");
  EXPECT_EQ(refusal(podWith("b", {{"cpu", "100m"}}, {{"cpu", "900m"}})),
            "pods \"b\" is forbidden: [maximum cpu usage per Container is 800m, but limit is 900m, "
            "cpu max limit to request ratio per Container is 6, but provided ratio is 9.000000]");
  EXPECT_EQ(refusal(podWith("c", {{"cpu", "10m"}}, {{"cpu", "50m"}})),
            "pods \"c\" is forbidden: minimum cpu usage per Container is 50m, but request is 10m");
}

TEST_F(QuotaTest, LimitRangesCheckSumsAndClaims) {
  LimitRange range;
  range.mutable_metadata()->set_name("limits");
  auto& pods = *range.mutable_spec()->add_limits();
  pods.set_type("Pod");
  set(*pods.mutable_max(), {{"memory", "1Gi"}});
  auto& claims = *range.mutable_spec()->add_limits();
  claims.set_type("PersistentVolumeClaim");
  set(*claims.mutable_min(), {{"storage", "1Gi"}});
  set(*claims.mutable_max(), {{"storage", "2Gi"}});
  ASSERT_TRUE(create(range).ok());
  EXPECT_EQ(refusal(pod("a")),
            "pods \"a\" is forbidden: maximum memory usage per Pod is 1Gi.  No limit is specified");
  corev1::PersistentVolumeClaim claim;
  claim.mutable_metadata()->set_name("c");
  claim.mutable_spec()->add_accessmodes("ReadWriteOnce");
  set(*claim.mutable_spec()->mutable_resources()->mutable_requests(), {{"storage", "3Gi"}});
  EXPECT_EQ(create(claim).status().message(),
            "persistentvolumeclaims \"c\" is forbidden: maximum storage usage per "
            "PersistentVolumeClaim is 2Gi, but request is 3Gi");
}

TEST_F(QuotaTest, RefusesQuotasAndRangesThatMakeNoSense) {
  ResourceQuota quota;
  quota.mutable_metadata()->set_name("q");
  set(*quota.mutable_spec()->mutable_hard(),
      {{"gadgets", "1"}, {"pods", "1500m"}, {"requests.cpu", "-1"}, {"secrets", "1"}});
  for (const char* scope : {"BestEffort", "NotBestEffort", "Sometimes"})
    quota.mutable_spec()->add_scopes(scope);
  const std::string message = create(quota).status().message();
  for (const char* fault :
       {"spec.hard[gadgets]: Invalid value: \"gadgets\": must be a standard resource for quota",
        "spec.hard[pods]: Invalid value: \"1500m\": must be an integer",
        "spec.hard[requests.cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
        "unsupported scope applied to resource", "conflicting scopes", "unsupported scope"})
    EXPECT_THAT(message, HasSubstr(fault));
  LimitRange range;
  range.mutable_metadata()->set_name("r");
  auto& limit = *range.mutable_spec()->add_limits();
  limit.set_type("Container");
  set(*limit.mutable_max(), {{"cpu", "1"}});
  set(*limit.mutable_min(), {{"cpu", "2"}});
  EXPECT_THAT(create(range).status().message(),
              HasSubstr("spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater "
                        "than max value 1"));
}

class QuotaSeeds : public QuotaTest, public testing::WithParamInterface<int> {};

/// Whatever happens in whatever order: no more than the quota, and at rest it says what there is.
TEST_P(QuotaSeeds, TheSumIsExact) {
  SeededRng rng(static_cast<std::uint64_t>(GetParam()));
  startManager();
  addQuota({{"pods", "6"}, {"configmaps", "4"}});
  TaskGroup group(io_.get_executor());
  auto change = [](api::Api& api, api::ResourceId id, api::ObjectPtr object) -> Co<void> {
    if (object) {
      api::WriteOptions options;
      (void)co_await api.create(std::move(id), object, std::move(options));
    } else {
      api::DeleteOptions options;
      (void)co_await api.remove(std::move(id), std::move(options));
    }
  };
  for (int step = 0; step < 300; ++step) {
    const std::string name = "o" + std::to_string(rng.below(12));
    const bool making = rng.chance(0.6);
    if (rng.chance(0.5)) {
      group.spawn("change", change(*admin_, id<corev1::Pod>(making ? "" : name),
                                   making ? std::make_shared<corev1::Pod>(pod(name)) : nullptr));
    } else {
      group.spawn("change",
                  change(*admin_, id<corev1::ConfigMap>(making ? "" : name),
                         making ? std::make_shared<corev1::ConfigMap>(configMap(name)) : nullptr));
    }
    if (rng.chance(0.3)) clock_.runUntilIdle();
    if (rng.chance(0.03)) {
      clock_.runUntilIdle();
      stopManager();
      restart();
      startManager();
    }
    ASSERT_LE(list<corev1::Pod>().items.size(), 6U) << "seed " << GetParam();
    ASSERT_LE(list<corev1::ConfigMap>().items.size(), 4U) << "seed " << GetParam();
  }
  clock_.advance(minutes(1));
  EXPECT_EQ(used("pods"), std::to_string(list<corev1::Pod>().items.size()));
  EXPECT_EQ(used("configmaps"), std::to_string(list<corev1::ConfigMap>().items.size()));
}

INSTANTIATE_TEST_SUITE_P(Seeds, QuotaSeeds, testing::Range(1, 6));

}  // namespace
}  // namespace podlab::controllers
