#include "apiserver/rest_body.hpp"

#include <algorithm>
#include <cctype>

#include "custom_object.pb.h"
#include "runtime.pb.h"

#include "api/arena_object.hpp"

namespace podlab::apiserver {
namespace {

constexpr std::string_view kMagic("k8s\0", 4);
/// How much longer an object is in JSON than in the wire format, about.
constexpr std::size_t kJsonExpansion = 2;

Status checkType(const api::TypeMeta& given, const api::TypeMeta& wanted) {
  if (wanted.kind.empty()) return {};
  if (!given.apiVersion.empty() && given.apiVersion != wanted.apiVersion) {
    return Status(Code::kBadRequest, "the API version in the data (" + given.apiVersion +
                                         ") does not match the expected API version (" +
                                         wanted.apiVersion + ")");
  }
  if (!given.kind.empty() && given.kind != wanted.kind) {
    return Status(Code::kBadRequest, "the kind in the data (" + given.kind +
                                         ") does not match the expected kind (" + wanted.kind +
                                         ")");
  }
  return {};
}

/// In the words of the API server, which name the version without its group.
std::string cannotHandle(const api::TypeMeta& type) {
  return type.kind + " in version \"" + type.apiVersion.substr(type.apiVersion.find('/') + 1) +
         "\" cannot be handled as a " + type.kind + ": ";
}

Status strictError(const api::TypeMeta& type, const std::vector<api::FieldProblem>& problems) {
  std::string all;
  for (const auto& problem : problems) all += (all.empty() ? "" : ", ") + problem.message;
  return Status(Code::kBadRequest, cannotHandle(type) + "strict decoding error: " + all);
}

Result<RestBody> finish(api::MutableObjectPtr object, const api::TypeMeta& type,
                        const std::vector<api::FieldProblem>& problems,
                        api::FieldValidation validation) {
  RestBody body{std::move(object), {}};
  if (validation == api::FieldValidation::kIgnore) return body;
  if (validation == api::FieldValidation::kStrict && !problems.empty())
    return strictError(type, problems);
  for (const auto& problem : problems) body.warnings.push_back(problem.message);
  return body;
}

/// Go's encoder writes every field, set or not: by way of JSON what is empty becomes unset.
Result<api::MutableObjectPtr> readProtobuf(std::string_view bytes,
                                           const google::protobuf::Message& prototype,
                                           const api::TypeMeta& type) {
  const auto malformed = [&] {
    return Status(Code::kBadRequest, "the body is not an encoded " + type.kind);
  };
  if (!bytes.starts_with(kMagic)) return malformed();
  bytes.remove_prefix(kMagic.size());
  k8s::io::apimachinery::pkg::runtime::Unknown envelope;
  if (!envelope.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return malformed();
  const auto& given = envelope.typemeta();
  if (Status same = checkType({given.apiversion(), given.kind()}, type); !same.ok()) return same;
  const std::unique_ptr<google::protobuf::Message> raw(prototype.New());
  if (!raw->ParseFromString(envelope.raw())) return malformed();
  const auto object = api::makeOnArena(prototype, envelope.raw().size());
  if (Status read = api::fromJson(api::toJson(*raw), *object); !read.ok()) return read;
  return object;
}

}  // namespace

std::string mediaTypeOf(const http::Request& request) {
  const std::string* header = request.header("content-type");
  if (header == nullptr) return "";
  std::string type = header->substr(0, header->find(';'));
  while (type.ends_with(' ')) type.pop_back();
  std::ranges::transform(type, type.begin(), [](unsigned char c) { return std::tolower(c); });
  return type;
}

Result<RestBody> readRestBody(const http::Request& request,
                              const google::protobuf::Message& prototype, const api::TypeMeta& type,
                              api::FieldValidation validation) {
  const std::string media = mediaTypeOf(request);
  const bool custom = dynamic_cast<const CustomObject*>(&prototype) != nullptr;
  if (media == "application/vnd.kubernetes.protobuf" && !custom) {
    auto object = readProtobuf(request.body, prototype, type);
    if (!object) return object.status();
    return RestBody{std::move(*object), {}};
  }
  if (media == "application/yaml") {
    const auto lookup = [&](const api::TypeMeta&) { return &prototype; };
    auto objects = api::decodeManifest(request.body, lookup);
    if (!objects) return objects.status();
    if (objects->size() != 1) return Status(Code::kBadRequest, "the body has to be one object");
    auto& only = objects->front();
    if (Status same = checkType(only.type, type); !same.ok()) return same;
    return finish(std::move(only.object), type, only.problems, validation);
  }
  if (!media.empty() && media != "application/json") {
    return Status(
        Code::kUnsupportedMediaType,
        std::string("the body of the request was in an unknown format - accepted media types "
                    "include: application/json, application/yaml") +
            (custom ? "" : ", application/vnd.kubernetes.protobuf"));
  }
  const auto given = api::readTypeMeta(request.body);
  if (!given) return given.status();
  if (Status same = checkType(*given, type); !same.ok()) return same;
  auto object = api::makeOnArena(prototype, request.body.size() / kJsonExpansion);
  std::vector<api::FieldProblem> problems;
  if (Status read = api::fromJson(request.body, *object, {}, &problems); !read.ok()) {
    return Status(read.code(), cannotHandle(type) + read.message(), read.causes());
  }
  return finish(std::move(object), type, problems, validation);
}

}  // namespace podlab::apiserver
