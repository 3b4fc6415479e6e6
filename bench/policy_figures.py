"""From a write at the API to the rules in a node's kernel: 1,000 pods, of which the node runs 50, and 100 policies."""
import http.client
import json
import pathlib
import queue
import re
import ssl
import subprocess
import threading
import time

from lab_support import Lab, median, report

HERE = pathlib.Path(__file__).parent
PODS, LOCAL, POLICIES, APPS = 1000, 50, 100, 50
NETWORKING = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies"
CORE = "/api/v1/namespaces/default/pods"


class Api:
    """The lab's REST API, by one connection."""

    def __init__(self, lab):
        (pki,) = lab.state.glob("*/pki")
        context = ssl.create_default_context(cafile=pki / "ca.crt")
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        address = re.search(r"server: https://(\S+):(\d+)", lab.podlab("kubeconfig"))
        self.connection = http.client.HTTPSConnection(address[1], int(address[2]), context=context, timeout=60)

    def write(self, method, path, body, kind="application/json"):
        self.connection.request(method, path, json.dumps(body), {"Content-Type": kind})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {text.decode()}")

    def make_pod(self, number, node, runs):
        """One that a node runs, or that has run since it was made, on a node that nobody is."""
        name = f"pod-{number}"
        self.write("POST", CORE, {
            "metadata": {"name": name, "labels": {"app": f"app-{number % APPS}"}},
            "spec": {"nodeName": node, "terminationGracePeriodSeconds": 0,
                     "containers": [{"name": "c", "image": "host", "command": ["sleep", "infinity"]}]}})
        if runs:
            return
        address = f"10.200.{number // 250}.{number % 250 + 1}"
        self.write("PATCH", f"{CORE}/{name}/status", {"status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}},
                   "application/merge-patch+json")

    def make_policy(self, number):
        app = {"matchLabels": {"app": f"app-{number % APPS}"}}
        self.write("POST", NETWORKING, {
            "metadata": {"name": f"policy-{number}"},
            "spec": {"podSelector": app, "policyTypes": ["Ingress"],
                     "ingress": [{"from": [{"podSelector": app}], "ports": [{"protocol": "TCP", "port": 20000 + number}]}]}})

    def change_policy(self, number, port):
        self.write("PATCH", f"{NETWORKING}/policy-{number}",
                   [{"op": "replace", "path": "/spec/ingress/0/ports/0/port", "value": port}], "application/json-patch+json")


class Commits:
    """The times of commits to a node's nftables."""

    def __init__(self, pid):
        self.process = subprocess.Popen(["nsenter", "-t", str(pid), "-n", "/usr/bin/python3", str(HERE / "nft_commits.py")],
                                        stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()
        self.times = queue.SimpleQueue()
        threading.Thread(target=lambda: [self.times.put(float(line)) for line in self.process.stdout], daemon=True).start()

    def settle(self, quiet=1.0):
        """Until there has been none for so long."""
        while True:
            try:
                self.times.get(timeout=quiet)
            except queue.Empty:
                return

    def after(self, write):
        """Milliseconds from the beginning of the write to the commit that it makes."""
        begin = time.monotonic()
        write()
        while (end := self.times.get(timeout=10)) < begin:
            pass
        return (end - begin) * 1000

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def policy(rounds):
    """Writes at the API that change what a node enforces."""
    with Lab(1) as lab:
        lab.up()
        api = Api(lab)
        api.write("POST", "/api/v1/nodes", {"metadata": {"name": "nobody"}})
        for number in range(PODS):
            api.make_pod(number, "node1" if number < LOCAL else "nobody", number < LOCAL)
        lab.podlab("wait", "pod", *(f"pod-{number}" for number in range(LOCAL)), "--for", "condition=Ready", "--timeout", "120s")
        for number in range(POLICIES):
            api.make_policy(number)
        commits = Commits(lab.processes("agent")[0])
        try:
            commits.settle()
            changed, pods = [], []
            for turn in range(10 * rounds):
                time.sleep(0.05)
                changed.append(commits.after(lambda: api.change_policy(5, 30000 + turn)))
                time.sleep(0.05)
                pods.append(commits.after(lambda: api.make_pod(PODS + turn, "nobody", False)))
        finally:
            commits.close()
    shape = f"{PODS} pods, {POLICIES} policies"
    report(f"from the write of a policy to its rules in the kernel, {shape}", median(changed), "ms", ("<", 50),
           f"worst {max(changed):.3g} ms", changed[:10])
    report("from the writes of a pod and its address to the kernel", median(pods), "ms", ("<", 50),
           f"worst {max(pods):.3g} ms", pods[:10])
