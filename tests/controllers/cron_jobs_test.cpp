#include <gmock/gmock.h>

#include "batch_v1.pb.h"

#include "controllers/cron_times.hpp"
#include "tests/controllers/workload_fixture.hpp"

namespace podlab::controllers {
namespace {

using batchv1::CronJob;
using batchv1::Job;
using corev1::Pod;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

CronJob cronJob(const std::string& spec) {
  CronJob made;
  const Status read = api::fromJson(R"({"metadata":{"name":"tick"},"spec":{)" + spec +
                                        R"(,"jobTemplate":{"metadata":{"labels":{"of":"tick"}},
      "spec":{"template":{"spec":{"restartPolicy":"Never",
      "containers":[{"name":"c","image":"a"}]}}}}}})",
                                    made);
  EXPECT_TRUE(read.ok()) << read.toString();
  return made;
}

class CronJobsTest : public WorkloadTest {
 protected:
  CronJobsTest() {
    startCluster();
    agents_.exitCode = [this](const Pod&) { return code_; };
    // To the beginning of a minute, so that the first time is a minute off.
    const auto now = clock_.wallNow();
    clock_.advance(std::chrono::ceil<minutes>(now) - now);
  }
  std::vector<Job> jobs() {
    std::vector<Job> all;
    for (const auto& object : list<Job>().items) all.push_back(api::as<Job>(object));
    return all;
  }

  std::optional<int> code_ = 0;
};

TEST_F(CronJobsTest, MakesAJobEachMinuteAndKeepsTheLastThree) {
  ASSERT_TRUE(create(cronJob(R"("schedule":"* * * * *")")).ok());
  pass(seconds(50));
  EXPECT_THAT(jobs(), IsEmpty());
  pass(seconds(30));
  ASSERT_THAT(jobs(), SizeIs(1));
  const Job first = jobs()[0];
  const auto last = api::toWallTime(get<CronJob>("tick")->status().lastscheduletime());
  EXPECT_EQ(first.metadata().name(),
            "tick-" + std::to_string(last.time_since_epoch() / minutes(1)));
  EXPECT_EQ(first.metadata().labels().at("of"), "tick");
  EXPECT_EQ(first.metadata().annotations().at("batch.kubernetes.io/cronjob-scheduled-timestamp"),
            formatTime(last));
  EXPECT_EQ(first.metadata().ownerreferences(0).kind(), "CronJob");
  pass(minutes(6));
  EXPECT_THAT(jobs(), SizeIs(testing::AllOf(testing::Ge(3), testing::Le(4))));
  const auto status = get<CronJob>("tick")->status();
  EXPECT_TRUE(status.has_lastsuccessfultime());
  EXPECT_THAT(messages("tick", "SuccessfulCreate"),
              Contains("Created job " + first.metadata().name()));
  EXPECT_THAT(messages("tick", "SawCompletedJob"),
              Contains("Saw completed job: " + first.metadata().name() + ", condition: Complete"));
  EXPECT_THAT(messages("tick", "SuccessfulDelete"),
              Contains("Deleted job " + first.metadata().name()));
}

TEST_F(CronJobsTest, AllowsForbidsOrReplacesJobsAtATime) {
  code_ = std::nullopt;  // jobs go on and on
  ASSERT_TRUE(create(cronJob(R"("schedule":"* * * * *")")).ok());
  pass(minutes(3) + seconds(10));
  EXPECT_THAT(jobs(), SizeIs(3));
  EXPECT_EQ(get<CronJob>("tick")->status().active_size(), 3);

  patched<CronJob>("tick", R"({"spec":{"concurrencyPolicy":"Forbid"}})");
  pass(minutes(2));
  EXPECT_THAT(jobs(), SizeIs(3));
  EXPECT_THAT(events("tick"), Contains("JobAlreadyActive"));

  patched<CronJob>("tick", R"({"spec":{"concurrencyPolicy":"Replace"}})");
  pass(minutes(2));
  EXPECT_THAT(jobs(), SizeIs(1));
  EXPECT_EQ(get<CronJob>("tick")->status().active_size(), 1);
}

TEST_F(CronJobsTest, IsSuspended) {
  ASSERT_TRUE(create(cronJob(R"("schedule":"* * * * *","suspend":true)")).ok());
  pass(minutes(5));
  EXPECT_THAT(jobs(), IsEmpty());
  patched<CronJob>("tick", R"({"spec":{"suspend":false}})");
  pass(seconds(1));
  EXPECT_THAT(jobs(), SizeIs(1));  // the last of the missed ones
}

TEST_F(CronJobsTest, MakesNoJobAfterItsDeadline) {
  ASSERT_TRUE(create(cronJob(R"("schedule":"@hourly","startingDeadlineSeconds":60)")).ok());
  const auto alive = alive_;
  stopManager();
  alive_ = alive;
  clock_.advance(hours(3) + minutes(30));
  startManager();
  pass(minutes(1));
  EXPECT_THAT(jobs(), IsEmpty());
  pass(hours(1));
  EXPECT_THAT(jobs(), SizeIs(1));
}

TEST_F(CronJobsTest, MakesOneJobForWhatItMissed) {
  ASSERT_TRUE(create(cronJob(R"("schedule":"* * * * *")")).ok());
  stopManager();
  clock_.advance(hours(5));
  startManager();
  clock_.runUntilIdle();
  EXPECT_THAT(jobs(), SizeIs(1));
  EXPECT_THAT(events("tick"), Contains("TooManyMissedTimes"));
}

TEST_F(CronJobsTest, TakesNoteOfJobsThatAreDeletedOrAreNotItsOwn) {
  code_ = std::nullopt;
  ASSERT_TRUE(create(cronJob(R"("schedule":"* * * * *")")).ok());
  pass(minutes(1) + seconds(5));
  ASSERT_THAT(jobs(), SizeIs(1));
  patched<CronJob>("tick", R"({"spec":{"suspend":true}})");
  Job copy = jobs()[0];
  ASSERT_TRUE(remove<Job>(copy.metadata().name()).ok());
  pass(seconds(10));
  EXPECT_THAT(messages("tick", "MissingJob"),
              ElementsAre("Active job went missing: " + copy.metadata().name()));
  EXPECT_EQ(get<CronJob>("tick")->status().active_size(), 0);

  Job manual = fromJson<Job>(R"({"metadata":{"name":"by-hand"},"spec":{"template":{"spec":{
      "restartPolicy":"Never","containers":[{"name":"c","image":"a"}]}}}})");
  *manual.mutable_metadata()->add_ownerreferences() =
      api::controllerReference(*get<CronJob>("tick"));
  ASSERT_TRUE(create(manual).ok());
  pass(seconds(1));
  EXPECT_THAT(messages("tick", "UnexpectedJob"),
              Contains("Saw a job that the controller did not create or forgot: by-hand"));
}

TEST(CronTimes, WritesTimesInTheirZone) {
  const auto at = std::chrono::floor<seconds>(*parseTime("2026-07-01T10:00:00Z"));
  EXPECT_EQ(formatInZone(at, {}), "2026-07-01T10:00:00Z");
  const auto zone = TimeZone::load("America/St_Johns");
  if (!zone) GTEST_SKIP() << "this host has no tz database";
  EXPECT_EQ(formatInZone(at, *zone), "2026-07-01T07:30:00-02:30");
}

}  // namespace
}  // namespace podlab::controllers
