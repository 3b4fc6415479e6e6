#pragma once
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "api/api.hpp"
#include "api/codec.hpp"
#include "api/kinds.hpp"
#include "cli/session.hpp"
#include "common/status.hpp"

namespace podlab::cli {

/// kubectl's flags that choose objects.
struct Selection {
  std::vector<std::string> arguments;  ///< "pods", "pod web db", "pod/web node/node1", "pods,nodes"
  std::string ns = "default";
  bool allNamespaces = false;
  std::string labels;
  std::string fields;
};
void addNamespaceFlag(CLI::App& command, std::string& ns);
void addSelectorFlags(CLI::App& command, Selection& selection);

/// What the arguments name: objects, or collections (with an empty name). kBadRequest in kubectl's
/// words.
Result<std::vector<api::ResourceId>> resolveArguments(const Selection& selection);
/// The same with each collection replaced by the objects of it that the selectors choose.
Co<Result<std::vector<api::ResourceId>>> nameObjects(Session& session, const Selection& selection,
                                                     std::vector<api::ResourceId> ids);
/// The named pod: "web" or "pod/web".
Result<api::ResourceId> resolvePod(const std::string& argument, const std::string& ns);

/// That the object has not come to be as it was waited for, in kubectl's words.
Status conditionTimeout(const api::ResourceId& id);

/// "pod/web", as kubectl names objects in messages.
std::string displayName(const api::Kind& kind, const std::string& name);

/// The objects of manifests: files, folders (*.yaml, *.yml, *.json) and - for stdin; strictly
/// decoded, namespace filled in.
struct ManifestObject {
  const api::Kind* kind = nullptr;
  api::MutableObjectPtr object;
  std::string source;
};
Result<std::vector<ManifestObject>> readManifests(const std::vector<std::string>& files,
                                                  const std::string& ns);
api::ResourceId idOf(const ManifestObject& manifest);

/// "Warning: ..." on stderr.
void printWarnings(const std::vector<std::string>& warnings);

}  // namespace podlab::cli
