#include "api/custom/custom_object.hpp"

#include <array>
#include <map>
#include <set>

#include "api/custom/custom_kinds.hpp"
#include "api/custom/custom_type.hpp"
#include "api/json_value.hpp"

namespace podlab::api {
namespace {

using Json = nlohmann::json;

constexpr std::array<const char*, 3> kTop{"apiVersion", "kind", "metadata"};

/// Reports members that are there twice, and finds the text of the top-level "metadata".
class Scanner {
 public:
  explicit Scanner(std::vector<FieldProblem>* problems) : problems_(problems) {}

  std::string_view metadata(std::string_view json) {
    JsonReader reader(json);
    object(reader, "", true);
    return metadata_;
  }

 private:
  void value(JsonReader& reader, const std::string& path) {
    if (reader.type() == JsonType::kObject) return object(reader, path, false);
    if (reader.type() != JsonType::kArray) return void(reader.skip());
    reader.beginArray();
    for (int i = 0; reader.nextElement(); ++i) value(reader, path + "[" + std::to_string(i) + "]");
  }

  void object(JsonReader& reader, const std::string& path, bool top) {
    std::set<std::string> seen;
    std::string_view key;
    reader.beginObject();
    while (reader.nextKey(&key)) {
      const std::string name(key);
      const std::string member = path.empty() ? name : path + "." + name;
      if (!seen.insert(name).second && problems_ != nullptr)
        problems_->push_back({member, "duplicate field \"" + member + "\""});
      if (top && name == "metadata") {
        reader.skip(&metadata_);
      } else {
        value(reader, member);
      }
    }
  }

  std::vector<FieldProblem>* problems_;
  std::string_view metadata_;
};

Status missing(const char* member, std::string_view json) {
  constexpr std::size_t kShown = 256;
  return {Code::kBadRequest, std::string("Object '") + member + "' is missing in '" +
                                 std::string(json.substr(0, kShown)) + "'"};
}

Status readType(const Json& document, std::string_view json, CustomObject& out) {
  for (const auto& [member, shown] : {std::pair("apiVersion", "apiVersion"), {"kind", "Kind"}}) {
    const auto found = document.find(member);
    if (found == document.end() || !found->is_string() ||
        found->get_ref<const std::string&>().empty())
      return missing(shown, json);
    const bool version = member == std::string_view("apiVersion");
    version ? out.set_apiversion(found->get<std::string>())
            : out.set_kind(found->get<std::string>());
  }
  return {};
}

Status readMetadata(std::string_view json, metav1::ObjectMeta& out,
                    std::vector<FieldProblem>* problems) {
  std::vector<FieldProblem> found;
  const Status read = fromJson(json, out, {}, &found);
  if (!read) {
    std::vector<Cause> causes = read.causes();
    for (Cause& cause : causes) cause.field = "metadata." + cause.field;
    return {read.code(), "metadata." + read.message(), std::move(causes)};
  }
  for (FieldProblem& problem : found) {
    const auto quote = problem.message.find('"');
    problem.path = "metadata." + problem.path;
    problem.message.insert(quote + 1, "metadata.");
    if (problems != nullptr) problems->push_back(std::move(problem));
  }
  return {};
}

Json parsedObject(const std::string& raw) {
  Json parsed = raw.empty() ? Json::object() : trustedJson(raw);
  return parsed.is_object() ? parsed : Json::object();
}

}  // namespace

Json contentOf(const CustomObject& object) {
  Json content = parsedObject(object.content().raw());
  if (object.has_status()) content["status"] = trustedJson(object.status().raw());
  return content;
}

void setContent(CustomObject& object, Json content) {
  object.clear_status();
  object.clear_content();
  for (const char* member : kTop) content.erase(member);
  if (const auto status = content.find("status"); status != content.end()) {
    object.mutable_status()->set_raw(status->dump());
    content.erase(status);
  }
  if (!content.empty()) object.mutable_content()->set_raw(content.dump());
}

Status readCustomObject(std::string_view json, CustomObject& out,
                        std::vector<FieldProblem>* problems) {
  auto document = parseJson(json);
  if (!document) return document.status();
  if (!document->is_object()) return {Code::kBadRequest, "line 1, column 1: expected an object"};
  if (Status bad = readType(*document, json, out); !bad) return bad;
  const std::string_view metadata = Scanner(problems).metadata(json);
  const auto given = document->find("metadata");
  if (given != document->end() && !given->is_null()) {
    if (Status bad = readMetadata(metadata, *out.mutable_metadata(), problems); !bad) return bad;
  }
  const Kind* kind = customKindOf(out);
  if (kind != nullptr) pruneUnknown(*document, *kind->custom->schema, true, problems);
  setContent(out, std::move(*document));
  return {};
}

void writeCustomObject(JsonWriter& writer, const CustomObject& object) {
  std::map<std::string, std::string_view> members;
  for (const char* member : kTop) members.emplace(member, "");
  if (object.has_status()) members.emplace("status", object.status().raw());
  if (object.has_content()) {
    JsonReader reader(object.content().raw());
    std::string_view key;
    std::string_view text;
    reader.beginObject();
    while (reader.nextKey(&key)) {
      std::string name(key);
      if (reader.skip(&text)) members.emplace(std::move(name), text);
    }
  }
  writer.beginObject();
  for (const auto& [name, text] : members) {
    writer.key(name);
    if (name == "apiVersion") {
      writer.string(object.apiversion());
    } else if (name == "kind") {
      writer.string(object.kind());
    } else if (name == "metadata") {
      writeJson(writer, object.metadata());
    } else {
      JsonReader reader(text);
      copyJson(reader, writer);
    }
  }
  writer.endObject();
}

void adoptCustomObject(CustomObject& object, const Kind& kind) {
  object.set_apiversion(kind.apiVersion());
  object.set_kind(std::string(kind.kind));
  Json content = contentOf(object);
  applySchemaDefaults(content, *kind.custom->schema);
  setContent(object, std::move(content));
}

void sanitizeCustomObject(CustomObject& object, const Kind& kind) {
  Json content = contentOf(object);
  pruneUnknown(content, *kind.custom->schema, true);
  setContent(object, std::move(content));
  adoptCustomObject(object, kind);
}

ObjectPtr inVersionOf(const Kind& kind, const ObjectPtr& object) {
  if (object == nullptr || !kind.custom) return object;
  const auto& known = as<CustomObject>(object);
  if (known.kind() == kind.kind && known.apiversion() == kind.apiVersion()) return object;
  auto copy = std::make_shared<CustomObject>(known);
  sanitizeCustomObject(*copy, kind);
  return copy;
}

}  // namespace podlab::api
