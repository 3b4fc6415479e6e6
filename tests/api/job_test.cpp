#include <gtest/gtest.h>

#include "batch_v1.pb.h"

#include "tests/api/objects.hpp"

namespace podlab::api {
namespace {

/// A job as it is stored: defaults, generated selector.
batchv1::Job makeJob(const std::string& more = "") {
  auto job = fromText<batchv1::Job>(R"(
      metadata { name: "pi" namespace: "n" uid: "u1" }
      spec { template { spec { restartPolicy: "Never" containers { name: "c" image: "i:1" } } } })");
  job.MergeFrom(fromText<batchv1::Job>(more));
  const auto& strategy = kindFor<batchv1::Job>().strategy;
  strategy.applyDefaults(job);
  strategy.prepareForCreate(job);
  return job;
}

std::string faults(const batchv1::Job& job) {
  return lines(kindFor<batchv1::Job>().strategy.validate(job));
}

std::string faultsOfChange(const std::string& before, const std::string& now) {
  return lines(kindFor<batchv1::Job>().strategy.validateUpdate(makeJob(now), makeJob(before)));
}

TEST(Job, HasDefaultsAndASelectorOfItsOwn) {
  const batchv1::Job job = makeJob();
  EXPECT_EQ(job.spec().completions(), 1);
  EXPECT_EQ(job.spec().parallelism(), 1);
  EXPECT_EQ(job.spec().backofflimit(), 6);
  EXPECT_EQ(job.spec().completionmode(), "NonIndexed");
  EXPECT_EQ(job.spec().podreplacementpolicy(), "TerminatingOrFailed");
  EXPECT_EQ(job.spec().selector().matchlabels().at("batch.kubernetes.io/controller-uid"), "u1");
  const auto& labels = job.spec().template_().metadata().labels();
  EXPECT_EQ(labels.at("batch.kubernetes.io/job-name"), "pi");
  EXPECT_EQ(labels.at("job-name"), "pi");
  EXPECT_EQ(labels.at("controller-uid"), "u1");
  EXPECT_EQ(faults(job), "");

  EXPECT_FALSE(makeJob("spec { parallelism: 3 }").spec().has_completions());
  EXPECT_EQ(makeJob("spec { podFailurePolicy {} }").spec().podreplacementpolicy(), "Failed");
}

TEST(Job, NamesWhatIsWrong) {
  batchv1::Job always = makeJob();
  always.mutable_spec()->mutable_template_()->mutable_spec()->set_restartpolicy("Always");
  EXPECT_EQ(faults(always),
            "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", "
            "\"Never\"\n");
  EXPECT_EQ(faults(makeJob("spec { completions: -1 }")),
            "spec.completions: Invalid value: -1: must be greater than or equal to 0\n");
  EXPECT_EQ(faults(makeJob("spec { parallelism: 2 completionMode: 'Indexed' }")),
            "spec.completions: Required value: when completion mode is Indexed\n");
  EXPECT_EQ(faults(makeJob("spec { backoffLimitPerIndex: 1 }")),
            "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode\n");
  EXPECT_EQ(faults(makeJob("spec { completionMode: 'Sorted' }")),
            "spec.completionMode: Unsupported value: \"Sorted\": supported values: \"Indexed\", "
            "\"NonIndexed\"\n");
  EXPECT_EQ(faults(makeJob("spec { selector { matchLabels { key: 'a' value: 'b' } } }")),
            "spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"b\",\"batch.kubernetes.io/"
            "controller-uid\":\"u1\"}}: `selector` not auto-generated\n"
            "spec.template.metadata.labels: Invalid value: {\"labels\":{\"batch.kubernetes.io/"
            "controller-uid\":\"u1\",\"batch.kubernetes.io/job-name\":\"pi\",\"controller-uid\":"
            "\"u1\",\"job-name\":\"pi\"}}: `selector` does not match template `labels`\n");
  EXPECT_EQ(faults(makeJob("spec { manualSelector: true }")), "spec.selector: Required value\n");
}

TEST(Job, NamesWhatIsWrongWithPolicies) {
  EXPECT_EQ(
      faults(makeJob("spec { podFailurePolicy { rules { action: 'Stop' onExitCodes { operator: "
                     "'In' containerName: 'x' values: [0, 3, 2, 3] } } } }")),
      "spec.podFailurePolicy.rules[0].action: Unsupported value: \"Stop\": supported values: "
      "\"Count\", \"FailIndex\", \"FailJob\", \"Ignore\"\n"
      "spec.podFailurePolicy.rules[0].onExitCodes.containerName: Invalid value: \"x\": must be one "
      "of the container or initContainer names in the pod template\n"
      "spec.podFailurePolicy.rules[0].onExitCodes.values[0]: Invalid value: 0: must not be 0 for "
      "the In operator\n"
      "spec.podFailurePolicy.rules[0].onExitCodes.values[3]: Duplicate value: \"3\"\n"
      "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [0,3,2,3]: must be "
      "ordered\n");
  EXPECT_EQ(faults(makeJob("spec { podFailurePolicy { rules { action: 'FailIndex' } } }")),
            "spec.podFailurePolicy.rules[0].action: Invalid value: \"FailIndex\": requires the "
            "backoffLimitPerIndex to be set\n"
            "spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and "
            "OnPodConditions is required\n");
  EXPECT_EQ(faults(makeJob("spec { completionMode: 'Indexed' completions: 5 successPolicy { rules "
                           "{ succeededIndexes: '0,2-9' } rules { } rules { succeededCount: 6 } "
                           "rules { succeededIndexes: '0-1' succeededCount: 3 } } }")),
            "spec.successPolicy.rules[0].succeededIndexes: Invalid value: \"0,2-9\": error parsing "
            "succeededIndexes: too large index: \"9\"\n"
            "spec.successPolicy.rules[1]: Required value: at least one of succeededCount or "
            "succeededIndexes must be specified\n"
            "spec.successPolicy.rules[2].succeededCount: Invalid value: 6: must be less than or "
            "equal to 5 (the number of specified completions)\n"
            "spec.successPolicy.rules[3].succeededCount: Invalid value: 3: must be less than or "
            "equal to 2 (the number of indexes in the specified succeededIndexes field)\n");
}

TEST(Job, IsMostlyImmutable) {
  EXPECT_EQ(faultsOfChange("",
                           "spec { parallelism: 3 completions: 1 backoffLimit: 2 suspend: true "
                           "ttlSecondsAfterFinished: 5 activeDeadlineSeconds: 9 }"),
            "");
  EXPECT_EQ(faultsOfChange("", "spec { completions: 2 parallelism: 1 }"),
            "spec.completions: Invalid value: 2: field is immutable\n");
  EXPECT_EQ(faultsOfChange("spec { completionMode: 'Indexed' completions: 2 parallelism: 2 }",
                           "spec { completionMode: 'Indexed' completions: 4 parallelism: 4 }"),
            "");
  EXPECT_EQ(faultsOfChange("spec { completionMode: 'Indexed' completions: 2 parallelism: 2 }",
                           "spec { completionMode: 'Indexed' completions: 4 parallelism: 2 }"),
            "spec.completions: Invalid value: 4: can only be modified in tandem with "
            "spec.parallelism\n");
  EXPECT_NE(faultsOfChange("", "spec { template { spec { nodeName: 'n' } } }").find("immutable"),
            std::string::npos);
  // Where a job goes may change while it waits.
  const char* elsewhere =
      "spec { suspend: true template { spec { nodeSelector { key: 'a' value: "
      "'b' } } } }";
  EXPECT_EQ(faultsOfChange("spec { suspend: true }", elsewhere), "");
  EXPECT_NE(faultsOfChange("", elsewhere), "");
}

batchv1::CronJob makeCronJob(const std::string& more = "") {
  auto job = fromText<batchv1::CronJob>(R"(
      metadata { name: "hello" namespace: "n" }
      spec { schedule: "* * * * *" jobTemplate { spec { template { spec {
        restartPolicy: "OnFailure" containers { name: "c" image: "i:1" } } } } } })");
  job.MergeFrom(fromText<batchv1::CronJob>(more));
  kindFor<batchv1::CronJob>().strategy.applyDefaults(job);
  return job;
}

std::string faults(const batchv1::CronJob& job) {
  return lines(kindFor<batchv1::CronJob>().strategy.validate(job));
}

TEST(CronJob, HasDefaultsAndNamesWhatIsWrong) {
  const batchv1::CronJob job = makeCronJob();
  EXPECT_EQ(job.spec().concurrencypolicy(), "Allow");
  EXPECT_EQ(job.spec().successfuljobshistorylimit(), 3);
  EXPECT_EQ(job.spec().failedjobshistorylimit(), 1);
  EXPECT_EQ(faults(job), "");
  EXPECT_EQ(faults(makeCronJob("spec { schedule: '61 * * * *' }")),
            "spec.schedule: Invalid value: \"61 * * * *\": end of range (61) above maximum (59): "
            "61\n");
  EXPECT_EQ(faults(makeCronJob("spec { schedule: 'TZ=UTC 0 * * * *' }")),
            "spec.schedule: Invalid value: \"TZ=UTC 0 * * * *\": cannot use TZ or CRON_TZ in "
            "schedule, use timeZone field instead\n");
  EXPECT_EQ(faults(makeCronJob("spec { timeZone: 'Mars/Base' }")),
            "spec.timeZone: Invalid value: \"Mars/Base\": unknown time zone Mars/Base\n");
  EXPECT_EQ(faults(makeCronJob("spec { timeZone: 'UTC' concurrencyPolicy: 'Queue' }")),
            "spec.concurrencyPolicy: Unsupported value: \"Queue\": supported values: \"Allow\", "
            "\"Forbid\", \"Replace\"\n");
  EXPECT_EQ(faults(makeCronJob("spec { jobTemplate { spec { selector { } completions: -1 } } }")),
            "spec.jobTemplate.spec.completions: Invalid value: -1: must be greater than or equal "
            "to 0\n"
            "spec.jobTemplate.spec.selector: Invalid value: {}: `selector` will be "
            "auto-generated\n");
  EXPECT_EQ(faults(makeCronJob("metadata { name: '" + std::string(53, 'a') + "' }")),
            "metadata.name: Invalid value: \"" + std::string(53, 'a') +
                "\": must be no more than 52 characters\n");
}

}  // namespace
}  // namespace podlab::api
