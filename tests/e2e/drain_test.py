"""Nodes are drained as disruption budgets allow."""
import json
import unittest

from harness import LabTestCase, eventually

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: host, command: [sleep, infinity]}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: v1
kind: Pod
metadata: {name: alone, labels: {app: alone}}
spec:
  nodeName: node1
  terminationGracePeriodSeconds: 0
  volumes: [{name: data, emptyDir: {}}]
  containers: [{name: main, image: host, command: [sleep, infinity]}]
"""


class Drain(LabTestCase):
    up_arguments = ("-n", "2")

    def nodes_of(self, label):
        return sorted(pod["spec"].get("nodeName", "") for pod in self.objects("pods", "-l", label))

    def test_drain(self):
        self.podlab("cordon", "node2")
        self.podlab("apply", "-f", "-", input=WEB)
        self.podlab("wait", "pod/alone", "deployment/web", "--for", "jsonpath={.metadata.name}", "--timeout", "1s")
        self.podlab("wait", "deployment", "web", "--for", "condition=Available", "--timeout", "60s")
        self.podlab("wait", "pod", "--all", "--for", "condition=Ready", "--timeout", "60s")
        self.assertTrue(eventually(lambda: self.objects("pdb")[0]["status"]["disruptionsAllowed"] == 1))
        self.assertEqual(self.podlab("uncordon", "node2"), "node/node2 uncordoned\n")
        self.assertEqual(self.nodes_of("app=web"), ["node1", "node1"])

        refused = self.run_podlab("drain", "node1")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("Pods with local storage (use --delete-emptydir-data to override): default/alone", refused.stderr)
        refused = self.run_podlab("drain", "node1", "--delete-emptydir-data")
        self.assertIn("Pods that declare no controller (use --force to override): default/alone", refused.stderr)
        self.assertEqual(self.nodes_of("app=alone"), ["node1"])

        done = self.run_podlab("node", "drain", "node1", "--force", "--delete-emptydir-data")
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        self.assertTrue(done.stdout.startswith("node/node1 already cordoned\n"), done.stdout)
        self.assertTrue(done.stdout.endswith("node/node1 drained\n"), done.stdout)
        self.assertIn("pod/alone evicted\n", done.stdout)
        self.assertIn("Warning: deleting Pods that declare no controller: default/alone", done.stderr)
        # Of the two, one had to wait for the other's successor.
        self.assertIn("(will retry after 5s): Cannot evict pod as it would violate the pod's disruption budget.", done.stderr)
        # A drain waits for no successor: the last one may not be bound yet.
        self.assertTrue(eventually(lambda: self.nodes_of("app=web") == ["node2", "node2"]), self.nodes_of("app=web"))
        self.assertTrue(json.loads(self.podlab("get", "node", "node1", "-o", "json"))["spec"]["unschedulable"])

    def test_time_runs_out(self):
        self.podlab("apply", "-f", "-", input=WEB.replace("name: web", "name: stuck").replace("app: web", "app: stuck").replace(
            "minAvailable: 1", "minAvailable: 2").rpartition("---")[0])
        self.podlab("wait", "deployment", "stuck", "--for", "condition=Available", "--timeout", "60s")
        (node, *_) = self.nodes_of("app=stuck")
        done = self.run_podlab("drain", node, "--pod-selector", "app=stuck", "--timeout", "1s")
        self.assertEqual(done.returncode, 1)
        self.assertIn("drain did not complete within 1s", done.stderr)
        self.assertIn(f"There are pending nodes to be drained:\n {node}\n", done.stderr)
        self.podlab("drain", node, "--pod-selector", "app=stuck", "--disable-eviction")
        self.podlab("delete", "deployment", "stuck")
        self.podlab("uncordon", node)


if __name__ == "__main__":
    unittest.main()
