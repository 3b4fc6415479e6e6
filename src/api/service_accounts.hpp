#pragma once

/// Names by which service accounts, their controller, admission and nodes know each other
/// (plugin/pkg/admission/serviceaccount).
namespace podlab::api {

inline constexpr char kDefaultAccount[] = "default";  ///< of each namespace
inline constexpr char kRootCaConfigMap[] = "kube-root-ca.crt";
inline constexpr char kTokenVolumePrefix[] = "kube-api-access-";
inline constexpr char kTokenMountPath[] = "/var/run/secrets/kubernetes.io/serviceaccount";

}  // namespace podlab::api
