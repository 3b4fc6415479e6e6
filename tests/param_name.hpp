#pragma once
#include <cctype>
#include <cstddef>
#include <string>
#include <string_view>

namespace podlab {

/// A parametrised test's name: the letters and digits of `text`, "_" for what is between them, and
/// the parameter's number, which makes it unique.
inline std::string paramName(std::string_view text, std::size_t index) {
  std::string name;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c))) {
      name += c;
    } else if (!name.empty() && name.back() != '_') {
      name += '_';
    }
  }
  if (!name.empty() && name.back() != '_') name += '_';
  return name + std::to_string(index);
}

}  // namespace podlab
