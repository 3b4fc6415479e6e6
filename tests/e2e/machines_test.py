"""A server and nodes that are machines of their own."""
import json
import re
import signal
import unittest

from harness import eventually
from machines import MachinesTestCase, node_cgroups

PODS = "".join(f"""
apiVersion: v1
kind: Pod
metadata: {{name: p{number}}}
spec:
  nodeName: m{number}
  terminationGracePeriodSeconds: 1
  containers:
  - {{name: one, image: host, command: [/bin/sleep, "100000"]}}
  - {{name: two, image: host, command: [/bin/sleep, "100000"]}}
---""" for number in (1, 2))


class Cluster(MachinesTestCase):
    maxDiff = None
    """One machine has the server and is a node, another is a node, a third is there to come later."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.m1, cls.m2, cls.m3 = cls.all
        cls.before = {machine: machine.network() for machine in cls.all}
        cls.start_server()
        cls.agents = {machine: cls.join(cls.m1, machine) for machine in (cls.m1, cls.m2)}
        cls.wait_for_nodes(cls.m1, "m1", "m2")

    @classmethod
    def start_server(cls):
        cls.server = cls.m1.start_podlab("server", "--advertise", "192.168.56.11", "--cluster-signing-duration", "10s")
        cls.wait_for_server(cls.m1)

    def kill_server(self):
        self.m1.kill("server")
        self.server.wait()

    def node(self, name):
        return json.loads(self.m1.podlab("get", "node", name, "-o", "json"))

    def test_1_nodes_have_the_address_by_which_they_reach_the_server(self):
        for name, address in (("m1", "192.168.56.11"), ("m2", "192.168.56.12")):
            addresses = {entry["type"]: entry["address"] for entry in self.node(name)["status"]["addresses"]}
            self.assertEqual(addresses["InternalIP"], address)

    def test_2_pods_reach_each_other_across_machines(self):
        self.m1.podlab("apply", "-f", "-", input=PODS)
        self.m1.podlab("wait", "pod", "p1", "p2", "--for", "condition=Ready", "--timeout", "40s")
        self.m1.podlab("reach")

    def diagnosis(self, code):
        done = self.m1.try_podlab("doctor", "--peers")
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout

    def test_2b_the_doctor_names_what_is_between_machines(self):
        self.assertEqual(self.diagnosis(0), "2 nodes reach each other.\n")
        nft = "/usr/sbin/nft"
        self.m2.run(nft, "add table inet foreign; add chain inet foreign in { type filter hook input priority 0; }; "
                    "add rule inet foreign in udp dport 8472 drop")
        told = self.diagnosis(3)
        for pair in ("m1 -> m2: 192.168.56.12", "m2 -> m1: 192.168.56.11"):
            self.assertIn(f"{pair} answers, but not through the overlay: UDP port 8472 is closed", told)
        self.m2.run(nft, "flush chain inet foreign in; add rule inet foreign in udp dport 8472 meta length > 1400 drop")
        self.assertIn("packets of 1450 bytes, which pods may send, are lost on the way to 192.168.56.12", self.diagnosis(3))
        self.m2.run(nft, "flush chain inet foreign in; add rule inet foreign in ip saddr 192.168.56.11 udp dport 8472 drop; "
                    "add rule inet foreign in ip saddr 192.168.56.11 icmp type { echo-request, echo-reply } drop")
        self.assertIn("m1 -> m2: 192.168.56.12 does not answer", self.diagnosis(3))
        self.m2.run(nft, "delete table inet foreign")
        self.assertEqual(self.diagnosis(0), "2 nodes reach each other.\n")

    def condition(self, name):
        return next((one for one in self.node(name)["status"]["conditions"] if one["type"] == "PeerNetworkProblem"), None)

    def trouble(self, name, status, reason):
        found = self.condition(name)
        return found is not None and (found["status"], found["reason"]) == (status, reason)

    def restart_agent(self, machine):
        machine.kill("agent")
        self.agents[machine].wait()
        self.agents[machine] = machine.start_podlab("agent", "--join", "https://192.168.56.11:6443")

    def test_2c_an_agent_that_joins_says_what_keeps_it_from_its_peers(self):
        # What the test before has broken may have been seen, and is over.
        self.assertTrue(eventually(lambda: all((self.condition(name) or {"status": "False"})["status"] == "False"
                                               for name in ("m1", "m2")), 60), self.m2.logs())
        nft = "/usr/sbin/nft"
        self.m1.run(nft, "add table inet foreign; add chain inet foreign in { type filter hook input priority 0; }; "
                    "add rule inet foreign in udp dport 8472 drop")
        self.restart_agent(self.m2)
        self.assertTrue(eventually(lambda: self.trouble("m2", "True", "OverlayBlocked"), 30), self.m2.logs())
        message = self.condition("m2")["message"]
        self.assertIn("m1: 192.168.56.11 answers, but not through the overlay: UDP port 8472 is closed", message)
        self.assertIn("remedy: let UDP port 8472 pass on both machines", message)
        self.assertRegex(self.m2.log("agent"), r"peer_trouble node=m2 peer=m1 problem=.*UDP port 8472 .*remedy=")
        described = self.m1.podlab("describe", "node", "m2")
        self.assertRegex(described, r"PeerNetworkProblem +True .*OverlayBlocked +m1: 192.168.56.11 answers")
        self.assertRegex(described, r"Warning +OverlayBlocked .*podlab-agent")
        # It is about the way between two nodes, and moves no pods.
        self.assertEqual(self.node("m2")["spec"].get("taints", []), [])
        self.m1.run(nft, "delete table inet foreign")
        self.assertTrue(eventually(lambda: self.trouble("m2", "False", "PeersAnswer"), 60), self.m2.logs())
        # The switch takes smaller packets than the machines' links; only those of the overlay, so that the server is reached.
        self.switch.run(nft, "add table bridge small; add chain bridge small between { type filter hook forward priority 0; }; "
                        "add rule bridge small between udp dport 8472 meta length > 1400 drop")
        self.restart_agent(self.m2)
        self.assertTrue(eventually(lambda: self.trouble("m2", "True", "PathMTUTooSmall"), 30), self.m2.logs())
        self.assertIn("packets of 1450 bytes, which pods may send, are lost", self.condition("m2")["message"])
        self.switch.run(nft, "delete table bridge small")
        self.assertTrue(eventually(lambda: self.trouble("m2", "False", "PeersAnswer"), 60), self.m2.logs())
        self.diagnosis(0)

    def restarts(self):
        pods = json.loads(self.m1.podlab("get", "pods", "-o", "json"))["items"]
        return {(pod["metadata"]["name"], status["name"]): (status["restartCount"], status.get("containerID"))
                for pod in pods for status in pod["status"]["containerStatuses"]}

    def test_3_a_killed_server_goes_on_and_pods_do_not_notice(self):
        before = self.restarts()
        self.kill_server()
        self.start_server()
        self.assertTrue(eventually(lambda: self.m1.log("server").count("node_connected") >= 4))
        self.assertEqual(self.restarts(), before)

    def test_3b_a_machine_whose_power_fails_comes_back_with_its_pods(self):
        before = self.restarts()
        self.m2.end()
        self.agents[self.m2].wait()
        returned = self.machine(2)
        self.before[returned] = returned.network()
        type(self).m2 = returned
        self.agents[returned] = returned.start_podlab("agent", "--join", "https://192.168.56.11:6443")

        def runs_again():
            now = self.restarts()
            return all(now[key][0] == before[key][0] + 1 for key in now if key[0] == "p2") and \
                self.m1.try_podlab("reach").returncode == 0
        self.assertTrue(eventually(runs_again, 30), f"{before} {self.restarts()}\n{self.m1.logs()}")
        self.assertEqual({key: value for key, value in self.restarts().items() if key[0] == "p1"},
                         {key: value for key, value in before.items() if key[0] == "p1"})

    def test_4_certificates_are_renewed_in_time(self):
        def renewed():
            return all("certificate_renewed" in machine.log("agent") for machine in (self.m1, self.m2))
        self.assertTrue(eventually(renewed, 30), self.m1.logs())
        kept = self.m2.folder / ".node" / "membership"
        self.assertEqual(sorted(entry.name for entry in kept.iterdir()), ["ca.crt", "node.pem", "settings"])
        self.assertEqual((kept / "node.pem").stat().st_mode & 0o777, 0o600)

    def test_5_an_agent_takes_a_new_address_of_its_machine(self):
        before = self.restarts()
        self.kill_server()
        self.m2.set_address("eth1", "192.168.56.22/24")
        self.start_server()

        def has_moved():
            return any(entry["address"] == "192.168.56.22" for entry in self.node("m2")["status"]["addresses"])
        self.assertTrue(eventually(has_moved), self.m2.logs())
        self.wait_for_nodes(self.m1, "m1", "m2")
        self.assertTrue(eventually(lambda: self.m1.try_podlab("reach").returncode == 0), self.m1.logs())
        self.assertEqual(self.restarts(), before)

    def refusal(self, machine, *arguments):
        done = machine.try_podlab("agent", *arguments)
        self.assertEqual(done.returncode, 1, done.stderr)
        return done.stderr

    def test_6_a_machine_that_may_not_join_is_told_why(self):
        url = ("--join", "https://192.168.56.11")
        self.assertIn("--token: this machine has not joined yet", self.refusal(self.m3, *url))
        *_, token = self.m1.podlab("token", "create", "--ttl", "1h", "--description", "for m3").split()
        self.assertIn("is in the cluster and alive", self.refusal(self.m3, *url, "--token", token, "--node-name", "m2"))
        other = token[:-1] + ("0" if token[-1] != "0" else "1")
        self.assertIn("the token is of another cluster", self.refusal(self.m3, *url, "--token", other))
        listed = self.m1.podlab("token", "ls")
        self.assertRegex(listed, re.escape(token.split("@")[0]) + r"\s+59m\s+\S+\s+authentication\s+for m3")
        self.m1.podlab("token", "rm", token)
        self.assertIn("is not one of this cluster", self.refusal(self.m3, *url, "--token", token))
        self.assertIn("--underlay", self.m3.try_podlab("agent", *url, "--node-ip", "1.2.3.4", "--underlay", "eth1").stderr)
        self.assertFalse((self.m3.folder / ".node" / "membership" / "node.pem").exists())
        self.assertIn("an agent runs on this machine", self.refusal(self.m2, *url))

    def test_7_a_server_is_no_lab(self):
        self.assertIn("already running", self.m1.try_podlab("server", "--advertise", "192.168.56.11").stderr)
        self.assertIn("is a server for other machines", self.m1.try_podlab("up").stderr)
        self.assertIn("machines of their own", self.m1.try_podlab("node", "add", "x").stderr)
        self.assertIn("Server: running", self.m1.podlab("status"))
        kubeconfig = self.m1.podlab("kubeconfig")
        self.assertIn("server: https://192.168.56.11:6443", kubeconfig)

    def test_8_cleanup_leaves_a_machine_as_it_was(self):
        self.assertIn("an agent runs on this machine", self.m2.try_podlab("agent", "--cleanup").stderr)
        self.assertIn("is alive, and would come back", self.m1.try_podlab("node", "rm", "m2").stderr)
        self.m1.podlab("drain", "m2", "--force")
        for machine in (self.m1, self.m2):
            self.assertNotEqual(machine.network(), self.before[machine])
            machine.kill("agent", signal.SIGKILL if machine is self.m2 else signal.SIGTERM)
            self.agents[machine].wait()
            other = self.refusal(machine, "--join", "https://192.168.56.11", "--node-name", "m9")
            self.assertIn("leave that cluster first: podlab agent --cleanup", other)
            machine.podlab("agent", "--cleanup")
            if machine is self.m2:
                machine.set_address("eth1", "192.168.56.12/24")
            self.assertEqual(machine.network(), self.before[machine])
            self.assertEqual(machine.pids("shim"), [])
            self.assertFalse((machine.folder / ".node").exists())
            machine.podlab("agent", "--cleanup")  # there is nothing to do
        self.assertEqual(self.m3.network(), self.before[self.m3])
        self.assertEqual(node_cgroups(self.folder), set())

    def test_9_a_machine_that_was_removed_may_come_back_by_its_name(self):
        *_, token = self.m1.podlab("token", "create").split()
        url = ("--join", "https://192.168.56.11:6443", "--token", token)
        self.assertIn("remove that one first: podlab node rm m2", self.refusal(self.m2, *url))
        self.m1.podlab("node", "rm", "m2")
        self.agents[self.m2] = self.m2.start_podlab("agent", *url)
        self.wait_for_nodes(self.m1, "m2")
        self.m2.kill("agent")
        self.agents[self.m2].wait()
        self.m2.podlab("agent", "--cleanup")

    def test_a_networks_that_clash_are_named(self):
        *_, token = self.m1.podlab("token", "create").split()
        url = ("--join", "https://192.168.56.11:6443", "--token", token)
        self.m3.run("ip", "route", "add", "10.244.7.0/24", "via", "192.168.56.1")
        told = self.refusal(self.m3, *url)
        self.assertIn("10.244.0.0/16, which overlaps 10.244.7.0/24 of link eth1", told)
        self.m3.run("ip", "route", "delete", "10.244.7.0/24")
        agents = [self.m2.start_podlab("agent", *url, "--node-ip", "10.0.2.15", "--node-name", "m5"),
                  self.m3.start_podlab("agent", *url[:2], "--node-ip", "10.0.2.15")]

        def clash(name):
            found = self.m1.try_podlab("get", "node", name, "-o", "json")
            conditions = json.loads(found.stdout).get("status", {}).get("conditions", []) if found.returncode == 0 else []
            return any("has the same address 10.0.2.15" in condition.get("message", "") for condition in conditions)
        self.assertTrue(eventually(lambda: clash("m3") and clash("m5")), self.m1.logs())
        for machine, agent in zip((self.m2, self.m3), agents):
            machine.kill("agent")
            agent.wait()
            machine.podlab("agent", "--cleanup")


if __name__ == "__main__":
    unittest.main()
