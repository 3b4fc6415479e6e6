// Pods' volumes, and claims, volumes and classes as kinds.
#include <gtest/gtest.h>

#include "api/persistent_volumes.hpp"
#include "api/pod_references.hpp"
#include "api/validation.hpp"
#include "tests/api/objects.hpp"

namespace podlab::api {
namespace {

using corev1::PersistentVolume;
using corev1::PersistentVolumeClaim;
using storagev1::StorageClass;

template <typename T>
T defaulted(const std::string& text) {
  T object = fromText<T>(text);
  kindFor<T>().strategy.applyDefaults(object);
  return object;
}

template <typename T>
std::string createErrors(const std::string& text) {
  return lines(validateCreate(defaulted<T>(text)).causes());
}

template <typename T>
std::string updateErrors(const std::string& before, const std::string& now) {
  return lines(validateUpdate(defaulted<T>(before + now), defaulted<T>(before)).causes());
}

/// The cells of a row, joined by '|'.
template <typename T>
std::string row(const T& object) {
  std::string text;
  for (const Column& column : kindFor<T>().columns)
    text += column.cell(object, WallTime(std::chrono::seconds(1000))) + "|";
  return text;
}

std::string podErrors(const std::string& spec) {
  return lines(validateCreate(makePod("spec { " + spec + " }")).causes());
}

TEST(Volumes, OfAPodAreChecked) {
  const auto volume = [](const std::string& source) {
    return podErrors("volumes { name: \"v\" volumeSource { " + source + " } }");
  };
  EXPECT_EQ(
      volume(R"(configMap { localObjectReference { name: "c" } defaultMode: 512
                        items { key: "k" path: "/p" } items { path: "a/../b" mode: -1 }
                        items { key: "k" path: "..data" } })"),
      "spec.volumes[0].configMap.defaultMode: Invalid value: 512: must be a number between 0 "
      "and 0777 (octal), both inclusive\n"
      "spec.volumes[0].configMap.items[0].path: Invalid value: \"/p\": must be a relative "
      "path\n"
      "spec.volumes[0].configMap.items[1].key: Required value\n"
      "spec.volumes[0].configMap.items[1].path: Invalid value: \"a/../b\": must not contain "
      "'..'\n"
      "spec.volumes[0].configMap.items[1].mode: Invalid value: -1: must be a number between 0 "
      "and 0777 (octal), both inclusive\n"
      "spec.volumes[0].configMap.items[2].path: Invalid value: \"..data\": must not start "
      "with '..'\n");
  EXPECT_EQ(volume(R"(downwardAPI { items { path: "a" } items { path: "b"
                        fieldRef { fieldPath: "status.podIP" } }
                        items { path: "c" resourceFieldRef { resource: "limits.cpu"
                          divisor { string: "2" } } } })"),
            "spec.volumes[0].downwardAPI[0]: Required value: one of fieldRef and resourceFieldRef "
            "is required\n"
            "spec.volumes[0].downwardAPI[1].fieldRef.fieldPath: Unsupported value: "
            "\"status.podIP\": supported values: \"metadata.annotations\", \"metadata.labels\", "
            "\"metadata.name\", \"metadata.namespace\", \"metadata.uid\"\n"
            "spec.volumes[0].downwardAPI[2].resourceFieldRef.containerName: Required value\n"
            "spec.volumes[0].downwardAPI[2].resourceFieldRef.divisor: Invalid value: "
            "\"limits.cpu\": only divisor's values 1m and 1 are supported with the cpu resource\n");
  EXPECT_EQ(volume(R"(projected { sources { configMap { localObjectReference { name: "c" }
                        items { key: "k" path: "p" } } }
                        sources { secret { localObjectReference { name: "s" }
                          items { key: "k" path: "p" } } } })"),
            "spec.volumes[0].projected: Invalid value: \"s\": conflicting duplicate paths\n");
  EXPECT_EQ(volume(R"(hostPath { path: "/a/../b" type: "Door" })"),
            "spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'\n"
            "spec.volumes[0].hostPath.type: Unsupported value: \"Door\": supported values: \"\", "
            "\"BlockDevice\", \"CharDevice\", \"Directory\", \"DirectoryOrCreate\", \"File\", "
            "\"FileOrCreate\", \"Socket\"\n");
}

TEST(Volumes, TheirMountsAreChecked) {
  const auto mount = [](const std::string& options) {
    return podErrors(R"(volumes { name: "v" } containers { name: "d" image: "x" volumeMounts {
                          name: "v" mountPath: "/v" )" +
                     options + " } }");
  };
  const std::string at = "spec.containers[1].volumeMounts[0].";
  EXPECT_EQ(mount(R"(mountPropagation: "Bidirectional")"),
            at + "mountPropagation: Forbidden: Bidirectional mount propagation is available only "
                 "to privileged containers\n");
  EXPECT_EQ(mount(R"(recursiveReadOnly: "Enabled")"),
            at + "recursiveReadOnly: Forbidden: may only be specified when readOnly is true\n");
  EXPECT_EQ(mount(R"(recursiveReadOnly: "IfPossible" readOnly: true)"), "");
  EXPECT_EQ(podErrors(R"(containers { name: "d" image: "x" env { name: "A" valueFrom {
                           resourceFieldRef { resource: "limits.pods" } } } })"),
            "spec.containers[1].env[0].valueFrom.resourceFieldRef.resource: Unsupported value: "
            "\"limits.pods\": supported values: \"limits.cpu\", \"limits.ephemeral-storage\", "
            "\"limits.memory\", \"requests.cpu\", \"requests.ephemeral-storage\", "
            "\"requests.memory\"\n");
}

TEST(Volumes, APodsReferencesAreFound) {
  const corev1::Pod pod = makePod(R"(spec {
      initContainers { name: "i" image: "x" envFrom { configMapRef {
        localObjectReference { name: "a" } } } }
      containers { name: "d" image: "x"
        env { name: "A" valueFrom { secretKeyRef { key: "k" localObjectReference { name: "b" } } } }
        env { name: "B" valueFrom { configMapKeyRef { key: "k"
          localObjectReference { name: "a" } } } } }
      ephemeralContainers { ephemeralContainerCommon { name: "z" image: "x" envFrom { secretRef {
        localObjectReference { name: "h" } } } } }
      volumes { name: "c" volumeSource { configMap { localObjectReference { name: "c" } } } }
      volumes { name: "d" volumeSource { secret { secretName: "d" } } }
      volumes { name: "e" volumeSource { projected {
        sources { secret { localObjectReference { name: "e" } } }
        sources { configMap { localObjectReference { name: "f" } } } } } }
      volumes { name: "g" volumeSource { persistentVolumeClaim { claimName: "g" } } } })");
  std::set<std::string> found;
  for (const auto& reference : referencesOf(pod))
    found.insert(std::string(reference.kind->plural) + "/" + reference.name);
  EXPECT_EQ(found, (std::set<std::string>{"configmaps/a", "secrets/b", "configmaps/c", "secrets/d",
                                          "secrets/e", "configmaps/f", "persistentvolumeclaims/g",
                                          "secrets/h"}));
}

constexpr const char* kClaim = R"(metadata { name: "c" namespace: "n" } spec {
    accessModes: "ReadWriteOnce"
    resources { requests { key: "storage" value { string: "1Gi" } } } })";
constexpr const char* kVolume = R"(metadata { name: "v" } spec { accessModes: "ReadWriteOnce"
    accessModes: "ReadWriteMany" storageClassName: "local"
    capacity { key: "storage" value { string: "2Gi" } }
    persistentVolumeSource { hostPath { path: "/x" } } })";

TEST(Claim, HasDefaultsRulesAndColumns) {
  EXPECT_EQ(createErrors<PersistentVolumeClaim>(kClaim), "");
  EXPECT_EQ(createErrors<PersistentVolumeClaim>(R"(metadata { name: "c" namespace: "n" } spec {
                accessModes: "Often" volumeMode: "Tape" storageClassName: "A"
                resources { requests { key: "storage" value { string: "0" } } } })"),
            "spec.accessModes: Unsupported value: \"Often\": supported values: \"ReadOnlyMany\", "
            "\"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"\n"
            "spec.resources[storage]: Invalid value: \"0\": must be greater than zero\n"
            "spec.storageClassName: Invalid value: \"A\": a lowercase RFC 1123 subdomain must "
            "consist of lower case alphanumeric characters, '-' or '.', and must start and end "
            "with an alphanumeric character (e.g. 'example.com', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')\n"
            "spec.volumeMode: Unsupported value: \"Tape\": supported values: \"Block\", "
            "\"Filesystem\"\n");
  EXPECT_EQ(createErrors<PersistentVolumeClaim>(R"(metadata { name: "c" namespace: "n" })"),
            "spec.accessModes: Required value: at least 1 access mode is required\n"
            "spec.resources[storage]: Required value\n");
  const std::string immutable =
      "spec: Forbidden: spec is immutable after creation except resources.requests and "
      "volumeAttributesClassName for bound claims\n";
  EXPECT_EQ(updateErrors<PersistentVolumeClaim>(kClaim, R"(spec { volumeName: "v" })"), "");
  EXPECT_EQ(updateErrors<PersistentVolumeClaim>(kClaim, R"(spec { storageClassName: "x" })"), "");
  EXPECT_EQ(updateErrors<PersistentVolumeClaim>(kClaim, R"(spec { accessModes: "ReadWriteMany" })"),
            immutable);
  EXPECT_EQ(updateErrors<PersistentVolumeClaim>(std::string(kClaim) + R"(spec { volumeName: "v" })",
                                                R"(spec { volumeName: "w" })"),
            immutable);

  auto claim = defaulted<PersistentVolumeClaim>(kClaim);
  kindFor<PersistentVolumeClaim>().strategy.prepareForCreate(claim);
  EXPECT_EQ(claim.metadata().finalizers(0), kClaimProtection);
  EXPECT_EQ(row(claim), "c|Pending|||||<unset>|<unknown>|Filesystem|");
  claim.MergeFrom(fromText<PersistentVolumeClaim>(R"(metadata { creationTimestamp { seconds: 940 } }
      spec { volumeName: "v" storageClassName: "local" }
      status { phase: "Bound" accessModes: "ReadWriteMany" accessModes: "ReadWriteOnce"
               capacity { key: "storage" value { string: "1Gi" } } })"));
  EXPECT_EQ(row(claim), "c|Bound|v|1Gi|RWO,RWX|local|<unset>|60s|Filesystem|");
}

TEST(Volume, HasDefaultsRulesAndColumns) {
  EXPECT_EQ(createErrors<PersistentVolume>(kVolume), "");
  EXPECT_EQ(createErrors<PersistentVolume>(R"(metadata { name: "v" } spec {
                persistentVolumeReclaimPolicy: "Burn"
                persistentVolumeSource { local { path: "../x" } } })"),
            "spec.accessModes: Required value: at least 1 access mode is required\n"
            "spec.capacity: Required value\n"
            "spec.persistentVolumeReclaimPolicy: Unsupported value: \"Burn\": supported values: "
            "\"Delete\", \"Recycle\", \"Retain\"\n"
            "spec.local.path: Invalid value: \"../x\": must not contain '..'\n"
            "metadata.annotations: Required value: Local volume requires node affinity\n");
  EXPECT_EQ(
      updateErrors<PersistentVolume>(
          kVolume, R"(spec { persistentVolumeSource { hostPath { path: "/y" } } })"),
      "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after "
      "creation\n");
  auto volume = defaulted<PersistentVolume>(kVolume);
  kindFor<PersistentVolume>().strategy.prepareForCreate(volume);
  EXPECT_EQ(volume.metadata().finalizers(0), kVolumeProtection);
  volume.mutable_spec()->mutable_claimref()->set_namespace_("n");
  volume.mutable_spec()->mutable_claimref()->set_name("c");
  EXPECT_EQ(row(volume), "v|2Gi|RWO,RWX|Retain|Pending|n/c|local|<unset>||<unknown>|Filesystem|");
}

TEST(StorageClass, HasDefaultsRulesAndColumns) {
  const std::string text = R"(metadata { name: "local" annotations {
      key: "storageclass.kubernetes.io/is-default-class" value: "true" } }
      provisioner: "podlab.io/local" )";
  EXPECT_EQ(row(defaulted<StorageClass>(text)),
            "local (default)|podlab.io/local|Delete|Immediate|false|<unknown>|");
  EXPECT_EQ(createErrors<StorageClass>(text), "");
  EXPECT_EQ(createErrors<StorageClass>(R"(metadata { name: "x" } reclaimPolicy: "Recycle"
                                          volumeBindingMode: "Never")"),
            "provisioner: Required value\n"
            "reclaimPolicy: Unsupported value: \"Recycle\": supported values: \"Delete\", "
            "\"Retain\"\n"
            "volumeBindingMode: Unsupported value: \"Never\": supported values: \"Immediate\", "
            "\"WaitForFirstConsumer\"\n");
  EXPECT_EQ(updateErrors<StorageClass>(text, R"(reclaimPolicy: "Retain")"),
            "reclaimPolicy: Forbidden: updates to reclaimPolicy are forbidden.\n");
  EXPECT_EQ(findByUserName("sc")->resource(), "storageclasses.storage.k8s.io");
  EXPECT_EQ(findByUserName("pv")->kind, "PersistentVolume");
  EXPECT_EQ(findByUserName("pvc")->kind, "PersistentVolumeClaim");
}

}  // namespace
}  // namespace podlab::api
