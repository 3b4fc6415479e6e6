#include "core_v1_services.pb.h"

#include "api/kinds/rows.hpp"
#include "api/kinds/rules.hpp"
#include "api/names.hpp"

namespace podlab::api {
namespace {

using corev1::Endpoints;
using corev1::EndpointSubset;

void applyDefaults(Endpoints& endpoints) {
  for (auto& subset : *endpoints.mutable_subsets()) {
    for (auto& port : *subset.mutable_ports()) {
      if (port.protocol().empty()) port.set_protocol("TCP");
    }
  }
}

std::vector<Cause> validate(const Endpoints& endpoints) {
  constexpr std::string_view kProtocols[] = {"SCTP", "TCP", "UDP"};
  FieldErrors errors;
  const auto address = [&](const corev1::EndpointAddress& each, const FieldPath& at) {
    validateIp(each.ip(), at.child("ip"), errors);
  };
  const auto port = [&](const corev1::EndpointPort& each, const FieldPath& at) {
    if (auto faults = faultsOfPortNumber(each.port()); !faults.empty())
      errors.invalid(at.child("port"), each.port(), faults[0]);
    errors.oneOf(at.child("protocol"), each.protocol(), kProtocols);
  };
  forEach(endpoints.subsets(), FieldPath("subsets"),
          [&](const EndpointSubset& subset, const FieldPath& at) {
            if (subset.addresses().empty() && subset.notreadyaddresses().empty())
              errors.required(at, "must specify `addresses` or `notReadyAddresses`");
            forEach(subset.addresses(), at.child("addresses"), address);
            forEach(subset.notreadyaddresses(), at.child("notReadyAddresses"), address);
            forEach(subset.ports(), at.child("ports"), port);
          });
  return errors.take();
}

/// "10.244.0.2:80,10.244.1.2:80 + 3 more..."
std::string endpointsCell(const Endpoints& endpoints) {
  std::vector<std::string> all;
  for (const auto& subset : endpoints.subsets()) {
    for (const auto& address : subset.addresses()) {
      if (subset.ports().empty()) all.push_back(address.ip());
      for (const auto& port : subset.ports()) {
        const bool v6 = address.ip().find(':') != std::string::npos;
        all.push_back((v6 ? "[" + address.ip() + "]" : address.ip()) + ":" +
                      std::to_string(port.port()));
      }
    }
  }
  return firstOf(all, "<none>");
}

}  // namespace

Kind endpointsKind() {
  return {
      .group = "",
      .version = "v1",
      .kind = "Endpoints",
      .plural = "endpoints",
      .singular = "endpoints",
      .shortNames = {"ep"},
      .categories = {},
      .scope = Scope::kNamespaced,
      .prototype = &Endpoints::default_instance(),
      .columns = {nameColumn(), column<Endpoints>("Endpoints", 0, endpointsCell), ageColumn()},
      .strategy = {.applyDefaults = writes<Endpoints>(applyDefaults),
                   .validate = reads<Endpoints>(validate)},
  };
}

}  // namespace podlab::api
