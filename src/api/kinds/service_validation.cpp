#include <set>
#include <tuple>

#include "api/kinds/rules.hpp"
#include "api/kinds/service_parts.hpp"
#include "api/names.hpp"

namespace podlab::api {
namespace {

using corev1::Service;
using corev1::ServicePort;

constexpr std::int32_t kMaxAffinitySeconds = 86400;

void validatePort(const ServicePort& port, bool needsName, bool headless, const FieldPath& path,
                  FieldErrors& errors) {
  constexpr std::string_view kProtocols[] = {"SCTP", "TCP", "UDP"};
  if (needsName && port.name().empty()) {
    errors.required(path.child("name"));
  } else if (!port.name().empty()) {
    errors.invalidEach(path.child("name"), port.name(), faultsOfDns1123Label(port.name()));
  }
  if (auto faults = faultsOfPortNumber(port.port()); !faults.empty())
    errors.invalid(path.child("port"), port.port(), faults[0]);
  errors.oneOf(path.child("protocol"), port.protocol(), kProtocols);
  const auto& target = port.targetport();
  if (target.type() == 1) {
    errors.invalidEach(path.child("targetPort"), target.strval(),
                       faultsOfPortName(target.strval()));
  } else if (auto faults = faultsOfPortNumber(target.intval()); !headless && !faults.empty()) {
    errors.invalid(path.child("targetPort"), target.intval(), faults[0]);
  }
}

void validatePorts(const Service& service, FieldErrors& errors) {
  const auto& spec = service.spec();
  const FieldPath path("spec.ports");
  const bool headless = isHeadless(service);
  if (spec.ports().empty() && !headless && hasClusterIp(service)) {
    errors.required(path);
    return;
  }
  std::set<std::string> names;
  std::set<std::pair<std::int32_t, std::string>> ports;
  std::set<std::pair<std::int32_t, std::string>> nodePorts;
  const bool mayHaveNodePort = spec.type() == "NodePort" || spec.type() == "LoadBalancer";
  forEach(spec.ports(), path, [&](const ServicePort& port, const FieldPath& at) {
    validatePort(port, spec.ports().size() > 1, headless, at, errors);
    if (!port.name().empty() && !names.insert(port.name()).second)
      errors.duplicate(at.child("name"), port.name());
    if (!ports.insert({port.port(), port.protocol()}).second)
      errors.duplicate(at, port.protocol() + "/" + std::to_string(port.port()));
    if (port.nodeport() == 0) return;
    if (!mayHaveNodePort) {
      errors.forbidden(at.child("nodePort"),
                       "may not be used when `type` is '" + spec.type() + "'");
    } else if (port.nodeport() < kFirstNodePort || port.nodeport() > kLastNodePort) {
      errors.invalid(at.child("nodePort"), port.nodeport(),
                     "provided port is not in the valid range. The range of valid ports is "
                     "30000-32767");
    } else if (!nodePorts.insert({port.nodeport(), port.protocol()}).second) {
      errors.duplicate(at.child("nodePort"), std::to_string(port.nodeport()));
    }
  });
}

void validateAddresses(const Service& service, FieldErrors& errors) {
  const auto& spec = service.spec();
  const FieldPath path("spec");
  if (spec.type() == "ExternalName") {
    if (!spec.clusterips().empty())
      errors.forbidden(path.child("clusterIPs"), "may not be set when `type` is ExternalName");
    if (spec.externalname().empty()) {
      errors.required(path.child("externalName"));
    } else {
      const std::string_view name = spec.externalname();
      errors.invalidEach(
          path.child("externalName"), name,
          faultsOfDns1123Subdomain(name.ends_with('.') ? name.substr(0, name.size() - 1) : name));
    }
    return;
  }
  if (isHeadless(service) && (spec.type() == "NodePort" || spec.type() == "LoadBalancer")) {
    errors.invalid(path.child("clusterIPs").index(0), "None",
                   "may not be set to 'None' for " + spec.type() + " services");
  }
  if (!spec.clusterips().empty() && spec.clusterips(0) != spec.clusterip()) {
    errors.invalid(path.child("clusterIPs"), spec.clusterips(0),
                   "first value must match `clusterIP`");
  }
  if (isHeadless(service)) return;
  std::vector<int> families;
  forEach(spec.clusterips(), path.child("clusterIPs"),
          [&](const std::string& address, const FieldPath& at) {
            validateIp(address, at, errors);
            families.push_back(addressFamily(address));
          });
  if (spec.clusterips_size() > 1) {
    validateFamilies(families, spec.clusterips(0), "IP address", path.child("clusterIPs"), errors);
  }
}

}  // namespace

std::vector<Cause> validateService(const Service& service) {
  constexpr std::string_view kTypes[] = {"ClusterIP", "ExternalName", "LoadBalancer", "NodePort"};
  constexpr std::string_view kAffinities[] = {"ClientIP", "None"};
  constexpr std::string_view kTraffic[] = {"Cluster", "Local"};
  constexpr std::string_view kFamilies[] = {"IPv4", "IPv6"};
  constexpr std::string_view kPolicies[] = {"PreferDualStack", "RequireDualStack", "SingleStack"};
  FieldErrors errors;
  const auto& spec = service.spec();
  const FieldPath path("spec");
  errors.oneOf(path.child("type"), spec.type(), kTypes);
  errors.oneOf(path.child("sessionAffinity"), spec.sessionaffinity(), kAffinities);
  const auto& client = spec.sessionaffinityconfig().clientip();
  if (client.has_timeoutseconds() &&
      (client.timeoutseconds() < 1 || client.timeoutseconds() > kMaxAffinitySeconds)) {
    errors.invalid(path.child("sessionAffinityConfig.clientIP.timeoutSeconds"),
                   client.timeoutseconds(),
                   "must be greater than 0 and less than " + std::to_string(kMaxAffinitySeconds));
  }
  validatePorts(service, errors);
  validateAddresses(service, errors);
  validateLabels(spec.selector(), path.child("selector"), errors);
  forEach(
      spec.externalips(), path.child("externalIPs"),
      [&](const std::string& address, const FieldPath& at) { validateIp(address, at, errors); });
  forEach(
      spec.ipfamilies(), path.child("ipFamilies"),
      [&](const std::string& family, const FieldPath& at) { errors.oneOf(at, family, kFamilies); });
  if (spec.has_ipfamilypolicy())
    errors.oneOf(path.child("ipFamilyPolicy"), spec.ipfamilypolicy(), kPolicies);
  if (spec.has_internaltrafficpolicy())
    errors.oneOf(path.child("internalTrafficPolicy"), spec.internaltrafficpolicy(), kTraffic);
  if (!spec.externaltrafficpolicy().empty())
    errors.oneOf(path.child("externalTrafficPolicy"), spec.externaltrafficpolicy(), kTraffic);
  return errors.take();
}

std::vector<Cause> validateServiceUpdate(const Service& now, const Service& before) {
  FieldErrors errors;
  // An address is kept for as long as the type has one.
  if (hasClusterIp(now) && hasClusterIp(before) && !before.spec().clusterip().empty() &&
      now.spec().clusterip() != before.spec().clusterip()) {
    errors.invalid(FieldPath("spec.clusterIPs").index(0), now.spec().clusterip(),
                   "may not change once set");
  }
  return errors.take();
}

}  // namespace podlab::api
