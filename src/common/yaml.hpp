#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "common/status.hpp"

namespace podlab {

/// One document of a YAML stream, as JSON.
struct YamlDocument {
  std::string json;
  int line = 1;  ///< where its content starts
};

/// Reads a YAML stream as Kubernetes' tools do (go-yaml v2's reading of YAML 1.1): plain yes, no,
/// on and off are booleans, 0644 is octal, times are strings, quoted scalars are always strings,
/// and keys become strings. Empty documents are left out. Duplicate keys are kept for the reader of
/// the JSON to find. kBadRequest names the line, also for nesting deeper than JsonReader::kMaxDepth
/// and for aliases that expand to more than 10 MiB.
Result<std::vector<YamlDocument>> yamlToJson(std::string_view yaml);

/// One JSON value as a YAML document, in the order given: block style, strings quoted only where
/// they would read as something else, block literals for strings of several lines. kBadRequest when
/// `json` is malformed.
Result<std::string> jsonToYaml(std::string_view json);

}  // namespace podlab
