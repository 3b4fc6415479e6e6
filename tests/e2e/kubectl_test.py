"""Unmodified kubectl, of two minor versions, against a lab."""
import fcntl
import json
import os
import pathlib
import pty
import struct
import subprocess
import tempfile
import termios
import unittest

from harness import LabTestCase, eventually

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

PODS = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  nodeName: node1
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: host, command: [sh, -c, "echo hello; echo again; exec sleep infinity"], env: [{name: A, value: '1'}]}
  - {name: side, image: host, command: [sh, -c, "echo side; exec sleep infinity"]}
---
apiVersion: v1
kind: Pod
metadata: {name: once, labels: {app: once}}
spec:
  nodeName: node1
  restartPolicy: Never
  containers: [{name: main, image: host, command: [sh, -c, "exit 3"]}]
"""


class Kubectl:
    """The tests; each class below runs them with one version."""

    version = None
    up_arguments = ("-n", "2")

    @classmethod
    def setUpClass(cls):
        try:
            fetched = subprocess.run([ROOT / "scripts/kubectl", cls.version], capture_output=True, text=True, check=True, timeout=120)
        except subprocess.SubprocessError as error:
            raise unittest.SkipTest(f"kubectl {cls.version} cannot be fetched: {error} {error.stderr}") from error
        cls.program_of_kubectl = fetched.stdout.strip()
        super().setUpClass()
        cls.home = pathlib.Path(tempfile.mkdtemp(dir=cls.state))
        (cls.home / "config").write_text(cls.run_podlab("kubeconfig").stdout)
        done = cls.run_kubectl("apply", "-f", "-", input=PODS)
        assert done.returncode == 0, done.stderr
        done = cls.run_kubectl("wait", "pod/web", "--for=condition=Ready", "--timeout=30s")
        assert done.returncode == 0, done.stderr

    @classmethod
    def run_kubectl(cls, *arguments, **options):
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        environment = dict(os.environ, HOME=str(cls.home), KUBECONFIG=str(cls.home / "config"))
        return subprocess.run([cls.program_of_kubectl, *arguments], env=environment, capture_output=True, text=True, check=False,
                              timeout=60, **options)

    def kubectl(self, *arguments, **options):
        """Runs it, expects success, and returns stdout."""
        done = self.run_kubectl(*arguments, **options)
        self.assertEqual(done.returncode, 0, f"kubectl {' '.join(arguments)}: {done.stderr}{done.stdout}")
        return done.stdout

    def fails(self, *arguments, **options):
        """Runs it, expects failure, and returns stderr."""
        done = self.run_kubectl(*arguments, **options)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        return done.stderr

    def object(self, *arguments):
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

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
        self.assertIn("Server Version: v1.", self.kubectl("version"))
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
        environment = dict(os.environ, HOME=str(self.home), KUBECONFIG=str(self.home / "config"))
        with subprocess.Popen([self.program_of_kubectl, "get", "pods", "-w", "--output-watch-events"], env=environment,
                              stdout=subprocess.PIPE, text=True) as watch:
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
            return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": {"a": a, "b": b}})
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
        self.assertIn('unknown field "spec.containers[0].enw"', self.fails("apply", "-f", "-", input=wrong))
        self.kubectl("delete", "cm", "applied")

    def test_explain(self):
        text = self.kubectl("explain", "pod.spec")
        self.assertRegex(text, r"containers\t<\[\]Container> -required-")
        self.assertIn("PodSpec is what a pod is meant to be", text)
        ports = self.kubectl("explain", "pod.spec.containers.ports")
        self.assertRegex(ports, r"containerPort\t<integer> -required-")
        deep = self.kubectl("explain", "pod.spec.affinity", "--recursive")
        self.assertRegex(deep, r"\n {4}preferredDuringSchedulingIgnoredDuringExecution\t<\[\]PreferredSchedulingTerm>")
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
        self.assertEqual(self.object("cm")["items"], [])
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
        self.kubectl("wait", "pod/driven", "--for=jsonpath={.status.phase}=Running", "--timeout=30s")
        self.assertIn("evicting pod default/driven", self.run_kubectl("drain", "node2", "--force", "--timeout=30s").stdout)
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

    def test_exec(self):
        def run(*words, **options):
            return self.run_kubectl("exec", *words, **options)
        self.assertEqual(run("web", "-c", "main", "--", "echo", "hi").stdout, "hi\n")
        for code in (0, 3, 7):
            self.assertEqual(run("web", "--", "sh", "-c", f"exit {code}").returncode, code)
        both = run("web", "--", "sh", "-c", "echo out; echo err >&2")
        self.assertEqual((both.stdout, both.stderr.splitlines()[-1]), ("out\n", "err"))
        self.assertIn("executable file `nosuch` not found", self.fails("exec", "web", "--", "nosuch"))
        self.assertIn("container nope is not valid for pod web", self.fails("exec", "web", "-c", "nope", "--", "true"))
        self.assertEqual(run("-i", "web", "--", "cat", input="ab\n").stdout, "ab\n")
        blob = "0123456789abcdef" * 200_000
        self.assertEqual(run("-i", "web", "--", "wc", "-c", input=blob).stdout.strip(), str(len(blob)))
        self.assertEqual(len(run("web", "--", "sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x").stdout), 3_000_000)

    def test_exec_with_a_terminal(self):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
        environment = dict(os.environ, HOME=str(self.home), KUBECONFIG=str(self.home / "config"))
        command = [self.program_of_kubectl, "exec", "-it", "web", "--", "sh", "-c",
                   "until [ \"$(stty size)\" = '33 101' ]; do sleep 0.1; done; echo sized; read line; echo got $line; exit 5"]
        with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, env=environment) as program:
            os.close(theirs)
            text = b""
            while b"sized" not in text:
                text += os.read(ours, 1024)
            os.write(ours, b"this\n")
            self.assertEqual(program.wait(timeout=30), 5)
            while b"got this" not in text:
                text += os.read(ours, 1024)
        os.close(ours)

    def test_attach_and_cp(self):
        with tempfile.TemporaryDirectory(dir=self.home) as folder:
            there, back = pathlib.Path(folder) / "there", pathlib.Path(folder) / "back"
            there.write_bytes(os.urandom(2_000_000))
            self.kubectl("cp", str(there), "web:/tmp/file")
            self.kubectl("cp", "web:/tmp/file", str(back))
            self.assertEqual(there.read_bytes(), back.read_bytes())
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "cat"},
               "spec": {"restartPolicy": "Never",
                        "containers": [{"name": "c", "image": "host", "stdin": True, "stdinOnce": True, "command": ["cat"]}]}}
        self.kubectl("apply", "-f", "-", input=json.dumps(pod))
        self.kubectl("wait", "pod/cat", "--for=condition=Ready", "--timeout=30s")
        self.assertIn("typed\n", self.kubectl("attach", "-i", "cat", input="typed\n"))
        self.kubectl("wait", "pod/cat", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=30s")
        self.kubectl("delete", "pod", "cat")

    def test_wait_and_delete(self):
        self.kubectl("wait", "pod/once", "--for=jsonpath={.status.phase}=Failed", "--timeout=30s")
        self.kubectl("run", "gone", "--image=host", "--command", "--", "sleep", "1000")
        self.assertIn("timed out waiting", self.fails("wait", "pod/gone", "--for=delete", "--timeout=1s"))
        self.kubectl("delete", "pod", "gone", "--force", "--grace-period=0")
        self.kubectl("wait", "pod/gone", "--for=delete", "--timeout=30s")
        self.assertTrue(eventually(lambda: self.run_kubectl("get", "pod", "gone").returncode != 0))


class Kubectl132(Kubectl, LabTestCase):
    version = "1.32"


class Kubectl135(Kubectl, LabTestCase):
    version = "1.35"


if __name__ == "__main__":
    unittest.main()
