"""A cluster file whose nodes are hosts, brought up by ssh on machines with a real sshd each; and the same file as a lab."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import unittest

from harness import LabTestCase, cluster_file, eventually
from machines import MachinesTestCase, node_cgroups, run

HEAD = """
apiVersion: podlab.io/v1alpha1
kind: Cluster
name: hosts
networking: {mtu: 1400}
nodes:
"""
M1 = "- {name: m1, host: 192.168.56.11, labels: {zone: a}, maxPods: 20, taints: [{key: k, value: v, effect: PreferNoSchedule}]}\n"
M2 = "- {name: m2, host: second}\n"  # an alias in ssh's configuration
M3 = "- {name: m3, host: 'root@192.168.56.13:2222'}\n"
M4 = "- {name: m4, host: 'ssh://root@192.168.56.14'}\n"
FILE = HEAD + M1 + M2 + M3

PODS = "".join(f"""
apiVersion: v1
kind: Pod
metadata: {{name: p{number}}}
spec:
  nodeName: m{number}
  terminationGracePeriodSeconds: 1
  containers: [{{name: one, image: host, command: [/bin/sleep, "100000"]}}]
---""" for number in (1, 2, 3))

CONFIG = """
Host second
  HostName 192.168.56.12
Host *
  User root
  IdentityFile {keys}/user
  IdentityAgent none
  UserKnownHostsFile {keys}/known_hosts
  StrictHostKeyChecking yes
"""


def ssh_folders():
    return set(pathlib.Path("/tmp").glob("podlab-ssh-*"))


def need_sshd():
    if not os.access("/usr/sbin/sshd", os.X_OK):
        raise unittest.SkipTest("openssh-server is not installed")


class Hosts(MachinesTestCase):
    """m1 to m4 have sshd; podlab runs on m5, the user's own machine."""

    machines = 5
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        need_sshd()
        cls.keys = cls.folder / "keys"
        cls.keys.mkdir()
        cls.folder.chmod(0o755)  # sshd reads it as who comes
        for key in ("host", "user", "other"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", cls.keys / key)
        cls.host_key = " ".join((cls.keys / "host.pub").read_text().split()[:2])
        cls.know("192.168.56.11", "192.168.56.12", "[192.168.56.13]:2222", "192.168.56.14")
        (cls.keys / "config").write_text(CONFIG.format(keys=cls.keys))
        *cls.hosts, cls.user = cls.all
        if shutil.which("strip"):  # what is copied to each host
            run("strip", "-o", cls.folder / "podlab", cls.user.program)
            cls.user.program = cls.folder / "podlab"
        cls.user.environment["PODLAB_SSH"] = f"ssh -F {cls.keys / 'config'}"
        for machine in cls.hosts:
            cls.serve(machine)
        cls.before = {machine: machine.network() for machine in cls.all}
        cls.folders = ssh_folders()

    @classmethod
    def serve(cls, machine):
        machine.serve_ssh(cls.keys, 2222 if machine.name == "m3" else 22)

    @classmethod
    def know(cls, *names):
        (cls.keys / "known_hosts").write_text("".join(f"{name} {cls.host_key}\n" for name in names))

    def up(self, text=FILE, code=0, arguments=(), **environment):
        with cluster_file(text) as file:
            done = subprocess.run(self.user.entering(self.user.program, "up", "-f", file, *arguments),
                                  env=dict(self.user.environment, **environment), capture_output=True, text=True,
                                  check=False, stdin=subprocess.DEVNULL, timeout=120)
        self.assertEqual(done.returncode, code, f"{done.stdout}{done.stderr}\n{self.user.logs()}{self.logs()}")
        self.assertEqual(ssh_folders(), self.folders)
        return done.stderr

    def logs(self):
        names = [log for pattern in ("*/hosts/log/*.log", "*/.node/agent.log") for log in self.folder.glob(pattern)]
        return "".join(f"== {log}\n{log.read_text()[-2000:]}" for log in names)

    def podlab(self, *arguments, code=0, **options):
        done = self.user.try_podlab("--name", "hosts", *arguments, **options)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def object(self, *names):
        return json.loads(self.podlab("get", *names, "-o", "json"))

    def agents(self):
        return {machine.name: machine.pids("agent") for machine in self.hosts}

    def restarts(self):
        return {pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["restartCount"]
                for pod in self.object("pods")["items"]}

    def addresses(self):
        return {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in self.object("pods")["items"]}

    def green(self):
        return eventually(lambda: self.user.try_podlab("--name", "hosts", "reach").returncode == 0, 30)

    def tokens(self):
        return self.podlab("token", "ls")

    def test_1_up(self):
        told = self.up()
        for line in ("m1 (192.168.56.11): Ready in ", "m2 (second): Ready in ", "m3 (root@192.168.56.13:2222): Ready in ",
                     "podlab installed, agent started", 'The cluster "hosts" is up: 3 nodes are Ready.'):
            self.assertIn(line, told)
        node = self.object("node", "m1")
        self.assertEqual(node["metadata"]["labels"]["zone"], "a")
        self.assertIn({"key": "k", "value": "v", "effect": "PreferNoSchedule"}, node["spec"]["taints"])
        self.assertEqual(node["status"]["capacity"]["pods"], "20")
        self.assertEqual(node["metadata"]["annotations"]["podlab.io/pod-mtu"], "1350")
        self.assertIn({"type": "InternalIP", "address": "192.168.56.11"}, node["status"]["addresses"])
        # The machines see podlab's machine by this address, whatever its default route says.
        self.assertIn("https://192.168.56.15:6443", self.podlab("status"))
        self.assertRegex(self.podlab("status"), r"m2 +second +Ready")
        self.assertRegex(self.user.try_podlab("ls").stdout, r"hosts +Running +3 ")
        self.assertIn("podlab-hosts", (self.user.folder / ".kube" / "config").read_text())
        if [*pathlib.Path("/sys/fs/cgroup").glob("podlab"), *pathlib.Path("/sys/fs/cgroup").glob("*/podlab")]:
            self.assertNotEqual(node_cgroups(self.folder), set())
        # The token is gone, and was never to be seen.
        self.assertIn("No tokens", self.tokens())
        for machine in self.hosts[:3]:
            (pid,) = machine.pids("agent")
            self.assertNotIn("token", pathlib.Path(f"/proc/{pid}/cmdline").read_text())
            self.assertEqual(machine.run("stat", "-c", "%a", "/usr/local/bin/podlab"), "755\n")
            self.assertEqual(machine.run("ls", "/usr/local/bin"), "podlab\n")

    def test_2_pods_reach_each_other(self):
        self.podlab("apply", "-f", "-", input=PODS)
        self.podlab("wait", "pod", "--all", "--for", "condition=Ready", "--timeout", "40s")
        self.assertTrue(self.green())

    def test_3_again_there_is_nothing_to_do(self):
        before = self.agents()
        told = self.up()
        self.assertEqual(told.count("nothing to do"), 3, told)
        self.assertIn('The cluster "hosts" is already running: 3 nodes are Ready.', told)
        self.assertEqual(self.agents(), before)

    def test_4_nodes_come_and_stay(self):
        before = self.agents()
        told = self.up(HEAD + M1 + M2 + M4)
        self.assertIn("m4 (ssh://root@192.168.56.14): Ready in", told)
        self.assertIn('Node "m3" is not in the file any more, and goes on; remove it by: podlab node rm --name hosts m3', told)
        self.assertEqual({**self.agents(), "m4": []}, before)
        self.assertRegex(self.user.try_podlab("ls").stdout, r"hosts +Running +4 ")
        self.assertIn("192.168.56.14", self.podlab("status"))

    def test_5_what_differs_is_put_right(self):
        before = self.agents()
        restarts = self.restarts()
        self.hosts[1].kill("agent")
        told = self.up(FILE.replace("zone: a", "zone: b"))
        self.assertRegex(told, r"m1 .*agent restarted")
        self.assertRegex(told, r"m2 .*agent started")
        self.assertRegex(told, r"m3 .*nothing to do")
        self.assertEqual(self.object("node", "m1")["metadata"]["labels"]["zone"], "b")
        now = self.agents()
        self.assertNotEqual(now["m1"], before["m1"])
        self.assertEqual(now["m3"], before["m3"])
        self.assertEqual(self.restarts(), restarts)
        for change, words in ((("192.168.56.11", "192.168.56.99"), "nodes[0].host \"192.168.56.99\": the node is on host 192.168.56.11"),
                              (("name: m1", "name: other"), "the host is node \"m1\"; remove that one first: podlab node rm m1"),
                              (("mtu: 1400", "mtu: 1450"), "exists with another network")):
            self.assertIn(words, self.up(FILE.replace(*change), 1))
        told = self.up(FILE + "faults: {timeline: [{at: 1s, kind: node-kill, nodes: m1, for: 1s}]}\n")
        self.assertIn("warning: faults: only a lab has faults (podlab up --local)", told)

    def test_5b_a_node_that_does_not_get_ready_is_named(self):
        self.hosts[2].kill("agent", signal.SIGSTOP)
        told = self.up(code=1, arguments=("--wait", "2s"))
        self.hosts[2].kill("agent", signal.SIGCONT)
        self.assertIn("it is not Ready after 2s: its agent is not connected; its agent said: ", told)
        self.assertIn("1 of 3 hosts failed", told)
        self.up()

    def test_6_a_node_is_removed(self):
        self.podlab("node", "rm", "m4")
        self.assertNotIn("m4", self.podlab("get", "nodes"))
        self.assertNotIn("m4", self.podlab("status"))
        self.assertEqual(self.hosts[3].network(), self.before[self.hosts[3]])
        self.assertEqual(list(self.hosts[3].folder.iterdir()), [])

    def failure(self, text, *words, **environment):
        """The fourth host fails, and the others are left in peace."""
        before = self.agents()
        told = self.up(text, 1, **environment)
        for word in words:
            self.assertIn(word, told)
        self.assertIn("1 of 4 hosts failed; go on where this ended: podlab up -f ", told)
        self.assertEqual(told.count("nothing to do"), 3)
        self.assertEqual(self.agents(), before)
        self.assertNotIn("m4", self.podlab("status"))

    def test_7_what_ssh_says_is_told_with_the_remedy(self):
        file = FILE + M4
        self.know("192.168.56.11", "192.168.56.12", "[192.168.56.13]:2222")
        self.failure(file, 'error: m4: nodes[3].host "ssh://root@192.168.56.14": ', "Host key verification failed",
                     "its host key is not known here; look at it, and accept it: ssh root@192.168.56.14")
        self.know("192.168.56.11", "192.168.56.12", "[192.168.56.13]:2222", "192.168.56.14")
        self.failure(file.replace("root@192.168.56.14", "root@192.168.56.14:23"), "Connection refused", "give its port")
        self.failure(file.replace("ssh://root@192.168.56.14", "no-such-name.invalid"), "Could not resolve hostname")
        self.hosts[3].end_ssh()
        self.hosts[3].serve_ssh(self.keys, setup=f"mount --bind {self.keys}/other.pub {self.keys}/user.pub")
        self.failure(file, "Permission denied (publickey", "let your key in: ssh-copy-id root@192.168.56.14")
        self.hosts[3].run("umount", self.keys / "user.pub")
        self.hosts[3].run("rm", "/usr/local/bin/podlab")
        self.hosts[3].run("mount", "-t", "tmpfs", "-o", "remount,size=4m", "tmpfs", "/usr/local/bin")
        told = self.up(file, 1)
        self.assertIn("cannot install /usr/local/bin/podlab", told)
        self.assertIn("No space left on device; free some space there", told)
        self.assertEqual(self.hosts[3].run("ls", "/usr/local/bin"), "")
        self.hosts[3].run("mount", "-t", "tmpfs", "-o", "remount,size=2g", "tmpfs", "/usr/local/bin")

    def test_7b_what_the_machine_lacks_is_told_with_the_remedy(self):
        machine = self.hosts[3]
        machine.run("mount", "--bind", "/dev/null", "/usr/bin/crun")
        self.assertIn("crun: ", told := self.up(FILE + M4, 1))
        self.assertIn("remedy: apt-get install crun", told)
        machine.run("umount", "/usr/bin/crun")
        machine.run("ip", "route", "add", "10.244.7.0/24", "via", "192.168.56.1")
        self.assertIn("10.244.0.0/16, which overlaps 10.244.7.0/24 of link eth1", self.up(FILE + M4, 1))
        machine.run("ip", "route", "delete", "10.244.7.0/24")
        self.assertRegex(self.podlab("status"), "m4 .*NotRegistered")
        # Not root: by sudo, or not at all. This sudo has no rules.
        passwd = self.folder / "passwd"
        passwd.write_text(pathlib.Path("/etc/passwd").read_text() + "vagrant:x:4321:4321::/:/bin/sh\n")
        machine.run("mount", "--bind", passwd, "/etc/passwd")
        self.assertIn("m4: nodes[3].host", told := self.up(FILE + M4.replace("root", "vagrant"), 1))
        self.assertRegex(told, "an agent needs root, and sudo says: .*NOPASSWD in sudoers")
        machine.run("sh", "-c", "cp /usr/bin/setpriv /usr/local/bin/become && chmod 4755 /usr/local/bin/become")
        machine.run("tee", "/usr/local/bin/sudo", input='#!/bin/sh\nshift\ntest "$1" != -- || shift\n'
                    'exec become --reuid 0 --regid 0 --clear-groups "$@"\n')
        machine.run("chmod", "755", "/usr/local/bin/sudo")
        self.assertRegex(self.up(FILE + M4.replace("root", "vagrant")), "m4 .*podlab installed, agent started|m4 .*agent started")
        self.podlab("node", "rm", "m4")
        machine.run("rm", "/usr/local/bin/podlab", "/usr/local/bin/sudo", "/usr/local/bin/become")
        machine.run("umount", "/etc/passwd")
        self.assertEqual(machine.network(), self.before[machine])

    def test_8_what_is_cut_off_goes_on_when_repeated(self):
        ssh = self.user.environment["PODLAB_SSH"]
        cut = self.folder / "cut"
        # The copy ends early; an installed program is no such.
        cut.write_text(f"""#!/bin/sh
case "$*" in *mktemp*) head -c 3000000 | {ssh} "$@"; exit $?;; esac
exec {ssh} "$@"
""")
        cut.chmod(0o755)
        self.assertIn("it arrived damaged", self.up(FILE + M4, 1, PODLAB_SSH=str(cut)))
        self.assertEqual(self.hosts[3].run("ls", "/usr/local/bin"), "")
        for word in ("mktemp", "--background"):
            for number in (signal.SIGINT, signal.SIGKILL):
                self.interrupted(word, number, ssh)
        told = self.up(FILE + M4)
        self.assertIn("4 nodes are Ready", told)
        self.podlab("node", "rm", "m4")

    def interrupted(self, word, number, ssh):
        """Ends podlab while the fourth host is at a step."""
        begun = self.folder / "begun"
        hang = self.folder / "hang"
        hang.write_text(f"""#!/bin/sh
case "$*" in *192.168.56.14*{word}*) touch {begun}; sleep 1000;; esac
exec {ssh} "$@"
""")
        hang.chmod(0o755)
        with cluster_file(FILE + M4) as file:
            process = subprocess.Popen(self.user.entering(self.user.program, "up", "-f", file), stderr=subprocess.PIPE, text=True,
                                       env=dict(self.user.environment, PODLAB_SSH=str(hang)), stdin=subprocess.DEVNULL)
            self.assertTrue(eventually(begun.exists, 60))
            for pid in self.user.pids("up"):
                os.kill(pid, number)
            _, told = process.communicate(timeout=60)
        begun.unlink()
        self.user.run("sh", "-c", "pkill -x sleep -P $(pgrep -f ^/bin/sh.*/hang | paste -sd,) || true")
        if number == signal.SIGINT:
            self.assertEqual(process.returncode, 130)
            self.assertIn("Interrupted. Go on where this ended: podlab up -f", told)
            self.assertIn("No tokens", self.tokens())
        else:
            self.assertIn("podlab up", self.tokens())
            self.podlab("token", "rm", self.tokens().splitlines()[1].split()[0])
        for folder in ssh_folders() - self.folders:
            self.user.run("rm", "-r", folder)

    def test_9_down_keeps_the_pods(self):
        addresses, restarts = self.addresses(), self.restarts()
        told = self.podlab("down")
        for word in ("m1 (192.168.56.11): stopped", "m3 (root@192.168.56.13:2222): stopped", "is stopped"):
            self.assertIn(word, told)
        for machine in self.hosts:
            self.assertEqual(machine.network(), self.before[machine])
            self.assertEqual([machine.pids(word) for word in ("agent", "shim")], [[], []])
        self.assertEqual(self.user.pids("server"), [])
        done = self.user.try_podlab("up", "--name", "hosts")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.podlab("wait", "pod", "--all", "--for", "condition=Ready", "--timeout", "40s")

        def run_again():
            return self.restarts() == {name: count + 1 for name, count in restarts.items()}
        self.assertTrue(eventually(run_again), f"{restarts} {self.restarts()}")
        self.assertEqual(self.addresses(), addresses)
        self.assertTrue(self.green())

    def test_a_down_purge_leaves_machines_as_they_were(self):
        self.hosts[2].end_ssh()
        told = self.podlab("down", "--purge", code=1)
        self.assertIn("error: m3: nodes[2].host", told)
        self.assertIn("Connection refused", told)
        self.assertIn("what is to be done there, as root: podlab agent --cleanup", told)
        self.assertIn("its state is kept", told)
        self.assertEqual(self.user.pids("server"), [])
        self.serve(self.hosts[2])
        self.podlab("down", "--purge")
        for machine in self.hosts:
            self.assertEqual(machine.network(), self.before[machine])
            self.assertEqual([machine.pids(word) for word in ("agent", "shim")], [[], []])
            self.assertEqual([entry.name for entry in machine.folder.iterdir()], [])
        self.assertEqual(self.user.network(), self.before[self.user])
        self.assertFalse((self.user.folder / "hosts").exists())
        self.assertNotIn("podlab-hosts", (self.user.folder / ".kube" / "config").read_text())
        self.assertEqual(node_cgroups(self.folder), set())
        self.assertIn("There is no lab", self.podlab("down"))

    def test_b_a_host_that_cannot_be_a_node_changes_nothing(self):
        """Nothing is made when no host is usable."""
        self.hosts[0].end_ssh()
        told = self.up(HEAD + M1, 1)
        self.assertIn("1 of 1 hosts failed", told)
        folder = self.user.folder / "hosts"
        self.assertFalse(folder.exists())
        self.serve(self.hosts[0])
        # Killed before there was a cluster file.
        folder.mkdir()
        (folder / "standalone").touch()
        self.assertIn("There is no lab", self.podlab("down", "--purge"))
        self.assertFalse(folder.exists())

    def test_c_a_node_of_another_cluster_is_left_alone(self):
        self.up(HEAD + M1)
        before = self.agents()
        other = {"PODLAB_STATE_DIR": str(self.folder / "other")}
        told = self.up(HEAD + M1, 1, ("--kubeconfig", "none"), **other)
        self.assertIn("Address already in use", told)
        self.assertIn("--advertise HOST:PORT", told)
        told = self.up(HEAD + M1, 1, ("--advertise", "192.168.56.15:7443", "--kubeconfig", "none"), **other)
        self.assertIn('this machine is node "m1" of another cluster than the token\'s; leave that cluster first', told)
        down = subprocess.run(self.user.entering(self.user.program, "down", "--purge", "--name", "hosts"), text=True, check=False,
                              env=dict(self.user.environment, **other), capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
        self.assertEqual(down.returncode, 0, down.stderr)
        self.assertIn("m1 (192.168.56.11): left alone, it is no node of this cluster", down.stderr)
        self.assertEqual(self.agents(), before)
        self.podlab("down", "--purge")
        self.assertEqual(self.hosts[0].network(), self.before[self.hosts[0]])

    def test_e_of_two_that_bring_it_up_at_once_one_does(self):
        with cluster_file(HEAD + M1) as file:
            both = [subprocess.Popen(self.user.entering(self.user.program, "up", "-f", file), env=self.user.environment,
                                     stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(2)]
            told = [process.communicate(timeout=90)[1] for process in both]
        self.assertIn(0, [process.returncode for process in both], told)
        for process, said in zip(both, told):
            if process.returncode != 0:
                self.assertIn("another podlab ", said)
        self.assertIn("nothing to do", self.up(HEAD + M1))
        self.podlab("down", "--purge")

    def test_d_the_users_machine_may_be_a_node(self):
        self.user.serve_ssh(self.keys)
        self.addCleanup(self.user.end_ssh)
        self.know("192.168.56.11", "192.168.56.15")
        before = self.user.network()
        told = self.up(HEAD + M1 + "- {name: m5, host: 192.168.56.15}\n")
        self.assertIn("https://192.168.56.15:6443", self.podlab("status"))
        self.assertIn("2 nodes are Ready", told)
        self.podlab("down", "--purge")
        self.assertEqual(self.user.network(), before)
        self.assertEqual(self.user.pids("agent"), [])


# As systemd does, for the one unit.
SYSTEMCTL = """#!/bin/sh
echo "$*" >> {folder}/systemctl.log
unit=/etc/systemd/system/podlab-agent.service
pid=/run/podlab-agent.pid
end() {{ test ! -f $pid || {{ kill $(cat $pid); while grep -qs '^State:.[^Z]' /proc/$(cat $pid)/status; do sleep 0.02; done; rm $pid; }}; }}
case "$1" in
is-active) test -f $pid ;;
restart) end; eval "set -- $(sed -n s/^ExecStart=//p $unit)"; setsid "$@" </dev/null >>{folder}/agent.log 2>&1 & echo $! >$pid ;;
disable) end ;;
esac
"""


class WithSystemd(MachinesTestCase):
    """m1 says that it runs systemd; m2 is the user's, who has a connection to m1 already, and no key."""

    machines = 2

    def test_the_agent_is_a_service(self):
        need_sshd()
        host, user = self.all
        keys = self.folder / "keys"
        keys.mkdir()
        for key in ("host", "user"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", keys / key)
        host.serve_ssh(keys, setup="mkdir -p /run/systemd/system; mount -t tmpfs tmpfs /etc/systemd; mkdir /etc/systemd/system")
        before = host.network()
        tool = self.folder / "systemctl"
        tool.write_text(SYSTEMCTL.format(folder=self.folder))
        tool.chmod(0o755)
        host.run("cp", tool, "/usr/local/bin/systemctl")
        (keys / "known_hosts").write_text(f"192.168.56.11 {(keys / 'host.pub').read_text()}")
        (keys / "config").write_text(CONFIG.format(keys=keys) + f"  ControlPath {keys}/%C\n")
        ssh = f"ssh -F {keys / 'config'}"
        user.run(*ssh.split(), "-o", "ControlMaster=yes", "-o", "ControlPersist=60", "192.168.56.11", "true")
        (keys / "user").rename(keys / "elsewhere")
        user.environment["PODLAB_SSH"] = ssh
        unit = "/etc/systemd/system/podlab-agent.service"
        with cluster_file(HEAD + M1) as file:
            def up(code, *words):
                done = user.try_podlab("up", "-f", file)
                self.assertEqual(done.returncode, code, done.stderr)
                for word in words:
                    self.assertIn(word, done.stderr)
            host.run("sh", "-c", f"echo '[Service]' > {unit}")
            up(1, "m1: nodes[0].host", f"{unit} is not podlab's own: this machine's agent was set up by hand")
            host.run("rm", unit)
            up(0, "agent started")
            up(0, "nothing to do")
            self.assertEqual(host.run("stat", "-c", "%a", unit), "644\n")
            self.assertIn('agent "--join" "https://192.168.56.12:6443" "--node-name" "m1" "--label" "zone=a"', host.run("cat", unit))
            if shutil.which("systemd-analyze"):
                host.run("systemd-analyze", "verify", unit)
        self.assertIn("m1 (192.168.56.11): stopped", user.try_podlab("down", "--name", "hosts").stderr)
        self.assertEqual(host.run("ls", "/etc/systemd/system"), "")
        up = user.try_podlab("up", "--name", "hosts")
        self.assertIn("agent started", up.stderr)
        done = user.try_podlab("down", "--purge", "--name", "hosts")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(host.run("ls", "/etc/systemd/system"), "")
        self.assertEqual(host.network(), before)
        begin = ["daemon-reload", "enable podlab-agent", "restart podlab-agent"]
        end = ["disable --now podlab-agent", "daemon-reload"]
        calls = (self.folder / "systemctl.log").read_text().splitlines()
        self.assertEqual([call for call in calls if not call.startswith("is-active")], (begin + end) * 2)
        user.run(*ssh.split(), "-O", "exit", "192.168.56.11")


class SameFileAsLab(LabTestCase):
    cluster = FILE
    up_arguments = ("--local",)

    def test_it_is_a_lab_of_this_host(self):
        self.assertEqual([node["metadata"]["name"] for node in self.objects("nodes", "--name", "hosts")], ["m1", "m2", "m3"])
        with cluster_file(self.cluster) as file:
            done = self.run_podlab("up", "-f", file)
            self.assertEqual(done.returncode, 1)
            self.assertIn("is a lab of this host; use the file with --local", done.stderr)
            self.assertIn("already running: 3 nodes", self.run_podlab("up", "-f", file, "--local").stderr)

    @classmethod
    def tearDownClass(cls):
        cls.run_podlab("down", "--purge", "--name", "hosts")
        super().tearDownClass()


if __name__ == "__main__":
    unittest.main()
