"""Limits, OOM kills and usage figures, from the cgroups of this host; and what a host without says."""
import json
import os
import pathlib
import signal
import unittest

from harness import LabTestCase, eventually

MANIFEST = """
apiVersion: v1
kind: Pod
metadata: {name: hog}
spec:
  restartPolicy: Never
  containers:
  - name: hog
    image: host
    command: [/usr/bin/tail, /dev/zero]
    resources: {limits: {memory: 40Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: spin}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: spin
    image: host
    command: [/bin/sh, -c, "while :; do :; done"]
    resources: {limits: {cpu: 100m, memory: 64Mi}}
  - name: idle
    image: host
    command: [/bin/sleep, "100000"]
"""

CLUSTER = """
apiVersion: podlab.io/v1alpha1
kind: Cluster
nodes:
- name: small
  cpu: "1"
  memory: 1Gi
  podPidsLimit: 50
"""


def cgroups_below(folder):
    return [path for path in pathlib.Path("/sys/fs/cgroup").glob(f"**/podlab/{folder}*") if path.is_dir()]


def has_cgroups(test):
    checks = json.loads(test.run_podlab("doctor", "-o", "json").stdout)["checks"]
    (found,) = [check for check in checks if check["name"] == "cgroups"]
    return found["status"] == "ok", found["detail"]


class Resources(LabTestCase):
    cluster = CLUSTER

    def setUp(self):
        ok, reason = has_cgroups(self)
        if not ok:
            self.skipTest(reason)

    def lab_cgroups(self):
        lines = next(self.state.glob("*/cgroups")).read_text().splitlines()
        return [pathlib.Path(line) for line in lines]

    def status(self, pod, container=0):
        return json.loads(self.podlab("get", "pod", pod, "-o", "json"))["status"]["containerStatuses"][container]

    def test_01_a_memory_hog_is_oomkilled(self):
        self.podlab("apply", "-f", "-", input=MANIFEST)
        self.assertTrue(eventually(lambda: "OOMKilled" in self.podlab("get", "pod", "hog")))
        ended = self.status("hog")["state"]["terminated"]
        self.assertEqual((ended["reason"], ended["exitCode"]), ("OOMKilled", 137))

    def test_02_the_declared_memory_is_the_ceiling(self):
        (memory,) = [path for path in self.lab_cgroups()
                     if (path / "small/memory.max").exists() or (path / "small/memory.limit_in_bytes").exists()]
        file = memory / "small/memory.max"
        if not file.exists():
            file = memory / "small/memory.limit_in_bytes"
        self.assertEqual(file.read_text().strip(), str(1 << 30))

    def test_03_a_container_sees_its_own_limit(self):
        self.wait_ready("spin")
        script = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null"
        done = self.run_podlab("exec", "spin", "-c", "spin", "--", "/bin/sh", "-c", script)
        self.assertEqual(done.stdout.strip(), str(64 << 20), done.stderr)

    def test_04_top(self):
        def spinning():
            lines = self.podlab("top", "pods", "--containers", "--no-headers", "--sort-by", "cpu").splitlines()
            return lines if lines and lines[0].split()[:2] == ["spin", "spin"] and lines[0].split()[2] != "0m" else None

        lines = eventually(spinning)
        self.assertEqual([line.split()[1] for line in lines], ["spin", "idle"])
        self.assertEqual(self.podlab("top", "pods").splitlines()[0].split(), ["NAME", "CPU(cores)", "MEMORY(bytes)"])
        header, node = self.podlab("top", "nodes").splitlines()
        self.assertEqual(header.split(), ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"])
        self.assertEqual(node.split()[0], "small")

    def test_05_cgroups_go_with_the_pod_also_after_a_killed_agent(self):
        uid = json.loads(self.podlab("get", "pod", "spin", "-o", "json"))["metadata"]["uid"]
        found = [path for lab in self.lab_cgroups() for path in lab.glob(f"small/{uid}")]
        self.assertEqual(len(found), len(self.lab_cgroups()))
        (agent,) = self.processes("agent")
        os.kill(agent, signal.SIGKILL)
        self.podlab("delete", "pod", "spin", "hog")
        self.assertTrue(eventually(lambda: not any(path.exists() for path in found)), found)

    def test_06_a_killed_lab_leaves_cgroups_to_the_next_command(self):
        self.podlab("apply", "-f", "-", input=MANIFEST)
        self.wait_ready("spin")
        (lab,) = self.processes("lab")
        folders = self.lab_cgroups()
        os.kill(lab, signal.SIGKILL)
        self.podlab("down")
        self.assertEqual([str(path) for path in folders if path.exists()], [])
        self.podlab("up")
        self.wait_ready("spin")
        self.podlab("down")
        self.assertEqual([str(path) for path in folders if path.exists()], [])


class WithoutCgroups(LabTestCase):
    up_arguments = ("-n", "1")
    user = 54321

    def setUp(self):
        ok, _ = has_cgroups(self)
        if ok:
            self.skipTest("this user has cgroups")

    def test_limits_are_said_not_to_be_enforced(self):
        self.podlab("apply", "-f", "-", input=MANIFEST.split("---")[1])
        self.wait_ready("spin")

        def events():
            return [event for event in self.objects("events") if event["reason"] == "LimitsNotEnforced"]

        self.assertIn("The node enforces no limits: ", eventually(events)[0]["message"])
        done = self.run_podlab("top", "nodes")
        self.assertEqual(done.returncode, 4, done.stdout + done.stderr)
        self.assertIn("there are no figures without cgroups", done.stderr)


if __name__ == "__main__":
    unittest.main()
