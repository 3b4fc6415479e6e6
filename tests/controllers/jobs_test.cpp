#include "api/jobs.hpp"

#include <gmock/gmock.h>

#include "batch_v1.pb.h"

#include "controllers/job_pods.hpp"
#include "tests/controllers/workload_fixture.hpp"
#include "tests/fakes/flaky_api.hpp"

namespace podlab::controllers {
namespace {

using batchv1::Job;
using corev1::Pod;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class JobsTest : public WorkloadTest {
 protected:
  JobsTest() { startCluster(); }

  static Job job(const std::string& name, const std::string& spec, const std::string& more = "") {
    return fromJson<Job>(R"({"metadata":{"name":")" + name + R"("},"spec":{)" + spec +
                         R"(,"template":{"spec":{"restartPolicy":"Never",)" + more +
                         R"("containers":[{"name":"c","image":"a"}]}}}})");
  }
  void succeedAlways() {
    agents_.exitCode = [](const Pod&) { return 0; };
  }
  std::vector<std::string> conditions(const std::string& name) {
    std::vector<std::string> all;
    const auto found = get<Job>(name);
    for (const auto& each : found->status().conditions())
      all.push_back(each.type() + "=" + each.status() + ": " + each.reason());
    return all;
  }
  /// Pods that no finalizer holds and that run on.
  std::size_t running() {
    std::size_t count = 0;
    for (const auto& each : pods()) {
      if (!api::isFinished(each) && !each.metadata().has_deletiontimestamp()) ++count;
    }
    return count;
  }
};

TEST_F(JobsTest, CountsItsCompletionsAndTellsOfThem) {
  succeedAlways();
  ASSERT_TRUE(create(job("pi", R"("completions":5,"parallelism":2)")).ok());
  clock_.runUntilIdle();
  auto status = get<Job>("pi")->status();
  EXPECT_EQ(status.active(), 2);
  EXPECT_TRUE(status.has_starttime());
  pass(seconds(60));
  status = get<Job>("pi")->status();
  EXPECT_EQ(status.succeeded(), 5);
  EXPECT_EQ(status.active(), 0);
  EXPECT_EQ(status.ready(), 0);
  EXPECT_EQ(status.terminating(), 0);
  EXPECT_TRUE(status.has_completiontime());
  EXPECT_EQ(status.uncountedterminatedpods().succeeded_size(), 0);
  EXPECT_THAT(conditions("pi"), ElementsAre("SuccessCriteriaMet=True: CompletionsReached",
                                            "Complete=True: CompletionsReached"));
  EXPECT_THAT(messages("pi", "SuccessfulCreate"), SizeIs(5));
  EXPECT_THAT(messages("pi", "Completed"), ElementsAre("Job completed"));
  ASSERT_THAT(pods(), SizeIs(5));
  for (const auto& each : pods()) {
    EXPECT_FALSE(hasJobFinalizer(each));
    EXPECT_EQ(each.metadata().labels().at("batch.kubernetes.io/job-name"), "pi");
    EXPECT_TRUE(each.metadata().name().starts_with("pi-"));
  }
}

TEST_F(JobsTest, GivesEachIndexAPodThatKnowsIt) {
  // Index 2 fails at first.
  std::set<std::string> failed;
  agents_.exitCode = [&failed](const Pod& made) {
    return completionIndex(made) == 2 && failed.insert("once").second ? 1 : 0;
  };
  ASSERT_TRUE(
      create(job("idx", R"("completions":4,"parallelism":4,"completionMode":"Indexed")")).ok());
  clock_.runUntilIdle();
  ASSERT_THAT(pods(), SizeIs(4));
  std::set<std::string> hostnames;
  for (const auto& each : pods()) {
    const std::string index = std::to_string(*completionIndex(each));
    hostnames.insert(each.spec().hostname());
    EXPECT_TRUE(each.metadata().name().starts_with("idx-" + index + "-"));
    EXPECT_EQ(each.metadata().labels().at("batch.kubernetes.io/job-completion-index"), index);
    EXPECT_EQ(each.spec().containers(0).env(0).name(), "JOB_COMPLETION_INDEX");
  }
  EXPECT_THAT(hostnames, ElementsAre("idx-0", "idx-1", "idx-2", "idx-3"));
  pass(seconds(60));
  const auto status = get<Job>("idx")->status();
  EXPECT_EQ(status.succeeded(), 4);
  EXPECT_EQ(status.failed(), 1);
  EXPECT_EQ(status.completedindexes(), "0-3");
  EXPECT_THAT(conditions("idx"), Contains("Complete=True: CompletionsReached"));
}

TEST_F(JobsTest, BacksOffAndGivesUp) {
  agents_.exitCode = [](const Pod&) { return 3; };
  ASSERT_TRUE(create(job("bad", R"("backoffLimit":2)")).ok());
  pass(seconds(9));
  EXPECT_THAT(pods(), SizeIs(1));
  pass(seconds(10));
  EXPECT_THAT(pods(), SizeIs(2));
  pass(seconds(10));
  EXPECT_THAT(pods(), SizeIs(2));  // 20 s after the second failure
  pass(seconds(30));
  EXPECT_THAT(pods(), SizeIs(3));
  EXPECT_THAT(conditions("bad"), ElementsAre("FailureTarget=True: BackoffLimitExceeded",
                                             "Failed=True: BackoffLimitExceeded"));
  EXPECT_EQ(get<Job>("bad")->status().failed(), 3);
  EXPECT_THAT(messages("bad", "BackoffLimitExceeded"),
              ElementsAre("Job has reached the specified backoff limit"));
}

TEST_F(JobsTest, EndsAtItsDeadline) {
  ASSERT_TRUE(create(job("slow", R"("activeDeadlineSeconds":30,"parallelism":2)")).ok());
  pass(seconds(29));
  EXPECT_EQ(running(), 2u);
  pass(seconds(30));
  EXPECT_EQ(running(), 0u);
  EXPECT_THAT(conditions("slow"),
              ElementsAre("FailureTarget=True: DeadlineExceeded", "Failed=True: DeadlineExceeded"));
  EXPECT_THAT(messages("slow", "DeadlineExceeded"),
              ElementsAre("Job was active longer than specified deadline"));
}

TEST_F(JobsTest, IsSuspendedAndResumed) {
  ASSERT_TRUE(create(job("wait", R"("suspend":true,"parallelism":2,"completions":2)")).ok());
  pass(seconds(10));
  EXPECT_THAT(pods(), IsEmpty());
  EXPECT_FALSE(get<Job>("wait")->status().has_starttime());
  EXPECT_THAT(conditions("wait"), ElementsAre("Suspended=True: JobSuspended"));
  patched<Job>("wait", R"({"spec":{"suspend":false}})");
  pass(seconds(10));
  EXPECT_EQ(running(), 2u);
  EXPECT_THAT(conditions("wait"), ElementsAre("Suspended=False: JobResumed"));
  patched<Job>("wait", R"({"spec":{"suspend":true}})");
  pass(seconds(10));
  EXPECT_THAT(pods(), IsEmpty());
  EXPECT_EQ(get<Job>("wait")->status().failed(), 0);
  succeedAlways();
  patched<Job>("wait", R"({"spec":{"suspend":false}})");
  pass(seconds(20));
  EXPECT_EQ(get<Job>("wait")->status().succeeded(), 2);
  EXPECT_THAT(events("wait"), testing::IsSupersetOf({"Suspended", "Resumed", "Completed"}));
}

TEST_F(JobsTest, IsDeletedAWhileAfterItsEnd) {
  succeedAlways();
  ASSERT_TRUE(create(job("short", R"("ttlSecondsAfterFinished":60)")).ok());
  pass(seconds(50));
  EXPECT_THAT(conditions("short"), Contains("Complete=True: CompletionsReached"));
  pass(seconds(70));
  const auto left = get<Job>("short");
  EXPECT_TRUE(!left.ok() || left->metadata().has_deletiontimestamp());
}

TEST_F(JobsTest, FollowsItsFailurePolicy) {
  agents_.exitCode = [](const Pod&) { return 42; };
  ASSERT_TRUE(create(job("strict", R"("podFailurePolicy":{"rules":[
      {"action":"Ignore","onPodConditions":[{"type":"DisruptionTarget","status":"True"}]},
      {"action":"FailJob","onExitCodes":{"operator":"In","values":[42]}}]})"))
                  .ok());
  pass(seconds(20));
  ASSERT_THAT(pods(), SizeIs(1));
  const std::string name = pods()[0].metadata().name();
  EXPECT_THAT(conditions("strict"),
              ElementsAre("FailureTarget=True: PodFailurePolicy", "Failed=True: PodFailurePolicy"));
  EXPECT_THAT(messages("strict", "PodFailurePolicy"),
              ElementsAre("Container c for pod default/" + name +
                          " failed with exit code 42 matching FailJob rule at index 1"));
}

TEST_F(JobsTest, LimitsTheFailuresOfEachIndex) {
  agents_.exitCode = [](const Pod& made) { return *completionIndex(made) % 2; };
  ASSERT_TRUE(create(job("some", R"("completions":4,"parallelism":4,"completionMode":"Indexed",
                                     "backoffLimitPerIndex":1)"))
                  .ok());
  pass(seconds(5));
  EXPECT_THAT(pods(), SizeIs(4));
  pass(seconds(50));
  const auto status = get<Job>("some")->status();
  EXPECT_EQ(status.completedindexes(), "0,2");
  EXPECT_EQ(status.failedindexes(), "1,3");
  EXPECT_EQ(status.failed(), 4);
  EXPECT_THAT(pods(), SizeIs(6));
  EXPECT_THAT(conditions("some"),
              ElementsAre("FailureTarget=True: FailedIndexes", "Failed=True: FailedIndexes"));
}

TEST_F(JobsTest, SucceedsByItsSuccessPolicy) {
  agents_.exitCode = [](const Pod& made) {
    return *completionIndex(made) == 0 ? std::optional<int>(0) : std::nullopt;
  };
  ASSERT_TRUE(create(job("lead", R"("completions":3,"parallelism":3,"completionMode":"Indexed",
                                     "successPolicy":{"rules":[{"succeededIndexes":"0"}]})"))
                  .ok());
  pass(seconds(30));
  EXPECT_THAT(conditions("lead"), ElementsAre("SuccessCriteriaMet=True: SuccessPolicy",
                                              "Complete=True: SuccessPolicy"));
  EXPECT_EQ(get<Job>("lead")->status().succeeded(), 1);
  EXPECT_EQ(get<Job>("lead")->status().failed(), 0);
  EXPECT_EQ(running(), 0u);
}

TEST_F(JobsTest, IsAWorkQueueWithoutCompletions) {
  ASSERT_TRUE(create(job("queue", R"("parallelism":3)")).ok());
  pass(seconds(10));
  ASSERT_EQ(running(), 3u);
  int ends = 0;
  for (auto each : pods()) {
    each.mutable_status()->set_phase(ends++ == 0 ? "Succeeded" : "Failed");
    ASSERT_TRUE(update(each, "status").ok());
    pass(seconds(30));
    EXPECT_THAT(pods(), SizeIs(3)) << "nothing is added after the first success";
  }
  EXPECT_THAT(conditions("queue"), Contains("Complete=True: CompletionsReached"));
}

TEST_F(JobsTest, ReplacesPodsOnlyWhenTheyHaveEndedIfTold) {
  ASSERT_TRUE(create(job("one", R"("podReplacementPolicy":"Failed")")).ok());
  pass(seconds(10));
  const Pod first = pods()[0];
  agents_.setAway(first.spec().nodename(), true);
  ASSERT_TRUE(remove<Pod>(first.metadata().name()).ok());
  pass(seconds(30));
  EXPECT_THAT(pods(), SizeIs(1));
  EXPECT_EQ(get<Job>("one")->status().terminating(), 1);
}

TEST_F(JobsTest, ReplacesThePodsOfANodeThatIsGone) {
  ASSERT_TRUE(create(job("moved", R"("podFailurePolicy":{"rules":[
      {"action":"Ignore","onPodConditions":[{"type":"DisruptionTarget","status":"True"}]}]})"))
                  .ok());
  pass(seconds(10));
  const Pod first = pods()[0];
  agents_.setAway(first.spec().nodename(), true);
  alive_.erase(first.spec().nodename());
  ASSERT_TRUE(remove<corev1::Node>(first.spec().nodename()).ok());
  pass(minutes(2));
  ASSERT_THAT(pods(), SizeIs(1));
  EXPECT_NE(pods()[0].spec().nodename(), first.spec().nodename());
  EXPECT_EQ(get<Job>("moved")->status().failed(), 0);
  EXPECT_EQ(get<Job>("moved")->status().active(), 1);
}

TEST_F(JobsTest, LetsGoOfPodsWhenItIsGone) {
  ASSERT_TRUE(create(job("gone", R"("parallelism":2)")).ok());
  pass(seconds(10));
  ASSERT_TRUE(remove<Job>("gone").ok());
  clock_.runUntilIdle();
  for (const auto& each : pods()) EXPECT_FALSE(hasJobFinalizer(each));
}

TEST_F(JobsTest, ShrinksWithoutFailures) {
  ASSERT_TRUE(create(job("less", R"("parallelism":6,"completions":8)")).ok());
  pass(seconds(10));
  patched<Job>("less", R"({"spec":{"parallelism":2}})");
  pass(seconds(10));
  EXPECT_EQ(running(), 2u);
  EXPECT_EQ(get<Job>("less")->status().failed(), 0);
  EXPECT_EQ(get<Job>("less")->status().active(), 2);
}

/// Pods fail, nodes go, answers are lost and controllers are killed: still each job ends with
/// exactly so many completions, each of a pod that succeeded.
class JobChaos : public WorkloadTest, public testing::WithParamInterface<std::uint64_t> {};

TEST_P(JobChaos, CountsEachCompletionOnce) {
  SeededRng rng(GetParam(), "job-chaos");
  SCOPED_TRACE("seed " + std::to_string(GetParam()));
  fakes::FlakyApi flaky(*admin_, clock_, rng);
  startCluster(&flaky);
  fakes::FlakyApi::Faults bad;
  bad.refused = 0.05;
  bad.watchBroken = 0.01;
  bad.slowest = std::chrono::milliseconds(40);
  flaky.setFaults(bad);
  agents_.exitCode = [&rng](const Pod&) { return rng.chance(0.2) ? 1 : 0; };
  const auto spec = [](const char* more) {
    return fromJson<Job>(R"({"metadata":{"name":"j"},"spec":{"completions":12,"parallelism":4,
      "backoffLimit":1000)" +
                         std::string(more) +
                         R"(,"template":{"spec":{"restartPolicy":"Never",
      "containers":[{"name":"c","image":"a"}]}}}})");
  };
  const bool indexed = GetParam() % 2 == 0;
  ASSERT_TRUE(create(spec(indexed ? R"(,"completionMode":"Indexed")" : "")).ok());

  // All that ever succeeded, by what a watch shows.
  std::set<std::string> succeeded;
  std::set<std::int32_t> indexes;
  auto watch = this->watch<Pod>({});
  const auto look = [&] {
    for (const auto& event : drain(*watch)) {
      const auto& seen = api::as<Pod>(event.object);
      if (seen.status().phase() != "Succeeded") continue;
      succeeded.insert(seen.metadata().uid());
      if (indexed) indexes.insert(*completionIndex(seen));
    }
    const auto now = get<Job>("j");
    ASSERT_TRUE(now.ok());
    const auto counted = static_cast<std::size_t>(
        now->status().succeeded() + now->status().uncountedterminatedpods().succeeded_size());
    ASSERT_LE(counted, indexed ? indexes.size() : succeeded.size());
  };
  bool over = false;
  for (int step = 0; step < 400 && !over; ++step) {
    pass(seconds(1 + static_cast<int>(rng.below(20))));
    look();
    if (HasFatalFailure()) return;
    if (rng.chance(0.2)) {
      // In the midst of things.
      clock_.advance(std::chrono::milliseconds(rng.below(4000)));
      restartManager(&flaky);
    }
    if (rng.chance(0.1)) {
      const auto all = pods();
      if (!all.empty()) (void)remove<Pod>(all[rng.below(all.size())].metadata().name());
    }
    over = api::finishedCondition(*get<Job>("j")) != nullptr;
  }
  ASSERT_TRUE(over) << get<Job>("j")->ShortDebugString();
  look();  // what came after the last look
  const auto end = get<Job>("j");
  EXPECT_EQ(api::finishedCondition(*end)->type(), "Complete");
  EXPECT_EQ(end->status().uncountedterminatedpods().succeeded_size(), 0);
  if (indexed) {
    EXPECT_EQ(end->status().succeeded(), 12);
    EXPECT_EQ(end->status().completedindexes(), "0-11");
    EXPECT_EQ(indexes.size(), 12u);
  } else {
    EXPECT_GE(end->status().succeeded(), 12);
    // One that the job no longer needs and deletes may succeed all the same: it is not counted.
    EXPECT_LE(static_cast<std::size_t>(end->status().succeeded()), succeeded.size());
  }
  pass(minutes(1));
  for (const auto& each : pods()) EXPECT_FALSE(hasJobFinalizer(each));
  EXPECT_EQ(get<Job>("j")->status().succeeded(), end->status().succeeded());
}

INSTANTIATE_TEST_SUITE_P(Seeds, JobChaos, testing::Range<std::uint64_t>(1, 7));

}  // namespace
}  // namespace podlab::controllers
