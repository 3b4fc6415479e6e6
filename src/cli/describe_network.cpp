#include "api/int_or_percent.hpp"
#include "api/times.hpp"
#include "cli/describe_object.hpp"

namespace podlab::cli {
namespace {

std::string hostPort(const std::string& host, std::int32_t port) {
  return (host.find(':') != std::string::npos ? "[" + host + "]" : host) + ":" +
         std::to_string(port);
}

void addPort(Description& out, const corev1::ServicePort& port,
             const Objects<discoveryv1::EndpointSlice>& slices) {
  const std::string name = orNone(port.name(), "<unset>");
  out.line(0, {"Port:", name, std::to_string(port.port()) + "/" + port.protocol()});
  out.field(0, "TargetPort", api::textOf(port.targetport()) + "/" + port.protocol());
  if (port.nodeport() != 0)
    out.line(0, {"NodePort:", name, std::to_string(port.nodeport()) + "/" + port.protocol()});
  out.field(0, "Endpoints", endpointsText(slices, port.name()));
}

template <typename Addresses>
std::string addressesText(const Addresses& addresses) {
  std::vector<std::string> ips;
  for (const auto& address : addresses) ips.push_back(address.ip());
  return orNone(joined(ips, ","));
}

std::string backendText(const networkingv1::IngressBackend& backend,
                        const std::map<std::string, Backend>& services) {
  if (!backend.has_service()) {
    const auto& other = backend.resource();
    return "APIGroup: " + other.apigroup() + ", Kind: " + other.kind() + ", Name: " + other.name();
  }
  const auto& port = backend.service().port();
  const std::string text = backend.service().name() + ":" +
                           (port.name().empty() ? std::to_string(port.number()) : port.name());
  const auto found = services.find(backend.service().name());
  if (found == services.end() || !found->second.service)
    return text + " (<error: " + (found == services.end() ? "" : found->second.error) + ">)";
  std::string name;
  for (const auto& one : found->second.service->spec().ports()) {
    if ((port.number() != 0 && port.number() == one.port()) ||
        (!port.name().empty() && port.name() == one.name()))
      name = one.name();
  }
  return text + " (" + endpointsText(found->second.slices, name) + ")";
}

void addPeer(Description& out, int level, const networkingv1::NetworkPolicyPeer& peer) {
  if (peer.has_namespaceselector())
    out.line(level, {"NamespaceSelector: " + selectorText(peer.namespaceselector())});
  if (peer.has_podselector()) out.line(level, {"PodSelector: " + selectorText(peer.podselector())});
  if (!peer.has_ipblock() || peer.has_namespaceselector() || peer.has_podselector()) return;
  out.line(level, {"IPBlock:"});
  out.line(level + 1, {"CIDR: " + peer.ipblock().cidr()});
  out.line(level + 1, {"Except: " + joined(peer.ipblock().except(), ", ")});
}

/// What a NetworkPolicy lets in or out.
struct Direction {
  const char* type;   ///< "ingress"
  const char* peers;  ///< "From"
  const char* end;    ///< "source"
};

template <typename Rules, typename PeersOf>
void addRules(Description& out, const Direction& direction, bool affected, const Rules& rules,
              PeersOf peersOf) {
  const std::string type = direction.type;
  if (!affected) {
    out.line(1, {"Not affecting " + type + " traffic"});
    return;
  }
  out.line(1, {"Allowing " + type + " traffic:"});
  if (rules.empty())
    out.line(2, {"<none> (Selected pods are isolated for " + type + " connectivity)"});
  bool first = true;
  for (const auto& rule : rules) {
    if (!std::exchange(first, false)) out.line(2, {"----------"});
    if (rule.ports().empty()) out.line(2, {"To Port: <any> (traffic allowed to all ports)"});
    for (const auto& port : rule.ports()) {
      const std::string number = port.has_port() ? api::textOf(port.port()) : "<any>";
      out.line(2, {"To Port: " + number +
                   (port.has_endport() ? "-" + std::to_string(port.endport()) : "") + "/" +
                   orNone(port.protocol(), "TCP")});
    }
    const std::string peers = direction.peers;
    if (peersOf(rule).empty())
      out.line(2, {peers + ": <any> (traffic not restricted by " + direction.end + ")"});
    for (const auto& peer : peersOf(rule)) {
      out.line(2, {peers + ":"});
      addPeer(out, 3, peer);
    }
  }
}

}  // namespace

std::string endpointsText(const Objects<discoveryv1::EndpointSlice>& slices,
                          const std::string& port) {
  if (slices.empty()) return "<none>";
  constexpr std::size_t kShown = 3;
  std::vector<std::string> all;
  const auto add = [&](const discoveryv1::EndpointSlice& slice, const auto& textOf) {
    for (const auto& endpoint : slice.endpoints()) {
      if (!endpoint.conditions().has_ready() || endpoint.conditions().ready())
        all.push_back(textOf(endpoint.addresses(0)));
    }
  };
  for (const auto& slice : slices) {
    if (slice->ports().empty()) add(*slice, [](const std::string& address) { return address; });
    for (const auto& one : slice->ports()) {
      if (one.name() == port)
        add(*slice, [&](const std::string& address) { return hostPort(address, one.port()); });
    }
  }
  if (all.size() <= kShown) return joined(all, ",");
  const std::string more = std::to_string(all.size() - kShown);
  all.resize(kShown);
  return joined(all, ",") + " + " + more + " more...";
}

Description describeService(const corev1::Service& service,
                            const Objects<discoveryv1::EndpointSlice>& slices) {
  const auto& spec = service.spec();
  Description out;
  out.identity(service.metadata(), true);
  out.field(0, "Selector", pairsText(spec.selector()));
  out.field(0, "Type", spec.type());
  if (spec.has_ipfamilypolicy()) out.field(0, "IP Family Policy", spec.ipfamilypolicy());
  out.field(0, "IP Families", orNone(joined(spec.ipfamilies(), ",")));
  out.field(0, "IP", spec.clusterip());
  out.field(0, "IPs", orNone(joined(spec.clusterips(), ",")));
  if (!spec.externalips().empty()) out.field(0, "External IPs", joined(spec.externalips(), ","));
  if (!spec.loadbalancerip().empty())
    out.field(0, "Desired LoadBalancer IP", spec.loadbalancerip());
  if (!spec.externalname().empty()) out.field(0, "External Name", spec.externalname());
  for (const auto& port : spec.ports()) addPort(out, port, slices);
  out.field(0, "Session Affinity", spec.sessionaffinity());
  if (!spec.externaltrafficpolicy().empty())
    out.field(0, "External Traffic Policy", spec.externaltrafficpolicy());
  if (spec.has_internaltrafficpolicy())
    out.field(0, "Internal Traffic Policy", spec.internaltrafficpolicy());
  if (spec.healthchecknodeport() != 0)
    out.field(0, "HealthCheck NodePort", std::to_string(spec.healthchecknodeport()));
  if (!spec.loadbalancersourceranges().empty())
    out.field(0, "LoadBalancer Source Ranges", joined(spec.loadbalancersourceranges(), ","));
  return out;
}

Description describeEndpoints(const corev1::Endpoints& endpoints) {
  Description out;
  out.identity(endpoints.metadata(), true);
  out.line(0, {"Subsets:"});
  for (const auto& subset : endpoints.subsets()) {
    out.field(1, "Addresses", addressesText(subset.addresses()));
    out.field(1, "NotReadyAddresses", addressesText(subset.notreadyaddresses()));
    if (!subset.ports().empty()) {
      out.line(1, {"Ports:"});
      out.header(2, {"Name", "Port", "Protocol"});
      for (const auto& port : subset.ports()) {
        out.line(2, {orNone(port.name(), "<unset>"), std::to_string(port.port()), port.protocol()});
      }
    }
    out.blank();
  }
  return out;
}

Description describeSlice(const discoveryv1::EndpointSlice& slice) {
  Description out;
  out.identity(slice.metadata(), true);
  out.field(0, "AddressType", slice.addresstype());
  if (slice.ports().empty()) {
    out.line(0, {"Ports: <unset>"});
  } else {
    out.line(0, {"Ports:"});
    out.header(1, {"Name", "Port", "Protocol"});
    for (const auto& port : slice.ports())
      out.line(1, {orNone(port.name(), "<unset>"), orUnset(port.has_port(), port.port()),
                   port.protocol()});
  }
  if (slice.endpoints().empty()) {
    out.line(0, {"Endpoints: <none>"});
    return out;
  }
  out.line(0, {"Endpoints:"});
  for (const auto& endpoint : slice.endpoints()) {
    out.field(1, "- Addresses", joined(endpoint.addresses(), ", "));
    out.line(2, {"Conditions:"});
    const auto& conditions = endpoint.conditions();
    out.field(3, "Ready",
              !conditions.has_ready() ? "<unset>" : (conditions.ready() ? "true" : "false"));
    out.field(2, "Hostname", endpoint.has_hostname() ? endpoint.hostname() : "<unset>");
    if (endpoint.has_targetref())
      out.field(2, "TargetRef", endpoint.targetref().kind() + "/" + endpoint.targetref().name());
    out.field(2, "NodeName", endpoint.has_nodename() ? endpoint.nodename() : "<unset>");
    out.field(2, "Zone", endpoint.has_zone() ? endpoint.zone() : "<unset>");
  }
  return out;
}

Description describeIngress(const networkingv1::Ingress& ingress,
                            const std::map<std::string, Backend>& services) {
  const auto& spec = ingress.spec();
  Description out;
  out.field(0, "Name", ingress.metadata().name());
  out.pairs(0, "Labels", ingress.metadata().labels());
  out.field(0, "Namespace", ingress.metadata().namespace_());
  std::vector<std::string> addresses;
  for (const auto& one : ingress.status().loadbalancer().ingress())
    addresses.push_back(one.ip().empty() ? one.hostname() : one.ip());
  out.field(0, "Address", joined(addresses, ","));
  out.field(0, "Ingress Class", spec.has_ingressclassname() ? spec.ingressclassname() : "<none>");
  const std::string standard =
      spec.has_defaultbackend() ? backendText(spec.defaultbackend(), services) : "<default>";
  out.field(0, "Default backend", standard);
  if (!spec.tls().empty()) out.line(0, {"TLS:"});
  for (const auto& tls : spec.tls()) {
    const std::string hosts = joined(tls.hosts(), ",");
    out.line(1, {tls.secretname().empty() ? "SNI routes " + hosts
                                          : tls.secretname() + " terminates " + hosts});
  }
  out.line(0, {"Rules:"});
  out.header(1, {"Host", "Path", "Backends"});
  bool any = false;
  for (const auto& rule : spec.rules()) {
    if (!rule.ingressrulevalue().has_http()) continue;
    any = true;
    out.line(1, {orNone(rule.host(), "*"), ""});
    for (const auto& path : rule.ingressrulevalue().http().paths())
      out.line(2, {"", path.path() + " ", backendText(path.backend(), services)});
  }
  if (!any) out.line(1, {"*", "*", standard});
  out.annotations(0, "Annotations", ingress.metadata().annotations());
  return out;
}

Description describeIngressClass(const networkingv1::IngressClass& object) {
  Description out;
  out.identity(object.metadata(), false);
  out.field(0, "Controller", object.spec().controller());
  if (object.spec().has_parameters()) {
    const auto& parameters = object.spec().parameters();
    out.line(0, {"Parameters:"});
    if (parameters.has_apigroup()) out.field(1, "APIGroup", parameters.apigroup());
    out.field(1, "Kind", parameters.kind());
    out.field(1, "Name", parameters.name());
  }
  return out;
}

Description describeNetworkPolicy(const networkingv1::NetworkPolicy& policy) {
  const auto& spec = policy.spec();
  Description out;
  out.field(0, "Name", policy.metadata().name());
  out.field(0, "Namespace", policy.metadata().namespace_());
  // As Go writes a time.
  const auto& created = policy.metadata().creationtimestamp();
  std::string time = api::isSet(created) ? formatTime(api::toWallTime(created)) : "<unset>";
  if (time.size() > 19) time = time.substr(0, 10) + " " + time.substr(11, 8) + " +0000 UTC";
  out.field(0, "Created on", time);
  out.pairs(0, "Labels", policy.metadata().labels());
  out.annotations(0, "Annotations", policy.metadata().annotations());
  out.line(0, {"Spec:"});
  const auto& selector = spec.podselector();
  out.line(1, {"PodSelector:     " +
               (selector.matchlabels().empty() && selector.matchexpressions().empty()
                    ? "<none> (Allowing the specific traffic to all pods in this namespace)"
                    : selectorText(selector))});
  const auto affects = [&](const char* type) {
    return std::ranges::find(spec.policytypes(), type) != spec.policytypes().end();
  };
  addRules(out, {"ingress", "From", "source"}, affects("Ingress"), spec.ingress(),
           [](const auto& rule) -> const auto& { return rule.from(); });
  addRules(out, {"egress", "To", "destination"}, affects("Egress"), spec.egress(),
           [](const auto& rule) -> const auto& { return rule.to(); });
  out.line(1, {"Policy Types: " + joined(spec.policytypes(), ", ")});
  return out;
}

}  // namespace podlab::cli
