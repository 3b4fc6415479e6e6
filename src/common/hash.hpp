#pragma once
#include <cstdint>
#include <cstring>
#include <string_view>

namespace podlab {

/// 64-bit FNV-1a: stable over platforms, unlike std::hash. `hash` goes on from an earlier text.
constexpr std::uint64_t fnv1a(std::string_view text, std::uint64_t hash = 0xcbf29ce484222325) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

/// The same over words of eight bytes, for long texts: a byte's multiplication waits for the last
/// one's. Stable over platforms of one byte order.
inline std::uint64_t fnv1aOfWords(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (; text.size() >= sizeof hash; text.remove_prefix(sizeof hash)) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data(), sizeof word);
    hash = (hash ^ word) * 0x100000001b3;
  }
  return fnv1a(text, hash);
}

}  // namespace podlab
