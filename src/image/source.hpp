#pragma once
#include <functional>
#include <string>
#include <vector>

#include "image/store.hpp"

namespace podlab::image {

/// An image that came into the store.
struct Loaded {
  std::string name;
  std::string digest;
  UnpackReport report;
};

struct LoadOptions {
  /// What to load: an archive of `docker save` or `podman save`, an OCI layout as folder or tar;
  /// what it is, is seen from the content, or said by a prefix: docker-archive:FILE[:REF],
  /// oci-archive:FILE[:NAME], oci:FOLDER[:NAME].
  std::string source;
  std::string name;  ///< the image's name; empty: those that the source says
};
/// Loads all images of the source, or none.
Result<std::vector<Loaded>> load(StoreChange& change, const LoadOptions& options);

struct PullOptions {
  std::string reference;
  bool tlsVerify = true;  ///< false: also registries with plain HTTP or an unknown certificate
  std::string authFile;   ///< of `skopeo login`; empty: its default one
  bool progress = false;  ///< skopeo's own lines on stderr
};
/// Copies an image from its registry.
Result<Loaded> pull(StoreChange& change, const PullOptions& options);

/// A name that an image may get: normalised, and not the built-in one's (kInvalid).
Result<std::string> imageName(const std::string& text);

}  // namespace podlab::image
