#pragma once
#include <string>
#include <string_view>

#include "common/status.hpp"

namespace podlab::image {

/// The name of an image: DOMAIN/PATH[:TAG][@DIGEST]. Comes from parseReference(), normalised.
struct Reference {
  std::string domain;  ///< "docker.io", "localhost:5000"
  std::string path;    ///< "library/nginx"
  std::string tag;     ///< "" only with a digest
  std::string digest;  ///< "sha256:HEX", or ""

  /// Without tag and digest: "docker.io/library/nginx".
  std::string repository() const { return domain + "/" + path; }
  std::string toString() const;
  bool operator==(const Reference&) const = default;
};

/// Parses and normalises as Docker does (github.com/distribution/reference, ParseNormalizedNamed
/// and TagNameOnly): the default domain is docker.io, its official images are in library/, the
/// default tag is "latest". kInvalid has that library's words.
Result<Reference> parseReference(std::string_view text);

/// "sha256:" and 64 lower-case hexadecimal digits: the only digests that the store has.
bool isSha256Digest(std::string_view digest);

}  // namespace podlab::image
