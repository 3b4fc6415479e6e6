"""The life of a pod: probes, hooks, sidecars, deadlines, and a container that is added to look at it."""
import json
import os
import signal
import unittest

from harness import LabTestCase, eventually


class Lifecycle(LabTestCase):
    up_arguments = ("-n", "1")

    def pod(self, name):
        return json.loads(self.podlab("get", "pod", name, "-o", "json"))

    def status(self, name, container="main", kind="containerStatuses"):
        found = [one for one in self.pod(name)["status"].get(kind, []) if one["name"] == container]
        return found[0] if found else {}

    def messages(self, reason):
        return [event["message"] for event in self.objects("events") if event["reason"] == reason]

    def exec(self, pod, container, *command):
        return self.podlab("exec", pod, "-c", container, "--", *command)

    def test_01_a_sick_container_is_restarted(self):
        self.apply("life-liveness.yaml")
        self.assertTrue(eventually(lambda: self.status("sick").get("restartCount") == 1 and
                                   self.status("sick")["ready"], 40))
        self.assertIn("Container main failed liveness probe, will be restarted", self.messages("Killing"))
        self.assertTrue(any(text.startswith("Liveness probe failed:") for text in self.messages("Unhealthy")))
        described = self.podlab("describe", "pod", "sick")
        self.assertIn("Liveness:", described)
        self.assertIn("delay=0s timeout=1s period=1s #success=1 #failure=2", described)

    def test_02_the_startup_probe_gates_readiness(self):
        self.assertTrue(eventually(lambda: any("Startup probe failed: HTTP probe failed with statuscode: 404" in text
                                               for text in self.messages("Unhealthy"))))
        status = self.status("gated")
        self.assertFalse(status["started"])
        self.assertFalse(status["ready"])
        self.exec("gated", "main", "/usr/bin/touch", "/tmp/up")
        self.wait_ready("gated")
        self.assertTrue(self.status("gated")["started"])
        # What was found out outlives the agent: nothing starts anew.
        (agent,) = self.processes("agent", "--node-name", "node1")
        os.kill(agent, signal.SIGKILL)
        self.assertTrue(eventually(lambda: self.processes("agent", "--node-name", "node1") not in ([], [agent])))
        self.assertTrue(eventually(lambda: self.run_podlab("exec", "gated", "--", "/bin/true").returncode == 0, 40))
        self.assertTrue(self.status("gated")["started"])
        self.assertEqual(self.status("gated")["restartCount"], 0)

    def test_03_hooks_and_sidecars_come_in_order(self):
        self.apply("life-order.yaml")
        self.wait_ready("order")
        read = ("/bin/cat", "/data/journal")
        begin = ["first starts", "init runs", "second starts", "main starts", "postStart", "next starts"]
        self.assertTrue(eventually(lambda: len(self.exec("order", "next", *read).splitlines()) == len(begin)))
        self.assertEqual(self.exec("order", "next", *read).splitlines(), begin)
        self.assertTrue(self.status("order", "first", "initContainerStatuses")["ready"])
        self.assertIn("4/4", self.podlab("get", "pod", "order"))
        # The volume goes with the pod: somebody reads it to the end.
        (journal,) = self.state.glob(f"*/nodes/node1/**/{self.pod('order')['metadata']['uid']}/**/journal")
        reader = journal.open(encoding="utf-8")
        self.addCleanup(reader.close)
        self.podlab("delete", "pod", "order")
        self.assertEqual(reader.read().splitlines(), begin + ["preStop", "main stops", "second stops", "first stops"])

    def test_03_a_container_may_name_its_stop_signal(self):
        self.podlab("apply", "-f", "-", input="""
apiVersion: v1
kind: Pod
metadata: {name: signalled}
spec:
  os: {name: linux}
  activeDeadlineSeconds: 2
  restartPolicy: Never
  containers:
  - name: main
    image: host
    command: [/bin/bash, -c, "trap 'echo got it; exit 7' RTMIN+3; while :; do sleep 0.05; done"]
    lifecycle: {stopSignal: SIGRTMIN+3}
""")
        self.assertTrue(eventually(lambda: self.pod("signalled")["status"].get("phase") == "Failed"))
        self.assertEqual(self.podlab("logs", "signalled"), "got it\n")
        status = self.status("signalled")
        self.assertEqual((status["stopSignal"], status["state"]["terminated"]["exitCode"]), ("SIGRTMIN+3", 7))

    def test_04_ends_are_told(self):
        self.apply("life-ends.yaml")
        self.assertTrue(eventually(lambda: self.pod("job")["status"]["phase"] == "Failed"))
        self.assertEqual(self.status("job")["state"]["terminated"]["message"], "ran out of luck\n")
        self.assertIn("ran out of luck", self.podlab("describe", "pod", "job"))
        proxy = self.status("job", "proxy", "initContainerStatuses")
        self.assertEqual(proxy["state"]["terminated"]["exitCode"], 0)
        self.assertTrue(eventually(lambda: self.pod("talker")["status"]["phase"] == "Failed"))
        self.assertEqual(self.status("talker")["state"]["terminated"]["message"],
                         "".join(f"line {number}\n" for number in range(21, 101)))
        self.assertTrue(eventually(lambda: self.pod("late")["status"]["phase"] == "Failed"))
        late = self.pod("late")["status"]
        self.assertEqual(late["reason"], "DeadlineExceeded")
        self.assertEqual(late["message"], "Pod was active on the node longer than the specified deadline")

    def test_05_a_container_is_added_to_a_running_pod(self):
        said = self.podlab("debug", "gated", "-i", "-c", "look", "--image", "host", "--target", "main", "--",
                           "/bin/bash", "-c", "read word; echo got $word; tr '\\0' ' ' < /proc/1/cmdline; hostname",
                           input="hello\n")
        self.assertIn("got hello", said)
        self.assertIn("http.server", said)
        self.assertIn("gated", said)
        self.assertTrue(eventually(lambda: "terminated" in
                                   self.status("gated", "look", "ephemeralContainerStatuses").get("state", {})))
        self.assertEqual(self.status("gated", "look", "ephemeralContainerStatuses")["restartCount"], 0)
        self.assertIn("got hello", self.podlab("logs", "gated", "-c", "look"))
        self.assertIn("Ephemeral Containers:", self.podlab("describe", "pod", "gated"))
        self.assertTrue(self.status("gated")["ready"])
        # Another one stays, and takes commands.
        self.podlab("debug", "gated", "-c", "stay", "--image", "host", "--", "/bin/sleep", "1000")
        self.assertTrue(eventually(lambda: "running" in
                                   self.status("gated", "stay", "ephemeralContainerStatuses").get("state", {})))
        self.assertEqual(self.exec("gated", "stay", "/bin/hostname"), "gated\n")
        again = self.run_podlab("debug", "gated", "-c", "stay", "--image", "host", "--target", "nobody")
        self.assertEqual(again.returncode, 1)
        self.assertIn("spec.ephemeralContainers[2].name: Duplicate value: \"stay\"", again.stderr)
        self.assertIn("spec.ephemeralContainers[2].targetContainerName: Not found: \"nobody\"", again.stderr)

    def test_06_deleted_pods_leave_nothing(self):
        self.podlab("delete", "pod", "--all", "--grace-period", "1")
        self.assertEqual(self.objects("pods"), [])


if __name__ == "__main__":
    unittest.main()
