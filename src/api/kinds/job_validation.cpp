// In the wording of pkg/apis/batch/validation.
#include <algorithm>
#include <set>

#include "api/codec.hpp"
#include "api/index_set.hpp"
#include "api/jobs.hpp"
#include "api/kinds/job_parts.hpp"
#include "api/kinds/pod_template.hpp"
#include "api/kinds/rules.hpp"
#include "api/names.hpp"

namespace podlab::api {
namespace {

using batchv1::JobSpec;
using batchv1::PodFailurePolicyRule;

constexpr int kMaxRules = 20;
constexpr int kMaxPatterns = 20;
constexpr int kMaxExitCodes = 255;
constexpr std::int64_t kMaxIndexes = 100'000;        ///< that may fail or run at a time
constexpr std::int64_t kMaxIndexesOfLarge = 10'000;  ///< the same above kMaxIndexes completions
constexpr std::int64_t kMaxIndexText = 64 << 10;
constexpr std::size_t kMaxManagedBy = 63;

constexpr std::string_view kRestartPolicies[] = {"OnFailure", "Never"};

/// `["Count" "FailJob"]`, as Go's %q of a list.
std::string listText(std::span<const std::string_view> values) {
  std::string text = "valid values: [";
  for (const std::string_view value : values) {
    if (!text.ends_with('[')) text += ' ';
    text += quoted(value);
  }
  return text + "]";
}

void oneOfChoices(const FieldPath& path, const std::string& value,
                  std::span<const std::string_view> choices, FieldErrors& errors) {
  if (value.empty()) {
    errors.required(path, listText(choices));
  } else {
    errors.oneOf(path, value, choices);
  }
}

void atMost(const FieldPath& path, std::int64_t value, std::int64_t max, std::string_view when,
            FieldErrors& errors) {
  if (value <= max) return;
  errors.invalid(path, value,
                 "must be less than or equal to " + std::to_string(max) + std::string(when));
}

void validateExitCodes(const batchv1::PodFailurePolicyOnExitCodesRequirement& codes,
                       const std::set<std::string>& containers, const FieldPath& path,
                       FieldErrors& errors) {
  constexpr std::string_view kOperators[] = {"In", "NotIn"};
  oneOfChoices(path.child("operator"), codes.operator_(), kOperators, errors);
  if (codes.has_containername() && !containers.contains(codes.containername())) {
    errors.invalid(path.child("containerName"), codes.containername(),
                   "must be one of the container or initContainer names in the pod template");
  }
  const FieldPath values = path.child("values");
  if (codes.values().empty()) {
    errors.invalidJson(values, "[]", "at least one value is required");
  } else if (codes.values_size() > kMaxExitCodes) {
    errors.tooMany(values, codes.values_size(), kMaxExitCodes);
  }
  std::set<std::int32_t> seen;
  forEach(codes.values(), values, [&](std::int32_t value, const FieldPath& at) {
    if (codes.operator_() == "In" && value == 0) {
      errors.invalid(at, value, "must not be 0 for the In operator");
    }
    if (!seen.insert(value).second) errors.duplicate(at, std::to_string(value));
  });
  if (std::ranges::is_sorted(codes.values())) return;
  std::string text;
  for (const std::int32_t value : codes.values()) {
    text += (text.empty() ? "" : ",") + std::to_string(value);
  }
  errors.invalidJson(values, "[" + text + "]", "must be ordered");
}

void validateRule(const JobSpec& spec, const PodFailurePolicyRule& rule,
                  const std::set<std::string>& containers, const FieldPath& path,
                  FieldErrors& errors) {
  constexpr std::string_view kActions[] = {"Count", "FailIndex", "FailJob", "Ignore"};
  constexpr std::string_view kStates[] = {"False", "True", "Unknown"};
  const FieldPath action = path.child("action");
  oneOfChoices(action, rule.action(), kActions, errors);
  if (rule.action() == "FailIndex" && !spec.has_backofflimitperindex()) {
    errors.invalid(action, rule.action(), "requires the backoffLimitPerIndex to be set");
  }
  if (rule.has_onexitcodes()) {
    validateExitCodes(rule.onexitcodes(), containers, path.child("onExitCodes"), errors);
  }
  const FieldPath conditions = path.child("onPodConditions");
  if (rule.onpodconditions_size() > kMaxPatterns) {
    errors.tooMany(conditions, rule.onpodconditions_size(), kMaxPatterns);
  }
  forEach(rule.onpodconditions(), conditions, [&](const auto& pattern, const FieldPath& at) {
    errors.invalidEach(at.child("type"), pattern.type(), faultsOfQualifiedName(pattern.type()));
    oneOfChoices(at.child("status"), pattern.status(), kStates, errors);
  });
  if (rule.has_onexitcodes() && !rule.onpodconditions().empty()) {
    errors.invalidWhole(path, "specifying both OnExitCodes and OnPodConditions is not supported");
  }
  if (!rule.has_onexitcodes() && rule.onpodconditions().empty()) {
    errors.invalidWhole(path, "specifying one of OnExitCodes and OnPodConditions is required");
  }
}

void validateFailurePolicy(const JobSpec& spec, const FieldPath& path, FieldErrors& errors) {
  const FieldPath rules = path.child("rules");
  const int count = spec.podfailurepolicy().rules_size();
  if (count > kMaxRules) errors.tooMany(rules, count, kMaxRules);
  std::set<std::string> containers;
  for (const auto& each : spec.template_().spec().containers()) containers.insert(each.name());
  for (const auto& each : spec.template_().spec().initcontainers()) containers.insert(each.name());
  forEach(spec.podfailurepolicy().rules(), rules, [&](const auto& rule, const FieldPath& at) {
    validateRule(spec, rule, containers, at, errors);
  });
}

void validateSuccessPolicy(const JobSpec& spec, const FieldPath& path, FieldErrors& errors) {
  if (!isIndexed(spec)) {
    errors.invalidJson(path, toJson(spec.successpolicy()), "requires indexed completion mode");
    return;
  }
  const FieldPath rules = path.child("rules");
  const int count = spec.successpolicy().rules_size();
  if (count == 0) errors.required(rules, "at least one rules must be specified");
  if (count > kMaxRules) errors.tooMany(rules, count, kMaxRules);
  forEach(spec.successpolicy().rules(), rules, [&](const auto& rule, const FieldPath& at) {
    if (!rule.has_succeededcount() && !rule.has_succeededindexes()) {
      errors.required(at, "at least one of succeededCount or succeededIndexes must be specified");
    }
    std::int64_t most = spec.completions();
    std::string_view of = " (the number of specified completions)";
    const FieldPath indexes = at.child("succeededIndexes");
    if (rule.has_succeededindexes()) {
      const std::string& text = rule.succeededindexes();
      if (static_cast<std::int64_t>(text.size()) > kMaxIndexText) {
        errors.tooLong(indexes, kMaxIndexText);
      }
      const auto parsed = IndexSet::parse(text, spec.completions());
      if (!parsed) {
        errors.invalid(indexes, text,
                       "error parsing succeededIndexes: " + parsed.status().message());
        return;
      }
      most = parsed->size();
      of = " (the number of indexes in the specified succeededIndexes field)";
    }
    if (!rule.has_succeededcount()) return;
    errors.notNegative(at.child("succeededCount"), rule.succeededcount());
    atMost(at.child("succeededCount"), rule.succeededcount(), most, of, errors);
  });
}

void validateIndexed(const JobSpec& spec, const FieldPath& path, FieldErrors& errors) {
  if (!spec.has_completions()) {
    errors.required(path.child("completions"), "when completion mode is Indexed");
  }
  atMost(path.child("parallelism"), spec.parallelism(), kMaxIndexes,
         " when completion mode is Indexed", errors);
  if (spec.has_maxfailedindexes()) {
    if (spec.has_completions() && spec.maxfailedindexes() > spec.completions()) {
      errors.invalid(path.child("maxFailedIndexes"), spec.maxfailedindexes(),
                     "must be less than or equal to completions");
    }
    atMost(path.child("maxFailedIndexes"), spec.maxfailedindexes(), kMaxIndexes, "", errors);
  }
  if (spec.completions() <= kMaxIndexes || !spec.has_backofflimitperindex()) return;
  constexpr std::string_view kWhen =
      " when completions are above 100000 and used with backoff limit per index";
  if (!spec.has_maxfailedindexes()) {
    errors.required(path.child("maxFailedIndexes"),
                    "must be specified when completions is above 100000");
  }
  atMost(path.child("parallelism"), spec.parallelism(), kMaxIndexesOfLarge, kWhen, errors);
  atMost(path.child("maxFailedIndexes"), spec.maxfailedindexes(), kMaxIndexesOfLarge, kWhen,
         errors);
}

/// What of a template a job that has not started may change (its scheduling).
corev1::PodTemplateSpec fixedPartOf(const corev1::PodTemplateSpec& pod) {
  corev1::PodTemplateSpec fixed = pod;
  fixed.mutable_metadata()->clear_labels();
  fixed.mutable_metadata()->clear_annotations();
  fixed.mutable_spec()->clear_nodeselector();
  fixed.mutable_spec()->mutable_affinity()->clear_nodeaffinity();
  fixed.mutable_spec()->clear_tolerations();
  fixed.mutable_spec()->clear_schedulinggates();
  return fixed;
}

}  // namespace

void validateJobSpec(const JobSpec& spec, const FieldPath& path, FieldErrors& errors) {
  constexpr std::string_view kModes[] = {"Indexed", "NonIndexed"};
  constexpr std::string_view kReplacements[] = {"Failed", "TerminatingOrFailed"};
  const FieldPath restart = path.child("template").child("spec").child("restartPolicy");
  errors.notNegative(path.child("parallelism"), spec.parallelism());
  errors.notNegative(path.child("completions"), spec.completions());
  errors.notNegative(path.child("activeDeadlineSeconds"), spec.activedeadlineseconds());
  errors.notNegative(path.child("backoffLimit"), spec.backofflimit());
  errors.notNegative(path.child("ttlSecondsAfterFinished"), spec.ttlsecondsafterfinished());
  errors.notNegative(path.child("backoffLimitPerIndex"), spec.backofflimitperindex());
  if (spec.has_backofflimitperindex() && !isIndexed(spec)) {
    errors.invalid(path.child("backoffLimitPerIndex"), spec.backofflimitperindex(),
                   "requires indexed completion mode");
  }
  errors.notNegative(path.child("maxFailedIndexes"), spec.maxfailedindexes());
  if (spec.has_maxfailedindexes() && !spec.has_backofflimitperindex()) {
    errors.required(path.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified");
  }
  if (spec.has_managedby()) {
    errors.invalidEach(path.child("managedBy"), spec.managedby(),
                       faultsOfQualifiedName(spec.managedby()));
    if (spec.managedby().size() > kMaxManagedBy)
      errors.tooLong(path.child("managedBy"), kMaxManagedBy);
  }
  if (spec.has_completionmode()) {
    errors.oneOf(path.child("completionMode"), spec.completionmode(), kModes);
  }
  if (isIndexed(spec)) validateIndexed(spec, path, errors);
  if (spec.has_podfailurepolicy()) {
    validateFailurePolicy(spec, path.child("podFailurePolicy"), errors);
  }
  if (spec.has_successpolicy()) validateSuccessPolicy(spec, path.child("successPolicy"), errors);
  if (spec.has_podreplacementpolicy()) {
    const std::span all(kReplacements);
    errors.oneOf(path.child("podReplacementPolicy"), spec.podreplacementpolicy(),
                 spec.has_podfailurepolicy() ? all.first(1) : all);
  }

  const std::string& policy = spec.template_().spec().restartpolicy();
  constexpr std::string_view kEvery[] = {"Always", "OnFailure", "Never"};
  validatePodTemplate(spec.template_(), kEvery, path.child("template"), errors);
  if (policy == "Always") {
    // The default, so nobody may have asked for it.
    errors.required(restart, "valid values: \"OnFailure\", \"Never\"");
  } else if (std::ranges::find(kRestartPolicies, policy) != std::end(kRestartPolicies) &&
             spec.has_podfailurepolicy() && policy != "Never") {
    errors.invalid(restart, policy,
                   "only \"Never\" is supported when podFailurePolicy is specified");
  }
}

void validateJobSpecUpdate(const batchv1::Job& now, const batchv1::Job& before,
                           FieldErrors& errors) {
  const FieldPath path("spec");
  const JobSpec& spec = now.spec();
  const JobSpec& old = before.spec();
  const auto fixed = [&](std::string_view field, const google::protobuf::Message& a,
                         const google::protobuf::Message& b) {
    if (!sameMessage(a, b)) errors.invalidJson(path.child(field), toJson(a), kImmutable);
  };
  const auto completions = [&](const JobSpec& of) {
    return of.has_completions() ? std::to_string(of.completions()) : std::string("null");
  };
  if (completions(spec) != completions(old)) {
    // An indexed job may grow and shrink as a whole.
    const bool inTandem = isIndexed(spec) && spec.has_completions() && old.has_completions();
    if (!inTandem) {
      errors.invalidJson(path.child("completions"), completions(spec), kImmutable);
    } else if (spec.completions() != spec.parallelism() || old.completions() != old.parallelism()) {
      errors.invalid(path.child("completions"), spec.completions(),
                     "can only be modified in tandem with spec.parallelism");
    }
  }
  fixed("selector", spec.selector(), old.selector());
  const bool schedulable = old.suspend() && !before.status().has_starttime();
  fixed("template", schedulable ? fixedPartOf(spec.template_()) : spec.template_(),
        schedulable ? fixedPartOf(old.template_()) : old.template_());
  if (spec.completionmode() != old.completionmode())
    errors.invalid(path.child("completionMode"), spec.completionmode(), kImmutable);
  fixed("podFailurePolicy", spec.podfailurepolicy(), old.podfailurepolicy());
  if (spec.has_backofflimitperindex() != old.has_backofflimitperindex() ||
      spec.backofflimitperindex() != old.backofflimitperindex()) {
    errors.invalid(path.child("backoffLimitPerIndex"), spec.backofflimitperindex(), kImmutable);
  }
  if (spec.managedby() != old.managedby())
    errors.invalid(path.child("managedBy"), spec.managedby(), kImmutable);
  fixed("successPolicy", spec.successpolicy(), old.successpolicy());
}

}  // namespace podlab::api
