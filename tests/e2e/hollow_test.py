"""Hollow nodes: simulated containers behind the agent's own code, alone and beside real nodes."""
import json
import os
import signal
import unittest

from harness import LabTestCase, eventually, host_network, processes_below

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: %(name)s}
spec:
  replicas: %(replicas)d
  selector: {matchLabels: {app: %(name)s}}
  template:
    metadata: {labels: {app: %(name)s}}
    spec:
      nodeSelector: %(selector)s
      terminationGracePeriodSeconds: 1
      containers:
      - {name: main, image: host, command: [sleep, infinity]}
"""


class HollowCase(LabTestCase):
    def deploy(self, name, replicas, selector="{}"):
        self.podlab("apply", "-f", "-", input=DEPLOYMENT % {"name": name, "replicas": replicas, "selector": selector})
        self.wait_replicas(name, replicas)

    def wait_replicas(self, name, replicas):
        self.podlab("wait", "deployment", name, "--for", f"jsonpath={{.status.readyReplicas}}={replicas}", "--timeout", "60s")

    def pods(self, name):
        return self.objects("pods", "-l", f"app={name}")

    def ready(self, **labels):
        """Names of the Ready nodes with these labels."""
        return {node["metadata"]["name"] for node in self.objects("nodes")
                if labels.items() <= node["metadata"]["labels"].items() and
                any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])}


class Hollow(HollowCase):
    up_arguments = ("--hollow", "50")

    def test_01_up_waits_for_all_of_them(self):
        self.assertEqual(self.ready(), {f"hollow{number}" for number in range(1, 51)})
        table = self.podlab("get", "nodes", "-o", "wide")
        self.assertEqual(len(table.splitlines()), 51)
        self.assertIn("simulated://", table)
        self.assertIn("Hollow: running, 50 nodes", self.podlab("status"))
        self.assertEqual(self.podlab("ls").splitlines()[1].split()[:3], ["default", "Running", "50"])
        self.assertEqual(len({node["status"]["addresses"][0]["address"] for node in self.objects("nodes")}), 50)

    def test_02_a_deployment_runs_on_them(self):
        self.deploy("web", 200)
        pods = self.pods("web")
        self.assertEqual({pod["status"]["phase"] for pod in pods}, {"Running"})
        self.assertEqual(len({pod["status"]["podIP"] for pod in pods}), 200)
        self.assertGreater(len({pod["spec"]["nodeName"] for pod in pods}), 25)

    def test_03_what_would_need_a_program_says_that_there_is_none(self):
        self.deploy("web", 200)
        pod = self.pods("web")[0]["metadata"]["name"]
        for arguments, words in ((("logs", pod), "write no logs"), (("exec", pod, "--", "true"), "run no program"),
                                 (("port-forward", pod, "8080:80"), "listen on no port")):
            done = self.run_podlab(*arguments)
            self.assertEqual(done.returncode, 1, arguments)
            self.assertIn("the node is hollow", done.stderr, arguments)
            self.assertIn(words, done.stderr, arguments)

    def test_04_a_killed_process_starts_again_and_the_pods_with_it(self):
        self.deploy("web", 200)
        before = {pod["metadata"]["uid"] for pod in self.pods("web")}
        (hollow,) = self.processes("hollow")
        os.kill(hollow, signal.SIGKILL)
        self.assertTrue(eventually(lambda: self.processes("hollow") not in ([], [hollow])))
        # As after a power failure: containers start anew.
        self.assertTrue(eventually(lambda: all(
            status["state"].get("running") and status["restartCount"] == 1
            for pod in self.pods("web") for status in pod["status"]["containerStatuses"]), seconds=60))
        self.assertEqual({pod["metadata"]["uid"] for pod in self.pods("web")}, before)

    def test_05_a_lab_that_starts_again_finds_them_again(self):
        self.deploy("web", 200)
        pods = {pod["metadata"]["uid"] for pod in self.pods("web")}
        nodes = {node["metadata"]["name"]: node["spec"]["podCIDR"] for node in self.objects("nodes")}
        self.podlab("down")
        self.assertEqual(processes_below(self.state), [])
        self.podlab("up")
        self.assertEqual(self.ready(), set(nodes))
        self.assertEqual({node["metadata"]["name"]: node["spec"]["podCIDR"] for node in self.objects("nodes")}, nodes)
        self.wait_replicas("web", 200)
        self.assertEqual({pod["metadata"]["uid"] for pod in self.pods("web")}, pods)

    def test_06_down_leaves_nothing(self):
        self.podlab("down", "--purge")
        self.assertEqual(processes_below(self.state), [])
        self.assertEqual(list(self.state.iterdir()), [])
        self.assertEqual(host_network(), self.network_before)


class Mixed(HollowCase):
    cluster = """
apiVersion: podlab.io/v1alpha1
kind: Cluster
nodes:
- {name: real, count: 2, labels: {kind: real}}
hollow:
- {name: big, count: 6, labels: {kind: hollow}, zones: [a, b, c], cpu: 64, memory: 256Gi, maxPods: 500}
- name: slow
  count: 2
  taints: [{key: slow, effect: NoSchedule}]
  behaviour: {startDelay: {uniform: [100ms, 200ms]}, lifetime: 1s}
"""

    def test_01_real_and_hollow_nodes_are_told_apart_by_labels(self):
        self.assertEqual(self.ready(kind="real"), {"real1", "real2"})
        self.assertEqual(self.ready(kind="hollow"), {f"big{number}" for number in range(1, 7)})
        zones = [node["metadata"]["labels"]["topology.kubernetes.io/zone"]
                 for node in self.objects("nodes", "-l", "kind=hollow")]
        self.assertEqual(sorted(zones), ["a", "a", "b", "b", "c", "c"])
        node = json.loads(self.podlab("get", "node", "big1", "-o", "json"))
        self.assertEqual({key: node["status"]["capacity"][key] for key in ("cpu", "memory", "pods")},
                         {"cpu": "64", "memory": "256Gi", "pods": "500"})

    def test_02_each_runs_what_is_meant_for_it(self):
        self.deploy("real", 4, "{kind: real}")
        self.deploy("hollow", 60, "{kind: hollow}")
        self.assertEqual({pod["spec"]["nodeName"] for pod in self.pods("real")}, {"real1", "real2"})
        self.assertTrue(all(pod["spec"]["nodeName"].startswith("big") for pod in self.pods("hollow")))
        self.podlab("exec", self.pods("real")[0]["metadata"]["name"], "--", "true")

    def test_03_real_nodes_have_no_way_to_hollow_ones(self):
        routes = self.in_node("real1", "ip", "route")
        for node in self.objects("nodes"):
            if node["metadata"]["labels"].get("kind") == "real":
                continue
            self.assertNotIn(node["spec"]["podCIDR"], routes)
            self.assertNotIn("podlab.io/vxlan-mac", node["metadata"]["annotations"])

    def test_04_containers_behave_as_the_file_says(self):
        self.podlab("apply", "-f", "-", input="""
apiVersion: v1
kind: Pod
metadata: {name: short}
spec:
  nodeName: slow1
  restartPolicy: Never
  containers: [{name: main, image: host, command: [sleep, infinity]}]
""")
        self.podlab("wait", "pod", "short", "--for", "jsonpath={.status.phase}=Succeeded", "--timeout", "30s")

    def test_05_a_node_with_the_name_of_a_hollow_one_is_refused(self):
        done = self.run_podlab("node", "add", "big9")
        self.assertEqual(done.returncode, 1)
        self.assertIn("nodes of such names are hollow", done.stderr)


class HollowRootless(HollowCase):
    user = 54322
    up_arguments = ("--hollow", "5")

    def test_an_ordinary_user_has_them_too(self):
        self.deploy("web", 10)
        self.assertEqual(len(self.pods("web")), 10)


if __name__ == "__main__":
    unittest.main()
