#include <gtest/gtest.h>

#include "api/age.hpp"
#include "api/conditions.hpp"
#include "api/status_conversion.hpp"
#include "api/times.hpp"
#include "tests/api/objects.hpp"

namespace podlab::api {
namespace {

using std::chrono::seconds;

TEST(Status, HasTheTextsOfKubernetes) {
  const Kind& pod = kindFor<corev1::Pod>();
  const Kind& lease = kindFor<coordinationv1::Lease>();
  EXPECT_EQ(notFound(pod, "x").message(), "pods \"x\" not found");
  EXPECT_EQ(notFound(lease, "x").message(), "leases.coordination.k8s.io \"x\" not found");
  EXPECT_EQ(alreadyExists(pod, "x").message(), "pods \"x\" already exists");
  EXPECT_EQ(conflict(pod, "x").message(),
            "Operation cannot be fulfilled on pods \"x\": the object has been modified; please "
            "apply your changes to the latest version and try again");
  EXPECT_EQ(conflict(pod, "x", "it is bound").message(),
            "Operation cannot be fulfilled on pods \"x\": it is bound");
  EXPECT_EQ(forbidden(pod, "x", "no").message(), "pods \"x\" is forbidden: no");
  EXPECT_EQ(expired("1", "7").message(), "too old resource version: 1 (7)");
  const Cause one{"FieldValueRequired", "spec.a", "Required value"};
  const Cause two{"FieldValueInvalid", "spec.b", "Invalid value: 1: no"};
  EXPECT_EQ(invalid(pod, "x", {one}).message(), "Pod \"x\" is invalid: spec.a: Required value");
  EXPECT_EQ(invalid(lease, "x", {one, two}).message(),
            "Lease.coordination.k8s.io \"x\" is invalid: [spec.a: Required value, spec.b: Invalid "
            "value: 1: no]");
}

TEST(Status, ConvertsToTheApiAndBack) {
  const Kind& pod = kindFor<corev1::Pod>();
  const metav1::Status missing = toApiStatus(notFound(pod, "x"), {&pod, "x"});
  EXPECT_EQ(missing.status(), "Failure");
  EXPECT_EQ(missing.reason(), "NotFound");
  EXPECT_EQ(missing.code(), 404);
  EXPECT_EQ(missing.details().kind(), "pods");
  EXPECT_EQ(missing.details().name(), "x");
  EXPECT_FALSE(missing.details().has_group());

  const Status bad = invalid(pod, "x", {{"FieldValueRequired", "spec.a", "Required value"}});
  const metav1::Status refused = toApiStatus(bad, {&pod, "x"});
  EXPECT_EQ(refused.code(), 422);
  EXPECT_EQ(refused.details().kind(), "Pod");
  EXPECT_EQ(refused.details().causes(0).field(), "spec.a");
  EXPECT_EQ(fromApiStatus(refused), bad);

  EXPECT_TRUE(fromApiStatus(toApiStatus(Status())).ok());
  EXPECT_FALSE(toApiStatus(Status(Code::kInternal, "x")).has_details());
  EXPECT_TRUE(
      fromApiStatus(fromText<metav1::Status>(R"(status: "Failure" reason: "Gone" code: 410)"))
          .is(Code::kExpired));
  EXPECT_TRUE(fromApiStatus(fromText<metav1::Status>(R"(status: "Failure")")).is(Code::kInternal));
}

TEST(Status, EveryCodeSurvivesTheWayToTheClient) {
  for (int i = static_cast<int>(Code::kBadRequest); i <= static_cast<int>(Code::kTimeout); ++i) {
    const Status status(static_cast<Code>(i), "why");
    EXPECT_EQ(fromApiStatus(toApiStatus(status)), status);
    EXPECT_GE(httpStatusOf(status.code()), 400);
  }
  EXPECT_EQ(httpStatusOf(Code::kOk), 200);
}

TEST(Status, ADeleteAnswersWithTheUid) {
  metav1::ObjectMeta metadata;
  metadata.set_name("l");
  metadata.set_uid("u-1");
  const metav1::Status status = deletedStatus(kindFor<coordinationv1::Lease>(), metadata);
  EXPECT_EQ(status.status(), "Success");
  EXPECT_EQ(status.details().uid(), "u-1");
  EXPECT_EQ(status.details().kind(), "leases");
  EXPECT_EQ(status.details().group(), "coordination.k8s.io");
}

TEST(Conditions, MoveTheirTimeOnlyWithTheStatus) {
  const WallTime t1{seconds(100)};
  const WallTime t2{seconds(200)};
  corev1::PodStatus status;
  EXPECT_TRUE(setCondition(status, {"Ready", "False", "Starting", "wait"}, t1));
  EXPECT_FALSE(setCondition(status, {"Ready", "False", "Starting", "wait"}, t2));
  EXPECT_TRUE(setCondition(status, {"Ready", "False", "Pulling", ""}, t2));
  ASSERT_EQ(status.conditions_size(), 1);
  EXPECT_EQ(status.conditions(0).lasttransitiontime().seconds(), 100);
  EXPECT_FALSE(status.conditions(0).has_message());
  EXPECT_FALSE(isTrue(status, "Ready"));
  EXPECT_TRUE(setCondition(status, {"Ready", "True", "", ""}, t2));
  EXPECT_EQ(findCondition(status, "Ready")->lasttransitiontime().seconds(), 200);
  EXPECT_TRUE(isTrue(status, "Ready"));
  EXPECT_EQ(findCondition(status, "Initialized"), nullptr);
}

TEST(Conditions, OfANodeBeat) {
  corev1::NodeStatus status;
  EXPECT_TRUE(setCondition(status, {"Ready", "True", "AgentReady", ""}, WallTime(seconds(1))));
  EXPECT_FALSE(setCondition(status, {"Ready", "True", "AgentReady", ""}, WallTime(seconds(9))));
  EXPECT_EQ(findCondition(status, "Ready")->lastheartbeattime().seconds(), 9);
  EXPECT_EQ(findCondition(status, "Ready")->lasttransitiontime().seconds(), 1);
}

TEST(Age, IsWrittenAsKubectlDoes) {
  const std::int64_t minute = 60, hour = 3600, day = 86400, year = 365 * day;
  const std::pair<std::int64_t, const char*> kCases[] = {
      {-2, "<invalid>"},
      {-1, "0s"},
      {0, "0s"},
      {119, "119s"},
      {120, "2m"},
      {125, "2m5s"},
      {10 * minute - 1, "9m59s"},
      {10 * minute, "10m"},
      {3 * hour - 1, "179m"},
      {3 * hour, "3h"},
      {3 * hour + 5 * minute, "3h5m"},
      {8 * hour, "8h"},
      {2 * day - 1, "47h"},
      {2 * day, "2d"},
      {2 * day + hour, "2d1h"},
      {8 * day, "8d"},
      {2 * year - 1, "729d"},
      {2 * year, "2y"},
      {2 * year + day, "2y1d"},
      {8 * year + day, "8y"},
  };
  for (const auto& [age, text] : kCases) EXPECT_EQ(formatAge(seconds(age)), text) << age;
  EXPECT_EQ(ageOf(metav1::Time(), WallTime()), "<unknown>");
  EXPECT_EQ(ageOf(toTime(WallTime(seconds(40))), WallTime(seconds(100))), "60s");
}

TEST(Times, KeepWholeSecondsAndMicroseconds) {
  const WallTime time{seconds(5) + std::chrono::nanoseconds(123456789)};
  EXPECT_EQ(toWallTime(toTime(time)), WallTime(seconds(5)));
  EXPECT_EQ(toWallTime(toMicroTime(time)).time_since_epoch().count(), 5123456000);
  EXPECT_EQ(toMicroTime(WallTime(std::chrono::nanoseconds(-1))).seconds(), -1);
  EXPECT_TRUE(isSet(toTime(WallTime())));
  EXPECT_FALSE(isSet(metav1::Time()));
}

}  // namespace
}  // namespace podlab::api
