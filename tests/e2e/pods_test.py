"""What a pod is, and that pods reach each other with real packets."""
import json
import os
import subprocess
import unittest

from harness import LabTestCase, eventually


class Pods(LabTestCase):
    up_arguments = ("-n", "3")

    def exec(self, pod, container, script):
        return self.podlab("exec", pod, "-c", container, "--", "/bin/bash", "-c", script).strip()

    def test_01_containers_of_a_pod_share_network_ipc_and_hostname_and_nothing_else(self):
        self.apply("shared.yaml")
        self.wait_ready("--all")
        for namespace in ("net", "ipc", "uts"):
            one = self.exec("shared", "one", f"readlink /proc/self/ns/{namespace}")
            self.assertEqual(one, self.exec("shared", "two", f"readlink /proc/self/ns/{namespace}"))
            self.assertNotEqual(one, self.exec("other", "one", f"readlink /proc/self/ns/{namespace}"))
        for namespace in ("mnt", "pid"):
            self.assertNotEqual(self.exec("shared", "one", f"readlink /proc/self/ns/{namespace}"),
                                self.exec("shared", "two", f"readlink /proc/self/ns/{namespace}"))
        self.assertEqual(self.exec("shared", "one", "hostname"), "shared")
        self.assertEqual(self.exec("shared", "two", "hostname"), "shared")
        # One localhost and one port space.
        self.assertEqual(self.exec("shared", "two", "exec 3<>/dev/tcp/127.0.0.1/7000; head -1 <&3"), "hello from one")
        bind = "perl -MSocket -e 'socket(S,AF_INET,SOCK_STREAM,0); bind(S,sockaddr_in(7000,INADDR_ANY)) or print $!'"
        self.assertIn("in use", self.exec("shared", "two", bind))
        # POSIX shared memory is one, other files are not.
        self.exec("shared", "one", "echo memory > /dev/shm/x; echo file > /tmp/x; echo volume > /data/x")
        self.assertEqual(self.exec("shared", "two", "cat /dev/shm/x"), "memory")
        self.assertEqual(self.exec("shared", "two", "cat /data/x"), "volume")
        # So is System V's.
        self.exec("shared", "one", "perl -e 'defined shmget(4242, 64, 01600) or die $!'")
        found = "perl -e 'print defined shmget(4242, 64, 0) ? 1 : 0'"
        self.assertEqual(self.exec("shared", "two", found), "1")
        self.assertEqual(self.exec("other", "one", found), "0")
        self.assertEqual(self.exec("shared", "two", "ls /tmp"), "")
        # The processes are shared only on request.
        self.assertNotIn("sentinel", self.exec("shared", "two", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"))
        self.assertIn("sentinel", self.exec("together", "two", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"))

    def test_02_every_pod_reaches_every_other(self):
        self.apply("sleepers.yaml")
        self.wait_ready("--all")
        done = self.run_podlab("reach")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("All reach all", done.stdout)
        measured = json.loads(self.podlab("reach", "--port", "probe", "-o", "json"))
        pods = len(measured["ends"])
        self.assertEqual(len(measured["probes"]), pods * pods * 3)
        self.assertTrue(all(probe["ok"] for probe in measured["probes"]))

    def test_03_reach_fails_with_3_when_a_node_is_cut_off(self):
        self.apply("sleepers.yaml")
        self.wait_ready("--all")
        self.podlab("node", "kill", "node2")
        done = self.run_podlab("reach")
        self.assertEqual(done.returncode, 3, done.stdout)
        self.podlab("node", "start", "node2")
        self.wait_ready("--all")
        self.assertTrue(eventually(lambda: self.run_podlab("reach").returncode == 0), self.run_podlab("reach").stdout)

    def test_04_logs_exit_codes_and_restarts(self):
        self.apply("finishing.yaml")
        self.assertTrue(eventually(lambda: self.phase("fails") == "Failed" and self.phase("succeeds") == "Succeeded"))
        pod = json.loads(self.podlab("get", "pod", "fails", "-o", "json"))
        (status,) = pod["status"]["containerStatuses"]
        self.assertEqual(status["state"]["terminated"]["exitCode"], 7)
        self.assertEqual(status["state"]["terminated"]["reason"], "Error")
        self.assertEqual(self.podlab("logs", "fails"), "first\nlast\n")
        self.assertEqual(self.podlab("logs", "fails", "--tail", "1"), "last\n")
        self.assertEqual(len(self.podlab("logs", "succeeds")), 1000000)
        restarted = eventually(lambda: self.restarts("crashes") >= 1)
        self.assertTrue(restarted)
        self.assertEqual(self.podlab("logs", "crashes", "-p"), "run\n")

    def test_05_exec_passes_input_output_and_exit_code(self):
        self.apply("shared.yaml")
        self.wait_ready("shared")
        done = self.run_podlab("exec", "shared", "-c", "one", "--", "/bin/bash", "-c", "echo out; echo err >&2; exit 5")
        self.assertEqual((done.returncode, done.stdout), (5, "out\n"))
        self.assertTrue(done.stderr.startswith("err\n"), done.stderr)

    def test_06_input_is_read_no_faster_than_the_command_takes_it(self):
        self.apply("shared.yaml")
        self.wait_ready("shared")
        size = 200_000_000
        with subprocess.Popen(["head", "-c", str(size), "/dev/zero"], stdout=subprocess.PIPE) as source:
            with subprocess.Popen([self.program, "exec", "-i", "shared", "-c", "one", "--", "/bin/sleep", "1"],
                                  env=self.environment, stdin=source.stdout) as client:
                source.stdout.close()
                _, status, usage = os.wait4(client.pid, 0)
                client.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(client.returncode, 0)
        self.assertLess(usage.ru_maxrss * 1024, size)

    def phase(self, pod):
        return json.loads(self.podlab("get", "pod", pod, "-o", "json"))["status"].get("phase")

    def restarts(self, pod):
        statuses = json.loads(self.podlab("get", "pod", pod, "-o", "json"))["status"].get("containerStatuses", [])
        return sum(status["restartCount"] for status in statuses)


if __name__ == "__main__":
    unittest.main()
