#include "controllers/claim_matching.hpp"

#include <algorithm>
#include <map>

#include "api/conditions.hpp"
#include "api/pod_resources.hpp"
#include "api/selectors.hpp"

namespace podlab::controllers {
namespace {

api::Quantity storageOf(const api::ResourceMap& amounts) {
  const auto found = amounts.find("storage");
  return found == amounts.end() ? api::Quantity() : api::Quantity::read(found->second);
}

}  // namespace

corev1::ObjectReference referenceTo(const corev1::PersistentVolumeClaim& claim) {
  corev1::ObjectReference reference;
  reference.set_apiversion("v1");
  reference.set_kind("PersistentVolumeClaim");
  reference.set_namespace_(claim.metadata().namespace_());
  reference.set_name(claim.metadata().name());
  reference.set_uid(claim.metadata().uid());
  return reference;
}

bool isFor(const corev1::PersistentVolume& volume, const corev1::PersistentVolumeClaim& claim) {
  const auto& reference = volume.spec().claimref();
  return reference.name() == claim.metadata().name() &&
         reference.namespace_() == claim.metadata().namespace_() &&
         (reference.uid().empty() || reference.uid() == claim.metadata().uid());
}

api::Quantity capacityOf(const corev1::PersistentVolume& volume) {
  return storageOf(volume.spec().capacity());
}

std::string mismatch(const corev1::PersistentVolume& volume,
                     const corev1::PersistentVolumeClaim& claim) {
  const auto& offered = volume.spec();
  const auto& wanted = claim.spec();
  const auto isOffered = [&offered](const std::string& mode) {
    return std::ranges::find(offered.accessmodes(), mode) != offered.accessmodes().end();
  };
  if (storageOf(offered.capacity()) < storageOf(wanted.resources().requests()))
    return "requested PV is too small";
  if (offered.storageclassname() != wanted.storageclassname())
    return "storageClassName does not match";
  if (offered.volumemode() != wanted.volumemode()) return "incompatible volumeMode";
  if (!std::ranges::all_of(wanted.accessmodes(), isOffered)) return "incompatible accessMode";
  return "";
}

bool satisfies(const corev1::PersistentVolume& volume, const corev1::PersistentVolumeClaim& claim) {
  const auto selector = api::LabelSelector::of(claim.spec().selector());
  return mismatch(volume, claim).empty() &&
         (!claim.spec().has_selector() ||
          (selector.ok() && selector->matches(volume.metadata().labels())));
}

bool isAllowedOn(const corev1::PersistentVolume& volume, const corev1::Node& node) {
  return !volume.spec().has_nodeaffinity() ||
         api::matchesNodeSelector(volume.spec().nodeaffinity().required(), node);
}

VolumesHost chooseHost(const std::vector<std::shared_ptr<const corev1::Node>>& nodes) {
  struct Host {
    std::size_t nodes = 0;
    std::string folder;
  };
  std::map<std::string, Host> hosts;
  for (const auto& node : nodes) {
    const auto& meta = node->metadata();
    const auto label = meta.labels().find(api::kVolumesLabel);
    const auto folder = meta.annotations().find(api::kVolumesFolderAnnotation);
    if (label == meta.labels().end() || folder == meta.annotations().end() ||
        !api::isTrue(node->status(), "Ready"))
      continue;
    Host& host = hosts[label->second];
    ++host.nodes;
    host.folder = folder->second;
  }
  const auto best =
      std::ranges::max_element(hosts, {}, [](const auto& entry) { return entry.second.nodes; });
  if (best == hosts.end()) return {};
  return {best->first, best->second.folder};
}

corev1::PersistentVolume makeVolume(const corev1::PersistentVolumeClaim& claim,
                                    const storagev1::StorageClass& storageClass,
                                    const VolumesHost& host) {
  corev1::PersistentVolume volume;
  auto& meta = *volume.mutable_metadata();
  meta.set_name("pvc-" + claim.metadata().uid());
  (*meta.mutable_annotations())[api::kProvisionedByAnnotation] = api::kLocalProvisioner;
  meta.add_finalizers(api::kVolumeFolder);
  auto& spec = *volume.mutable_spec();
  const auto& requests = claim.spec().resources().requests();
  if (const auto storage = requests.find("storage"); storage != requests.end())
    (*spec.mutable_capacity())["storage"] = storage->second;
  *spec.mutable_accessmodes() = claim.spec().accessmodes();
  spec.set_storageclassname(storageClass.metadata().name());
  spec.set_persistentvolumereclaimpolicy(storageClass.reclaimpolicy());
  spec.set_volumemode("Filesystem");
  *spec.mutable_claimref() = referenceTo(claim);
  auto& path = *spec.mutable_persistentvolumesource()->mutable_hostpath();
  path.set_path(host.folder + "/" + meta.name());
  path.set_type("DirectoryOrCreate");
  auto& on = *spec.mutable_nodeaffinity()->mutable_required()->add_nodeselectorterms();
  auto& expression = *on.add_matchexpressions();
  expression.set_key(api::kVolumesLabel);
  expression.set_operator_("In");
  expression.add_values(host.label);
  return volume;
}

}  // namespace podlab::controllers
