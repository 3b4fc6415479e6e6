// Whatever bytes come: reading YAML ends with JSON or an error, and the JSON, written as YAML,
// reads back the same.
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

#include "common/json.hpp"
#include "common/yaml.hpp"

namespace {

void require(bool holds, std::string_view what, std::string_view text) {
  if (holds) return;
  std::cerr << what << ": " << text << "\n";
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto documents = podlab::yamlToJson({reinterpret_cast<const char*>(data), size});
  if (!documents) {
    require(!documents.status().message().empty(), "no reason", {});
    return 0;
  }
  for (const auto& document : *documents) {
    podlab::JsonReader reader(document.json);
    require(reader.skip() && reader.finish(), "not JSON", document.json);
    const auto yaml = podlab::jsonToYaml(document.json);
    require(yaml.ok(), "cannot write as YAML", document.json);
    const auto again = podlab::yamlToJson(*yaml);
    require(again.ok(), "cannot read what was written", *yaml);
    require(again->size() == 1 && again->front().json == document.json, "read again it differs",
            *yaml);
  }
  return 0;
}
