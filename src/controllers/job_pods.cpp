#include "controllers/job_pods.hpp"

#include <algorithm>
#include <charconv>

#include "api/conditions.hpp"
#include "api/jobs.hpp"
#include "api/kinds.hpp"
#include "api/times.hpp"
#include "client/modify.hpp"
#include "controllers/owned_pods.hpp"

namespace podlab::controllers {
namespace {

constexpr const char* kIndex = "batch.kubernetes.io/job-completion-index";
constexpr const char* kIndexFailures = "batch.kubernetes.io/job-index-failure-count";
constexpr const char* kIgnoredFailures = "batch.kubernetes.io/job-index-ignored-failure-count";
constexpr const char* kIndexVariable = "JOB_COMPLETION_INDEX";
constexpr Duration kFirstBackOff = std::chrono::seconds(10);
constexpr Duration kLastBackOff = std::chrono::minutes(10);
constexpr std::size_t kMaxGenerateName = 58;  ///< a name less the random suffix

std::optional<std::int32_t> numberIn(const corev1::Pod& pod, const char* annotation) {
  const auto& annotations = pod.metadata().annotations();
  const auto found = annotations.find(annotation);
  if (found == annotations.end()) return std::nullopt;
  const std::string& text = found->second;
  std::int32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

/// The first container that ended with a code that the rule means.
const corev1::ContainerStatus* matchExitCodes(
    const corev1::PodStatus& status, const batchv1::PodFailurePolicyOnExitCodesRequirement& rule) {
  for (const auto* list : {&status.initcontainerstatuses(), &status.containerstatuses()}) {
    for (const auto& container : *list) {
      if (rule.has_containername() && rule.containername() != container.name()) continue;
      if (!container.state().has_terminated()) continue;
      const std::int32_t code = container.state().terminated().exitcode();
      if (code == 0) continue;
      const bool listed = std::ranges::find(rule.values(), code) != rule.values().end();
      if (listed == (rule.operator_() == "In")) return &container;
    }
  }
  return nullptr;
}

const corev1::PodCondition* matchConditions(const corev1::PodStatus& status,
                                            const batchv1::PodFailurePolicyRule& rule) {
  for (const auto& condition : status.conditions()) {
    for (const auto& pattern : rule.onpodconditions()) {
      if (pattern.type() == condition.type() && pattern.status() == condition.status())
        return &condition;
    }
  }
  return nullptr;
}

/// What of the pod the rule matches, in words; "" for nothing.
std::string matchedBy(const batchv1::PodFailurePolicyRule& rule, const corev1::Pod& pod) {
  const std::string name = pod.metadata().namespace_() + "/" + pod.metadata().name();
  if (rule.has_onexitcodes()) {
    const auto* container = matchExitCodes(pod.status(), rule.onexitcodes());
    if (container == nullptr) return "";
    return "Container " + container->name() + " for pod " + name + " failed with exit code " +
           std::to_string(container->state().terminated().exitcode());
  }
  const auto* condition = matchConditions(pod.status(), rule);
  return condition == nullptr ? "" : "Pod " + name + " has condition " + condition->type();
}

std::optional<WallTime> containersFinishedAt(const corev1::PodStatus& status) {
  std::optional<WallTime> last;
  for (const auto& container : status.containerstatuses()) {
    const auto& finished = container.state().terminated().finishedat();
    if (!api::isSet(finished)) return std::nullopt;
    last = std::max(last.value_or(api::toWallTime(finished)), api::toWallTime(finished));
  }
  return last;
}

}  // namespace

bool hasJobFinalizer(const corev1::Pod& pod) {
  const auto& finalizers = pod.metadata().finalizers();
  return std::ranges::find(finalizers, kJobFinalizer) != finalizers.end();
}

Co<void> removeJobFinalizer(Context& context, PodPtr pod, std::shared_ptr<Status> failure) {
  const std::string uid = pod->metadata().uid();
  client::Change change = [uid](google::protobuf::Message& object) {
    auto& metadata = api::mutableMeta(object);
    auto& finalizers = *metadata.mutable_finalizers();
    const auto found = std::ranges::find(finalizers, kJobFinalizer);
    if (metadata.uid() != uid || found == finalizers.end()) return false;
    finalizers.erase(found);
    return true;
  };
  api::ResourceId id{&api::kindFor<corev1::Pod>(), pod->metadata().namespace_(),
                     pod->metadata().name(), ""};
  auto written = co_await client::modify(context.api, std::move(id), pod, std::move(change));
  if (written) {
    co_await context.pods.waitFor(api::meta(**written).resourceversion());
  } else if (!written.status().is(Code::kNotFound)) {
    *failure = written.status();
  }
}

std::optional<std::int32_t> completionIndex(const corev1::Pod& pod) {
  return numberIn(pod, kIndex);
}

bool replacesOnlyFailed(const batchv1::JobSpec& spec) {
  return spec.podreplacementpolicy() == "Failed";
}

bool isFailedFor(const batchv1::JobSpec& spec, const corev1::Pod& pod) {
  if (pod.status().phase() == "Failed") return true;
  if (replacesOnlyFailed(spec) || spec.has_podfailurepolicy()) return false;
  return pod.metadata().has_deletiontimestamp() && pod.status().phase() != "Succeeded";
}

WallTime finishedAt(const corev1::Pod& pod) {
  if (const auto finished = containersFinishedAt(pod.status())) return *finished;
  const auto* ready = api::findCondition(pod.status(), "Ready");
  if (ready != nullptr && ready->status() == "False" && api::isSet(ready->lasttransitiontime()))
    return api::toWallTime(ready->lasttransitiontime());
  if (pod.metadata().has_deletiontimestamp()) {
    return api::toWallTime(pod.metadata().deletiontimestamp()) -
           std::chrono::seconds(pod.metadata().deletiongraceperiodseconds());
  }
  return api::toWallTime(pod.metadata().creationtimestamp());
}

FailureVerdict judgeFailure(const batchv1::JobSpec& spec, const corev1::Pod& pod) {
  for (int i = 0; i < spec.podfailurepolicy().rules_size(); ++i) {
    const auto& rule = spec.podfailurepolicy().rules(i);
    std::string what = matchedBy(rule, pod);
    if (what.empty()) continue;
    if (rule.action() == "Ignore") return {.counts = false, .failsIndex = false, .jobFailure = {}};
    if (rule.action() == "FailIndex") return {.counts = true, .failsIndex = true, .jobFailure = {}};
    if (rule.action() != "FailJob") return {};
    what += " matching FailJob rule at index " + std::to_string(i);
    return {.counts = true, .failsIndex = false, .jobFailure = std::move(what)};
  }
  return {};
}

std::optional<std::string> metSuccessPolicy(const batchv1::JobSpec& spec,
                                            const api::IndexSet& succeeded) {
  if (!spec.has_successpolicy() || succeeded.empty()) return std::nullopt;
  for (int i = 0; i < spec.successpolicy().rules_size(); ++i) {
    const auto& rule = spec.successpolicy().rules(i);
    std::int32_t have = succeeded.size();
    std::int32_t need = rule.succeededcount();
    if (rule.has_succeededindexes()) {
      const auto wanted = api::IndexSet::parse(rule.succeededindexes(), spec.completions());
      if (!wanted) continue;
      have = succeeded.sharedWith(*wanted);
      if (!rule.has_succeededcount()) need = wanted->size();
    }
    if (have >= need) return "Matched rules at index " + std::to_string(i);
  }
  return std::nullopt;
}

IndexFailures IndexFailures::before(const corev1::Pod& pod) {
  return {numberIn(pod, kIndexFailures).value_or(0), numberIn(pod, kIgnoredFailures).value_or(0)};
}

IndexFailures IndexFailures::after(const batchv1::JobSpec& spec, const corev1::Pod& pod) {
  IndexFailures failures = before(pod);
  ++(judgeFailure(spec, pod).counts ? failures.counted : failures.ignored);
  return failures;
}

Duration remainingBackOff(std::int32_t failures, WallTime lastFailure, WallTime now) {
  if (failures == 0) return {};
  Duration delay = kFirstBackOff;
  for (std::int32_t i = 1; i < failures && delay < kLastBackOff; ++i) delay *= 2;
  delay = std::min(delay, kLastBackOff);
  return std::max(delay - (now - lastFailure), Duration::zero());
}

void JobBackOff::add(std::vector<PodPtr> succeeded, std::vector<PodPtr> failed) {
  std::optional<WallTime> lastSuccess;
  for (const auto& pod : succeeded)
    lastSuccess = std::max(lastSuccess.value_or(finishedAt(*pod)), finishedAt(*pod));
  if (lastSuccess) failures = 0;
  for (const auto& pod : failed) {
    const WallTime at = finishedAt(*pod);
    if (lastSuccess && at <= *lastSuccess) continue;
    lastFailure = failures == 0 ? at : std::max(lastFailure, at);
    ++failures;
  }
}

corev1::Pod jobPod(const batchv1::Job& job, std::optional<std::int32_t> index,
                   const IndexFailures& failures) {
  corev1::Pod pod = podOf(job.spec().template_(), job);
  auto& metadata = *pod.mutable_metadata();
  if (!hasJobFinalizer(pod)) metadata.add_finalizers(std::string(kJobFinalizer));
  if (!index) return pod;

  const std::string text = std::to_string(*index);
  (*metadata.mutable_annotations())[kIndex] = text;
  (*metadata.mutable_labels())[kIndex] = text;
  if (job.spec().has_backofflimitperindex()) {
    (*metadata.mutable_annotations())[kIndexFailures] = std::to_string(failures.counted);
    if (failures.ignored > 0)
      (*metadata.mutable_annotations())[kIgnoredFailures] = std::to_string(failures.ignored);
  }
  const std::string& name = job.metadata().name();
  const std::string end = "-" + text + "-";
  metadata.set_generatename(name.substr(0, kMaxGenerateName - end.size()) + end);
  auto& spec = *pod.mutable_spec();
  spec.set_hostname(name + "-" + text);
  const auto addVariable = [](corev1::Container& container) {
    const auto& env = container.env();
    if (std::ranges::find(env, kIndexVariable, &corev1::EnvVar::name) != env.end()) return;
    corev1::EnvVar& variable = *container.add_env();
    variable.set_name(kIndexVariable);
    auto& field = *variable.mutable_valuefrom()->mutable_fieldref();
    field.set_fieldpath("metadata.labels['" + std::string(kIndex) + "']");
  };
  for (auto& container : *spec.mutable_initcontainers()) addVariable(container);
  for (auto& container : *spec.mutable_containers()) addVariable(container);
  return pod;
}

}  // namespace podlab::controllers
