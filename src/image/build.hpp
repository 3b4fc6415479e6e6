#pragma once
#include <string>
#include <vector>

#include "image/rootfs.hpp"
#include "image/source.hpp"

namespace podlab::image {

/// What a new image says about containers of it; what is empty is not said.
struct ConfigOptions {
  std::vector<std::string> entrypoint;
  std::vector<std::string> command;
  std::vector<std::string> env;  ///< "K=V"
  std::string user;
  std::string workingDir;
  std::vector<std::string> exposedPorts;  ///< "80/tcp", "53/udp"; "80" is TCP
  std::string stopSignal;
};

/// Makes an image of one layer from a folder, by umoci. The folder is only read.
Result<Loaded> importRootfs(StoreChange& change, const std::string& folder, const std::string& name,
                            const ConfigOptions& config);

/// Builds a root file system and imports it; with a shell in it and nothing else said, that is what
/// runs.
Result<Loaded> buildImage(StoreChange& change, const RootfsOptions& rootfs, const std::string& name,
                          ConfigOptions config);

/// The words of a command as a flag has it: a JSON array of strings, or words between white space.
Result<std::vector<std::string>> commandWords(const std::string& text);

}  // namespace podlab::image
