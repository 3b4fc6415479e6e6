#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.hpp"
#include "common/status.hpp"

namespace podlab::api {

/// What podlab does with a field of a Pod or Node that it accepts.
enum class Support {
  kActs,
  kIgnores,  ///< stored and shown, without any effect: the client is warned
  kRefuses,  ///< a node does not run a pod that sets it, and says so in an event: the client is
             ///< warned
};

/// One row of docs/fields.md.
struct FieldSupport {
  std::string_view kind;
  /// "spec.containers[].image"; a ".*" at the end stands for all fields there that have no row.
  /// Rows for containers hold for init and ephemeral containers too. A row covers all that is below
  /// it, but for rows of its own.
  std::string_view path;
  Support support = Support::kActs;
  std::string_view harmless;  ///< values, separated by '|', that need no support (the defaults)
  std::string_view note;
};

/// Every field of the spec of pods and nodes.
std::span<const FieldSupport> fieldSupport();

/// A sentence for each set field of an object of any kind, or of the pods that it makes, on which
/// podlab does not act.
std::vector<std::string> unsupportedWarnings(const google::protobuf::Message& object);

/// The fields for which a node must refuse the pod: each with its path and why. Empty when the pod
/// can run.
std::vector<Cause> unsupportedByNode(const corev1::Pod& pod);

}  // namespace podlab::api
