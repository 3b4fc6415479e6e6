#include "image/manifest.hpp"

#include <nlohmann/json.hpp>

#include "image/reference.hpp"

namespace podlab::image {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kIndexType = "application/vnd.oci.image.index.v1+json";
constexpr const char* kRefName = "org.opencontainers.image.ref.name";
/// Docker's Go structs of old: far more than any image has.
constexpr std::size_t kMaxLayers = 1000;

/// A fault in a document, thrown within this file only.
struct Fault {
  std::string message;
};

const Json& member(const Json& object, const char* name) {
  static const Json kAbsent;
  if (!object.is_object()) return kAbsent;
  const auto found = object.find(name);
  return found == object.end() ? kAbsent : *found;
}

std::string text(const Json& object, const char* name) {
  const Json& value = member(object, name);
  if (value.is_null()) return "";
  if (!value.is_string()) throw Fault{std::string(name) + ": must be a string"};
  return value.get<std::string>();
}

std::vector<std::string> texts(const Json& object, const char* name) {
  const Json& value = member(object, name);
  if (value.is_null()) return {};
  std::vector<std::string> list;
  if (!value.is_array()) throw Fault{std::string(name) + ": must be an array"};
  for (const auto& element : value) {
    if (!element.is_string()) throw Fault{std::string(name) + ": must have strings only"};
    list.push_back(element.get<std::string>());
  }
  return list;
}

const Json& array(const Json& object, const char* name) {
  const Json& value = member(object, name);
  if (!value.is_array()) throw Fault{std::string(name) + ": must be an array"};
  return value;
}

Descriptor descriptor(const Json& json, const std::string& what) {
  Descriptor out;
  out.mediaType = text(json, "mediaType");
  out.digest = text(json, "digest");
  if (!isSha256Digest(out.digest))
    throw Fault{what + ".digest: \"" + out.digest + "\" is not a sha256 digest"};
  const Json& size = member(json, "size");
  if (!size.is_number_unsigned()) throw Fault{what + ".size: must be a number"};
  out.size = size.get<std::uint64_t>();
  out.name = text(member(json, "annotations"), kRefName);
  return out;
}

template <typename Parse>
auto parsed(const char* what, std::string_view json, Parse parse)
    -> Result<decltype(parse(std::declval<const Json&>()))> {
  const Json document = Json::parse(json, nullptr, false);
  if (document.is_discarded()) return Status(Code::kInvalid, std::string(what) + " is not JSON");
  try {
    return parse(document);
  } catch (const Fault& fault) {
    return Status(Code::kInvalid, std::string(what) + ": " + fault.message);
  }
}

}  // namespace

Result<std::vector<Descriptor>> parseIndex(std::string_view json) {
  return parsed("the index", json, [](const Json& document) {
    std::vector<Descriptor> manifests;
    for (const auto& entry : array(document, "manifests"))
      manifests.push_back(descriptor(entry, "manifests"));
    return manifests;
  });
}

std::string formatIndex(const std::vector<Descriptor>& manifests) {
  Json document = {{"schemaVersion", 2}, {"mediaType", kIndexType}, {"manifests", Json::array()}};
  for (const auto& manifest : manifests) {
    Json entry = {
        {"mediaType", manifest.mediaType}, {"digest", manifest.digest}, {"size", manifest.size}};
    if (!manifest.name.empty()) entry["annotations"] = {{kRefName, manifest.name}};
    document["manifests"].push_back(std::move(entry));
  }
  return document.dump(2) + "\n";
}

Result<Manifest> parseManifest(std::string_view json) {
  return parsed("the manifest", json, [](const Json& document) {
    Manifest manifest;
    manifest.config = descriptor(member(document, "config"), "config");
    const Json& layers = array(document, "layers");
    if (layers.size() > kMaxLayers) throw Fault{"layers: there are more than 1000"};
    for (const auto& layer : layers) manifest.layers.push_back(descriptor(layer, "layers"));
    return manifest;
  });
}

Result<Config> parseConfig(std::string_view json) {
  return parsed("the configuration", json, [](const Json& document) {
    Config config;
    config.created = text(document, "created");
    config.os = text(document, "os");
    config.architecture = text(document, "architecture");
    config.diffIds = texts(member(document, "rootfs"), "diff_ids");
    for (const auto& id : config.diffIds) {
      if (!isSha256Digest(id))
        throw Fault{"rootfs.diff_ids: \"" + id + "\" is not a sha256 digest"};
    }
    const Json& run = member(document, "config");
    config.user = text(run, "User");
    config.env = texts(run, "Env");
    config.entrypoint = texts(run, "Entrypoint");
    config.command = texts(run, "Cmd");
    config.workingDir = text(run, "WorkingDir");
    config.stopSignal = text(run, "StopSignal");
    const Json& ports = member(run, "ExposedPorts");
    if (ports.is_object()) {
      for (const auto& [port, unused] : ports.items()) config.exposedPorts.push_back(port);
    }
    return config;
  });
}

Result<std::vector<std::vector<std::string>>> parseDockerManifest(std::string_view json) {
  return parsed("manifest.json", json, [](const Json& document) {
    if (!document.is_array() || document.empty()) throw Fault{"must be an array of images"};
    std::vector<std::vector<std::string>> images;
    for (const auto& image : document) images.push_back(texts(image, "RepoTags"));
    return images;
  });
}

}  // namespace podlab::image
