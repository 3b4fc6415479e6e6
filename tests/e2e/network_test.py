"""The flat network: real programs across nodes, repair of what others break, and its limits."""
import json
import re
import unittest

from harness import LabTestCase, eventually

SEND = """
import hashlib, random, socket, sys
data = random.Random(1).randbytes(100_000_000)
peer = socket.create_connection((sys.argv[1], 9000))
peer.sendall(data)
peer.shutdown(socket.SHUT_WR)
print(hashlib.sha256(data).hexdigest(), peer.recv(64).decode())
"""

# Sends one datagram of the size, with or without permission to fragment it, and prints what the peer saw of it.
DATAGRAM = """
import errno, hashlib, socket, sys
address, size, fragment = sys.argv[1], int(sys.argv[2]), sys.argv[3]
IP_MTU_DISCOVER, IP_PMTUDISC_DONT, IP_PMTUDISC_DO = 10, 0, 2
talker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
talker.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT if fragment == "fragment" else IP_PMTUDISC_DO)
talker.settimeout(10)
data = bytes(i % 251 for i in range(size))
try:
    talker.sendto(data, (address, 9001))
except OSError as error:
    sys.exit(print(errno.errorcode[error.errno]))
length, digest = talker.recv(100).decode().split()
print(length if digest == hashlib.sha256(data).hexdigest() else "corrupt")
"""

UDP_OVERHEAD = 28  # IPv4 and UDP headers


class Network(LabTestCase):
    up_arguments = ("-n", "3")

    def setUp(self):
        self.apply("network.yaml")
        self.wait_ready("--all")

    def address(self, pod):
        return json.loads(self.podlab("get", "pod", pod, "-o", "json"))["status"]["podIP"]

    def python(self, pod, program, *arguments):
        return self.podlab("exec", pod, "--", "/usr/bin/python3", "-c", program, *arguments).strip()

    def test_01_a_server_sees_the_client_pods_own_address(self):
        fetch = "import urllib.request as u, sys; print(u.urlopen(f'http://{sys.argv[1]}:8080/?from-client').status)"
        self.assertEqual(self.python("client", fetch, self.address("web")), "200")
        seen = eventually(lambda: [line for line in self.podlab("logs", "web").splitlines() if "from-client" in line])
        self.assertEqual([line.split()[0] for line in seen], [self.address("client")])

    def test_02_100_megabytes_arrive_unharmed(self):
        sent, received = self.python("client", SEND, self.address("sink")).split()
        self.assertEqual(received, sent)

    def test_03_the_largest_datagram_of_the_mtu_arrives_and_one_byte_more_is_refused_or_fragmented(self):
        mtu = int(self.python("client", "print(open('/sys/class/net/eth0/mtu').read())"))
        self.assertEqual(mtu, 1450)  # of the underlay's 1500, VXLAN over IPv4 takes 50
        (node,) = [node for node in self.objects("nodes") if node["metadata"]["name"] == "node3"]
        self.assertEqual(node["metadata"]["annotations"]["podlab.io/pod-mtu"], str(mtu))
        sink, largest = self.address("sink"), mtu - UDP_OVERHEAD
        self.assertEqual(self.python("client", DATAGRAM, sink, str(largest), "whole"), str(largest))
        self.assertEqual(self.python("client", DATAGRAM, sink, str(largest + 1), "whole"), "EMSGSIZE")
        self.assertEqual(self.python("client", DATAGRAM, sink, str(largest + 1), "fragment"), str(largest + 1))

    def tables(self, node):
        """All that the agent keeps in the node's tables."""
        lines = []
        for command, own in (("ip route", "proto 112"), ("ip neigh", "PERMANENT"), ("bridge fdb", " dst "),
                             ("ip -o -4 address", " podlab")):
            lines += [line.strip() for line in self.in_node(node, *command.split()).splitlines() if own in line]
        return sorted(re.sub(r"^\d+: ", "", line) for line in lines)

    def test_04_what_is_deleted_by_hand_comes_back(self):
        before = self.tables("node1")
        self.assertEqual(sum("via" in line for line in before), 2, before)
        other = re.search(r"^(\S+) via (\S+) dev podlab.1", self.in_node("node1", "ip", "route"), re.M)
        forwarding = self.in_node("node1", "bridge", "fdb", "show", "dev", "podlab.1").splitlines()[0].split()
        pod = self.in_pod("client", "ip", "-o", "address", "show", "dev", "eth0")
        for node, command in (
                ("node1", f"ip route del {other[1]}"),
                ("node1", f"bridge fdb del {forwarding[0]} dev podlab.1 dst {forwarding[2]}"),
                ("node1", f"ip neigh del {other[2]} dev podlab.1"),
                ("node1", "ip link set podlab.1 down"),
                ("node1", "ip link del podlab.1"),
                ("node1", "ip address flush dev podlab0"),
                ("node1", "ip link del podlab0"),
        ):
            with self.subTest(command):
                self.in_node(node, *command.split())
                self.assertTrue(eventually(lambda: self.tables("node1") == before),
                                (before, self.tables("node1")))
        done = self.run_podlab("reach")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("inet " + self.address("client"), pod)

    def test_05_a_pods_link_comes_back(self):
        uid = json.loads(self.podlab("get", "pod", "client", "-o", "json"))["metadata"]["uid"]
        address = self.address("client")

        def port():
            links = json.loads(self.in_node("node3", "ip", "-j", "link"))
            return [link["ifname"] for link in links if link.get("ifalias") == f"podlab pod {uid}"]

        def inside():
            routes = self.in_pod("client", "ip", "route") if "eth0" in self.in_pod("client", "ip", "link") else ""
            return (f"inet {address}/" in self.in_pod("client", "ip", "-o", "address") and "default via" in routes
                    and "state UP" in self.in_pod("client", "ip", "-o", "link", "show", "dev", "eth0"))

        self.assertTrue(inside())
        for break_it in (lambda: self.in_node("node3", "ip", "link", "del", *port()),
                         lambda: self.in_node("node3", "ip", "link", "set", *port(), "nomaster"),
                         lambda: self.in_node("node3", "ip", "link", "set", *port(), "down"),
                         lambda: self.in_pod("client", "ip", "link", "del", "eth0"),
                         lambda: self.in_pod("client", "ip", "link", "set", "eth0", "down"),
                         lambda: self.in_pod("client", "ip", "address", "flush", "dev", "eth0"),
                         lambda: self.in_pod("client", "ip", "route", "del", "default")):
            break_it()
            self.assertTrue(eventually(lambda: inside() and self.run_podlab("reach").returncode == 0),
                            self.run_podlab("reach").stdout)
        self.assertEqual(self.address("client"), address)
        self.assertEqual(self.objects("pods")[0]["status"]["containerStatuses"][0]["restartCount"], 0)

    def test_06_reach_exits_3_while_a_pod_is_cut_off(self):
        self.assertEqual(self.run_podlab("reach").returncode, 0)
        self.in_pod("client", "ip", "route", "add", "blackhole", "10.244.0.0/16")
        done = self.run_podlab("reach", "-o", "json")
        self.assertEqual(done.returncode, 3, done.stderr)
        cells = json.loads(done.stdout)
        failed = {(probe["from"], probe["to"]) for probe in cells["probes"] if not probe["ok"]}
        self.assertTrue(failed)
        for source, target in failed:
            self.assertIn("default/client", (source, target))
        self.in_pod("client", "ip", "route", "del", "blackhole", "10.244.0.0/16")
        self.assertEqual(self.run_podlab("reach").returncode, 0)

    def test_07_entries_of_a_node_come_and_go_with_it(self):
        before = self.tables("node1")
        self.podlab("node", "add", "extra")
        self.assertTrue(eventually(lambda: len(self.tables("node1")) == len(before) + 3), self.tables("node1"))
        self.podlab("node", "rm", "extra")
        self.assertTrue(eventually(lambda: self.tables("node1") == before), self.tables("node1"))


SMALL = """
apiVersion: podlab.io/v1alpha1
kind: Cluster
nodes: [{count: 1}]
networking: {podCIDRs: [10.244.0.0/24], nodePrefixIPv4: 29}
"""

SLEEPER = """
apiVersion: v1
kind: Pod
metadata: {name: sleeper%d}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: one, image: host, command: [/bin/sleep, "100000"]}]
"""


class Exhaustion(LabTestCase):
    cluster = SMALL

    def test_a_pod_waits_for_an_address(self):
        # Of the node's eight addresses the overlay, the bridge and the broadcast have one each.
        for number in range(1, 6):
            self.podlab("apply", "-f", "-", input=SLEEPER % number)
        self.wait_ready("--all")
        self.podlab("apply", "-f", "-", input=SLEEPER % 6)

        def complaints():
            return [event for event in self.objects("events") if event["involvedObject"]["name"] == "sleeper6"
                    and event["type"] == "Warning"]

        self.assertTrue(eventually(complaints))
        self.assertEqual(complaints()[0]["reason"], "FailedCreatePodSandBox")
        self.assertRegex(complaints()[0]["message"], r"no free address in 10\.244\.0\.\d+/29")
        (waiting,) = [pod for pod in self.objects("pods") if pod["metadata"]["name"] == "sleeper6"]
        self.assertEqual(waiting["status"]["phase"], "Pending")
        self.assertNotIn("podIP", waiting["status"])

        (freed,) = [pod["status"]["podIP"] for pod in self.objects("pods") if pod["metadata"]["name"] == "sleeper2"]
        self.podlab("delete", "pod", "sleeper2")
        self.wait_ready("sleeper6")
        (served,) = [pod for pod in self.objects("pods") if pod["metadata"]["name"] == "sleeper6"]
        self.assertEqual(served["status"]["podIP"], freed)
        self.assertEqual(self.run_podlab("reach").returncode, 0)


if __name__ == "__main__":
    unittest.main()
