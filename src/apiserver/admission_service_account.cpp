#include <algorithm>

#include "core_v1_accounts.pb.h"

#include "api/service_accounts.hpp"
#include "api/status_conversion.hpp"
#include "apiserver/admission_plugins.hpp"

namespace podlab::apiserver {
namespace {

/// Seven more than an hour: by that upstream tells tokens that admission has asked for.
constexpr std::int64_t kTokenSeconds = 3607;

/// pkg/kubelet's and admission's TokenVolumeSource().
void addTokenVolume(corev1::PodSpec& spec, const std::string& name) {
  auto& volume = *spec.add_volumes();
  volume.set_name(name);
  auto& projected = *volume.mutable_volumesource()->mutable_projected();
  projected.set_defaultmode(0644);
  auto& token = *projected.add_sources()->mutable_serviceaccounttoken();
  token.set_path("token");
  token.set_expirationseconds(kTokenSeconds);
  auto& map = *projected.add_sources()->mutable_configmap();
  map.mutable_localobjectreference()->set_name(api::kRootCaConfigMap);
  auto& item = *map.add_items();
  item.set_key("ca.crt");
  item.set_path("ca.crt");
  auto& file = *projected.add_sources()->mutable_downwardapi()->add_items();
  file.set_path("namespace");
  file.mutable_fieldref()->set_apiversion("v1");
  file.mutable_fieldref()->set_fieldpath("metadata.namespace");
}

bool mountsToken(const corev1::Container& container) {
  return std::ranges::find(container.volumemounts(), api::kTokenMountPath,
                           &corev1::VolumeMount::mountpath) != container.volumemounts().end();
}

void mountToken(corev1::PodSpec& spec, Rng& rng) {
  const auto existing = std::ranges::find_if(spec.volumes(), [](const corev1::Volume& volume) {
    return volume.name().starts_with(api::kTokenVolumePrefix);
  });
  const bool there = existing != spec.volumes().end();
  const std::string name = there ? existing->name() : api::kTokenVolumePrefix + rng.suffix();
  bool needed = false;
  for (auto* containers : {spec.mutable_initcontainers(), spec.mutable_containers()}) {
    for (corev1::Container& container : *containers) {
      if (mountsToken(container)) continue;
      auto& mount = *container.add_volumemounts();
      mount.set_name(name);
      mount.set_readonly(true);
      mount.set_mountpath(api::kTokenMountPath);
      needed = true;
    }
  }
  if (needed && !there) addTokenVolume(spec, name);
}

}  // namespace

Status admitServiceAccount(corev1::Pod& pod, WatchCache& cache, Rng& rng) {
  auto& spec = *pod.mutable_spec();
  const std::string& ns = pod.metadata().namespace_();
  const api::Kind& kind = api::kindFor<corev1::ServiceAccount>();
  const auto found = cache.of(kind).get(ns + "/" + spec.serviceaccountname());
  if (!found) {
    return api::forbidden(api::kindFor<corev1::Pod>(), pod.metadata().name(),
                          "error looking up service account " + ns + "/" +
                              spec.serviceaccountname() + ": serviceaccount \"" +
                              spec.serviceaccountname() + "\" not found");
  }
  const auto& account = api::as<corev1::ServiceAccount>(found);
  const bool wanted =
      spec.has_automountserviceaccounttoken()
          ? spec.automountserviceaccounttoken()
          : !account.has_automountserviceaccounttoken() || account.automountserviceaccounttoken();
  if (wanted) mountToken(spec, rng);
  if (spec.imagepullsecrets().empty())
    *spec.mutable_imagepullsecrets() = account.imagepullsecrets();
  return {};
}

}  // namespace podlab::apiserver
