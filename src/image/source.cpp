#include "image/source.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "image/layer_stream.hpp"
#include "image/tool.hpp"

namespace podlab::image {
namespace {

/// One image of a source.
struct Part {
  std::string skopeoName;  ///< TRANSPORT:...
  std::vector<std::string> names;
};

bool isFolder(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

/// skopeo demands a policy of signatures (containers-policy.json(5)); a host without one has none.
bool hasPolicy() {
  const char* home = std::getenv("HOME");
  return ::access("/etc/containers/policy.json", R_OK) == 0 ||
         (home != nullptr &&
          ::access((std::string(home) + "/.config/containers/policy.json").c_str(), R_OK) == 0);
}

/// skopeo copy of one image into the layout `layout`, its blobs straight into the store's.
Status copyImage(const StoreChange& change, const std::string& source, const std::string& layout,
                 std::vector<std::string> options, bool progress) {
  ToolRun run;
  run.argv = {"skopeo"};
  if (!hasPolicy()) run.argv.emplace_back("--insecure-policy");
  run.argv.insert(run.argv.end(),
                  {"--tmpdir", change.workFolder(), "copy", "--dest-shared-blob-dir",
                   change.store().root() + "/blobs", "--dest-oci-accept-uncompressed-layers"});
  run.argv.insert(run.argv.end(), options.begin(), options.end());
  run.argv.insert(run.argv.end(), {source, "oci:" + layout + ":image"});
  run.lock = change.lock();
  run.progress = progress;
  return runTool(run).status();
}

/// A name says more than a tag when it has one of these.
bool isWholeName(const std::string& name) {
  return name.find_first_of("/:@") != std::string::npos;
}

Status needsName(const std::string& source) {
  return Status(Code::kBadRequest,
                source + " does not say the image's name; say it: --tag NAME[:TAG]");
}

/// The images of a docker-archive, in its own order.
Result<std::vector<Part>> dockerParts(const std::string& file, const std::string& manifest) {
  const auto images = parseDockerManifest(manifest);
  if (!images) return images.status().withContext(file);
  std::vector<Part> parts;
  for (std::size_t i = 0; i < images->size(); ++i)
    parts.push_back({"docker-archive:" + file + ":@" + std::to_string(i), (*images)[i]});
  return parts;
}

/// The images of an OCI layout, which `index` lists; of those, with `wanted`, the one of that name.
Result<std::vector<Part>> ociParts(const std::string& prefix, const std::string& index,
                                   const std::string& wanted) {
  const auto entries = parseIndex(index);
  if (!entries) return entries.status().withContext(prefix);
  std::vector<Part> parts;
  std::string known;
  for (const auto& entry : *entries) {
    if (!entry.name.empty()) known += (known.empty() ? "" : ", ") + entry.name;
    if (!wanted.empty() && entry.name != wanted) continue;
    // Without a name, skopeo takes the only image that there is.
    parts.push_back({prefix + (entry.name.empty() ? "" : ":" + entry.name), {}});
    if (isWholeName(entry.name)) parts.back().names.push_back(entry.name);
  }
  if (parts.empty()) {
    return Status(Code::kNotFound, prefix + " has no image" +
                                       (wanted.empty() ? "" : " \"" + wanted + "\"") +
                                       (known.empty() ? "" : "; it has: " + known));
  }
  return parts;
}

struct Source {
  std::string transport;  ///< "" when the content tells
  std::string path;
  std::string name;
};

Source splitSource(const std::string& text) {
  for (const std::string transport : {"docker-archive", "oci-archive", "oci"}) {
    if (!text.starts_with(transport + ":")) continue;
    std::string rest = text.substr(transport.size() + 1);
    const auto colon = rest.find(':');
    if (colon == std::string::npos) return {transport, rest, ""};
    return {transport, rest.substr(0, colon), rest.substr(colon + 1)};
  }
  return {"", text, ""};
}

Result<std::string> readWhole(const std::string& path) {
  return makeRealFilesystem()->readFile(path);
}

Result<std::vector<Part>> partsOf(const std::string& text) {
  const Source source = splitSource(text);
  if (::access(source.path.c_str(), R_OK) < 0)
    return errnoStatus(errno, "cannot read " + source.path);
  if (isFolder(source.path)) {
    if (!source.transport.empty() && source.transport != "oci")
      return Status(Code::kBadRequest, source.path + " is a folder, and no archive");
    auto index = readWhole(source.path + "/index.json");
    if (!index)
      return Status(Code::kInvalid, source.path +
                                        " is no OCI layout (it has no index.json); a root file "
                                        "system becomes an image by podlab image import");
    return ociParts("oci:" + source.path, *index, source.name);
  }
  if (source.transport != "oci-archive") {
    auto manifest = readTarEntry(source.path, "manifest.json");
    if (manifest) {
      if (source.name.empty()) return dockerParts(source.path, *manifest);
      return std::vector<Part>{
          {"docker-archive:" + source.path + ":" + source.name, {source.name}}};
    }
    if (!manifest.status().is(Code::kNotFound)) return manifest.status();
  }
  auto index = readTarEntry(source.path, "index.json");
  if (index) return ociParts("oci-archive:" + source.path, *index, source.name);
  if (!index.status().is(Code::kNotFound)) return index.status();
  return Status(Code::kInvalid, source.path +
                                    " is no archive of images: it has neither manifest.json "
                                    "(docker save) nor index.json (an OCI layout)");
}

}  // namespace

Result<std::string> imageName(const std::string& text) {
  const auto reference = parseReference(text);
  if (!reference)
    return Status(Code::kInvalid, "image name \"" + text + "\": " + reference.status().message());
  if (reference->toString() == "docker.io/library/host:latest")
    return Status(Code::kInvalid, "image name \"" + text +
                                      "\": the built-in image has the name \"host\"; choose "
                                      "another");
  return reference->toString();
}

Result<std::vector<Loaded>> load(StoreChange& change, const LoadOptions& options) {
  auto parts = partsOf(options.source);
  if (!parts) return parts.status();
  if (!options.name.empty() && parts->size() != 1) {
    return Status(Code::kBadRequest, options.source + " has " + std::to_string(parts->size()) +
                                         " images: they cannot all have the name " + options.name);
  }
  std::vector<Loaded> loaded;
  std::vector<StoreChange::Naming> names;
  for (std::size_t i = 0; i < parts->size(); ++i) {
    const Part& part = (*parts)[i];
    const auto wanted = options.name.empty() ? part.names : std::vector<std::string>{options.name};
    if (wanted.empty()) return needsName(part.skopeoName);
    const std::string layout = change.workFolder() + "/image" + std::to_string(i);
    Status copied = copyImage(change, part.skopeoName, layout, {"--quiet"}, false);
    if (!copied) return copied;
    const auto added = change.add(layout);
    if (!added) return added.status().withContext(part.skopeoName);
    for (const auto& text : wanted) {
      auto name = imageName(text);
      if (!name) return name.status();
      names.push_back({*name, added->digest});
      loaded.push_back({*name, added->digest, added->report});
    }
  }
  if (Status named = change.name(names); !named) return named;
  return loaded;
}

Result<Loaded> pull(StoreChange& change, const PullOptions& options) {
  const auto name = imageName(options.reference);
  if (!name) return name.status();
  auto reference = *parseReference(options.reference);
  // With a digest, the tag says nothing more; skopeo refuses both.
  if (!reference.digest.empty()) reference.tag.clear();
  std::vector<std::string> flags;
  if (!options.progress) flags.emplace_back("--quiet");
  if (!options.tlsVerify) flags.emplace_back("--src-tls-verify=false");
  if (!options.authFile.empty()) flags.push_back("--src-authfile=" + options.authFile);
  const std::string layout = change.workFolder() + "/image";
  Status copied =
      copyImage(change, "docker://" + reference.toString(), layout, flags, options.progress);
  if (!copied) return copied;
  const auto added = change.add(layout);
  if (!added) return added.status().withContext(*name);
  if (Status named = change.name({{*name, added->digest}}); !named) return named;
  return Loaded{*name, added->digest, added->report};
}

}  // namespace podlab::image
