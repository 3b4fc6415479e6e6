// Whatever bytes come: a JSONPath is refused with a reason, or it reads an object to its end.
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string_view>

#include <nlohmann/json.hpp>

#include "api/json_path.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using podlab::api::JsonPath;
  if (size > 64) return 0;  // each ".." multiplies what is found
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static const auto kObject =
      nlohmann::json::parse(R"({"a":[{"b":"c"},{"b":1}],"d":{"e.f":[1,2,3]},"g":null})");
  for (const bool relaxed : {false, true}) {
    const auto path = relaxed ? JsonPath::parseRelaxed(text) : JsonPath::parse(text);
    if (path) {
      (void)path->print(kObject);
    } else if (path.status().message().empty()) {
      std::cerr << "no reason: " << text << "\n";
      std::abort();
    }
  }
  return 0;
}
