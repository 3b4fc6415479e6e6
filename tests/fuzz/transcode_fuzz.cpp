// Whatever bytes come: they are transcoded or refused, and what protobuf reads is written as the
// message would be. The first byte picks the kind.
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

#include "api/codec.hpp"
#include "api/kinds.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const podlab::api::Kind& kind = podlab::api::kinds()[data[0] % podlab::api::kinds().size()];
  std::string text;
  podlab::JsonWriter writer(text);
  const bool ok = podlab::api::transcodeJson(writer, bytes, kind.prototype->GetDescriptor());
  const auto message = kind.make();
  if (!message->ParsePartialFromString(std::string(bytes))) return 0;
  if (ok && text == podlab::api::toJson(*message)) return 0;
  std::cerr << text << "\nis to be\n" << podlab::api::toJson(*message) << "\n";
  std::abort();
}
