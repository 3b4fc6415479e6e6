"""A lab as a whole: start, stop, crash, and what is left behind."""
import os
import signal
import unittest

from harness import LabTestCase, eventually, host_network, processes_below


class Lab(LabTestCase):
    up_arguments = ("-n", "3")

    def lab_pid(self):
        for line in self.podlab("status").splitlines():
            if "(pid " in line:
                return int(line.split("(pid ")[1].rstrip(")"))
        self.fail("podlab status names no pid")

    def ready_nodes(self):
        return [node["metadata"]["name"] for node in self.objects("nodes")
                if any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])]

    def pods_by_name(self):
        return {pod["metadata"]["name"]: pod for pod in self.objects("pods")}

    def test_01_nodes_are_ready_and_a_second_up_changes_nothing(self):
        self.assertEqual(self.ready_nodes(), ["node1", "node2", "node3"])
        pid = self.lab_pid()
        self.podlab("up")
        self.assertEqual(self.lab_pid(), pid)
        self.assertIn("default", self.podlab("ls"))

    def test_02_pods_are_spread_and_keep_their_addresses_over_a_restart(self):
        self.apply("sleepers.yaml")
        self.wait_ready("--all")
        before = self.pods_by_name()
        self.assertEqual(len(before), 6)
        self.assertGreaterEqual(len({pod["spec"]["nodeName"] for pod in before.values()}), 2)
        addresses = {name: pod["status"]["podIP"] for name, pod in before.items()}
        self.assertEqual(len(set(addresses.values())), 6)

        self.podlab("down")
        self.assertEqual(processes_below(self.state), [])
        self.podlab("up")
        self.wait_ready("--all")
        after = self.pods_by_name()
        self.assertEqual({name: pod["status"]["podIP"] for name, pod in after.items()}, addresses)
        self.assertEqual({name: pod["metadata"]["uid"] for name, pod in after.items()},
                         {name: pod["metadata"]["uid"] for name, pod in before.items()})

    def test_03_a_killed_agent_stops_no_container(self):
        self.apply("sleepers.yaml")
        self.wait_ready("--all")
        before = {name: pod["status"]["containerStatuses"] for name, pod in self.pods_by_name().items()}
        agents = self.processes("agent")
        self.assertEqual(len(agents), 3)
        for pid in agents:
            os.kill(pid, signal.SIGKILL)
        self.assertTrue(eventually(lambda: len(set(self.processes("agent")) - set(agents)) == 3))
        # A new pod on each node shows that the new agents work.
        self.apply("latecomers.yaml")
        self.wait_ready("late1", "late2", "late3")
        now = {name: pod["status"]["containerStatuses"] for name, pod in self.pods_by_name().items() if name in before}
        self.assertEqual(now, before)
        self.podlab("delete", "pod", "late1", "late2", "late3", "--grace-period", "1")

    def test_04_a_killed_server_loses_nothing(self):
        self.apply("sleepers.yaml")
        self.wait_ready("--all")
        before = self.pods_by_name()
        (server,) = self.processes("server")
        os.kill(server, signal.SIGKILL)
        self.assertTrue(eventually(lambda: self.processes("server") not in ([], [server])))
        after = self.pods_by_name()
        self.assertEqual({n: p["status"]["containerStatuses"] for n, p in after.items()},
                         {n: p["status"]["containerStatuses"] for n, p in before.items()})
        self.podlab("delete", "pod", "--all", "--grace-period", "1")
        self.assertEqual(self.pods_by_name(), {})

    def test_05_nodes_stop_start_and_leave(self):
        self.podlab("node", "stop", "node3")
        self.assertIn("node3   Stopped", self.podlab("status"))
        self.podlab("node", "start", "node3")
        self.podlab("node", "add", "extra")
        self.assertIn("extra", self.ready_nodes())
        self.podlab("node", "rm", "extra")
        self.assertNotIn("extra", self.podlab("status"))
        self.assertNotIn("extra", self.podlab("get", "nodes"))
        wrong = self.run_podlab("node", "stop", "nobody")
        self.assertEqual(wrong.returncode, 1)
        self.assertIn('"nobody" not found', wrong.stderr)

    def test_06_a_killed_lab_leaves_nothing(self):
        self.apply("sleepers.yaml")
        self.wait_ready("--all")
        os.kill(self.lab_pid(), signal.SIGKILL)
        self.assertTrue(eventually(lambda: not processes_below(self.state)), processes_below(self.state))
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            self.assertNotIn(str(self.state), file.read())
        self.assertEqual(host_network(), self.network_before)
        self.podlab("up")
        self.wait_ready("--all")

    def test_07_wrong_use_is_explained(self):
        for arguments, code, text in (
                (("up", "--wait", "soon"), 2, "not a duration"),
                (("up", "-n", "0"), 2, "--nodes"),
                (("frobnicate",), 2, 'unknown command "frobnicate"'),
                (("get", "unicorns"), 1, "doesn't have a resource type"),
                (("get", "pod", "nobody"), 1, 'Error from server (NotFound): pods "nobody" not found'),
                (("get", "pods", "--show-names"), 2, "unknown flag: --show-names"),
                (("apply", "-f", "-", "--dry-run=perhaps"), 2, "--dry-run: perhaps not in"),
                (("get", "pods", "--name", "nowhere"), 1, 'no lab "nowhere"'),
                (("delete", "pods"), 1, "no name was specified"),
                (("delete", "pod", "x", "--now", "--grace-period", "3"), 2,
                 "--now and --grace-period cannot be specified together"),
                (("delete", "pod", "x", "--force", "--grace-period", "3"), 2,
                 "--force and --grace-period greater than 0 cannot be specified together"),
                (("delete", "pod", "x", "--timeout", "soon"), 2, "not a duration"),
                (("apply", "-f", "/nonexistent.yaml"), 1, "/nonexistent.yaml"),
        ):
            done = self.run_podlab(*arguments)
            self.assertEqual(done.returncode, code, f"{arguments}: {done.stderr}")
            self.assertIn(text, done.stderr)
        self.assertEqual(self.run_podlab("down", "--name", "nowhere").returncode, 0)

    def test_08_a_dry_run_stores_nothing(self):
        manifest = ("apiVersion: v1\nkind: Pod\nmetadata: {name: dry}\n"
                    "spec: {containers: [{name: a, image: host, command: [sleep, infinity]}, "
                    "{name: b, image: host, command: [sleep, infinity]}]}\n")
        for verb in ("create", "apply"):
            for flag, mark in (("--dry-run", "server dry run"), ("--dry-run=server", "server dry run"),
                               ("--dry-run=client", "dry run")):
                self.assertEqual(self.podlab(verb, "-f", "-", flag, input=manifest), f"pod/dry created ({mark})\n")
        self.assertEqual(self.podlab("get", "pods", "dry", "--ignore-not-found"), "")
        self.podlab("apply", "-f", "-", "--dry-run=none", input=manifest)
        self.wait_ready("dry")
        # As kubectl: which container, of several.
        done = self.run_podlab("exec", "dry", "--", "true")
        self.assertIn('Defaulted container "a" out of: a, b', done.stderr)
        # The first process of a PID namespace takes no SIGTERM that it has not asked for.
        done = self.run_podlab("delete", "pod", "dry", "--timeout", "200ms")
        self.assertEqual((done.returncode, done.stderr),
                         (1, "error: timed out waiting for the condition on pods/dry\n"))
        done = self.run_podlab("wait", "pod", "dry", "--for", "delete", "--timeout", "200ms")
        self.assertEqual((done.returncode, done.stderr),
                         (1, "error: timed out waiting for the condition on pods/dry\n"))
        done = self.run_podlab("delete", "pod", "dry", "--force", "--timeout", "20s")
        self.assertEqual((done.returncode, done.stdout), (0, 'pod "dry" force deleted from default namespace\n'))
        self.assertIn("Warning: Immediate deletion does not wait", done.stderr)

    def test_09_bad_manifests_name_field_and_remedy(self):
        manifest = "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: a, imagee: host}]}\n"
        done = self.run_podlab("apply", "-f", "-", input=manifest)
        self.assertEqual(done.returncode, 1)
        self.assertIn("spec.containers[0].imagee", done.stderr)


if __name__ == "__main__":
    unittest.main()
