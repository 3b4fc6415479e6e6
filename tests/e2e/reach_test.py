"""podlab reach as a user meets it: who is chosen, what is expected, and what is told of what fails."""
import csv
import io
import json
import signal
import subprocess
import threading
import unittest
import xml.etree.ElementTree

import browser
from harness import LabTestCase, eventually

PODS = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: shop}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  nodeName: node1
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: host
    command: [/usr/bin/python3, -u, -m, http.server, "8080", --bind, "::", --directory, /usr/share/doc]
    ports: [{name: http, containerPort: 8080}]
    readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: shop, labels: {app: client}}
spec:
  nodeName: node2
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: host, command: [/bin/sleep, "100000"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: idle, labels: {app: idle}}
spec:
  nodeName: node2
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: host, command: [/bin/sleep, "100000"], ports: [{containerPort: 9999}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: host}
spec:
  nodeName: node1
  hostNetwork: true
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: host
    command: [/usr/bin/python3, -u, -m, http.server, "8090", --bind, "::", --directory, /usr/share/doc]
    ports: [{containerPort: 8090}]
    readinessProbe: {httpGet: {port: 8090}, periodSeconds: 1}
"""

ONLY_HTTP = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: only-http, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{from: [{podSelector: {}}], ports: [{port: http}]}]
"""


class Reach(LabTestCase):
    cluster = """
apiVersion: podlab.io/v1alpha1
kind: Cluster
nodes: [{count: 2}]
networking: {ipFamily: dual}
"""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        done = cls.run_podlab("apply", "-f", "-", input=PODS)
        assert done.returncode == 0, done.stderr
        for namespace in ("shop", "default"):
            done = cls.run_podlab("wait", "pod", "--all", "-n", namespace, "--for", "condition=Ready", "--timeout", "60s")
            assert done.returncode == 0, done.stderr

    def tearDown(self):
        self.podlab("delete", "networkpolicy", "--all", "-n", "shop")

    def measure(self, *arguments, code=0):
        done = self.run_podlab("reach", "-o", "json", *arguments)
        self.assertEqual(done.returncode, code, done.stderr + done.stdout[-3000:])
        return json.loads(done.stdout)

    @staticmethod
    def failing(measured):
        return {(probe["from"], probe["to"], probe["protocol"], probe.get("port")): probe["reason"]
                for probe in measured["probes"] if not probe["ok"]}

    def test_a_declared_port_without_a_listener_is_found(self):
        measured = self.measure(code=3)
        self.assertEqual([end["end"] for end in measured["ends"]], ["default/idle", "shop/client", "shop/web"])
        failing = self.failing(measured)
        self.assertEqual(set(failing), {(source, "default/idle", "tcp", 9999) for source in
                                        ("default/idle", "shop/client", "shop/web")})
        self.assertIn("no listener", failing["shop/web", "default/idle", "tcp", 9999])
        probes = {(probe["from"], probe["to"], probe["protocol"], probe.get("port"), probe["family"])
                  for probe in measured["probes"]}
        self.assertIn(("shop/client", "shop/web", "tcp", 8080, "ipv6"), probes)
        self.assertEqual(len(probes), len(measured["probes"]))
        self.measure("--port", "probe")

    def test_nodes_and_pods_reach_each_other(self):
        measured = self.measure("-n", "shop", "--from", "node:*", "--from", "web", "--to", "node:*", "--to", "shop/*")
        self.assertEqual({end["end"] for end in measured["ends"]}, {"node:node1", "node:node2", "shop/web", "shop/client"})
        # Pods on a node's network are the node.
        self.assertTrue(any(probe["to"] == "node:node1" and probe.get("port") == 8090 for probe in measured["probes"]))

    def test_an_address_outside(self):
        measured = self.measure("-n", "shop", "--to", "192.0.2.77", "--timeout", "300ms", code=3)
        self.assertEqual({probe["protocol"] for probe in measured["probes"]}, {"icmp"})
        self.assertTrue(all(probe["arrived"] is None for probe in measured["probes"]))

    def test_policies_are_expected(self):
        self.podlab("apply", "-f", "-", input=ONLY_HTTP)

        def reached():
            done = self.run_podlab("reach", "-n", "shop", "-o", "json", "--timeout", "300ms")
            measured = json.loads(done.stdout)
            return done.returncode == 0 and {(probe["protocol"], probe.get("port")) for probe in measured["probes"]
                                             if (probe["from"], probe["to"], probe["reached"]) ==
                                             ("shop/client", "shop/web", True)} == {("tcp", 8080)}

        self.assertTrue(eventually(reached), self.run_podlab("reach", "-n", "shop", "--timeout", "300ms").stdout)
        done = self.run_podlab("reach", "-n", "shop", "--timeout", "300ms")
        self.assertIn("= some reached, as expected", done.stdout)
        self.assertIn("As expected:", done.stdout)
        # The kernel is asked, not the model: rules that are not enforced are found.
        expectation = "deny client -> shop/web tcp/8080\ndeny shop/client -> shop/web\n"
        done = self.run_podlab("reach", "-n", "shop", "--timeout", "300ms", "--expect", "-", input=expectation)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertRegex(done.stdout, "FAIL shop/client -> shop/web: tcp 8080, tcp 8080 over IPv6: it is reached, though "
                                      "line 1 of the expectation denies it")

    def test_one_way_faults_are_told_from_others(self):
        web = [pod for pod in self.objects("pods", "-n", "shop") if pod["metadata"]["name"] == "web"][0]
        uid = web["metadata"]["uid"]
        client = [pod for pod in self.objects("pods", "-n", "shop") if pod["metadata"]["name"] == "client"][0]
        (folder,) = self.state.glob("*/nodes/node1")
        enter = ("nsenter", f"--net={folder}/run/pins/{uid}/net")
        self.in_node("node1", *enter, "ip", "route", "add", "blackhole", client["status"]["podIP"])
        measured = self.measure("-n", "shop", "--timeout", "300ms", code=3)
        self.in_node("node1", *enter, "ip", "route", "del", "blackhole", client["status"]["podIP"])
        for probe in measured["probes"]:
            if probe["family"] == "ipv6" or probe["from"] == probe["to"]:
                self.assertTrue(probe["ok"], probe)
            elif probe["from"] == "shop/client":
                self.assertEqual((probe["arrived"] > 0, probe["answered"]), (True, 0), probe)
            else:
                self.assertEqual((probe["arrived"], probe["answered"]), (0, 0), probe)

    def test_a_foreign_rule_is_named(self):
        nft = "/usr/sbin/nft"
        self.in_node("node1", nft, "add table inet foreign; add chain inet foreign block { type filter hook forward priority 5; }; "
                     'add rule inet foreign block tcp dport 8080 drop comment "not here"')
        try:
            failing = self.failing(self.measure("-n", "shop", "--timeout", "300ms", code=3))
        finally:
            self.in_node("node1", nft, "delete table inet foreign")
        self.assertEqual(set(failing), {("shop/client", "shop/web", "tcp", 8080)})
        self.assertRegex(failing["shop/client", "shop/web", "tcp", 8080],
                         r'dropped on node1 by nftables, not podlab.s: table inet foreign, chain block, rule with handle \d+ \("not here"\)')
        # Nothing is left of the look.
        self.assertEqual(self.in_node("node1", nft, "list", "ruleset").strip(), "")

    def test_what_the_agent_owns_is_repaired(self):
        route = [line for line in self.in_node("node1", "ip", "-4", "route").splitlines() if "podlab.1" in line][0].strip()
        self.in_node("node1", "ip", "route", "del", *route.split()[:3])
        self.assertTrue(eventually(lambda: route in self.in_node("node1", "ip", "-4", "route")))
        self.measure("-n", "shop")
        self.in_node("node1", "sysctl", "-w", "net.ipv4.ip_forward=0")
        self.assertTrue(eventually(lambda: self.run_podlab("reach", "-n", "shop", "--timeout", "300ms").returncode == 0))

    def test_packets_of_the_path_mtu_and_loss(self):
        measured = self.measure("-n", "shop", "--size", "mtu", "--count", "4", "--interval", "5ms")
        self.assertTrue(all(probe["sent"] == 4 and probe["answered"] > 0 for probe in measured["probes"]))
        self.assertTrue(all(probe["rttMicroseconds"]["min"] <= probe["rttMicroseconds"]["mean"] <=
                            probe["rttMicroseconds"]["max"] for probe in measured["probes"]))
        measured = self.measure("--from", "shop/web", "--to", "shop/client", "--size", "1451", "--protocol", "udp", code=3)
        self.assertEqual({probe["reason"] for probe in measured["probes"]},
                         {"MTU 1450 of link eth0 in pod shop/web is too small for packets of 1451 bytes"})

    def test_reports(self):
        rows = list(csv.DictReader(io.StringIO(self.podlab("reach", "-n", "shop", "-o", "csv"))))
        probes = self.measure("-n", "shop")["probes"]
        self.assertEqual(len(rows), len(probes))
        self.assertEqual({row["ok"] for row in rows}, {"true"})
        junit = self.state / "junit.xml"
        tap = self.run_podlab("reach", "--tap", "--junit", str(junit), "--from", "shop/web")
        self.assertEqual(tap.returncode, 3)
        self.assertEqual(tap.stdout.count("\nnot ok "), 2, tap.stdout)
        suites = xml.etree.ElementTree.parse(junit).getroot()
        self.assertEqual((suites.get("failures"), suites.get("errors")), ("2", "0"))
        self.assertEqual(len(suites.findall("testsuite/testcase")), int(suites.get("tests")))

    def test_the_page_shows_in_a_browser(self):
        program = browser.find()
        if not program:
            self.skipTest(browser.MISSING)
        page = self.state / "reach.html"
        self.assertEqual(self.run_podlab("reach", "--html", str(page), "--from", "shop/web").returncode, 3)
        self.assertNotRegex(page.read_text(), r"(src|href)=|https?://(?!www\.w3\.org/)")
        for scheme in browser.SCHEMES:
            with self.subTest(scheme):
                shown = browser.show(program, page, scheme, self.state)
                # The last line of its program, and what it has made of the data.
                self.assertIn('data-ready="yes"', shown.document)
                self.assertIn("no listener: it arrived and was refused", shown.document)
                self.assertIn("not as expected", shown.document)
                self.assertEqual(shown.complaints, [])
                self.assertGreater(len(browser.colors(shown.picture)), 20)

    def test_watch_shows_what_changes(self):
        with subprocess.Popen([self.program, "reach", "-n", "shop", "--watch", "--every", "100ms", "--timeout", "200ms"],
                              env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as watch:
            guard = threading.Timer(60, watch.kill)  # so that the reads end where the test fails
            guard.start()
            try:
                lines = iter(watch.stdout.readline, "")
                self.assertTrue(any("All reach all" in line for line in lines))
                self.podlab("apply", "-f", "-", input=ONLY_HTTP)
                self.assertTrue(any(line.endswith(" -> not reached, as expected\n") for line in lines))
                self.podlab("delete", "networkpolicy", "only-http", "-n", "shop")
                self.assertTrue(any(line.endswith(" -> reached\n") for line in lines))
            finally:
                guard.cancel()
                watch.send_signal(signal.SIGINT)
            watch.communicate()
            self.assertEqual(watch.returncode, 130)

    def test_wrong_usage_is_told(self):
        for arguments, code, message in (
                (("--from", "shop/nobody"), 1, 'chooses no running pod'),
                (("--to", "host"), 1, "pod default/host is on its node's network: name node:node1"),
                (("--port", "http"), 2, '--port: "http" is not a port'),
                (("--size", "10"), 2, "--size"),
                (("--expect", "/no/such/file"), 1, "/no/such/file"),
                (("-n", "nowhere"), 1, "nothing to probe")):
            done = self.run_podlab("reach", *arguments)
            self.assertEqual(done.returncode, code, (arguments, done.stderr))
            self.assertIn(message, done.stderr)
        done = self.run_podlab("reach", "--watch", "--every", "often")
        self.assertEqual((done.returncode, done.stdout), (2, ""))  # before anything is measured
        self.assertIn('--every: "often" is not a duration', done.stderr)
        done = self.run_podlab("reach", "--expect", "-", input="allow * -> *\nallow everything\n")
        self.assertEqual(done.returncode, 2)
        self.assertIn('line 2: "allow everything" is not', done.stderr)


if __name__ == "__main__":
    unittest.main()
