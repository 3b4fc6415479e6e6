#include "api/ephemeral_containers.hpp"
#include "api/kinds/pod_parts.hpp"

namespace podlab::api {
namespace {

constexpr std::int64_t kGraceSeconds = 30;
constexpr std::int64_t kEvictionSeconds = 300;
constexpr std::int64_t kTokenSeconds = 3600;
constexpr std::int32_t kFileMode = 0644;

/// Always for "latest" and for an image with neither tag nor digest, else IfNotPresent.
std::string_view pullPolicyOf(std::string_view image) {
  const std::string_view name = image.substr(0, image.find('@'));
  const std::size_t slash = name.rfind('/');
  const std::size_t colon = name.find(':', slash == std::string_view::npos ? 0 : slash);
  const std::string_view tag =
      colon == std::string_view::npos ? std::string_view() : name.substr(colon + 1);
  const bool hasDigest = name.size() != image.size();
  return tag == "latest" || (tag.empty() && !hasDigest) ? "Always" : "IfNotPresent";
}

void applyDefaults(corev1::HTTPGetAction& get) {
  if (get.path().empty()) get.set_path("/");
  if (get.scheme().empty()) get.set_scheme("HTTP");
}

void applyDefaults(corev1::Probe& probe) {
  if (probe.timeoutseconds() == 0) probe.set_timeoutseconds(1);
  if (probe.periodseconds() == 0) probe.set_periodseconds(10);
  if (probe.successthreshold() == 0) probe.set_successthreshold(1);
  if (probe.failurethreshold() == 0) probe.set_failurethreshold(3);
  if (probe.handler().has_httpget()) applyDefaults(*probe.mutable_handler()->mutable_httpget());
}

void applyDefaults(corev1::ResourceRequirements& resources) {
  canonicalize(*resources.mutable_limits());
  for (const auto& [name, limit] : resources.limits()) {
    resources.mutable_requests()->insert({name, limit});
  }
  canonicalize(*resources.mutable_requests());
}

void applyDefaults(corev1::Container& container, bool hostNetwork) {
  if (container.imagepullpolicy().empty()) {
    container.set_imagepullpolicy(std::string(pullPolicyOf(container.image())));
  }
  if (container.terminationmessagepath().empty()) {
    container.set_terminationmessagepath("/dev/termination-log");
  }
  if (container.terminationmessagepolicy().empty()) container.set_terminationmessagepolicy("File");
  applyDefaults(*container.mutable_resources());
  for (corev1::ContainerPort& port : *container.mutable_ports()) {
    if (port.protocol().empty()) port.set_protocol("TCP");
    if (hostNetwork && port.hostport() == 0) port.set_hostport(port.containerport());
  }
  for (corev1::EnvVar& variable : *container.mutable_env()) {
    if (!variable.valuefrom().has_fieldref()) continue;
    corev1::ObjectFieldSelector& field = *variable.mutable_valuefrom()->mutable_fieldref();
    if (field.apiversion().empty()) field.set_apiversion("v1");
  }
  if (container.has_livenessprobe()) applyDefaults(*container.mutable_livenessprobe());
  if (container.has_readinessprobe()) applyDefaults(*container.mutable_readinessprobe());
  if (container.has_startupprobe()) applyDefaults(*container.mutable_startupprobe());
  if (container.lifecycle().poststart().has_httpget()) {
    applyDefaults(*container.mutable_lifecycle()->mutable_poststart()->mutable_httpget());
  }
  if (container.lifecycle().prestop().has_httpget()) {
    applyDefaults(*container.mutable_lifecycle()->mutable_prestop()->mutable_httpget());
  }
}

template <typename Items>
void applyFieldVersions(Items& items) {
  for (auto& item : items) {
    if (item.has_fieldref() && item.fieldref().apiversion().empty()) {
      item.mutable_fieldref()->set_apiversion("v1");
    }
  }
}

void applyDefaults(corev1::Volume& volume) {
  corev1::VolumeSource& source = *volume.mutable_volumesource();
  const auto defaultMode = [](auto& files) {
    if (!files.has_defaultmode()) files.set_defaultmode(kFileMode);
  };
  if (source.has_secret()) defaultMode(*source.mutable_secret());
  if (source.has_configmap()) defaultMode(*source.mutable_configmap());
  if (source.has_downwardapi()) {
    defaultMode(*source.mutable_downwardapi());
    applyFieldVersions(*source.mutable_downwardapi()->mutable_items());
  }
  if (source.has_projected()) {
    defaultMode(*source.mutable_projected());
    for (corev1::VolumeProjection& part : *source.mutable_projected()->mutable_sources()) {
      if (part.has_serviceaccounttoken() && !part.serviceaccounttoken().has_expirationseconds())
        part.mutable_serviceaccounttoken()->set_expirationseconds(kTokenSeconds);
      if (part.has_downwardapi()) applyFieldVersions(*part.mutable_downwardapi()->mutable_items());
    }
  }
  if (source.has_hostpath() && !source.hostpath().has_type()) {
    source.mutable_hostpath()->set_type("");
  }
  std::vector<const google::protobuf::FieldDescriptor*> set;
  source.GetReflection()->ListFields(source, &set);
  if (set.empty()) source.mutable_emptydir();
}

/// A pod stays for five minutes on a node that became unready or unreachable, unless it says
/// otherwise.
void addEvictionTolerations(corev1::PodSpec& spec) {
  for (const std::string_view key : {kTaintNotReady, kTaintUnreachable}) {
    const bool says = std::ranges::any_of(spec.tolerations(), [&](const auto& toleration) {
      return (toleration.key() == key || toleration.key().empty()) &&
             (toleration.effect() == kNoExecute || toleration.effect().empty());
    });
    if (says) continue;
    corev1::Toleration& added = *spec.add_tolerations();
    added.set_key(std::string(key));
    added.set_operator_("Exists");
    added.set_effect(std::string(kNoExecute));
    added.set_tolerationseconds(kEvictionSeconds);
  }
}

/// What templates of pods do not get.
void applyPodOnlyDefaults(corev1::PodSpec& spec) {
  if (spec.serviceaccountname().empty()) spec.set_serviceaccountname("default");
  spec.set_serviceaccount(spec.serviceaccountname());
  if (!spec.has_enableservicelinks()) spec.set_enableservicelinks(true);
  addEvictionTolerations(spec);
}
/// The first address stands also alone: podIP and podIPs[0], hostIP and hostIPs[0].
void applyDefaults(corev1::PodStatus& status) {
  if (status.podips().empty() && !status.podip().empty()) {
    status.add_podips()->set_ip(status.podip());
  }
  if (status.podip().empty() && !status.podips().empty()) status.set_podip(status.podips(0).ip());
  if (status.hostips().empty() && !status.hostip().empty()) {
    status.add_hostips()->set_ip(status.hostip());
  }
  if (status.hostip().empty() && !status.hostips().empty()) {
    status.set_hostip(status.hostips(0).ip());
  }
}

}  // namespace

void applyPodSpecDefaults(corev1::PodSpec& spec) {
  if (spec.restartpolicy().empty()) spec.set_restartpolicy("Always");
  if (!spec.has_terminationgraceperiodseconds()) {
    spec.set_terminationgraceperiodseconds(kGraceSeconds);
  }
  if (spec.dnspolicy().empty()) spec.set_dnspolicy("ClusterFirst");
  if (spec.schedulername().empty()) spec.set_schedulername("default-scheduler");
  // Each name of the account stands for the other.
  if (spec.serviceaccountname().empty()) spec.set_serviceaccountname(spec.serviceaccount());
  if (!spec.serviceaccountname().empty()) spec.set_serviceaccount(spec.serviceaccountname());
  spec.mutable_securitycontext();
  canonicalize(*spec.mutable_overhead());
  for (corev1::Container& container : *spec.mutable_containers()) {
    applyDefaults(container, spec.hostnetwork());
  }
  for (corev1::Container& container : *spec.mutable_initcontainers()) {
    applyDefaults(container, spec.hostnetwork());
  }
  for (corev1::EphemeralContainer& added : *spec.mutable_ephemeralcontainers()) {
    corev1::Container container = containerOf(added);
    applyDefaults(container, false);
    added.mutable_ephemeralcontainercommon()->ParseFromString(container.SerializeAsString());
  }
  for (corev1::Volume& volume : *spec.mutable_volumes()) applyDefaults(volume);
}

void applyPodDefaults(corev1::Pod& pod) {
  applyPodSpecDefaults(*pod.mutable_spec());
  applyPodOnlyDefaults(*pod.mutable_spec());
  if (pod.has_status()) applyDefaults(*pod.mutable_status());
}

}  // namespace podlab::api
