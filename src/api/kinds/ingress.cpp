#include <set>

#include "networking_v1.pb.h"

#include "api/kinds/rows.hpp"
#include "api/kinds/rules.hpp"
#include "api/names.hpp"

namespace podlab::api {
namespace {

using networkingv1::Ingress;
using networkingv1::IngressBackend;
using networkingv1::IngressClass;

void prepareForCreate(Ingress& ingress) {
  ingress.clear_status();
  ingress.mutable_status()->mutable_loadbalancer();
}

void validateBackend(const IngressBackend& backend, const FieldPath& at, FieldErrors& errors) {
  if (backend.has_service() == backend.has_resource()) {
    if (backend.has_service())
      errors.invalid(at, "", "cannot set both resource and service backends");
    else
      errors.required(at, "must specify a service or a resource");
    return;
  }
  if (!backend.has_service()) return;
  const FieldPath service = at.child("service");
  if (backend.service().name().empty()) {
    errors.required(service.child("name"));
  } else {
    errors.invalidEach(service.child("name"), backend.service().name(),
                       faultsOfDns1035Label(backend.service().name()));
  }
  const auto& port = backend.service().port();
  if (port.name().empty() == (port.number() == 0)) {
    errors.required(service.child("port"), port.name().empty()
                                               ? "port name or number is required"
                                               : "cannot set both port name & port number");
  } else if (port.number() != 0) {
    if (auto faults = faultsOfPortNumber(port.number()); !faults.empty())
      errors.invalid(service.child("port.number"), port.number(), faults[0]);
  } else {
    errors.invalidEach(service.child("port.name"), port.name(), faultsOfPortName(port.name()));
  }
}

std::vector<Cause> validate(const Ingress& ingress) {
  constexpr std::string_view kTypes[] = {"Exact", "ImplementationSpecific", "Prefix"};
  FieldErrors errors;
  const auto& spec = ingress.spec();
  const FieldPath path("spec");
  if (spec.rules().empty() && !spec.has_defaultbackend()) {
    errors.invalid(path, "", "either `defaultBackend` or `rules` must be specified");
  }
  if (spec.has_defaultbackend())
    validateBackend(spec.defaultbackend(), path.child("defaultBackend"), errors);
  forEach(spec.rules(), path.child("rules"), [&](const auto& rule, const FieldPath& at) {
    if (!rule.host().empty()) {
      const std::string_view host = rule.host();
      errors.invalidEach(at.child("host"), host,
                         faultsOfDns1123Subdomain(host.starts_with("*.") ? host.substr(2) : host));
    }
    forEach(rule.ingressrulevalue().http().paths(), at.child("http").child("paths"),
            [&](const auto& each, const FieldPath& where) {
              errors.oneOf(where.child("pathType"), each.pathtype(), kTypes);
              const bool needsPath = each.pathtype() == "Exact" || each.pathtype() == "Prefix";
              if (needsPath && !each.path().starts_with('/'))
                errors.invalid(where.child("path"), each.path(), "must be an absolute path");
              validateBackend(each.backend(), where.child("backend"), errors);
            });
  });
  return errors.take();
}

std::string hostsCell(const Ingress& ingress) {
  std::vector<std::string> hosts;
  for (const auto& rule : ingress.spec().rules()) {
    const std::string host = rule.host().empty() ? "*" : rule.host();
    if (std::ranges::find(hosts, host) == hosts.end()) hosts.push_back(host);
  }
  return firstOf(hosts, "*");
}

std::string addressCell(const Ingress& ingress) {
  return joined(ingress.status().loadbalancer().ingress(),
                [](const auto& each) { return each.ip().empty() ? each.hostname() : each.ip(); });
}

std::vector<Cause> validateClass(const IngressClass& object) {
  FieldErrors errors;
  const FieldPath path("spec");
  const std::string& controller = object.spec().controller();
  if (controller.empty()) {
    errors.required(path.child("controller"));
  } else if (controller.find('/') == std::string::npos) {
    errors.invalid(path.child("controller"), controller,
                   "must be a domain-prefixed path (such as \"acme.io/foo\")");
  }
  return errors.take();
}

std::vector<Cause> validateClassUpdate(const IngressClass& now, const IngressClass& before) {
  FieldErrors errors;
  if (now.spec().controller() != before.spec().controller())
    errors.invalid(FieldPath("spec.controller"), now.spec().controller(), kImmutable);
  return errors.take();
}

}  // namespace

Kind ingressKind() {
  return {
      .group = "networking.k8s.io",
      .version = "v1",
      .kind = "Ingress",
      .plural = "ingresses",
      .singular = "ingress",
      .shortNames = {"ing"},
      .categories = {},
      .scope = Scope::kNamespaced,
      .prototype = &Ingress::default_instance(),
      .columns = {nameColumn(),
                  column<Ingress>("Class", 0,
                                  [](const Ingress& ingress) {
                                    const auto& spec = ingress.spec();
                                    return spec.has_ingressclassname() ? spec.ingressclassname()
                                                                       : std::string("<none>");
                                  }),
                  column<Ingress>("Hosts", 0, hostsCell),
                  column<Ingress>("Address", 0, addressCell),
                  column<Ingress>("Ports", 0,
                                  [](const Ingress& ingress) {
                                    return ingress.spec().tls().empty() ? "80" : "80, 443";
                                  }),
                  ageColumn()},
      .strategy = {.hasStatus = true,
                   .hasGeneration = true,
                   .prepareForCreate = writes<Ingress>(prepareForCreate),
                   .validate = reads<Ingress>(validate),
                   .warningsOf = [](const google::protobuf::Message&) -> std::vector<std::string> {
                     return {"spec: has no effect: no ingress controller is there"};
                   }},
  };
}

Kind ingressClassKind() {
  return {
      .group = "networking.k8s.io",
      .version = "v1",
      .kind = "IngressClass",
      .plural = "ingressclasses",
      .singular = "ingressclass",
      .shortNames = {},
      .categories = {},
      .scope = Scope::kCluster,
      .prototype = &IngressClass::default_instance(),
      .columns = {nameColumn(),
                  column<IngressClass>(
                      "Controller", 0,
                      [](const IngressClass& object) { return object.spec().controller(); }),
                  column<IngressClass>(
                      "Parameters", 0,
                      [](const IngressClass& object) {
                        const auto& parameters = object.spec().parameters();
                        if (parameters.name().empty()) return std::string("<none>");
                        return parameters.kind() +
                               (parameters.apigroup().empty() ? "" : "." + parameters.apigroup()) +
                               "/" + parameters.name();
                      }),
                  ageColumn()},
      .strategy = {.hasGeneration = true,
                   .validate = reads<IngressClass>(validateClass),
                   .validateUpdate = compares<IngressClass>(validateClassUpdate)},
  };
}

}  // namespace podlab::api
