#include "api/persistent_volumes.hpp"

#include <algorithm>

namespace podlab::api {

bool isDefaultClass(const storagev1::StorageClass& object) {
  const auto& annotations = object.metadata().annotations();
  const auto found = annotations.find(kDefaultClassAnnotation);
  return found != annotations.end() && found->second == "true";
}

bool waitsForConsumer(const storagev1::StorageClass& object) {
  return object.volumebindingmode() == "WaitForFirstConsumer";
}

bool isForOnePod(const google::protobuf::RepeatedPtrField<std::string>& modes) {
  return std::ranges::find(modes, "ReadWriteOncePod") != modes.end();
}

std::string accessModesText(const google::protobuf::RepeatedPtrField<std::string>& modes) {
  constexpr std::pair<const char*, const char*> kShort[] = {{"ReadWriteOnce", "RWO"},
                                                            {"ReadOnlyMany", "ROX"},
                                                            {"ReadWriteMany", "RWX"},
                                                            {"ReadWriteOncePod", "RWOP"}};
  std::string text;
  for (const auto& [mode, abbreviation] : kShort) {
    if (std::ranges::find(modes, mode) == modes.end()) continue;
    text += (text.empty() ? "" : ",") + std::string(abbreviation);
  }
  return text;
}

std::vector<std::string> claimsOf(const corev1::Pod& pod) {
  std::vector<std::string> names;
  for (const auto& volume : pod.spec().volumes()) {
    const auto& source = volume.volumesource();
    if (source.has_persistentvolumeclaim())
      names.push_back(source.persistentvolumeclaim().claimname());
  }
  return names;
}

}  // namespace podlab::api
