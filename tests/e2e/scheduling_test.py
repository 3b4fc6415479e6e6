"""How pods are placed: affinity, spread, preemption, gates, and explanations."""
import json
import unittest

from harness import LabTestCase, eventually

CLUSTER = """
apiVersion: podlab.io/v1alpha1
kind: Cluster
nodes:
- {name: a1, cpu: "2", labels: {zone: a}}
- {name: a2, cpu: "2", labels: {zone: a}}
- {name: b1, cpu: "2", labels: {zone: b, disk: ssd}}
scheduler:
  profiles: [{name: packing, scoring: MostAllocated}]
"""


class Scheduling(LabTestCase):
    cluster = CLUSTER

    def make(self, name, cpu="10m", app=None, **spec):
        made = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": app or name}},
                "spec": {"terminationGracePeriodSeconds": 1, **spec,
                         "containers": [{"name": "c", "image": "host", "command": ["sleep", "infinity"],
                                         "resources": {"requests": {"cpu": cpu}}}]}}
        self.podlab("apply", "-f", "-", input=json.dumps(made))

    def pod(self, name):
        return json.loads(self.podlab("get", "pod", name, "-o", "json"))

    def node_of(self, name):
        return eventually(lambda: self.pod(name)["spec"].get("nodeName"))

    def messages(self, name, reason):
        return [event["message"] for event in self.objects("events")
                if event["involvedObject"]["name"] == name and event["reason"] == reason]

    def explain(self, *arguments):
        return json.loads(self.podlab("explain-placement", *arguments, "-o", "json"))

    def tearDown(self):
        self.podlab("delete", "pods", "--all", "--now")

    def test_affinity_and_anti_affinity(self):
        self.make("db", nodeSelector={"disk": "ssd"})
        self.assertEqual(self.node_of("db"), "b1")

        def near(key, kind):
            return {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": key, "labelSelector": {"matchLabels": {"app": "db"}}}]}}

        self.make("near", affinity=near("zone", "podAffinity"))
        self.make("far", affinity=near("zone", "podAntiAffinity"))
        self.assertEqual(self.node_of("near"), "b1")
        self.assertIn(self.node_of("far"), ("a1", "a2"))

    def test_spread(self):
        for i in range(4):
            self.make(f"s{i}", app="s", topologySpreadConstraints=[
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "s"}}}])
        zones = [self.node_of(f"s{i}")[0] for i in range(4)]
        self.assertEqual(sorted(zones), ["a", "a", "b", "b"])

    def test_a_profile_packs(self):
        self.make("first", cpu="500m", nodeSelector={"disk": "ssd"})
        self.assertEqual(self.node_of("first"), "b1")
        self.make("second", cpu="100m", schedulerName="packing")
        self.assertEqual(self.node_of("second"), "b1")
        self.make("foreign", schedulerName="nobody")
        self.make("after")
        self.assertTrue(self.node_of("after"))
        self.assertNotIn("nodeName", self.pod("foreign")["spec"])

    def test_an_urgent_pod_takes_the_place_of_another(self):
        self.podlab("apply", "-f", "-", input=json.dumps(
            {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "urgent"}, "value": 1000}))
        for node in ("a1", "a2", "b1"):
            self.make(f"on-{node}", cpu="1500m" if node != "b1" else "1200m")
            self.assertTrue(self.node_of(f"on-{node}"))
        self.wait_ready("on-a1", "on-a2", "on-b1")
        self.make("urgent", cpu="1", nodeSelector={"zone": "a"}, priorityClassName="urgent")
        node = self.node_of("urgent")
        self.assertIn(node, ("a1", "a2"))
        gone = [f"on-{n}" for n in ("a1", "a2", "b1") if f"on-{n}" not in [p["metadata"]["name"] for p in self.objects("pods")]]
        self.assertEqual(len(gone), 1, "one victim, not more")
        uid = self.pod("urgent")["metadata"]["uid"]
        self.assertEqual(eventually(lambda: self.messages(gone[0], "Preempted")), [f"Preempted by pod {uid} on node {node}"])
        self.wait_ready("urgent")

    def test_gates_hold_a_pod_back(self):
        self.make("gated", schedulingGates=[{"name": "example.com/wait"}])
        self.make("after")
        self.assertTrue(self.node_of("after"))
        self.assertNotIn("nodeName", self.pod("gated")["spec"])
        self.assertIn("example.com/wait", self.podlab("explain-placement", "gated"))
        self.make("gated")
        self.assertTrue(self.node_of("gated"))

    def test_explains_what_would_make_a_pod_fit_and_it_does(self):
        self.make("fits")
        self.assertTrue(self.node_of("fits"))
        explained = self.explain("fits")
        self.assertTrue(explained["fits"])
        totals = [node["total"] for node in explained["nodes"]]
        self.assertEqual(totals, sorted(totals, reverse=True))
        self.assertEqual(totals[0], sum(one["score"] * one["weight"] for one in explained["nodes"][0]["scores"]))

        self.make("picky", nodeSelector={"disk": "nvme"})
        eventually(lambda: self.messages("picky", "FailedScheduling"))
        text = self.podlab("explain-placement", "picky")
        self.assertIn("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.", text)
        self.assertRegex(text, r"\na1 +NodeAffinity +node\(s\) didn't match Pod's node affinity/selector +label a1 disk=nvme\n")
        self.podlab("apply", "--server-side", "-f", "-", input=json.dumps(
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a1", "labels": {"disk": "nvme"}}}))
        self.assertEqual(self.node_of("picky"), "a1")

    def test_a_dry_run_makes_nothing(self):
        deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
            "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}, "spec": {
                "containers": [{"name": "c", "image": "host", "resources": {"requests": {"cpu": "3"}}}]}}}}
        done = self.run_podlab("explain-placement", "--dry-run", "-f", "-", "-o", "json", input=json.dumps(deployment))
        self.assertEqual(done.returncode, 3, done.stderr)
        explained = json.loads(done.stdout)
        self.assertEqual(explained["pod"], "default/web")
        self.assertIn("1 cpu more on a1", [change for node in explained["nodes"] for change in node["changes"]])
        self.assertEqual(self.objects("deployments"), [])
        self.assertEqual([p for p in self.objects("pods") if p["metadata"]["name"].startswith("web")], [])


if __name__ == "__main__":
    unittest.main()
