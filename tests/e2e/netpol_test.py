"""Network policies as a user meets them: kubectl apply, and what passes between pods of three nodes."""
import concurrent.futures
import json
import os
import signal
import time
import unittest

from harness import LabTestCase, eventually
from kubectl_case import KubectlCase

POD = """
apiVersion: v1
kind: Pod
metadata: {name: %(name)s, namespace: %(namespace)s, labels: {app: %(name)s}}
spec:
  nodeName: %(node)s
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: host
    command: [/usr/bin/python3, -u, -m, http.server, "8080", --bind, "::", --directory, /usr/share/doc]
    ports: [{name: http, containerPort: 8080}]
    readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}
---
"""

# Connects to each address given, all at once, and prints for each whether that succeeded.
CONNECT = """
import json, select, socket, sys
timeout, addresses = float(sys.argv[1]), sys.argv[2:]
pending = {}
for address in addresses:
    client = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    client.setblocking(False)
    client.connect_ex((address, 8080))
    pending[client] = address
connected = []
while pending:
    _, ready, _ = select.select([], list(pending), [], timeout)
    if not ready:
        break
    for client in ready:
        if client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
            connected.append(pending[client])
        del pending[client]
print(json.dumps(connected))
"""

NAMESPACES = """
apiVersion: v1
kind: Namespace
metadata: {name: store}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: shop}}
---
"""

PODS = {"store/web": "node1", "store/client": "node2", "store/other": "node1", "shop/client": "node3"}

DENY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: store}
spec: {podSelector: {}, policyTypes: [Ingress]}
"""

FROM_CLIENT = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: from-client, namespace: store}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: client}}}]
    ports: [{port: http}]
"""

FROM_SHOP = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: from-shop, namespace: store}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from: [{namespaceSelector: {matchLabels: {team: shop}}}]
"""

CLOSED = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed, namespace: shop}
spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: %s}}]}]}
"""


class NetworkPolicies(KubectlCase, LabTestCase):
    version = "1.32"
    up_arguments = ()
    cluster = """
apiVersion: podlab.io/v1alpha1
kind: Cluster
nodes: [{count: 3}]
networking: {ipFamily: dual}
"""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        manifest = NAMESPACES
        for key, node in PODS.items():
            namespace, name = key.split("/")
            manifest += POD % {"name": name, "namespace": namespace, "node": node}
        done = cls.run_kubectl("apply", "-f", "-", input=manifest)
        assert done.returncode == 0, done.stderr
        cls.addresses = {}
        for key in PODS:
            namespace, name = key.split("/")
            done = cls.run_kubectl("wait", "pod", name, "-n", namespace, "--for=condition=Ready", "--timeout=60s")
            assert done.returncode == 0, done.stderr
            found = json.loads(cls.run_kubectl("get", "pod", name, "-n", namespace, "-o", "json").stdout)
            cls.addresses[key] = [ip["ip"] for ip in found["status"]["podIPs"]]

    def tearDown(self):
        for namespace in ("store", "shop"):
            self.kubectl("delete", "networkpolicy", "--all", "-n", namespace)
        self.eventually_reaches(lambda source, target: True)

    def connects(self, source, addresses):
        """Those of the addresses to which a pod of this key can connect."""
        namespace, name = source.split("/")
        return json.loads(self.podlab("exec", name, "-n", namespace, "--", "/usr/bin/python3", "-c", CONNECT, "0.4", *addresses))

    def reached(self, source):
        """Pods that a pod of this key can connect to by all of their addresses; by some of them is a fault."""
        found = set(self.connects(source, [ip for key in PODS if key != source for ip in self.addresses[key]]))
        reached = set()
        for key in PODS:
            if key != source and found & set(self.addresses[key]):
                reached.add(key)
                self.assertLessEqual(set(self.addresses[key]), found, f"{source} to {key} in one family only")
        return reached

    def eventually_reaches(self, allowed):
        """Every pod comes to reach exactly the others for which `allowed` holds."""
        wanted = {source: {target for target in PODS if target != source and allowed(source, target)} for source in PODS}

        def disagreeing():
            with concurrent.futures.ThreadPoolExecutor(len(PODS)) as pool:
                agree = pool.map(lambda source: self.agrees(source, wanted[source]), PODS)
                return [source for source, agrees in zip(PODS, agree) if not agrees]

        if not eventually(lambda: not disagreeing()):
            for source in PODS:
                self.assertEqual(self.reached(source), wanted[source], source)

    def agrees(self, source, wanted):
        try:
            return self.reached(source) == wanted
        except AssertionError:  # between two states
            return False

    def write(self, *policies):
        done = self.run_kubectl("apply", "-f", "-", input="---".join(policies))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("Warning", done.stderr)

    def test_default_deny_and_what_policies_admit(self):
        self.write(DENY)
        self.eventually_reaches(lambda source, target: target.startswith("shop/"))
        self.write(FROM_CLIENT)
        self.eventually_reaches(lambda source, target: target.startswith("shop/") or
                                (source, target) == ("store/client", "store/web"))
        self.write(FROM_SHOP)
        self.eventually_reaches(lambda source, target: target.startswith("shop/") or
                                (target == "store/web" and source != "store/other"))
        # The namespace's labels and the pods' count as they are now.
        self.kubectl("label", "namespace", "shop", "team-")
        self.eventually_reaches(lambda source, target: target.startswith("shop/") or
                                (source, target) == ("store/client", "store/web"))
        self.kubectl("label", "namespace", "shop", "team=shop")
        self.kubectl("label", "pod", "other", "-n", "store", "app=client", "--overwrite")
        self.eventually_reaches(lambda source, target: target.startswith("shop/") or target == "store/web")
        self.kubectl("label", "pod", "other", "-n", "store", "app=other", "--overwrite")

    def test_egress_by_block(self):
        self.write(CLOSED % (self.addresses["store/web"][0] + "/32"))
        every = [address for key in PODS if key != "shop/client" for address in self.addresses[key]]
        self.assertTrue(eventually(lambda: self.connects("shop/client", every) == [self.addresses["store/web"][0]]))
        # Its probes go on: a pod and its node always reach each other.
        time.sleep(1.5)
        self.kubectl("wait", "pod", "client", "-n", "shop", "--for=condition=Ready", "--timeout=5s")

    def test_a_new_pod_is_isolated_from_its_first_packet_on(self):
        self.write(DENY)
        self.eventually_reaches(lambda source, target: target.startswith("shop/"))
        manifest = POD % {"name": "late", "namespace": "store", "node": "node2"}
        self.kubectl("apply", "-f", "-", input=manifest.rpartition("---")[0])
        self.kubectl("wait", "pod", "late", "-n", "store", "--for=condition=Ready", "--timeout=60s")
        found = json.loads(self.kubectl("get", "pod", "late", "-n", "store", "-o", "json"))
        self.assertEqual(self.connects("store/client", [ip["ip"] for ip in found["status"]["podIPs"]]), [])
        self.kubectl("delete", "pod", "late", "-n", "store", "--now")

    def test_rules_are_repaired_and_survive_an_agent(self):
        self.write(DENY)
        self.eventually_reaches(lambda source, target: target.startswith("shop/"))
        self.in_node("node1", "/usr/sbin/nft", "delete", "table", "inet", "podlab")
        self.assertTrue(eventually(lambda: "isolated by store/deny" in self.in_node(
            "node1", "/usr/sbin/nft", "list", "ruleset")))
        self.in_node("node1", "/usr/sbin/nft", "insert", "rule", "inet", "podlab", "ingress", "accept")
        self.assertTrue(eventually(lambda: self.agrees("store/client", {"shop/client"})))
        (agent,) = self.processes("agent", "--node-name", "node1")
        os.kill(agent, signal.SIGKILL)
        self.assertTrue(eventually(lambda: self.processes("agent", "--node-name", "node1") not in ([], [agent])))
        self.assertIn("isolated by store/deny", self.in_node("node1", "/usr/sbin/nft", "list", "ruleset"))
        self.eventually_reaches(lambda source, target: target.startswith("shop/"))


if __name__ == "__main__":
    unittest.main()
