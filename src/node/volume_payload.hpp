#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "api/kinds.hpp"
#include "api/object.hpp"
#include "common/status.hpp"

namespace podlab::node {

/// One file of a volume that the node writes.
struct PayloadFile {
  std::string content;
  std::uint32_t mode = 0644;
  bool operator==(const PayloadFile&) const = default;
};

/// The files of such a volume by their paths in it ("a", "sub/b").
using Payload = std::map<std::string, PayloadFile>;

/// An object that the pod refers to, in the pod's namespace. kNotFound says so as kubelet does
/// (`configmap "x" not found`); kUnavailable: the server has not told yet.
using ObjectLookup =
    std::function<Result<api::ObjectPtr>(const api::Kind& kind, const std::string& name)>;

/// What a volume's files hold beside objects: a pod's own fields, and its tokens.
struct DownwardValues {
  std::function<Result<std::string>(const std::string& path)> field;
  std::function<Result<std::string>(const corev1::ResourceFieldSelector& reference)> resource;
  /// kUnavailable: the server has not given it yet.
  std::function<Result<std::string>(const corev1::ServiceAccountTokenProjection& wanted)> token;
};

/// Whether the volume's files are written by the node: configMap, secret, downwardAPI or projected.
bool hasPayload(const corev1::VolumeSource& source);
/// Whether they are kept in memory: all but ConfigMaps, as kubelet does.
bool isPayloadSecret(const corev1::VolumeSource& source);

/// The files of the volume. An object or a key that is not there, and not optional, is kNotFound in
/// kubelet's words.
Result<Payload> buildPayload(const corev1::VolumeSource& source, const ObjectLookup& objects,
                             const DownwardValues& values);

}  // namespace podlab::node
