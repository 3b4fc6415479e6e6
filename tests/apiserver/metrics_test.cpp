#include "apiserver/metrics.hpp"

#include <gmock/gmock.h>

#include "metrics_v1beta1.pb.h"

#include "api/codec.hpp"
#include "tests/apiserver/fixture.hpp"

namespace podlab::apiserver {
namespace {

using metricsv1beta1::NodeMetrics;
using metricsv1beta1::PodMetrics;

class MetricsTest : public ServiceTest {
 protected:
  MetricsTest() {
    serveMetrics(*service_, *admin_, clock_, [this](std::string node) { return usageOf(node); });
    for (const char* name : {"n1", "n2"}) {
      corev1::Node node;
      node.mutable_metadata()->set_name(name);
      EXPECT_TRUE(create(node).ok());
    }
    for (const auto& [name, node] : {std::pair{"a", "n1"}, {"b", "n1"}, {"c", "n2"}}) {
      auto made = pod(name, node);
      (*made.mutable_metadata()->mutable_labels())["name"] = name;
      const auto done = create(made);
      EXPECT_TRUE(done.ok());
      auto running = *done;
      running.mutable_status()->set_phase("Running");
      EXPECT_TRUE(update(running, "status").ok());
      uids_[name] = done->metadata().uid();
    }
  }

  /// n1 has pod a with two containers; n2 does not answer.
  Co<Result<rpc::UsageReport>> usageOf(std::string node) {
    if (node != "n1") {
      co_await clock_.sleepFor(std::chrono::hours(1));
      co_return Status(Code::kUnavailable, "too late");
    }
    rpc::UsageReport report;
    report.set_windownanos(500'000'000);
    report.mutable_node()->set_nanocores(1'500'000'000);
    report.mutable_node()->set_memorybytes(64 << 20);
    for (const char* name : {"main", "side"}) {
      auto& usage = *report.add_containers();
      usage.set_poduid(uids_["a"]);
      usage.set_container(name);
      usage.set_nanocores(1'234'567);
      usage.set_memorybytes(3 << 20);
    }
    co_return report;
  }

  std::map<std::string, std::string> uids_;
};

TEST_F(MetricsTest, TellsWhatIsKnownAndLeavesOutTheRest) {
  const auto nodes = list<NodeMetrics>().items;
  ASSERT_EQ(nodes.size(), 1U);
  const auto& node = api::as<NodeMetrics>(nodes[0]);
  EXPECT_EQ(node.metadata().name(), "n1");
  EXPECT_EQ(node.usage().at("cpu").string(), "1500m");
  EXPECT_EQ(node.usage().at("memory").string(), "64Mi");
  const auto pods = list<PodMetrics>().items;
  ASSERT_EQ(pods.size(), 1U);
  const auto& pod = api::as<PodMetrics>(pods[0]);
  ASSERT_EQ(pod.containers_size(), 2);
  EXPECT_EQ(pod.containers(1).name(), "side");
  EXPECT_EQ(pod.containers(1).usage().at("cpu").string(), "1234567n");
  EXPECT_THAT(api::toJson(pod), testing::HasSubstr(R"("window":"500ms")"));
  EXPECT_TRUE(list<PodMetrics>(selecting("name=b")).items.empty());
  EXPECT_EQ(list<PodMetrics>(selecting("name=a")).items.size(), 1U);
}

TEST_F(MetricsTest, FindsByName) {
  EXPECT_EQ(get<PodMetrics>("a")->containers_size(), 2);
  EXPECT_EQ(get<PodMetrics>("b").status().message(),
            "podmetrics.metrics.k8s.io \"default/b\" not found");
  EXPECT_EQ(get<NodeMetrics>("n2").status().message(),
            "nodemetrics.metrics.k8s.io \"n2\" not found");
  EXPECT_EQ(get<NodeMetrics>("nope").status().code(), Code::kNotFound);
}

TEST_F(MetricsTest, CanOnlyBeRead) {
  EXPECT_EQ(remove<PodMetrics>("a").status().code(), Code::kMethodNotAllowed);
  EXPECT_EQ(create(PodMetrics()).status().code(), Code::kMethodNotAllowed);
  EXPECT_EQ(run(admin_->watch(id<PodMetrics>(""), {})).status().code(), Code::kMethodNotAllowed);
  EXPECT_TRUE(run(admin_->get(id<corev1::Pod>("a"))).ok()) << "the pod is there";
}

}  // namespace
}  // namespace podlab::apiserver
