"""Faults: what is cut is cut and nothing else, everything ends by itself, and pods go where they should meanwhile."""
import json
import os
import signal
import time
import unittest

from harness import LabTestCase, cluster_file, eventually, processes_below

HEAD = "apiVersion: podlab.io/v1alpha1\nkind: Cluster\n"
# A pod a node, which counts.
EVERY_NODE = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: every}
spec:
  selector: {matchLabels: {app: every}}
  template:
    metadata: {labels: {app: every}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {name: main, image: host, command: [/bin/bash, -c, "for ((i = 0; ; ++i)); do echo $i; sleep 0.02; done"]}
"""


class FaultTestCase(LabTestCase):
    def pods(self):
        """The names of the bound pods of the label app=every, by their nodes."""
        return {pod["spec"]["nodeName"]: pod["metadata"]["name"] for pod in self.objects("pods", "-l", "app=every")
                if "nodeName" in pod["spec"]}

    def start_pods(self):
        self.podlab("apply", "-f", "-", input=EVERY_NODE)
        nodes = len(self.objects("nodes"))
        self.assertTrue(eventually(lambda: len(self.pods()) == nodes))
        self.podlab("wait", "pod", "--all", "--for", "condition=Ready", "--timeout", "60s")

    def faults(self):
        return json.loads(self.podlab("fault", "ls", "-o", "json")).get("faults", [])

    def probes(self):
        """What reach measures: pairs of nodes, each with the probes from one's pod to the other's."""
        measured = json.loads(self.run_podlab("reach", "-l", "app=every", "-o", "json").stdout)
        node = {f"{end['namespace']}/{end['name']}": end["node"] for end in measured["ends"]}
        pairs = {(a, b): [] for a in node.values() for b in node.values()}
        for probe in measured["probes"]:
            pairs[(node[probe["from"]], node[probe["to"]])].append(probe)
        self.assertTrue(all(pairs.values()), pairs)
        return pairs

    def cut_pairs(self):
        """Pairs of nodes of which one's pod does not get answers of the other's."""
        return {pair for pair, probes in self.probes().items() if not all(probe["ok"] for probe in probes)}

    def expect_flat(self):
        self.assertTrue(eventually(lambda: self.run_podlab("reach", "-l", "app=every").returncode == 0, 60))

    def node_is(self, name, status):
        node = json.loads(self.podlab("get", "node", name, "-o", "json"))
        return any(one["type"] == "Ready" and one["status"] == status for one in node["status"]["conditions"])

    def expect_over(self):
        self.assertTrue(eventually(lambda: not self.faults(), 60), self.faults())


class Faults(FaultTestCase):
    cluster = HEAD + """
nodes: [{name: a, count: 2, labels: {zone: a}}, {name: b, count: 3, labels: {zone: b}}]
"""

    def log_size(self, node):
        """Of all logs of the node's containers, read beside its agent."""
        return sum(log.stat().st_size for log in self.state.glob(f"*/nodes/{node}/**/*.log"))

    def counts(self, node):
        before = self.log_size(node)
        time.sleep(0.3)
        return self.log_size(node) > before

    def echoes(self, pod):
        """How many pings the pod's network has got."""
        text = self.podlab("exec", pod, "--", "/bin/cat", "/proc/net/snmp")
        lines = [line.split() for line in text.splitlines() if line.startswith("Icmp:")]
        return int(lines[1][lines[0].index("InEchos")])

    def test_01_a_partition_is_in_the_matrix_and_heals_by_itself(self):
        self.start_pods()
        self.expect_flat()
        said = self.podlab("fault", "partition", "zone=a", "zone=b", "--for", "1h")
        self.assertEqual(said, "f1: partition a1,a2|b1,b2,b3, ends in 1h0m0s\n")
        expected = {(one, other) for one in ("a1", "a2") for other in ("b1", "b2", "b3")}
        self.assertEqual(self.cut_pairs(), expected | {(other, one) for one, other in expected})
        done = self.run_podlab("reach", "-l", "app=every", "--port", "probe")
        failures = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
        self.assertEqual(len(failures), 2 * len(expected), done.stdout)
        for line in failures:
            self.assertRegex(line, r": fault f1, partition a1,a2\|b1,b2,b3 until \S+Z: it did not arrive")
        self.podlab("fault", "partition", "a1|a2", "--for", "1s")
        self.assertEqual(self.podlab("fault", "clear", "f1"), "f1 cleared\n")
        self.expect_over()
        self.expect_flat()

    def test_02_one_way_is_one_way(self):
        pods = self.pods()
        address = {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in self.objects("pods", "-l", "app=every")}
        self.podlab("fault", "partition", "a1|b1", "--one-way", "--for", "1h")
        before = {node: self.echoes(pods[node]) for node in ("a1", "b1", "b2")}
        for source, target in (("a1", "b1"), ("b1", "a1"), ("a1", "b2")):
            done = self.run_podlab("exec", pods[source], "--", "/bin/ping", "-c", "3", "-i", "0.2", "-W", "1",
                                   address[pods[target]])
            self.assertEqual(done.returncode == 0, target == "b2", done.stdout + done.stderr)
        # From b1 to a1 all has arrived, and no answer came back; from a1 to b1 nothing has.
        self.assertEqual({node: self.echoes(pods[node]) - before[node] for node in before}, {"a1": 3, "b1": 0, "b2": 3})
        probes = self.probes()
        failed = {pair for pair in probes if not all(probe["ok"] for probe in probes[pair])}
        self.assertEqual(failed, {("a1", "b1"), ("b1", "a1")})
        arrived = {pair: [bool(probe["arrived"]) for probe in probes[pair] if "arrived" in probe] for pair in failed}
        self.assertFalse(any(arrived[("a1", "b1")]))
        self.assertTrue(all(arrived[("b1", "a1")]))
        self.assertEqual(self.podlab("fault", "clear", "--all"), "f3 cleared\n")
        self.expect_flat()

    def test_03_losses_and_rates_are_of_the_link(self):
        self.podlab("fault", "loss", "100%", "b3")
        self.podlab("fault", "rate", "512kbit", "a1", "a2")
        faults = {fault["fault"]["kind"]: fault for fault in self.faults()}
        self.assertEqual(faults["loss"]["fault"], {"kind": "loss", "loss": "100%", "nodes": "b3", "for": "1m"})
        self.assertEqual(faults["rate"]["fault"], {"kind": "rate", "rate": "512kbit", "nodes": "a1,a2", "for": "1m"})
        self.assertIn("tbf", self.in_node("a2", "/sbin/tc", "qdisc", "show", "dev", "eth0"))
        self.assertNotIn("tbf", self.in_node("b1", "/sbin/tc", "qdisc", "show", "dev", "eth0"))
        self.podlab("fault", "clear", *(fault["id"] for fault in self.faults()))
        self.assertNotIn("tbf", self.in_node("a2", "/sbin/tc", "qdisc", "show", "dev", "eth0"))
        self.podlab("fault", "link", "down", "b1", "--for", "1h")
        self.assertIn("NO-CARRIER", self.in_node("b1", "/sbin/ip", "link", "show", "dev", "eth0"))
        told = self.run_podlab("reach", "-l", "app=every", "--timeout", "300ms").stdout
        self.assertIn("FAIL", told)
        for line in told.splitlines():
            if line.startswith("FAIL default/"):
                self.assertRegex(line, r": fault f\d+, link-down b1 until ")
        self.podlab("fault", "clear", "--all")
        self.assertNotIn("NO-CARRIER", self.in_node("b1", "/sbin/ip", "link", "show", "dev", "eth0"))
        self.expect_flat()

    def test_04_a_delay_needs_netem(self):
        done = self.run_podlab("fault", "delay", "50ms", "a1", "--jitter", "5ms", "--for", "2s")
        if done.returncode != 0:
            self.assertEqual(done.returncode, 4)
            self.assertIn("not on this kernel: sch_netem is missing; remedy: as root, modprobe sch_netem", done.stderr)
            self.assertEqual(self.faults(), [])
        self.expect_over()
        self.expect_flat()

    def test_05_a_frozen_node_does_nothing_and_loses_nothing(self):
        before = self.pods()
        done = self.run_podlab("fault", "node", "freeze", "a1", "b1", "--for", "1h")
        if done.returncode == 4:
            self.skipTest(done.stderr)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(eventually(lambda: not self.counts("a1") and not self.counts("b1")))
        self.assertTrue(self.counts("a2"))
        self.podlab("fault", "node", "thaw", "a1")
        self.assertTrue(eventually(lambda: self.counts("a1")))
        self.assertFalse(self.counts("b1"))
        self.assertEqual([fault["fault"]["nodes"] for fault in self.faults()], ["b1"])
        # What a user stops, ends, frozen or not.
        self.podlab("node", "stop", "b1")
        self.assertEqual(self.faults(), [])
        self.podlab("node", "start", "b1")
        self.expect_flat()
        self.assertEqual(self.pods(), before)
        again = self.run_podlab("fault", "node", "thaw", "a1")
        self.assertEqual((again.returncode, again.stderr), (1, "error: none of these nodes is frozen: a1\n"))

    def test_06_a_killed_node_comes_back_by_itself(self):
        def boots():
            return {node["metadata"]["name"]: node["status"]["nodeInfo"]["bootID"] for node in self.objects("nodes")}

        before = boots()
        self.podlab("fault", "node", "kill", "a2", "--for", "2s")
        self.podlab("fault", "node", "kill", "b2", "b3", "--for", "1h")
        self.assertEqual(self.processes("agent", "--node-name", "b2"), [])
        self.assertRegex(self.podlab("status"), r"b2 +Stopped")
        self.podlab("node", "start", "b2")  # before its time
        self.assertEqual([fault["fault"]["nodes"] for fault in self.faults() if fault["fault"]["nodes"] != "a2"], ["b3"])
        self.podlab("fault", "clear", *(fault["id"] for fault in self.faults() if fault["fault"]["nodes"] == "b3"))
        self.assertTrue(eventually(lambda: {name for name, boot in boots().items() if boot != before[name]} ==
                                   {"a2", "b2", "b3"}, 60))
        self.expect_over()
        self.expect_flat()

    def test_07_a_killed_agent_is_started_again(self):
        before = self.objects("pods")
        (agent,) = self.processes("agent", "--node-name", "a1")
        self.podlab("fault", "agent", "kill", "-l", "zone=a")
        self.assertTrue(eventually(lambda: self.processes("agent", "--node-name", "a1") not in ([], [agent])))
        self.expect_flat()
        self.assertEqual([pod["status"]["containerStatuses"][0]["containerID"] for pod in before],
                         [pod["status"]["containerStatuses"][0]["containerID"] for pod in self.objects("pods")])
        self.assertEqual(self.faults(), [])

    def test_08_errors_say_what_would_be_right(self):
        for arguments, code, said in (
                (("partition", "a1", "c1"), 1, 'between[1]: Invalid value: "c1": no node is called c1; there are: a1, a2, b1'),
                (("partition", "zone=c", "a1"), 1, 'no node has the labels "zone=c"'),
                (("partition",), 2, "say which nodes"),
                (("loss", "30", "a1"), 1, 'loss: Invalid value: "30": must be a share such as 30%'),
                (("rate", "10MB", "a1"), 1, "must be bits a second such as 10Mbit"),
                (("link", "down", "a1", "--for", "0s"), 2, '--for: "0s" is not a duration such as 30s, at most 8760h'),
                (("node", "kill", "server"), 1, "of the server only partition and loss know"),
                (("clear",), 2, "say which faults"),
                (("clear", "f1"), 1, "no fault f1 is in force"),
                (("ls", "-o", "xml"), 2, "xml")):
            with self.subTest(arguments=arguments):
                done = self.run_podlab("fault", *arguments)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertIn(said, done.stderr)
        self.assertEqual(self.faults(), [])

    def test_09_no_fault_outlives_the_lab(self):
        self.podlab("fault", "partition", "*", "server", "--for", "1h")
        frozen = self.run_podlab("fault", "node", "freeze", "b*", "--for", "1h").returncode == 0
        os.kill(self.processes("lab")[0], signal.SIGKILL)
        self.assertTrue(eventually(lambda: not self.processes("server")))
        self.podlab("up")
        self.assertEqual(self.faults(), [])
        self.podlab("wait", "pod", "--all", "--for", "condition=Ready", "--timeout", "60s")
        self.expect_flat()
        if frozen:
            self.podlab("fault", "node", "freeze", "*", "--for", "1h")
        self.podlab("down")
        self.assertTrue(eventually(lambda: not processes_below(self.state)), processes_below(self.state))

    def test_10_a_timeline_that_this_kernel_cannot_have_is_said(self):
        def up(fault):
            with cluster_file(HEAD + "nodes: [{name: one}]\n" + fault) as file:
                return self.run_podlab("--name", "slow", "up", "-f", file, "--kubeconfig", "none")

        self.addCleanup(self.run_podlab, "--name", "slow", "down", "--purge")
        delay = "faults: {timeline: [{at: 1h, kind: delay, nodes: one, delay: 1s}]}\n"
        done = up(delay)
        self.assertIn(done.returncode, (0, 4), done.stderr)
        if done.returncode == 4:
            self.assertIn("the lab is up, but its faults will not come: faults.timeline[0]: delay: not on this kernel",
                          done.stderr)
        self.assertIn("Running", self.podlab("--name", "slow", "status"))
        # Of a stopped lab, faults may change.
        kill = "faults: {timeline: [{at: 0s, kind: link-down, nodes: one, for: 1h}]}\n"
        self.assertIn("its faults while it is stopped", up(kill).stderr)
        self.podlab("--name", "slow", "down")
        self.assertEqual(up(kill).returncode, 0)
        self.assertTrue(eventually(lambda: "Faults in force: 1" in self.podlab("--name", "slow", "status")))


class Evictions(FaultTestCase):
    """A node that the server does not hear of loses its pods to others, as the cluster file's timeline has it."""

    cluster = HEAD + """
nodes: [{name: node, count: 3}]
faults:
  seed: 1
  timeline:
  - {at: 8s, kind: partition, between: [node1, server], for: 60s}
"""

    def test_pods_are_evicted_and_the_node_comes_back(self):
        self.podlab("apply", "-f", "-", input="""
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 4
  selector: {matchLabels: {app: every}}
  template:
    metadata: {labels: {app: every}}
    spec:
      terminationGracePeriodSeconds: 0
      tolerations:
      - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 1}
      - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 1}
      containers: [{name: main, image: host, command: [/bin/sleep, "100000"]}]
""")
        self.podlab("wait", "deployment/web", "--for", "condition=Available", "--timeout", "60s")

        def ready_elsewhere():
            return [pod for pod in self.objects("pods", "-l", "app=every") if pod["spec"].get("nodeName") != "node1" and
                    any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))]

        self.assertIn("node1", {pod["spec"]["nodeName"] for pod in self.objects("pods")})
        self.assertTrue(eventually(lambda: [fault["origin"] for fault in self.faults()] == ["faults.timeline[0]"]))
        self.assertTrue(eventually(lambda: self.node_is("node1", "Unknown"), 90))
        self.assertTrue(eventually(lambda: len(ready_elsewhere()) == 4, 60))
        self.expect_over()
        self.assertTrue(eventually(lambda: self.node_is("node1", "True"), 60))
        # What was given up ends on its node, too.
        self.assertTrue(eventually(lambda: len(self.objects("pods")) == 4, 60))
        self.assertEqual(len(ready_elsewhere()), 4)
        self.expect_flat()


class Rootless(FaultTestCase):
    up_arguments = ("-n", "3")
    user = 54321

    def test_faults_of_an_ordinary_user(self):
        self.start_pods()
        self.podlab("fault", "partition", "node1", "node2", "--for", "1h")
        self.assertEqual(self.cut_pairs(), {("node1", "node2"), ("node2", "node1")})
        self.podlab("fault", "clear", "--all")
        self.expect_flat()
        done = self.run_podlab("fault", "node", "freeze", "node1", "--for", "1s")
        if done.returncode != 0:
            self.assertEqual(done.returncode, 4)
            self.assertIn("not on this host: nodes are frozen by the cgroup freezer", done.stderr)
        self.podlab("fault", "node", "kill", "node3", "--for", "1s")
        self.expect_over()
        self.expect_flat()


if __name__ == "__main__":
    unittest.main()
