#pragma once
#include <cstdint>
#include <string>

#include "common/status.hpp"

namespace podlab::image {

/// What unpacking a layer could not keep, and how much it wrote.
struct UnpackReport {
  std::uint64_t bytes = 0;
  int devices = 0;  ///< device files: left out, for the /dev of a container is a fresh one
  int attributes =
      0;           ///< extended attributes that the file system or the lack of privilege refused
  int owners = 0;  ///< files whose owner this user namespace does not have
};

/// Unpacks a layer (a tar, plain, gzip or zstd; OCI image specification, layer.md) into the empty
/// folder `folder`, as a lower layer of overlayfs mounted with `userxattr`: .wh.NAME becomes the
/// character device 0:0 NAME, .wh..wh..opq the attribute user.overlay.opaque of its folder.
///
/// Root gets all owners that its user namespace has, everybody else owns all files; run as root of
/// a user namespace with more ids, it keeps those. Nothing is written outside of the folder,
/// whatever the tar says: names with ".." are refused, and symbolic links are followed as if the
/// folder were the root. kInvalid when the tar is damaged or its digest is not `diffId`.
Result<UnpackReport> unpackLayer(const std::string& file, const std::string& folder,
                                 const std::string& diffId);

}  // namespace podlab::image
