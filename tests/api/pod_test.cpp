#include <gtest/gtest.h>

#include "api/kinds.hpp"
#include "api/validation.hpp"
#include "tests/api/objects.hpp"

namespace podlab::api {
namespace {

using corev1::Pod;

const Strategy& strategy() {
  return kindFor<Pod>().strategy;
}

TEST(PodDefaults, AreThoseOfKubernetes) {
  const Pod pod = makePod(R"(
      spec {
        containers { name: "d" image: "reg:5000/x" ports { containerPort: 80 }
          env { name: "IP" valueFrom { fieldRef { fieldPath: "status.podIP" } } }
          readinessProbe { handler { httpGet { port { type: 0 intVal: 80 } } } }
          resources { limits { key: "cpu" value { string: "1000m" } }
                      limits { key: "memory" value { string: "1024Mi" } }
                      requests { key: "cpu" value { string: "0.1" } } } }
        volumes { name: "scratch" }
        volumes { name: "cfg" volumeSource { configMap { localObjectReference { name: "c" } } } }
        volumes { name: "host" volumeSource { hostPath { path: "/x" } } }
      })");
  const corev1::PodSpec& spec = pod.spec();
  EXPECT_EQ(spec.restartpolicy(), "Always");
  EXPECT_EQ(spec.terminationgraceperiodseconds(), 30);
  EXPECT_EQ(spec.dnspolicy(), "ClusterFirst");
  EXPECT_EQ(spec.schedulername(), "default-scheduler");
  EXPECT_EQ(spec.serviceaccountname(), "default");
  EXPECT_EQ(spec.serviceaccount(), "default");
  EXPECT_TRUE(spec.enableservicelinks());
  EXPECT_TRUE(spec.has_securitycontext());
  ASSERT_EQ(spec.tolerations_size(), 2);
  EXPECT_EQ(spec.tolerations(0).key(), "node.kubernetes.io/not-ready");
  EXPECT_EQ(spec.tolerations(1).key(), "node.kubernetes.io/unreachable");
  EXPECT_EQ(spec.tolerations(1).tolerationseconds(), 300);

  EXPECT_EQ(spec.containers(0).imagepullpolicy(), "IfNotPresent");
  EXPECT_TRUE(spec.containers(0).has_resources());
  const corev1::Container& container = spec.containers(1);
  EXPECT_EQ(container.imagepullpolicy(), "Always");
  EXPECT_EQ(container.terminationmessagepath(), "/dev/termination-log");
  EXPECT_EQ(container.terminationmessagepolicy(), "File");
  EXPECT_EQ(container.ports(0).protocol(), "TCP");
  EXPECT_EQ(container.ports(0).hostport(), 0);
  EXPECT_EQ(container.env(0).valuefrom().fieldref().apiversion(), "v1");
  const corev1::Probe& probe = container.readinessprobe();
  EXPECT_EQ(probe.timeoutseconds(), 1);
  EXPECT_EQ(probe.periodseconds(), 10);
  EXPECT_EQ(probe.successthreshold(), 1);
  EXPECT_EQ(probe.failurethreshold(), 3);
  EXPECT_EQ(probe.handler().httpget().path(), "/");
  EXPECT_EQ(probe.handler().httpget().scheme(), "HTTP");
  // A request follows its limit unless it is given, and both are canonical.
  EXPECT_EQ(container.resources().limits().at("cpu").string(), "1");
  EXPECT_EQ(container.resources().requests().at("cpu").string(), "100m");
  EXPECT_EQ(container.resources().requests().at("memory").string(), "1Gi");

  EXPECT_TRUE(spec.volumes(0).volumesource().has_emptydir());
  EXPECT_EQ(spec.volumes(1).volumesource().configmap().defaultmode(), 420);
  EXPECT_TRUE(spec.volumes(2).volumesource().hostpath().has_type());
}

TEST(PodDefaults, AppliedTwiceChangeNothing) {
  const Pod once = makePod(R"(spec { hostNetwork: true
      containers { name: "d" image: "a" ports { containerPort: 80 } } })");
  Pod twice = once;
  strategy().applyDefaults(twice);
  EXPECT_EQ(once.SerializeAsString().size(), twice.SerializeAsString().size());
  EXPECT_EQ(once.DebugString(), twice.DebugString());
  EXPECT_EQ(once.spec().containers(1).ports(0).hostport(), 80);
}

TEST(PodDefaults, OwnTolerationsStay) {
  EXPECT_EQ(makePod(R"(spec { tolerations { operator: "Exists" } })").spec().tolerations_size(), 1);
  EXPECT_EQ(makePod(R"(spec { tolerations { key: "node.kubernetes.io/not-ready" operator: "Exists"
                              effect: "NoExecute" tolerationSeconds: 5 } })")
                .spec()
                .tolerations_size(),
            2);
}

TEST(PodDefaults, PullPolicyFollowsTheTag) {
  const std::pair<const char*, const char*> kCases[] = {{"a", "Always"},
                                                        {"a:latest", "Always"},
                                                        {"a:1", "IfNotPresent"},
                                                        {"r:5000/a", "Always"},
                                                        {"r:5000/a:1", "IfNotPresent"},
                                                        {"a@sha256:00", "IfNotPresent"},
                                                        {"a:latest@sha256:00", "Always"}};
  for (const auto& [image, policy] : kCases) {
    Pod pod;
    pod.mutable_spec()->add_containers()->set_image(image);
    strategy().applyDefaults(pod);
    EXPECT_EQ(pod.spec().containers(0).imagepullpolicy(), policy) << image;
  }
}

TEST(Pod, StartsPendingWithItsClass) {
  Pod pod = makePod(R"(status { phase: "Running" podIP: "1.2.3.4" })");
  EXPECT_EQ(pod.status().podips(0).ip(), "1.2.3.4");
  strategy().prepareForCreate(pod);
  EXPECT_EQ(pod.status().phase(), "Pending");
  EXPECT_EQ(pod.status().qosclass(), "BestEffort");
  EXPECT_TRUE(pod.status().podip().empty());
}

TEST(Pod, GraceIsForPodsThatRun) {
  EXPECT_EQ(strategy().deletionGraceSeconds(makePod()), 0);
  EXPECT_EQ(strategy().deletionGraceSeconds(makePod(R"(spec { nodeName: "a" })")), 30);
  EXPECT_EQ(strategy().deletionGraceSeconds(
                makePod(R"(spec { nodeName: "a" } status { phase: "Failed" })")),
            0);
  EXPECT_EQ(strategy().deletionGraceSeconds(
                makePod(R"(spec { nodeName: "a" terminationGracePeriodSeconds: -1 })")),
            1);
}

TEST(PodValidation, AcceptsWhatPeopleWrite) {
  const Pod pod = makePod(R"(
      metadata { labels { key: "app" value: "x" } annotations { key: "a/B" value: "any thing" }
                 finalizers: "podlab.io/x" }
      spec {
        hostname: "web" shareProcessNamespace: true nodeSelector { key: "a" value: "b" }
        initContainers { name: "i" image: "a:1" command: "true"
                         ports { containerPort: 1 hostPort: 9 } }
        containers { name: "d" image: "b:1"
          ports { name: "http" containerPort: 80 hostPort: 9 }
          ports { containerPort: 53 protocol: "UDP" }
          env { name: "A" value: "1" }
          env { name: "L" valueFrom { fieldRef { fieldPath: "metadata.labels['app']" } } }
          readinessProbe { handler { tcpSocket { port { type: 1 strVal: "http" } } } }
          volumeMounts { name: "v" mountPath: "/v" } }
        volumes { name: "v" volumeSource { emptyDir { medium: "Memory" } } }
        tolerations { key: "k" operator: "Equal" value: "v" effect: "NoSchedule" }
      })");
  EXPECT_EQ(validateCreate(pod).toString(), "OK");
}

struct Mistake {
  const char* more;  ///< merged into the small pod
  const char* error;
};

TEST(PodValidation, NamesEachMistakeAsKubernetesDoes) {
  constexpr const char* kLabel =
      "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
      "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "
      "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
  const std::string badName =
      std::string("spec.containers[1].name: Invalid value: \"A_b\": ") + kLabel;
  const Mistake kMistakes[] = {
      {R"(spec { containers { image: "a" } })", "spec.containers[1].name: Required value"},
      {R"(spec { containers { name: "A_b" image: "a" } })", badName.c_str()},
      {R"(spec { containers { name: "c" image: "a" } })",
       "spec.containers[1].name: Duplicate value: \"c\""},
      {R"(spec { initContainers { name: "c" image: "a" } })",
       "spec.initContainers[0].name: Duplicate value: \"c\""},
      {R"(spec { containers { name: "d" } })", "spec.containers[1].image: Required value"},
      {R"(spec { containers { name: "d" image: " a" } })",
       "spec.containers[1].image: Invalid value: \" a\": must not have leading or trailing "
       "whitespace"},
      {R"(spec { containers { name: "d" image: "a" imagePullPolicy: "Maybe" } })",
       "spec.containers[1].imagePullPolicy: Unsupported value: \"Maybe\": supported values: "
       "\"Always\", \"IfNotPresent\", \"Never\""},
      {R"(spec { containers { name: "d" image: "a" restartPolicy: "Always" } })",
       "spec.containers[1].restartPolicy: Forbidden: may not be set for non-init containers"},
      {R"(spec { containers { name: "d" image: "a" ports { } } })",
       "spec.containers[1].ports[0].containerPort: Required value"},
      {R"(spec { containers { name: "d" image: "a" ports { containerPort: 65536 } } })",
       "spec.containers[1].ports[0].containerPort: Invalid value: 65536: must be between 1 and "
       "65535, inclusive"},
      {R"(spec { containers { name: "d" image: "a" ports { containerPort: 1 hostPort: -1 } } })",
       "spec.containers[1].ports[0].hostPort: Invalid value: -1: must be between 1 and 65535, "
       "inclusive"},
      {R"(spec { containers { name: "d" image: "a" ports { containerPort: 1 protocol: "tcp" } } })",
       "spec.containers[1].ports[0].protocol: Unsupported value: \"tcp\": supported values: "
       "\"SCTP\", \"TCP\", \"UDP\""},
      {R"(spec { containers { name: "d" image: "a" ports { name: "p" containerPort: 1 }
                                                   ports { name: "p" containerPort: 2 } } })",
       "spec.containers[1].ports[1].name: Duplicate value: \"p\""},
      {R"(spec { containers { name: "d" image: "a" ports { name: "12" containerPort: 1 } } })",
       "spec.containers[1].ports[0].name: Invalid value: \"12\": must contain at least one letter "
       "(a-z)"},
      {R"(spec { containers { name: "d" image: "a" ports { containerPort: 1 hostPort: 5 } }
                 containers { name: "e" image: "a" ports { containerPort: 2 hostPort: 5 } } })",
       "spec.containers[2].ports[0].hostPort: Duplicate value: \"TCP//5\""},
      {R"(spec { containers { name: "d" image: "a" ports { containerPort: 1 hostIP: "x" } } })",
       "spec.containers[1].ports[0].hostIP: Invalid value: \"x\": must be a valid IP address, "
       "(e.g. 10.9.8.7 or 2001:db8::ffff)"},
      {R"(spec { hostNetwork: true
                 containers { name: "d" image: "a" ports { containerPort: 1 hostPort: 2 } } })",
       "spec.containers[1].ports[0].hostPort: Invalid value: 2: must match `containerPort` when "
       "`hostNetwork` is true"},
      {R"(spec { containers { name: "d" image: "a" env { value: "x" } } })",
       "spec.containers[1].env[0].name: Required value"},
      {R"(spec { containers { name: "d" image: "a" env { name: "a=b" } } })",
       "spec.containers[1].env[0].name: Invalid value: \"a=b\": a valid environment variable name "
       "must consist only of printable ASCII characters other than '='"},
      {R"(spec { containers { name: "d" image: "a" env { name: "a" valueFrom { } } } })",
       "spec.containers[1].env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, "
       "`resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"},
      {R"(spec { containers { name: "d" image: "a" env { name: "a" value: "b"
                 valueFrom { fieldRef { fieldPath: "metadata.name" } } } } })",
       "spec.containers[1].env[0].valueFrom: Invalid value: \"\": may not be specified when "
       "`value` is not empty"},
      {R"(spec { containers { name: "d" image: "a" env { name: "a"
                 valueFrom { fieldRef { fieldPath: "spec.hostname" } } } } })",
       "spec.containers[1].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "
       "\"spec.hostname\": supported values: \"metadata.name\", \"metadata.namespace\", "
       "\"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", "
       "\"status.hostIPs\", \"status.podIP\", \"status.podIPs\""},
      {R"(spec { containers { name: "d" image: "a" readinessProbe { } } })",
       "spec.containers[1].readinessProbe: Required value: must specify a handler type"},
      {R"(spec { containers { name: "d" image: "a" readinessProbe { periodSeconds: -1
                 handler { exec { command: "x" } } } } })",
       "spec.containers[1].readinessProbe.periodSeconds: Invalid value: -1: must be greater than "
       "or equal to 0"},
      {R"(spec { containers { name: "d" image: "a" readinessProbe {
                 handler { exec { command: "x" } tcpSocket { port { intVal: 1 } } } } } })",
       "spec.containers[1].readinessProbe.tcpSocket: Forbidden: may not specify more than 1 "
       "handler type"},
      {R"(spec { containers { name: "d" image: "a" readinessProbe { handler { exec { } } } } })",
       "spec.containers[1].readinessProbe.exec.command: Required value"},
      {R"(spec { containers { name: "d" image: "a" readinessProbe {
                 handler { httpGet { port { intVal: 0 } } } } } })",
       "spec.containers[1].readinessProbe.httpGet.port: Invalid value: 0: must be between 1 and "
       "65535, inclusive"},
      {R"(spec { containers { name: "d" image: "a" livenessProbe { successThreshold: 2
                 handler { exec { command: "x" } } } } })",
       "spec.containers[1].livenessProbe.successThreshold: Invalid value: 2: must be 1"},
      {R"(spec { initContainers { name: "d" image: "a"
                 readinessProbe { handler { exec { command: "x" } } } } })",
       "spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers "
       "without restartPolicy=Always"},
      {R"(spec { volumes { volumeSource { emptyDir { } } } })",
       "spec.volumes[0].name: Required value"},
      {R"(spec { volumes { name: "v" } volumes { name: "v" } })",
       "spec.volumes[1].name: Duplicate value: \"v\""},
      {R"(spec { volumes { name: "v" volumeSource { emptyDir { } hostPath { path: "/" } } } })",
       "spec.volumes[0].emptyDir: Forbidden: may not specify more than 1 volume type"},
      {R"(spec { volumes { name: "v" volumeSource { emptyDir { medium: "Tape" } } } })",
       "spec.volumes[0].emptyDir.medium: Unsupported value: \"Tape\": supported values: "
       "\"Memory\", \"HugePages\""},
      {R"(spec { volumes { name: "v" volumeSource { configMap { } } } })",
       "spec.volumes[0].configMap.name: Required value"},
      {R"(spec { containers { name: "d" image: "a" volumeMounts { name: "v" mountPath: "/" } } })",
       "spec.containers[1].volumeMounts[0].name: Not found: \"v\""},
      {R"(spec { volumes { name: "v" } containers { name: "d" image: "a"
                 volumeMounts { name: "v" } } })",
       "spec.containers[1].volumeMounts[0].mountPath: Required value"},
      {R"(spec { volumes { name: "v" } containers { name: "d" image: "a"
                 volumeMounts { name: "v" mountPath: "x" } } })",
       "spec.containers[1].volumeMounts[0].mountPath: Invalid value: \"x\": must be an absolute "
       "path"},
      {R"(spec { volumes { name: "v" } containers { name: "d" image: "a"
                 volumeMounts { name: "v" mountPath: "/x" }
                 volumeMounts { name: "v" mountPath: "/x" } } })",
       "spec.containers[1].volumeMounts[1].mountPath: Invalid value: \"/x\": must be unique"},
      {R"(spec { containers { name: "d" image: "a"
                 resources { requests { key: "cpu" value { string: "1x" } } } } })",
       "spec.containers[1].resources.requests[cpu]: Invalid value: \"1x\": quantities must match "
       "the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"},
      {R"(spec { containers { name: "d" image: "a"
                 resources { requests { key: "cpu" value { string: "-1" } } } } })",
       "spec.containers[1].resources.requests[cpu]: Invalid value: \"-1\": must be greater than or "
       "equal to 0"},
      {R"(spec { containers { name: "d" image: "a"
                 resources { requests { key: "cpu" value { string: "2" } }
                             limits { key: "cpu" value { string: "1" } } } } })",
       "spec.containers[1].resources.requests: Invalid value: \"2\": must be less than or equal to "
       "cpu limit of 1"},
      {R"(spec { containers { name: "d" image: "a"
                 resources { requests { key: "gpus" value { string: "2" } } } } })",
       "spec.containers[1].resources.requests[gpus]: Invalid value: \"gpus\": must be a standard "
       "resource for containers"},
      {R"(spec { containers { name: "d" image: "a"
                 resources { requests { key: "x.io/gpu" value { string: "1" } } } } })",
       "spec.containers[1].resources.limits: Required value: Limit must be set for non "
       "overcommitable resources"},
      {R"(spec { restartPolicy: "Sometimes" })",
       "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", "
       "\"OnFailure\", \"Never\""},
      {R"(spec { hostPID: true hostIPC: true hostNetwork: true hostUsers: false })",
       "spec.hostNetwork: Forbidden: when `pod.Spec.HostUsers` is false\n"
       "spec.HostPID: Forbidden: when `pod.Spec.HostUsers` is false\n"
       "spec.HostIPC: Forbidden: when `pod.Spec.HostUsers` is false"},
      {R"(spec { hostPID: true shareProcessNamespace: true })",
       "spec.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot "
       "both be enabled"},
      {R"(spec { dnsPolicy: "None" })",
       "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"},
      {R"(spec { hostname: "a.b" })",
       "spec.hostname: Invalid value: \"a.b\": must not contain dots"},
      {R"(spec { activeDeadlineSeconds: 0 })",
       "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"},
      {R"(spec { tolerations { key: "a" operator: "Exists" value: "b" } })",
       "spec.tolerations[0].operator: Invalid value: \"b\": value must be empty when `operator` is "
       "'Exists'"},
      {R"(spec { tolerations { value: "b" } })",
       "spec.tolerations[0].operator: Invalid value: \"\": operator must be Exists when `key` is "
       "empty, which means \"match all values and all keys\""},
      {R"(spec { tolerations { key: "a" effect: "NoSchedule" tolerationSeconds: 1 } })",
       "spec.tolerations[0].effect: Invalid value: \"NoSchedule\": effect must be 'NoExecute' when "
       "`tolerationSeconds` is set"},
      {R"(spec { tolerations { key: "a" effect: "Never" } })",
       "spec.tolerations[0].effect: Unsupported value: \"Never\": supported values: "
       "\"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\""},
      {R"(spec { affinity { nodeAffinity { requiredDuringSchedulingIgnoredDuringExecution { } } } })",
       "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution."
       "nodeSelectorTerms: Required value: must have at least one node selector term"},
      {R"(spec { affinity { nodeAffinity { requiredDuringSchedulingIgnoredDuringExecution {
                 nodeSelectorTerms { matchExpressions { key: "a" operator: "In" } } } } } })",
       "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution."
       "nodeSelectorTerms[0].matchExpressions[0].values: Required value: must be specified when "
       "`operator` is 'In' or 'NotIn'"},
      {R"(spec { affinity { podAffinity { requiredDuringSchedulingIgnoredDuringExecution { } } } })",
       "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: "
       "Required value: can not be empty"},
      {R"(spec { os { name: "plan9" } })",
       "spec.os.name: Unsupported value: \"plan9\": supported values: \"linux\", \"windows\""},
      {R"(metadata { name: "Bad_Name" })",
       "metadata.name: Invalid value: \"Bad_Name\": a lowercase RFC 1123 subdomain must consist of "
       "lower case alphanumeric characters, '-' or '.', and must start and end with an "
       "alphanumeric character (e.g. 'example.com', regex used for validation is "
       "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"},
      {R"(metadata { finalizers: "mine" })",
       "metadata.finalizers[0]: Invalid value: \"mine\": name is neither a standard finalizer name "
       "nor is it fully qualified"},
      {R"(metadata { ownerReferences { apiVersion: "v1" kind: "Node" name: "a" } })",
       "metadata.ownerReferences[0].uid: Invalid value: \"\": must not be empty"},
      {R"(metadata { labels { key: "a" value: "b c" } })",
       "metadata.labels: Invalid value: \"b c\": a valid label must be an empty string or consist "
       "of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
       "character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
       "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"},
  };
  for (const Mistake& mistake : kMistakes) {
    const Status status = validateCreate(makePod(mistake.more));
    EXPECT_EQ(lines(status.causes()), std::string(mistake.error) + "\n") << mistake.more;
  }
}

TEST(PodValidation, WantsAContainer) {
  Pod pod = makePod();
  pod.mutable_spec()->clear_containers();
  EXPECT_EQ(validateCreate(pod).message(), "Pod \"p\" is invalid: spec.containers: Required value");
}

TEST(PodUpdate, MayChangeFewFields) {
  const Pod before = makePod(R"(metadata { uid: "u" } spec { activeDeadlineSeconds: 100
      initContainers { name: "i" image: "a" } })");
  const auto change = [&](auto edit) {
    Pod now = before;
    edit(now);
    return lines(validateUpdate(now, before).causes());
  };
  EXPECT_EQ(change([](Pod&) {}), "");
  EXPECT_EQ(change([](Pod& pod) {
              pod.mutable_spec()->mutable_containers(0)->set_image("b:2");
              pod.mutable_spec()->mutable_initcontainers(0)->set_image("b:2");
              pod.mutable_spec()->set_activedeadlineseconds(50);
              pod.mutable_spec()->mutable_tolerations(0)->set_tolerationseconds(1);
              auto& added = *pod.mutable_spec()->add_tolerations();
              added.set_operator_("Exists");
              (*pod.mutable_metadata()->mutable_labels())["a"] = "b";
            }),
            "");
  EXPECT_EQ(change([](Pod& pod) { pod.mutable_spec()->set_activedeadlineseconds(200); }),
            "spec.activeDeadlineSeconds: Invalid value: 200: must be less than or equal to "
            "previous value\n");
  EXPECT_EQ(change([](Pod& pod) { pod.mutable_spec()->clear_activedeadlineseconds(); }),
            "spec.activeDeadlineSeconds: Invalid value: \"null\": must not update from a positive "
            "integer to nil value\n");
  EXPECT_EQ(
      change([](Pod& pod) { pod.mutable_spec()->mutable_tolerations()->DeleteSubrange(0, 1); }),
      "spec.tolerations: Forbidden: existing toleration can not be modified except its "
      "tolerationSeconds\n");
  EXPECT_EQ(change([](Pod& pod) {
              *pod.mutable_spec()->add_containers() = pod.spec().containers(0);
              pod.mutable_spec()->mutable_containers(1)->set_name("d");
            }),
            "spec.containers: Forbidden: pod updates may not add or remove containers\n");
  EXPECT_EQ(change([](Pod& pod) { pod.mutable_metadata()->set_uid("v"); }),
            "metadata.uid: Invalid value: \"v\": field is immutable\n");
  const std::string other =
      change([](Pod& pod) { pod.mutable_spec()->mutable_containers(0)->add_args("x"); });
  EXPECT_TRUE(
      other.starts_with("spec: Forbidden: pod updates may not change fields other than "
                        "`spec.containers[*].image`,"))
      << other;
  EXPECT_NE(other.find("containers[0].args[0]: \"x\""), std::string::npos) << other;
}

TEST(PodUpdate, FinalizersDoNotGrowWhileDeleted) {
  Pod before = makePod(R"(metadata { finalizers: "a/b" deletionTimestamp { seconds: 5 } })");
  Pod now = before;
  now.mutable_metadata()->add_finalizers("c/d");
  EXPECT_EQ(lines(validateUpdate(now, before).causes()),
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being "
            "deleted, found new finalizers []string{\"c/d\"}\n");
  now.mutable_metadata()->clear_finalizers();
  EXPECT_TRUE(validateUpdate(now, before));
}

TEST(PodStatusUpdate, SidecarsStartAgainAndEphemeralContainersDoNot) {
  const Pod before = makePod(R"(spec { restartPolicy: "Never"
        initContainers { name: "s" image: "x" restartPolicy: "Always" } }
      status { initContainerStatuses { name: "s" state { terminated { exitCode: 0 } } } })");
  Pod now = before;
  now.mutable_status()->mutable_initcontainerstatuses(0)->mutable_state()->clear_terminated();
  EXPECT_TRUE(validateStatusUpdate(now, before));
  const Pod ended = makePod(R"(spec { restartPolicy: "OnFailure" }
      status { ephemeralContainerStatuses { name: "e" state { terminated { exitCode: 1 } } } })");
  now = ended;
  now.mutable_status()->mutable_ephemeralcontainerstatuses(0)->mutable_state()->clear_terminated();
  EXPECT_EQ(lines(validateStatusUpdate(now, ended).causes()),
            "status.ephemeralContainerStatuses[0].state: Forbidden: may not be transitioned to "
            "non-terminated state\n");
}

TEST(PodCreate, AHooksSleepFitsIntoTheGracePeriod) {
  const auto faultsOf = [](int seconds) {
    return lines(validateCreate(makePod("spec { terminationGracePeriodSeconds: 10 containers { "
                                        "name: \"d\" image: \"x\" lifecycle { preStop { sleep { "
                                        "seconds: " +
                                        std::to_string(seconds) + " } } } } }"))
                     .causes());
  };
  EXPECT_EQ(faultsOf(10), "");
  EXPECT_EQ(faultsOf(11),
            "spec.containers[1].lifecycle.preStop.sleep: Invalid value: 11: must be non-negative "
            "and less than terminationGracePeriodSeconds (10)\n");
}

TEST(PodCreate, AStopSignalIsOneOfThePodsSystem) {
  const auto faultsOf = [](const std::string& signal, const std::string& system) {
    return lines(validateCreate(makePod("spec { " + system +
                                        " containers { name: \"d\" image: \"x\" lifecycle { "
                                        "stopSignal: \"" +
                                        signal + "\" } } }"))
                     .causes());
  };
  const std::string at = "spec.containers[1].lifecycle.stopSignal: ";
  EXPECT_EQ(faultsOf("SIGUSR1", ""),
            at + "Forbidden: may not be set for containers with empty `spec.os.name`\n");
  EXPECT_EQ(faultsOf("SIGRTMIN+15", "os { name: \"linux\" }"), "");
  EXPECT_EQ(faultsOf("SIGUSR1", "os { name: \"windows\" }"),
            at + "Unsupported value: \"SIGUSR1\": supported values: \"SIGKILL\", \"SIGTERM\"\n");
  for (const char* bad : {"USR1", "10", "SIGRTMIN+16"}) {
    const std::string fault = faultsOf(bad, "os { name: \"linux\" }");
    EXPECT_TRUE(fault.starts_with(at + "Unsupported value: \"" + bad +
                                  "\": supported values: \"SIGABRT\", \"SIGALRM\""))
        << fault;
  }
}

TEST(PodStatusUpdate, KeepsEndedContainersEnded) {
  const Pod before = makePod(R"(spec { restartPolicy: "OnFailure" } status { qosClass: "BestEffort"
      containerStatuses { name: "c" state { terminated { exitCode: 0 } } }
      containerStatuses { name: "d" state { terminated { exitCode: 1 } } } })");
  Pod now = before;
  now.mutable_status()->mutable_containerstatuses(1)->mutable_state()->clear_terminated();
  EXPECT_TRUE(validateStatusUpdate(now, before));
  now.mutable_status()->mutable_containerstatuses(0)->mutable_state()->clear_terminated();
  now.mutable_status()->set_qosclass("Burstable");
  for (const char* ip : {"10.0.0.1", "10.0.0.2"}) now.mutable_status()->add_podips()->set_ip(ip);
  EXPECT_EQ(lines(validateStatusUpdate(now, before).causes()),
            "status.qosClass: Invalid value: \"Burstable\": field is immutable\n"
            "status.containerStatuses[0].state: Forbidden: may not be transitioned to "
            "non-terminated state\n"
            "status.podIPs: Invalid value: \"10.0.0.1,10.0.0.2\": may specify no more than one IP "
            "for each IP family\n");
}

}  // namespace
}  // namespace podlab::api
