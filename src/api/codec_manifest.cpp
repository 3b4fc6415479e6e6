#include "api/codec.hpp"
#include "common/yaml.hpp"

namespace podlab::api {
namespace {

/// Concatenated JSON documents.
Result<std::vector<YamlDocument>> splitJson(std::string_view text) {
  std::vector<YamlDocument> documents;
  JsonReader reader(text);
  int line = 1;
  std::size_t counted = 0;
  while (!reader.atEnd()) {
    for (; counted < reader.offset(); ++counted) line += text[counted] == '\n';
    std::string_view document;
    if (!reader.skip(&document)) return reader.status();
    documents.push_back({std::string(document), line});
  }
  return documents;
}

Result<std::vector<YamlDocument>> splitManifest(std::string_view text) {
  const auto start = text.find_first_not_of(" \t\r\n");
  if (start == text.npos || text[start] != '{') return yamlToJson(text);
  auto json = splitJson(text);
  if (json) return json;
  // A YAML flow mapping starts like JSON, too, but most are mistyped JSON: its error is the better
  // one.
  auto yaml = yamlToJson(text);
  return yaml ? std::move(yaml) : std::move(json);
}

class ManifestDecoder {
 public:
  ManifestDecoder(const PrototypeLookup& lookup, const DecodeOptions& options)
      : lookup_(lookup), options_(options) {}

  /// `expected` is the kind that an item of a typed list need not repeat.
  Status decode(std::string_view json, int line, const TypeMeta& expected) {
    auto read = readTypeMeta(json);
    if (!read) return read.status();
    TypeMeta type = *std::move(read);
    if (type.apiVersion.empty()) type.apiVersion = expected.apiVersion;
    if (type.kind.empty()) type.kind = expected.kind;
    for (const auto& [field, value] :
         {std::pair("apiVersion", &type.apiVersion), std::pair("kind", &type.kind)}) {
      if (!value->empty()) continue;
      const Cause cause{"FieldValueRequired", field,
                        "Required value: every object names it, e.g. apiVersion: v1, kind: Pod"};
      return {Code::kBadRequest, std::string(field) + ": " + cause.message, {cause}};
    }

    if (const auto* prototype = lookup_(type)) {
      DecodedObject decoded{std::move(type), MutableObjectPtr(prototype->New()), line, {}};
      const Status status = fromJson(json, *decoded.object, options_, &decoded.problems);
      if (!status.ok()) return status.withContext(decoded.type.kind);
      objects_.push_back(std::move(decoded));
      return {};
    }
    TypeMeta item = type;
    if (item.kind.ends_with("List")) item.kind.resize(item.kind.size() - 4);
    if (type.kind == "List") return list(json, line, {});
    if (item != type && lookup_(item)) return list(json, line, item);
    return {Code::kBadRequest,
            "no matches for kind \"" + type.kind + "\" in version \"" + type.apiVersion + "\""};
  }

  std::vector<DecodedObject> take() { return std::move(objects_); }

 private:
  Status list(std::string_view json, int line, const TypeMeta& item) {
    JsonReader in(json);
    std::string_view key;
    in.beginObject();
    while (in.nextKey(&key)) {
      if (key != "items" || in.type() != JsonType::kArray) {
        in.skip();
        continue;
      }
      in.beginArray();
      for (int i = 0; in.nextElement(); ++i) {
        std::string_view element;
        if (!in.skip(&element)) break;
        const Status status = decode(element, line, item);
        if (!status.ok()) return status.withContext("items[" + std::to_string(i) + "]");
      }
    }
    return in.status();
  }

  const PrototypeLookup& lookup_;
  const DecodeOptions& options_;
  std::vector<DecodedObject> objects_;
};

}  // namespace

Result<std::vector<DecodedObject>> decodeManifest(std::string_view text,
                                                  const PrototypeLookup& lookup,
                                                  const DecodeOptions& options) {
  const auto documents = splitManifest(text);
  if (!documents) return documents.status();
  ManifestDecoder decoder(lookup, options);
  int number = 0;
  for (const auto& [json, line] : *documents) {
    ++number;
    const Status status = decoder.decode(json, line, {});
    if (!status.ok()) {
      return status.withContext("document " + std::to_string(number) + " (line " +
                                std::to_string(line) + ")");
    }
  }
  return decoder.take();
}

}  // namespace podlab::api
