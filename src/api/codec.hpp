#pragma once
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.hpp"
#include "common/json.hpp"
#include "common/status.hpp"

/// The one codec between JSON or YAML and the messages of proto/, driven by their descriptors and
/// the options of field_options.proto; no kind has code of its own here. Quantity, IntOrString,
/// Time, MicroTime, Duration, FieldsV1, RawExtension and lists in a message of their own ("items"
/// alone) have upstream's scalar forms. Unless a field is marked `presence`, its false, 0 and ""
/// read as unset, as in upstream's Go types.
namespace podlab::api {

/// What every API object names first; not part of the messages.
struct TypeMeta {
  std::string apiVersion;
  std::string kind;
  bool operator==(const TypeMeta&) const = default;
};

/// A field that strict decoding refuses: `unknown field "spec.imagee"` or `duplicate field
/// "spec.image"`.
struct FieldProblem {
  std::string path;
  std::string message;
  bool operator==(const FieldProblem&) const = default;
};

struct DecodeOptions {
  bool strict = false;  ///< unknown and duplicate fields are errors
};

/// Reads one JSON object into `out`, which is cleared first, and is empty after a failure. Unknown
/// fields are skipped and the last of duplicates counts; `problems` (may be null) receives them.
/// apiVersion and kind are accepted at the top and in the items of a list, and left to
/// readTypeMeta. kBadRequest: a syntax error with line and column; or a value of the wrong type,
/// with a cause that names path, value and what is expected; or, when strict, all problems.
Status fromJson(std::string_view json, google::protobuf::Message& out,
                const DecodeOptions& options = {}, std::vector<FieldProblem>* problems = nullptr);

/// apiVersion and kind of a JSON object, empty when absent. Stops reading once it has both.
Result<TypeMeta> readTypeMeta(std::string_view json);

struct EncodeOptions {
  TypeMeta type = {};  ///< written into the object unless empty
  int indent = 0;      ///< spaces a level; 0: compact
};

/// The message as JSON with its members sorted by name, as kubectl prints objects.
std::string toJson(const google::protobuf::Message& message, const EncodeOptions& options = {});
/// The same as a part of a larger document.
void writeJson(JsonWriter& writer, const google::protobuf::Message& message,
               const TypeMeta& type = {});
/// As writeJson writes the message that `bytes`, in the wire format, are of; the message is not
/// made. False when they are malformed: what was written then is no JSON.
bool transcodeJson(JsonWriter& writer, std::string_view bytes,
                   const google::protobuf::Descriptor* descriptor, const TypeMeta& type = {});
/// As `kubectl -o yaml`: sorted, quoted only where needed, block literals for lines.
std::string toYaml(const google::protobuf::Message& message, const TypeMeta& type = {});

/// The message for a kind, to be copied empty; nullptr when the kind is unknown.
using PrototypeLookup = std::function<const google::protobuf::Message*(const TypeMeta&)>;

struct DecodedObject {
  TypeMeta type;
  MutableObjectPtr object;
  int line = 1;  ///< where its document starts
  std::vector<FieldProblem> problems;
};

/// All objects of a manifest: YAML or JSON, any number of documents, empty ones skipped; lists
/// (`kind: List`, or the list of a known kind) give their items. An error names the document and
/// its line.
Result<std::vector<DecodedObject>> decodeManifest(std::string_view text,
                                                  const PrototypeLookup& lookup,
                                                  const DecodeOptions& options = {});

/// The JSON Schema (draft 2020-12) of what fromJson accepts for the message in strict mode,
/// indented by two spaces.
std::string jsonSchema(const google::protobuf::Descriptor* descriptor);

}  // namespace podlab::api
