"""Unmodified kubectl, of several minor versions, against a lab."""
import json
import subprocess
import unittest

from harness import LabTestCase, eventually
from kubectl_case import PODS, KubectlCase


class Kubectl(KubectlCase):
    """The tests; each class below runs them with one version."""

    def test_services_name_the_pods_behind_them(self):
        self.addCleanup(self.run_kubectl, "delete", "service,ingress,networkpolicy", "--all")
        exposed = self.kubectl("expose", "pod", "web", "--name=front", "--port=80", "--target-port=8080")
        self.assertIn("service/front exposed", exposed)
        address = self.kubectl("get", "pod", "web", "-o", "jsonpath={.status.podIP}")
        eventually(lambda: self.assertEqual(self.kubectl("get", "endpoints", "front", "-o", "jsonpath={.subsets[0].addresses[0].ip}"), address))
        slices = self.kubectl("get", "endpointslices", "-l", "kubernetes.io/service-name=front")
        self.assertRegex(slices, rf"front-\w{{5}} +IPv4 +8080 +{address} ")
        described = self.kubectl("describe", "service", "front")
        self.assertRegex(described, rf"Endpoints: +{address}:8080\n")
        self.assertRegex(self.kubectl("get", "service", "front"), r"front +ClusterIP +10\.96\.\d+\.\d+ +<none> +80/TCP ")
        self.kubectl("create", "service", "nodeport", "ports", "--tcp=80:80")
        self.assertRegex(self.kubectl("get", "service", "ports"), r"ports +NodePort +\S+ +<none> +80:3[0-2]\d{3}/TCP ")
        manifest = """
apiVersion: v1
kind: Service
metadata: {name: applied}
spec: {ports: [{port: 80}], selector: {app: web}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop}
spec: {defaultBackend: {service: {name: front, port: {number: 80}}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed}
spec: {podSelector: {matchLabels: {app: web}}}
"""
        first = self.run_kubectl("apply", "-f", "-", input=manifest)
        self.assertEqual(first.stdout, "service/applied created\ningress.networking.k8s.io/shop created\n"
                                       "networkpolicy.networking.k8s.io/closed created\n", first.stderr)
        for warning in ("spec.clusterIP: has no effect", "no ingress controller is there", "nodes enforce no network policies yet"):
            self.assertIn("Warning: " + ("" if warning.startswith("spec.") else "spec: has no effect: ") + warning, first.stderr)
        self.assertEqual(self.kubectl("apply", "-f", "-", input=manifest).count("unchanged"), 3)
        self.assertRegex(self.kubectl("get", "netpol"), r"closed +app=web ")
        bad = self.run_kubectl("create", "service", "clusterip", "taken", "--tcp=80:80",
                               "--clusterip=" + self.kubectl("get", "svc", "front", "-o", "jsonpath={.spec.clusterIP}"))
        self.assertIn("provided IP is already allocated", bad.stderr)

    def test_what_the_server_is(self):
        self.assertRegex(self.kubectl("version"), r'Server Version: .*v1\.')
        self.assertRegex(self.kubectl("api-resources"), r"pods +po +v1 +true +Pod")
        self.assertIn("coordination.k8s.io/v1\n", self.kubectl("api-versions"))
        self.assertEqual(self.kubectl("get", "--raw", "/readyz"), "ok")

    def test_get(self):
        self.assertRegex(self.kubectl("get", "nodes", "-o", "wide"), r"node1 +Ready .* crun://")
        self.assertRegex(self.kubectl("get", "pods", "-o", "wide"), r"web +2/2 +Running +0 .*10\.244\.")
        self.assertRegex(self.kubectl("get", "pods", "-A"), r"default +web +2/2")
        self.assertIn("web", self.kubectl("get", "all"))
        self.assertEqual(self.kubectl("get", "pods", "-l", "app in (web,x),!zz", "-o", "name"), "pod/web\n")
        self.assertEqual(self.kubectl("get", "pods", "--field-selector", "status.phase=Running,spec.nodeName!=x", "-o", "name"),
                         "pod/web\n")
        names = self.kubectl("get", "pods", "--sort-by=.metadata.name", "-o", "custom-columns=N:.metadata.name").split()
        self.assertEqual(names, ["N", "once", "web"])
        chunks = self.kubectl("get", "pods", "-A", "--chunk-size=1", "-o", "name")
        self.assertEqual(chunks.split(), ["pod/once", "pod/web"])
        self.assertEqual(self.kubectl("get", "pod", "web", "-o", "jsonpath={.spec.containers[*].name}"), "main side")
        self.assertIn("kind: Pod\n", self.kubectl("get", "pod", "web", "-o", "yaml"))
        self.assertIn("app=web", self.kubectl("get", "pods", "--show-labels"))
        self.assertIn('pods "nope" not found', self.fails("get", "pod", "nope"))
        self.assertIn("the server doesn't have a resource type", self.fails("get", "gadgets"))
        self.assertIn('namespaces "nope" not found', self.fails("get", "ns", "nope"))

    def test_watch(self):
        with subprocess.Popen([self.program_of_kubectl, "get", "pods", "-w", "--output-watch-events"],
                              env=self.environment_of_kubectl(), stdout=subprocess.PIPE, text=True) as watch:
            self.assertIn("EVENT", watch.stdout.readline())
            self.kubectl("run", "seen", "--image=host", "--restart=Never", "--command", "--", "true")
            line = ""
            while "seen" not in line:
                line = watch.stdout.readline()
                self.assertTrue(line, "the watch ended")
            self.assertIn("ADDED", line)
            watch.kill()
        self.kubectl("delete", "pod", "seen")

    def test_describe(self):
        text = self.kubectl("describe", "pod", "web")
        self.assertRegex(text, r"Started container main|Container started")
        node = self.kubectl("describe", "node", "node1")
        self.assertIn("HolderIdentity:  node1", node)
        self.assertRegex(node, r"Ready +True")
        self.kubectl("describe", "ns", "default")
        if not self.is_old:
            self.assertIn("Started", self.kubectl("events", "--for", "pod/web"))

    def test_create_of_all_sorts(self):
        self.kubectl("create", "ns", "made")
        self.assertEqual(self.object("ns", "made")["status"]["phase"], "Active")
        self.kubectl("create", "cm", "c", "--from-literal=k=v", "-n", "made")
        self.assertEqual(self.object("cm", "c", "-n", "made")["data"], {"k": "v"})
        self.kubectl("create", "secret", "generic", "s", "--from-literal=p=q", "-n", "made")
        self.assertEqual(self.object("secret", "s", "-n", "made")["data"], {"p": "cQ=="})
        self.assertIn("already exists", self.fails("create", "ns", "made"))
        self.kubectl("delete", "ns", "made")
        self.assertIn("not found", self.fails("get", "ns", "made"))

    def test_apply(self):
        def manifest(a, b):
            data = {key: value for key, value in (("a", a), ("b", b)) if value}
            return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": data})
        self.assertIn("created", self.kubectl("apply", "-f", "-", input=manifest("1", "2")))
        self.assertIn("unchanged", self.kubectl("apply", "-f", "-", input=manifest("1", "2")))
        self.assertIn("configured (server dry run)", self.kubectl("apply", "--dry-run=server", "-f", "-", input=manifest("1", "3")))
        self.assertEqual(self.object("cm", "applied")["data"]["b"], "2")
        self.assertIn("configured", self.kubectl("apply", "-f", "-", input=manifest("1", None)))
        self.assertEqual(self.object("cm", "applied")["data"], {"a": "1"})
        changed = self.run_kubectl("diff", "-f", "-", input=manifest("9", None))
        self.assertEqual(changed.returncode, 1, changed.stderr)
        self.assertIn("+  a: \"9\"", changed.stdout)
        wrong = PODS.replace("env:", "enw:")
        unknown = 'unknown field "enw"' if self.is_old else 'unknown field "spec.containers[0].enw"'
        self.assertIn(unknown, self.fails("apply", "-f", "-", input=wrong))
        self.kubectl("delete", "cm", "applied")

    def test_explain(self):
        def kind(name):
            return "Object" if self.is_old else name  # 1.20 knows no names of objects
        text = self.kubectl("explain", "pod.spec")
        self.assertIn(f"containers\t<[]{kind('Container')}> -required-", text)
        self.assertIn("PodSpec is what a pod is meant to be", text)
        ports = self.kubectl("explain", "pod.spec.containers.ports")
        self.assertIn("containerPort\t<integer> -required-", ports)
        deep = self.kubectl("explain", "pod.spec.affinity", "--recursive")
        self.assertRegex(deep, r"\n {4,6}preferredDuringSchedulingIgnoredDuringExecution\t<\[\]" + kind("PreferredSchedulingTerm"))
        rolling = self.kubectl("explain", "deployment.spec.strategy", "--recursive")
        self.assertRegex(rolling, r"\n {4,6}maxSurge\t<(IntOrString|string)>")
        self.assertIn("map[string]string", self.kubectl("explain", "node.metadata.labels"))
        self.assertIn("scheduling.k8s.io", self.kubectl("explain", "priorityclass.value"))
        self.assertIn('field "nosuch" does not exist', self.fails("explain", "pod.spec.nosuch"))

    def test_apply_merges_lists_by_the_schemas(self):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lists"},
               "spec": {"nodeName": "node2", "terminationGracePeriodSeconds": 0, "containers": [
                   {"name": "a", "image": "host", "command": ["sleep", "inf"]},
                   {"name": "b", "image": "host", "command": ["sleep", "inf"]}]}}
        self.kubectl("apply", "-f", "-", input=json.dumps(pod))
        pod["spec"]["containers"][1]["image"] = "host:latest"
        done = self.run_kubectl("apply", "-f", "-", input=json.dumps(pod))
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "pod/lists configured\n", ""))
        images = self.kubectl("get", "pod", "lists", "-o", "jsonpath={.spec.containers[*].image}")
        self.assertEqual(images, "host host:latest")
        self.kubectl("delete", "pod", "lists", "--now")

    def test_server_side_apply(self):
        def manifest(**data):
            return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owned"}, "data": data})

        def apply(text, *arguments):
            return self.kubectl("apply", "--server-side", *arguments, "-f", "-", input=text)

        shown = () if self.is_old else ("--show-managed-fields",)  # 1.20 always shows them

        def managers():
            found = json.loads(self.kubectl("get", "cm", "owned", "-o", "json", *shown))
            return {(entry["manager"], entry["operation"]): entry["fieldsV1"]
                    for entry in found["metadata"].get("managedFields", [])}

        self.assertIn("serverside-applied", apply(manifest(a="1", b="2")))
        revision = self.object("cm", "owned")["metadata"]["resourceVersion"]
        apply(manifest(a="1", b="2"))
        self.assertEqual(self.object("cm", "owned")["metadata"]["resourceVersion"], revision)
        self.assertEqual("managedFields" in self.kubectl("get", "cm", "owned", "-o", "yaml"), self.is_old)
        apply(manifest(a="1"))
        self.assertEqual(self.object("cm", "owned")["data"], {"a": "1"})
        apply(manifest(a="9"), "--dry-run=server")
        self.assertEqual(self.object("cm", "owned")["data"], {"a": "1"})
        changed = self.run_kubectl("diff", "--server-side", "-f", "-", input=manifest(a="9"))
        self.assertEqual(changed.returncode, 1, changed.stderr)
        self.assertIn('+  a: "9"', changed.stdout)

        refused = self.fails("apply", "--server-side", "--field-manager=other", "-f", "-", input=manifest(a="2", c="3"))
        self.assertIn('Apply failed with 1 conflict: conflict with "kubectl": .data.a', refused)
        self.assertIn("--force-conflicts", refused)
        apply(manifest(a="2", c="3"), "--field-manager=other", "--force-conflicts")
        self.assertEqual(self.object("cm", "owned")["data"], {"a": "2", "c": "3"})
        self.assertEqual(managers(), {("other", "Apply"): {"f:data": {"f:a": {}, "f:c": {}}}})
        self.kubectl("label", "cm", "owned", "x=y")
        self.assertEqual(managers()["kubectl-label", "Update"], {"f:metadata": {"f:labels": {".": {}, "f:x": {}}}})
        self.kubectl("patch", "cm", "owned", "--type=merge", "-p", '{"metadata":{"managedFields":[{}]}}')
        self.assertEqual(managers(), {})
        self.assertIn('conflict with "before-first-apply" using v1: .data.a',
                      self.fails("apply", "--server-side", "-f", "-", input=manifest(a="5")))
        self.assertIn(".spec.containers[0].nam: field not declared in schema", self.fails(
            "apply", "--server-side", "--validate=false", "-f", "-", input=PODS.replace("{name: main", "{nam: main")))
        self.kubectl("delete", "cm", "owned")

        if self.is_old:
            return
        # What apply on the client's side has owned passes to the server's.
        self.kubectl("apply", "-f", "-", input=manifest(a="1", b="2"))
        apply(manifest(a="1"))
        self.assertEqual(self.object("cm", "owned")["data"], {"a": "1"})
        self.assertEqual(managers()["kubectl", "Apply"], {"f:data": {"f:a": {}}})
        self.kubectl("delete", "cm", "owned")

    def test_changes(self):
        self.kubectl("create", "cm", "p", "--from-literal=a=1")
        self.kubectl("patch", "cm", "p", "-p", '{"data":{"b":"2"}}')
        self.kubectl("patch", "cm", "p", "--type=merge", "-p", '{"data":{"c":"3"}}')
        self.kubectl("patch", "cm", "p", "--type=json", "-p", '[{"op":"remove","path":"/data/a"}]')
        self.assertEqual(self.object("cm", "p")["data"], {"b": "2", "c": "3"})
        found = self.object("cm", "p")
        found["data"] = {"r": "1"}
        self.kubectl("replace", "-f", "-", input=json.dumps(found))
        self.assertEqual(self.object("cm", "p")["data"], {"r": "1"})
        self.assertIn("the object has been modified", self.fails("replace", "-f", "-", input=json.dumps(found)))
        self.kubectl("label", "cm", "p", "x=y")
        self.kubectl("label", "cm", "p", "x=z", "--overwrite")
        self.kubectl("annotate", "cm", "p", "note=1")
        meta = self.object("cm", "p")["metadata"]
        self.assertEqual((meta["labels"], meta["annotations"]), ({"x": "z"}, {"note": "1"}))
        self.kubectl("label", "cm", "p", "x-")
        self.assertNotIn("labels", self.object("cm", "p")["metadata"])
        self.kubectl("delete", "cm", "--all")
        self.assertEqual(self.object("cm", "--field-selector", "metadata.name!=kube-root-ca.crt")["items"], [])
        self.assertIn("may not change fields other than", self.fails("patch", "pod", "web", "-p", '{"spec":{"hostname":"x"}}'))

    def test_nodes(self):
        self.kubectl("cordon", "node2")
        self.assertTrue(self.object("node", "node2")["spec"]["unschedulable"])
        self.assertIn("SchedulingDisabled", self.kubectl("get", "node", "node2"))
        self.kubectl("uncordon", "node2")
        self.assertNotIn("unschedulable", self.object("node", "node2")["spec"])
        self.kubectl("taint", "node", "node2", "k=v:NoSchedule")
        self.assertIn({"effect": "NoSchedule", "key": "k", "value": "v"}, self.object("node", "node2")["spec"]["taints"])
        self.kubectl("taint", "node", "node2", "k-")
        self.assertNotIn("taints", self.object("node", "node2")["spec"])

    def test_drain_evicts(self):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "driven"},
               "spec": {"nodeName": "node2", "terminationGracePeriodSeconds": 1,
                        "containers": [{"name": "c", "image": "host", "command": ["sleep", "1000"]}]}}
        self.kubectl("apply", "-f", "-", input=json.dumps(pod))
        self.wait_phase("driven", "Running")
        drained = self.run_kubectl("drain", "node2", "--force", "--timeout=30s").stdout
        # 1.20 evicts only where the group policy is served.
        self.assertRegex(drained, "evicting pod default/driven|pod/driven deleted" if self.is_old else "evicting pod default/driven")
        self.assertIn("not found", self.fails("get", "pod", "driven"))
        self.kubectl("uncordon", "node2")

    def test_logs(self):
        self.assertEqual(self.kubectl("logs", "web", "-c", "main"), "hello\nagain\n")
        self.assertEqual(self.kubectl("logs", "web", "-c", "main", "--tail=1"), "again\n")
        self.assertEqual(self.kubectl("logs", "web", "-c", "main", "--limit-bytes=3"), "hel")
        self.assertRegex(self.kubectl("logs", "web", "-c", "main", "--timestamps"), r"^\d{4}-\d\d-\d\dT\S+Z hello\n")
        self.assertEqual(self.kubectl("logs", "web", "-c", "main", "--since=1h"), "hello\nagain\n")
        everything = self.kubectl("logs", "-l", "app=web", "--all-containers", "--prefix")
        self.assertIn("[pod/web/side] side\n", everything)
        self.assertIn("container nope is not valid for pod web", self.fails("logs", "web", "-c", "nope"))

    def test_wait_and_delete(self):
        if self.is_old:
            self.wait_phase("once", "Failed")
        else:
            self.kubectl("wait", "pod/once", "--for=jsonpath={.status.phase}=Failed", "--timeout=30s")
        self.kubectl("run", "gone", "--image=host", "--command", "--", "sleep", "1000")
        self.assertIn("timed out waiting", self.fails("wait", "pod/gone", "--for=delete", "--timeout=1s"))
        self.kubectl("delete", "pod", "gone", "--force", "--grace-period=0")
        if not self.is_old:  # 1.20 wants to see the pod first
            self.kubectl("wait", "pod/gone", "--for=delete", "--timeout=30s")
        self.assertTrue(eventually(lambda: self.run_kubectl("get", "pod", "gone").returncode != 0))


class Kubectl120(Kubectl, LabTestCase):
    version = "1.20"
    is_old = True


class Kubectl132(Kubectl, LabTestCase):
    version = "1.32"


class Kubectl135(Kubectl, LabTestCase):
    version = "1.35"


if __name__ == "__main__":
    unittest.main()
