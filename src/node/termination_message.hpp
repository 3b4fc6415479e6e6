#pragma once
#include <string>

#include "api/object.hpp"
#include "common/filesystem.hpp"

namespace podlab::node {

/// What an ended container says of its end (kubelet getTerminationMessage): the last 4,096 bytes of
/// its message file, or, with FallbackToLogsOnError, an exit code other than 0 and an empty file,
/// the end of its log: 80 lines, 2,048 bytes. `log` is a file in CRI format. Always valid UTF-8, at
/// most `limit` bytes.
std::string terminationMessage(Filesystem& files, const corev1::Container& container, int exitCode,
                               const std::string& messageFile, const std::string& log,
                               std::size_t limit);

/// The share of one of `containers` containers in what a pod's status may hold of messages
/// (kubelet MaxPodTerminationMessageLogLength).
std::size_t terminationMessageLimit(std::size_t containers);

}  // namespace podlab::node
