#include <nlohmann/json.hpp>

#include "autoscaling_v1.pb.h"

#include "api/codec.hpp"
#include "api/managed_document.hpp"
#include "api/managed_fields.hpp"
#include "api/status_conversion.hpp"
#include "api/times.hpp"
#include "api/typed_value.hpp"
#include "common/yaml.hpp"

namespace podlab::api {
namespace {

using google::protobuf::Message;
using Json = nlohmann::json;

/// Who owned the fields of an object of which nobody has kept account.
constexpr const char* kBeforeFirstApply = "before-first-apply";

struct Configuration {
  Json json;
  MutableObjectPtr object;
  std::vector<std::string> warnings;
};

/// In the words of upstream's typed converter: what is not in the schema is an error, however the
/// client wants fields validated.
Status notTyped(const Kind& kind, const metav1::ObjectMeta& metadata,
                const std::vector<std::string>& faults) {
  std::string text;
  for (const std::string& fault : faults) text += (faults.size() > 1 ? "\n  " : "") + fault;
  const std::string name = metadata.namespace_() + "/" + metadata.name();
  return Status(Code::kBadRequest, "failed to create typed patch object (" + name + "; " +
                                       kind.apiVersion() + ", Kind=" + std::string(kind.kind) +
                                       "): " + (faults.size() > 1 ? "errors:" : "") + text);
}

Result<Configuration> readConfiguration(const Kind& kind, std::string_view text,
                                        FieldValidation validation) {
  const auto documents = yamlToJson(text);
  if (!documents) return documents.status().withContext("error decoding YAML");
  if (documents->size() != 1)
    return Status(Code::kBadRequest, "error decoding YAML: an apply patch is one object");
  const std::string& json = documents->front().json;
  const auto type = readTypeMeta(json);
  if (!type) return type.status();
  if (type->apiVersion != kind.apiVersion() || type->kind != kind.kind) {
    return Status(Code::kBadRequest,
                  "Incorrect version specified in apply patch. Specified patch "
                  "version: " +
                      type->apiVersion + ", Kind=" + type->kind +
                      ", expected: " + kind.apiVersion() + ", Kind=" + std::string(kind.kind));
  }
  const auto object = kind.make();
  std::vector<FieldProblem> problems;
  if (Status read = fromJson(json, *object, {}, &problems); !read) return read;
  if (meta(*object).managedfields_size() > 0)
    return Status(Code::kBadRequest, "metadata.managedFields must be nil");
  constexpr std::string_view kUnknown = "unknown field \"";
  std::vector<std::string> undeclared;
  Configuration read{Json::parse(json, nullptr, false), object, {}};
  for (const FieldProblem& problem : problems) {
    if (problem.message.starts_with(kUnknown)) {
      undeclared.push_back("." + problem.path + ": field not declared in schema");
    } else if (validation == FieldValidation::kStrict) {
      return Status(Code::kBadRequest, "strict decoding error: " + problem.message);
    } else if (validation == FieldValidation::kWarn) {
      read.warnings.push_back(problem.message);
    }
  }
  if (!read.json.is_object()) return Status(Code::kBadRequest, "a number is out of range");
  if (!undeclared.empty()) return notTyped(kind, meta(*object), undeclared);
  const ValueType schema = ValueType::of(kind);
  if (const std::string fault = faultOfKeys(read.json, schema); !fault.empty())
    return notTyped(kind, meta(*object), {fault});
  return read;
}

/// managedfields/internal/conflict.go
std::string conflictWith(const ManagerId& id) {
  std::string text = Json(id.manager).dump();
  if (!id.subresource.empty()) text += " with subresource " + Json(id.subresource).dump();
  return id.operation == "Update" ? text + " using " + id.apiVersion : text;
}

Status conflictError(const std::map<ManagerId, FieldSet>& conflicts) {
  std::vector<Cause> causes;
  std::string text;
  for (const auto& [id, fields] : conflicts) {
    const std::string who = conflictWith(id);
    text += (text.empty() ? "" : "\n") + ("conflicts with " + who + ":");
    for (const std::string& path : fields.paths()) {
      causes.push_back({"FieldManagerConflict", path, "conflict with " + who});
      text += "\n- " + path;
    }
  }
  const std::size_t count = causes.size();
  if (count == 1) text = causes.front().message + ": " + causes.front().field;
  return Status(Code::kConflict,
                "Apply failed with " + std::to_string(count) +
                    (count == 1 ? " conflict: " : " conflicts: ") + text,
                std::move(causes));
}

/// Takes away what the manager had in its last configuration and nobody wants any more.
void prune(Json& merged, const FieldSet& last, const Managers& managers, const ValueType& type) {
  FieldSet gone = last;
  addNamedFields(gone, type);
  FieldSet wanted;
  for (const auto& [id, entry] : managers) wanted.unite(entry.fields);
  addNamedFields(wanted, type);
  gone.subtract(wanted);
  // Metadata, spec and status stay: they hold more than anybody owns, as not all writers are
  // tracked.
  for (auto& [element, child] : gone.children) {
    const auto member = type.member(std::string_view(element).substr(2));
    if (member && member->kind() == ValueType::Kind::kStruct) child.member = false;
  }
  removeFields(merged, gone, type);
}

}  // namespace

Result<Patched> applyConfiguration(const Kind& kind, const Message* current,
                                   std::string_view configuration, const ApplyOptions& options) {
  auto read = readConfiguration(kind, configuration, options.validation);
  if (!read) return read.status();
  const FieldWriter& writer = options.writer;
  const std::string& subresource = writer.subresource;
  const ValueType type = ValueType::of(kind);
  const metav1::Time now = toTime(writer.now);

  Managers managers;
  if (current != nullptr) {
    auto known = readManagers(meta(*current));
    if (known) managers = std::move(*known);
    if (managers.empty()) {
      FieldSet all = compare(Json::object(), managedDocument(kind, current, ""), type).added;
      managers[{"Update", kBeforeFirstApply, kind.apiVersion(), ""}] = {std::move(all), now};
    }
  }

  Json live = documentOf(current);
  Json& config = read->json;
  config.erase("apiVersion");
  config.erase("kind");
  if (subresource != "status" && kind.strategy.hasStatus) config.erase("status");
  Json managed = config;
  leaveManaged(managed, kind, subresource);
  Json merged = merge(live, config, type);

  const ManagerId own{"Apply", writer.manager, kind.apiVersion(), subresource};
  FieldSet last;
  if (const auto known = managers.find(own); known != managers.end()) last = known->second.fields;
  managers[own] = {fieldsOf(managed, type), now};
  prune(merged, last, managers, type);

  leaveManaged(live, kind, subresource);
  managed = merged;
  leaveManaged(managed, kind, subresource);
  const Comparison changes = compare(live, managed, type);
  FieldSet changed = changes.modified;
  changed.unite(changes.added);
  std::map<ManagerId, FieldSet> conflicts;
  for (const auto& [id, entry] : managers) {
    FieldSet common = entry.fields;
    common.intersect(changed);
    if (id != own && !common.empty()) conflicts.emplace(id, std::move(common));
  }
  if (!conflicts.empty() && !options.force) return conflictError(conflicts);
  changed.unite(changes.removed);
  takeFrom(managers, own, changed);

  Patched made{kind.make(), std::move(read->warnings)};
  if (kind.custom) {
    merged["apiVersion"] = kind.apiVersion();
    merged["kind"] = std::string(kind.kind);
  }
  if (Status decoded = fromJson(merged.dump(), *made.object); !decoded) return decoded;
  writeManagers(managers, mutableMeta(*made.object));
  return made;
}

Result<Configured> storedConfiguration(const Kind& kind, std::string_view configuration,
                                       FieldValidation validation) {
  auto read = readConfiguration(kind, configuration, validation);
  if (!read) return read.status();
  const Kind& stored = kind.stored();
  const auto object = stored.make();
  kind.form->toStored(*read->object, *object);
  const TypeMeta type{stored.apiVersion(), std::string(stored.kind)};
  return Configured{toJson(*object, {.type = type}), std::move(read->warnings)};
}

Result<Configured> scaleConfiguration(const Kind& kind, std::string_view configuration,
                                      FieldValidation validation) {
  const Kind& scales = kindFor<autoscalingv1::Scale>();
  auto read = readConfiguration(scales, configuration, validation);
  if (!read) return read.status();
  auto causes = scales.strategy.validate(*read->object);
  if (!causes.empty()) return invalid(scales, meta(*read->object).name(), std::move(causes));
  Json part{{"apiVersion", kind.apiVersion()}, {"kind", std::string(kind.kind)}};
  const Json::json_pointer replicas("/spec/replicas");
  if (read->json.contains(replicas))
    part[Json::json_pointer(kind.strategy.scaling->pointer)] = read->json[replicas];
  for (const char* name : {"name", "namespace", "uid", "resourceVersion"}) {
    const Json::json_pointer field("/metadata/" + std::string(name));
    if (read->json.contains(field)) part[field] = read->json[field];
  }
  return Configured{part.dump(), std::move(read->warnings)};
}

}  // namespace podlab::api
