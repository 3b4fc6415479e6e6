#pragma once
#include <string>
#include <vector>

#include "api/api.hpp"
#include "api/kinds.hpp"
#include "cli/resources.hpp"
#include "common/status.hpp"

namespace podlab::cli {

/// An object of a manifest, its namespace filled in.
struct ManifestObject {
  const api::Kind* kind = nullptr;
  api::MutableObjectPtr object;
  std::string source;                 ///< the file, "STDIN" for stdin
  std::vector<std::string> problems;  ///< unknown and duplicate fields
  std::string json;                   ///< as it was written, with the namespace
};

/// What unknown and duplicate fields do: --validate.
enum class Validation { kStrict, kWarn, kIgnore };

/// The objects of the selection's manifests: files, folders (their *.yaml, *.yml and *.json) and -
/// for stdin. Nothing is returned unless all can be read: half a manifest is never applied.
Result<std::vector<ManifestObject>> readManifests(const Selection& selection,
                                                  Validation validation = Validation::kStrict);
/// The objects of a text, of no file.
Result<std::vector<ManifestObject>> parseManifests(const std::string& text, const std::string& ns,
                                                   Validation validation = Validation::kStrict);
api::ResourceId idOf(const ManifestObject& manifest);

}  // namespace podlab::cli
