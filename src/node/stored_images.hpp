#pragma once
#include <string>

#include "common/filesystem.hpp"
#include "image/store.hpp"
#include "node/host_image.hpp"

namespace podlab::node {

/// The built-in image, and those of this host's store, which `podlab image` fills: an agent changes
/// nothing there.
class StoredImages final : public ImageStore {
 public:
  struct Options {
    std::string root;       ///< of the store; it need not exist
    bool standIns = false;  ///< for images that are missing
  };
  StoredImages(Filesystem& files, Options options);

  Co<Result<Image>> resolve(std::string reference) override;
  std::vector<ListedImage> list() override;

 private:
  HostImageStore host_;
  image::Store store_;
  bool standIns_;
};

/// The name that a container's status shows: normalised, or as it is when it cannot be.
std::string imageDisplayName(const std::string& reference);
/// Whether two references mean the same name.
bool isSameImage(const std::string& one, const std::string& other);

}  // namespace podlab::node
