#pragma once
#include <cstdint>
#include <string_view>

namespace podlab {

/// 64-bit FNV-1a: stable over platforms, unlike std::hash. `hash` goes on from an earlier text.
constexpr std::uint64_t fnv1a(std::string_view text, std::uint64_t hash = 0xcbf29ce484222325) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace podlab
