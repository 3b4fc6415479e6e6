#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "common/co.hpp"
#include "common/status.hpp"

namespace podlab::node {

/// A resolved image, as a container needs it.
struct Image {
  std::string reference;  ///< as the pod names it
  std::string id;         ///< "host", kStandInId or REPOSITORY@DIGEST
  bool isHost = false;    ///< the built-in image: the host's own directories, read-only
  bool standIn = false;   ///< of an image that is missing: the host image with podlab's own program
  std::string rootfs;     ///< folder of the root file system; empty for the host image and layers
  std::vector<std::string> layers;  ///< folders, lowest first, for an overlay
  /// With layers: a file whose shared flock(2) keeps the image in the store.
  std::string lockFile;
  std::vector<std::string> entrypoint;
  std::vector<std::string> command;
  std::vector<std::string> env;
  std::string workingDir;
  std::string user;        ///< as in the image's configuration: "", "UID", "NAME:GROUP", ...
  std::string stopSignal;  ///< "SIGTERM", "15", or ""
  std::vector<std::string> exposedPorts;  ///< "80/tcp"
};

/// The id of a stand-in's image, in the status of its container.
inline constexpr const char* kStandInId = "stand-in";

/// An image as a Node's status lists it.
struct ListedImage {
  std::vector<std::string> names;
  std::uint64_t size = 0;  ///< bytes
};

/// Images on this host.
class ImageStore {
 public:
  virtual ~ImageStore() = default;
  /// kNotFound (the pod shows ErrImagePull) with what can be done about it; kInvalid when the
  /// reference is malformed (InvalidImageName).
  virtual Co<Result<Image>> resolve(std::string reference) = 0;
  /// All images but the built-in one.
  virtual std::vector<ListedImage> list() { return {}; }
};

}  // namespace podlab::node
