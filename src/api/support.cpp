#include "api/support.hpp"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

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

/// A list of messages is walked by element; lists of scalars and maps are fields as a whole.
bool isList(const FieldDescriptor& field) {
  return field.is_repeated() && field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
         !field.is_map();
}

bool isSet(const Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  return field.is_repeated() ? reflection.FieldSize(message, &field) > 0
                             : reflection.HasField(message, &field);
}

/// What the rows say of a place in objects of a kind.
class Place {
 public:
  explicit Place(std::string_view kind) : kind_(kind), pattern_("spec") {}

  /// The fields of the message here, less those on which podlab acts with all that is below them:
  /// most are such. In the order of their numbers. Made when an object first has something here,
  /// and kept.
  const std::vector<Place>& fieldsOf(const Message& message) const {
    if (std::exchange(isListed_, true)) return fields_;
    const auto& type = *message.GetDescriptor();
    for (int i = 0; i < type.field_count(); ++i) {
      Place place(*this, *type.field(i));
      if (!place.actsThroughout_) fields_.push_back(std::move(place));
    }
    std::ranges::sort(fields_, {}, [](const Place& place) { return place.field_->number(); });
    return fields_;
  }

  /// Of a field.
  const FieldDescriptor& field() const { return *field_; }
  bool isInline() const { return isInline_; }
  /// The row that covers it, or nullptr.
  const FieldSupport* row() const { return row_; }

 private:
  Place(const Place& above, const FieldDescriptor& field)
      : field_(&field),
        kind_(above.kind_),
        pattern_(above.pattern_),
        row_(above.row_),
        isInline_(field.options().GetExtension(podlab::inline_)) {
    if (isInline_) return;
    const std::string& name = field.name();
    pattern_ += "." + (isContainerList(name) ? "containers" : name);
    if (isList(field)) pattern_ += "[]";
    if (const FieldSupport* own = rowFor(kind_, pattern_)) row_ = own;
    const auto isOtherBelow = [&](const FieldSupport& row) {
      return row.kind == kind_ && row.path.starts_with(pattern_) &&
             row.path.size() > pattern_.size() && row.support != Support::kActs;
    };
    actsThroughout_ = row_ != nullptr && row_->support == Support::kActs &&
                      std::ranges::none_of(fieldSupport(), isOtherBelow);
  }

  const FieldDescriptor* field_ = nullptr;
  std::string_view kind_;
  std::string pattern_;  ///< as rows write it
  const FieldSupport* row_ = nullptr;
  bool isInline_ = false;
  bool actsThroughout_ = false;
  mutable bool isListed_ = false;
  mutable std::vector<Place> fields_;
};

/// The spec of a kind.
const Place& specOf(std::string_view kind) {
  thread_local std::map<std::string_view, Place> specs;
  return specs.try_emplace(kind, kind).first->second;
}

class Walk {
 public:
  void visit(const Message& message, const FieldPath& path, const Place& place) {
    const Reflection& reflection = *message.GetReflection();
    for (const Place& there : place.fieldsOf(message)) {
      const FieldDescriptor& field = there.field();
      if (!isSet(message, field)) continue;
      if (there.isInline()) {
        visit(reflection.GetMessage(message, &field), path, there);
        continue;
      }
      const FieldPath at = path.child(field.name());
      if (!isList(field)) {
        visitField(message, field, at, there);
        continue;
      }
      for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
        visitMessage(reflection.GetRepeatedMessage(message, &field, i),
                     at.index(static_cast<std::size_t>(i)), there);
      }
    }
  }

  std::vector<Finding> take() { return std::move(findings_); }

 private:
  void visitField(const Message& message, const FieldDescriptor& field, const FieldPath& path,
                  const Place& place) {
    const bool nested =
        !field.is_repeated() && field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    if (nested) {
      visitMessage(message.GetReflection()->GetMessage(message, &field), path, place);
      return;
    }
    const FieldSupport* row = place.row() == nullptr ? &kUnlisted : place.row();
    if (row->support == Support::kActs) return;
    if (!field.is_repeated()) {
      const std::string text = scalarText(message, field);
      if (text.empty() || isHarmless(text, row->harmless)) return;
    }
    findings_.push_back({path.text(), row});
  }

  void visitMessage(const Message& message, const FieldPath& path, const Place& place) {
    if (place.row() == nullptr || place.row()->support == Support::kActs) {
      visit(message, path, place);
      return;
    }
    // An empty message asks for nothing: defaulting writes "securityContext: {}".
    std::vector<const FieldDescriptor*> fields;
    message.GetReflection()->ListFields(message, &fields);
    if (!fields.empty()) findings_.push_back({path.text(), place.row()});
  }

  std::vector<Finding> findings_;
};

bool hasRows(std::string_view kind) {
  static const auto kKinds = [] {
    std::set<std::string_view> kinds;
    for (const FieldSupport& row : fieldSupport()) kinds.insert(row.kind);
    return kinds;
  }();
  return kKinds.contains(kind);
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
  Walk walk;
  walk.visit(*spec, path, specOf(kind));
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
