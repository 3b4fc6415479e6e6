#include "node/hosts_file.hpp"

#include <algorithm>
#include <iterator>
#include <ranges>
#include <string_view>
#include <utility>

namespace podlab::node {
namespace {

constexpr std::size_t kMaxHostname = 63;

/// The parts of resolv.conf(5) that pods may change.
struct Resolver {
  std::vector<std::string> nameservers;
  std::vector<std::string> searches;
  std::vector<std::string> options;
};

std::vector<std::string> wordsOf(std::string_view line) {
  constexpr std::string_view kBlanks = " \t\r\v\f";
  std::vector<std::string> words;
  for (auto at = line.find_first_not_of(kBlanks); at != std::string_view::npos;) {
    const auto end = std::min(line.find_first_of(kBlanks, at), line.size());
    words.emplace_back(line.substr(at, end - at));
    at = line.find_first_not_of(kBlanks, end);
  }
  return words;
}

Resolver parseResolvConf(std::string_view text) {
  Resolver resolver;
  for (const auto line : std::views::split(text, '\n')) {
    auto values = wordsOf({line.begin(), line.end()});
    if (values.empty()) continue;
    const std::string keyword = std::move(values.front());
    values.erase(values.begin());
    if (keyword == "nameserver") {
      std::ranges::move(values, std::back_inserter(resolver.nameservers));
    } else if (keyword == "search" || keyword == "domain") {
      resolver.searches = std::move(values);
    } else if (keyword == "options") {
      std::ranges::move(values, std::back_inserter(resolver.options));
    }
  }
  return resolver;
}

void appendLine(std::string& out, std::string_view keyword,
                const std::vector<std::string>& values) {
  if (values.empty()) return;
  out += keyword;
  for (const auto& value : values) out += " " + value;
  out += '\n';
}

}  // namespace

std::string podHostname(const corev1::Pod& pod, const std::string& nodeName) {
  if (pod.spec().hostnetwork()) return nodeName;
  std::string name = pod.spec().hostname().empty() ? pod.metadata().name() : pod.spec().hostname();
  if (name.size() > kMaxHostname) name.resize(kMaxHostname);
  while (name.ends_with('-') || name.ends_with('.')) name.pop_back();
  return name;
}

std::string hostsFile(const corev1::Pod& pod, const std::string& hostname,
                      const std::vector<std::string>& podIps, const std::string& hostFile,
                      const std::string& clusterDomain) {
  std::string out;
  if (pod.spec().hostnetwork()) {
    out = hostFile;
    if (!out.empty() && !out.ends_with('\n')) out += '\n';
  } else {
    out =
        "# Written by podlab when the pod starts.\n"
        "127.0.0.1\tlocalhost\n"
        "::1\tlocalhost ip6-localhost ip6-loopback\n"
        "fe00::0\tip6-localnet\n"
        "fe00::0\tip6-mcastprefix\n"
        "fe00::1\tip6-allnodes\n"
        "fe00::2\tip6-allrouters\n";
    std::string names = hostname;
    if (!pod.spec().subdomain().empty()) {
      names = hostname + "." + pod.spec().subdomain() + "." + pod.metadata().namespace_() +
              ".svc." + clusterDomain + "\t" + hostname;
    }
    for (const auto& ip : podIps) out += ip + "\t" + names + "\n";
  }
  if (pod.spec().hostaliases_size() > 0) out += "\n# spec.hostAliases\n";
  for (const auto& alias : pod.spec().hostaliases()) {
    out += alias.ip();
    for (const auto& name : alias.hostnames()) out += "\t" + name;
    out += '\n';
  }
  return out;
}

std::string resolvConf(const corev1::Pod& pod, const ClusterDns& dns, const std::string& hostFile) {
  const auto& policy = pod.spec().dnspolicy();
  bool cluster = !dns.nameservers.empty() &&
                 (policy == "ClusterFirstWithHostNet" ||
                  (policy != "Default" && policy != "None" && !pod.spec().hostnetwork()));
  Resolver resolver;
  if (policy != "None") resolver = parseResolvConf(hostFile);
  if (cluster) {
    resolver.nameservers = dns.nameservers;
    std::vector<std::string> searches{pod.metadata().namespace_() + ".svc." + dns.domain,
                                      "svc." + dns.domain, dns.domain};
    searches.insert(searches.end(), resolver.searches.begin(), resolver.searches.end());
    resolver.searches = std::move(searches);
    resolver.options = {"ndots:5"};
  }
  const auto& config = pod.spec().dnsconfig();
  resolver.nameservers.insert(resolver.nameservers.end(), config.nameservers().begin(),
                              config.nameservers().end());
  resolver.searches.insert(resolver.searches.end(), config.searches().begin(),
                           config.searches().end());
  for (const auto& option : config.options()) {
    std::erase_if(resolver.options, [&option](const std::string& existing) {
      return existing.substr(0, existing.find(':')) == option.name();
    });
    resolver.options.push_back(option.has_value() ? option.name() + ":" + option.value()
                                                  : option.name());
  }
  std::string out;
  for (const auto& server : resolver.nameservers) out += "nameserver " + server + "\n";
  appendLine(out, "search", resolver.searches);
  appendLine(out, "options", resolver.options);
  return out;
}

}  // namespace podlab::node
