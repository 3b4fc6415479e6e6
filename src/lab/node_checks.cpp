#include "lab/node_checks.hpp"

#include "api/names.hpp"
#include "api/quantity.hpp"
#include "lab/fault.hpp"

namespace podlab::lab {

void checkQuantity(const std::string& field, const std::string& text, std::vector<Cause>& causes) {
  const auto quantity = api::Quantity::parse(text);
  if (!quantity) {
    causes.push_back(invalidField(field, text, quantity.status().message()));
  } else if (*quantity <= api::Quantity()) {
    causes.push_back(invalidField(field, text, "must be greater than zero"));
  }
}

void checkMaxPods(int maxPods, const std::string& path, std::vector<Cause>& causes) {
  // A bridge bears at most 1,023 ports.
  if (maxPods < 1 || maxPods > 1000)
    causes.push_back(
        invalidField(path + ".maxPods", std::to_string(maxPods), "must be between 1 and 1000"));
}

void checkLabels(const google::protobuf::Map<std::string, std::string>& labels,
                 const std::string& path, std::vector<Cause>& causes) {
  for (const auto& [key, value] : labels) {
    for (const auto& why : api::faultsOfQualifiedName(key))
      causes.push_back(invalidField(path + ".labels", key, why));
    const std::string field = path + ".labels[" + key + "]";
    for (const auto& why : api::faultsOfLabelValue(value))
      causes.push_back(invalidField(field, value, why));
  }
}

void checkTaints(const google::protobuf::RepeatedPtrField<k8s::io::api::core::v1::Taint>& taints,
                 const std::string& path, std::vector<Cause>& causes) {
  for (int i = 0; i < taints.size(); ++i) {
    const auto& taint = taints[i];
    const std::string at = path + ".taints[" + std::to_string(i) + "]";
    for (const auto& why : api::faultsOfQualifiedName(taint.key()))
      causes.push_back(invalidField(at + ".key", taint.key(), why));
    if (taint.effect() != "NoSchedule" && taint.effect() != "PreferNoSchedule" &&
        taint.effect() != "NoExecute") {
      causes.push_back(
          {"FieldValueNotSupported", at + ".effect",
           "Unsupported value: \"" + taint.effect() +
               "\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\""});
    }
  }
}

}  // namespace podlab::lab
