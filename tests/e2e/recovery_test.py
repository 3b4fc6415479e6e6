"""Agents are killed while pods start and stop: nothing is lost, nothing runs twice, nothing stays behind."""
import json
import os
import pathlib
import random
import re
import signal
import threading
import time
import unittest

from harness import LabTestCase, eventually, parent

KILLS = int(os.environ.get("PODLAB_TEST_KILLS", "200"))
NODE = "node1"

# Counts until it is stopped, and says so: its log shows whether it was restarted, and whether a line is missing.
COUNTER = """
apiVersion: v1
kind: Pod
metadata: {name: counter}
spec:
  terminationGracePeriodSeconds: 5
  containers:
    - name: main
      image: host
      command: [bash, -c, 'trap "echo stopped; exit 0" TERM; i=0; while true; do echo $((i++)); sleep 0.05; done']
    - {name: beside, image: host, command: [sleep, infinity]}
"""

JOB = """
apiVersion: v1
kind: Pod
metadata: {name: job-%(n)d, labels: {churn: job}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  initContainers:
    - {name: first, image: host, command: [bash, -c, 'echo first %(n)d >> /data/order'], volumeMounts: [{name: data, mountPath: /data}]}
  containers:
    - name: main
      image: host
      command: [bash, -c, 'cat /data/order; echo job %(n)d; sleep 0.0%(n)d; exit %(code)d']
      volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, emptyDir: {}}]
"""

SLEEPER = """
apiVersion: v1
kind: Pod
metadata: {name: sleeper-%(n)d, labels: {churn: sleeper}}
spec:
  terminationGracePeriodSeconds: 1
  shareProcessNamespace: %(shared)s
  containers:
    - {name: one, image: host, command: [sleep, infinity], volumeMounts: [{name: memory, mountPath: /memory}]}
    - {name: two, image: host, command: [sleep, infinity]}
  volumes: [{name: memory, emptyDir: {medium: Memory}}]
"""


class Recovery(LabTestCase):
    up_arguments = ("-n", "1")

    def create(self, manifest):
        self.podlab("create", "-f", "-", input=manifest)

    def pod(self, name):
        return json.loads(self.podlab("get", "pod", name, "-o", "json"))

    def unfinished(self):
        return [pod["metadata"]["name"] for pod in self.objects("pods", "-l", "churn=job")
                if pod["status"].get("phase") not in ("Succeeded", "Failed")]

    def agent(self):
        """Its pid; 0 while there is none."""
        return next(iter(self.processes("agent", "--node-name", NODE)), 0)

    def belongings(self):
        """What pods have on the node beside their containers: links, mounts, namespaces, files, processes."""
        (folder,) = self.state.glob(f"*/nodes/{NODE}")
        agent = self.agent()
        names = {
            "links": re.findall(r"^\d+: ([^:@]+)", self.in_node(NODE, "ip", "-o", "link"), re.MULTILINE),
            "mounts": [line.split()[4] for line in pathlib.Path(f"/proc/{agent}/mountinfo").read_text().splitlines()],
        }
        for path in ("run/pins", "run/containers/containers", "run/containers/runtime", "run/containers/pidns", "run/pods"):
            inside = pathlib.Path(f"/proc/{agent}/root{folder}/{path}")
            names[path] = os.listdir(inside) if inside.exists() else []
        names["pods"] = [path.name for path in (folder / "pods").iterdir()]
        names["addresses"] = [line for line in (folder / "addresses").read_text().splitlines()
                              if not line.startswith("next ")]
        names["processes"] = [line for line in map(self.lasting_command, self.node_processes(agent)) if line]
        return {kind: sorted(found) for kind, found in names.items()}

    def expect_belongings(self, expected):
        eventually(lambda: self.belongings() == expected, 30)
        self.maxDiff = None
        self.assertEqual(self.belongings(), expected)

    def node_processes(self, agent):
        """The host pids of all processes of the node: the descendants of the agent's parent, its init."""
        children = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                children.setdefault(parent(int(entry)), []).append(int(entry))
        found, todo = [], [parent(agent)]
        while todo:
            for child in children.get(todo.pop(), []):
                found.append(child)
                todo.append(child)
        return found

    def lasting_command(self, pid):
        """Its command line; none for the counter's sleeps, which come and go, and are a second shell until they exec."""
        command = self.command_line(pid)
        comes_and_goes = command == "sleep 0.05" or command.startswith("bash") and command == self.command_line(parent(pid))
        return "" if comes_and_goes else command

    @staticmethod
    def command_line(pid):
        try:
            return pathlib.Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
        except OSError:
            return ""

    def told_of(self, log, pod):
        """What the node has said of a pod, and the events about it."""
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        said = [line for line in log.read_text().splitlines() if uid in line or f"/{name} " in line or f"/{name}\"" in line]
        return "\n".join([*said, self.podlab("events", "--for", f"pod/{name}")])

    def test_01_the_kill_loop(self):
        seed = int(os.environ.get("PODLAB_TEST_SEED", time.time_ns() % 1_000_000))
        print(f"seed {seed}, {KILLS} kills", flush=True)
        chance = random.Random(seed)
        # One pod has been, so that what a node makes at its first is there.
        self.create(SLEEPER % {"n": 0, "shared": "true"})
        self.wait_ready("sleeper-0")
        self.podlab("delete", "pod", "sleeper-0")
        empty = eventually(lambda: (found := self.belongings())["pods"] == [] and found)
        self.create(COUNTER)
        self.wait_ready("counter")
        before = self.pod("counter")["status"]["containerStatuses"]
        alone = self.belongings()

        over = threading.Event()
        failures = []
        jobs = {}

        def churn(own):
            n = 0
            try:
                while not over.is_set():
                    n += 1
                    eventually(lambda: over.is_set() or len(self.unfinished()) < 20, 60)
                    code = own.choice((0, 0, 1, 7, 255))
                    self.create(JOB % {"n": n, "code": code})
                    jobs[f"job-{n}"] = (n, code)
                    self.create(SLEEPER % {"n": n, "shared": own.choice(("true", "false"))})
                    if n > 2:
                        force = own.choice((("--force",), ("--grace-period", "1"), (), ()))
                        self.podlab("delete", "pod", f"sleeper-{n - 2}", "--wait=false", *force)
            except Exception as failure:  # pylint: disable=broad-except
                failures.append(failure)

        churner = threading.Thread(target=churn, args=(random.Random(seed + 1),))
        churner.start()
        try:
            kills = 0
            while kills < KILLS:
                agent = eventually(self.agent)
                self.assertTrue(agent, "the agent did not come back")
                time.sleep(chance.uniform(0, 0.25))  # a moment of any kind in its life
                try:
                    os.kill(agent, signal.SIGKILL)
                except ProcessLookupError:
                    continue  # a child of the agent's that had not become its program yet
                kills += 1
                self.assertTrue(eventually(lambda killed=agent: self.agent() not in (0, killed)))
        finally:
            over.set()
            churner.join()
        self.assertEqual(failures, [])
        (log,) = self.state.glob(f"*/log/{NODE}.log")
        self.assertEqual(set(re.findall(r"agent_ended exit_code=(\d+)", log.read_text())), {"137"}, "no agent ends by itself")
        print(f"{len(jobs)} jobs and as many sleepers", flush=True)

        # Every job ran once, to its own end, with every line.
        eventually(lambda: not self.unfinished(), 60)
        self.assertEqual(self.unfinished(), [])
        for pod in self.objects("pods", "-l", "churn=job"):
            name = pod["metadata"]["name"]
            n, code = jobs[name]
            (status,) = pod["status"]["containerStatuses"]
            self.assertEqual((status["state"]["terminated"]["exitCode"], status["restartCount"]), (code, 0),
                             f"{name}: {status}\n{self.told_of(log, pod)}")
            self.assertEqual(self.podlab("logs", name), f"first {n}\njob {n}\n", name)

        # What ran on is still the same instance, and not a line of it is missing.
        after = self.pod("counter")["status"]["containerStatuses"]
        for old, new in zip(before, after):
            self.assertEqual((old["containerID"], 0), (new["containerID"], new["restartCount"]))
        lines = self.podlab("logs", "counter", "-c", "main").split()
        self.assertEqual(lines, [str(i) for i in range(len(lines))])

        # What is deleted leaves nothing.
        self.podlab("delete", "pods", "-l", "churn")
        self.expect_belongings(alone)
        self.podlab("delete", "pod", "counter")
        self.expect_belongings(empty)


if __name__ == "__main__":
    unittest.main()
