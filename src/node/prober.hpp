#pragma once
#include <memory>
#include <string>
#include <vector>

#include "api/object.hpp"
#include "common/clock.hpp"
#include "common/co.hpp"
#include "node/container_runtime.hpp"
#include "node/http_message.hpp"
#include "node/pod_dialer.hpp"
#include "transport/tls.hpp"

namespace podlab::node {

/// The container that a probe or hook is about.
struct ProbeTarget {
  std::string containerId;
  SandboxNamespaces namespaces;
  std::string podIp;
  std::vector<corev1::ContainerPort> ports;  ///< for ports given by name
};

/// Where an httpGet of the container goes; kInvalid names a port that is none of its own.
Result<HttpTarget> httpTarget(const ProbeTarget& target, const corev1::HTTPGetAction& action);

enum class ProbeVerdict {
  kSuccess,
  kWarning,  ///< a success that is worth an event
  kFailure,
  kUnknown,  ///< the probe itself could not run: it says nothing about the container
};

struct ProbeOutcome {
  ProbeVerdict verdict = ProbeVerdict::kFailure;
  std::string output;  ///< what the program or server said, or why there is none
};

/// Runs probes with kubelet's rules and words (pkg/probe). Connections are made from inside the
/// pod's network namespace; HTTPS takes any certificate.
class Prober {
 public:
  Prober(Clock& clock, ContainerRuntime& runtime, PodDialer& dialer);

  /// One probe by exec, httpGet, tcpSocket or grpc, within its timeoutSeconds. One that cannot run
  /// is tried three times.
  Co<ProbeOutcome> probe(ProbeTarget target, corev1::Probe spec);

  /// Runs a command in the container, without a time limit.
  Co<ProbeOutcome> exec(ProbeTarget target, corev1::ExecAction action);
  /// The reply to a GET request; redirects are followed on the same host. Without a time limit.
  Co<Result<HttpReply>> get(ProbeTarget target, corev1::HTTPGetAction action);

 private:
  Co<void> run(const ProbeTarget& target, const corev1::Probe& spec, ProbeOutcome& outcome);
  Co<ProbeOutcome> http(const ProbeTarget& target, const corev1::HTTPGetAction& action);
  Co<ProbeOutcome> tcp(const ProbeTarget& target, const corev1::TCPSocketAction& action);
  Co<ProbeOutcome> grpc(const ProbeTarget& target, const corev1::GRPCAction& action,
                        int timeoutSeconds);
  /// kInvalid when `host` is no address.
  Co<Result<std::unique_ptr<ByteStream>>> dial(const ProbeTarget& target, std::string host,
                                               std::uint16_t port);
  Co<Result<HttpReply>> getOnce(const ProbeTarget& target, const HttpTarget& at,
                                const corev1::HTTPGetAction& action, bool keepHost);

  Clock& clock_;
  ContainerRuntime& runtime_;
  PodDialer& dialer_;
  std::shared_ptr<transport::TlsContext> tls_;
};

}  // namespace podlab::node
