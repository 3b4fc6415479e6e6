"""The flat network in its other shapes: IPv4 with IPv6, IPv6 alone, plain routes; and ranges that clash."""
import ipaddress
import json
import pathlib
import subprocess
import unittest

from harness import LabTestCase, cluster_file

CONFIGS = pathlib.Path(__file__).resolve().parents[2] / "configs"

IPV6_ONLY = """
apiVersion: podlab.io/v1alpha1
kind: Cluster
nodes: [{count: 2}]
networking: {ipFamily: ipv6}
"""

CLUSTER = """
apiVersion: podlab.io/v1alpha1
kind: Cluster
nodes: [{count: 1}]
networking: {podCIDRs: [%s], underlayCIDRs: [%s]}
"""


class Shape:
    """The same for each: all pods have an address of each family and reach each other."""

    versions = ()

    def test_every_pod_reaches_every_other(self):
        self.apply("sleepers.yaml")
        self.wait_ready("--all")
        pods = self.objects("pods")
        self.assertGreaterEqual(len({pod["spec"]["nodeName"] for pod in pods}), 2)
        for pod in pods:
            addresses = [ipaddress.ip_address(each["ip"]) for each in pod["status"]["podIPs"]]
            self.assertEqual([address.version for address in addresses], list(self.versions))
        measured = self.run_podlab("reach", "-o", "json")
        self.assertEqual(measured.returncode, 0, measured.stderr)
        probes = json.loads(measured.stdout)["probes"]
        self.assertEqual(len(probes), len(pods) ** 2 * 3 * len(self.versions))


class DualStack(Shape, LabTestCase):
    up_arguments = ("-f", CONFIGS / "dual-stack.yaml", "--name", "default")
    versions = (4, 6)


class Ipv6Only(Shape, LabTestCase):
    cluster = IPV6_ONLY
    versions = (6,)


class HostGateway(Shape, LabTestCase):
    up_arguments = ("-f", CONFIGS / "host-gw.yaml", "--name", "default")
    versions = (4,)

    def test_there_is_no_tunnel(self):
        self.assertNotIn("vxlan", self.in_node("a", "ip", "-d", "link"))


class Clashes(LabTestCase):
    up_arguments = ("-n", "1")

    def refusal(self, pods, underlay):
        with cluster_file(CLUSTER % (pods, underlay)) as file:
            done = self.run_podlab("up", "--name", "clash", "-f", file)
            checked = self.run_podlab("validate", file)
        self.assertEqual((done.returncode, checked.returncode), (1, 1), done.stderr + checked.stderr)
        self.assertNotIn("clash", self.podlab("ls"))
        return done.stderr

    def test_ranges_that_overlap_each_other_are_refused(self):
        text = self.refusal("10.250.0.0/16", "10.250.7.0/24")
        for part in ("networking.", "10.250.0.0/16", "10.250.7.0/24"):
            self.assertIn(part, text)

    def test_ranges_that_overlap_the_hosts_networks_are_refused(self):
        addresses = json.loads(subprocess.run(["ip", "-j", "-4", "address"], capture_output=True, text=True,
                                              check=True).stdout)
        used = [(link["ifname"], address["local"]) for link in addresses for address in link["addr_info"]]
        for link, address in used:
            taken = ipaddress.ip_network(f"{address}/16", strict=False)
            text = self.refusal(taken, "172.31.0.0/16")
            self.assertIn(str(taken), text)
            self.assertIn(link, text)


if __name__ == "__main__":
    unittest.main()
