#include "controllers/pod_ranking.hpp"

#include <gtest/gtest.h>

#include "api/conditions.hpp"
#include "api/times.hpp"

namespace podlab::controllers {
namespace {

using std::chrono::seconds;

constexpr WallTime kNow{std::chrono::sys_days(std::chrono::year(2026) / 1 / 1)};

/// A pod that is Running and Ready on node n for 1000 s, changed by `change`.
template <typename F>
api::ObjectPtr pod(const std::string& name, F change) {
  auto made = std::make_shared<corev1::Pod>();
  made->mutable_metadata()->set_name(name);
  made->mutable_metadata()->set_uid(name);
  *made->mutable_metadata()->mutable_creationtimestamp() = api::toTime(kNow - seconds(1000));
  made->mutable_spec()->set_nodename("n");
  made->mutable_status()->set_phase("Running");
  api::setCondition(*made->mutable_status(), {"Ready", "True", "", ""}, kNow - seconds(1000));
  change(*made);
  return made;
}

std::string order(std::vector<api::ObjectPtr> pods, std::map<std::string, int> onNode = {}) {
  std::string names;
  const std::size_t count = pods.size();
  for (const auto& chosen : podsToDelete(std::move(pods), onNode, count, kNow))
    names += api::meta(*chosen).name();
  return names;
}

void readySince(corev1::Pod& pod, std::int64_t ago) {
  pod.mutable_status()->clear_conditions();
  api::setCondition(*pod.mutable_status(), {"Ready", "True", "", ""}, kNow - seconds(ago));
}
void cost(corev1::Pod& pod, const std::string& text) {
  (*pod.mutable_metadata()->mutable_annotations())["controller.kubernetes.io/pod-deletion-cost"] =
      text;
}

TEST(PodRanking, EachRuleInItsOrder) {
  const auto all = [] {
    return std::vector<api::ObjectPtr>{
        pod("z", [](corev1::Pod&) {}),
        pod("i",
            [](corev1::Pod& p) {
              *p.mutable_metadata()->mutable_creationtimestamp() = api::toTime(kNow - seconds(10));
            }),
        pod("h",
            [](corev1::Pod& p) {
              p.mutable_status()->add_containerstatuses()->set_restartcount(3);
            }),
        pod("g", [](corev1::Pod& p) { readySince(p, 1); }),
        pod("f", [](corev1::Pod& p) { p.mutable_spec()->set_nodename("crowded"); }),
        pod("e", [](corev1::Pod& p) { cost(p, "-1"); }),
        pod("d", [](corev1::Pod& p) { p.mutable_status()->clear_conditions(); }),
        pod("c", [](corev1::Pod& p) { p.mutable_status()->set_phase("Unknown"); }),
        pod("b", [](corev1::Pod& p) { p.mutable_status()->set_phase("Pending"); }),
        pod("a", [](corev1::Pod& p) { p.mutable_spec()->clear_nodename(); })};
  };
  EXPECT_EQ(order(all(), {{"n", 1}, {"crowded", 2}}), "abcdefghiz");
  EXPECT_EQ(podsToDelete(all(), {}, 3, kNow).size(), 3U);
  EXPECT_EQ(podsToDelete(all(), {}, 30, kNow).size(), 10U);
}

TEST(PodRanking, TimesAreComparedByTheirMagnitude) {
  // 40 s and 60 s are alike, so that the uid decides; 1000 s is not.
  EXPECT_EQ(order({pod("c", [](corev1::Pod& p) { readySince(p, 1000); }),
                   pod("b", [](corev1::Pod& p) { readySince(p, 40); }),
                   pod("a", [](corev1::Pod& p) { readySince(p, 60); })}),
            "abc");
}

TEST(PodRanking, AMalformedCostIsNone) {
  EXPECT_EQ(order({pod("b", [](corev1::Pod& p) { cost(p, "-5x"); }),
                   pod("c", [](corev1::Pod& p) { cost(p, "5"); }),
                   pod("a", [](corev1::Pod& p) { cost(p, "99999999999"); })}),
            "abc");
}

}  // namespace
}  // namespace podlab::controllers
