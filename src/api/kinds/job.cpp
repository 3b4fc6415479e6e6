#include <limits>

#include "api/age.hpp"
#include "api/codec.hpp"
#include "api/jobs.hpp"
#include "api/kinds/job_parts.hpp"
#include "api/kinds/pod_template.hpp"
#include "api/kinds/rules.hpp"
#include "api/names.hpp"
#include "api/times.hpp"

namespace podlab::api {
namespace {

using batchv1::Job;

constexpr std::int32_t kBackoffLimit = 6;

void applyDefaults(Job& job) {
  batchv1::JobSpec& spec = *job.mutable_spec();
  // A job without completions but with parallelism is a work queue.
  if (!spec.has_completions() && !spec.has_parallelism()) {
    spec.set_completions(1);
    spec.set_parallelism(1);
  }
  if (!spec.has_parallelism()) spec.set_parallelism(1);
  if (!spec.has_backofflimit()) {
    // Indexes with limits of their own have no other.
    spec.set_backofflimit(spec.has_backofflimitperindex() ? std::numeric_limits<std::int32_t>::max()
                                                          : kBackoffLimit);
  }
  if (!spec.has_completionmode()) spec.set_completionmode("NonIndexed");
  if (!spec.has_suspend()) spec.set_suspend(false);
  if (!spec.has_manualselector()) spec.set_manualselector(false);
  if (!spec.has_podreplacementpolicy()) {
    spec.set_podreplacementpolicy(spec.has_podfailurepolicy() ? "Failed" : "TerminatingOrFailed");
  }
  applyPodTemplateDefaults(*spec.mutable_template_());
}

/// A selector that no other job has, unless the user manages it.
void prepareForCreate(Job& job) {
  job.clear_status();
  batchv1::JobSpec& spec = *job.mutable_spec();
  if (spec.manualselector()) return;
  const std::string& name = job.metadata().name();
  const std::string& uid = job.metadata().uid();
  // Labels that are there already are validation's matter.
  auto& labels = *spec.mutable_template_()->mutable_metadata()->mutable_labels();
  for (const auto& [key, value] : {std::pair{kOldJobNameLabel, name},
                                   {kJobNameLabel, name},
                                   {kOldJobUidLabel, uid},
                                   {kJobUidLabel, uid}}) {
    labels.insert({std::string(key), value});
  }
  spec.mutable_selector()->mutable_matchlabels()->insert({std::string(kJobUidLabel), uid});
}

void validateGeneratedSelector(const Job& job, FieldErrors& errors) {
  if (job.spec().manualselector() || !job.spec().has_selector()) return;
  const FieldPath labels("spec.template.metadata.labels");
  const auto& present = job.spec().template_().metadata().labels();
  Labels expected;
  const std::string& name = job.metadata().name();
  const std::string& uid = job.metadata().uid();
  for (const auto& [key, value] : {std::pair{kOldJobUidLabel, uid},
                                   {kOldJobNameLabel, name},
                                   {kJobUidLabel, uid},
                                   {kJobNameLabel, name}}) {
    const std::string label(key);
    expected[label] = value;
    const auto found = present.find(label);
    if (found == present.end()) {
      errors.required(labels.key(label), "must be '" + value + "'");
    } else if (found->second != value) {
      errors.invalid(labels.key(label), found->second, "must be '" + value + "'");
    }
  }
  const auto selector = LabelSelector::of(job.spec().selector());
  if (selector && !selector->matches(expected)) {
    errors.invalidJson(FieldPath("spec.selector"), toJson(job.spec().selector()),
                       "`selector` not auto-generated");
  }
}

void validateSelector(const Job& job, FieldErrors& errors) {
  if (!job.spec().has_selector()) {
    errors.required(FieldPath("spec.selector"));
    return;
  }
  const auto selector = LabelSelector::of(job.spec().selector());
  if (!selector) {
    errors.invalid(FieldPath("spec.selector"), "", selector.status().message());
  } else if (!selector->matches(job.spec().template_().metadata().labels())) {
    errors.invalidJson(FieldPath("spec.template.metadata.labels"),
                       toJson(job.spec().template_().metadata()),
                       "`selector` does not match template `labels`");
  }
}

std::vector<Cause> validate(const Job& job) {
  FieldErrors errors;
  validateGeneratedSelector(job, errors);
  validateJobSpec(job.spec(), FieldPath("spec"), errors);
  validateSelector(job, errors);
  if (isIndexed(job.spec()) && job.spec().completions() > 0) {
    const std::string last =
        job.metadata().name() + "-" + std::to_string(job.spec().completions() - 1);
    if (const Faults faults = faultsOfDns1123Label(last); !faults.empty()) {
      errors.invalid(FieldPath("metadata.name"), job.metadata().name(),
                     "will not able to create pod with invalid DNS label: " + last);
    }
  }
  return errors.take();
}

std::vector<Cause> validateUpdate(const Job& now, const Job& before) {
  FieldErrors errors;
  validateJobSpecUpdate(now, before, errors);
  return errors.take();
}

std::string statusCell(const Job& job) {
  if (findTrue(job, kJobComplete) != nullptr) return "Complete";
  if (findTrue(job, kJobFailed) != nullptr) return "Failed";
  if (job.metadata().has_deletiontimestamp()) return "Terminating";
  for (const auto type : {kJobSuspended, kJobFailureTarget, kJobSuccessCriteriaMet}) {
    if (findTrue(job, type) != nullptr) return std::string(type);
  }
  return "Running";
}

std::string completionsCell(const Job& job) {
  const std::string succeeded = std::to_string(job.status().succeeded()) + "/";
  if (job.spec().has_completions()) return succeeded + std::to_string(job.spec().completions());
  const std::int32_t parallelism = job.spec().parallelism();
  return succeeded + (parallelism > 1 ? "1 of " + std::to_string(parallelism) : "1");
}

std::string durationCell(const google::protobuf::Message& object, WallTime now) {
  const auto& status = static_cast<const Job&>(object).status();
  if (!isSet(status.starttime())) return "";
  const WallTime end = isSet(status.completiontime()) ? toWallTime(status.completiontime()) : now;
  return formatAge(end - toWallTime(status.starttime()));
}

}  // namespace

Kind jobKind() {
  return {
      .group = "batch",
      .version = "v1",
      .kind = "Job",
      .plural = "jobs",
      .singular = "job",
      .shortNames = {},
      .categories = {"all"},
      .scope = Scope::kNamespaced,
      .prototype = &Job::default_instance(),
      .columns = {nameColumn(),
                  column<Job>("Status", 0, statusCell),
                  column<Job>("Completions", 0, completionsCell),
                  {"Duration", 0, durationCell},
                  ageColumn(),
                  column<Job>(
                      "Containers", 1,
                      [](const Job& job) { return containerNamesCell(job.spec().template_()); }),
                  column<Job>("Images", 1,
                              [](const Job& job) { return imagesCell(job.spec().template_()); }),
                  column<Job>("Selector", 1,
                              [](const Job& job) { return selectorCell(job.spec().selector()); })},
      .strategy = {.hasStatus = true,
                   .hasGeneration = true,
                   .applyDefaults = writes<Job>(applyDefaults),
                   .prepareForCreate = writes<Job>(prepareForCreate),
                   .validate = reads<Job>(validate),
                   .validateUpdate = compares<Job>(validateUpdate),
                   .fieldLabels = {{"status.successful", reads<Job>([](const Job& job) {
                                      return std::to_string(job.status().succeeded());
                                    })}},
                   .dependents = Dependents::kOrphan},
  };
}

}  // namespace podlab::api
