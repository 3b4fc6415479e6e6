"""podlab's own verbs against kubectl's: the same output, the same errors."""
import concurrent.futures
import difflib
import json
import os
import pathlib
import re
import subprocess
import threading
import unittest

from harness import DATA, LabTestCase, eventually
from kubectl_case import ROOT

KINDS = """pods nodes namespaces configmaps secrets services endpoints persistentvolumeclaims persistentvolumes storageclasses
priorityclasses endpointslices networkpolicies ingresses ingressclasses replicationcontrollers replicasets deployments daemonsets
statefulsets controllerrevisions jobs cronjobs resourcequotas limitranges poddisruptionbudgets horizontalpodautoscalers leases
serviceaccounts roles rolebindings clusterroles clusterrolebindings""".split()
GROUPS = [",".join(KINDS[i:i + 5]) for i in range(0, len(KINDS), 5)]

AGE = re.compile(r"(?<![\w.-])(\d+[smhd]){1,2}(?![\w.-])|<invalid>")
FLOATING = ((re.compile(r'(resourceVersion"?: )"\d+"'), r'\1"N"'), (re.compile(r"(Resource Version: +)\d+"), r"\1N"),
            (re.compile(r"(RenewTime:? +).*|(renewTime\"?: ).*|(Renew Time: +).*"), "RENEWED"),
            (re.compile(r"(LastHeartbeatTime|lastHeartbeatTime)\"?: .*"), "BEAT"), (AGE, "AGE"), (re.compile(" +"), " "), (re.compile("-{3,}"), "---"))


def normal(text):
    """The text without what passes with time, and without the widths of columns that depend on it."""
    for pattern, put in FLOATING:
        text = pattern.sub(put, text)
    return text


def in_pieces(text):
    """The names and the reasons in one order: kubectl's is by chance, over lines and within brackets."""
    return "\n".join(sorted(piece for piece in re.split(r", |; |\n|[\[\]]", normal(text)) if piece))


def gist(errors):
    """What went wrong, without the hints of either program, the programs' names, and the log of kubectl's libraries."""
    lines = [line for line in errors.splitlines() if line and not line.startswith(("See '", "Run it with",
              "Use \"kubectl", "Warning:", "--profile=")) and not re.match(r"[EWI]\d{4} \d\d:", line)]
    said = re.sub(r"\. Printing more information.*", "", "\n".join(lines), flags=re.DOTALL)
    return re.sub(r"(Unable to find .*?: )\1", r"\1", said).replace("kubectl-1.35", "podlab").replace("kubectl",
              "podlab").replace("error: ", "")


class Verbs(LabTestCase):
    up_arguments = ("-n", "2")
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        fetched = subprocess.run([ROOT / "scripts/kubectl", "1.35"], capture_output=True, text=True, check=False, timeout=120)
        if fetched.returncode != 0:
            raise unittest.SkipTest(f"kubectl 1.35 cannot be fetched: {fetched.stderr}")
        cls.program_of_kubectl = fetched.stdout.strip()
        super().setUpClass()
        (cls.kube / "config").write_text(cls.run_podlab("kubeconfig").stdout)
        done = cls.run_podlab("apply", "-f", DATA / "verbs.yaml")
        assert done.returncode == 0, done.stderr
        for what, goal in (("deploy/deploy", "condition=Available"), ("job/done", "condition=Complete"), ("pod/web", "condition=Ready"),
                           ("rs/replicas", "jsonpath={.status.readyReplicas}=1"), ("sts/set", "jsonpath={.status.readyReplicas}=2"),
                           ("ds/daemon", "jsonpath={.status.numberAvailable}=2"), ("rc/control", "jsonpath={.status.readyReplicas}=1"),
                           ("pod/failed", "jsonpath={.status.phase}=Failed"), ("pdb/budget", "jsonpath={.status.currentHealthy}=2"),
                           ("hpa/scaler", "condition=AbleToScale=False")):
            done = cls.run_podlab("wait", "-n", "shown", what, "--for", goal, "--timeout", "60s")
            assert done.returncode == 0, f"{what}: {done.stderr}"

    @classmethod
    def run_kubectl(cls, *arguments, **options):
        options.setdefault("timeout", 30)
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        environment = dict(os.environ, HOME=str(cls.kube), KUBECONFIG=str(cls.kube / "config"))
        return subprocess.run([cls.program_of_kubectl, *arguments], env=environment, capture_output=True, text=True, check=False, **options)

    @classmethod
    def run_podlab(cls, *arguments, **options):
        return super().run_podlab(*arguments, **{"timeout": 60, **options})

    def difference(self, arguments, errors=True, shape=normal, **options):
        """How the two differ; "" when they do not."""
        for attempt in (1, 2):  # the objects may have changed between the two
            theirs, ours = self.run_kubectl(*arguments, **options), self.run_podlab(*arguments, **options)
            found = []
            for name, a, b in (("stdout", theirs.stdout, ours.stdout),
                               ("stderr", gist(theirs.stderr) if errors else "", gist(ours.stderr) if errors else "")):
                if a != b and shape(a) != shape(b):
                    found += difflib.unified_diff(shape(a).splitlines(), shape(b).splitlines(), f"kubectl {name}", f"podlab {name}",
                              "", "", 1, "")
            # podlab ends with 2 for a command line that makes no sense.
            if (theirs.returncode != 0) != (ours.returncode != 0) or (ours.returncode not in (theirs.returncode, 2)):
                found.append(f"exit {theirs.returncode} of kubectl, {ours.returncode} of podlab: {ours.stderr}")
            if not found:
                return ""
        return "\n".join([f"$ {' '.join(map(str, arguments))}", *found])

    def same(self, *lines, **options):
        """Runs each with both programs, several at a time."""
        commands = [line.split() if isinstance(line, str) else list(line) for line in lines]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            found = [one for one in pool.map(lambda command: self.difference(command, **options), commands) if one]
        if found:
            self.fail(f"{len(found)} of {len(commands)} differ:\n" + "\n".join(found))

    def test_get_every_kind(self):
        self.same(*(f"get {kinds} -n shown{flags}" for kinds in GROUPS for flags in ("", " -o wide", " -o yaml")))

    def test_drain(self):
        dry = "--dry-run=client"
        self.same(f"cordon node1 {dry}", f"uncordon node1 {dry}", f"cordon node1 node/node2 {dry}", f"cordon -l no=such {dry}", "cordon nope",
                  "drain nope", f"drain node1 {dry}", f"drain node1 node2 {dry} --ignore-daemonsets", f"drain node1 {dry} --force",
                  "cordon node1 -l a=b", "drain node1 -l a=b", errors=True, shape=in_pieces)
        all_pods = "--ignore-daemonsets --force --delete-emptydir-data"
        self.same(f"drain node1 {dry} {all_pods}", f"drain -l kubernetes.io/hostname=node2 {dry} {all_pods}",
                  f"drain node1 {dry} --pod-selector app=web --force --delete-emptydir-data --ignore-daemonsets", shape=in_pieces)
        for verb in ("cordon", "cordon", "uncordon", "uncordon"):
            done = self.podlab(verb, "node1")
            self.assertIn(f"{verb}ed", done)
            self.same(f"{verb} node1")  # kubectl, and then podlab, find it so already

    def test_get_formats(self):
        self.same(*(["get", *what.split(), "-n", "shown", "-o", output] for what in ("pods", "pod web", "cm,svc", "cm config nope",
                  "pods -l no=such")
                    for output in ("json", "yaml", "name", "jsonpath={.items[*].metadata.name}",
                              "jsonpath={.kind}{'\\t'}{.metadata.labels}",
                                   'jsonpath={range .items[?(@.metadata.name=="web")]}{.spec.containers[*].name}{"\\n"}{end}',
                                   "jsonpath={.items[-1:].metadata.name}", "jsonpath={.items[0,1].metadata['name','uid']}",
                                   "jsonpath-as-json={.items[*].metadata.labels}",
                                             "custom-columns=A:.metadata.name,L:.metadata.labels,X:.no.such",
                                   "custom-columns=N:{.spec.containers[*].name},T:metadata.creationTimestamp")))

    def test_get_files_of_formats(self):
        (self.state / "path").write_text("{.metadata.name} of {.kind}")
        (self.state / "columns").write_text("NAME     KIND\nmetadata.name   .kind\n")
        self.same(f"get pod web -n shown -o jsonpath-file={self.state}/path",
                  f"get cm -n shown -o custom-columns-file={self.state}/columns",
                  "get pod web -o jsonpath-file=/nonexistent", errors=False)

    def test_get_selects(self):
        self.same("get pods -A -l app=web", "get pods -n shown -l app!=web,tier", ["get", "cm", "-n", "shown", "-l",
                  "app in (web,api),tier notin (back)"],
                  "get cm -n shown -l !app", "get pods -n shown --field-selector status.phase=Running,spec.nodeName=node1",
                  "get pods -n shown --field-selector metadata.name!=web", "get pods -A", "get pods,deploy,cm -A", "get all -n shown",
                            "get all -A -o name",
                  "get pod/web node/node1 pod/failed -n shown", "get po,no web node1 -n shown", "get deployments.apps -n shown",
                  "get deployments.v1.apps -n shown", "get Pod web -n shown", "get po web failed -n shown",
                            "get cm,secret,pdb -n shown -o name",
                  "get cm -n shown --chunk-size=1", "get cm -n shown --chunk-size=0 -o name", "get pods -n nowhere",
                            "get pods -A -l a=b", "get nodes -l a=b",
                  "get pods,nodes -n nowhere -l a=b", "get pods -n nowhere -o name", "get pods -n nowhere -o yaml",
                  f"get -f {DATA}/verbs.yaml -o name", f"get -f {DATA}/verbs.yaml", f"get -R -f {DATA}/verbs.yaml --ignore-not-found")

    def test_get_columns(self):
        self.same(*(f"get cm -n shown {flags}" for flags in (
            "--show-labels", "-L app,tier", "-L app -L tier --show-labels", "--no-headers", "--show-kind",
                      "-L kubernetes.io/x -o wide", "-A --no-headers",
            "--sort-by=.metadata.name", "--sort-by={.metadata.creationTimestamp}", "--sort-by=.metadata.name -o name",
            "--sort-by=metadata.name -o yaml", "--show-managed-fields -o yaml", "-o custom-columns=A:.metadata.name --no-headers",
                      "-o wide --no-headers")),
                  "get pods -n shown --sort-by=.status.podIP -l app=web", "get deploy deploy -n shown --subresource=scale",
                            "get deploy/deploy -n shown --subresource=scale -o yaml",
                  "get pod web -n shown --subresource=status", "get deploy -n shown --subresource=scale")

    def test_get_errors(self):
        self.same("get pod nope -n shown", "get pod web nope nada -n shown", "get pod nope -n shown --ignore-not-found",
                  "get pod nope --ignore-not-found -o yaml",
                  "get pod nope -o yaml", "get podz", "get pods,podz", "get pod/a/b", "get pod/", "get /web", "get pod/a pod",
                            "get pods pod/a", "get pods a -A", "get pods a -l b=c",
                  "get pods -o foo", "get pods -o jsonpath", "get pods -o custom-columns", "get pods -o custom-columns=A",
                            "get pods -o jsonpath={.items[0",
                  "get -f /nonexistent", f"get -f {DATA}/verbs.yaml pods", "get pods,nodes -w", "get pod/a -w", "get nope/x", ["get",
                            "pods", "-l", "a in ("],
                  "get pods --field-selector foo=bar", "get pods -n shown web -o jsonpath={.spec.nope}", "get pods --output-watch-events",
                  shape=lambda text: re.sub("allowed formats are: .*", "", normal(text)))
        for command, said in (("get -k .", "kustomize"), ("get pods -o go-template={{.x}}", "no such format"), ("get pods --foo",
                  "unknown flag: --foo"),
                              ("get", "You must specify the type of resource"), ("get -f https://x/y.yaml", "not addresses")):
            done = self.run_podlab(*command.split())
            self.assertIn(done.returncode, (1, 2))
            self.assertIn(said, done.stderr)

    def test_watch(self):
        for flags, lines in (((), 2), (("--output-watch-events",), 3), (("--watch-only", "--output-watch-events"), 2), (("-o", "name"),
                  1),
                             (("-o", "json", "--output-watch-events"), 2), (("-o", "yaml"), 10), (("--no-headers",), 1),
                             (("-o", "custom-columns=N:.metadata.name"), 2)):
            self.assertEqual(*self.watched(flags, lines), flags)

    def watched(self, flags, lines):
        """The different lines that each program shows of an object that changes."""
        def change(number):
            self.podlab("apply", "-n", "shown", "-f", "-",
                      input="{apiVersion: v1, kind: ConfigMap, metadata: {name: seen, labels: {watched: ''}}, data: {count: '%d'}}" % number)

        change(0)
        environment = dict(self.environment, KUBECONFIG=str(self.kube / "config"))
        watches = [subprocess.Popen([program, "get", "cm", "-n", "shown", "-l", "watched", "-w",
                  *flags], env=environment, stdout=subprocess.PIPE,
                                    stderr=subprocess.DEVNULL, text=True) for program in (self.program_of_kubectl, self.program)]
        shown = [set(), set()]

        def read(stream, into):
            for line in stream:
                into.add(re.sub(r'count\W+\d+|resourceVersion\W+\d+|"managedFields":.*?\}\],', "", normal(line)))

        readers = [threading.Thread(target=read, args=(watch.stdout, into)) for watch, into in zip(watches, shown)]
        try:
            for reader in readers:
                reader.start()
            numbers = iter(range(1, 200))

            def both():
                change(next(numbers))
                return all(len(one) >= lines for one in shown) and shown[0] == shown[1]
            eventually(both)
        finally:
            for watch in watches:
                watch.kill()
                watch.wait()
            for watch, reader in zip(watches, readers):
                reader.join()
                watch.stdout.close()
            self.run_podlab("delete", "cm", "seen", "-n", "shown")
        return shown

    def test_describe_every_kind(self):
        def lines(text):  # events of the same second have no order, nor have the resources of a LimitRange
            return "\n".join(sorted(normal(text).splitlines()))
        self.same(*(f"describe {kinds} -n shown" for kinds in GROUPS), shape=lines)
        self.same(*(f"describe {kinds} -n shown --show-events=false" for kinds in GROUPS if "limitranges" not in kinds and "namespaces" not in kinds))

    def test_describe_selects(self):
        self.same("describe pod deploy -n shown --show-events=false", "describe cm config -n shown", "describe cm conf -n shown",
                  "describe pod nope", "describe pod/dep -n shown",
                  "describe pods -n nowhere", "describe pods -l a=b", "describe pod nope nada web -n shown --show-events=false",
                            "describe podz", "describe cm,secret -n shown -l app=web",
                  "describe cm -A -l app=web", "describe nodes -l a=b", "describe pod/web cm/config -n shown --show-events=false",
                            "describe pod a -A")

    def test_events(self):
        def lines(text):
            return "\n".join(sorted(normal(text).splitlines()))
        self.same("events -n shown", "events -A", "events -n shown --for pod/web", "events -n shown --types=Warning",
                  "events -n shown --types=warning,Normal --no-headers",
                  "events -n nowhere", "events --types=Foo", "events -n nowhere --for deployments.apps/x",
                            shape=lines)

    def test_wait(self):
        self.same("wait pod/web -n shown --for=condition=Ready", "wait pod web failed -n shown --for=condition=PodScheduled",
                  "wait deploy --all -n shown --for=condition=available",
                  "wait pod/web -n shown --for=condition=Ready=false --timeout=0",
                            "wait pod/web -n shown --for=condition=Foo --timeout=100ms",
                  "wait pod/web -n shown --for=jsonpath={.status.phase}=Running", "wait pod/web -n shown --for=jsonpath={.status.phase}",
                  "wait pod/web -n shown --for=jsonpath={.spec.containers[0].name}=main", ["wait", "pod/web", "-n", "shown",
                            '--for=jsonpath={.status.conditions[?(@.type=="Ready")].status}=True'],
                  "wait pod/web -n shown --for=jsonpath={.status.phase}=Foo --timeout=100ms",
                            "wait job/done -n shown --for=condition=complete", "wait pod/web -n shown --for=create",
                  "wait pod/nope -n shown --for=create --timeout=100ms", "wait pod/nope -n shown --for=delete",
                            "wait pod/web -n shown --for=delete --timeout=2s",
                  "wait pod/nope -n shown --for=condition=Ready", "wait pods -n nowhere --all --for=condition=Ready",
                            "wait pods -n shown --for=condition=Ready",
                  "wait pods -l a=b --for=delete", "wait pod/web --for=foo", "wait pod/web -n shown --for=condition=Ready -o name",
                            "wait pods -l app=web -n shown --for=condition=Ready",
                  "wait pod/web -n shown --for=jsonpath={.spec.containers[*].name}=main")

    def test_logs(self):
        self.same("logs web -n shown", "logs web -n shown -c side", "logs web side -n shown",
                  "logs pod/web -n shown --all-containers --prefix", "logs web -n shown --tail=1",
                  "logs web -n shown --tail=0", "logs web -n shown --limit-bytes=3", "logs -l app=deploy -n shown --prefix",
                            "logs -l app=deploy -n shown --tail=-1", "logs nope -n shown",
                  "logs web -n shown -c nope", "logs web -n shown -p", "logs failed -n shown", "logs job/done -n shown --all-pods",
                            "logs sts/set -n shown", "logs pending -n shown",
                  "logs -l a=b -n shown", "logs web side -c side -n shown", "logs web -n shown --since=1h",
                            "logs web -n shown --since=1h --since-time=2020-01-01T00:00:00Z",
                  "logs web -n shown --since-time=2020-01-01T00:00:00Z", "logs web -n shown --tail=-2", "logs svc/web -n shown",
                  shape=lambda text: "\n".join(sorted(normal(text).splitlines())))

    def test_exec_and_attach(self):
        self.same("exec web -n shown -- echo hi", "exec pod/web -n shown -c side -- echo hi", "exec web -n shown -- sh -c exit\\ 1",
                  ["exec", "web", "-n", "shown", "--", "sh", "-c", "exit 7"],
                  "exec deploy/deploy -n shown -- echo hi", "exec svc/web -n shown -- echo hi", "exec nope -n shown -- true",
                            "exec web -n shown -c nope -- true", "exec failed -n shown -- true",
                  "exec web -n shown -- /no/such", "exec web -n shown", "attach failed -n shown", "attach nope -n shown",
                            "attach web -n shown -c nope",
                  shape=lambda text: re.sub("/no/such.*|container not found.*|cannot exec.*|(Error from server .*)?container nope.*",
                            "", normal(text)))
        self.same("exec web -n shown -i -- cat", input="typed\n")

    def test_top(self):
        def names(text):
            return "\n".join(sorted(" ".join(re.findall(r"^\S+|NAME|POD|CPU\S+|MEMORY\S+", line)) for line in text.splitlines()))
        self.same("top node", "top node node1", "top node --no-headers", "top node nope", "top pod -n shown", "top pod web -n shown",
                  "top pod -A", "top pod -n shown --containers",
                  "top pod -n shown -l app=web", "top pod -n nowhere", "top pod nope", "top node --sort-by=cpu",
                            "top pod -n shown --sort-by=memory --no-headers", shape=names)

    def test_create(self):
        quoted = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: made, namespace: shown}\ndata: {a: '1'}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: made, namespace: shown}\nspec: {ports: [{port: 80}]}\n"
        for flags in ("", " --dry-run=server", " --dry-run=client", " -o name", " --dry-run=server -o yaml",
                  " --dry-run=client -o json", " --save-config", " -o jsonpath={.kind}"):
            self.each(f"create -f -{flags}", "delete -f - --wait=false", input=quoted)
        self.same("create -f -", input=quoted.replace("made", "config").split("---")[0])
        self.same("create", "create -f /nonexistent", "create -f /dev/null", "create cm", "create -f - -o foo",
                  shape=lambda text: re.sub("exactly one NAME.*|NAME is required|allowed formats are: .*", "", normal(text)))
        for line in ("ns made", "cm made --from-literal=a=b --from-literal=c=d",
                  f"configmap made --from-file={ROOT}/tests/data/course/index.html", "secret generic made --from-literal=a=b",
                     "deployment made --image=host --replicas=2 --port=80", "job made --image=host -- true", "sa made",
                               "quota made --hard=pods=5,cpu=1"):
            kind = line.split()[0]
            self.same(["create", *line.replace(" made", " made --dry-run=client -o yaml",
                      1).split()], shape=lambda text: re.sub(r"(?m)^ *(creationTimestamp: null|resources: \{\}|strategy: \{\}|status: \{\}|spec: \{\}|metadata: \{\}|namespace: default)\n", "", text))
            self.each(f"create {line}", f"delete {kind} made --now")

    def each(self, line, undo, **options):
        """One program, undone, and the other one."""
        said = []
        for run in (self.run_kubectl, self.run_podlab):
            done = run(*line.split(), **options)
            undone = run(*undo.split(), **options)
            said.append([normal(re.sub(r"uid: .*|creationTimestamp: .*|clusterIP.*|- 10\..*|fieldManager.*", "", done.stdout)),
                      gist(done.stderr), done.returncode, undone.stdout])
        self.assertEqual(*said, line)

    def test_apply(self):
        first = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: made, namespace: shown, labels: {a: b}}\ndata: {a: '1', b: '2'}\n"
        second = first.replace("b: '2'", "c: '3'").replace("a: b", "a: c")
        service = "apiVersion: v1\nkind: Service\nmetadata: {name: made, namespace: shown}\nspec: {ports: [{name: a, port: 80}, {name: b, port: 81}]}\n"
        results = []
        for run in (self.run_kubectl, self.run_podlab):
            said = []
            for arguments, text in ((("--dry-run=client",), first), (("--dry-run=server",), first), ((), first), ((), first), ((),
                      second), (("-o", "name"), first), (("--dry-run=server",), second),
                                    (("-o", "jsonpath={.data}"), second), ((), service), ((), service.replace("{name: a, port: 80}, ",
                                              "")), (("--server-side",), service),
                                    (("-l", "a=c"), second), (("-l", "a=x"), second), ((), first + "---\n" + service)):
                done = run("apply", "-f", "-", *arguments, input=text)
                said.append([arguments, done.stdout, gist(done.stderr), done.returncode])
            found = json.loads(run("get", "cm,svc", "made", "-n", "shown", "-o", "json").stdout)
            for item in found["items"]:
                annotations = item["metadata"]["annotations"]
                said.append([annotations, item.get("data"), item.get("spec", {}).get("ports")])
            self.assertEqual(run("delete", "cm,svc", "made", "-n", "shown").returncode, 0)
            results.append(said)
        self.assertEqual(*results)

    def test_apply_of_what_was_created(self):
        text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: made, namespace: shown}\ndata: {a: '1'}\n"
        said = []
        for run in (self.run_kubectl, self.run_podlab):
            run("create", "-f", "-", input=text)
            done = run("apply", "-f", "-", input=text)
            said.append([done.stdout, done.stderr.replace("kubectl apply", "podlab apply").replace("kubectl create", "podlab create")])
            run("delete", "cm", "made", "-n", "shown")
        self.assertEqual(*said)

    def test_delete(self):
        def made():
            done = self.run_podlab("apply", "-n", "shown", "-f", "-", input="\n---\n".join(
                f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, labels: {{bin: 'yes'}}}}" for name in ("x1", "x2", "x3")))
            self.assertEqual(done.returncode, 0, done.stderr)
        for line in ("delete cm x1 -n shown", "delete cm/x1 cm/x2 -n shown", "delete cm x1 nope -n shown", "delete cm -l bin -n shown",
                  "delete cm x1 -n shown -o name", 
                     "delete cm x1 -n shown --force", "delete cm x1 -n shown --force --grace-period=0",
                               "delete cm x1 -n shown --dry-run=client", "delete cm x1 -n shown --dry-run=server -o name",
                     "delete cm x1 -n shown --cascade=orphan", "delete cm x1 -n shown --wait=false",
                     "delete cm --field-selector metadata.name=x2 -n shown", "delete cm -A -l bin"):
            said = []
            for run in (self.run_kubectl, self.run_podlab):
                made()
                done = run(*line.split())
                said.append([done.stdout, done.stderr, done.returncode])
            self.assertEqual(*said, line)
        self.run_podlab("delete", "cm", "-n", "shown", "-l", "bin")
        self.same("delete pod nope", "delete pod nope --ignore-not-found", "delete pods -l a=b", "delete pods --all -n nowhere",
                  "delete cm nope --dry-run=server",
                  "delete cm x --dry-run=foo", "delete cm/a pod", "delete pods x --now --grace-period=3",
                            "delete pods x --force --grace-period=3", "delete cm x --cascade=foo", "delete sc nope -n shown",
                  "delete pods", "delete pods --all foo", "delete -f /nonexistent", "delete deploy nope", "delete pods -l a=b --all",
                            "delete cm a -l b=c", "delete pods x -o yaml",
                  shape=lambda text: re.sub("Invalid dry-run.*|--dry-run.*", "", normal(text)))

    def test_port_forward_errors(self):
        self.same("port-forward nope 80 -n shown", "port-forward failed 80 -n shown", "port-forward web nosuch -n shown",
                  "port-forward web -n shown",
                  shape=lambda text: re.sub("Current status=.*", "", text))

    def test_debug(self):
        self.same("debug nope --image host -n shown -c x")


if __name__ == "__main__":
    unittest.main()
