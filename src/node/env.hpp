#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.hpp"
#include "node/downward_api.hpp"
#include "node/image_store.hpp"
#include "node/volume_payload.hpp"

namespace podlab::node {

using Variables = std::map<std::string, std::string, std::less<>>;

/// Replaces $(NAME) by the variable's value; $$ stands for $; an unknown $(NAME) stays as written
/// (kubernetes third_party/forked/golang/expansion).
std::string expand(std::string_view text, const Variables& variables);

/// Program and environment of a container.
struct Program {
  std::vector<std::string> argv;
  std::vector<std::string> env;  ///< "K=V", sorted by name
  std::string workingDir;
  Variables variables;  ///< those that the pod defines: what $(NAME) stands for
};

/// What the container runs: the image's settings overridden by the container's, with all $(NAME)
/// replaced. A ConfigMap, Secret or key that is not there, and not optional, is kNotFound in
/// kubelet's words; another reference that cannot be resolved, or no command at all, is kInvalid.
Result<Program> buildProgram(const corev1::Pod& pod, const corev1::Container& container,
                             const Image& image, const PodEnvironment& environment,
                             const ObjectLookup& objects);

}  // namespace podlab::node
