#pragma once
#include <openssl/evp.h>

#include <cstdio>
#include <string>

namespace podlab::image {

/// As the image specification writes it: "sha256:HEX".
inline std::string digestOf(const std::string& text) {
  unsigned char bytes[32];
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), bytes, &size, EVP_sha256(), nullptr);
  std::string hex = "sha256:";
  char digits[3];
  for (const unsigned char byte : bytes) {
    std::snprintf(digits, sizeof digits, "%02x", byte);
    hex += digits;
  }
  return hex;
}

}  // namespace podlab::image
