"""Runs podlab with a state folder of the test's own."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest

PODLAB = os.environ["PODLAB"]
DATA = pathlib.Path(__file__).resolve().parent.parent / "data" / "e2e"


def host_network():
    """What podlab must never change."""
    texts = []
    for command in (["ip", "-o", "link"], ["ip", "route", "show", "table", "all"], ["nft", "list", "ruleset"]):
        if shutil.which(command[0]):
            texts.append(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    return texts


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


def eventually(check, seconds=20):
    """Waits for check() to hold; the deadline is only for a test that fails."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = check()
        if result:
            return result
        time.sleep(0.02)
    return check()


class LabTestCase(unittest.TestCase):
    """One lab for all tests of a class."""

    up_arguments = ()

    @classmethod
    def setUpClass(cls):
        cls.state = pathlib.Path(tempfile.mkdtemp(prefix="podlab-e2e-"))
        cls.environment = dict(os.environ, PODLAB_STATE_DIR=str(cls.state), NO_COLOR="1")
        cls.network_before = host_network()
        done = cls.run_podlab("up", *cls.up_arguments)
        if done.returncode != 0:
            logs = "".join(f"== {log}\n{log.read_text()[-3000:]}" for log in cls.state.glob("*/log/*.log"))
            cls.tearDownClass()
            raise AssertionError(f"podlab up failed: {done.stderr}\n{logs}")

    @classmethod
    def tearDownClass(cls):
        cls.run_podlab("down", "--purge")
        shutil.rmtree(cls.state, ignore_errors=True)

    @classmethod
    def run_podlab(cls, *arguments, **options):
        options.setdefault("timeout", 90)
        return subprocess.run([PODLAB, *arguments], env=cls.environment, capture_output=True, text=True, check=False,
                              stdin=options.pop("stdin", subprocess.DEVNULL), **options)

    def podlab(self, *arguments, **options):
        """Runs it, expects success, and returns stdout."""
        done = self.run_podlab(*arguments, **options)
        self.assertEqual(done.returncode, 0, f"podlab {' '.join(arguments)}: {done.stderr}{done.stdout}")
        return done.stdout

    def objects(self, *arguments):
        return json.loads(self.podlab("get", *arguments, "-o", "json"))["items"]

    def apply(self, name):
        self.podlab("apply", "-f", str(DATA / name))

    def wait_ready(self, *pods, namespace="default"):
        self.podlab("wait", "pod", *pods, "-n", namespace, "--for", "condition=Ready", "--timeout", "60s")
