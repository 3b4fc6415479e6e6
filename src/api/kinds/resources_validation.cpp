#include "api/kinds/pod_parts.hpp"
#include "api/names.hpp"

namespace podlab::api {
namespace {

/// A resource of which no more may be given out than there is, so that its request equals its
/// limit.
bool isExact(std::string_view name) {
  return name.starts_with("hugepages-") || (name.find('/') != std::string_view::npos &&
                                            name.find("kubernetes.io/") == std::string_view::npos);
}

void validateName(const std::string& name, const FieldPath& path, FieldErrors& errors) {
  const Faults faults = faultsOfQualifiedName(name);
  errors.invalidEach(path, name, faults);
  if (!faults.empty() || name.find('/') != std::string::npos) return;
  if (name != "cpu" && name != "memory" && name != "ephemeral-storage" &&
      !name.starts_with("hugepages-")) {
    errors.invalid(path, name, "must be a standard resource for containers");
  }
}

void validateList(const ResourceMap& amounts, const FieldPath& path, FieldErrors& errors) {
  for (const std::string& name : sortedKeys(amounts)) {
    validateName(name, path.key(name), errors);
    validateQuantity(name, amounts.at(name), path.key(name), errors);
  }
}

}  // namespace

void validateResources(const ResourceMap& requests, const ResourceMap& limits,
                       const FieldPath& path, FieldErrors& errors) {
  const FieldPath requestsPath = path.child("requests");
  validateList(limits, path.child("limits"), errors);
  validateList(requests, requestsPath, errors);
  for (const std::string& name : sortedKeys(requests)) {
    const auto limit = limits.find(name);
    if (limit == limits.end()) {
      if (isExact(name)) {
        errors.required(path.child("limits"), "Limit must be set for non overcommitable resources");
      }
      continue;
    }
    const Quantity amount = Quantity::read(requests.at(name));
    const Quantity most = Quantity::read(limit->second);
    const char* rule = nullptr;
    if (isExact(name) && amount != most) {
      rule = "must be equal to ";
    } else if (amount > most) {
      rule = "must be less than or equal to ";
    }
    if (rule != nullptr) {
      errors.invalid(requestsPath, amount.toString(), rule + name + " limit of " + most.toString());
    }
  }
}

}  // namespace podlab::api
