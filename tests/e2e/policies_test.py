"""Owners, disruption budgets, quotas, limit ranges, metrics and autoscaling, with kubectl."""
import json
import re
import threading
import unittest

from harness import LabTestCase, eventually
from kubectl_case import KubectlCase

BUDGET = """
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: guarded}
spec:
  minAvailable: 1
  selector: {matchLabels: {app: guarded}}
"""

LIMITS = """
apiVersion: v1
kind: LimitRange
metadata: {name: limits}
spec:
  limits:
  - {type: Container, default: {cpu: 200m}, defaultRequest: {cpu: 100m}, max: {cpu: 500m}}
"""

BUSY = """
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: busy}
spec:
  replicas: 1
  selector: {matchLabels: {app: busy}}
  template:
    metadata: {labels: {app: busy}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: main, image: host, command: [sh, -c, "while :; do :; done"], resources: {requests: {cpu: 10m}, limits: {cpu: 100m}}}
"""


class Policies(KubectlCase):
    """The tests; each class below runs them with one version."""

    def apply(self, text, *arguments):
        return self.kubectl("apply", "-f", "-", *arguments, input=text)

    def names(self, *arguments):
        return self.kubectl("get", *arguments, "-o", "name").split()

    def set_of(self, name):
        self.kubectl("create", "cm", name)
        uid = self.object("cm", name)["metadata"]["uid"]
        for i in range(2):
            self.apply(json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
                "name": f"{name}-{i}", "labels": {"of": name}, "ownerReferences": [
                    {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid, "blockOwnerDeletion": True}]}}))

    def test_dependents_follow_their_owner(self):
        self.set_of("background")
        self.kubectl("delete", "cm", "background")
        self.assertTrue(eventually(lambda: not self.names("cm", "-l", "of=background")))
        self.set_of("foreground")
        self.kubectl("delete", "cm", "foreground", "--cascade=foreground")
        self.assertEqual(self.names("cm", "-l", "of=foreground"), [])
        self.set_of("orphan")
        self.kubectl("delete", "cm", "orphan", "--cascade=orphan")
        left = self.object("cm", "-l", "of=orphan")["items"]
        self.assertEqual(len(left), 2)
        self.assertFalse([one for one in left if "ownerReferences" in one["metadata"]])
        self.kubectl("delete", "cm", "-l", "of=orphan")

    def test_a_namespace_says_what_holds_it(self):
        self.kubectl("create", "ns", "held")
        self.apply(json.dumps({"apiVersion": "v1", "kind": "ConfigMap",
                               "metadata": {"name": "c", "namespace": "held", "finalizers": ["example.com/hold"]}}))
        self.kubectl("delete", "ns", "held", "--wait=false")
        self.assertTrue(eventually(lambda: "SomeFinalizersRemain" in self.kubectl("get", "ns", "held", "-o", "yaml")))
        if not self.is_old:
            self.assertIn("SomeFinalizersRemain", self.kubectl("describe", "ns", "held"))
        self.kubectl("patch", "cm", "c", "-n", "held", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
        self.assertTrue(eventually(lambda: self.run_kubectl("get", "ns", "held").returncode != 0))

    def test_drain_waits_for_the_budget(self):
        pod = {"apiVersion": "v1", "kind": "Pod", "spec": {
            "nodeName": "node2", "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "c", "image": "host", "command": ["sleep", "infinity"]}]}}
        pod["metadata"] = {"name": "guarded", "labels": {"app": "guarded"}}
        self.apply(json.dumps(pod))
        self.apply(BUDGET)
        self.kubectl("wait", "pod/guarded", "--for=condition=Ready", "--timeout=30s")
        self.assertTrue(eventually(lambda: self.object("pdb", "guarded").get("status", {}).get("currentHealthy") == 1))
        self.assertRegex(self.kubectl("get", "pdb"), r"NAME +MIN AVAILABLE +MAX UNAVAILABLE +ALLOWED DISRUPTIONS +AGE\n"
                                                     r"guarded +1 +N/A +0 ")
        if not self.is_old:  # its describe speaks to policy/v1beta1, which is gone
            self.assertRegex(self.kubectl("describe", "pdb", "guarded"), r"Current: +1\n +Desired: +1\n")
        self.assertIn("would violate the pod's disruption budget", self.fails("drain", "node2", "--force", "--timeout=2s"))
        self.assertEqual(self.names("pod", "guarded"), ["pod/guarded"])
        # A second pod somewhere else makes room, and the drain that waits goes on.
        ends = []
        drain = threading.Thread(target=lambda: ends.append(self.run_kubectl("drain", "node2", "--force", "--timeout=50s")))
        drain.start()
        pod["metadata"] = {"name": "other", "labels": {"app": "guarded"}}
        pod["spec"]["nodeName"] = "node1"
        self.apply(json.dumps(pod))
        drain.join()
        self.assertEqual(ends[0].returncode, 0, ends[0].stderr)
        self.assertEqual(self.names("pod", "-l", "app=guarded"), ["pod/other"])
        self.kubectl("uncordon", "node2")
        self.kubectl("delete", "pdb/guarded", "pod/other")

    def test_quotas_and_limits(self):
        self.kubectl("create", "ns", "small")
        space = ("-n", "small")
        self.kubectl("create", "quota", "q", "--hard=pods=1,requests.cpu=1,configmaps=3", *space)

        def used():
            return self.object("quota", "q", *space).get("status", {}).get("used", {})

        self.assertTrue(eventually(lambda: "pods" in used()))
        run = ("run", "--image=host", *space)
        self.assertIn("failed quota: q: must specify requests.cpu", self.fails(*run, "a", "--command", "--", "sleep", "infinity"))
        self.apply(LIMITS, *space)
        self.kubectl(*run, "a", "--command", "--", "sleep", "infinity")
        self.assertEqual((used()["pods"], used()["requests.cpu"]), ("1", "100m"))
        self.assertIn("exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1",
                      self.fails(*run, "b", "--command", "--", "true"))
        self.assertRegex(self.kubectl("get", "quota", "-n", "small"), r"pods: 1/1")
        self.assertRegex(self.kubectl("describe", "quota", "q", *space), r"pods +1 +1\n")
        self.assertRegex(self.kubectl("describe", "limits", "limits", *space), r"Container +cpu +- +500m +100m +200m +-")
        text = self.kubectl("describe", "ns", "small")
        self.assertRegex(text, r"Resource Quotas\n +Name: +q\n")
        self.assertIn("Resource Limits\n", text)
        self.kubectl("delete", "pod", "a", "--force", "--grace-period=0", *space)
        self.assertTrue(eventually(lambda: used()["pods"] == "0"))
        self.kubectl("delete", "ns", "small")

    def test_top(self):
        self.assertTrue(eventually(lambda: re.search(r"\nweb +\d+m +\d+Mi", self.run_kubectl("top", "pods").stdout)))
        self.assertRegex(self.kubectl("top", "nodes"), r"\nnode1 +\d+m +\d+% +\d+Mi +\d+%")
        self.assertRegex(self.kubectl("top", "pods", "--containers", "-l", "app=web"), r"\nweb +main .*\nweb +side ")
        self.assertIn("not found", self.fails("top", "pod", "nope"))
        metrics = json.loads(self.kubectl("get", "--raw", "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/web"))
        self.assertEqual((metrics["kind"], len(metrics["containers"])), ("PodMetrics", 2))
        self.assertRegex(metrics["window"], r"s$")

    def test_autoscaling(self):
        self.apply(BUSY)
        self.kubectl("autoscale", "rs", "busy", "--min=1", "--max=2", "--cpu-percent=50")  # autoscaling/v1 of the older ones
        self.assertTrue(eventually(lambda: self.object("rs", "busy")["spec"]["replicas"] == 2, 60))
        self.assertRegex(self.kubectl("get", "hpa"), r"NAME +REFERENCE +TARGETS +MINPODS +MAXPODS +REPLICAS +AGE\n"
                                                     r"busy +ReplicaSet/busy +cpu: \d+%/50% +1 +2 ")
        # The old one knows autoscaling/v1 alone.
        self.assertIn("Target CPU utilization:   50%" if self.is_old else "ValidMetricFound", self.kubectl("describe", "hpa", "busy"))
        old = self.object("horizontalpodautoscalers.v1.autoscaling", "busy")
        self.assertEqual(old["spec"]["targetCPUUtilizationPercentage"], 50)
        self.assertIn("ValidMetricFound", old["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/conditions"])
        self.kubectl("patch", "horizontalpodautoscalers.v1.autoscaling", "busy", "--type=merge", "-p", '{"spec":{"targetCPUUtilizationPercentage":49}}')
        new = self.object("horizontalpodautoscalers.v2.autoscaling", "busy")["spec"]
        self.assertEqual([metric["resource"]["target"] for metric in new["metrics"]], [{"averageUtilization": 49, "type": "Utilization"}])
        self.assertTrue(eventually(lambda: "New size: 2; reason: cpu resource utilization" in self.kubectl("get", "events")))
        self.kubectl("delete", "hpa/busy", "rs/busy")
        self.assertTrue(eventually(lambda: not self.names("pods", "-l", "app=busy")))


class Policies120(Policies, LabTestCase):
    version = "1.20"
    is_old = True


class Policies132(Policies, LabTestCase):
    version = "1.32"


class Policies135(Policies, LabTestCase):
    version = "1.35"


if __name__ == "__main__":
    unittest.main()
