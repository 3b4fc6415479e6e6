#include <algorithm>

#include "api/age.hpp"
#include "api/api.hpp"
#include "api/conditions.hpp"
#include "api/ephemeral_containers.hpp"
#include "api/int_or_percent.hpp"
#include "api/pod_resources.hpp"
#include "api/times.hpp"
#include "cli/describe_object.hpp"
#include "cli/executable.hpp"
#include "node/downward_api.hpp"

namespace podlab::cli {
namespace {

std::string boolText(bool value) {
  return value ? "True" : "False";
}

void addState(Description& out, const std::string& title, const corev1::ContainerState& state) {
  if (state.has_running()) {
    out.field(2, title, "Running");
    out.field(3, "Started", formatDate(state.running().startedat()));
  } else if (state.has_waiting()) {
    out.field(2, title, "Waiting");
    if (!state.waiting().reason().empty()) out.field(3, "Reason", state.waiting().reason());
  } else if (state.has_terminated()) {
    const auto& end = state.terminated();
    out.field(2, title, "Terminated");
    if (!end.reason().empty()) out.field(3, "Reason", end.reason());
    if (!end.message().empty()) out.field(3, "Message", end.message());
    out.field(3, "Exit Code", std::to_string(end.exitcode()));
    if (end.signal() > 0) out.field(3, "Signal", std::to_string(end.signal()));
    out.field(3, "Started", formatDate(end.startedat()));
    out.field(3, "Finished", formatDate(end.finishedat()));
  } else {
    out.field(2, title, "Waiting");
  }
}

std::string probeText(const corev1::Probe& probe) {
  const auto& handler = probe.handler();
  std::string what = "unknown";
  if (handler.has_exec()) {
    what = "exec [";
    for (const auto& word : handler.exec().command())
      what += (what.ends_with('[') ? "" : " ") + word;
    what += "]";
  } else if (handler.has_httpget()) {
    const auto& get = handler.httpget();
    std::string scheme = get.scheme();
    for (char& c : scheme) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const bool slash = get.path().starts_with('/');
    what = "http-get " + scheme + "://" + get.host() + ":" + api::textOf(get.port()) +
           (slash ? "" : "/") + get.path();
  } else if (handler.has_tcpsocket()) {
    what =
        "tcp-socket " + handler.tcpsocket().host() + ":" + api::textOf(handler.tcpsocket().port());
  } else if (handler.has_grpc()) {
    what = "grpc <pod>:" + std::to_string(handler.grpc().port()) + " " + handler.grpc().service();
  }
  return what + " delay=" + std::to_string(probe.initialdelayseconds()) +
         "s timeout=" + std::to_string(probe.timeoutseconds()) +
         "s period=" + std::to_string(probe.periodseconds()) +
         "s #success=" + std::to_string(probe.successthreshold()) +
         " #failure=" + std::to_string(probe.failurethreshold());
}

/// "Key:" with one value a line below, nothing for an empty list.
void addWords(Description& out, const char* title,
              const google::protobuf::RepeatedPtrField<std::string>& words) {
  if (words.empty()) return;
  out.line(2, {std::string(title) + ":"});
  for (const auto& word : words) {
    for (const auto& part : splitList(word, '\n')) out.line(3, {part});
  }
}

void addResources(Description& out, const char* title, const api::ResourceMap& resources) {
  if (resources.empty()) return;
  out.line(2, {std::string(title) + ":"});
  for (const auto& [name, amount] : sorted(resources)) out.field(3, name, amount.string());
}

/// What the downward API's field holds, where kubectl tells it.
std::string fieldValue(const metav1::ObjectMeta& meta, std::string_view path) {
  if (path == "metadata.name") return meta.name();
  return path == "metadata.namespace" ? meta.namespace_() : "";
}

/// A request or limit of the container in units of the reference's divisor.
std::string resourceValue(const corev1::Container& container,
                          const corev1::ResourceFieldSelector& reference) {
  corev1::Pod pod;
  *pod.mutable_spec()->add_containers() = container;
  const auto value = node::resourceFieldValue(pod, reference, container.name(), {});
  if (!value) return "";
  const bool isOfNode = *value == "0" && (reference.resource() == "limits.cpu" ||
                                          reference.resource() == "limits.memory");
  return isOfNode ? "node allocatable" : *value;
}

void addEnvironment(Description& out, const metav1::ObjectMeta& meta,
                    const corev1::Container& container) {
  if (!container.envfrom().empty()) {
    out.line(2, {"Environment Variables from:"});
    for (const auto& source : container.envfrom()) {
      const bool map = source.has_configmapref();
      const auto& name = map ? source.configmapref().localobjectreference().name()
                             : source.secretref().localobjectreference().name();
      const bool optional = map ? source.configmapref().optional() : source.secretref().optional();
      std::string kind = map ? "ConfigMap" : "Secret";
      if (!source.prefix().empty()) kind += " with prefix '" + source.prefix() + "'";
      out.line(3, {name, kind, "Optional: " + std::string(optional ? "true" : "false")});
    }
  }
  if (container.env().empty()) {
    out.field(2, "Environment", "<none>");
    return;
  }
  out.line(2, {"Environment:"});
  for (const auto& variable : container.env()) {
    const auto& from = variable.valuefrom();
    const auto keyed = [&](const auto& reference, const char* where) {
      out.line(3, {variable.name() + ":",
                   "<set to the key '" + reference.key() + where +
                       reference.localobjectreference().name() + "'>",
                   "Optional: " + std::string(reference.optional() ? "true" : "false")});
    };
    if (from.has_fieldref()) {
      out.field(3, variable.name(),
                fieldValue(meta, from.fieldref().fieldpath()) + " (" +
                    from.fieldref().apiversion() + ":" + from.fieldref().fieldpath() + ")");
    } else if (from.has_resourcefieldref()) {
      out.field(3, variable.name(),
                resourceValue(container, from.resourcefieldref()) + " (" +
                    from.resourcefieldref().resource() + ")");
    } else if (from.has_configmapkeyref()) {
      keyed(from.configmapkeyref(), "' of config map '");
    } else if (from.has_secretkeyref()) {
      keyed(from.secretkeyref(), "' in secret '");
    } else {
      out.field(3, variable.name(), variable.value());
    }
  }
}

void addMounts(Description& out, const corev1::Container& container) {
  if (container.volumemounts().empty()) {
    out.field(2, "Mounts", "<none>");
    return;
  }
  out.line(2, {"Mounts:"});
  std::vector<corev1::VolumeMount> mounts(container.volumemounts().begin(),
                                          container.volumemounts().end());
  std::sort(mounts.begin(), mounts.end(),
            [](const auto& a, const auto& b) { return a.mountpath() < b.mountpath(); });
  for (const auto& mount : mounts) {
    std::string flags = mount.readonly() ? "ro" : "rw";
    if (!mount.subpath().empty()) flags += ",path=\"" + mount.subpath() + "\"";
    out.line(3, {mount.mountpath() + " from " + mount.name() + " (" + flags + ")"});
  }
}

void addContainer(Description& out, const metav1::ObjectMeta& meta,
                  const corev1::Container& container, const corev1::ContainerStatus* status,
                  const std::string& indent) {
  out.line(1, {indent + container.name() + ":"});
  if (status) out.field(2, "Container ID", status->containerid());
  out.field(2, "Image", container.image());
  if (status) out.field(2, "Image ID", status->imageid());
  std::string ports, hostPorts;
  for (const auto& port : container.ports()) {
    const auto add = [&](std::string& list, std::int32_t number) {
      list += (list.empty() ? "" : ", ") + std::to_string(number) + "/" + port.protocol();
      if (!port.name().empty()) list += " (" + port.name() + ")";
    };
    add(ports, port.containerport());
    add(hostPorts, port.hostport());
  }
  const bool several = container.ports_size() > 1;
  out.field(2, several ? "Ports" : "Port", orNone(ports));
  out.field(2, several ? "Host Ports" : "Host Port", orNone(hostPorts));
  addWords(out, "Command", container.command());
  addWords(out, "Args", container.args());
  if (status) {
    addState(out, "State", status->state());
    if (status->laststate().has_terminated()) addState(out, "Last State", status->laststate());
    out.field(2, "Ready", boolText(status->ready()));
    out.field(2, "Restart Count", std::to_string(status->restartcount()));
  }
  addResources(out, "Limits", container.resources().limits());
  addResources(out, "Requests", container.resources().requests());
  if (container.has_livenessprobe()) out.field(2, "Liveness", probeText(container.livenessprobe()));
  if (container.has_readinessprobe())
    out.field(2, "Readiness", probeText(container.readinessprobe()));
  if (container.has_startupprobe()) out.field(2, "Startup", probeText(container.startupprobe()));
  addEnvironment(out, meta, container);
  addMounts(out, container);
}

using Containers = google::protobuf::RepeatedPtrField<corev1::Container>;

void addContainers(Description& out, const metav1::ObjectMeta& meta, const char* title,
                   const Containers& containers,
                   const google::protobuf::RepeatedPtrField<corev1::ContainerStatus>& statuses,
                   const std::string& indent = "") {
  if (containers.empty()) return;
  out.line(0, {title});
  for (const auto& container : containers) {
    const corev1::ContainerStatus* found = nullptr;
    for (const auto& status : statuses) {
      if (status.name() == container.name()) found = &status;
    }
    addContainer(out, meta, container, found, indent);
  }
}

/// The files of a downward API volume: what each holds, and its path.
void addItems(Description& out,
              const google::protobuf::RepeatedPtrField<corev1::DownwardAPIVolumeFile>& items) {
  for (const auto& item : items) {
    const std::string& what =
        item.has_fieldref() ? item.fieldref().fieldpath() : item.resourcefieldref().resource();
    out.line(3, {what + " -> " + item.path()});
  }
}

void addPart(Description& out, const corev1::VolumeProjection& part) {
  const auto optional = [](bool value) { return std::string(value ? "true" : "false"); };
  if (part.has_secret()) {
    out.field(2, "SecretName", part.secret().localobjectreference().name());
    out.field(2, "Optional", optional(part.secret().optional()));
  } else if (part.has_serviceaccounttoken()) {
    out.field(2, "TokenExpirationSeconds",
              std::to_string(part.serviceaccounttoken().expirationseconds()));
  } else if (part.has_downwardapi()) {
    out.field(2, "DownwardAPI", "true");
  } else if (part.has_configmap()) {
    out.field(2, "ConfigMapName", part.configmap().localobjectreference().name());
    out.field(2, "Optional", optional(part.configmap().optional()));
  }
}

void addVolume(Description& out, const corev1::Volume& volume, const std::string& indent = "") {
  out.line(1, {indent + volume.name() + ":"});
  const auto& source = volume.volumesource();
  const auto optional = [](bool value) { return std::string(value ? "true" : "false"); };
  if (source.has_emptydir()) {
    out.field(2, "Type", "EmptyDir (a temporary directory that shares a pod's lifetime)");
    out.field(2, "Medium", source.emptydir().medium());
    out.field(
        2, "SizeLimit",
        source.emptydir().has_sizelimit() ? source.emptydir().sizelimit().string() : "<unset>");
  } else if (source.has_hostpath()) {
    out.field(2, "Type", "HostPath (bare host directory volume)");
    out.field(2, "Path", source.hostpath().path());
    out.field(2, "HostPathType", source.hostpath().type());
  } else if (source.has_configmap()) {
    out.field(2, "Type", "ConfigMap (a volume populated by a ConfigMap)");
    out.field(2, "Name", source.configmap().localobjectreference().name());
    out.field(2, "Optional", optional(source.configmap().optional()));
  } else if (source.has_secret()) {
    out.field(2, "Type", "Secret (a volume populated by a Secret)");
    out.field(2, "SecretName", source.secret().secretname());
    out.field(2, "Optional", optional(source.secret().optional()));
  } else if (source.has_downwardapi()) {
    out.field(2, "Type", "DownwardAPI (a volume populated by information about the pod)");
    out.line(2, {"Items:"});
    addItems(out, source.downwardapi().items());
  } else if (source.has_projected()) {
    out.field(2, "Type", "Projected (a volume that contains injected data from multiple sources)");
    for (const auto& part : source.projected().sources()) addPart(out, part);
  } else if (source.has_persistentvolumeclaim()) {
    out.field(2, "Type",
              "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same "
              "namespace)");
    out.field(2, "ClaimName", source.persistentvolumeclaim().claimname());
    out.field(2, "ReadOnly", optional(source.persistentvolumeclaim().readonly()));
  } else {
    // The one field that is set tells the type.
    std::vector<const google::protobuf::FieldDescriptor*> set;
    source.GetReflection()->ListFields(source, &set);
    out.field(2, "Type", set.empty() ? "<unknown>" : set.front()->name());
  }
}

std::string tolerationText(const corev1::Toleration& toleration) {
  std::string text = toleration.key();
  if (!toleration.value().empty()) text += "=" + toleration.value();
  if (!toleration.effect().empty()) text += ":" + toleration.effect();
  if (toleration.operator_() == "Exists" && toleration.value().empty())
    text += text.empty() ? "op=Exists" : " op=Exists";
  if (toleration.has_tolerationseconds())
    text += " for " + std::to_string(toleration.tolerationseconds()) + "s";
  return text;
}

void addIdentity(Description& out, const corev1::Pod& pod, WallTime now) {
  const auto& spec = pod.spec();
  const auto& status = pod.status();
  out.field(0, "Name", pod.metadata().name());
  out.field(0, "Namespace", pod.metadata().namespace_());
  if (spec.has_priority()) out.field(0, "Priority", std::to_string(spec.priority()));
  if (!spec.priorityclassname().empty())
    out.field(0, "Priority Class Name", spec.priorityclassname());
  if (!spec.serviceaccountname().empty())
    out.field(0, "Service Account", spec.serviceaccountname());
  out.field(0, "Node",
            spec.nodename().empty() ? "<none>" : spec.nodename() + "/" + status.hostip());
  if (api::isSet(status.starttime())) out.field(0, "Start Time", formatDate(status.starttime()));
  out.pairs(0, "Labels", pod.metadata().labels());
  out.annotations(0, "Annotations", pod.metadata().annotations());
  if (api::isSet(pod.metadata().deletiontimestamp()) && !api::isFinished(pod)) {
    const auto since = now - api::toWallTime(pod.metadata().deletiontimestamp());
    out.field(
        0, "Status",
        since < Duration(0) ? "Terminating" : "Terminating (lasts " + api::formatAge(since) + ")");
    out.field(0, "Termination Grace Period",
              std::to_string(pod.metadata().deletiongraceperiodseconds()) + "s");
  } else {
    out.field(0, "Status", status.phase());
  }
  if (!status.reason().empty()) out.field(0, "Reason", status.reason());
  if (!status.message().empty()) out.field(0, "Message", status.message());
  out.field(0, "IP", status.podip());
  if (status.podips().empty()) {
    out.field(0, "IPs", "<none>");
  } else {
    out.line(0, {"IPs:"});
    for (const auto& ip : status.podips()) out.field(1, "IP", ip.ip());
  }
  for (const auto& owner : pod.metadata().ownerreferences()) {
    if (owner.controller()) out.field(0, "Controlled By", owner.kind() + "/" + owner.name());
  }
}

/// Of a pod, after its tolerations; of a template, before its node selector.
void addSpread(Description& out, int level, const corev1::PodSpec& spec) {
  std::vector<std::string> texts;
  for (const auto& one : spec.topologyspreadconstraints()) {
    texts.push_back(
        one.topologykey() + ":" + one.whenunsatisfiable() + " when max skew " +
        std::to_string(one.maxskew()) + " is exceeded" +
        (one.has_labelselector() ? " for selector " + selectorText(one.labelselector()) : ""));
  }
  std::ranges::sort(texts);
  if (!texts.empty()) out.field(level, "Topology Spread Constraints", joined(texts, "\n"));
}

void addPlaces(Description& out, int level, const corev1::PodSpec& spec) {
  out.pairs(level, "Node-Selectors", spec.nodeselector());
  std::multimap<std::string, std::string> byKey;
  for (const auto& toleration : spec.tolerations())
    byKey.emplace(toleration.key(), tolerationText(toleration));
  std::vector<std::string> tolerations;
  for (const auto& [key, text] : byKey) tolerations.push_back(text);
  out.field(level, "Tolerations", orNone(joined(tolerations, "\n")));
}

}  // namespace

void addPodTemplate(Description& out, const corev1::PodTemplateSpec& pod) {
  const auto& spec = pod.spec();
  out.line(0, {"Pod Template:"});
  out.pairs(1, "Labels", pod.metadata().labels());
  if (!pod.metadata().annotations().empty())
    out.annotations(1, "Annotations", pod.metadata().annotations());
  if (!spec.serviceaccountname().empty())
    out.field(1, "Service Account", spec.serviceaccountname());
  addContainers(out, pod.metadata(), "  Init Containers:", spec.initcontainers(), {}, " ");
  addContainers(out, pod.metadata(), "  Containers:", spec.containers(), {}, " ");
  if (spec.volumes().empty()) {
    out.field(1, "Volumes", "<none>");
  } else {
    out.line(1, {"Volumes:"});
    for (const auto& volume : spec.volumes()) addVolume(out, volume, " ");
  }
  addSpread(out, 1, spec);
  if (!spec.priorityclassname().empty())
    out.field(1, "Priority Class Name", spec.priorityclassname());
  addPlaces(out, 1, spec);
}

Description describePod(const corev1::Pod& pod, WallTime now) {
  const auto& spec = pod.spec();
  const auto& status = pod.status();
  Description out;
  addIdentity(out, pod, now);
  addContainers(out, pod.metadata(), "Init Containers:", spec.initcontainers(),
                status.initcontainerstatuses());
  addContainers(out, pod.metadata(), "Containers:", spec.containers(), status.containerstatuses());
  Containers ephemeral;
  for (const auto& container : spec.ephemeralcontainers())
    *ephemeral.Add() = api::containerOf(container);
  addContainers(out, pod.metadata(), "Ephemeral Containers:", ephemeral,
                status.ephemeralcontainerstatuses());
  if (!status.conditions().empty()) {
    out.line(0, {"Conditions:"});
    out.line(1, {"Type", "Status"});
    for (const auto& condition : status.conditions())
      out.line(1, {condition.type() + " ", condition.status() + " "});
  }
  if (spec.volumes().empty()) {
    out.field(0, "Volumes", "<none>");
  } else {
    out.line(0, {"Volumes:"});
    for (const auto& volume : spec.volumes()) addVolume(out, volume);
  }
  out.field(0, "QoS Class", status.qosclass().empty() ? api::qosClass(pod) : status.qosclass());
  addPlaces(out, 0, spec);
  addSpread(out, 0, spec);
  return out;
}

}  // namespace podlab::cli
