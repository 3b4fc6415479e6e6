#include "cli/manifests.hpp"

#include <algorithm>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "api/codec.hpp"
#include "cli/custom_kinds.hpp"
#include "cli/user_files.hpp"
#include "common/yaml.hpp"

namespace podlab::cli {
namespace {

namespace fs = std::filesystem;

Status bad(std::string what) {
  return {Code::kBadRequest, std::move(what)};
}

bool isManifest(const fs::path& path) {
  const auto extension = path.extension();
  return extension == ".yaml" || extension == ".yml" || extension == ".json";
}

template <typename Iterator>
Result<std::vector<std::string>> filesBelow(const std::string& path) {
  std::error_code error;
  std::vector<std::string> files;
  Iterator entry(path, error);
  for (; !error && entry != Iterator(); entry.increment(error)) {
    if (isManifest(entry->path()) && !entry->is_directory()) files.push_back(entry->path());
  }
  if (error) return errnoStatus(error.value(), "cannot read " + path);
  std::ranges::sort(files);
  if (files.empty())
    return bad("error reading [" + path + "]: recognized file extensions are [.json .yaml .yml]");
  return files;
}

Result<std::vector<std::string>> manifestFiles(const std::string& path, bool recursive) {
  std::error_code error;
  if (path == "-") return std::vector{path};
  if (path.starts_with("http://") || path.starts_with("https://"))
    return bad("-f " + path + ": podlab reads files, not addresses; fetch it and use -f -");
  if (!fs::exists(path, error)) return bad("the path \"" + path + "\" does not exist");
  if (!fs::is_directory(path, error)) return std::vector{path};
  return recursive ? filesBelow<fs::recursive_directory_iterator>(path)
                   : filesBelow<fs::directory_iterator>(path);
}

const google::protobuf::Message* prototypeOf(const api::TypeMeta& type) {
  const auto* kind = api::findKind(type.apiVersion, type.kind);
  if (kind == nullptr && type.kind != "List") {
    loadCustomKinds();
    kind = api::findKind(type.apiVersion, type.kind);
  }
  return kind ? kind->prototype : nullptr;
}

/// The objects of the text as they were written, in the order of decodeManifest.
std::vector<nlohmann::json> rawObjects(const std::string& text) {
  std::vector<nlohmann::json> objects;
  const auto documents = yamlToJson(text);
  if (!documents) return objects;
  for (const auto& document : *documents) {
    auto object = nlohmann::json::parse(document.json, nullptr, false);
    const auto kind = object.is_object() ? object.value("kind", "") : "";
    if (kind.ends_with("List") && object.contains("items") && object["items"].is_array()) {
      for (auto& item : object["items"]) objects.push_back(std::move(item));
    } else {
      objects.push_back(std::move(object));
    }
  }
  return objects;
}

/// What was written where it can be told, else what was understood.
std::string jsonOf(const ManifestObject& manifest, const nlohmann::json* raw) {
  const auto& ns = api::meta(*manifest.object).namespace_();
  if (raw && raw->is_object() && raw->contains("metadata") && raw->contains("kind") &&
      (*raw)["metadata"].is_object()) {
    nlohmann::json object = *raw;
    if (!ns.empty()) object["metadata"]["namespace"] = ns;
    return object.dump();
  }
  api::EncodeOptions encode;
  encode.type = {manifest.kind->apiVersion(), std::string(manifest.kind->kind)};
  return api::toJson(*manifest.object, encode);
}

}  // namespace

Result<std::vector<ManifestObject>> parseManifests(const std::string& text, const std::string& ns,
                                                   Validation validation) {
  api::DecodeOptions options;
  options.strict = validation == Validation::kStrict;
  auto decoded = api::decodeManifest(text, prototypeOf, options);
  if (!decoded) return decoded.status();
  const auto raw = rawObjects(text);
  const bool same = raw.size() == decoded->size();
  std::vector<ManifestObject> objects;
  for (std::size_t i = 0; i < decoded->size(); ++i) {
    auto& one = (*decoded)[i];
    ManifestObject manifest;
    manifest.kind = api::kindOf(*one.object);
    manifest.object = std::move(one.object);
    for (const auto& problem : one.problems) manifest.problems.push_back(problem.message);
    auto& meta = api::mutableMeta(*manifest.object);
    if (manifest.kind->namespaced() && meta.namespace_().empty()) meta.set_namespace_(ns);
    manifest.json = jsonOf(manifest, same ? &raw[i] : nullptr);
    objects.push_back(std::move(manifest));
  }
  return objects;
}

Result<std::vector<ManifestObject>> readManifests(const Selection& selection,
                                                  Validation validation) {
  if (!selection.kustomize.empty())
    return bad("-k: podlab has no kustomize; use: kubectl kustomize " + selection.kustomize +
               " | podlab apply -f -");
  std::vector<ManifestObject> objects;
  for (const auto& path : selection.files) {
    auto expanded = manifestFiles(path, selection.recursive);
    if (!expanded) return expanded.status();
    for (const auto& file : *expanded) {
      auto text = readInput(file);
      if (!text) return text.status();
      const std::string name = file == "-" ? "STDIN" : file;
      auto parsed = parseManifests(*text, selection.ns, validation);
      if (!parsed) return parsed.status().withContext(name);
      for (auto& manifest : *parsed) {
        manifest.source = name;
        objects.push_back(std::move(manifest));
      }
    }
  }
  return objects;
}

api::ResourceId idOf(const ManifestObject& manifest) {
  return idOf(Found{manifest.kind, manifest.object});
}

}  // namespace podlab::cli
