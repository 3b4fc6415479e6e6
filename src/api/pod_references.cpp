#include "api/pod_references.hpp"

#include <set>

#include "api/ephemeral_containers.hpp"
#include "api/persistent_volumes.hpp"

namespace podlab::api {
namespace {

class Collector {
 public:
  void addContainer(const corev1::Container& container) {
    for (const auto& variable : container.env()) {
      const auto& from = variable.valuefrom();
      if (from.has_configmapkeyref()) configMap(nameIn(from.configmapkeyref()));
      if (from.has_secretkeyref()) secret(nameIn(from.secretkeyref()));
    }
    for (const auto& from : container.envfrom()) {
      if (from.has_configmapref()) configMap(nameIn(from.configmapref()));
      if (from.has_secretref()) secret(nameIn(from.secretref()));
    }
  }

  void addVolume(const corev1::VolumeSource& source) {
    if (source.has_configmap()) configMap(nameIn(source.configmap()));
    if (source.has_secret()) secret(source.secret().secretname());
    for (const auto& part : source.projected().sources()) {
      if (part.has_configmap()) configMap(nameIn(part.configmap()));
      if (part.has_secret()) secret(nameIn(part.secret()));
    }
  }

  void secret(const std::string& name) { add(kindFor<corev1::Secret>(), name); }
  void claim(const std::string& name) { add(kindFor<corev1::PersistentVolumeClaim>(), name); }

  std::vector<PodReference> take() { return {found_.begin(), found_.end()}; }

 private:
  template <typename Reference>
  static const std::string& nameIn(const Reference& reference) {
    return reference.localobjectreference().name();
  }
  void configMap(const std::string& name) { add(kindFor<corev1::ConfigMap>(), name); }
  void add(const Kind& kind, const std::string& name) {
    if (!name.empty()) found_.insert({&kind, name});
  }

  std::set<PodReference> found_;
};

}  // namespace

std::vector<PodReference> referencesOf(const corev1::Pod& pod) {
  Collector found;
  const auto& spec = pod.spec();
  for (const auto& container : spec.initcontainers()) found.addContainer(container);
  for (const auto& container : spec.containers()) found.addContainer(container);
  for (const auto& added : spec.ephemeralcontainers()) found.addContainer(containerOf(added));
  for (const auto& volume : spec.volumes()) found.addVolume(volume.volumesource());
  for (const auto& claim : claimsOf(pod)) found.claim(claim);
  return found.take();
}

}  // namespace podlab::api
