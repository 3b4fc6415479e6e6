#include "api/kinds/pod_parts.hpp"
#include "api/kinds/volume_rules.hpp"
#include "api/names.hpp"

namespace podlab::api {
namespace {

using Paths = std::set<std::string>;

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

template <typename Source>
void validateMode(bool isSet, Source mode, const FieldPath& path, FieldErrors& errors) {
  if (isSet && (mode < 0 || mode > 0777)) {
    errors.invalid(path, static_cast<std::int64_t>(mode),
                   "must be a number between 0 and 0777 (octal), both inclusive");
  }
}

/// Where a file goes in its volume; names that begin with two dots are the kubelet's own.
void validateFilePath(const std::string& value, const FieldPath& path, FieldErrors& errors) {
  if (value.empty()) {
    errors.required(path);
    return;
  }
  if (value.starts_with('/')) errors.invalid(path, value, "must be a relative path");
  validateNoBacksteps(value, path, errors);
  if (value.starts_with("..") && !value.starts_with("../") && value != "..")
    errors.invalid(path, value, "must not start with '..'");
}

/// The items of a ConfigMap or Secret; `taken` collects their paths.
template <typename Items>
void validateItems(const Items& items, const FieldPath& path, std::vector<std::string>& taken,
                   FieldErrors& errors) {
  forEach(items, path, [&](const corev1::KeyToPath& item, const FieldPath& at) {
    require(item.key(), at.child("key"), errors);
    validateFilePath(item.path(), at.child("path"), errors);
    validateMode(item.has_mode(), item.mode(), at.child("mode"), errors);
    taken.push_back(item.path());
  });
}

template <typename Items>
void validateFiles(const Items& items, const FieldPath& path, std::vector<std::string>& taken,
                   FieldErrors& errors) {
  constexpr std::string_view kPaths[] = {"metadata.annotations", "metadata.labels", "metadata.name",
                                         "metadata.namespace", "metadata.uid"};
  forEach(items, path, [&](const corev1::DownwardAPIVolumeFile& file, const FieldPath& at) {
    validateFilePath(file.path(), at.child("path"), errors);
    if (file.has_fieldref()) {
      validateFieldRef(file.fieldref(), kPaths, at.child("fieldRef"), errors);
      if (file.has_resourcefieldref()) {
        errors.invalid(at, "resource",
                       "fieldRef and resourceFieldRef can not be specified simultaneously");
      }
    } else if (file.has_resourcefieldref()) {
      const FieldPath reference = at.child("resourceFieldRef");
      require(file.resourcefieldref().containername(), reference.child("containerName"), errors);
      validateResourceFieldRef(file.resourcefieldref(), reference, errors);
    } else {
      errors.required(at, "one of fieldRef and resourceFieldRef is required");
    }
    validateMode(file.has_mode(), file.mode(), at.child("mode"), errors);
    taken.push_back(file.path());
  });
}

void validateToken(const corev1::ServiceAccountTokenProjection& token, const FieldPath& path,
                   std::vector<std::string>& taken, FieldErrors& errors) {
  const FieldPath seconds = path.child("expirationSeconds");
  if (token.expirationseconds() < 600)
    errors.invalid(seconds, token.expirationseconds(),
                   "may not specify a duration less than 10 minutes");
  if (token.expirationseconds() > std::int64_t{1} << 32)
    errors.invalid(seconds, token.expirationseconds(),
                   "may not specify a duration larger than 2^32 seconds");
  validateFilePath(token.path(), path.child("path"), errors);
  taken.push_back(token.path());
}

void validate(const corev1::ProjectedVolumeSource& source, const FieldPath& path,
              FieldErrors& errors) {
  validateMode(source.has_defaultmode(), source.defaultmode(), path.child("defaultMode"), errors);
  Paths all;
  forEach(
      source.sources(), path.child("sources"),
      [&](const corev1::VolumeProjection& part, const FieldPath& at) {
        std::vector<const google::protobuf::FieldDescriptor*> set;
        part.GetReflection()->ListFields(part, &set);
        if (set.empty()) errors.required(at, "must specify a volume type");
        for (std::size_t i = 1; i < set.size(); ++i) {
          errors.forbidden(at.child(set[i]->name()), "may not specify more than 1 volume type");
        }
        std::vector<std::string> taken;
        std::string name;
        if (part.has_secret()) {
          name = part.secret().localobjectreference().name();
          require(name, at.child("secret").child("name"), errors);
          validateItems(part.secret().items(), at.child("secret").child("items"), taken, errors);
        }
        if (part.has_configmap()) {
          name = part.configmap().localobjectreference().name();
          require(name, at.child("configMap").child("name"), errors);
          validateItems(part.configmap().items(), at.child("configMap").child("items"), taken,
                        errors);
        }
        if (part.has_downwardapi()) {
          validateFiles(part.downwardapi().items(), at.child("downwardAPI"), taken, errors);
        }
        if (part.has_serviceaccounttoken()) {
          validateToken(part.serviceaccounttoken(), at.child("serviceAccountToken"), taken, errors);
        }
        for (const auto& file : taken) {
          if (!file.empty() && !all.insert(file).second)
            errors.invalid(path, name, "conflicting duplicate paths");
        }
      });
}

void validate(const corev1::VolumeSource& source, const FieldPath& path, FieldErrors& errors) {
  std::vector<const google::protobuf::FieldDescriptor*> set;
  source.GetReflection()->ListFields(source, &set);
  if (set.empty()) errors.required(path, "must specify a volume type");
  for (std::size_t i = 1; i < set.size(); ++i) {
    errors.forbidden(path.child(set[i]->name()), "may not specify more than 1 volume type");
  }
  std::vector<std::string> taken;
  if (source.has_emptydir()) validate(source.emptydir(), path.child("emptyDir"), errors);
  if (source.has_hostpath()) validateHostPath(source.hostpath(), path.child("hostPath"), errors);
  if (source.has_configmap()) {
    const FieldPath at = path.child("configMap");
    require(source.configmap().localobjectreference().name(), at.child("name"), errors);
    validateMode(source.configmap().has_defaultmode(), source.configmap().defaultmode(),
                 at.child("defaultMode"), errors);
    validateItems(source.configmap().items(), at.child("items"), taken, errors);
  }
  if (source.has_secret()) {
    const FieldPath at = path.child("secret");
    require(source.secret().secretname(), at.child("secretName"), errors);
    validateMode(source.secret().has_defaultmode(), source.secret().defaultmode(),
                 at.child("defaultMode"), errors);
    validateItems(source.secret().items(), at.child("items"), taken, errors);
  }
  if (source.has_downwardapi()) {
    const FieldPath at = path.child("downwardAPI");
    validateMode(source.downwardapi().has_defaultmode(), source.downwardapi().defaultmode(),
                 at.child("defaultMode"), errors);
    validateFiles(source.downwardapi().items(), at, taken, errors);
  }
  if (source.has_projected()) validate(source.projected(), path.child("projected"), errors);
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
