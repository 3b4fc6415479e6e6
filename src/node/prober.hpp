#pragma once
#include <memory>
#include <string>
#include <vector>

#include "api/object.hpp"
#include "common/clock.hpp"
#include "common/co.hpp"
#include "node/container_runtime.hpp"
#include "node/pod_dialer.hpp"

namespace podlab::node {

/// The container that a probe is about.
struct ProbeTarget {
  std::string containerId;
  SandboxNamespaces namespaces;
  std::string podIp;
  std::vector<corev1::ContainerPort> ports;  ///< for ports given by name
};

struct ProbeOutcome {
  bool success = false;
  std::string output;  ///< what the program or server said, or why there is none
};

/// Runs one probe by exec, httpGet or tcpSocket, within its timeoutSeconds (kubelet pkg/probe: HTTP
/// succeeds with 200 to 399; redirects are not followed).
class Prober {
 public:
  Prober(Clock& clock, ContainerRuntime& runtime, PodDialer& dialer)
      : clock_(clock), runtime_(runtime), dialer_(dialer) {}

  Co<ProbeOutcome> probe(ProbeTarget target, corev1::Probe spec);

 private:
  Co<void> run(const ProbeTarget& target, const corev1::Probe& spec, ProbeOutcome& outcome);
  Co<ProbeOutcome> exec(const ProbeTarget& target, const corev1::ExecAction& action);
  Co<ProbeOutcome> tcp(const ProbeTarget& target, const corev1::TCPSocketAction& action);
  Co<ProbeOutcome> http(const ProbeTarget& target, const corev1::HTTPGetAction& action);

  Clock& clock_;
  ContainerRuntime& runtime_;
  PodDialer& dialer_;
};

/// The outcome of repeated probes by successThreshold and failureThreshold.
class ProbeResult {
 public:
  explicit ProbeResult(bool initial = false) : ready_(initial) {}
  bool ready() const { return ready_; }
  void add(bool success, const corev1::Probe& spec);

 private:
  bool ready_;
  bool last_ = false;
  int run_ = 0;  ///< equal outcomes in a row
};

}  // namespace podlab::node
