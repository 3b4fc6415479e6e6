"""Figures of the REST API and of the server at scale: creates, lists, watches, create to bound, memory, start."""
import contextlib
import http.client
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import time

from lab_support import BUILD, PODLAB, Lab, median, report, run

CLIENTS = 32
WATCHERS = 1000
IDLE = 10_000
NODES = 1000
PODS = 10_000
TOOL = BUILD / "bench" / "podlab_rest_load_bench"
FILLER = BUILD / "bench" / "podlab_scale_bench"


class Server:
    """A server alone, as the lab would start it, with certificates of a lab that was."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="podlab-bench-server-"))
        with Lab(1) as lab:
            lab.up()
            (pki,) = lab.state.glob("*/pki")
            shutil.copytree(pki, self.folder / "pki")
        self.state = self.folder / "state"
        self.state.mkdir()
        self.process = None
        self.port = self.rpc_port = None

    def start(self):
        with socket.create_server(("127.0.0.1", 0), backlog=4096) as rest, socket.create_server(("127.0.0.1", 0)) as rpc:
            self.port, self.rpc_port = (listening.getsockname()[1] for listening in (rest, rpc))
            fds = [rest.fileno(), rpc.fileno()]
            self.process = subprocess.Popen(
                [PODLAB, "server", "--state-dir", self.state, "--pki-dir", self.folder / "pki", "--pod-cidrs", "10.0.0.0/8",
                 "--listen-fds", f"{fds[0]},{fds[1]}"], pass_fds=fds, stderr=(self.folder / "log").open("a"))

    def stop(self):
        self.process.terminate()
        if self.process.wait() != 0:
            raise RuntimeError(f"the server failed:\n{(self.folder / 'log').read_text()}")

    def load(self, *words):
        """The figures of a run of the tool."""
        return [float(word) for word in run(TOOL, *self.target(), *words).split()]

    def target(self):
        return f"127.0.0.1:{self.port}", self.folder / "pki"

    @contextlib.contextmanager
    def held(self, *words):
        """While a tool holds what it has made."""
        with subprocess.Popen([str(word) for word in words], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as tool:
            while (line := tool.stdout.readline()) != "there\n":
                if not line:
                    raise RuntimeError(f"failed: {words}")
            yield
            tool.stdin.close()

    def get(self, path):
        """The size of an answer."""
        context = ssl.create_default_context(cafile=self.folder / "pki" / "ca.crt")
        context.load_cert_chain(self.folder / "pki" / "admin.crt", self.folder / "pki" / "admin.key")
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=60)
        connection.request("GET", path)
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status}")
        size = len(answer.read())
        connection.close()
        return size

    def memory(self, what="Rss"):
        """Megabytes of the process; Rss, Pss or VmHWM (the most it ever had resident)."""
        folder = pathlib.Path("/proc") / str(self.process.pid)
        text = (folder / ("status" if what.startswith("Vm") else "smaps_rollup")).read_text()
        return int(re.search(rf"^{what}:\s+(\d+)", text, re.MULTILINE).group(1)) / 1024

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.folder)


def creates(rounds):
    for resource, count, goal, yardstick in (
            ("configmaps", 30_000, (">=", 15_000), "Kubernetes 1.20's API server 400 to 770/s"), ("pods", PODS, None, None)):
        figures = []
        for _ in range(rounds):
            with Server() as server:
                figures.append(server.load("create", resource, CLIENTS, count)[0])
        report(f"creates of {resource} over {CLIENTS} TLS connections", median(figures), "/s", goal, yardstick, figures)


def watches(rounds):
    for resource, changes, goal in (("configmaps", 4000, (">=", 500_000)), ("pods", 2000, None)):
        figures = []
        for _ in range(rounds):
            with Server() as server:
                figures.append(server.load("watch", resource, WATCHERS, CLIENTS, changes))
        events, megabytes = (median(column) for column in zip(*figures))
        report(f"events of {resource} delivered to {WATCHERS} watchers, {CLIENTS} clients writing", events, "/s", goal,
               f"{megabytes:.0f} MB/s", [events for events, _ in figures])
    with Server() as server:
        report(f"events of configmaps delivered to {WATCHERS} watchers, one client writing",
               server.load("watch", "configmaps", WATCHERS, 1, 500)[0], "/s")
    with Server() as server:
        before = server.memory()
        with server.held(TOOL, *server.target(), "idle", IDLE):
            report(f"memory of {IDLE} idle watches, each", (server.memory() - before) / IDLE * 1024, "kB")


def bound(rounds):
    figures = []
    for _ in range(rounds):
        with Server() as server:
            figures.append(server.load("bound", 100, CLIENTS, 5000)[0])
    report(f"create to bound, 5000 pods on 100 nodes, {CLIENTS} clients", median(figures), "pods/s", None,
           "a Kubernetes 1.20 control plane 190 to 410 pods/s", figures)


def scale(rounds, settle=60):
    """1,000 nodes and 10,000 pods: memory, lists, start."""
    with Server() as server:
        with server.held(FILLER, f"127.0.0.1:{server.rpc_port}", server.folder / "pki", NODES, PODS):
            report(f"memory (PSS) of the server with {NODES} nodes and {PODS} pods, just written", server.memory("Pss"), "MB", ("<", 120),
                   f"at most {server.memory('VmHWM'):.0f} MB resident")
            time.sleep(settle)
            report(f"the same after {settle} s of heartbeats", server.memory("Pss"), "MB", ("<", 120),
                   f"at most {server.memory('VmHWM'):.0f} MB resident")
            lists = [server.load("list", "pods", 4, 20)[0] for _ in range(rounds)]
            report(f"lists of {PODS} pods with their statuses", median(lists), "MB/s", (">=", 200), runs=lists)
        starts = []
        for _ in range(rounds):
            server.stop()
            begin = time.monotonic()
            server.start()
            server.get("/api/v1/pods?limit=500")
            starts.append(time.monotonic() - begin)
        report("start of the server on that store to its first answered list", median(starts), "s", ("<", 0.3), runs=starts)
        report("memory (PSS) of the server after its start", server.memory("Pss"), "MB", ("<", 120))
