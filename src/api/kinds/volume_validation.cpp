#include "api/kinds/pod_parts.hpp"
#include "api/names.hpp"

namespace podlab::api {
namespace {

void require(const std::string& value, const FieldPath& path, FieldErrors& errors) {
  if (value.empty()) errors.required(path);
}

void validate(const corev1::EmptyDirVolumeSource& source, const FieldPath& path,
              FieldErrors& errors) {
  constexpr std::string_view kMedia[] = {"Memory", "HugePages"};
  const std::string& medium = source.medium();
  if (!medium.empty() && medium != "Memory" && medium != "HugePages" &&
      !medium.starts_with("HugePages-")) {
    errors.notSupported(path.child("medium"), medium, kMedia);
  }
  if (source.has_sizelimit()) {
    validateQuantity("", source.sizelimit(), path.child("sizeLimit"), errors);
  }
}

void validate(const corev1::HostPathVolumeSource& source, const FieldPath& path,
              FieldErrors& errors) {
  constexpr std::string_view kTypes[] = {
      "",     "BlockDevice",  "CharDevice", "Directory", "DirectoryOrCreate",
      "File", "FileOrCreate", "Socket"};
  require(source.path(), path.child("path"), errors);
  if (("/" + source.path() + "/").find("/../") != std::string::npos) {
    errors.invalid(path.child("path"), source.path(), "must not contain '..'");
  }
  if (std::ranges::find(kTypes, source.type()) == std::end(kTypes)) {
    errors.notSupported(path.child("type"), source.type(), kTypes);
  }
}

void validate(const corev1::VolumeSource& source, const FieldPath& path, FieldErrors& errors) {
  std::vector<const google::protobuf::FieldDescriptor*> set;
  source.GetReflection()->ListFields(source, &set);
  if (set.empty()) errors.required(path, "must specify a volume type");
  for (std::size_t i = 1; i < set.size(); ++i) {
    errors.forbidden(path.child(set[i]->name()), "may not specify more than 1 volume type");
  }
  if (source.has_emptydir()) validate(source.emptydir(), path.child("emptyDir"), errors);
  if (source.has_hostpath()) validate(source.hostpath(), path.child("hostPath"), errors);
  if (source.has_configmap()) {
    require(source.configmap().localobjectreference().name(), path.child("configMap").child("name"),
            errors);
  }
  if (source.has_secret()) {
    require(source.secret().secretname(), path.child("secret").child("secretName"), errors);
  }
  if (source.has_persistentvolumeclaim()) {
    require(source.persistentvolumeclaim().claimname(),
            path.child("persistentVolumeClaim").child("claimName"), errors);
  }
}

}  // namespace

std::set<std::string> validateVolumes(const corev1::PodSpec& spec, const FieldPath& path,
                                      FieldErrors& errors) {
  std::set<std::string> names;
  forEach(spec.volumes(), path, [&](const corev1::Volume& volume, const FieldPath& at) {
    validate(volume.volumesource(), at, errors);
    if (volume.name().empty()) {
      errors.required(at.child("name"));
      return;
    }
    const Faults faults = faultsOfDns1123Label(volume.name());
    errors.invalidEach(at.child("name"), volume.name(), faults);
    if (faults.empty() && !names.insert(volume.name()).second) {
      errors.duplicate(at.child("name"), volume.name());
    }
  });
  return names;
}

}  // namespace podlab::api
