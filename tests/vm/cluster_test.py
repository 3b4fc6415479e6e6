"""Machines with kernels of their own: they join one cluster, fail and come back, and lose and delay packets."""
import concurrent.futures
import json
import pathlib
import shutil
import sys
import tempfile
import time
import unittest

from image import SOURCE, Image
from machine import Machine, Switch
from harness import PODLAB, LabTestCase, eventually

MACHINES = {"m1": "192.168.56.11", "m2": "192.168.56.12", "m3": "192.168.56.13"}
# On each node a pod of three containers, which share its network.
PODS = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {name: web, image: host, command: [/bin/busybox, httpd, -f, -p, "8080", -h, /etc], ports: [{containerPort: 8080}]}
      - {name: admin, image: host, command: [/bin/busybox, httpd, -f, -p, "8081", -h, /etc], ports: [{containerPort: 8081}]}
      - {name: side, image: host, command: [/bin/sleep, "100000"]}
"""
# Beside a node of another cluster, whose pods have other addresses.
LAB = """
apiVersion: podlab.io/v1alpha1
kind: Cluster
nodes: [{name: node, count: 2}]
networking: {podCIDRs: [10.200.0.0/16]}
"""
# The same three machines, or with --local a lab of this host.
HOSTS = (SOURCE / "configs/machines/cluster.yaml").read_text()
HALF_A_SECOND = 500_000
REACH = ("reach", "--timeout", "10s")  # nothing is lost, but the host may be busy


class MachinesTestCase(unittest.TestCase):
    """Machines on one switch."""

    @classmethod
    def setUpClass(cls):
        if shutil.which("qemu-system-x86_64") is None:
            raise unittest.SkipTest("qemu-system-x86_64 is missing: scripts/packages test")
        temporary = tempfile.TemporaryDirectory(prefix="podlab-vm-")  # it goes after Ctrl-C, too
        cls.addClassCleanup(temporary.cleanup)
        folder = pathlib.Path(temporary.name)
        image = Image(folder, PODLAB.resolve())
        switch = Switch()
        cls.addClassCleanup(switch.end)
        cls.machines = {}
        for name, address in MACHINES.items():
            cls.machines[name] = machine = Machine(image, switch, name, address, folder)
            cls.addClassCleanup(machine.kill)
            machine.start()
        cls.m1, cls.m2, cls.m3 = cls.machines.values()
        for machine in cls.machines.values():
            machine.wait_until_up()

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            print(*(machine.console() for machine in self.machines.values()), file=sys.stderr)
        return result

    def wait_until(self, check, seconds=120):
        """Each look is programs that take time of the machine: there is a pause between them."""
        self.assertTrue(eventually(lambda: check() or time.sleep(0.5), seconds))

    def objects(self, *arguments, lab=()):
        return json.loads(self.m1.podlab(*lab, "get", *arguments, "-o", "json"))["items"]

    def start_pods(self, nodes, lab=()):
        self.m1.podlab(*lab, "apply", "-f", "-", input=PODS)
        self.m1.podlab(*lab, "wait", "daemonset/web", "--for", f"jsonpath={{.status.numberReady}}={nodes}", "--timeout", "120s",
                       seconds=150)

    def measure(self, timeout, lab=()):
        """Pings from each node's pod to each other's, by the pair's nodes."""
        done = self.m1.try_run("podlab", *lab, "reach", "--protocol", "icmp", "--count", "20", "--interval", "50ms", "--timeout", timeout,
                               "-o", "json")
        measured = json.loads(done.stdout)
        node = {f"{end['namespace']}/{end['name']}": end["node"] for end in measured["ends"]}
        return {(node[probe["from"]], node[probe["to"]]): probe for probe in measured["probes"]}

    def expect_delay(self, probes, slow):
        """Each round trip from or to this node takes at least half a second, and others need not."""
        for pair, probe in probes.items():
            fastest = probe["rttMicroseconds"]["min"]
            self.assertEqual(fastest >= HALF_A_SECOND, slow in pair and pair != (slow, slow), (pair, probe))

    def expect_loss(self, probes, lossy):
        """Some of what this node sends is lost, and nothing of what others send."""
        for pair, probe in probes.items():
            self.assertEqual(probe["arrived"] < probe["sent"], pair[0] == lossy != pair[1], (pair, probe))
            self.assertEqual(probe["answered"] < probe["arrived"], pair[1] == lossy != pair[0], (pair, probe))
            self.assertGreater(probe["answered"], 0)


class HostsChecks:
    """What is so of the cluster of HOSTS, wherever it runs: its nodes are as declared, and their pods reach each other."""

    def check_hosts(self, run):
        def podlab(*arguments, **options):
            return run("--name", "machines", *arguments, **options)
        zones = {node["metadata"]["name"]: node["metadata"]["labels"]["zone"]
                 for node in json.loads(podlab("get", "nodes", "-o", "json"))["items"]}
        self.assertEqual(zones, {"m1": "a", "m2": "b", "m3": "b"})
        podlab("apply", "-f", "-", input=PODS)
        podlab("wait", "daemonset/web", "--for", "jsonpath={.status.numberReady}=3", "--timeout", "60s")
        self.assertIn("3 to 3, 45 probes, 45 reached", podlab(*REACH))


class Cluster(MachinesTestCase, HostsChecks):
    """m1 has the server; all are nodes."""

    def test_1_machines_join_with_the_address_by_which_they_reach_the_server(self):
        self.m1.enable("podlab-server", f"--advertise {MACHINES['m1']}")
        self.wait_until(lambda: self.m1.try_run("podlab", "get", "namespaces").returncode == 0)
        _, _, *join = self.m1.podlab("token", "create").split()
        for machine in self.machines.values():
            machine.enable("podlab-agent", " ".join(join))
        for condition in ("create", "condition=Ready"):
            self.m1.podlab("wait", *(f"node/{name}" for name in MACHINES), "--for", condition, "--timeout", "120s", seconds=150)
        addresses = {node["metadata"]["name"]: entry["address"] for node in self.objects("nodes")
                     for entry in node["status"]["addresses"] if entry["type"] == "InternalIP"}
        self.assertEqual(addresses, MACHINES)

    def test_2_pods_reach_each_other_across_machines(self):
        self.start_pods(len(MACHINES))
        self.m1.podlab(*REACH)
        ask = "wget -q -O- http://127.0.0.1:8080/hostname && wget -q -O- http://127.0.0.1:8081/hostname"
        for name in self.pods().values():
            self.assertEqual(self.m1.podlab("exec", name, "-c", "side", "--", "/bin/sh", "-c", ask).split(), [name, name])

    def test_3_what_a_link_delays_and_loses_is_measured(self):
        def tc(*words):
            self.m3.run("tc", *words[:2], "dev", "eth1", *words[2:])
        tc("qdisc", "add", "root", "netem", "delay", "500ms")
        self.expect_delay(self.measure("10s"), "m3")
        tc("qdisc", "delete", "root")
        # Of the overlay alone: the agent has to say what it has measured.
        tc("qdisc", "add", "root", "handle", "1:", "prio", "bands", "4")
        tc("qdisc", "add", "parent", "1:4", "netem", "loss", "50%")
        tc("filter", "add", "parent", "1:", "protocol", "ip", "u32", "match", "ip", "protocol", "17", "0xff", "flowid", "1:4")
        self.expect_loss(self.measure("3s"), "m3")
        tc("qdisc", "delete", "root")
        self.m1.podlab(*REACH)

    def pods(self):
        """Their names by node."""
        return {pod["spec"]["nodeName"]: pod["metadata"]["name"] for pod in self.objects("pods")}

    def containers(self, pods):
        return {(pod["spec"]["nodeName"], status["name"]): (status["restartCount"], status.get("containerID"))
                for pod in pods for status in pod["status"]["containerStatuses"]}

    def expect_back(self, before, node=None):
        """The pods are the same, all reach each other, and of this node alone, if any, the containers are new."""
        def runs_again():
            done = self.m1.try_run("podlab", "get", "pods", "-o", "json")  # the server may be on its way
            if done.returncode != 0:
                return False
            now = self.containers(json.loads(done.stdout)["items"])
            return all(now[key][0] == count + 1 for key, (count, _) in self.containers(before).items() if key[0] == node) and \
                self.m1.try_run("podlab", *REACH).returncode == 0
        self.wait_until(runs_again)
        after = self.objects("pods")

        def untouched(pods):
            return {key: value for key, value in self.containers(pods).items() if key[0] != node}
        self.assertEqual(untouched(after), untouched(before))
        self.assertEqual([pod["metadata"]["uid"] for pod in after], [pod["metadata"]["uid"] for pod in before])
        self.assertEqual([pod["status"]["podIP"] for pod in after], [pod["status"]["podIP"] for pod in before])

    def test_4_services_that_are_restarted_stop_no_pod(self):
        before = self.objects("pods")
        self.m1.run("systemctl", "restart", "podlab-server")
        self.m2.run("systemctl", "restart", "podlab-agent")
        self.expect_back(before)

    def test_5_a_machine_whose_power_fails_comes_back_with_its_pods(self):
        before, pods = self.objects("pods"), self.pods()
        self.m3.kill()
        done = self.m1.try_run("podlab", "reach", "--timeout", "3s")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn(f"FAIL default/{pods['m1']} -> default/{pods['m3']}: ", done.stdout)
        self.assertIn("the agent of m3 is away", done.stdout)
        self.assertNotIn(f"FAIL default/{pods['m1']} -> default/{pods['m2']}: ", done.stdout)
        self.m3.start()
        self.m3.wait_until_up()
        self.expect_back(before, "m3")

    def test_6_the_servers_machine_reboots(self):
        before = self.objects("pods")
        self.m1.reboot()
        self.m1.wait_until_up()
        self.expect_back(before, "m1")

    def test_7_a_lab_on_a_machine_has_the_faults_that_need_netem(self):
        lab = ("--name", "lab")
        self.m1.run("tee", "/root/lab.yaml", input=LAB)
        self.m1.podlab(*lab, "up", "-f", "/root/lab.yaml", "--kubeconfig", "none", "--wait", "2m", seconds=150)
        self.start_pods(2, lab)
        self.m1.podlab(*lab, "fault", "delay", "500ms", "node1", "--for", "1h")
        self.expect_delay(self.measure("10s", lab), "node1")
        self.m1.podlab(*lab, "fault", "clear", "--all")
        self.m1.podlab(*lab, "fault", "loss", "50%", "node1", "node2", "--one-way", "--for", "1h")
        self.expect_loss(self.measure("3s", lab), "node1")
        self.m1.podlab(*lab, "fault", "clear", "--all")
        self.m1.podlab(*lab, *REACH)
        self.m1.podlab(*lab, "down", "--purge")
        self.m1.podlab(*REACH)

    def test_8_a_cluster_file_brings_machines_up_by_ssh(self):
        self.m1.disable("podlab-server")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(self.leave, self.machines.values()))
        self.m1.podlab("down", "--purge")
        self.m2.run("rm", "/usr/bin/podlab")  # it gets one by ssh
        self.m1.run("tee", "/root/cluster.yaml", input=HOSTS)
        told = self.m1.try_run("podlab", "up", "-f", "/root/cluster.yaml", "--kubeconfig", "none", "--wait", "3m", seconds=300)
        self.assertEqual(told.returncode, 0, told.stderr)
        self.assertRegex(told.stderr, r"m2 \(vagrant@192.168.56.12\): Ready in .*: podlab installed, agent started")
        self.assertIn('The cluster "machines" is up: 3 nodes are Ready.', told.stderr)
        self.check_hosts(self.m1.podlab)

    def leave(self, machine):
        machine.disable("podlab-agent")
        machine.podlab("agent", "--cleanup")
        self.assertNotIn("podlab", machine.run("ip", "link"))


class OneHost(LabTestCase, HostsChecks):
    """The same file on one host."""

    cluster = HOSTS
    up_arguments = ("--local",)

    def test_the_same_cluster_file_is_a_lab(self):
        self.check_hosts(self.podlab)

    @classmethod
    def tearDownClass(cls):
        cls.run_podlab("--name", "machines", "down", "--purge")
        super().tearDownClass()


if __name__ == "__main__":
    unittest.main(failfast=True)
