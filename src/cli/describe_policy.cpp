#include <set>

#include "api/int_or_percent.hpp"
#include "api/pod_resources.hpp"
#include "cli/describe_object.hpp"

namespace podlab::cli {
namespace {

const char* helpOf(std::string_view scope) {
  if (scope == "Terminating")
    return " * Matches all pods that have an active deadline. These pods have a limited lifespan "
           "on a node before being actively terminated by the system.";
  if (scope == "NotTerminating")
    return " * Matches all pods that do not have an active deadline. These pods usually include "
           "long running pods whose container command is not expected to terminate.";
  if (scope == "BestEffort")
    return " * Matches all pods that do not have resource requirements set. These pods have a best "
           "effort quality of service.";
  if (scope == "NotBestEffort")
    return " * Matches all pods that have at least one resource requirement set. These pods have a "
           "burstable or guaranteed quality of service.";
  return nullptr;
}

std::string amount(const api::ResourceMap& amounts, const std::string& name, const char* none) {
  const auto found = amounts.find(name);
  return found == amounts.end() ? none : found->second.string();
}

/// `line` underlines the columns Used and Hard.
void addQuota(Description& out, int level, const corev1::ResourceQuota& quota, const char* line) {
  if (!quota.spec().scopes().empty()) {
    const std::set<std::string> scopes(quota.spec().scopes().begin(), quota.spec().scopes().end());
    out.field(level, "Scopes", joined(scopes, ", "));
    for (const auto& scope : scopes) {
      if (const char* help = helpOf(scope)) out.line(level, {help});
    }
  }
  out.line(level, {"Resource", "Used", "Hard"});
  out.line(level, {"--------", line, line});
  for (const auto& [name, hard] : sorted(quota.status().hard()))
    out.line(level, {name, amount(quota.status().used(), name, "0"), hard.string()});
}

void addLimits(Description& out, const std::string& indent,
               const Objects<corev1::LimitRange>& all) {
  out.line(0, {indent + "Type", "Resource", "Min", "Max", "Default Request", "Default Limit",
               "Max Limit/Request Ratio"});
  out.line(0, {indent + "----", "--------", "---", "---", "---------------", "-------------",
               "-----------------------"});
  for (const auto& range : all) {
    for (const auto& limit : range->spec().limits()) {
      std::set<std::string> names;
      for (const auto* amounts : {&limit.max(), &limit.min(), &limit.default_(),
                                  &limit.defaultrequest(), &limit.maxlimitrequestratio()}) {
        for (const auto& [name, value] : *amounts) names.insert(name);
      }
      for (const auto& name : names) {
        out.line(0, {indent + limit.type(), name, amount(limit.min(), name, "-"),
                     amount(limit.max(), name, "-"), amount(limit.defaultrequest(), name, "-"),
                     amount(limit.default_(), name, "-"),
                     amount(limit.maxlimitrequestratio(), name, "-")});
      }
    }
  }
}

}  // namespace

Description describeNamespace(const corev1::Namespace& ns,
                              const Objects<corev1::ResourceQuota>& quotas,
                              const Objects<corev1::LimitRange>& ranges) {
  Description out;
  out.identity(ns.metadata(), false);
  out.field(0, "Status", ns.status().phase());
  if (!ns.status().conditions().empty()) {
    out.line(0, {"Conditions:"});
    out.header(1, {"Type", "Status", "LastTransitionTime", "Reason", "Message"});
    for (const auto& condition : ns.status().conditions()) {
      out.line(1, {condition.type(), condition.status(), formatDate(condition.lasttransitiontime()),
                   condition.reason(), condition.message()});
    }
  }
  out.blank();
  if (quotas.empty()) out.line(0, {"No resource quota."});
  if (!quotas.empty()) out.line(0, {"Resource Quotas"});
  for (const auto& quota : quotas) {
    out.field(1, "Name", quota->metadata().name());
    addQuota(out, 1, *quota, "---");
  }
  out.blank();
  if (ranges.empty()) {
    out.line(0, {"No LimitRange resource."});
  } else {
    out.line(0, {"Resource Limits"});
    addLimits(out, " ", ranges);
  }
  return out;
}

Description describeQuota(const corev1::ResourceQuota& quota) {
  Description out;
  out.field(0, "Name", quota.metadata().name());
  out.field(0, "Namespace", quota.metadata().namespace_());
  addQuota(out, 0, quota, "----");
  return out;
}

Description describeLimitRange(const corev1::LimitRange& range) {
  Description out;
  out.field(0, "Name", range.metadata().name());
  out.field(0, "Namespace", range.metadata().namespace_());
  addLimits(out, "", {std::make_shared<corev1::LimitRange>(range)});
  return out;
}

Description describePriorityClass(const schedulingv1::PriorityClass& object) {
  Description out;
  out.field(0, "Name", object.metadata().name());
  out.field(0, "Value", std::to_string(object.value()));
  out.field(0, "GlobalDefault", object.globaldefault() ? "true" : "false");
  out.field(0, "PreemptionPolicy", object.preemptionpolicy());
  out.field(0, "Description", object.description());
  out.plain(0, "Annotations", pairsText(object.metadata().annotations()));
  return out;
}

Description describeBudget(const policyv1::PodDisruptionBudget& budget) {
  const auto& spec = budget.spec();
  const auto& status = budget.status();
  Description out;
  out.field(0, "Name", budget.metadata().name());
  out.field(0, "Namespace", budget.metadata().namespace_());
  if (spec.has_minavailable()) {
    out.field(0, "Min available", api::textOf(spec.minavailable()));
  } else if (spec.has_maxunavailable()) {
    out.field(0, "Max unavailable", api::textOf(spec.maxunavailable()));
  }
  out.field(0, "Selector", spec.has_selector() ? selectorText(spec.selector()) : "<unset>");
  out.line(0, {"Status:"});
  out.field(2, "Allowed disruptions", std::to_string(status.disruptionsallowed()));
  out.field(2, "Current", std::to_string(status.currenthealthy()));
  out.field(2, "Desired", std::to_string(status.desiredhealthy()));
  out.field(2, "Total", std::to_string(status.expectedpods()));
  return out;
}

}  // namespace podlab::cli
