#pragma once
#include <string>

#include "common/filesystem.hpp"
#include "common/status.hpp"

namespace podlab::node {

/// Copies what a layer of overlayfs has over the folder `target`, and takes away what it hides: the
/// same files as an overlay of both would show.
Status applyLayer(Filesystem& files, const std::string& layer, const std::string& target);

}  // namespace podlab::node
