#include "api/support.hpp"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <unordered_map>

#include "core_v1_workloads.pb.h"
#include "field_options.pb.h"

#include "api/field_errors.hpp"
#include "api/kinds.hpp"

namespace podlab::api {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

/// A set field without support, and its row.
struct Finding {
  std::string path;
  const FieldSupport* row;
};

/// A row for what has none, so that a new field of the schema is never silent.
constexpr FieldSupport kUnlisted{"", "", Support::kIgnores, "", "podlab does not know it"};

const FieldSupport* rowFor(std::string_view kind, const std::string& path) {
  static const auto kRows = [] {
    std::unordered_map<std::string, const FieldSupport*> rows;
    for (const FieldSupport& row : fieldSupport()) {
      rows.emplace(std::string(row.kind) + " " + std::string(row.path), &row);
    }
    return rows;
  }();
  const auto find = [&](const std::string& key) {
    const auto found = kRows.find(std::string(kind) + " " + key);
    return found == kRows.end() ? nullptr : found->second;
  };
  if (const FieldSupport* row = find(path)) return row;
  return find(path.substr(0, path.rfind('.')) + ".*");
}

/// A singular scalar as text; "" for what counts as unset.
std::string scalarText(const Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  const bool zeroCounts = field.options().GetExtension(podlab::presence);
  const auto number = [&](auto value) {
    return value != 0 || zeroCounts ? std::to_string(value) : std::string();
  };
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      if (reflection.GetBool(message, &field)) return "true";
      return zeroCounts ? "false" : "";
    case FieldDescriptor::CPPTYPE_INT32:
      return number(reflection.GetInt32(message, &field));
    case FieldDescriptor::CPPTYPE_INT64:
      return number(reflection.GetInt64(message, &field));
    default:
      return reflection.GetString(message, &field);
  }
}

bool isHarmless(std::string_view text, std::string_view harmless) {
  while (!harmless.empty()) {
    const std::size_t bar = std::min(harmless.find('|'), harmless.size());
    if (harmless.substr(0, bar) == text) return true;
    harmless.remove_prefix(std::min(bar + 1, harmless.size()));
  }
  return false;
}

/// Rows for containers hold for these lists, too.
bool isContainerList(const std::string& field) {
  return field == "initContainers" || field == "ephemeralContainers";
}

class Walk {
 public:
  explicit Walk(std::string_view kind) : kind_(kind) {}

  /// `path` is where `message` is in the object, `pattern` the same as rows write it; `row` is the
  /// one that covers it.
  void visit(const Message& message, const FieldPath& path, const std::string& pattern,
             const FieldSupport* row) {
    const Reflection& reflection = *message.GetReflection();
    std::vector<const FieldDescriptor*> fields;
    reflection.ListFields(message, &fields);
    for (const FieldDescriptor* field : fields) {
      if (field->options().GetExtension(podlab::inline_)) {
        visit(reflection.GetMessage(message, field), path, pattern, row);
        continue;
      }
      const std::string& name = field->name();
      const FieldPath at = path.child(name);
      const FieldPath rowPath =
          FieldPath(pattern).child(isContainerList(name) ? "containers" : name);
      std::string here = rowPath.text();
      if (!isList(*field)) {
        visitField(message, *field, at, here, row);
        continue;
      }
      here += "[]";
      for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
        visitMessage(reflection.GetRepeatedMessage(message, field, i),
                     at.index(static_cast<std::size_t>(i)), here, row);
      }
    }
  }

  std::vector<Finding> take() { return std::move(findings_); }

 private:
  /// A list of messages is walked by element; lists of scalars and maps are fields as a whole.
  static bool isList(const FieldDescriptor& field) {
    return field.is_repeated() && field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
           !field.is_map();
  }

  void visitField(const Message& message, const FieldDescriptor& field, const FieldPath& path,
                  const std::string& pattern, const FieldSupport* row) {
    const bool nested =
        !field.is_repeated() && field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    if (nested) {
      visitMessage(message.GetReflection()->GetMessage(message, &field), path, pattern, row);
      return;
    }
    if (const FieldSupport* own = rowFor(kind_, pattern)) row = own;
    if (row == nullptr) row = &kUnlisted;
    if (row->support == Support::kActs) return;
    if (!field.is_repeated()) {
      const std::string text = scalarText(message, field);
      if (text.empty() || isHarmless(text, row->harmless)) return;
    }
    findings_.push_back({path.text(), row});
  }

  void visitMessage(const Message& message, const FieldPath& path, const std::string& pattern,
                    const FieldSupport* row) {
    if (const FieldSupport* own = rowFor(kind_, pattern)) row = own;
    if (row == nullptr || row->support == Support::kActs) {
      visit(message, path, pattern, row);
      return;
    }
    // An empty message asks for nothing: defaulting writes "securityContext: {}".
    std::vector<const FieldDescriptor*> fields;
    message.GetReflection()->ListFields(message, &fields);
    if (!fields.empty()) findings_.push_back({path.text(), row});
  }

  std::string_view kind_;
  std::vector<Finding> findings_;
};

bool hasRows(std::string_view kind) {
  return std::ranges::any_of(fieldSupport(), [&](const auto& row) { return row.kind == kind; });
}

const Message* part(const Message& message, const char* name) {
  const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(name);
  if (field == nullptr || field->is_repeated() || field->message_type() == nullptr) return nullptr;
  return &message.GetReflection()->GetMessage(message, field);
}

/// The spec of the pods that a spec at `path` makes, and where that is; nullptr when it makes none.
const Message* podSpecIn(const Message& spec, FieldPath& path) {
  if (const Message* job = part(spec, "jobTemplate")) {
    path = path.child("jobTemplate").child("spec");
    return podSpecIn(*part(*job, "spec"), path);
  }
  const Message* pod = part(spec, "template");
  if (pod == nullptr || pod->GetDescriptor() != corev1::PodTemplateSpec::descriptor())
    return nullptr;
  path = path.child("template").child("spec");
  return part(*pod, "spec");
}

std::vector<Finding> findingsOf(const Message& object) {
  std::string_view kind = kindOf(object)->kind;
  FieldPath path("spec");
  const Message* spec = part(object, "spec");
  if (spec == nullptr) return {};
  if (const Message* pod = podSpecIn(*spec, path)) {
    spec = pod;
    kind = "Pod";
  }
  if (!hasRows(kind)) return {};
  Walk walk(kind);
  walk.visit(*spec, path, "spec", nullptr);
  std::vector<Finding> findings = walk.take();
  // With hostNetwork a host port is the container's own port: nothing needs forwarding.
  if (kind == "Pod" && static_cast<const corev1::PodSpec&>(*spec).hostnetwork()) {
    std::erase_if(findings, [](const Finding& each) { return each.path.ends_with(".hostPort"); });
  }
  return findings;
}

}  // namespace

std::vector<std::string> unsupportedWarnings(const Message& object) {
  std::vector<std::string> warnings;
  if (const auto& strategy = kindOf(object)->strategy; strategy.warningsOf) {
    for (auto& warning : strategy.warningsOf(object)) warnings.push_back(std::move(warning));
  }
  for (const auto& [path, row] : findingsOf(object)) {
    const char* what =
        row->support == Support::kRefuses ? ": nodes refuse a pod with it: " : ": has no effect: ";
    warnings.push_back(path + what + std::string(row->note));
  }
  return warnings;
}

std::vector<Cause> unsupportedByNode(const corev1::Pod& pod) {
  std::vector<Cause> causes;
  for (const auto& [path, row] : findingsOf(pod)) {
    if (row->support != Support::kRefuses) continue;
    causes.push_back({"FieldValueNotSupported", path, std::string(row->note)});
  }
  return causes;
}

}  // namespace podlab::api
