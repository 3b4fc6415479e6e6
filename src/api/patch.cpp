#include "api/patch.hpp"

#include <nlohmann/json.hpp>

#include "api/codec.hpp"
#include "api/json_value.hpp"
#include "api/kinds.hpp"
#include "api/strategic_merge.hpp"

namespace podlab::api {
namespace {

using Json = nlohmann::json;
using Pointer = Json::json_pointer;

constexpr std::size_t kMaxOperations = 10000;
constexpr std::size_t kMaxCopiedBytes = 3 << 20;

Status malformed(const std::string& why) {
  return Status(Code::kBadRequest, "error decoding patch: " + why);
}

Status doesNotFit(const std::string& path, const std::string& why) {
  return Status(Code::kInvalid, "the server rejected our request due to an error in our request",
                {{"FieldValueInvalid", path, why}});
}

/// The member of an operation, which must be a string.
Result<std::string> text(const Json& operation, const char* member) {
  const auto found = operation.find(member);
  if (found == operation.end() || !found->is_string()) {
    return malformed("each operation needs a string \"" + std::string(member) + "\"");
  }
  return found->get<std::string>();
}

/// The library takes for granted that what holds a changed value is an object or an array.
bool hasContainer(const Json& document, const Pointer& pointer) {
  if (pointer.empty()) return true;
  const Pointer parent = pointer.parent_pointer();
  return document.contains(parent) && document.at(parent).is_structured();
}

/// Applies one operation. `copied` counts the bytes that copies added.
Status applyOperation(Json& document, const Json& operation, std::size_t& copied) {
  if (!operation.is_object()) return malformed("operations are objects");
  const Result<std::string> op = text(operation, "op");
  if (!op) return op.status();
  const Result<std::string> path = text(operation, "path");
  if (!path) return path.status();

  const bool changes = *op == "add" || *op == "remove" || *op == "replace";
  if (*op == "copy" || *op == "move") {
    const Result<std::string> from = text(operation, "from");
    if (!from) return from.status();
    const Pointer source(*from);
    if (!document.contains(source)) return doesNotFit(*from, "there is no such value");
    const Json value = document.at(source);
    if (*op == "move") {
      if (path->starts_with(*from + "/")) return doesNotFit(*path, "is inside of what is moved");
      const Status removed = applyOperation(document, {{"op", "remove"}, {"path", *from}}, copied);
      if (!removed) return removed;
    } else {
      copied += value.dump().size();
    }
    if (copied > kMaxCopiedBytes) {
      return Status(Code::kTooLarge, "the copies of a JSON patch may add no more than " +
                                         std::to_string(kMaxCopiedBytes) + " bytes");
    }
    return applyOperation(document, {{"op", "add"}, {"path", *path}, {"value", value}}, copied);
  }
  if (!changes && *op != "test") {
    return malformed("unknown op \"" + *op +
                     "\": it is one of add, remove, replace, move, copy, test");
  }
  const Pointer target(*path);
  if (changes && !hasContainer(document, target)) {
    return doesNotFit(*path, "there is no object or array to hold it");
  }
  document.patch_inplace(Json::array({operation}));
  return {};
}

/// applyOperation, with the library's exceptions turned into a Status.
Status tryOperation(Json& document, const Json& operation, std::size_t& copied) {
  const auto path = [&] { return operation.value("path", std::string()); };
  try {
    return applyOperation(document, operation, copied);
  } catch (const Json::parse_error& error) {
    return malformed(error.what());
  } catch (const Json::other_error&) {
    return doesNotFit(path(), "the test failed");
  } catch (const Json::exception& error) {
    return doesNotFit(path(), error.what());
  }
}

}  // namespace

Result<std::string> jsonPatch(std::string_view document, std::string_view patch) {
  Result<Json> value = parseJson(document);
  if (!value) return value.status();
  const Result<Json> operations = parseJson(patch);
  if (!operations) return operations.status().withContext("error decoding patch");
  if (!operations->is_array()) return malformed("a JSON patch is an array of operations");
  if (operations->size() > kMaxOperations) {
    return Status(Code::kTooLarge, "the allowed maximum operations in a JSON patch is " +
                                       std::to_string(kMaxOperations) + ", got " +
                                       std::to_string(operations->size()));
  }
  std::size_t copied = 0;
  for (const Json& operation : *operations) {
    if (const Status failed = tryOperation(*value, operation, copied); !failed) return failed;
  }
  return value->dump();
}

Result<std::string> mergePatch(std::string_view document, std::string_view patch) {
  Result<Json> value = parseJson(document);
  if (!value) return value.status();
  const Result<Json> changes = parseJson(patch);
  if (!changes) return changes.status().withContext("error decoding patch");
  if (!changes->is_object()) return malformed("a merge patch of an object is an object");
  value->merge_patch(*changes);
  return value->dump();
}

Result<Patched> applyPatch(const google::protobuf::Message& object, PatchType type,
                           std::string_view body, FieldValidation validation) {
  if (type == PatchType::kApply) {
    return Status(Code::kUnsupportedMediaType,
                  "the body of the request was in an unknown format - accepted media types "
                  "include: application/json-patch+json, application/merge-patch+json, "
                  "application/strategic-merge-patch+json");
  }
  const Kind& kind = *kindOf(object);
  if (kind.custom && type == PatchType::kStrategicMerge) {
    return Status(Code::kUnsupportedMediaType,
                  "the body of the request was in an unknown format - accepted media types "
                  "include: application/json-patch+json, application/merge-patch+json, "
                  "application/apply-patch+yaml");
  }
  const std::string before = toJson(object, {{kind.apiVersion(), std::string(kind.kind)}});
  const Result<std::string> after = type == PatchType::kJson ? jsonPatch(before, body)
                                    : type == PatchType::kMerge
                                        ? mergePatch(before, body)
                                        : strategicMergePatch(before, body, object.GetDescriptor());
  if (!after) return after.status();

  const Result<TypeMeta> named = readTypeMeta(*after);
  if (!named) return named.status();
  if (*named != TypeMeta{kind.apiVersion(), std::string(kind.kind)}) {
    return Status(Code::kBadRequest, "the patch turns " + kind.apiVersion() +
                                         ", Kind=" + std::string(kind.kind) + " into \"" +
                                         named->apiVersion + ", Kind=" + named->kind +
                                         "\": leave apiVersion and kind as they are");
  }
  Patched made{kind.make(), {}};
  std::vector<FieldProblem> problems;
  const Status decoded =
      fromJson(*after, *made.object, {.strict = validation == FieldValidation::kStrict}, &problems);
  if (!decoded) return decoded;
  if (validation == FieldValidation::kWarn) {
    for (const FieldProblem& problem : problems) made.warnings.push_back(problem.message);
  }
  return made;
}

}  // namespace podlab::api
