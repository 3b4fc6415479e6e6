#include <algorithm>
#include <map>
#include <set>

#include "api/field_errors.hpp"
#include "apiserver/rbac.hpp"

namespace podlab::apiserver {
namespace {

using rbacv1::PolicyRule;
using Texts = google::protobuf::RepeatedPtrField<std::string>;

/// The rule as rules of one verb, and one group, resource and name or one path.
std::vector<PolicyRule> breakDown(const PolicyRule& rule) {
  std::vector<PolicyRule> parts;
  for (const auto& verb : rule.verbs()) {
    for (const auto& group : rule.apigroups()) {
      for (const auto& resource : rule.resources()) {
        PolicyRule part;
        part.add_verbs(verb);
        part.add_apigroups(group);
        part.add_resources(resource);
        if (rule.resourcenames().empty()) parts.push_back(part);
        for (const auto& name : rule.resourcenames()) {
          part.clear_resourcenames();
          part.add_resourcenames(name);
          parts.push_back(part);
        }
      }
    }
    for (const auto& url : rule.nonresourceurls()) {
      PolicyRule part;
      part.add_verbs(verb);
      part.add_nonresourceurls(url);
      parts.push_back(std::move(part));
    }
  }
  return parts;
}

/// Whether a rule allows all that the part does, wildcards of the part included.
bool covers(const PolicyRule& rule, const PolicyRule& part) {
  if (!part.nonresourceurls().empty())
    return allows(rule, {.verb = part.verbs(0), .path = part.nonresourceurls(0)});
  const std::string_view resource = part.resources(0);
  const auto slash = resource.find('/');
  Access access{.verb = part.verbs(0), .group = part.apigroups(0), .resource = resource};
  if (slash != std::string_view::npos) {
    access.resource = resource.substr(0, slash);
    access.subresource = resource.substr(slash + 1);
  }
  // All names are more than any that a rule lists.
  if (part.resourcenames().empty() && !rule.resourcenames().empty()) return false;
  if (!part.resourcenames().empty()) access.name = part.resourcenames(0);
  return allows(rule, access);
}

std::string textOf(const Texts& texts) {
  std::string text;
  for (const auto& one : texts) text += (text.empty() ? "" : " ") + api::quoted(one);
  return "[" + text + "]";
}

std::string textOf(const PolicyRule& rule) {
  std::string text;
  const auto add = [&](const char* name, const Texts& texts) {
    if (!texts.empty())
      text += (text.empty() ? "" : ", ") + std::string(name) + ":" + textOf(texts);
  };
  add("APIGroups", rule.apigroups());
  add("Resources", rule.resources());
  add("NonResourceURLs", rule.nonresourceurls());
  add("ResourceNames", rule.resourcenames());
  add("Verbs", rule.verbs());
  return "{" + text + "}";
}

}  // namespace

std::vector<PolicyRule> missingRules(const std::vector<PolicyRule>& held,
                                     const std::vector<PolicyRule>& wanted) {
  std::vector<PolicyRule> missing;
  for (const PolicyRule& rule : wanted) {
    for (PolicyRule& part : breakDown(rule)) {
      const bool covered =
          std::ranges::any_of(held, [&](const PolicyRule& one) { return covers(one, part); });
      if (!covered) missing.push_back(std::move(part));
    }
  }
  return missing;
}

std::string describeRules(const std::vector<PolicyRule>& rules) {
  std::map<std::string, PolicyRule> byTarget;
  for (const PolicyRule& rule : rules) {
    PolicyRule target = rule;
    target.clear_verbs();
    auto& whole = byTarget.try_emplace(textOf(target), target).first->second;
    for (const auto& verb : rule.verbs()) {
      if (std::ranges::find(whole.verbs(), verb) == whole.verbs().end()) whole.add_verbs(verb);
    }
  }
  std::set<std::string> lines;
  for (const auto& [target, rule] : byTarget) lines.insert(textOf(rule));
  std::string text;
  for (const auto& line : lines) text += (text.empty() ? "" : "\n") + line;
  return text;
}

}  // namespace podlab::apiserver
