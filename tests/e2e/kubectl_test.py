"""Unmodified kubectl, of several minor versions, against a lab."""
import json
import pathlib
import select
import tempfile
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
        listed = ("get", "endpoints", "front", "-o", "jsonpath={.subsets[0].addresses[0].ip}")
        self.assertTrue(eventually(lambda: self.run_kubectl(*listed).stdout == address))
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
        for warning in ("spec.clusterIP: has no effect", "no ingress controller is there"):
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
        server = self.kubectl("config", "view", "-o", "jsonpath={.clusters[0].cluster.server}")
        self.assertIn(f"is running at {server}\n", self.kubectl("cluster-info").replace("\x1b[0m", "").replace("\x1b[0;33m", ""))

    def test_dump(self):
        with tempfile.TemporaryDirectory(dir=self.home) as folder:
            self.kubectl("cluster-info", "dump", "--namespaces=default", f"--output-directory={folder}")
            files = {str(file.relative_to(folder)) for file in pathlib.Path(folder).rglob("*") if file.is_file()}
            self.assertLessEqual({"nodes.json", "default/web/logs.txt"} | {
                f"default/{kind}.json" for kind in ("daemonsets", "deployments", "events", "pods", "replicasets",
                                                    "replication-controllers", "services")}, files)
            logs = (pathlib.Path(folder) / "default/web/logs.txt").read_text()
            self.assertIn("==== START logs for container main of pod default/web ====\nhello\nagain\n", logs)
            self.assertEqual({node["metadata"]["name"] for node in json.loads((pathlib.Path(folder) / "nodes.json").read_text())["items"]},
                             {"node1", "node2"})

    def test_the_service_of_the_api(self):
        self.assertRegex(self.kubectl("get", "svc", "kubernetes"), r"\nkubernetes +ClusterIP +None +<none> +443/TCP ")
        (address,) = [pair["value"] for pair in self.environment_of("web") if pair["name"] == "KUBERNETES_SERVICE_HOST"]
        self.assertRegex(self.kubectl("describe", "svc", "kubernetes"), rf"Endpoints: +{address}:443\n")
        uid = self.object("svc", "kubernetes")["metadata"]["uid"]
        self.kubectl("delete", "svc", "kubernetes")
        again = ("get", "svc", "kubernetes", "-o", "jsonpath={.metadata.uid}")
        self.assertTrue(eventually(lambda: self.run_kubectl(*again).stdout not in ("", uid)))
        self.assertTrue(eventually(lambda: address in self.run_kubectl("get", "endpoints", "kubernetes").stdout))
        self.assertTrue(eventually(lambda: address in self.run_kubectl("get", "endpointslices", "kubernetes").stdout))

    def environment_of(self, pod):
        lines = self.kubectl("exec", pod, "-c", "main", "--", "env").splitlines()
        return [dict(zip(("name", "value"), line.split("=", 1))) for line in lines]

    def test_events_of_both_groups(self):
        names = [self.kubectl("get", kind, "-o", "name", "--field-selector", f"{field}.name=web").replace(".events.k8s.io", "")
                 for kind, field in (("events", "involvedObject"), ("events.v1.events.k8s.io", "regarding"))]
        self.assertEqual(sorted(names[0].split()), sorted(names[1].split()))
        self.assertRegex(self.kubectl("get", "events.events.k8s.io"),
                         r"LAST SEEN +TYPE +REASON +OBJECT +MESSAGE\n(.*\n)*\S+ +Normal +Started +pod/web ")
        event = {"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "told"}, "type": "Warning", "reason": "Seen",
                 "action": "Look", "note": "by the new group", "eventTime": "2026-01-02T03:04:05.000006Z",
                 "reportingController": "example.com/c", "reportingInstance": "i",
                 "regarding": {"apiVersion": "v1", "kind": "Pod", "namespace": "default", "name": "web",
                               "uid": self.object("pod", "web")["metadata"]["uid"]}}
        watch = self.start("get", "events", "-w")
        self.line_with(watch, "LAST SEEN")
        self.kubectl("create", "-f", "-", input=json.dumps(event))
        self.assertRegex(self.line_with(watch, "by the new group"), r"Warning +Seen +pod/web +by the new group")
        self.assertIn("by the new group", self.kubectl("describe", "pod", "web"))
        del event["eventTime"]
        event["metadata"]["name"] = "wrong"
        missing = 'missing required field "eventTime"' if self.is_old else "eventTime: Required value"
        self.assertIn(missing, self.fails("create", "-f", "-", input=json.dumps(event)))
        self.kubectl("delete", "events.v1.events.k8s.io", "told")
        self.assertIn("not found", self.fails("get", "event", "told"))
        if not self.is_old:
            self.assertRegex(self.kubectl("events"), r"Normal +Started +Pod/web")

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
        watch = self.start("get", "pods", "-w", "--output-watch-events")
        self.assertIn("EVENT", watch.stdout.readline())
        later = self.start("get", "pod", "once", "--watch-only")
        self.kubectl("run", "seen", "--image=host", "--restart=Never", "--command", "--", "true")
        self.assertIn("ADDED", self.line_with(watch, "seen"))
        self.kubectl("delete", "pod", "seen")
        self.line_with(watch, "DELETED")
        # What was there before is not shown; when the watch has begun is not known.
        for number in range(1000):
            self.kubectl("label", "pod", "once", f"n={number}", "--overwrite")
            if select.select([later.stdout], [], [], 0)[0]:
                break
        self.assertRegex(later.stdout.read(1), r"\w")
        self.kubectl("label", "pod", "once", "n-")

    def test_describe(self):
        text = self.kubectl("describe", "pod", "web")
        self.assertRegex(text, r"Started container main|Container started")
        node = self.kubectl("describe", "node", "node1")
        self.assertIn("HolderIdentity:  node1", node)
        self.assertRegex(node, r"Ready +True")
        self.assertRegex(self.kubectl("describe", "ns", "default"), r"Status: +Active")
        self.assertRegex(self.kubectl("describe", "sa", "default"), r"Name: +default\nNamespace: +default")
        if not self.is_old:
            self.assertIn("Started", self.kubectl("events", "--for", "pod/web"))

    def test_create_of_all_sorts(self):
        self.kubectl("create", "ns", "made")
        self.assertEqual(self.object("ns", "made")["status"]["phase"], "Active")
        self.kubectl("create", "cm", "c", "--from-literal=k=v", "-n", "made")
        self.assertEqual(self.object("cm", "c", "-n", "made")["data"], {"k": "v"})
        self.kubectl("create", "secret", "generic", "s", "--from-literal=p=q", "-n", "made")
        self.assertEqual(self.object("secret", "s", "-n", "made")["data"], {"p": "cQ=="})
        self.kubectl("create", "serviceaccount", "robot", "-n", "made")
        self.assertEqual(self.object("sa", "robot", "-n", "made")["kind"], "ServiceAccount")
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
        self.assertIn("--overwrite is false", self.fails("annotate", "cm", "p", "note=2"))
        self.kubectl("annotate", "cm", "p", "note=2", "--overwrite")
        self.assertEqual(self.object("cm", "p")["metadata"]["annotations"], {"note": "2"})
        self.kubectl("label", "cm", "p", "x-")
        self.kubectl("annotate", "cm", "p", "note-")
        for field in ("labels", "annotations"):
            self.assertNotIn(field, self.object("cm", "p")["metadata"])
        found = self.object("cm", "p")
        uid = found["metadata"].pop("uid")
        self.kubectl("replace", "--force", "-f", "-", input=json.dumps(found))
        self.assertNotEqual(self.object("cm", "p")["metadata"]["uid"], uid)
        self.kubectl("delete", "cm", "--all")
        self.assertEqual(self.object("cm", "--field-selector", "metadata.name!=kube-root-ca.crt")["items"], [])
        self.assertIn("may not change fields other than", self.fails("patch", "pod", "web", "-p", '{"spec":{"hostname":"x"}}'))

    def edit(self, change, *arguments):
        """With an editor that is a command of sed."""
        editor = self.home / "editor"
        editor.write_text(f"#!/bin/sh\nexec sed -i '{change}' \"$1\"\n")
        editor.chmod(0o755)
        # What could not be saved is left in TMPDIR.
        settings = {"KUBE_EDITOR": str(editor), "TMPDIR": str(self.home)}
        return self.run_kubectl("edit", *arguments, env=dict(self.environment_of_kubectl(), **settings))

    def test_edit(self):
        self.kubectl("create", "cm", "edited", "--from-literal=a=1")
        done = self.edit('s/^  a: .*/  a: "2"/', "cm", "edited")
        self.assertEqual((done.returncode, done.stdout), (0, "configmap/edited edited\n"), done.stderr)
        self.assertEqual(self.object("cm", "edited")["data"], {"a": "2"})
        self.assertIn("no changes made", self.edit("s/x/x/", "cm", "edited").stderr)
        # What the server refuses comes back to the editor; who leaves it so has changed nothing.
        done = self.edit('s/^  a: .*/  "a b": "3"/', "cm", "edited")
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertIn("no valid changes were saved", done.stderr)
        self.assertEqual(self.object("cm", "edited")["data"], {"a": "2"})
        self.kubectl("delete", "cm", "edited")

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
        self.assertEqual(self.kubectl("logs", "web", "-c", "main", "--since-time=2020-01-01T00:00:00Z"), "hello\nagain\n")
        self.assertEqual(self.kubectl("logs", "web", "-c", "main", "--since-time=2100-01-01T00:00:00Z"), "")
        self.assertEqual(self.kubectl("logs", "once", "-f"), "run\n")

    def test_logs_of_the_container_before(self):
        command = "[ -e /kept/x ] && echo second && exec sleep 1000; touch /kept/x; echo first; exit 1"
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "twice"},
               "spec": {"terminationGracePeriodSeconds": 0, "volumes": [{"name": "kept", "emptyDir": {}}],
                        "containers": [{"name": "main", "image": "host", "command": ["sh", "-c", command],
                                        "volumeMounts": [{"name": "kept", "mountPath": "/kept"}]}]}}
        self.kubectl("apply", "-f", "-", input=json.dumps(pod))
        self.addCleanup(self.run_kubectl, "delete", "pod", "twice")
        self.assertTrue(eventually(lambda: self.run_kubectl("logs", "twice").stdout == "second\n"))
        self.assertEqual(self.kubectl("logs", "twice", "--previous"), "first\n")
        self.assertEqual(self.kubectl("logs", "twice", "--previous", "-f"), "first\n")
        self.assertIn('previous terminated container "main" in pod "web" not found', self.fails("logs", "web", "-c", "main", "--previous"))

    def test_wait_and_delete(self):
        if self.is_old:
            self.wait_phase("once", "Failed")
        else:
            self.kubectl("wait", "pod/once", "--for=jsonpath={.status.phase}=Failed", "--timeout=30s")
        if not self.is_old:
            waits = self.start("wait", "pod/gone", "--for=create", "--timeout=50s")
        self.kubectl("run", "gone", "--image=host", "--command", "--", "sleep", "1000")
        if not self.is_old:
            self.assertEqual(waits.communicate(timeout=60)[0], "pod/gone condition met\n")
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
