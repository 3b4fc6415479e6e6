#pragma once
#include <string>
#include <vector>

#include "common/co.hpp"
#include "common/status.hpp"

namespace podlab::node {

/// A resolved image, as a container needs it.
struct Image {
  std::string reference;  ///< as the pod names it
  std::string id;         ///< "host" or a digest
  bool isHost = false;    ///< the built-in image: the host's own directories, read-only
  std::string rootfs;     ///< folder of the root file system; empty for the host image
  std::vector<std::string> entrypoint;
  std::vector<std::string> command;
  std::vector<std::string> env;
  std::string workingDir;
  std::string user;                 ///< as in the image's config: "", "USER" or "USER:GROUP"
  std::vector<std::string> layers;  ///< folders, lowest first; empty for the host image
};

/// Images on this host.
class ImageStore {
 public:
  virtual ~ImageStore() = default;
  /// kNotFound (the pod shows ErrImagePull) with what can be done about it.
  virtual Co<Result<Image>> resolve(std::string reference) = 0;
};

}  // namespace podlab::node
