#include "api/kinds/rows.hpp"
#include "api/kinds/rules.hpp"
#include "api/kinds/service_parts.hpp"

namespace podlab::api {
namespace {

using corev1::Service;

constexpr std::int32_t kAffinitySeconds = 3 * 60 * 60;
constexpr std::size_t kMaxIngressCell = 16;

void applyPortDefaults(corev1::ServicePort& port) {
  if (port.protocol().empty()) port.set_protocol("TCP");
  auto& target = *port.mutable_targetport();
  if (target.intval() == 0 && target.strval().empty()) {
    target.set_type(0);
    target.set_intval(port.port());
  }
}

void applyDefaults(Service& service) {
  auto& spec = *service.mutable_spec();
  if (spec.type().empty()) spec.set_type("ClusterIP");
  if (spec.sessionaffinity().empty()) spec.set_sessionaffinity("None");
  if (spec.sessionaffinity() == "None") spec.clear_sessionaffinityconfig();
  if (spec.sessionaffinity() == "ClientIP") {
    auto& client = *spec.mutable_sessionaffinityconfig()->mutable_clientip();
    if (!client.has_timeoutseconds()) client.set_timeoutseconds(kAffinitySeconds);
  }
  for (auto& port : *spec.mutable_ports()) applyPortDefaults(port);
  if (hasClusterIp(service) && !spec.has_internaltrafficpolicy())
    spec.set_internaltrafficpolicy("Cluster");
  if (spec.type() == "LoadBalancer" && !spec.has_allocateloadbalancernodeports())
    spec.set_allocateloadbalancernodeports(true);
  const bool external = spec.type() == "NodePort" || spec.type() == "LoadBalancer";
  if (external && spec.externaltrafficpolicy().empty()) spec.set_externaltrafficpolicy("Cluster");
  service.mutable_status()->mutable_loadbalancer();
  // The first address stands also alone.
  if (!spec.clusterip().empty() && spec.clusterips().empty()) spec.add_clusterips(spec.clusterip());
  if (spec.clusterip().empty() && !spec.clusterips().empty())
    spec.set_clusterip(spec.clusterips(0));
}

void prepareForCreate(Service& service) {
  service.clear_status();
  service.mutable_status()->mutable_loadbalancer();
}

/// What the client left out of what the server had chosen stays (pkg/registry/core/service:
/// patchAllocatedValues); what goes with the old type goes (dropTypeDependentFields).
void prepareForUpdate(Service& now, const Service& before) {
  auto& spec = *now.mutable_spec();
  const auto& old = before.spec();
  const bool hadAddress = hasClusterIp(before);
  const std::string type = spec.type().empty() ? "ClusterIP" : spec.type();
  if (type == "ExternalName") {
    if (hadAddress && spec.clusterip() == old.clusterip()) {
      spec.clear_clusterip();
      spec.clear_clusterips();
      spec.clear_ipfamilies();
      spec.clear_ipfamilypolicy();
    }
  } else if (hadAddress && spec.clusterip().empty() && spec.clusterips().empty()) {
    spec.set_clusterip(old.clusterip());
    *spec.mutable_clusterips() = old.clusterips();
  }
  if (type != "ExternalName" && hadAddress) {
    if (spec.ipfamilies().empty()) *spec.mutable_ipfamilies() = old.ipfamilies();
    if (!spec.has_ipfamilypolicy() && old.has_ipfamilypolicy())
      spec.set_ipfamilypolicy(old.ipfamilypolicy());
  }
  const bool wants = type == "NodePort" || type == "LoadBalancer";
  for (auto& port : *spec.mutable_ports()) {
    for (const auto& other : old.ports()) {
      const bool same = port.port() == other.port() &&
                        (port.protocol().empty() || port.protocol() == other.protocol());
      if (!same) continue;
      if (wants && hasNodePorts(before) && port.nodeport() == 0)
        port.set_nodeport(other.nodeport());
      // A port of a node goes with the type, unless the client asks for another one.
      if (!wants && hasNodePorts(before) && port.nodeport() == other.nodeport())
        port.clear_nodeport();
    }
  }
  if (!wants && hasNodePorts(before) && spec.externaltrafficpolicy() == old.externaltrafficpolicy())
    spec.clear_externaltrafficpolicy();
  if (type != "LoadBalancer" && old.type() == "LoadBalancer") {
    spec.clear_allocateloadbalancernodeports();
    spec.clear_loadbalancerclass();
  }
}

std::vector<std::string> warningsOf(const Service& service) {
  std::vector<std::string> warnings;
  if (service.spec().type() == "ExternalName") {
    warnings.emplace_back("spec.externalName: has no effect: there is no cluster DNS");
  } else if (!isHeadless(service)) {
    warnings.emplace_back(
        "spec.clusterIP: has no effect: nothing forwards traffic to a Service's address: its pods "
        "are reached by their own addresses, which its EndpointSlices name");
  }
  return warnings;
}

std::string externalIpCell(const Service& service) {
  const auto& spec = service.spec();
  const auto same = [](const std::string& text) { return text; };
  std::string fixed = joined(spec.externalips(), same);
  if (spec.type() == "ExternalName") return spec.externalname();
  if (spec.type() != "LoadBalancer") return fixed.empty() ? "<none>" : fixed;
  std::string balanced = joined(service.status().loadbalancer().ingress(), [](const auto& ingress) {
    return ingress.ip().empty() ? ingress.hostname() : ingress.ip();
  });
  if (balanced.size() > kMaxIngressCell) balanced = balanced.substr(0, kMaxIngressCell - 3) + "...";
  if (!fixed.empty()) balanced += (balanced.empty() ? "" : ",") + fixed;
  return balanced.empty() ? "<pending>" : balanced;
}

std::string portsCell(const Service& service) {
  const std::string text = joined(service.spec().ports(), [](const auto& port) {
    const std::string node = port.nodeport() > 0 ? ":" + std::to_string(port.nodeport()) : "";
    return std::to_string(port.port()) + node + "/" + port.protocol();
  });
  return text.empty() ? "<none>" : text;
}

std::string selectorCell(const Service& service) {
  const auto& selector = service.spec().selector();
  const std::string text =
      joined(sortedKeys(selector), [&](const auto& key) { return key + "=" + selector.at(key); });
  return text.empty() ? "<none>" : text;
}

std::string clusterIpCell(const Service& service) {
  return service.spec().clusterips().empty() ? "<none>" : service.spec().clusterips(0);
}

}  // namespace

Kind serviceKind() {
  const auto text = [](std::string_view name, int priority, auto cell) {
    return column<Service>(name, priority, cell);
  };
  return {
      .group = "",
      .version = "v1",
      .kind = "Service",
      .plural = "services",
      .singular = "service",
      .shortNames = {"svc"},
      .categories = {"all"},
      .scope = Scope::kNamespaced,
      .prototype = &Service::default_instance(),
      .columns = {nameColumn(),
                  text("Type", 0, [](const Service& service) { return service.spec().type(); }),
                  text("Cluster-IP", 0, clusterIpCell), text("External-IP", 0, externalIpCell),
                  text("Port(s)", 0, portsCell), ageColumn(), text("Selector", 1, selectorCell)},
      .strategy = {.hasStatus = true,
                   .faultsOfName = faultsOfDns1035Label,
                   .applyDefaults = writes<Service>(applyDefaults),
                   .prepareForCreate = writes<Service>(prepareForCreate),
                   .prepareForUpdate =
                       [](google::protobuf::Message& now, const google::protobuf::Message& before) {
                         prepareForUpdate(static_cast<Service&>(now),
                                          static_cast<const Service&>(before));
                       },
                   .validate = reads<Service>(validateService),
                   .validateUpdate = compares<Service>(validateServiceUpdate),
                   .warningsOf = reads<Service>(warningsOf),
                   .fieldLabels = {{"spec.clusterIP", reads<Service>([](const Service& service) {
                                      return service.spec().clusterip();
                                    })},
                                   {"spec.type", reads<Service>([](const Service& service) {
                                      return service.spec().type();
                                    })}}},
  };
}

}  // namespace podlab::api
