#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.hpp"
#include "common/status.hpp"
#include "node/image_store.hpp"

namespace podlab::node {

/// What a pod's fieldRefs and containers see of the node and the sandbox.
struct PodEnvironment {
  std::string hostname;
  std::string hostIp;
  std::vector<std::string> podIps;
};

using Variables = std::map<std::string, std::string, std::less<>>;

/// Replaces $(NAME) by the variable's value; $$ stands for $; an unknown $(NAME) stays as written
/// (kubernetes third_party/forked/golang/expansion).
std::string expand(std::string_view text, const Variables& variables);

/// The value of a fieldRef path: metadata.name, .namespace, .uid, .labels['K'], .annotations['K'],
/// spec.nodeName, spec.serviceAccountName, status.podIP, .podIPs, .hostIP, .hostIPs. kInvalid names
/// a path that is none of these.
Result<std::string> fieldRefValue(const corev1::Pod& pod, std::string_view path,
                                  const PodEnvironment& environment);

/// Program and environment of a container.
struct Program {
  std::vector<std::string> argv;
  std::vector<std::string> env;  ///< "K=V", sorted by name
  std::string workingDir;
};

/// What the container runs: the image's settings overridden by the container's, with all $(NAME)
/// replaced. A reference that cannot be resolved, or no command at all, is kInvalid.
Result<Program> buildProgram(const corev1::Pod& pod, const corev1::Container& container,
                             const Image& image, const PodEnvironment& environment);

}  // namespace podlab::node
