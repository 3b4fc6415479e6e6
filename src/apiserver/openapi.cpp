#include "apiserver/openapi.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "openapi_v2.pb.h"

#include "api/custom/custom_kinds.hpp"
#include "api/kinds.hpp"
#include "api/openapi_schema.hpp"
#include "apiserver/openapi_v2.hpp"
#include "apiserver/rest_discovery.hpp"
#include "common/hash.hpp"

namespace podlab::apiserver {
namespace {

using Json = nlohmann::json;

constexpr const char* kPatchSchema = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";

/// "api/v1", "apis/apps/v1".
std::string pathOf(std::string_view group, std::string_view version) {
  return group.empty() ? "api/" + std::string(version)
                       : "apis/" + std::string(group) + "/" + std::string(version);
}

std::string hashOf(std::string_view text) {
  std::array<char, 17> hash{};
  (void)std::snprintf(hash.data(), hash.size(), "%016llX",
                      static_cast<unsigned long long>(fnv1a(text)));
  return hash.data();
}

std::string capital(std::string_view word) {
  std::string text(word.substr(0, word.find('.')));
  if (!text.empty()) text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

Json typeOf(std::string_view group, std::string_view version, std::string_view kind) {
  return {{"group", std::string(group)},
          {"version", std::string(version)},
          {"kind", std::string(kind)}};
}

Json parameter(const char* name, const char* in, const char* type) {
  Json made{{"name", name}, {"in", in}, {"schema", {{"type", type}}}};
  if (std::string_view(in) == "path") made["required"] = true;
  return made;
}

/// The message of a group's kind that is not in the table; nullptr when it is not known here.
const google::protobuf::Descriptor* findMessage(std::string_view group, std::string_view version,
                                                std::string_view kind) {
  const std::string_view package = group.empty() ? "core" : group.substr(0, group.find('.'));
  std::string name = "k8s.io.api.";
  for (const auto part : {package, version, kind}) name += std::string(part) + ".";
  name.pop_back();
  return google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(name);
}

/// The operations of one kind.
class PathWriter {
 public:
  PathWriter(Json& document, const api::Kind& kind)
      : document_(document), kind_(kind), base_("/" + pathOf(kind.group, kind.version) + "/") {}

  void write() {
    const Json type = typeOf(kind_.group, kind_.version, kind_.kind);
    const std::string schema = api::schemaName(kind_);
    const std::string plural(kind_.plural);
    const std::string place = kind_.namespaced() ? "namespaces/{namespace}/" : "";
    const std::string collection = base_ + place + plural;
    if (serves("list")) add(collection, "get", "list", type, schema + "List");
    if (serves("create")) add(collection, "post", "post", type, schema);
    if (serves("deletecollection"))
      add(collection, "delete", "deletecollection", type, schema + "List");
    if (serves("list") && kind_.namespaced())
      add(base_ + plural, "get", "list", type, schema + "List");
    const std::string object = collection + "/{name}";
    for (const auto& [method, verb] : std::initializer_list<std::pair<const char*, const char*>>{
             {"get", "get"}, {"put", "update"}, {"patch", "patch"}, {"delete", "delete"}}) {
      if (serves(verb)) add(object, method, method, type, schema);
    }
    for (const auto& subresource : subresourcesOf(kind_)) addSubresource(object, subresource);
  }

 private:
  bool serves(std::string_view verb) const {
    return kind_.verbs.empty() || std::ranges::find(kind_.verbs, verb) != kind_.verbs.end();
  }

  void addSubresource(const std::string& object, const Subresource& subresource) {
    Json type = typeOf(kind_.group, kind_.version, kind_.kind);
    std::string schema = api::schemaName(kind_);
    if (!subresource.kind.empty()) {
      for (const auto& [name, value] : subresource.kind)
        type[std::string(name)] = std::string(value);
      const auto text = [&](const char* name) { return type.value(name, std::string()); };
      const auto* message = findMessage(text("group"), text("version"), text("kind"));
      schema = message != nullptr ? api::schemaName(message) : "";
      if (message != nullptr) api::addSchemas(schemas(), message, type);
    }
    for (const std::string_view verb : subresource.verbs) {
      const char* method = verb == "create"   ? "post"
                           : verb == "update" ? "put"
                           : verb == "patch"  ? "patch"
                                              : "get";
      add(object + "/" + std::string(subresource.name), method, method, type, schema);
    }
  }

  Json& schemas() { return document_["components"]["schemas"]; }

  void add(const std::string& path, const std::string& method, const std::string& action,
           const Json& type, const std::string& schema) {
    Json& item = document_["paths"][path];
    if (!item.contains("parameters")) {
      item["parameters"] = Json::array();
      for (const char* name : {"namespace", "name"}) {
        if (path.find("{" + std::string(name) + "}") != std::string::npos)
          item["parameters"].push_back(parameter(name, "path", "string"));
      }
    }
    Json operation{{"operationId", operationId(path, action)},
                   {"x-kubernetes-action", action},
                   {"x-kubernetes-group-version-kind", type},
                   {"parameters", parameters(method, action)}};
    Json answer{{"description", "OK"}};
    if (!schema.empty()) {
      const Json reference{{"schema", api::schemaReference(schema)}};
      answer["content"]["application/json"] = reference;
      if (method == "post" || method == "put") {
        operation["requestBody"] = {{"required", true}, {"content", {{"*/*", reference}}}};
      }
    }
    if (method == "patch") operation["requestBody"] = patchBody();
    operation["responses"][method == "post" ? "201" : "200"] = std::move(answer);
    item[method] = std::move(operation);
  }

  Json patchBody() {
    schemas()[kPatchSchema] = {{"type", "object"},
                               {"description",
                                "Patch is a change of an object, by one of the "
                                "media types of patches."}};
    Json body{{"required", true}};
    // Strategic merge patches may be named, for the schemas are whole: clients follow the
    // x-kubernetes-patch-strategy of these.
    for (const char* media :
         {"application/apply-patch+yaml", "application/json-patch+json",
          "application/merge-patch+json", "application/strategic-merge-patch+json"}) {
      if (kind_.custom && std::string_view(media).find("strategic") != std::string_view::npos)
        continue;
      body["content"][media]["schema"] = api::schemaReference(kPatchSchema);
    }
    return body;
  }

  static Json parameters(const std::string& method, const std::string& action) {
    Json all = Json::array();
    const auto query = [&](const char* name, const char* type) {
      all.push_back(parameter(name, "query", type));
    };
    if (action == "list" || action == "deletecollection") {
      for (const char* name : {"labelSelector", "fieldSelector", "continue", "resourceVersion"})
        query(name, "string");
      query("limit", "integer");
    }
    if (action == "list") {
      for (const char* name : {"watch", "allowWatchBookmarks", "sendInitialEvents"})
        query(name, "boolean");
      query("resourceVersionMatch", "string");
      query("timeoutSeconds", "integer");
    }
    if (method != "get") query("dryRun", "string");
    if (method == "post" || method == "put" || method == "patch") {
      query("fieldManager", "string");
      query("fieldValidation", "string");
    }
    if (method == "patch") query("force", "boolean");
    if (method == "delete") {
      query("gracePeriodSeconds", "integer");
      query("propagationPolicy", "string");
    }
    return all;
  }

  /// As upstream names them, after which client libraries name their methods:
  /// readCoreV1NamespacedPodStatus.
  std::string operationId(const std::string& path, const std::string& action) const {
    const bool inNamespace = path.find("{namespace}") != std::string::npos;
    std::string verb = action;
    if (action == "get") verb = "read";
    if (action == "post") verb = "create";
    if (action == "put") verb = "replace";
    if (action == "deletecollection") verb = "delete";
    std::string id =
        verb + (kind_.group.empty() ? "Core" : capital(kind_.group)) + capital(kind_.version);
    if (action == "deletecollection") id += "Collection";
    if (inNamespace) id += "Namespaced";
    id += kind_.kind;
    if (const auto name = path.find("{name}/"); name != std::string::npos)
      id += capital(std::string_view(path).substr(name + 7));
    if (kind_.namespaced() && !inNamespace) id += "ForAllNamespaces";
    return id;
  }

  Json& document_;
  const api::Kind& kind_;
  const std::string base_;
};

Json makeDocument(std::string_view group, std::string_view version) {
  Json document{{"openapi", "3.0.0"},
                {"info", {{"title", "Kubernetes"}, {"version", "unversioned"}}},
                {"paths", Json::object()},
                {"components", {{"schemas", Json::object()}}}};
  for (const api::Kind& kind : api::servedKinds()) {
    if (kind.group != group || kind.version != version) continue;
    api::addSchemas(document["components"]["schemas"], kind);
    PathWriter(document, kind).write();
  }
  return document;
}

}  // namespace

void OpenApi::forgetChanged() {
  if (generation_ == api::customKindsGeneration()) return;
  generation_ = api::customKindsGeneration();
  index_.clear();
  v2_.clear();
  for (const std::string& path : customPaths_) v3_.erase(path);
  customPaths_.clear();
}

const std::string* OpenApi::v3(std::string_view group, std::string_view version) {
  forgetChanged();
  std::string path = pathOf(group, version);
  if (const auto found = v3_.find(path); found != v3_.end()) return &found->second;
  const Json document = makeDocument(group, version);
  if (document["paths"].empty()) return nullptr;
  const auto isCustom = [&](const api::Kind* kind) {
    return kind->group == group && kind->version == version;
  };
  if (std::ranges::any_of(api::servedCustomKinds(), isCustom)) customPaths_.insert(path);
  return &v3_.emplace(std::move(path), document.dump()).first->second;
}

const std::string& OpenApi::index() {
  forgetChanged();
  if (!index_.empty()) return index_;
  Json paths = Json::object();
  for (const api::Kind& kind : api::servedKinds()) {
    const std::string path = pathOf(kind.group, kind.version);
    if (paths.contains(path)) continue;
    paths[path]["serverRelativeURL"] =
        "/openapi/v3/" + path + "?hash=" + hashOf(*v3(kind.group, kind.version));
  }
  index_ = Json{{"paths", std::move(paths)}}.dump();
  return index_;
}

const std::string& OpenApi::v2() {
  forgetChanged();
  if (!v2_.empty()) return v2_;
  openapi::v2::Document document;
  document.set_swagger("2.0");
  document.mutable_info()->set_title("Kubernetes");
  document.mutable_info()->set_version("unversioned");
  std::map<std::string, Json> schemas;
  std::map<std::string, bool> done;
  std::set<std::string> custom;
  for (const api::Kind* kind : api::servedCustomKinds()) custom.insert(api::schemaName(*kind));
  for (const api::Kind& kind : api::servedKinds()) {
    if (!done.emplace(pathOf(kind.group, kind.version), true).second) continue;
    Json part = makeDocument(kind.group, kind.version);
    addPathsV2(part["paths"], document);
    for (auto& [name, schema] : part["components"]["schemas"].items()) {
      // The document of a kind's own group tells that it is a kind.
      if (custom.contains(name)) simplifyForV2(schema);
      Json& known = schemas[name];
      if (known.is_null() || schema.contains("x-kubernetes-group-version-kind"))
        known = std::move(schema);
    }
  }
  for (const auto& [name, schema] : schemas) addDefinitionV2(name, schema, document);
  v2_ = document.SerializeAsString();
  return v2_;
}

}  // namespace podlab::apiserver
