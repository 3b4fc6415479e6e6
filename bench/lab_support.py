"""What the benchmarks of whole labs share: a lab of their own, processes in its namespaces, and how figures are told."""
import os
import pathlib
import pwd
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

BUILD = pathlib.Path(os.environ.get("PODLAB_BUILD", "build/release")).resolve()
PODLAB = BUILD / "podlab"
POD_SENTINEL = b"sleep\0infinity\0"


def load():
    return f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def report(name, figure, unit, goal=None, yardstick=None, runs=None):
    """One figure a line. `goal` is (relation, bound), relation "<" or ">="; `yardstick` what it is compared with."""
    text = f"{name}: {figure:.3g} {unit}" if figure < 1000 else f"{name}: {figure:.0f} {unit}"
    if goal:
        relation, bound = goal
        met = figure < bound if relation == "<" else figure >= bound
        text += f" (goal {relation} {bound:g}: {'met' if met else 'MISSED'})"
    if yardstick:
        text += f"; {yardstick}"
    if runs:
        text += f"; runs {' '.join(f'{run:.3g}' for run in runs)}"
    print(text, flush=True)


def say(text):
    print(text, flush=True)


def median(values):
    return statistics.median(values)


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, **options)
    if done.returncode != 0:
        sys.exit(f"failed ({done.returncode}): {' '.join(map(str, command))}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


class Lab:
    """A lab with a state folder of its own, as root or as `user`."""

    def __init__(self, nodes=3, user=None):
        self.nodes = nodes
        self.prefix = ["runuser", "-u", user, "--"] if user else []
        self.state = pathlib.Path(tempfile.mkdtemp(prefix="podlab-bench-"))
        self.environment = dict(os.environ, PODLAB_STATE_DIR=str(self.state), NO_COLOR="1",
                                KUBECONFIG=str(self.state / "kubeconfig"))
        if user:
            entry = pwd.getpwnam(user)
            os.chown(self.state, entry.pw_uid, entry.pw_gid)
            shutil.copy(PODLAB, self.state / "podlab")  # the build folder may be closed to others
            self.program = self.state / "podlab"
        else:
            self.program = PODLAB

    def podlab(self, *arguments):
        return run(*self.prefix, self.program, *arguments, env=self.environment)

    def bench(self, *arguments):
        """podlab_pods_bench with this lab; its output as numbers."""
        return [float(line) for line in
                run(BUILD / "bench" / "podlab_pods_bench", *arguments, env=self.environment).split()]

    def up(self):
        """Seconds until `podlab up` says that all nodes are Ready."""
        begin = time.monotonic()
        self.podlab("up", "-n", self.nodes)
        return time.monotonic() - begin

    def down(self):
        self.podlab("down", "--purge")

    def processes(self, command):
        """Pids of this lab's processes of that command (agent, server, shim, lab), as the host counts them."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if len(arguments) > 2 and arguments[1] == command.encode() and \
                    any(argument.startswith(str(self.state).encode()) for argument in arguments):
                found.append(int(entry.name))
        return sorted(found)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.podlab("down", "--purge")
        shutil.rmtree(self.state, ignore_errors=True)


class Namespace:
    """A network namespace, held by a process."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        self.pid = self.holder.pid
        before = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{self.pid}/ns/net") == before:
            time.sleep(0.001)
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *command):
        return run("nsenter", "-t", self.pid, "-n", *command)

    def close(self):
        self.holder.kill()
        self.holder.wait()
