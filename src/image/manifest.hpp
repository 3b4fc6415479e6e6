#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.hpp"

namespace podlab::image {

/// OCI image specification, descriptor.md: what one document says of another blob.
struct Descriptor {
  std::string mediaType;
  std::string digest;  ///< "sha256:HEX"
  std::uint64_t size = 0;
  std::string name;  ///< org.opencontainers.image.ref.name, in an index; "" without one
};

/// The documents of an image (image-index.md, manifest.md, config.md). Parsers are strict about
/// what podlab uses, and kInvalid names it; digests are sha256 only.
Result<std::vector<Descriptor>> parseIndex(std::string_view json);
std::string formatIndex(const std::vector<Descriptor>& manifests);

struct Manifest {
  Descriptor config;
  std::vector<Descriptor> layers;  ///< lowest first
};
Result<Manifest> parseManifest(std::string_view json);

/// What an image says about containers of it.
struct Config {
  std::string created;  ///< RFC 3339, or ""
  std::string os;
  std::string architecture;
  std::string user;                       ///< "", "UID", "NAME", "UID:GID", ...
  std::vector<std::string> exposedPorts;  ///< "80/tcp"
  std::vector<std::string> env;           ///< "K=V"
  std::vector<std::string> entrypoint;
  std::vector<std::string> command;
  std::string workingDir;
  std::string stopSignal;            ///< "SIGTERM", "15", or ""
  std::vector<std::string> diffIds;  ///< of the layers unpacked, lowest first
};
Result<Config> parseConfig(std::string_view json);

/// The names that an archive of `docker save` has for each of its images: manifest.json's RepoTags.
Result<std::vector<std::vector<std::string>>> parseDockerManifest(std::string_view json);

}  // namespace podlab::image
