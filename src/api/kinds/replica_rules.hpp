#pragma once
#include <string>
#include <vector>

#include "api/kinds/pod_template.hpp"

/// What ReplicaSet and ReplicationController have in common.
namespace podlab::api {

template <typename T>
std::vector<Column> replicaColumns() {
  const auto number = [](std::string_view name, auto read) {
    return column<T>(name, 0, [read](const T& set) { return std::to_string(read(set)); });
  };
  return {nameColumn(),
          number("Desired", [](const T& set) { return set.spec().replicas(); }),
          number("Current", [](const T& set) { return set.status().replicas(); }),
          number("Ready", [](const T& set) { return set.status().readyreplicas(); }),
          ageColumn(),
          column<T>("Containers", 1,
                    [](const T& set) { return containerNamesCell(set.spec().template_()); }),
          column<T>("Images", 1, [](const T& set) { return imagesCell(set.spec().template_()); }),
          column<T>("Selector", 1, [](const T& set) {
            const std::string text = selectorText(set.spec().selector());
            return text.empty() ? std::string("<none>") : text;
          })};
}

/// The counts of a status; `status` has fullyLabeledReplicas.
template <typename T>
auto validatesReplicaStatus() {
  return compares<T>([](const T& now, const T&) {
    const auto& status = now.status();
    FieldErrors errors;
    const FieldPath path("status");
    const auto check = [&](std::string_view name, std::int64_t count) {
      errors.notNegative(path.child(name), count);
      if (count > status.replicas())
        errors.invalid(path.child(name), count, "cannot be greater than status.replicas");
    };
    errors.notNegative(path.child("replicas"), status.replicas());
    check("fullyLabeledReplicas", status.fullylabeledreplicas());
    check("readyReplicas", status.readyreplicas());
    check("availableReplicas", status.availablereplicas());
    errors.notNegative(path.child("observedGeneration"), status.observedgeneration());
    if (status.availablereplicas() > status.readyreplicas()) {
      errors.invalid(path.child("availableReplicas"), std::int64_t{status.availablereplicas()},
                     "cannot be greater than readyReplicas");
    }
    return errors.take();
  });
}

}  // namespace podlab::api
