#include <algorithm>
#include <tuple>

#include "cli/describe_object.hpp"

namespace podlab::cli {
namespace {

/// As Go prints a slice.
std::string listText(const std::vector<std::string>& values) {
  return "[" + joined(values, " ") + "]";
}

/// One line: the rule of a resource in one group, perhaps of one object; or of one path.
struct Row {
  std::string group;
  std::string resource;
  std::vector<std::string> names;
  std::vector<std::string> paths;
  std::vector<std::string> verbs;

  /// In the order of upstream's SortableRuleSlice: by the text of the rule.
  auto order() const {
    return std::tuple(listText(verbs), listText({group}), listText({resource}), listText(names),
                      listText(paths));
  }
  std::string resourceText() const {
    const auto slash = resource.find('/');
    const std::string name = resource.substr(0, slash);
    return name + (group.empty() ? "" : "." + group) +
           (slash == std::string::npos ? "" : resource.substr(slash));
  }
};

/// Every rule taken apart (BreakdownRule), and the verbs of what is left put together
/// (CompactRules; component-helpers/auth/rbac/validation).
template <typename Rules>
std::vector<Row> rowsOf(const Rules& rules) {
  std::vector<Row> rows;
  const auto add = [&](const std::string& group, const std::string& resource,
                       std::vector<std::string> names, const std::string& verb) {
    const auto found = std::ranges::find_if(rows, [&](const Row& row) {
      return row.paths.empty() && row.group == group && row.resource == resource &&
             row.names == names;
    });
    if (found == rows.end()) {
      rows.push_back({group, resource, std::move(names), {}, {verb}});
    } else if (std::ranges::find(found->verbs, verb) == found->verbs.end()) {
      found->verbs.push_back(verb);
    }
  };
  for (const auto& rule : rules) {
    for (const auto& group : rule.apigroups()) {
      for (const auto& resource : rule.resources()) {
        for (const auto& verb : rule.verbs()) {
          if (rule.resourcenames().empty()) add(group, resource, {}, verb);
          for (const auto& name : rule.resourcenames()) add(group, resource, {name}, verb);
        }
      }
    }
    for (const auto& path : rule.nonresourceurls()) {
      for (const auto& verb : rule.verbs()) rows.push_back({"", "", {}, {path}, {verb}});
    }
  }
  std::ranges::sort(rows, {}, &Row::order);
  return rows;
}

template <typename T>
Description describeRules(const T& role) {
  Description out;
  out.identity(role.metadata(), false);
  out.line(0, {"PolicyRule:"});
  out.header(1, {"Resources", "Non-Resource URLs", "Resource Names", "Verbs"});
  for (const auto& row : rowsOf(role.rules())) {
    out.line(1,
             {row.resourceText(), listText(row.paths), listText(row.names), listText(row.verbs)});
  }
  return out;
}

template <typename T>
Description describeSubjects(const T& binding) {
  Description out;
  out.identity(binding.metadata(), false);
  out.line(0, {"Role:"});
  out.field(1, "Kind", binding.roleref().kind());
  out.field(1, "Name", binding.roleref().name());
  out.line(0, {"Subjects:"});
  out.header(1, {"Kind", "Name", "Namespace"});
  for (const auto& subject : binding.subjects())
    out.line(1, {subject.kind(), subject.name(), subject.namespace_()});
  return out;
}

}  // namespace

Description describeRole(const rbacv1::Role& role) {
  return describeRules(role);
}

Description describeRole(const rbacv1::ClusterRole& role) {
  return describeRules(role);
}

Description describeBinding(const rbacv1::RoleBinding& binding) {
  return describeSubjects(binding);
}

Description describeBinding(const rbacv1::ClusterRoleBinding& binding) {
  return describeSubjects(binding);
}

}  // namespace podlab::cli
