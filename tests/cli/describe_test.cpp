#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "cli/describe_object.hpp"
#include "common/time.hpp"

namespace podlab::cli {
namespace {

const WallTime kNow = *parseTime("2026-01-02T03:04:05Z");

template <typename T>
T fromText(const std::string& text) {
  T message;
  EXPECT_TRUE(google::protobuf::TextFormat::MergeFromString(text, &message)) << text;
  return message;
}

/// A protobuf Time, `seconds` before kNow.
std::string ago(int seconds) {
  return "seconds: " + std::to_string(kNow.time_since_epoch() / std::chrono::seconds(1) - seconds);
}

Events oneEvent() {
  return {std::make_shared<corev1::Event>(fromText<corev1::Event>(
      "metadata { name: 'e' } type: 'Normal' reason: 'Started' message: 'Started it\\n' count: 3 "
      "source { component: 'podlab' host: 'node1' } firstTimestamp { " +
      ago(120) + " } lastTimestamp { " + ago(5) + " }"))};
}

/// With the section of its events.
std::string with(Description description, const Events& events) {
  description.events(events, kNow);
  return description.text();
}

/// Compares with tests/cli/golden/NAME.
void expectGolden(const std::string& text, const std::string& name) {
  std::ifstream in(PODLAB_SOURCE_DIR "/tests/cli/golden/" + name);
  const std::string golden(std::istreambuf_iterator<char>(in), {});
  EXPECT_EQ(text, golden) << name;
}

TEST(Describe, Pod) {
  const auto pod = fromText<corev1::Pod>(R"(
      metadata { name: "web" namespace: "demo"
        labels { key: "app" value: "web" } labels { key: "tier" value: "front" } }
      spec {
        nodeName: "node1" priority: 0
        nodeSelector { key: "disk" value: "ssd" }
        tolerations { key: "dedicated" operator: "Equal" value: "web" effect: "NoSchedule" }
        tolerations { key: "node.kubernetes.io/not-ready" operator: "Exists" effect: "NoExecute"
                      tolerationSeconds: 300 }
        volumes { name: "site" volumeSource { emptyDir { medium: "Memory" } } }
        initContainers { name: "prepare" image: "host" command: "true" }
        containers {
          name: "server" image: "host" command: "perl" command: "-e" args: "one\ntwo"
          ports { name: "http" containerPort: 8080 protocol: "TCP" }
          env { name: "COLOR" value: "blue" }
          env { name: "POD" valueFrom { fieldRef { apiVersion: "v1" fieldPath: "metadata.name" } } }
          env { name: "APP" valueFrom { fieldRef { apiVersion: "v1" fieldPath: "metadata.labels['app']" } } }
          env { name: "POD_IP" valueFrom { fieldRef { apiVersion: "v1" fieldPath: "status.podIP" } } }
          resources { requests { key: "cpu" value { string: "100m" } } }
          readinessProbe { handler { httpGet { path: "/" port { type: 1 strVal: "http" } scheme: "HTTP" } }
                           timeoutSeconds: 1 periodSeconds: 10 successThreshold: 1 failureThreshold: 3 }
          volumeMounts { name: "site" mountPath: "/site" readOnly: true }
          volumeMounts { name: "site" mountPath: "/data" subPath: "d" }
        }
      }
      status {
        phase: "Running" hostIP: "172.29.0.11" podIP: "10.244.0.2" podIPs { ip: "10.244.0.2" }
        qosClass: "Burstable"
        conditions { type: "Initialized" status: "True" }
        conditions { type: "Ready" status: "False" }
        initContainerStatuses { name: "prepare" ready: true containerID: "podlab://a" imageID: "host"
          state { terminated { reason: "Completed" exitCode: 0 startedAt { )" +
                                         ago(60) + R"( } finishedAt { )" + ago(59) + R"( } } } }
        containerStatuses { name: "server" ready: false restartCount: 1 containerID: "podlab://b" imageID: "host"
          state { waiting { reason: "CrashLoopBackOff" message: "back-off 10s" } }
          lastState { terminated { reason: "Error" exitCode: 137 signal: 9 startedAt { )" +
                                         ago(58) + R"( } finishedAt { )" + ago(50) + R"( } } } }
        startTime { )" + ago(61) + " } }");
  expectGolden(with(describePod(pod, kNow), oneEvent()), "pod.txt");
}

TEST(Describe, VolumesOfAPod) {
  const auto pod = fromText<corev1::Pod>(R"(metadata { name: "web" namespace: "demo" } spec {
      volumes { name: "config" volumeSource { configMap { localObjectReference { name: "c" } } } }
      volumes { name: "pod" volumeSource { downwardAPI {
        items { path: "labels" fieldRef { fieldPath: "metadata.labels" } }
        items { path: "cpu" resourceFieldRef { resource: "limits.cpu" } } } } }
      volumes { name: "all" volumeSource { projected {
        sources { secret { localObjectReference { name: "s" } optional: true } }
        sources { configMap { localObjectReference { name: "c" } } }
        sources { downwardAPI { } } } } }
      volumes { name: "data" volumeSource { persistentVolumeClaim { claimName: "disk" } } } })");
  const std::string text = describePod(pod, kNow).text();
  const auto begin = text.find("Volumes:");
  EXPECT_EQ(text.substr(begin, text.find("QoS Class:") - begin),
            "Volumes:\n"
            "  config:\n"
            "    Type:      ConfigMap (a volume populated by a ConfigMap)\n"
            "    Name:      c\n"
            "    Optional:  false\n"
            "  pod:\n"
            "    Type:  DownwardAPI (a volume populated by information about the pod)\n"
            "    Items:\n"
            "      metadata.labels -> labels\n"
            "      limits.cpu -> cpu\n"
            "  all:\n"
            "    Type:           Projected (a volume that contains injected data from multiple "
            "sources)\n"
            "    SecretName:     s\n"
            "    Optional:       true\n"
            "    ConfigMapName:  c\n"
            "    Optional:       false\n"
            "    DownwardAPI:    true\n"
            "  data:\n"
            "    Type:        PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the "
            "same namespace)\n"
            "    ClaimName:   disk\n"
            "    ReadOnly:    false\n");
}

TEST(Describe, ClaimsVolumesAndClasses) {
  const auto claim = fromText<corev1::PersistentVolumeClaim>(R"(
      metadata { name: "disk" namespace: "demo" finalizers: "kubernetes.io/pvc-protection" }
      spec { storageClassName: "local" volumeName: "pv" volumeMode: "Filesystem" }
      status { phase: "Bound" accessModes: "ReadWriteOnce"
               capacity { key: "storage" value { string: "1Gi" } } })");
  EXPECT_EQ(with(describeClaim(claim, {"web", "other"}), {}),
            "Name:          disk\n"
            "Namespace:     demo\n"
            "StorageClass:  local\n"
            "Status:        Bound\n"
            "Volume:        pv\n"
            "Labels:        <none>\n"
            "Annotations:   <none>\n"
            "Finalizers:    [kubernetes.io/pvc-protection]\n"
            "Capacity:      1Gi\n"
            "Access Modes:  RWO\n"
            "VolumeMode:    Filesystem\n"
            "Used By:       web\n"
            "               other\n"
            "Events:        <none>\n");
  const auto volume = fromText<corev1::PersistentVolume>(R"(metadata { name: "pv" } spec {
      storageClassName: "local" persistentVolumeReclaimPolicy: "Delete" volumeMode: "Filesystem"
      accessModes: "ReadWriteOnce" capacity { key: "storage" value { string: "1Gi" } }
      claimRef { namespace: "demo" name: "disk" }
      nodeAffinity { required { nodeSelectorTerms { matchExpressions {
        key: "podlab.io/volumes" operator: "In" values: "a" values: "b" } } } }
      persistentVolumeSource { hostPath { path: "/x" type: "DirectoryOrCreate" } } }
      status { phase: "Bound" })");
  const std::string text = describeVolume(volume).text();
  EXPECT_NE(text.find("Node Affinity:     \n"
                      "  Required Terms:  \n"
                      "    Term 0:        podlab.io/volumes in [a, b]\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("Source:\n"
                      "    Type:          HostPath (bare host directory volume)\n"
                      "    Path:          /x\n"
                      "    HostPathType:  DirectoryOrCreate\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("Claim:             demo/disk\n"), std::string::npos) << text;
  const auto local = fromText<storagev1::StorageClass>(R"(metadata { name: "local" annotations {
      key: "storageclass.kubernetes.io/is-default-class" value: "true" } }
      provisioner: "podlab.io/local" reclaimPolicy: "Delete" volumeBindingMode: "Immediate")");
  EXPECT_EQ(with(describeClass(local), {}),
            "Name:                  local\n"
            "IsDefaultClass:        Yes\n"
            "Annotations:           storageclass.kubernetes.io/is-default-class=true\n"
            "Provisioner:           podlab.io/local\n"
            "Parameters:            <none>\n"
            "AllowVolumeExpansion:  <unset>\n"
            "MountOptions:          <none>\n"
            "ReclaimPolicy:         Delete\n"
            "VolumeBindingMode:     Immediate\n"
            "Events:                <none>\n");
}

TEST(Describe, PodThatWasNotScheduled) {
  const auto pod = fromText<corev1::Pod>(R"(
      metadata { name: "p" namespace: "default" }
      spec { containers { name: "c" image: "host" } }
      status { phase: "Pending" })");
  expectGolden(with(describePod(pod, kNow), {}), "pod-pending.txt");
}

TEST(Describe, Node) {
  const auto node =
      fromText<corev1::Node>(R"(
      metadata { name: "node1" labels { key: "kubernetes.io/hostname" value: "node1" }
                 labels { key: "node-role.kubernetes.io/worker" value: "" }
                 creationTimestamp { )" +
                             ago(3600) + R"( } }
      spec { podCIDR: "10.244.0.0/24" podCIDRs: "10.244.0.0/24"
             taints { key: "dedicated" value: "web" effect: "NoSchedule" } }
      status {
        capacity { key: "cpu" value { string: "2" } } capacity { key: "memory" value { string: "4Gi" } }
        allocatable { key: "cpu" value { string: "2" } } allocatable { key: "memory" value { string: "4Gi" } }
        conditions { type: "Ready" status: "True" reason: "AgentReady" message: "the agent is ready"
                     lastHeartbeatTime { )" +
                             ago(3) + R"( } lastTransitionTime { )" + ago(3599) + R"( } }
        addresses { type: "InternalIP" address: "172.29.0.11" }
        addresses { type: "Hostname" address: "node1" }
        nodeInfo { machineID: "m" kernelVersion: "6.1.0" operatingSystem: "linux" architecture: "amd64" }
      })");
  const auto pod = [](const std::string& name, const std::string& phase) {
    return std::make_shared<corev1::Pod>(fromText<corev1::Pod>(
        "metadata { name: '" + name + "' namespace: 'demo' creationTimestamp { " + ago(90) +
        " } } spec { containers { name: 'c' resources { requests { key: 'cpu' value { string: "
        "'500m' } } requests { key: 'memory' value { string: '1Gi' } } limits { key: 'cpu' value { "
        "string: '1' } } } } } status { phase: '" +
        phase + "' }"));
  };
  const auto lease = fromText<coordinationv1::Lease>("spec { holderIdentity: 'node1' renewTime { " +
                                                     ago(2) + " } }");
  expectGolden(
      with(describeNode(node, {pod("a", "Running"), pod("b", "Running"), pod("c", "Succeeded")},
                        &lease, kNow),
           {}),
      "node.txt");
}

TEST(Describe, Namespace) {
  EXPECT_EQ(describeNamespace(
                fromText<corev1::Namespace>("metadata { name: 'demo' } status { phase: 'Active' }"),
                {}, {})
                .text(),
            "Name:         demo\n"
            "Labels:       <none>\n"
            "Annotations:  <none>\n"
            "Status:       Active\n"
            "\nNo resource quota.\n"
            "\nNo LimitRange resource.\n");
}

TEST(Describe, ConfigMap) {
  const auto map = fromText<corev1::ConfigMap>(
      "metadata { name: 'm' namespace: 'n' } data { key: 'b' value: 'two\\nlines' } "
      "data { key: 'a' value: '1' } binaryData { key: 'c' value: '\\001\\002' }");
  EXPECT_EQ(with(describeConfigMap(map), {}),
            "Name:         m\n"
            "Namespace:    n\n"
            "Labels:       <none>\n"
            "Annotations:  <none>\n"
            "\n"
            "Data\n====\n"
            "a:\n----\n1\n\n"
            "b:\n----\ntwo\nlines\n\n"
            "\n"
            "BinaryData\n====\n"
            "c: 2 bytes\n"
            "\n"
            "Events:  <none>\n");
}

TEST(Describe, SecretsKeepTheirValues) {
  const auto secret = fromText<corev1::Secret>(
      "metadata { name: 's' namespace: 'n' } type: 'Opaque' data { key: 'password' value: 'hidden' "
      "}");
  const std::string text = describeSecret(secret).text();
  EXPECT_EQ(text.find("hidden"), std::string::npos);
  EXPECT_NE(text.find("password:  6 bytes\n"), std::string::npos) << text;
}

TEST(Describe, OtherKindsWithAllFields) {
  const auto lease = fromText<coordinationv1::Lease>(
      "metadata { name: 'l' namespace: 'n' uid: 'u' } "
      "spec { holderIdentity: 'me' leaseDurationSeconds: 15 }");
  EXPECT_EQ(with(describeObject(api::kindFor<coordinationv1::Lease>(), lease), {}),
            "Name:         l\n"
            "Namespace:    n\n"
            "Labels:       <none>\n"
            "Annotations:  <none>\n"
            "API Version:  coordination.k8s.io/v1\n"
            "Kind:         Lease\n"
            "Metadata:\n"
            "  UID:  u\n"
            "Spec:\n"
            "  Holder Identity:         me\n"
            "  Lease Duration Seconds:  15\n"
            "Events:                    <none>\n");
}

TEST(Describe, LongAnnotationsStandBelowTheirKeys) {
  corev1::Namespace ns;
  auto& annotations = *ns.mutable_metadata()->mutable_annotations();
  annotations["long"] = std::string(150, 'x');
  annotations["several"] = "one\ntwo\n";
  annotations["short"] = "s";
  annotations["kubectl.kubernetes.io/last-applied-configuration"] = "{}";
  Description out;
  out.annotations(0, "Annotations", ns.metadata().annotations());
  EXPECT_EQ(out.text(),
            "Annotations:  long:\n"
            "                " +
                std::string(138, 'x') +
                "...\n"
                "              several:\n"
                "                one\n"
                "                two\n"
                "              short: s\n");
}

TEST(Describe, RulesAreOfOneResourceEach) {
  rbacv1::Role role;
  auto& rule = *role.add_rules();
  for (const char* group : {"", "apps"}) rule.add_apigroups(group);
  for (const char* resource : {"pods/log", "deployments"}) rule.add_resources(resource);
  for (const char* verb : {"get", "list"}) rule.add_verbs(verb);
  auto& again = *role.add_rules();
  again.add_apigroups("");
  again.add_resources("deployments");
  again.add_verbs("watch");
  const std::string text = describeRole(role).text();
  EXPECT_NE(text.find("  deployments       []                 []              [get list watch]\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("  pods.apps/log     []                 []              [get list]\n"),
            std::string::npos)
      << text;
}

TEST(Describe, EndpointsAreCutShort) {
  auto slice = std::make_shared<discoveryv1::EndpointSlice>();
  auto& port = *slice->add_ports();
  port.set_name("http");
  port.set_port(80);
  for (int i = 1; i <= 5; ++i) slice->add_endpoints()->add_addresses("10.0.0." + std::to_string(i));
  slice->mutable_endpoints(1)->mutable_conditions()->set_ready(false);
  EXPECT_EQ(endpointsText({slice}, "http"), "10.0.0.1:80,10.0.0.3:80,10.0.0.4:80 + 1 more...");
  EXPECT_EQ(endpointsText({slice}, "other"), "");
  EXPECT_EQ(endpointsText({}, "http"), "<none>");
}

TEST(Describe, ColumnsEndWhereLinesHaveNoSuchCell) {
  Description out;
  out.line(0, {"a:", "1"});
  out.line(0, {"long name:", "2"});
  out.line(0, {"title"});
  out.line(1, {"b:", "3"});
  EXPECT_EQ(out.text(), "a:          1\nlong name:  2\ntitle\n  b:  3\n");
}

}  // namespace
}  // namespace podlab::cli
