#pragma once
#include <string>
#include <vector>

#include "api/object.hpp"

namespace podlab::node {

/// The pod's host name: spec.hostname, else its name; at most 63 characters, as Linux and kubelet
/// have it. With hostNetwork the node's own.
std::string podHostname(const corev1::Pod& pod, const std::string& nodeName);

/// /etc/hosts of a pod: localhost, the pod's addresses under its names, and spec.hostAliases. With
/// hostNetwork `hostFile` (the node's own) takes the place of the former.
std::string hostsFile(const corev1::Pod& pod, const std::string& hostname,
                      const std::vector<std::string>& podIps, const std::string& hostFile,
                      const std::string& clusterDomain);

/// How names are resolved in the cluster; without `nameservers`, pods use the node's own
/// resolv.conf.
struct ClusterDns {
  std::vector<std::string> nameservers;
  std::string domain = "cluster.local";
};

/// /etc/resolv.conf of a pod by spec.dnsPolicy and spec.dnsConfig; `hostFile` is the node's own.
std::string resolvConf(const corev1::Pod& pod, const ClusterDns& dns, const std::string& hostFile);

}  // namespace podlab::node
