#include "api/age.hpp"
#include "api/owners.hpp"
#include "api/times.hpp"
#include "cli/describe_object.hpp"

namespace podlab::cli {
namespace {

/// "0-3,5", its end left out when it is long (capIndexesListOrNone).
std::string indexesText(const std::string& indexes) {
  constexpr std::size_t kRoom = 50;
  if (indexes.size() <= kRoom) return orNone(indexes);
  const auto comma = indexes.rfind(',', kRoom - 1);
  return indexes.substr(0, comma == std::string::npos ? kRoom : comma + 1) + "...";
}

}  // namespace

Description describeJob(const batchv1::Job& job) {
  const auto& spec = job.spec();
  const auto& status = job.status();
  const auto number = [](std::int64_t value) { return std::to_string(value); };
  Description out;
  out.field(0, "Name", job.metadata().name());
  out.field(0, "Namespace", job.metadata().namespace_());
  if (spec.has_selector()) out.field(0, "Selector", selectorText(spec.selector()));
  out.pairs(0, "Labels", job.metadata().labels());
  out.annotations(0, "Annotations", job.metadata().annotations());
  if (const auto* owner = api::controllerOf(job.metadata()))
    out.field(0, "Controlled By", owner->kind() + "/" + owner->name());
  if (spec.has_parallelism()) out.field(0, "Parallelism", number(spec.parallelism()));
  out.field(0, "Completions", orUnset(spec.has_completions(), spec.completions()));
  if (spec.has_completionmode()) out.field(0, "Completion Mode", spec.completionmode());
  if (spec.has_suspend()) out.field(0, "Suspend", spec.suspend() ? "true" : "false");
  if (spec.has_backofflimit()) out.field(0, "Backoff Limit", number(spec.backofflimit()));
  if (spec.has_ttlsecondsafterfinished())
    out.field(0, "TTL Seconds After Finished", number(spec.ttlsecondsafterfinished()));
  const bool started = api::isSet(status.starttime());
  const bool completed = api::isSet(status.completiontime());
  if (started) out.field(0, "Start Time", formatDate(status.starttime()));
  if (completed) out.field(0, "Completed At", formatDate(status.completiontime()));
  if (started && completed) {
    out.field(0, "Duration",
              api::formatAge(api::toWallTime(status.completiontime()) -
                             api::toWallTime(status.starttime())));
  }
  if (spec.has_activedeadlineseconds())
    out.field(0, "Active Deadline Seconds", number(spec.activedeadlineseconds()) + "s");
  out.field(0, "Pods Statuses",
            number(status.active()) + " Active" +
                (status.has_ready() ? " (" + number(status.ready()) + " Ready)" : "") + " / " +
                number(status.succeeded()) + " Succeeded / " + number(status.failed()) + " Failed");
  if (spec.completionmode() == "Indexed")
    out.field(0, "Completed Indexes", indexesText(status.completedindexes()));
  addPodTemplate(out, spec.template_());
  return out;
}

Description describeCronJob(const batchv1::CronJob& job) {
  const auto& spec = job.spec();
  const auto& made = spec.jobtemplate().spec();
  Description out;
  out.identity(job.metadata(), true);
  out.field(0, "Schedule", spec.schedule());
  out.field(0, "Concurrency Policy", spec.concurrencypolicy());
  out.field(0, "Suspend", !spec.has_suspend() ? "<unset>" : (spec.suspend() ? "True" : "False"));
  out.field(0, "Successful Job History Limit",
            orUnset(spec.has_successfuljobshistorylimit(), spec.successfuljobshistorylimit()));
  out.field(0, "Failed Job History Limit",
            orUnset(spec.has_failedjobshistorylimit(), spec.failedjobshistorylimit()));
  out.field(0, "Starting Deadline Seconds",
            orUnset(spec.has_startingdeadlineseconds(), spec.startingdeadlineseconds(), "s"));
  out.field(0, "Selector", made.has_selector() ? selectorText(made.selector()) : "<unset>");
  out.field(0, "Parallelism", orUnset(made.has_parallelism(), made.parallelism()));
  out.field(0, "Completions", orUnset(made.has_completions(), made.completions()));
  if (made.has_activedeadlineseconds())
    out.field(0, "Active Deadline Seconds", std::to_string(made.activedeadlineseconds()) + "s");
  addPodTemplate(out, made.template_());
  out.field(0, "Last Schedule Time",
            orNone(formatDate(job.status().lastscheduletime()), "<unset>"));
  std::vector<std::string> active;
  for (const auto& one : job.status().active()) active.push_back(one.name());
  out.field(0, "Active Jobs", orNone(joined(active, ", ")));
  return out;
}

}  // namespace podlab::cli
