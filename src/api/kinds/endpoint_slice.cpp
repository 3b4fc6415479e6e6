#include "discovery_v1.pb.h"

#include "api/kinds/rows.hpp"
#include "api/kinds/rules.hpp"
#include "api/names.hpp"

namespace podlab::api {
namespace {

using discoveryv1::EndpointSlice;

constexpr int kMaxEndpoints = 1000;
constexpr int kMaxPorts = 20000;
constexpr int kMaxAddresses = 100;

void applyDefaults(EndpointSlice& slice) {
  for (auto& port : *slice.mutable_ports()) {
    if (!port.has_name()) port.set_name("");
    if (!port.has_protocol()) port.set_protocol("TCP");
  }
}

void validateAddress(const std::string& address, const std::string& type, const FieldPath& at,
                     FieldErrors& errors) {
  if (type == "FQDN") {
    errors.invalidEach(at, address, faultsOfDns1123Subdomain(address));
  } else if (addressFamily(address) != (type == "IPv4" ? 4 : 6)) {
    errors.invalid(
        at, address,
        type == "IPv4" ? "must be a valid IPv4 address" : "must be a valid IPv6 address");
  }
}

std::vector<Cause> validate(const EndpointSlice& slice) {
  constexpr std::string_view kTypes[] = {"FQDN", "IPv4", "IPv6"};
  constexpr std::string_view kProtocols[] = {"SCTP", "TCP", "UDP"};
  FieldErrors errors;
  errors.oneOf(FieldPath("addressType"), slice.addresstype(), kTypes);
  const FieldPath endpoints("endpoints");
  if (slice.endpoints_size() > kMaxEndpoints) {
    errors.invalid(endpoints, slice.endpoints_size(),
                   "must have at most " + std::to_string(kMaxEndpoints) + " items");
    return errors.take();
  }
  forEach(slice.endpoints(), endpoints,
          [&](const discoveryv1::Endpoint& endpoint, const FieldPath& at) {
            const FieldPath addresses = at.child("addresses");
            if (endpoint.addresses().empty())
              errors.required(addresses, "must contain at least 1 address");
            if (endpoint.addresses_size() > kMaxAddresses)
              errors.invalid(addresses, endpoint.addresses_size(), "must have at most 100 items");
            forEach(endpoint.addresses(), addresses,
                    [&](const std::string& address, const FieldPath& where) {
                      validateAddress(address, slice.addresstype(), where, errors);
                    });
          });
  const FieldPath ports("ports");
  if (slice.ports_size() > kMaxPorts)
    errors.invalid(ports, slice.ports_size(), "must have at most 20000 items");
  forEach(slice.ports(), ports, [&](const discoveryv1::EndpointPort& port, const FieldPath& at) {
    if (!port.name().empty())
      errors.invalidEach(at.child("name"), port.name(), faultsOfDns1123Label(port.name()));
    errors.oneOf(at.child("protocol"), port.protocol(), kProtocols);
    if (!port.has_port()) return;
    if (auto faults = faultsOfPortNumber(port.port()); !faults.empty())
      errors.invalid(at.child("port"), port.port(), faults[0]);
  });
  return errors.take();
}

std::vector<Cause> validateUpdate(const EndpointSlice& now, const EndpointSlice& before) {
  FieldErrors errors;
  if (now.addresstype() != before.addresstype())
    errors.invalid(FieldPath("addressType"), now.addresstype(), kImmutable);
  return errors.take();
}

std::string portsCell(const EndpointSlice& slice) {
  std::vector<std::string> all;
  for (const auto& port : slice.ports()) {
    all.push_back(port.has_port() ? std::to_string(port.port())
                                  : (port.name().empty() ? "*" : port.name()));
  }
  return firstOf(all, "<unset>");
}

std::string endpointsCell(const EndpointSlice& slice) {
  std::vector<std::string> all;
  for (const auto& endpoint : slice.endpoints())
    all.insert(all.end(), endpoint.addresses().begin(), endpoint.addresses().end());
  return firstOf(all, "<unset>");
}

}  // namespace

Kind endpointSliceKind() {
  return {
      .group = "discovery.k8s.io",
      .version = "v1",
      .kind = "EndpointSlice",
      .plural = "endpointslices",
      .singular = "endpointslice",
      .shortNames = {},
      .categories = {},
      .scope = Scope::kNamespaced,
      .prototype = &EndpointSlice::default_instance(),
      .columns = {nameColumn(),
                  column<EndpointSlice>(
                      "AddressType", 0,
                      [](const EndpointSlice& slice) { return slice.addresstype(); }),
                  column<EndpointSlice>("Ports", 0, portsCell),
                  column<EndpointSlice>("Endpoints", 0, endpointsCell), ageColumn()},
      .strategy = {.hasGeneration = true,
                   .applyDefaults = writes<EndpointSlice>(applyDefaults),
                   .validate = reads<EndpointSlice>(validate),
                   .validateUpdate = compares<EndpointSlice>(validateUpdate)},
  };
}

}  // namespace podlab::api
