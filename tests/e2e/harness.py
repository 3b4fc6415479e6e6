"""Runs podlab with a state folder of the test's own."""
import contextlib
import json
import mmap
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest

PODLAB = pathlib.Path(os.environ["PODLAB"])
DATA = pathlib.Path(__file__).resolve().parent.parent / "data" / "e2e"


def is_sanitized():
    """Whether the program was built with AddressSanitizer."""
    with open(PODLAB, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as program:
        return program.find(b"__asan_init") >= 0


def host_network():
    """What podlab must never change."""
    commands = (["ip", "-o", "link"], ["ip", "route", "show", "table", "all"], ["/usr/sbin/nft", "list", "ruleset"])
    return [subprocess.run(command, capture_output=True, text=True, check=False).stdout for command in commands]


def processes_below(folder):
    """Pids whose command line names the state folder."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if str(folder).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            pass
    return found


def parent(pid):
    """0 when the process has ended."""
    try:
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def eventually(check, seconds=20):
    """Waits for check() to hold; the deadline is only for a test that fails."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = check()
        if result:
            return result
        time.sleep(0.02)
    return check()


@contextlib.contextmanager
def cluster_file(text):
    """The path of a cluster file with this text."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        os.chmod(file.name, 0o644)
        yield file.name


class LabTestCase(unittest.TestCase):
    """One lab for all tests of a class."""

    up_arguments = ()
    cluster = None  # text of a cluster file
    user = None  # id of whom root runs podlab as

    @classmethod
    def prepare(cls):
        """Folders and environment for podlab, without a lab."""
        cls.state = pathlib.Path(tempfile.mkdtemp(prefix="podlab-e2e-"))
        cls.kube = pathlib.Path(tempfile.mkdtemp(prefix="podlab-kube-"))  # in place of the user's home
        cls.program = PODLAB
        cls.identity = {}
        if cls.user is not None and os.geteuid() == 0:
            cls.program = shutil.copy(PODLAB, cls.state / PODLAB.name)  # the build folder may be closed to others
            for folder in (cls.state, cls.kube):
                os.chown(folder, cls.user, cls.user)
            cls.identity = {"user": cls.user, "group": cls.user, "extra_groups": [], "cwd": "/"}
        cls.environment = dict(os.environ, PODLAB_STATE_DIR=str(cls.state), NO_COLOR="1", HOME=str(cls.kube),
                               KUBECONFIG=str(cls.kube / "config"))

    @classmethod
    def setUpClass(cls):
        cls.prepare()
        cls.network_before = host_network()
        with cluster_file(cls.cluster or "") as file:
            done = cls.run_podlab("up", *cls.up_arguments, *(("-f", file) if cls.cluster else ()))
        if done.returncode != 0:
            logs = "".join(f"== {log}\n{log.read_text()[-3000:]}" for log in cls.state.glob("*/log/*.log"))
            cls.tearDownClass()
            raise AssertionError(f"podlab up failed: {done.stderr}\n{logs}")

    @classmethod
    def tearDownClass(cls):
        cls.run_podlab("down", "--purge")
        for folder in (cls.state, cls.kube):
            shutil.rmtree(folder, ignore_errors=True)

    @classmethod
    def run_podlab(cls, *arguments, **options):
        options.setdefault("timeout", 90)
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run([cls.program, *arguments], env=cls.environment, capture_output=True, text=True, check=False,
                              **cls.identity, **options)

    def podlab(self, *arguments, **options):
        """Runs it, expects success, and returns stdout."""
        done = self.run_podlab(*arguments, **options)
        self.assertEqual(done.returncode, 0, f"podlab {' '.join(arguments)}: {done.stderr}{done.stdout}")
        return done.stdout

    def objects(self, *arguments):
        return json.loads(self.podlab("get", *arguments, "-o", "json"))["items"]

    def apply(self, name):
        self.podlab("apply", "-f", "-", input=(DATA / name).read_text())

    def wait_ready(self, *pods, namespace="default"):
        self.podlab("wait", "pod", *pods, "-n", namespace, "--for", "condition=Ready", "--timeout", "60s")

    def processes(self, word, *more):
        """Host pids of the lab's processes with this first argument and `more` among the others."""
        found = []
        for pid in processes_below(self.state):
            try:
                arguments = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            except OSError:  # ended meanwhile
                continue
            if arguments[1:2] == [word] and set(more) <= set(arguments[2:]):
                found.append(pid)
        # A child that one of them forks looks the same until it is another program.
        return sorted(pid for pid in found if parent(pid) not in found)

    def in_node(self, node, *command):
        """Runs a program of the host in the namespaces of a node, expects success, and returns stdout."""
        (agent,) = self.processes("agent", "--node-name", node)
        user = () if os.geteuid() == 0 else ("--user", "--preserve-credentials")
        done = subprocess.run(["nsenter", "--target", str(agent), *user, "--mount", "--net", *command],
                              capture_output=True, text=True, check=False, timeout=30)
        self.assertEqual(done.returncode, 0, f"{node}: {command}: {done.stderr}")
        return done.stdout

    def in_pod(self, pod, *command):
        """Likewise in the network namespace of a pod, from outside of its containers."""
        found = json.loads(self.podlab("get", "pod", pod, "-o", "json"))
        node = found["spec"]["nodeName"]
        (folder,) = self.state.glob(f"*/nodes/{node}")
        return self.in_node(node, "nsenter", f"--net={folder}/run/pins/{found['metadata']['uid']}/net", *command)
