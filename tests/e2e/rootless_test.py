"""The main job as an ordinary user, without sudo, subordinate ids or anything of root's."""
import os
import signal
import unittest

from harness import LabTestCase, eventually, host_network, processes_below


class Rootless(LabTestCase):
    up_arguments = ("-n", "3")
    user = 54321  # in no password file, and without subordinate ids; for root only, others are ordinary already

    def test_01_the_lab_is_the_users_own(self):
        (lab,) = self.processes("lab")
        self.assertEqual(os.stat(f"/proc/{lab}").st_uid, self.user if os.geteuid() == 0 else os.geteuid())

    def test_02_pods_run_and_reach_each_other(self):
        self.apply("sleepers.yaml")
        self.apply("shared.yaml")
        self.wait_ready("--all")
        self.assertGreaterEqual(len({pod["spec"]["nodeName"] for pod in self.objects("pods")}), 2)
        done = self.run_podlab("reach")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_03_exec_and_logs(self):
        done = self.run_podlab("exec", "shared", "-c", "one", "--", "/bin/bash", "-c", "id -u; hostname; exit 5")
        self.assertEqual((done.returncode, done.stdout), (5, "0\nshared\n"), done.stderr)
        self.apply("finishing.yaml")
        self.assertTrue(eventually(lambda: "first\nlast\n" == self.run_podlab("logs", "fails").stdout))

    def test_04_a_stopped_lab_comes_back_with_its_pods(self):
        names = ("sleeper1", "sleeper2", "shared")

        def addresses():
            return {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in self.objects("pods")
                    if pod["metadata"]["name"] in names}

        before = addresses()
        self.podlab("down")
        self.assertEqual(processes_below(self.state), [])
        self.podlab("up")
        self.wait_ready(*names)
        self.assertEqual(addresses(), before)

    def test_05_a_killed_lab_leaves_nothing(self):
        (lab,) = self.processes("lab")
        os.kill(lab, signal.SIGKILL)
        self.assertTrue(eventually(lambda: not processes_below(self.state)), processes_below(self.state))
        self.assertEqual(host_network(), self.network_before)
        self.podlab("up")
        self.wait_ready("sleeper1", "sleeper2", "shared")
        self.podlab("down", "--purge")
        self.assertEqual([entry.name for entry in self.state.iterdir() if entry.name != self.program.name], [])


if __name__ == "__main__":
    unittest.main()
