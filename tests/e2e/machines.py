"""Machines of a test: each has namespaces of its own, as a host of its own would, on one Ethernet switch."""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

from harness import DATA, PODLAB as PROGRAM, eventually

PODLAB = PROGRAM.resolve()

SETUP = """
mount --make-rshared / && mount -t tmpfs tmpfs /run && mount -t tmpfs -o mode=1777 tmpfs /dev/shm
test ! -d /sys/fs/cgroup/unified || umount -l /sys/fs/cgroup/unified
hostname "$0" && ip link set lo up && echo ready && exec sleep infinity
"""


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=60, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.stderr}{done.stdout}")
    return done.stdout


class Place:
    """A process that holds namespaces."""

    def __init__(self, *unshare, name="switch"):
        self.holder = subprocess.Popen(["unshare", "--fork", "--kill-child", *unshare, "sh", "-c", SETUP, name],
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if self.holder.stdout.readline() != "ready\n":
            raise AssertionError("a machine did not start")
        children = pathlib.Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children")
        self.pid = int(children.read_text().split()[0])

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.holder.wait()
        self.holder.stdout.close()

    entered = "--all"

    def entering(self, *command):
        return ["nsenter", "--target", str(self.pid), self.entered, *map(str, command)]

    def run(self, *command, **options):
        return run(*self.entering(*command), **options)


class Switch(Place):
    entered = "--net"  # it sees the machines' pids

    def __init__(self):
        super().__init__("--mount", "--net", "--uts")
        self.run("ip", "link", "add", "switch", "type", "bridge")
        self.run("ip", "link", "set", "switch", "up")


SSHD = """
Port {port}
HostKey {keys}/host
AuthorizedKeysFile {keys}/user.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PidFile none
SetEnv PODLAB_STATE_DIR={folder} NO_COLOR=1
"""


class Machine(Place):
    """Its eth0 has the same address and default route on every machine, as Vagrant's; eth1 is on the switch."""

    def __init__(self, switch, name, address, folder):
        super().__init__("--mount", "--net", "--uts", "--ipc", "--pid", "--mount-proc", name=name)
        self.program = PODLAB
        self.name, self.folder, self.switch = name, folder, switch
        try:
            self.connect(address)
        except BaseException:
            self.end()
            raise

    def connect(self, address):
        self.folder.mkdir(exist_ok=True)
        self.environment = dict(os.environ, PODLAB_STATE_DIR=str(self.folder), NO_COLOR="1", HOME=str(self.folder))
        for which in ("all", "default"):  # link-local addresses are there at once
            self.run("sysctl", "-w", f"net.ipv6.conf.{which}.accept_dad=0")
        self.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "nowhere")
        self.run("ip", "link", "set", "nowhere", "up")
        self.set_address("eth0", "10.0.2.15/24")
        self.run("ip", "route", "add", "default", "via", "10.0.2.2")
        self.switch.run("ip", "link", "add", self.name, "type", "veth", "peer", "name", "eth1", "netns", self.pid)
        self.switch.run("ip", "link", "set", self.name, "master", "switch", "up")
        self.set_address("eth1", address)
        eventually(lambda: all(word in self.run("ip", "address", "show", "eth1") for word in ("state UP", "inet6 fe80")))

    def serve_ssh(self, keys, port=22, setup=""):
        """Lets root in with the key; /usr/local/bin is the machine's own. `setup`: sh, run first."""
        self.run("sh", "-c", f"mkdir -p /run/sshd; mountpoint -q /usr/local/bin || mount -t tmpfs tmpfs /usr/local/bin; {setup}")
        config = self.folder.parent / f"{self.name}.sshd_config"
        config.write_text(SSHD.format(port=port, keys=keys, folder=self.folder))
        self.sshd = subprocess.Popen(self.entering("/usr/sbin/sshd", "-D", "-f", config), stderr=subprocess.DEVNULL)
        listening = ("sh", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}")
        eventually(lambda: subprocess.run(self.entering("bash", *listening[1:]), stderr=subprocess.DEVNULL, check=False).returncode == 0)

    def end_ssh(self):
        self.run("pkill", "sshd")
        self.sshd.wait()

    def end(self):
        """As by a power failure: its cable says nothing more, and is free for the next machine of that name."""
        with contextlib.suppress(AssertionError):
            self.switch.run("ip", "link", "delete", self.name)
        super().end()

    def set_address(self, link, address):
        self.run("ip", "-4", "address", "flush", "dev", link)
        self.run("ip", "address", "add", address, "dev", link)
        self.run("ip", "link", "set", link, "up")

    def try_podlab(self, *arguments, **options):
        options.setdefault("timeout", 60)
        return subprocess.run(self.entering(self.program, *arguments), env=self.environment, capture_output=True, text=True,
                              check=False, stdin=options.pop("stdin", subprocess.DEVNULL) if "input" not in options else None,
                              **options)

    def podlab(self, *arguments, **options):
        done = self.try_podlab(*arguments, **options)
        if done.returncode != 0:
            raise AssertionError(f"{self.name}: podlab {' '.join(arguments)}: {done.stderr}{done.stdout}\n{self.logs()}")
        return done.stdout

    def start_podlab(self, *arguments):
        """A process in the background, with its log beside the machine's folder."""
        log = self.folder.parent / f"{self.name}-{arguments[0]}.log"
        with log.open("a") as output:
            return subprocess.Popen(self.entering(self.program, *arguments), env=self.environment, stdin=subprocess.DEVNULL,
                                    stdout=output, stderr=output)

    def log(self, process):
        return (self.folder.parent / f"{self.name}-{process}.log").read_text()

    def logs(self):
        return "".join(f"== {log.name}\n{log.read_text()[-3000:]}" for log in self.folder.parent.glob("*.log"))

    def pids(self, word):
        """Pids, as the host sees them, of podlab's processes with this first argument."""
        found = []
        mine = os.readlink(f"/proc/{self.pid}/ns/pid")
        for entry in pathlib.Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and os.readlink(entry / "ns/pid") == mine and \
                        (entry / "cmdline").read_bytes().split(b"\0")[1:2] == [word.encode()]:
                    found.append(int(entry.name))
        return found

    def kill(self, word, number=signal.SIGKILL):
        for pid in self.pids(word):
            os.kill(pid, number)

    def network(self):
        """What an agent may change, and must leave as it was."""
        commands = (["ip", "-d", "-o", "link"], ["ip", "address"], ["ip", "route", "show", "table", "all"],
                    ["ip", "-6", "route", "show", "table", "all"], ["ip", "rule"], ["ip", "neigh", "show", "nud", "permanent"],
                    ["/usr/sbin/nft", "list", "ruleset"], ["sysctl", "-ae", "--pattern", r"^net\.ipv[46]\.(conf|ip_forward)"],
                    ["findmnt", "-rno", "TARGET,FSTYPE,PROPAGATION"])
        return {f"{command[0]}: {line}" for command in commands for line in self.run(*command).splitlines()}


def node_cgroups(folder):
    """Of the nodes of all machines that have their folders in this one."""
    def name(path):  # lab::labCgroup()
        digest = 0xcbf29ce484222325
        for byte in str(path).encode():
            digest = (digest ^ byte) * 0x100000001b3 & 0xffffffffffffffff
        return f".node-{digest & 0xffffffff:08x}"
    names = [name(machine / ".node") for machine in folder.iterdir()]
    return {found for at in names for pattern in ("podlab", "*/podlab")
            for found in pathlib.Path("/sys/fs/cgroup").glob(f"{pattern}/{at}")}


def remove_cgroups(machines):
    """Those of a test that has failed; others it has removed itself."""
    for folder in node_cgroups(machines):
        for path, _, _ in os.walk(folder, topdown=False):
            eventually(lambda gone=path: not remove_folder(gone), 5)


def remove_folder(path):
    """Whether it is still there."""
    with contextlib.suppress(OSError):
        os.rmdir(path)
    return os.path.exists(path)


class MachinesTestCase(unittest.TestCase):
    """A switch with machines m1, m2, ... of addresses 192.168.56.11, ..."""

    machines = 3

    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("machines need root: an agent changes links and routes of its host")
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="podlab-machines-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.addClassCleanup(remove_cgroups, cls.folder)
        cls.switch = Switch()
        cls.addClassCleanup(cls.switch.end)
        cls.all = [cls.machine(number) for number in range(1, cls.machines + 1)]

    @classmethod
    def machine(cls, number):
        made = Machine(cls.switch, f"m{number}", f"192.168.56.{10 + number}/24", cls.folder / f"m{number}")
        cls.addClassCleanup(made.end)
        return made

    @classmethod
    def wait_for_server(cls, machine):
        def answers():
            return machine.try_podlab("get", "namespaces").returncode == 0
        if not eventually(answers):
            raise AssertionError(f"the server does not answer\n{machine.logs()}")

    @classmethod
    def join(cls, server, machine, *flags):
        """Starts an agent by the command that a new token comes with."""
        words = server.podlab("token", "create").split()
        return machine.start_podlab(*words[1:], *flags)

    @classmethod
    def wait_for_nodes(cls, server, *names):
        for condition in ("create", "condition=Ready"):
            server.podlab("wait", *(f"node/{name}" for name in names), "--for", condition, "--timeout", "30s")

    def apply(self, server, name):
        server.podlab("apply", "-f", "-", input=(DATA / name).read_text())
