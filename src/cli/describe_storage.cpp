#include <cctype>

#include "api/pod_resources.hpp"
#include "cli/describe_object.hpp"

namespace podlab::cli {
namespace {

std::string storageText(const api::ResourceMap& amounts) {
  const auto found = amounts.find("storage");
  return found == amounts.end() ? "" : found->second.string();
}

std::string statusText(const metav1::ObjectMeta& meta, const std::string& phase) {
  return meta.has_deletiontimestamp() ? "Terminating" : phase;
}

void addLabels(Description& out, const metav1::ObjectMeta& meta) {
  out.pairs(0, "Labels", meta.labels());
  out.annotations(0, "Annotations", meta.annotations());
}

std::string finalizersText(const metav1::ObjectMeta& meta) {
  return "[" + joined(meta.finalizers(), " ") + "]";
}

void addAffinity(Description& out, const corev1::PersistentVolumeSpec& spec) {
  if (!spec.has_nodeaffinity()) {
    out.field(0, "Node Affinity", "<none>");
    return;
  }
  out.field(0, "Node Affinity", "");
  out.field(1, "Required Terms", "");
  int number = 0;
  for (const auto& term : spec.nodeaffinity().required().nodeselectorterms()) {
    std::string text;
    for (const auto& expression : term.matchexpressions()) {
      std::string operation = expression.operator_();
      for (char& c : operation) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      text += (text.empty() ? "" : "\n") + expression.key() + " " + operation;
      if (!expression.values().empty()) text += " [" + joined(expression.values(), ", ") + "]";
    }
    out.field(2, "Term " + std::to_string(number++), text);
  }
}

}  // namespace

Description describeClaim(const corev1::PersistentVolumeClaim& claim,
                          const std::vector<std::string>& pods) {
  const auto& spec = claim.spec();
  Description out;
  out.field(0, "Name", claim.metadata().name());
  out.field(0, "Namespace", claim.metadata().namespace_());
  out.field(0, "StorageClass", spec.storageclassname());
  out.field(0, "Status", statusText(claim.metadata(), claim.status().phase()));
  out.field(0, "Volume", spec.volumename());
  addLabels(out, claim.metadata());
  out.field(0, "Finalizers", finalizersText(claim.metadata()));
  const bool bound = !spec.volumename().empty();
  out.field(0, "Capacity", bound ? storageText(claim.status().capacity()) : "");
  out.field(0, "Access Modes", bound ? api::accessModesText(claim.status().accessmodes()) : "");
  out.field(0, "VolumeMode", spec.volumemode());
  out.field(0, "Used By", orNone(joined(pods, "\n")));
  return out;
}

Description describeVolume(const corev1::PersistentVolume& volume) {
  const auto& spec = volume.spec();
  Description out;
  out.field(0, "Name", volume.metadata().name());
  addLabels(out, volume.metadata());
  out.field(0, "Finalizers", finalizersText(volume.metadata()));
  out.field(0, "StorageClass", spec.storageclassname());
  out.field(0, "Status", statusText(volume.metadata(), volume.status().phase()));
  out.field(0, "Claim",
            spec.has_claimref() ? spec.claimref().namespace_() + "/" + spec.claimref().name() : "");
  out.field(0, "Reclaim Policy", spec.persistentvolumereclaimpolicy());
  out.field(0, "Access Modes", api::accessModesText(spec.accessmodes()));
  out.field(0, "VolumeMode", spec.volumemode());
  out.field(0, "Capacity", storageText(spec.capacity()));
  addAffinity(out, spec);
  out.field(0, "Message", volume.status().message());
  out.line(0, {"Source:"});
  const auto& source = spec.persistentvolumesource();
  if (source.has_local()) {
    out.field(2, "Type", "LocalVolume (a persistent volume backed by local storage on a node)");
    out.field(2, "Path", source.local().path());
  } else {
    out.field(2, "Type", "HostPath (bare host directory volume)");
    out.field(2, "Path", source.hostpath().path());
    out.field(2, "HostPathType", source.hostpath().type());
  }
  return out;
}

Description describeClass(const storagev1::StorageClass& object) {
  Description out;
  out.field(0, "Name", object.metadata().name());
  out.field(0, "IsDefaultClass", api::isDefaultClass(object) ? "Yes" : "No");
  out.plain(0, "Annotations", pairsText(object.metadata().annotations()));
  out.field(0, "Provisioner", object.provisioner());
  out.field(0, "Parameters", pairsText(object.parameters()));
  out.field(0, "AllowVolumeExpansion",
            !object.has_allowvolumeexpansion()
                ? "<unset>"
                : (object.allowvolumeexpansion() ? "True" : "False"));
  if (object.mountoptions().empty()) {
    out.field(0, "MountOptions", "<none>");
  } else {
    out.line(0, {"MountOptions:"});
    for (const auto& option : object.mountoptions()) out.line(1, {option});
  }
  out.field(0, "ReclaimPolicy", object.reclaimpolicy());
  out.field(0, "VolumeBindingMode", object.volumebindingmode());
  return out;
}

}  // namespace podlab::cli
