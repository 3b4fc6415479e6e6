// What comes from registries and archives: references and the documents of images.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "image/manifest.hpp"
#include "image/reference.hpp"

using namespace podlab::image;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto reference = parseReference(text)) {
    // Normalising is done once and for all.
    const auto again = parseReference(reference->toString());
    if (!again || !(*again == *reference)) std::abort();
  }
  (void)parseIndex(text);
  (void)parseManifest(text);
  (void)parseConfig(text);
  (void)parseDockerManifest(text);
  return 0;
}
