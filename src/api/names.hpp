#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace podlab::api {

/// What is wrong with a name, in the wording of Kubernetes (apimachinery/pkg/util/validation);
/// empty when it is valid.
using Faults = std::vector<std::string>;

/// [a-z0-9-], at most 63 characters.
Faults faultsOfDns1123Label(std::string_view value);
/// A label that begins with a letter: names of services.
Faults faultsOfDns1035Label(std::string_view value);
/// Labels joined by dots, at most 253 characters.
Faults faultsOfDns1123Subdomain(std::string_view value);
/// "name" or "prefix/name": keys of labels, annotations, taints and resources.
Faults faultsOfQualifiedName(std::string_view value);
Faults faultsOfLabelValue(std::string_view value);
/// Port names: at most 15 of [a-z0-9-], one of them a letter.
Faults faultsOfPortName(std::string_view value);
Faults faultsOfPortNumber(std::int64_t port);
/// Printable ASCII without '='.
Faults faultsOfEnvName(std::string_view value);
/// Keys of ConfigMaps and Secrets: file names.
Faults faultsOfConfigMapKey(std::string_view value);
Faults faultsOfHttpHeaderName(std::string_view value);

/// "must be between LOW and HIGH, inclusive".
std::string rangeFault(std::int64_t low, std::int64_t high);

}  // namespace podlab::api
