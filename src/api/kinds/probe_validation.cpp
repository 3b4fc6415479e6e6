#include "api/kinds/pod_parts.hpp"
#include "api/names.hpp"

namespace podlab::api {
namespace {

void validatePort(const k8s::io::apimachinery::pkg::util::intstr::IntOrString& port,
                  const FieldPath& path, FieldErrors& errors) {
  if (port.type() == 0) {
    for (const std::string& fault : faultsOfPortNumber(port.intval())) {
      errors.invalid(path, port.intval(), fault);
    }
  } else {
    errors.invalidEach(path, port.strval(), faultsOfPortName(port.strval()));
  }
}

void validate(const corev1::ExecAction& exec, const FieldPath& path, FieldErrors& errors) {
  if (exec.command().empty()) errors.required(path.child("command"));
}

void validate(const corev1::HTTPGetAction& get, const FieldPath& path, FieldErrors& errors) {
  constexpr std::string_view kSchemes[] = {"HTTP", "HTTPS"};
  if (get.path().empty()) errors.required(path.child("path"));
  validatePort(get.port(), path.child("port"), errors);
  if (std::ranges::find(kSchemes, get.scheme()) == std::end(kSchemes)) {
    errors.notSupported(path.child("scheme"), get.scheme(), kSchemes);
  }
  for (const corev1::HTTPHeader& header : get.httpheaders()) {
    errors.invalidEach(path.child("httpHeaders"), header.name(),
                       faultsOfHttpHeaderName(header.name()));
  }
}

void validate(const corev1::TCPSocketAction& socket, const FieldPath& path, FieldErrors& errors) {
  validatePort(socket.port(), path.child("port"), errors);
}

void validate(const corev1::GRPCAction& grpc, const FieldPath& path, FieldErrors& errors) {
  for (const std::string& fault : faultsOfPortNumber(grpc.port())) {
    errors.invalid(path.child("port"), grpc.port(), fault);
  }
}

/// The handlers of a probe or hook: exactly one must be set.
class OneHandler {
 public:
  OneHandler(const FieldPath& path, FieldErrors& errors) : path_(path), errors_(errors) {}

  template <typename Action>
  void add(bool isSet, const Action& action, std::string_view name) {
    if (!isSet) return;
    if (found_) {
      errors_.forbidden(path_.child(name), "may not specify more than 1 handler type");
      return;
    }
    found_ = true;
    validate(action, path_.child(name), errors_);
  }
  void finish() {
    if (!found_) errors_.required(path_, "must specify a handler type");
  }

 private:
  const FieldPath& path_;
  FieldErrors& errors_;
  bool found_ = false;
};

void validate(const corev1::Probe& probe, const FieldPath& path, FieldErrors& errors) {
  const corev1::ProbeHandler& handler = probe.handler();
  OneHandler one(path, errors);
  one.add(handler.has_exec(), handler.exec(), "exec");
  one.add(handler.has_httpget(), handler.httpget(), "httpGet");
  one.add(handler.has_tcpsocket(), handler.tcpsocket(), "tcpSocket");
  one.add(handler.has_grpc(), handler.grpc(), "grpc");
  one.finish();
  errors.notNegative(path.child("initialDelaySeconds"), probe.initialdelayseconds());
  errors.notNegative(path.child("timeoutSeconds"), probe.timeoutseconds());
  errors.notNegative(path.child("periodSeconds"), probe.periodseconds());
  errors.notNegative(path.child("successThreshold"), probe.successthreshold());
  errors.notNegative(path.child("failureThreshold"), probe.failurethreshold());
  if (probe.has_terminationgraceperiodseconds() && probe.terminationgraceperiodseconds() <= 0) {
    errors.invalid(path.child("terminationGracePeriodSeconds"),
                   probe.terminationgraceperiodseconds(), "must be greater than 0");
  }
}

/// Liveness and startup need one success only.
void validateOnce(const corev1::Probe& probe, const FieldPath& path, FieldErrors& errors) {
  validate(probe, path, errors);
  if (probe.successthreshold() != 1) {
    errors.invalid(path.child("successThreshold"), probe.successthreshold(), "must be 1");
  }
}

/// A sleep, and how long it may be.
struct Sleep {
  std::int64_t seconds;
  std::int64_t most;
};

void validate(const Sleep& sleep, const FieldPath& path, FieldErrors& errors) {
  if (sleep.seconds >= 0 && sleep.seconds <= sleep.most) return;
  errors.invalid(path, sleep.seconds,
                 "must be non-negative and less than terminationGracePeriodSeconds (" +
                     std::to_string(sleep.most) + ")");
}

void validate(const corev1::LifecycleHandler& hook, std::int64_t graceSeconds,
              const FieldPath& path, FieldErrors& errors) {
  OneHandler one(path, errors);
  one.add(hook.has_exec(), hook.exec(), "exec");
  one.add(hook.has_httpget(), hook.httpget(), "httpGet");
  one.add(hook.has_tcpsocket(), hook.tcpsocket(), "tcpSocket");
  one.add(hook.has_sleep(), Sleep{hook.sleep().seconds(), graceSeconds}, "sleep");
  one.finish();
}

void validateStopSignal(const std::string& signal, const std::string& system, const FieldPath& path,
                        FieldErrors& errors) {
  constexpr std::string_view kWindows[] = {"SIGKILL", "SIGTERM"};
  // In the order in which upstream lists them.
  constexpr std::string_view kLinux[] = {
      "SIGABRT",     "SIGALRM",     "SIGBUS",      "SIGCHLD",     "SIGCLD",      "SIGCONT",
      "SIGFPE",      "SIGHUP",      "SIGILL",      "SIGINT",      "SIGIO",       "SIGIOT",
      "SIGKILL",     "SIGPIPE",     "SIGPOLL",     "SIGPROF",     "SIGPWR",      "SIGQUIT",
      "SIGRTMAX",    "SIGRTMAX-1",  "SIGRTMAX-10", "SIGRTMAX-11", "SIGRTMAX-12", "SIGRTMAX-13",
      "SIGRTMAX-14", "SIGRTMAX-2",  "SIGRTMAX-3",  "SIGRTMAX-4",  "SIGRTMAX-5",  "SIGRTMAX-6",
      "SIGRTMAX-7",  "SIGRTMAX-8",  "SIGRTMAX-9",  "SIGRTMIN",    "SIGRTMIN+1",  "SIGRTMIN+10",
      "SIGRTMIN+11", "SIGRTMIN+12", "SIGRTMIN+13", "SIGRTMIN+14", "SIGRTMIN+15", "SIGRTMIN+2",
      "SIGRTMIN+3",  "SIGRTMIN+4",  "SIGRTMIN+5",  "SIGRTMIN+6",  "SIGRTMIN+7",  "SIGRTMIN+8",
      "SIGRTMIN+9",  "SIGSEGV",     "SIGSTKFLT",   "SIGSTOP",     "SIGSYS",      "SIGTERM",
      "SIGTRAP",     "SIGTSTP",     "SIGTTIN",     "SIGTTOU",     "SIGURG",      "SIGUSR1",
      "SIGUSR2",     "SIGVTALRM",   "SIGWINCH",    "SIGXCPU",     "SIGXFSZ"};
  if (system.empty()) {
    errors.forbidden(path, "may not be set for containers with empty `spec.os.name`");
  } else if (system == "windows") {
    errors.oneOf(path, signal, kWindows);
  } else {
    errors.oneOf(path, signal, kLinux);
  }
}

}  // namespace

void validateProbes(const corev1::Container& container, const FieldPath& path,
                    FieldErrors& errors) {
  if (container.has_livenessprobe()) {
    validateOnce(container.livenessprobe(), path.child("livenessProbe"), errors);
  }
  if (container.has_readinessprobe()) {
    const FieldPath at = path.child("readinessProbe");
    validate(container.readinessprobe(), at, errors);
    if (container.readinessprobe().has_terminationgraceperiodseconds()) {
      errors.invalid(at.child("terminationGracePeriodSeconds"),
                     container.readinessprobe().terminationgraceperiodseconds(),
                     "must not be set for readinessProbes");
    }
  }
  if (container.has_startupprobe()) {
    validateOnce(container.startupprobe(), path.child("startupProbe"), errors);
  }
}

void validateLifecycle(const corev1::Lifecycle& lifecycle, const corev1::PodSpec& pod,
                       const FieldPath& path, FieldErrors& errors) {
  const std::int64_t graceSeconds = pod.terminationgraceperiodseconds();
  if (lifecycle.has_poststart()) {
    validate(lifecycle.poststart(), graceSeconds, path.child("postStart"), errors);
  }
  if (lifecycle.has_prestop()) {
    validate(lifecycle.prestop(), graceSeconds, path.child("preStop"), errors);
  }
  if (lifecycle.has_stopsignal()) {
    validateStopSignal(lifecycle.stopsignal(), pod.os().name(), path.child("stopSignal"), errors);
  }
}

}  // namespace podlab::api
