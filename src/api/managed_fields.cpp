#include "api/managed_fields.hpp"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

#include "api/codec.hpp"
#include "api/made_fields.hpp"
#include "api/managed_document.hpp"
#include "api/times.hpp"
#include "api/typed_value.hpp"

namespace podlab::api {
namespace {

using google::protobuf::Message;
using Json = nlohmann::json;

constexpr std::size_t kMaxUpdateManagers = 10;  // managedfields/internal/capmanagers.go
constexpr const char* kAncient = "ancient-changes";

/// The metadata that nobody owns (managedfields/internal/stripmeta.go).
constexpr std::array<std::string_view, 8> kServerFields{
    "name", "namespace",  "creationTimestamp", "selfLink",
    "uid",  "generation", "managedFields",     "resourceVersion"};

/// Above the bound, the oldest Update entries become one.
void capManagers(Managers& managers) {
  std::vector<Managers::iterator> updates;
  for (auto it = managers.begin(); it != managers.end(); ++it) {
    if (it->first.operation == "Update" && it->first.manager != kAncient) updates.push_back(it);
  }
  if (updates.size() <= kMaxUpdateManagers) return;
  std::ranges::sort(updates, {}, [](const auto& it) {
    return std::pair(it->second.time.seconds(), it->first.manager);
  });
  updates.resize(updates.size() - kMaxUpdateManagers + 1);
  for (const auto& oldest : updates) {
    ManagerEntry& ancient = managers[{"Update", kAncient, oldest->first.apiVersion, ""}];
    ancient.fields.unite(oldest->second.fields);
    ancient.time = oldest->second.time;
    managers.erase(oldest);
  }
}

void addEntry(const ManagerId& id, const metav1::Time& time, std::string fields,
              metav1::ObjectMeta& metadata) {
  metav1::ManagedFieldsEntry& entry = *metadata.add_managedfields();
  entry.set_manager(id.manager);
  entry.set_operation(id.operation);
  entry.set_apiversion(id.apiVersion);
  *entry.mutable_time() = time;
  entry.set_fieldstype("FieldsV1");
  entry.mutable_fieldsv1()->set_raw(std::move(fields));
  if (!id.subresource.empty()) entry.set_subresource(id.subresource);
}

/// The common case, and the only one that happens thousands of times a second: an object is made,
/// and all of it is its maker's.
void trackMade(const Kind& kind, Message& made, const FieldWriter& writer) {
  const auto isLeft = [&](bool inMetadata, std::string_view name) {
    if (inMetadata) return std::ranges::find(kServerFields, name) != kServerFields.end();
    if (kind.custom && (name == "apiVersion" || name == "kind")) return true;
    return kind.strategy.hasStatus && name == "status";
  };
  std::string fields = madeFields(toJson(made), ValueType::of(kind), isLeft);
  if (fields == "{}") return;
  addEntry({"Update", writer.manager, kind.apiVersion(), writer.subresource}, toTime(writer.now),
           std::move(fields), mutableMeta(made));
}

/// One empty entry: the client wants the managers gone.
bool isReset(const metav1::ObjectMeta& wanted) {
  return wanted.managedfields_size() == 1 && wanted.managedfields(0).ByteSizeLong() == 0;
}

}  // namespace

Result<Managers> readManagers(const metav1::ObjectMeta& metadata) {
  Managers managers;
  for (int i = 0; i < metadata.managedfields_size(); ++i) {
    const metav1::ManagedFieldsEntry& entry = metadata.managedfields(i);
    const std::string at = "metadata.managedFields[" + std::to_string(i) + "]";
    if (entry.operation() != "Apply" && entry.operation() != "Update") {
      return Status(Code::kBadRequest,
                    at + ".operation: \"" + entry.operation() + "\" is neither Apply nor Update");
    }
    if (entry.fieldstype() != "FieldsV1") {
      return Status(Code::kBadRequest,
                    at + ".fieldsType: \"" + entry.fieldstype() + "\" is not FieldsV1");
    }
    auto fields = FieldSet::parse(entry.has_fieldsv1() ? entry.fieldsv1().raw() : "{}");
    if (!fields) return fields.status().withContext(at);
    ManagerEntry& known =
        managers[{entry.operation(), entry.manager(), entry.apiversion(), entry.subresource()}];
    known.fields.unite(*fields);
    known.time = entry.time();
  }
  return managers;
}

void writeManagers(const Managers& managers, metav1::ObjectMeta& metadata) {
  metadata.clear_managedfields();
  std::vector<const Managers::value_type*> sorted;
  for (const auto& entry : managers) sorted.push_back(&entry);
  std::ranges::sort(sorted, {}, [](const auto* entry) {
    return std::tuple(entry->first.operation, entry->second.time.seconds(), entry->first);
  });
  for (const auto* entry : sorted) {
    addEntry(entry->first, entry->second.time, entry->second.fields.toFieldsV1(), metadata);
  }
}

Json documentOf(const Message* object) {
  if (object == nullptr) return Json::object();
  Json document = Json::parse(toJson(*object), nullptr, false);
  // A raw part of it may have a number that is none for this library.
  return document.is_object() ? document : Json::object();
}

Json managedDocument(const Kind& kind, const Message* object, const std::string& subresource) {
  Json document = documentOf(object);
  leaveManaged(document, kind, subresource);
  return document;
}

void leaveManaged(Json& document, const Kind& kind, const std::string& subresource) {
  document.erase("apiVersion");
  document.erase("kind");
  if (subresource == "status") {
    for (auto it = document.begin(); it != document.end();)
      it = it.key() == "status" ? std::next(it) : document.erase(it);
    return;
  }
  if (kind.strategy.hasStatus) document.erase("status");
  const auto metadata = document.find("metadata");
  if (metadata == document.end() || !metadata->is_object()) return;
  for (const auto name : kServerFields) metadata->erase(std::string(name));
  if (metadata->empty()) document.erase(metadata);
}

void takeFrom(Managers& managers, const ManagerId& except, const FieldSet& fields) {
  for (auto it = managers.begin(); it != managers.end();) {
    if (it->first != except) it->second.fields.subtract(fields);
    it = it->second.fields.empty() ? managers.erase(it) : std::next(it);
  }
}

void trackUpdate(const Kind& kind, const Message* current, const metav1::ObjectMeta& wanted,
                 Message& next, const FieldWriter& writer) {
  metav1::ObjectMeta& metadata = mutableMeta(next);
  if (isReset(wanted)) return metadata.clear_managedfields();
  Managers managers;
  auto given = writer.subresource.empty() ? readManagers(wanted) : Result(Managers());
  const bool byClient = given && !given->empty();
  if (byClient) {
    managers = std::move(*given);
  } else if (current != nullptr) {
    auto known = readManagers(meta(*current));
    if (known) managers = std::move(*known);
  }
  metadata.clear_managedfields();
  if (managers.empty()) {
    if (current == nullptr) trackMade(kind, next, writer);
    return;
  }

  const Json before = managedDocument(kind, current, writer.subresource);
  const Json after = managedDocument(kind, &next, writer.subresource);
  if (before == after && current != nullptr) {
    if (byClient) {
      writeManagers(managers, metadata);
    } else {
      *metadata.mutable_managedfields() = meta(*current).managedfields();
    }
    return;
  }
  const Comparison changes = compare(before, after, ValueType::of(kind));
  const ManagerId own{"Update", writer.manager, kind.apiVersion(), writer.subresource};
  FieldSet changed = changes.modified;
  changed.unite(changes.added);
  FieldSet lost = changed;
  lost.unite(changes.removed);
  takeFrom(managers, own, lost);
  if (const auto known = managers.find(own); known != managers.end()) {
    changed.unite(known->second.fields);
    changed.subtract(changes.removed);
  }
  if (changed.empty()) {
    managers.erase(own);
  } else {
    managers[own] = {std::move(changed), toTime(writer.now)};
  }
  capManagers(managers);
  writeManagers(managers, metadata);
}

bool hasSameManagers(const metav1::ObjectMeta& a, const metav1::ObjectMeta& b) {
  const auto left = readManagers(a);
  const auto right = readManagers(b);
  const auto same = [](const auto& x, const auto& y) {
    return x.first == y.first && x.second.fields == y.second.fields;
  };
  return left && right && std::ranges::equal(*left, *right, same);
}

}  // namespace podlab::api
